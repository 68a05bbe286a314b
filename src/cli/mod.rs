//! The command line: one file per command, and the only module that prints.

pub mod args;
mod check;
mod clean;
pub mod config;
mod destination;
mod diff;
mod doctor;
mod dry_run;
mod exec;
mod exit;
mod inputs;
mod job;
mod kinds;
mod list;
pub mod normalize;
pub mod preset;
mod progress;
mod replay;
mod resume;
mod screen;
mod signals;
mod values;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use args::{Cli, Command};
use exit::{Exit, Failure};
use inputs::quoted;

/// Runs what the arguments ask for, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // Help and version are answers, too: 0; everything else is a wrong command line: 2.
        Err(error) => {
            // Nothing is left to be done where nobody listens.
            let _ = error.print();
            if let Some(tip) = without_dashes(&error, &arguments) {
                screen::complain(&tip);
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command(&cli.command) {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            screen::complain(&message);
            exit.into()
        }
    }
}

/// The way out of a command line in which the build's command follows the directory at once.
fn without_dashes(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let unexpected = error.kind() == ErrorKind::UnknownArgument && !word.starts_with('-');
    let at = arguments
        .iter()
        .position(|argument| argument == word.as_str());
    let (before, command) = arguments.split_at(at.filter(|_| unexpected)?);
    let takes_one = before.iter().any(|word| word == "check" || word == "exec");
    if !takes_one || arguments.iter().any(|argument| argument == "--") {
        return None;
    }
    let quoted = |word: &OsString| {
        let word = word.to_string_lossy();
        let bare = word.trim_start_matches('-');
        // What follows the dashes of an option is quoted, the dashes are not.
        let (dashes, _) = word.split_at(word.len() - bare.len());
        format!("{dashes}{}", quoted(Path::new(bare)))
    };
    let line = |words: &[OsString]| words.iter().map(quoted).collect::<Vec<_>>().join(" ");
    let (before, command) = (line(before.get(1..)?), line(command));
    Some(format!(
        "the command stands after `--`: reprobe {before} -- {command}"
    ))
}

fn command(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Check(args) => check::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Replay(args) => replay::run(args),
        Command::List(args) => list::run(args),
        Command::Doctor => doctor::run(),
        Command::Normalize(args) => normalize::run(args),
    }
}
