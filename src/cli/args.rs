//! The command line: what can be asked, and the help that explains it. Values are parsed and
//! checked for their own shape here; whether a name exists, a directory stands or a host allows
//! something is decided later, and nothing is done yet.

#![expect(
    clippy::doc_markdown,
    reason = "help texts are shown as they stand, names of variables without backticks"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::normalize::args::NormalizeArgs;
use super::values::{assignment, checkout, duration, glob, name, variable_name};
use crate::model::Checkout;

/// Finds out why a build is not reproducible.
///
/// reprobe runs your build several times, each time in an environment that differs from the first
/// in chosen ways: user, umask, time zone, locale, build path, host name, and more. It compares
/// what the builds make, down to the members and header fields of archives, and names for every
/// difference the smallest sets of variations that cause it, proven by builds that really ran.
///
/// Each build runs in a throw-away sandbox, as root or as an ordinary user. Neither the source
/// tree nor the rest of the machine is changed.
#[derive(Debug, Parser)]
#[command(
    name = "reprobe",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Run 'reprobe --help' for examples and exit codes, 'reprobe check --help' for all options.",
    after_long_help = TOP_HELP
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build under variations: are the outputs identical, and if not, what makes them differ?
    Check(Box<CheckArgs>),
    /// Run one command in a varied environment, to look around or to reproduce by hand
    Exec(Box<ExecArgs>),
    /// Compare two files or directories, without building: what differs, and what is it likely due to?
    Diff(DiffArgs),
    /// Run one recorded trial again: are its outputs the same?
    Replay(ReplayArgs),
    /// List the variations: what each one catches, and whether it can be tested here
    List(ListArgs),
    /// Say what this machine allows, and for each missing thing the way out
    Doctor,
    /// Bring archives into one canonical form: from "it differs" to one hash
    Normalize(Box<NormalizeArgs>),
}

/// Build under variations: are the outputs identical, and if not, what makes them differ?
///
/// The build runs once unvaried and once with everything varied. If the outputs are identical, that
/// is all. If they differ, further builds find out which variations are behind each difference, and
/// prove it: with the named set alone the difference appears, without any one of its members it
/// does not. What differs between builds of the same environment is called unstable, and nothing
/// is blamed for it.
///
/// Without a COMMAND, `reprobe.toml` in DIR says what to build; else the project is recognised by
/// its files (debian/, pyproject.toml or setup.py, Cargo.toml, package.json, go.mod, a Makefile with
/// a dist target; then CMake, Meson, Maven, Gradle, Perl, autotools, Sphinx, LaTeX), and the choice
/// is printed.
#[derive(Debug, Args)]
#[command(
    override_usage = "reprobe check [OPTIONS] [DIR] [-- COMMAND...]",
    after_help = "Run 'reprobe check --help' for examples, defaults and exit codes.",
    after_long_help = CHECK_HELP
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch of the command line"
)]
pub struct CheckArgs {
    /// The source tree
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,

    /// The build: one word is a shell line, several are a program and its arguments
    ///
    /// One word runs as `sh -ec WORD`, so pipes and `&&` work and the first failure ends the build.
    /// It starts in the source tree.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,

    /// Judge the files that this pattern matches (repeatable)
    ///
    /// Relative to the source tree; may leave it (`../*.deb`). `*` stays within a directory, `**`
    /// does not. Only files that the build created or changed are outputs. Without it:
    /// `reprobe.toml`, else, where no COMMAND is given, the recognised project's outputs, else
    /// everything that the build left in the tree, and files right beside it (not where the tree
    /// stands in /tmp itself). Of those, intermediates (`*.o`, `config.log`, `*.buildinfo`, ...) are
    /// listed but do not decide; `-o '**'` judges those too.
    #[arg(short, long = "output", value_name = "GLOB", value_parser = glob, help_heading = "Build")]
    pub outputs: Vec<String>,

    /// Set a variable for every build (repeatable)
    ///
    /// The environment is made from scratch: PATH and the homes of toolchains are passed on,
    /// everything else (SOURCE_DATE_EPOCH, MAKEFLAGS, proxies, caches) is not, unless given here
    /// or with --pass-env.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = assignment, help_heading = "Build")]
    pub env: Vec<(String, String)>,

