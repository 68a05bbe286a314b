//! What is to be built, put together from the command line, `reprobe.toml` and what the project
//! looks like: the command line wins over the file, the file over the recognised kind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::CheckArgs;
use super::config::{Config, KnownLimit};
use super::exit::Failure;
use super::kinds;
use super::preset::{self, Preset};
use crate::model::{Build, Checkout, OutputSelection, OutputsFrom};
use crate::snapshot::walk::sorted_entries;

/// A build and how to run it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) build: Build,
    pub(super) outputs_from: OutputsFrom,
    pub(super) prepare: Option<String>,
    pub(super) network: bool,
    pub(super) clean: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) only: Option<Vec<String>>,
    pub(super) skip: Vec<String>,
    pub(super) require: Vec<String>,
    pub(super) known: Vec<KnownLimit>,
    /// The variables whose values are the caller's.
    pub(super) passed: BTreeSet<String>,
    /// Whether a difference by the checkout alone decides.
    pub(super) checkout: Checkout,
    /// What the user should know about choices that were made for him.
    pub(super) notes: Vec<String>,
    /// How the build was chosen, where nobody named it.
    pub(super) chosen: Option<String>,
}

impl Job {
    /// Puts it together. `recognise` is asked only where neither names a command; `lookup` reads
    /// the caller's own environment.
    pub(super) fn new(
        args: &CheckArgs,
        source: PathBuf,
        config: Config,
        recognise: impl FnOnce(&Path) -> Result<Option<Preset>, Failure>,
        lookup: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, Failure> {
        let mut notes = Vec::new();
        let mut chosen = None;
        let mut preset_outputs = Vec::new();
        let checkout;
        let named = shell(&args.command).or(config.command);
        let command = if let Some(command) = named {
            checkout = preset::checkout_of(&source, &command);
            command
        } else {
            let preset =
                recognise(&source)?.ok_or_else(|| unknown_project(&source, config.found))?;
            chosen = Some(format!(
                "recognised as {} ({}): {}",
                preset.name,
                preset.because,
                preset.command.join(" ")
            ));
            notes = preset.notes;
            preset_outputs = preset.outputs;
            checkout = preset.checkout;
            preset.command
        };
        let (outputs, outputs_from) =
            outputs(&args.outputs, config.outputs, preset_outputs, &source);
        let mut variables = config.variables;
        let passed = config.pass.iter().chain(&args.pass_env);
        let mut passed_on = pass_on(passed, lookup, &mut variables, &mut notes)?;
        notes.extend(unjudged(&outputs));
        variables.extend(args.env.iter().cloned());
        passed_on.retain(|name| !args.env.iter().any(|(given, _)| given == name));
        let own = &args.variations;
        let list = |given: &[String]| (!given.is_empty()).then(|| given.to_vec());
        Ok(Self {
            build: Build {
                command,
                source,
                outputs,
                variables,
            },
            outputs_from,
            prepare: args.prepare.clone().or(config.prepare),
            network: args.network || config.network.unwrap_or(false),
            clean: args.clean || config.clean.unwrap_or(false),
            timeout: args.timeout.or(config.timeout),
            // A choice on the command line replaces the one of the file as a whole.
            skip: match (list(&own.skip), own.only.is_empty()) {
                (Some(skip), _) => skip,
                (None, true) => config.skip,
                (None, false) => Vec::new(),
            },
            only: list(&own.only).or(config.only),
            require: list(&args.require).unwrap_or(config.require),
            known: config.known,
            passed: passed_on,
            checkout: args.checkout.or(config.checkout).unwrap_or(checkout),
            notes,
            chosen,
        })
    }
}

/// Adds the caller's own values to the variables; which they are.
fn pass_on<'a>(
    names: impl Iterator<Item = &'a String>,
    lookup: impl Fn(&str) -> Option<std::ffi::OsString>,
    variables: &mut BTreeMap<String, String>,
    notes: &mut Vec<String>,
) -> Result<BTreeSet<String>, Failure> {
    let mut passed_on = BTreeSet::new();
    for name in names {
        match given(name, &lookup)? {
            Some(value) => {
                variables.insert(name.clone(), value);
                passed_on.insert(name.clone());
            }
            None => notes.push(format!("{name} is to be passed on, but is not set here")),
        }
    }
    Ok(passed_on)
}

