//! `reprobe normalize`: files in their canonical form, one after the other. One that is refused does
//! not keep the others from it.

pub mod args;
mod command;
mod place;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::exit::{Exit, Failure};
use super::screen::{self, Stream};
use crate::model::escape_name;
use crate::normalize::{self, CONSTANT, Error, FORM, Options, Pass, Report};
use crate::report::page::{Look, Page, Text};
use crate::spool::Temporary;
use args::NormalizeArgs;
use command::Made;
use place::{Instead, Place};

/// Files beside a file that sign it, by their endings.
const SIGNATURES: [&str; 4] = ["asc", "sig", "minisig", "sign"];

/// Whose time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Option,
    Variable,
    Constant,
    /// The file's own: whatever all members share.
    File,
}

/// What is the same for all files.
struct Job<'a> {
    args: &'a NormalizeArgs,
    options: Options,
    time_from: From,
}

/// Why a file could not be worked on.
enum Trouble {
    /// It is refused, broken, or cannot be opened.
    File(String),
    /// Reading or writing failed.
    Disk(String),
}

/// Whether there is one place for each result.
fn check_places(args: &NormalizeArgs, files: &[PathBuf]) -> Result<(), Failure> {
    let elsewhere = args.stdout || (!args.outputs.is_empty() && args.command.is_empty());
    if elsewhere && files.len() > 1 {
        return Err(Failure::usage(
            "several files cannot become one: use --output-dir DIR",
        ));
    }
    let pattern = args
        .outputs
        .iter()
        .find(|output| output.contains(['*', '?', '[']));
    if let (Some(pattern), true) = (pattern, args.command.is_empty())
        && !Path::new(pattern).exists()
    {
        return Err(Failure::usage(&format!(
            "-o {pattern}: a pattern selects what a command makes (-o PATTERN -- COMMAND); give the name of one file"
        )));
    }
    if let Some(directory) = &args.output_dir {
        if !directory.is_dir() {
            return Err(Failure::usage(&format!(
                "--output-dir {}: there is no such directory; make it first",
                directory.display()
            )));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = files.iter().find(|file| !names.insert(file.file_name())) {
            return Err(Failure::usage(&format!(
                "{}: another of the files has the same name, and --output-dir would hold one of them: give each a directory of its own",
                shown(twice)
            )));
        }
    }
    Ok(())
}

/// Runs the command.
pub(super) fn run(args: &NormalizeArgs) -> Result<Exit, Failure> {
    let job = Job::new(args)?;
    let files = match (args.command.is_empty(), args.files.is_empty()) {
        (false, true) => match command::run(&args.command, &args.outputs)? {
            Made::Files(files) => files,
            Made::Failed(exit) => return Ok(exit),
        },
        (true, false) => args.files.clone(),
        (false, false) => {
            return Err(Failure::usage(
                "files or a command, not both: what COMMAND makes is named by -o",
            ));
        }
        (true, true) => {
            return Err(Failure::usage(
                "no file: reprobe normalize FILE..., or -o GLOB -- COMMAND...",
            ));
        }
    };
    check_places(args, &files)?;
    let mut worst = Exit::Success;
    for file in &files {
        match job.file(file) {
            Ok(exit) => worst = worse(worst, exit),
            Err(trouble) => {
                let (exit, message) = match trouble {
                    Trouble::File(message) => (Exit::Refused, message),
                    Trouble::Disk(message) => (Exit::Undecided, message),
                };
                screen::complain(&format!("{}: {message}", shown(file)));
                worst = worse(worst, exit);
            }
        }
    }
    Ok(worst)
}

/// The worse of two ends: a disk that fails, a file that is refused, a file that differs.
fn worse(one: Exit, other: Exit) -> Exit {
    let rank = |exit| match exit {
        Exit::Undecided => 3,
        Exit::Refused => 2,
        Exit::Differs => 1,
        _ => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}

fn shown(path: &Path) -> String {
    escape_name(path.as_os_str().as_bytes())
}

impl<'a> Job<'a> {
    fn new(args: &'a NormalizeArgs) -> Result<Self, Failure> {
        let (time, time_from) = match (args.mtime, source_date_epoch()?) {
            (Some(time), _) => (Some(time), From::Option),
            (None, Some(time)) => (Some(time), From::Variable),
            (None, None) if args.check => (None, From::File),
            (None, None) => (Some(CONSTANT), From::Constant),
        };
        let options = Options {
            class: args.class.map(Into::into),
            time,
            keep: args.keep.iter().copied().collect(),
            large: args.large,
        };
        Ok(Self {
            args,
            options,
            time_from,
        })
    }

    /// Where the result of a file goes.
    fn place(&self, path: &Path, source: &File) -> Result<Place, Trouble> {
        let other = |path: &Path| {
            let refused = |reason| Trouble::File(format!("{}: {reason}", path.display()));
            Place::other(path).map_err(refused)
        };
        if self.args.check {
            return Ok(Place::Nowhere);
        }
        if self.args.stdout {
            return Ok(Place::Standard);
        }
        if let Some(directory) = &self.args.output_dir {
            let name = path.file_name().unwrap_or_default();
            return other(&directory.join(name));
        }
        if let Some(output) = self
            .args
            .outputs
            .first()
            .filter(|_| self.args.command.is_empty())
        {
            return other(Path::new(output));
        }
        Instead::new(path, source)
            .map(Place::Instead)
            .map_err(|reason| Trouble::File(format!("refused: {reason}")))
    }

    fn file(&self, path: &Path) -> Result<Exit, Trouble> {
        let open = |error: io::Error| Trouble::File(format!("cannot be opened: {error}"));
        let disk = |error: io::Error| Trouble::Disk(error.to_string());
        // A FIFO must not wait for a writer.
        let mut options = File::options();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let mut source = options.open(path).map_err(open)?;
        let found = source.metadata().map_err(open)?;
        if !found.is_file() {
            return Err(Trouble::File("is no regular file".to_owned()));
        }
        let place = self.place(path, &source)?;
        let mut outcome = place.begin(found.len()).map_err(disk)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let report = normalize::rewrite(
            &name,
            &mut source,
            outcome.spool(),
            &self.options,
            &Temporary,
        );
        let report = report.map_err(|error| trouble(&error))?;
        let changed = !report.changes.is_empty();
        place.end(outcome, changed).map_err(disk)?;
        self.tell(path, &report);
        Ok(if self.args.check && changed {
            Exit::Differs
        } else {
            Exit::Success
        })
    }

    /// Says what was done. On standard error where standard output has the result.
    fn tell(&self, path: &Path, report: &Report) {
        let stream = if self.args.stdout {
            Stream::Err
        } else {
            Stream::Out
        };
        let layout = stream.layout();
        let mut page = Page::new(layout);
        let changed = !report.changes.is_empty();
        let (look, verdict) = match (changed, self.args.check) {
            (false, _) => (Look::Good, "canonical"),
            (true, true) => (Look::Bad, "not canonical"),
            (true, false) => (Look::Good, "normalized"),
        };
        let line = Text::new(Look::Strong, &format!("{}:", shown(path)))
            .and(look, verdict)
            .and(Look::Plain, &format!("({})", self.facts(report)));
        page.paragraph(0, 4, &line);
        if self.args.list {
            for (pass, count) in report.changes.iter() {
                page.row(
                    2,
                    (Look::Plain, pass.name()),
                    11,
                    &changes(pass, count).into(),
                );
            }
        }
        let mut notes = report.notes.clone();
        if changed && !self.args.check {
            notes.extend(signature(path));
        }
        for note in notes {
            page.paragraph(2, 2, &format!("note: {note}").into());
        }
        // Who does not listen does not mind.
        let _ = stream.write(page.finish().as_bytes());
    }

    /// What it is, what for, and its time.
    fn facts(&self, report: &Report) -> String {
        let mut facts = vec![report.formats.join(", ")];
        facts.extend(report.class.map(|class| class.to_string()));
        if let Some(time) = report.time {
            let from = match self.time_from {
                From::Option => ", --mtime",
                From::Variable => ", SOURCE_DATE_EPOCH",
                From::Constant => ", the constant",
                From::File => "",
            };
            facts.push(format!("time {time}{}{from}", date(time)));
        }
        if self.args.list {
            facts.push(format!("form {FORM}"));
        }
        facts.join("; ")
    }
}

fn date(time: i64) -> String {
    chrono::DateTime::from_timestamp(time, 0)
        .map(|date| format!(", {}", date.format("%Y-%m-%d %H:%M:%S UTC")))
        .unwrap_or_default()
}

fn changes(pass: Pass, count: u64) -> String {
    let things = if count == 1 { "member" } else { "members" };
    match pass {
        Pass::Form => "headers, padding or numbers".to_owned(),
        Pass::Compression => "compressed anew".to_owned(),
        Pass::Order => format!("{count} {things} moved"),
        _ => format!("{count} {things}"),
    }
}

fn trouble(error: &Error) -> Trouble {
    match error {
        Error::Io { .. } | Error::Unverified(_) => Trouble::Disk(error.to_string()),
        Error::Refused(_) => Trouble::File(error.to_string()),
        Error::Broken(_) => Trouble::File(format!("broken: {error}")),
    }
}

/// A note on a signature that stands beside a file.
fn signature(path: &Path) -> Option<String> {
    SIGNATURES.iter().find_map(|ending| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".");
        beside.push(ending);
        let beside = PathBuf::from(beside);
        beside
            .exists()
            .then(|| format!("{} signs other bytes now: sign again", shown(&beside)))
    })
}

/// The time that the environment names.
fn source_date_epoch() -> Result<Option<i64>, Failure> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let value = value.to_string_lossy();
    let seconds = args::seconds(&value)
        .ok()
        .filter(|_| !value.starts_with('@'));
    seconds.map(Some).ok_or_else(|| {
        Failure::usage(&format!(
            "SOURCE_DATE_EPOCH is \"{value}\": expected whole seconds since 1970, from 0 on; unset it, or use --mtime"
        ))
    })
}