    /// Pass a variable of your own environment on to every build (repeatable)
    #[arg(long, value_name = "NAME", value_parser = variable_name, help_heading = "Build")]
    pub pass_env: Vec<String>,

    /// Run this shell line once first, unvaried and with the network open
    ///
    /// For downloads: `--prepare 'cargo fetch'`, `--prepare 'npm ci'`. All builds find what it
    /// left; your source tree stays as it is.
    #[arg(long, value_name = "COMMAND", help_heading = "Build")]
    pub prepare: Option<String>,

    /// Let every build reach the network
    ///
    /// By default no build does. With it, the variation `network` is not tested, and the outputs
    /// depend on what the network answers.
    #[arg(long, help_heading = "Build")]
    pub network: bool,

    /// Let every build see this file or directory of your home, too (repeatable)
    ///
    /// Builds find an empty directory in the place of your home, with the source, what PATH leads
    /// to and the homes of toolchains in it. What is named here may be read, not written.
    #[arg(long, value_name = "PATH", help_heading = "Build")]
    pub expose: Vec<PathBuf>,

    /// Hide from the builds what git ignores in the source tree
    ///
    /// For a tree in which earlier builds left their products.
    #[arg(long, help_heading = "Build")]
    pub clean: bool,

    /// The longest time for one build, for example 90s, 10m, 1h30m
    ///
    /// By default one hour for the first build, and for the others a multiple of the time that the
    /// first one took.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Build")]
    pub timeout: Option<Duration>,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show it as the help of the whole command"
    )]
    pub variations: VariationArgs,

    /// Exit with 125 unless these variations could be tested: a comma-separated list, or `all`
    ///
    /// Variations that --only names are required anyway.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = name, help_heading = "Variations")]
    pub require: Vec<String>,

    /// Run up to this many builds at the same time
    ///
    /// By default as many as there are processors for, by what the first build kept busy. The
    /// findings do not depend on it.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Search")]
    pub jobs: Option<u16>,

    /// Stop after this many builds; what is not settled by then is said to be unsettled
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..), help_heading = "Search")]
    pub budget: Option<u32>,

    /// The longest time for everything, for example 30m: what is known by then is reported
    ///
    /// Exit code 1 where something differs, else 125 (after Ctrl-C: 130). --resume goes on.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Search")]
    pub time_limit: Option<Duration>,

    /// Call outputs reproducible only after N builds unvaried and N with everything varied
    ///
    /// For outputs that differ rarely, whatever is varied: what differs in one build of two goes
    /// unnoticed by N = 1 in one of four sessions, by N = 4 hardly ever.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Search")]
    pub repeat: u32,

    /// Look further: for what another variation masks, and for other levels
    ///
    /// Also builds with each variation varied without each other one, and with all levels of the
    /// variations instead of two, any two of them side by side: about twenty more builds where
    /// nothing differs.
    #[arg(long, help_heading = "Search")]
    pub thorough: bool,

    /// Do not look for the process behind a time, an order or random bytes
    ///
    /// Where `time`, `file-order` or `randomness` is to blame, about ten more builds find out who
    /// reads the clock, who lists which directory, who takes random bytes.
    #[arg(long, help_heading = "Search")]
    pub no_locate: bool,

    /// Try what may do away with the differences, and verify what does
    ///
    /// Variables, lines before the build and `reprobe normalize` after it; what helps is verified at
    /// another moment and with other names. Takes at most as many builds again, and 8 (docs/fix.md).
    #[arg(long, help_heading = "Search")]
    pub fix: bool,

    /// Go on with a session that was interrupted: the one with this number, or the latest of DIR
    ///
    /// Everything but -j, --budget, --time-limit, --fix, --json and -v is as it was when the session began.
    /// Builds that had ended are not run again. The source tree must be as it was. Of each source tree
    /// the last sessions are kept; the oldest go first, and before those that were interrupted go
    /// finished ones.
    #[arg(
        long,
        value_name = "ID",
        help_heading = "Search",
        conflicts_with_all = [
            "command", "outputs", "env", "pass_env", "prepare", "network", "expose", "clean",
            "timeout", "only", "skip", "directories", "seed", "require", "repeat", "thorough", "no_locate",
            "metadata", "checkout", "keep", "dry_run",
        ]
    )]
    pub resume: Option<Option<u64>>,

    /// Let the modes of the outputs themselves decide, too
    ///
    /// By default content decides: bytes, link targets and which files exist. Inside an archive
    /// every byte counts anyway.
    #[arg(long, help_heading = "Results")]
    pub metadata: bool,

    /// Whether a difference that times, modes and owners of the sources make alone decides
    ///
    /// `decides`: it counts as any other, right for what is built from a git checkout, which keeps
    /// none of them. `apart`: it is told apart and does not count, right for sources that come in
    /// an archive with their times, modes and owners. By default `reprobe.toml` says so, else the
    /// kind of project (Debian source packages, also where COMMAND starts their builder: apart), else
    /// it decides.
    #[arg(long, value_name = "decides|apart", value_parser = checkout, help_heading = "Results")]
    pub checkout: Option<Checkout>,

    /// Write everything that was found as JSON; `-` is standard output
    ///
    /// One object, schema `reprobe.findings/1`. The file is checked to be writable before anything
    /// runs, and replaced in one step at the end. With `-` the summary goes to standard error.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub json: Option<PathBuf>,

    /// Keep the outputs of the control and of every certificate in DIR, one directory per trial
    ///
    /// And of the two trials that show that something is unstable. For example
    /// `reprobe diff DIR/0 DIR/7`. DIR must not exist or be empty.
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    pub keep: Option<PathBuf>,

    /// Show the plan and run nothing
    ///
    /// The variations with their levels, what the sandbox would set up, and about how many builds
    /// it would take.
    #[arg(long, help_heading = "Results")]
    pub dry_run: bool,

    /// Say what happens while it happens, one line per build
    #[arg(short, long, help_heading = "Results")]
    pub verbose: bool,
}

