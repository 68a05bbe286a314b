//! The command line: one file per command, and the only module that prints.

pub mod args;
mod check;
mod clean;
pub mod config;
mod destination;
mod doctor;
mod dry_run;
mod exec;
mod exit;
mod inputs;
mod job;
mod kinds;
mod list;
pub mod preset;
mod progress;
mod replay;
mod resume;
mod screen;
mod signals;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use exit::{Exit, Failure};

/// Runs what the arguments ask for, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Help and version are answers, too: 0; everything else is a wrong command line: 2.
        Err(error) => {
            // Nothing is left to be done where nobody listens.
            let _ = error.print();
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

fn command(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Check(args) => check::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Replay(args) => replay::run(args),
        Command::List(args) => list::run(args),
        Command::Doctor => doctor::run(),
    }
}