/// One word is a shell line, several are an argument vector.
pub(super) fn shell(words: &[String]) -> Option<Vec<String>> {
    match words {
        [] => None,
        [line] => Some(["sh", "-ec", line].map(str::to_owned).to_vec()),
        words => Some(words.to_vec()),
    }
}

/// What to say of outputs that are chosen without those beside the source.
fn unjudged(outputs: &OutputSelection) -> Option<String> {
    let text = "the source stands among temporary files, so that files which the build makes beside it \
                are not judged: name them with -o";
    (*outputs == OutputSelection::Tree).then(|| text.to_owned())
}

fn outputs(
    option: &[String],
    config: Option<Vec<String>>,
    preset: Vec<String>,
    source: &Path,
) -> (OutputSelection, OutputsFrom) {
    if !option.is_empty() {
        let patterns = option.to_vec();
        return (OutputSelection::Globs { patterns }, OutputsFrom::Option);
    }
    if let Some(patterns) = config {
        return (OutputSelection::Globs { patterns }, OutputsFrom::Config);
    }
    if preset.is_empty() {
        // What anybody may leave there is no output.
        let common = ["/", "/tmp", "/var/tmp", "/dev/shm"];
        let parent = source.parent();
        if parent.is_none_or(|parent| common.iter().any(|common| parent == Path::new(common))) {
            return (OutputSelection::Tree, OutputsFrom::Tree);
        }
        (OutputSelection::TreeAndBeside, OutputsFrom::Tree)
    } else {
        let patterns = preset;
        (OutputSelection::Globs { patterns }, OutputsFrom::Preset)
    }
}