/// Which variations take part.
#[derive(Debug, Args)]
pub struct VariationArgs {
    /// Vary only these: a comma-separated list of names
    ///
    /// 'reprobe list' shows the names; those of reprotest are understood, too. What is named here
    /// and cannot be tested makes the exit code 125.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = name, help_heading = "Variations")]
    pub only: Vec<String>,

    /// Vary everything but these: a comma-separated list of names
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = name, help_heading = "Variations")]
    pub skip: Vec<String>,

    /// Read further variations from the TOML files in DIR (repeatable)
    ///
    /// A directory `variations/` beside `reprobe.toml` is read without being asked for.
    #[arg(long = "variations", value_name = "DIR", help_heading = "Variations")]
    pub directories: Vec<PathBuf>,

    /// Repeat the choices of an earlier session: the number that it printed
    #[arg(long, value_name = "NUMBER", help_heading = "Variations")]
    pub seed: Option<u64>,
}

/// Run one command in a varied environment, to look around or to reproduce by hand.
///
/// The command runs in the sandbox of a build, attached to this terminal, and its exit code is
/// passed on. What it writes is discarded, unless --keep names a directory.
#[derive(Debug, Args)]
#[command(
    override_usage = "reprobe exec [OPTIONS] [DIR] -- COMMAND...",
    after_help = "Run 'reprobe exec --help' for examples and exit codes.",
    after_long_help = EXEC_HELP
)]
pub struct ExecArgs {
    /// The source tree, and the working directory of the command
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,

    /// The command: one word is a shell line, several are a program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,

    /// What to vary: a comma-separated list of NAME or NAME=LEVEL, or `all`
    ///
    /// Without a level, the first varied one. Without --vary the command runs in the environment
    /// of the control.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = name)]
    pub vary: Vec<String>,

    /// Set a variable (repeatable)
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = assignment)]
    pub env: Vec<(String, String)>,

    /// Pass a variable of your own environment on (repeatable)
    #[arg(long, value_name = "NAME", value_parser = variable_name)]
    pub pass_env: Vec<String>,

    /// Let the command reach the network
    #[arg(long)]
    pub network: bool,

    /// Let the command see this file or directory of your home, too (repeatable)
    #[arg(long, value_name = "PATH")]
    pub expose: Vec<PathBuf>,

    /// Hide from the command what git ignores in the source tree
    #[arg(long)]
    pub clean: bool,

    /// The longest time for the command, for example 90s, 10m, 1h30m; none by default
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// Keep what the command wrote in the source tree in DIR
    ///
    /// DIR must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,

    /// Read further variations from the TOML files in DIR (repeatable)
    #[arg(long = "variations", value_name = "DIR")]
    pub directories: Vec<PathBuf>,

    /// Repeat the choices of an earlier session: the number that it printed
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
}

