//! Exit codes, in one place: what `git bisect run` understands, and a reason for each failure.

use std::process::ExitCode;

use crate::model::Verdict;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// All is well; of `check`: every judged output is identical under everything tested.
    Success,
    /// Some judged output differs.
    Differs,
    /// Wrong command line, before anything ran.
    Usage,
    /// A file was refused, or cannot be read.
    Refused,
    /// Could not decide, or could not do what was asked.
    Undecided,
    /// A signal ended the program.
    Signal(i32),
    /// What a command that was run by `exec` ended with.
    Command(u8),
    /// A command that was run by `exec` took too long.
    TimedOut,
}

/// Why a command could not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    /// The code to end with.
    pub(super) exit: Exit,
    /// What to say, a lowercase fragment that may span lines.
    pub(super) message: String,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Differs => 1,
            Exit::Usage | Exit::Refused => 2,
            Exit::Undecided => 125,
            Exit::Signal(number) => u8::try_from(number + 128).unwrap_or(125),
            Exit::Command(code) => code,
            // As timeout(1) says it.
            Exit::TimedOut => 124,
        })
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Reproducible => Self::Success,
            Verdict::NotReproducible => Self::Differs,
            Verdict::Inconclusive => Self::Undecided,
        }
    }
}

impl Failure {
    /// The command line is wrong.
    pub(super) fn usage(message: &(impl ToString + ?Sized)) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.to_string(),
        }
    }

    /// No decision is possible.
    pub(super) fn undecided(message: &(impl ToString + ?Sized)) -> Self {
        Self {
            exit: Exit::Undecided,
            message: message.to_string(),
        }
    }
}