/// A variable of the caller's own environment; `None` where it is not set.
pub(super) fn given(
    name: &str,
    lookup: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<Option<String>, Failure> {
    let Some(value) = lookup(name) else {
        return Ok(None);
    };
    value.into_string().map(Some).map_err(|_| {
        Failure::usage(&format!(
            "the value of {name} is not UTF-8, and cannot be passed on"
        ))
    })
}

fn unknown_project(source: &Path, configured: bool) -> Failure {
    let config = if configured {
        "reprobe.toml names no command (build.command)"
    } else {
        "there is no reprobe.toml"
    };
    let mut kinds: Vec<String> = kinds::all()
        .into_iter()
        .flat_map(|kind| kind.files)
        .collect();
    kinds.retain(|file| !file.contains('/'));
    Failure::undecided(&format!(
        "nothing says how to build {}: {config}, and it holds no debian/rules, pyproject.toml, \
         setup.py, Cargo.toml, package.json, go.mod, Makefile with the target `dist`, {}\nname the \
         command: reprobe check {0} -- {}",
        source.display(),
        kinds.join(", "),
        likely(source)
    ))
}

/// A command that may build what is there.
fn likely(source: &Path) -> &'static str {
    let holds = |file: &str| source.join(file).is_file();
    let extension = |wanted: &str| {
        let entries = sorted_entries(source).unwrap_or_default();
        let mut paths = entries.iter().map(|entry| entry.path.as_path());
        paths.any(|path| path.extension().is_some_and(|own| own == wanted))
    };
    if ["GNUmakefile", "makefile", "Makefile"]
        .iter()
        .any(|file| holds(file))
    {
        "make"
    } else if holds("build.xml") {
        "ant"
    } else if extension("java") {
        "'javac -d out *.java'"
    } else if extension("tex") {
        "'latexmk -pdf *.tex'"
    } else if extension("c") {
        "'cc -o out *.c'"
    } else {
        "'COMMAND'"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::config;
    use clap::Parser;

    fn job(words: &[&str], config: &str, preset: Option<Preset>) -> Result<Job, Failure> {
        let cli = Cli::try_parse_from(["reprobe", "check"].iter().chain(words)).unwrap();
        let Command::Check(args) = cli.command else {
            panic!("not check");
        };
        let config = config::parse("reprobe.toml", config).unwrap();
        let lookup = |name: &str| (name == "CC").then(|| "gcc-13".into());
        Job::new(&args, "/src".into(), config, |_| Ok(preset), lookup)
    }

    fn make() -> Preset {
        Preset {
            name: "make".to_owned(),
            because: "Makefile is there".to_owned(),
            command: vec!["make".to_owned(), "dist".to_owned()],
            outputs: vec!["*.tar.*".to_owned()],
            checkout: Checkout::Decides,
            notes: vec!["a note".to_owned()],
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_the_project() {
        let file = "build.command = 'make all'\nbuild.outputs = 'a'";
        let from_file = job(&[], file, Some(make())).unwrap();
        assert_eq!(from_file.build.command, ["sh", "-ec", "make all"]);
        assert_eq!(from_file.outputs_from, OutputsFrom::Config);
        let from_options = job(&["-o", "b", "--", "cc", "-c"], file, Some(make())).unwrap();
        assert_eq!(from_options.build.command, ["cc", "-c"]);
        assert_eq!(from_options.outputs_from, OutputsFrom::Option);
        let from_project = job(&[], "", Some(make())).unwrap();
        assert_eq!(from_project.build.command, ["make", "dist"]);
        assert_eq!(from_project.outputs_from, OutputsFrom::Preset);
        assert!(
            from_project
                .chosen
                .unwrap()
                .starts_with("recognised as make")
        );
        assert_eq!(from_project.notes, ["a note"]);
    }

    #[test]
    fn whether_the_checkout_decides_is_the_options_to_say_then_the_files_then_the_kinds() {
        let debian = || Preset {
            checkout: Checkout::Apart,
            ..make()
        };
        let of = |words: &[&str], file: &str| job(words, file, Some(debian())).unwrap().checkout;
        assert_eq!(of(&[], ""), Checkout::Apart);
        assert_eq!(of(&[], "build.checkout = 'decides'"), Checkout::Decides);
        let file = "build.checkout = 'decides'\nbuild.command = 'make'";
        assert_eq!(of(&["--checkout", "apart"], file), Checkout::Apart);
        assert_eq!(of(&["--", "make"], ""), Checkout::Decides);
    }

    #[test]
    fn a_command_of_ones_own_does_not_take_the_outputs_of_the_project() {
        let job = job(&["--", "make"], "", Some(make())).unwrap();
        assert_eq!(job.outputs_from, OutputsFrom::Tree);
    }

    #[test]
    fn nothing_to_build_is_undecided_and_says_how_to_name_a_command() {
        let failure = job(&[], "", None).unwrap_err();
        assert_eq!(failure.exit, super::super::exit::Exit::Undecided);
        assert!(failure.message.contains("there is no reprobe.toml"));
        assert!(failure.message.contains("reprobe check /src -- 'COMMAND'"));
    }

    #[test]
    fn a_command_that_may_work_is_named_and_an_empty_configuration_is_called_so() {
        let tree = tempfile::tempdir().unwrap();
        let said = |configured| unknown_project(tree.path(), configured).message;
        assert!(said(true).contains("reprobe.toml names no command"));
        std::fs::write(tree.path().join("Main.java"), "").unwrap();
        assert!(said(false).ends_with("-- 'javac -d out *.java'"));
        std::fs::write(tree.path().join("Makefile"), "").unwrap();
        assert!(said(false).ends_with("-- make"));
    }

    #[test]
    fn variables_are_passed_set_and_overridden_in_this_order() {
        let file = "[environment]\nset = { CC = 'cc', A = '1' }\npass = ['MISSING']";
        let words = ["--pass-env", "CC", "--env", "A=2", "--", "make"];
        let job = job(&words, file, None).unwrap();
        assert_eq!(job.build.variables["CC"], "gcc-13");
        assert_eq!(job.build.variables["A"], "2");
        assert!(job.notes[0].contains("MISSING"));
        assert!(job.passed.iter().eq(["CC"]));
    }

    #[test]
    fn an_only_of_the_command_line_sets_the_files_skip_aside() {
        let file = "build.command = 'x'\n[variations]\nskip = 'umask'\nrequire = 'all'";
        let chosen = job(&["--only", "umask"], file, None).unwrap();
        assert_eq!(
            (chosen.only.unwrap(), chosen.skip),
            (vec!["umask".to_owned()], vec![])
        );
        let plain = job(&[], file, None).unwrap();
        assert_eq!((plain.only, plain.skip), (None, vec!["umask".to_owned()]));
    }
}