/// Run one recorded trial again: are its outputs the same?
///
/// From the values that were recorded, and from nothing else: variations that changed since make no
/// difference. The source tree is the one of then as it stands now.
#[derive(Debug, Args)]
#[command(after_long_help = REPLAY_HELP)]
pub struct ReplayArgs {
    /// The session's number: a check prints it
    #[arg(value_name = "ID")]
    pub session: u64,

    /// The trial's number
    pub trial: u32,
}

/// Compare two files or directories, without building: what differs, and what is it likely due to?
///
/// Archives and compressed files are looked into, down to the header fields of their members. What is
/// called likely is guessed from the bytes; `reprobe check` proves it.
#[derive(Debug, Args)]
#[command(after_long_help = DIFF_HELP)]
pub struct DiffArgs {
    /// A file or a directory, for example what `reprobe check --keep DIR` kept: DIR/0
    #[arg(value_name = "FIRST")]
    pub first: PathBuf,

    /// What it is compared with: a file too, or a directory too
    #[arg(value_name = "SECOND")]
    pub second: PathBuf,

    /// Let the modes of the files themselves count, too
    #[arg(long)]
    pub metadata: bool,

    /// Write everything as JSON; `-` is standard output, in the place of the summary
    ///
    /// One object, schema `reprobe.differences/1`.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// List the variations: what each one catches, and whether it can be tested here.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Read further variations from the TOML files in DIR (repeatable)
    #[arg(long = "variations", value_name = "DIR")]
    pub directories: Vec<PathBuf>,

    /// Write the list as JSON
    #[arg(long)]
    pub json: bool,
}

