//! What can go wrong around a trial. A build that fails is not an error but an outcome.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::interrupt::Stop;
use super::supervisor;

/// A step of the set-up that the host refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {}{}{hint}", Errno::from_raw(*.errno).desc(), if .hint.is_empty() { "" } else { "; " })]
pub struct StepError {
    /// What was being done.
    pub step: String,
    /// The error number of errno(3).
    pub errno: i32,
    /// The way out, or empty.
    pub hint: String,
}

impl StepError {
    /// A step without a known way out.
    pub fn new(step: impl Into<String>, errno: Errno) -> Self {
        Self {
            step: step.into(),
            errno: errno as i32,
            hint: String::new(),
        }
    }

    /// The same with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The error number.
    pub fn errno(&self) -> Errno {
        Errno::from_raw(self.errno)
    }
}

impl From<supervisor::Error> for StepError {
    fn from(error: supervisor::Error) -> Self {
        let errno = match &error {
            supervisor::Error::Filter(errno)
            | supervisor::Error::Proc(errno)
            | supervisor::Error::Page(errno) => *errno,
            supervisor::Error::Thread(error) => errno_of(error),
        };
        Self::new(SUPERVISE_STEP, errno).hint(error.to_string())
    }
}

/// The step that puts a build under the supervisor of system calls.
pub(super) const SUPERVISE_STEP: &str = "supervise system calls";

/// The way out where a disk is full.
const MORE_ROOM: &str = "; set TMPDIR to a directory with more room";

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// Why a trial could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step of the set-up failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A file that the sandbox itself needs.
    #[error("{step} {}: {source}{}", .path.display(), if is_full(.source) { MORE_ROOM } else { "" })]
    File {
        /// What was being done, for example `read`.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The request makes no sense on this host, with the way out in the message.
    #[error("{0}")]
    Unusable(String),
    /// A program that the sandbox needs failed.
    #[error("{program}: {message}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        message: String,
    },
    /// The supervising process died without an answer.
    #[error("the trial's supervisor died: {0}")]
    Died(String),
    /// A build ended badly when there was no room for what it writes.
    #[error(
        "the scratch directory {} is full, and what a build writes goes there{MORE_ROOM}",
        .0.display()
    )]
    Full(PathBuf),
    /// Outputs could not be read.
    #[error("outputs: {0}")]
    Outputs(String),
    /// It was to end before it was done.
    #[error("{0}")]
    Stopped(Stop),
}

impl Error {
    /// A supervisor ended without an answer. One that a signal ends says nothing.
    pub(super) fn died(status: ExitStatus, said: &str) -> Self {
        Self::Died(match said {
            "" if status.code().is_none() => {
                format!("{status}; if nobody sent that, was there enough memory?")
            }
            "" => status.to_string(),
            said => format!("{status}: {said}"),
        })
    }

    /// For `map_err` on operations on files.
    pub(crate) fn file(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { step, path, source }
    }
}

/// The error number of an I/O error.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
