//! What a build reads of its surroundings and which process reads it, and for which processes,
//! directories and readings levels act.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Clock, DirectoryOrder, Environment, Randomness};

/// A process as a witness names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number within the trial, in the order in which processes were met.
    pub number: usize,
    /// The number of its parent; `None` for the root of the build, or where the parent had gone.
    pub parent: Option<usize>,
    /// Tells it from the others, and is the same in every trial in which what leads to it is: made
    /// of its arguments, those of its parents, and how often the same ones had come before.
    pub name: u64,
    /// The executable, as the trial names it.
    pub executable: String,
    /// The argument vector; bytes that are no UTF-8 are replaced.
    pub arguments: Vec<String>,
    /// The address at which its stack began, where that was asked for.
    #[serde(default)]
    pub stack: Option<u64>,
}

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

/// One line of what a trial read: a process, or something that one has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Reading {
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

/// Levels that act in a scope alone; everywhere else what the trial's environment asks for does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// Where they act.
    pub scope: Scope,
    /// In which order directories list their entries there.
    pub order: DirectoryOrder,
    /// Where random bytes come from there.
    pub randomness: Randomness,
    /// What the clock and the times of files are there; what behaves otherwise than the clock
    /// elsewhere does not act.
    pub clock: Clock,
}

impl Within {
    /// The levels of an environment, in a scope.
    pub fn new(scope: Scope, environment: &Environment) -> Self {
        Self {
            scope,
            order: environment.directory_order,
            randomness: environment.randomness,
            clock: environment.clock,
        }
    }
}

/// For which processes, directories and readings levels act.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Executables, by path or by last name; empty for all.
    pub programs: Vec<String>,
    /// Of those programs, which processes.
    pub processes: Chosen,
    /// Directories, without those below them, as the trial names them; empty for all.
    pub directories: Vec<PathBuf>,
    /// For which readings; empty for all.
    pub sources: BTreeSet<Source>,
    /// Whether what the random devices yield is another: they do not know who reads.
    pub devices: bool,
}

/// Some of the processes of a trial, by [`Process::name`].
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// Every one.
    #[default]
    All,
    /// These alone.
    Only(BTreeSet<u64>),
    /// All the others.
    But(BTreeSet<u64>),
}

impl Scope {
    /// Nobody.
    pub fn nobody() -> Self {
        Self {
            processes: Chosen::Only(BTreeSet::new()),
            ..Self::default()
        }
    }

    /// Whether levels act for this process.
    pub fn holds(&self, process: &Process) -> bool {
        let name = process.executable.rsplit('/').next();
        let program =
            |wanted: &String| *wanted == process.executable || Some(wanted.as_str()) == name;
        let chosen = match &self.processes {
            Chosen::All => true,
            Chosen::Only(names) => names.contains(&process.name),
            Chosen::But(names) => !names.contains(&process.name),
        };
        chosen && (self.programs.is_empty() || self.programs.iter().any(program))
    }

    /// Whether levels act for readings of this kind.
    pub fn holds_for(&self, source: Source) -> bool {
        self.sources.is_empty() || self.sources.contains(&source)
    }

    /// Whether levels act in the directory whose path this gives.
    pub fn holds_in(&self, directory: impl FnOnce() -> Option<PathBuf>) -> bool {
        self.directories.is_empty()
            || directory().is_some_and(|directory| self.directories.contains(&directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(executable: &str, name: u64) -> Process {
        Process {
            number: 0,
            parent: None,
            name,
            executable: executable.into(),
            arguments: Vec::new(),
            stack: None,
        }
    }

    #[test]
    fn a_scope_holds_for_the_programs_that_it_names_by_path_or_last_name() {
        let scope = Scope {
            programs: vec!["tar".into(), "/usr/bin/python3".into()],
            ..Scope::default()
        };
        assert!(scope.holds(&process("/bin/tar", 1)));
        assert!(scope.holds(&process("/usr/bin/python3", 1)));
        assert!(!scope.holds(&process("/opt/python3", 1)));
        assert!(Scope::default().holds(&process("", 1)));
    }

    #[test]
    fn a_scope_holds_for_chosen_processes_or_for_all_others() {
        let scope = |processes| Scope {
            programs: vec!["tar".into()],
            processes,
            ..Scope::default()
        };
        let only = scope(Chosen::Only([1].into()));
        let but = scope(Chosen::But([1].into()));
        let held = |scope: &Scope| {
            [("/bin/tar", 1), ("/bin/tar", 2), ("/bin/ls", 2)]
                .map(|(path, name)| scope.holds(&process(path, name)))
        };
        assert_eq!(held(&only), [true, false, false]);
        assert_eq!(held(&but), [false, true, false]);
        assert_eq!(held(&Scope::nobody()), [false; 3]);
    }

    #[test]
    fn a_scope_holds_in_the_directories_that_it_names_and_not_below_them() {
        let scope = Scope {
            directories: vec!["/src/a".into()],
            ..Scope::default()
        };
        let held = |path: &str| scope.holds_in(|| Some(path.into()));
        assert_eq!(
            ["/src/a", "/src/a/b", "/src/ab"].map(held),
            [true, false, false]
        );
        assert!(!scope.holds_in(|| None));
        assert!(Scope::default().holds_in(|| None));
    }
}