const TOP_HELP: &str = "\
Examples:
  reprobe check                    check the project in this directory, recognised by its files
  reprobe check -o 'dist/*' -- 'python3 -m build --sdist --no-isolation'
  reprobe check --only umask,user ~/src/hello -- make dist
  reprobe exec --vary timezone,umask -- sh
  reprobe normalize dist/*         one form of archives: no times, owners, order of packing
  reprobe doctor                   what can be varied on this machine, and what to do about the rest

Exit codes of check:
    0  every output is identical under everything that was tested
    1  some output differs
    2  wrong command line; nothing ran
  125  could not decide: the build fails or makes nothing, the sandbox does not work here, a
       variation that was asked for by name could not be tested, or --time-limit came first
  129  hung up;  130  interrupted (Ctrl-C);  143  terminated

They are what 'git bisect run' expects.";

const CHECK_HELP: &str = "\
Examples:
  reprobe check
      The project in this directory, recognised by its files.
  reprobe check -o 'dist/*.tar.gz' -- python3 -m build --sdist --no-isolation
      A program and its arguments.
  reprobe check -o '*.tar.gz' ~/src/hello -- './configure && make dist'
      A shell line, in another directory.
  reprobe check --only umask,user,locale --json findings.json -- make
      Three variations, and the findings for a program to read.
  reprobe check --resume
      The session of this directory that was interrupted last, without the builds that had ended.
  reprobe check --env SOURCE_DATE_EPOCH=1700000000 --prepare 'cargo fetch'
      With the variable that many tools take their dates from; downloads first.
  git bisect run reprobe check -o out.bin -- make
      The commit that made the build unreproducible.

Exit codes:
    0  every output is identical under everything that was tested
    1  some output differs, with or without a known culprit
    2  wrong command line; nothing ran
  125  could not decide: unusable reprobe.toml, the unvaried build fails or makes no outputs, the
       sandbox does not work here, a variation asked for by name could not be tested, disk full,
       the end of --time-limit before anything differed
  129  hung up;  130  interrupted (Ctrl-C);  143  terminated

A variation under which the build fails counts as not tested, and the summary says so.";

const DIFF_HELP: &str = "\
Examples:
  reprobe diff build1/x.tar.gz build2/x.tar.gz
  reprobe diff kept/0 kept/7
      The outputs of two trials that 'reprobe check --keep kept' kept.
  reprobe diff --json - a.deb b.deb

Exit codes:
    0  the same byte for byte
    1  something differs, if only what a normaliser takes out
    2  wrong command line, or something could not be read and nothing else differs";

const REPLAY_HELP: &str = "\
Exit codes:
    0  it ended as it did then, with the same outputs
    1  it ended otherwise, or some output differs
    2  wrong command line; nothing ran
  125  it could not be run
  129  hung up;  130  interrupted (Ctrl-C);  143  terminated";

const EXEC_HELP: &str = "\
Examples:
  reprobe exec -- env
      What a build finds in its environment.
  reprobe exec --vary all -- 'id; umask; date; hostname; pwd'
      What everything varied looks like from inside.
  reprobe exec --vary umask=002,user --keep out -- make dist
      One level of one variation, the first of another; what was built is then in out/.

Exit codes:
  that of the command; 128 + N if signal N killed it, or was sent to reprobe (130 for INT, 143 for
  TERM, 129 for HUP): Ctrl-C at a terminal is for the command
    2  wrong command line; nothing ran
  124  the command did not end within --timeout
  125  reprobe itself failed";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn check(words: &[&str]) -> Result<CheckArgs, clap::Error> {
        let words = ["reprobe", "check"].iter().chain(words);
        Cli::try_parse_from(words).map(|cli| match cli.command {
            Command::Check(args) => *args,
            other => panic!("not check: {other:?}"),
        })
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_directory_stands_before_the_dashes_and_the_command_after() {
        let args = check(&["src", "--", "make", "dist"]).unwrap();
        assert_eq!(args.directory, PathBuf::from("src"));
        assert_eq!(args.command, ["make", "dist"]);
        let args = check(&["--", "make", "--output", "x"]).unwrap();
        assert_eq!(args.directory, PathBuf::from("."));
        assert_eq!(args.command, ["make", "--output", "x"]);
        assert!(
            check(&["src", "make"]).is_err(),
            "a command needs the dashes"
        );
    }

    #[test]
    fn lists_are_split_at_commas_and_may_be_repeated() {
        let args = check(&["--only", "umask,user", "--only", "locale"]).unwrap();
        assert_eq!(args.variations.only, ["umask", "user", "locale"]);
    }

    #[test]
    fn an_empty_name_in_a_list_is_refused() {
        for list in ["", "umask,", ","] {
            assert!(check(&["--only", list]).is_err(), "{list:?}");
        }
        let error = check(&["--skip=-time"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
    }

    #[test]
    fn values_are_checked_before_anything_runs() {
        assert!(check(&["-o", "dist/["]).is_err());
        assert!(check(&["--env", "NAME"]).is_err());
        assert!(check(&["--env", "=x"]).is_err());
        assert!(check(&["--pass-env", "A=B"]).is_err());
        assert!(check(&["--timeout", "soon"]).is_err());
        assert!(check(&["--seed", "-1"]).is_err());
        let args = check(&["--env", "A=b=c", "--timeout", "1h30m"]).unwrap();
        assert_eq!(args.env, [("A".to_owned(), "b=c".to_owned())]);
        assert_eq!(args.timeout, Some(Duration::from_mins(90)));
    }

    #[test]
    fn a_session_that_is_resumed_takes_nothing_that_was_decided_when_it_began() {
        assert_eq!(check(&["--resume"]).unwrap().resume, Some(None));
        assert_eq!(
            check(&["--resume", "12", "-j", "2"]).unwrap().resume,
            Some(Some(12))
        );
        assert_eq!(check(&[]).unwrap().resume, None);
        assert!(check(&["--resume", "12", "--only", "umask"]).is_err());
        assert!(check(&["--resume", "--", "make"]).is_err());
        assert!(check(&["--resume", "src"]).is_err());
        assert_eq!(check(&["src", "--resume"]).unwrap().resume, Some(None));
    }

    #[test]
    fn exec_needs_a_command() {
        assert!(Cli::try_parse_from(["reprobe", "exec"]).is_err());
        assert!(Cli::try_parse_from(["reprobe", "exec", "--", "true"]).is_ok());
    }
}
