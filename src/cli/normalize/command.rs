//! `reprobe normalize -o GLOB -- COMMAND`: a command that runs as it stands, and the files that it made.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::cli::exit::{Exit, Failure};
use crate::cli::job::shell;
use crate::snapshot::on_disk;

/// What shows that a file is another one than before: inode, size, time of change.
type State = (u64, u64, i64, i64);

/// What a command left.
pub(super) enum Made {
    /// Of what the patterns name, the files that it created or changed.
    Files(Vec<PathBuf>),
    /// It failed, with this.
    Failed(Exit),
}

/// Runs the command.
pub(super) fn run(words: &[String], patterns: &[String]) -> Result<Made, Failure> {
    if patterns.is_empty() {
        return Err(Failure::usage(
            "which of the files that the command makes? for example -o 'dist/*'",
        ));
    }
    let before = states(patterns)?;
    let words = shell(words).unwrap_or_default();
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Failure::usage("no command stands after `--`"))?;
    let status = Command::new(program)
        .args(arguments)
        .status()
        .map_err(|error| Failure::undecided(&format!("run {program}: {error}")))?;
    if !status.success() {
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(Made::Failed(match (code, status.signal()) {
            (Some(code), _) => Exit::Command(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Undecided,
        }));
    }
    let after = states(patterns)?;
    let made = after
        .into_iter()
        .filter(|(path, state)| before.get(path) != Some(state));
    let made: Vec<PathBuf> = made.map(|(path, _)| path).collect();
    if made.is_empty() {
        let patterns = patterns.join(" ");
        let why = if before.is_empty() {
            "nothing is there"
        } else {
            "what is there was there before, untouched"
        };
        return Err(Failure::undecided(&format!(
            "the command made no file that -o names: {patterns}: {why}"
        )));
    }
    Ok(Made::Files(made))
}

fn states(patterns: &[String]) -> Result<BTreeMap<PathBuf, State>, Failure> {
    let directory = std::env::current_dir()
        .map_err(|error| Failure::undecided(&format!("the current directory: {error}")))?;
    let found = on_disk(patterns, &directory).map_err(|error| Failure::usage(&error))?;
    let states = found.into_iter().filter_map(|path| {
        let found = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let state = (found.ino(), found.size(), found.ctime(), found.ctime_nsec());
        let shown = path.strip_prefix(&directory).map(PathBuf::from);
        Some((shown.unwrap_or(path), state))
    });
    Ok(states.collect())
}
