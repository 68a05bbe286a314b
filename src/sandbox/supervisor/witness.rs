//! What the build read of its surroundings, and which process read it; and for which processes
//! and directories a level acts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::processes::Process;
use super::tracee::lock;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The entries of a directory.
    Directory,
    /// The real-time clock.
    Clock,
    /// Times of files.
    FileTime,
    /// Random bytes.
    Random,
}

/// One line of the event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Line {
    /// A process that other lines name by its number.
    Process(Process),
    /// It has read something.
    Read {
        /// [`Process::number`].
        process: usize,
        /// What it read.
        source: Source,
        /// The directory, where it is one.
        path: Option<String>,
        /// How often.
        times: u64,
    },
}

type Reading = (usize, Source, Option<String>);

/// The readings of a trial, counted.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    readings: Mutex<BTreeMap<Reading, u64>>,
}

impl Log {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            readings: Mutex::default(),
        }
    }

    pub(super) fn record(&self, process: usize, source: Source, path: Option<String>) {
        *lock(&self.readings)
            .entry((process, source, path))
            .or_default() += 1;
    }

    /// Writes one line of JSON for each process and each kind of reading.
    pub(super) fn write(&self, processes: Vec<Process>) -> std::io::Result<()> {
        let readings = std::mem::take(&mut *lock(&self.readings));
        let mut out = BufWriter::new(&self.file);
        let reads = readings
            .into_iter()
            .map(|((process, source, path), times)| Line::Read {
                process,
                source,
                path,
                times,
            });
        for line in processes.into_iter().map(Line::Process).chain(reads) {
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

/// For which processes and directories the varied order acts; elsewhere another one does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Executables, by path or by last name; empty for all.
    pub programs: Vec<String>,
    /// Directories, without those below them, as the trial names them; empty for all.
    pub directories: Vec<PathBuf>,
}

impl Scope {
    /// Whether it asks about processes at all.
    pub(super) fn asks_for_program(&self) -> bool {
        !self.programs.is_empty()
    }

    /// Whether it asks about directories at all.
    pub(super) fn asks_for_directory(&self) -> bool {
        !self.directories.is_empty()
    }

    /// Whether a level acts for this executable in this directory.
    pub(super) fn holds(&self, executable: &str, directory: &Path) -> bool {
        let name = executable.rsplit('/').next();
        let program = |wanted: &String| wanted == executable || Some(wanted.as_str()) == name;
        (self.programs.is_empty() || self.programs.iter().any(program))
            && (self.directories.is_empty()
                || self.directories.iter().any(|wanted| wanted == directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_where_both_program_and_directory_are_named() {
        let scope = Scope {
            programs: vec!["tar".into(), "/usr/bin/python3".into()],
            directories: vec!["/src/a".into()],
        };
        assert!(scope.holds("/bin/tar", Path::new("/src/a")));
        assert!(!scope.holds("/bin/tar", Path::new("/src/a/b")));
        assert!(scope.holds("/usr/bin/python3", Path::new("/src/a")));
        assert!(!scope.holds("/opt/python3", Path::new("/src/a")));
        assert!(!scope.holds("/bin/tar", Path::new("/src/ab")));
        assert!(Scope::default().holds("", Path::new("")));
    }
}
