//! Which process of the trial is which, by names that are the same in every trial: the argument
//! vector, that of its parents, and how often the same one has come before. Pids are not used.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use super::order::keyed_hash;
use super::places::Places;
use super::tracee::{Tracees, lock};
use crate::model::{Process, Scope};
use crate::sandbox::sys::tracee as sys;

/// Argument vectors are kept up to this many bytes.
const ARGUMENTS: usize = 4096;
/// Threads that are remembered before the dead ones are looked for.
const REMEMBERED: usize = 512;
/// How far parents are followed.
const DEPTH: usize = 32;

/// All processes that were met.
#[derive(Debug, Default)]
pub(super) struct Processes {
    places: Places,
    /// For whom levels act.
    scope: Option<Scope>,
    /// Whether it is taken down where stacks begin.
    stacks: bool,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<u32, Known>,
    met: Vec<Process>,
    /// The thread in which each of them began.
    leaders: Vec<u32>,
    /// How often a name has come.
    occurrences: BTreeMap<u64, u64>,
    root: Option<u32>,
}

#[derive(Debug, Clone)]
struct Known {
    /// Tells a thread from a later one with the same id.
    pidfd: Arc<OwnedFd>,
    number: usize,
    /// [`Process::name`].
    name: u64,
    /// A hash of its argument vector as it stands.
    command: u64,
    /// Levels act for it.
    chosen: bool,
    /// What its random stream is keyed by: its name, or, of one that only forked (or is a thread)
    /// and asked for random bytes, another one. Who forked and did not ask is not always seen.
    lineage: Option<u64>,
    calls: u64,
}

/// A program that begins below another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// Index of its [`Process`].
    pub(super) number: usize,
    /// Index of the [`Process`] that it comes from; who only forked between does not count.
    pub(super) parent: usize,
    /// The thread in which that process began.
    pub(super) leader: u32,
    /// Stands for its argument vector, within one trial.
    pub(super) command: u64,
}

/// A process at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// Index of the [`Process`].
    pub(super) number: usize,
    /// Levels act for it.
    pub(super) chosen: bool,
    /// Stable across trials.
    pub(super) lineage: u64,
    /// How many calls for random bytes it had made before.
    pub(super) calls: u64,
}

impl Processes {
    pub(super) fn new(places: Places, scope: Option<Scope>, stacks: bool) -> Self {
        Self {
            places,
            scope,
            stacks,
            table: Mutex::default(),
        }
    }

    /// A program begins in a thread: it is a new process from now on. Where it has a parent that was
    /// met, says what begins there.
    pub(super) fn begin(&self, tracees: &Tracees, tid: u32, root: bool) -> Option<Start> {
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
        let known = table.meet(tracees, tid, parent.as_ref(), Some(self))?;
        let parent = parent?.number;
        let leader = *table.leaders.get(parent)?;
        Some(Start {
            number: known.number,
            parent,
            leader,
            command: known.command,
        })
    }

    /// Who calls.
    pub(super) fn caller(&self, tracees: &Tracees, tid: u32) -> Option<Caller> {
        let mut table = lock(&self.table);
        let known = table.known_or_met(tracees, tid, DEPTH)?;
        Some(Caller {
            number: known.number,
            chosen: known.chosen,
            lineage: known.lineage.unwrap_or(known.name),
            calls: known.calls,
        })
    }

    /// Who asks for random bytes; counts the call.
    pub(super) fn count(&self, tracees: &Tracees, tid: u32) -> Option<Caller> {
        let caller = self.caller(tracees, tid)?;
        let Table {
            known, occurrences, ..
        } = &mut *lock(&self.table);
        let known = known.get_mut(&tid)?;
        known.calls += 1;
        let name = known.name;
        let lineage = known
            .lineage
            .get_or_insert_with(|| counted(occurrences, name, b"fork"));
        Some(Caller {
            lineage: *lineage,
            ..caller
        })
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

    /// Takes a thread down; where a program begins, `begins` says what of its arguments counts.
    fn meet(
        &mut self,
        tracees: &Tracees,
        tid: u32,
        parent: Option<&Known>,
        begins: Option<&Processes>,
    ) -> Option<Known> {
        let pidfd = tracees.open_pidfd(tid).ok()?;
        let arguments = tracees
            .read_proc(&format!("{tid}/cmdline"))
            .unwrap_or_default();
        // What a process is called says nothing where it did not begin before our eyes.
        let called = begins.map_or_else(Vec::new, |processes| {
            processes.places.stable_words(&arguments)
        });
        let mut known = Known {
            pidfd: Arc::new(pidfd),
            number: 0,
            name: 0,
            command: keyed_hash(0, &arguments),
            chosen: false,
            lineage: None,
            calls: 0,
        };
        match parent {
            Some(parent) if begins.is_none() => {
                (known.number, known.name) = (parent.number, parent.name);
                known.chosen = parent.chosen;
            }
            _ => {
                let above = parent.map_or(0, |parent| parent.name);
                let executable = tracees.link(&format!("{tid}/exe")).unwrap_or_default();
                let process = Process {
                    number: self.met.len(),
                    parent: parent.map(|parent| parent.number),
                    name: counted(&mut self.occurrences, above, &called),
                    executable: executable.to_string_lossy().into_owned(),
                    arguments: words(&arguments),
                    stack: begins
                        .filter(|processes| processes.stacks)
                        .and_then(|_| stack(tracees, tid)),
                };
                (known.number, known.name) = (process.number, process.name);
                let scope = begins.and_then(|processes| processes.scope.as_ref());
                known.chosen = scope.is_some_and(|scope| scope.holds(&process));
                known.lineage = Some(process.name);
                self.met.push(process);
                self.leaders.push(tid);
            }
        }
        if self.known.len() >= REMEMBERED {
            self.known
                .retain(|_, known| sys::is_alive(known.pidfd.as_fd()));
        }
        self.known.insert(tid, known.clone());
        Some(known)
    }
}

/// A hash of what is called so below a parent, and of how often that has come before.
fn counted(occurrences: &mut BTreeMap<u64, u64>, above: u64, called: &[u8]) -> u64 {
    let kind = keyed_hash(above, called);
    let occurrence = occurrences.entry(kind).or_default();
    *occurrence += 1;
    keyed_hash(kind, &occurrence.to_le_bytes())
}

/// Where the stack of a program began: field 28 of `proc_pid_stat(5)`.
fn stack(tracees: &Tracees, tid: u32) -> Option<u64> {
    let text = tracees.read_proc(&format!("{tid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    fields.nth(25)?.parse().ok().filter(|stack| *stack != 0)
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
