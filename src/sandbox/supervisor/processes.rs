//! Which process of the trial is which, by names that are the same in every trial: the argument
//! vector, that of its parents, and how often the same one has come before. Pids are not used.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::order::keyed_hash;
use super::places::Places;
use super::tracee::{Tracees, lock};
use crate::sandbox::sys::tracee as sys;

/// Argument vectors are kept up to this many bytes.
const ARGUMENTS: usize = 4096;
/// Threads that are remembered before the dead ones are looked for.
const REMEMBERED: usize = 512;
/// How far parents are followed.
const DEPTH: usize = 32;

/// A process as a witness names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number within the trial, in the order in which processes were met.
    pub number: usize,
    /// The number of its parent; `None` for the root of the build, or where the parent had gone.
    pub parent: Option<usize>,
    /// The executable, as the trial names it.
    pub executable: String,
    /// The argument vector; bytes that are no UTF-8 are replaced.
    pub arguments: Vec<String>,
}

/// All processes that were met.
#[derive(Debug, Default)]
pub(super) struct Processes {
    places: Places,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<u32, Known>,
    met: Vec<Process>,
    occurrences: BTreeMap<u64, u64>,
    root: Option<u32>,
}

#[derive(Debug, Clone)]
struct Known {
    /// Tells a thread from a later one with the same id.
    pidfd: Arc<OwnedFd>,
    number: usize,
    /// What its random stream is keyed by.
    lineage: u64,
    calls: u64,
}

/// A process at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// Index of the [`Process`].
    pub(super) number: usize,
    /// Stable across trials.
    pub(super) lineage: u64,
    /// How many calls for random bytes it had made before.
    pub(super) calls: u64,
}

impl Processes {
    pub(super) fn new(places: Places) -> Self {
        Self {
            places,
            table: Mutex::default(),
        }
    }

    /// A program begins in a thread: it is a new process from now on.
    pub(super) fn begin(&self, tracees: &Tracees, tid: u32, root: bool) {
        let mut table = lock(&self.table);
        if root {
            // Whoever was met before belongs to the sandbox, or to the loader.
            *table = Table {
                root: Some(tid),
                ..Table::default()
            };
        }
        let before = table.alive(tid);
        let parent = before.or_else(|| table.parent(tracees, tid, DEPTH));
        table.meet(tracees, tid, parent.as_ref(), Some(&self.places));
    }

    /// Who calls.
    pub(super) fn caller(&self, tracees: &Tracees, tid: u32) -> Option<Caller> {
        let mut table = lock(&self.table);
        let known = table.known_or_met(tracees, tid, DEPTH)?;
        Some(Caller {
            number: known.number,
            lineage: known.lineage,
            calls: known.calls,
        })
    }

    /// Who calls; counts the call.
    pub(super) fn count(&self, tracees: &Tracees, tid: u32) -> Option<Caller> {
        let caller = self.caller(tracees, tid)?;
        if let Some(known) = lock(&self.table).known.get_mut(&tid) {
            known.calls += 1;
        }
        Some(caller)
    }

    /// The executable of a process.
    pub(super) fn executable(&self, number: usize) -> Option<String> {
        let table = lock(&self.table);
        table
            .met
            .get(number)
            .map(|process| process.executable.clone())
    }

    /// Everybody.
    pub(super) fn all(&self) -> Vec<Process> {
        lock(&self.table).met.clone()
    }
}

impl Table {
    fn alive(&self, tid: u32) -> Option<Known> {
        let known = self.known.get(&tid)?;
        sys::is_alive(known.pidfd.as_fd()).then(|| known.clone())
    }

    fn known_or_met(&mut self, tracees: &Tracees, tid: u32, depth: usize) -> Option<Known> {
        if let Some(known) = self.alive(tid) {
            return Some(known);
        }
        let parent = self.parent(tracees, tid, depth);
        self.meet(tracees, tid, parent.as_ref(), None)
    }

    /// The process that this thread belongs to, or the one that its process comes from.
    fn parent(&mut self, tracees: &Tracees, tid: u32, depth: usize) -> Option<Known> {
        if depth == 0 || self.root.is_none() || self.root == Some(tid) {
            return None;
        }
        let status = tracees.status(tid).ok()?;
        let above = match status.group {
            Some(group) if group != tid => group,
            _ => status.parent.filter(|parent| *parent > 1)?,
        };
        self.known_or_met(tracees, above, depth - 1)
    }

    fn meet(
        &mut self,
        tracees: &Tracees,
        tid: u32,
        parent: Option<&Known>,
        new_program: Option<&Places>,
    ) -> Option<Known> {
        let pidfd = tracees.open_pidfd(tid).ok()?;
        let arguments = tracees
            .read_proc(&format!("{tid}/cmdline"))
            .unwrap_or_default();
        let above = parent.map_or(0, |parent| parent.lineage);
        // What a process is called says nothing new where it only forked.
        let called = new_program.map_or_else(
            || b"fork".to_vec(),
            |places| places.stable_words(&arguments),
        );
        let kind = keyed_hash(above, &called);
        let occurrence = self.occurrences.entry(kind).or_default();
        *occurrence += 1;
        let lineage = keyed_hash(kind, &occurrence.to_le_bytes());
        let number = match parent {
            Some(parent) if new_program.is_none() => parent.number,
            _ => {
                let executable = tracees.link(&format!("{tid}/exe")).unwrap_or_default();
                self.met.push(Process {
                    number: self.met.len(),
                    parent: parent.map(|parent| parent.number),
                    executable: executable.to_string_lossy().into_owned(),
                    arguments: words(&arguments),
                });
                self.met.len() - 1
            }
        };
        if self.known.len() >= REMEMBERED {
            self.known
                .retain(|_, known| sys::is_alive(known.pidfd.as_fd()));
        }
        let known = Known {
            pidfd: Arc::new(pidfd),
            number,
            lineage,
            calls: 0,
        };
        self.known.insert(tid, known.clone());
        Some(known)
    }
}

fn words(arguments: &[u8]) -> Vec<String> {
    let kept = arguments.get(..ARGUMENTS).unwrap_or(arguments);
    let kept = kept.strip_suffix(b"\0").unwrap_or(kept);
    kept.split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_vectors_are_split_at_zero_bytes() {
        assert_eq!(words(b"cc\0-c\0a b.c\0"), ["cc", "-c", "a b.c"]);
        assert_eq!(words(b"x\0\0"), ["x", ""]);
    }

    #[test]
    fn a_process_is_met_once_and_its_calls_are_counted() {
        let tracees = Tracees::new().unwrap();
        let processes = Processes::default();
        let own = std::process::id();
        processes.begin(&tracees, own, true);
        let first = processes.count(&tracees, own).unwrap();
        let second = processes.caller(&tracees, own).unwrap();
        assert_eq!((first.calls, second.calls), (0, 1));
        assert_eq!(first.lineage, second.lineage);
        assert_eq!(processes.all().len(), 1);
        processes.begin(&tracees, own, false);
        let third = processes.caller(&tracees, own).unwrap();
        assert_ne!(third.lineage, first.lineage);
        assert_eq!(processes.all()[1].parent, Some(0));
    }
}
