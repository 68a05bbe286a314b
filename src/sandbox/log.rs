//! The log of a build, which has an end however much the build says.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::error::{StepError, errno_of};

/// More than this of a build's output is not kept.
const LIMIT: u64 = 256 << 20;

/// A log that is being written.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    written: u64,
}

impl Log {
    /// Opens one, to go on behind what stands there.
    pub(super) fn open(path: &Path) -> Result<Self, StepError> {
        let file = append_to(path)?;
        Ok(Self { file, written: 0 })
    }

    /// Writes what the build says.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let before = self.written;
        self.written = before.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if before < LIMIT {
            // A full disk must not end the build: its log is then cut short.
            let _ = self.file.write_all(bytes);
            if self.written >= LIMIT {
                let cut = b"\n[the log is cut here: it is too long]\n";
                let _ = self.file.write_all(cut);
            }
        }
    }
}

/// A file of a trial to which lines are added.
pub(super) fn append_to(path: &Path) -> Result<File, StepError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| StepError::new("open the log", errno_of(&error)))
}
