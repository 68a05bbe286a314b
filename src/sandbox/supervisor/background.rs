//! Which processes have work in the background. A shell or a make that waits for each of its commands
//! has none; who starts one and goes on does, and so does who polls for its end. How far such work has
//! come when something else begins depends on the load of the machine: so a short sleep below such a
//! process never counts, from the first time on, whether the work is still there or has just ended.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::fcntl::readlinkat;

use super::blocked::{self, Blocked};
use super::tracee::{Tracees, lock};

/// A parent that computes for so long beside a command that has ended does not wait for it.
const COMPUTES: Duration = Duration::from_millis(20);
/// It may have to wait for a processor first, on a busy machine: up to so long.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_micros(200);
/// How far parents are followed.
const DEPTH: usize = 64;

/// The processes that have, or had, work in the background.
#[derive(Debug, Default)]
pub(super) struct Background(Mutex<BTreeSet<u32>>);

impl Background {
    /// A process is about to end. If its parent does not wait for it, or waits for others as well that
    /// are no part of one pipeline with it, the parent has work in the background. Before this takes
    /// long it says so by `takes_long`.
    pub(super) fn ends(&self, tracees: &Tracees, tid: u32, takes_long: impl Fn()) {
        let Ok(status) = tracees.status(tid) else {
            return;
        };
        let (Some(process), Some(parent)) = (status.group, status.parent) else {
            return;
        };
        {
            let mut known = lock(&self.0);
            // Its number may be another's from now on.
            known.remove(&process);
            if known.contains(&parent) {
                return;
            }
        }
        if !is_awaited(tracees, process, parent, takes_long) {
            lock(&self.0).insert(parent);
        }
    }

    /// Whether a process, or one that it comes from, has work in the background.
    pub(super) fn is_behind(&self, tracees: &Tracees, process: u32) -> bool {
        let known = lock(&self.0);
        if known.is_empty() {
            return false;
        }
        let above = std::iter::successors(Some(process), |at| tracees.status(*at).ok()?.parent);
        above.take(DEPTH).any(|at| known.contains(&at))
    }
}

/// Whether a parent waits for the end of this one of its children, and of those beside it in a pipeline.
fn is_awaited(tracees: &Tracees, process: u32, parent: u32, takes_long: impl Fn()) -> bool {
    // Who has several threads waits in one of them and goes on in others.
    if tracees.threads(parent).is_ok_and(|threads| threads > 1) {
        return false;
    }
    let mut first = None;
    loop {
        // Nobody to go on.
        let Ok(line) = tracees.read_proc(&format!("{parent}/syscall")) else {
            return true;
        };
        let line = String::from_utf8_lossy(&line);
        match blocked::parse(&line) {
            Some(Blocked::Untimed) if !line.starts_with('-') => {
                return !has_others(tracees, process, parent);
            }
            Some(Blocked::Sleeps | Blocked::Timed) => return false,
            _ => {}
        }
        let now = computed(tracees, parent);
        let (since, before) = *first.get_or_insert_with(|| (Instant::now(), now));
        if now.saturating_sub(before) > COMPUTES || since.elapsed() > PATIENCE {
            return false;
        }
        takes_long();
        std::thread::sleep(PAUSE);
    }
}

/// How long a process of one thread has been on a processor (`/proc/PID/schedstat`).
fn computed(tracees: &Tracees, process: u32) -> Duration {
    let text = tracees.read_proc(&format!("{process}/schedstat"));
    let text = text.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let first = text.split_ascii_whitespace().next();
    let nanoseconds = first.and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Whether other children of the parent run that share no pipe with this one.
fn has_others(tracees: &Tracees, process: u32, parent: u32) -> bool {
    let others = others(tracees, process, parent);
    !others.is_empty() && piped(tracees, process, parent, others).is_empty()
}

/// The other children of a process's parent that share a pipe with it.
pub(super) fn in_pipeline(tracees: &Tracees, process: u32) -> BTreeSet<u32> {
    let parent = tracees.status(process).ok().and_then(|known| known.parent);
    let found = |parent| piped(tracees, process, parent, others(tracees, process, parent));
    parent.map(found).unwrap_or_default()
}

fn others(tracees: &Tracees, process: u32, parent: u32) -> BTreeSet<u32> {
    let mut others = children(tracees, parent);
    others.remove(&process);
    others
}

/// Of these children of the parent, those that share a pipe with this one.
fn piped(tracees: &Tracees, process: u32, parent: u32, mut others: BTreeSet<u32>) -> BTreeSet<u32> {
    if others.is_empty() {
        return others;
    }
    // A pipe that the parent holds as well is none between its children.
    let common = pipes(tracees, parent);
    let own = &pipes(tracees, process) - &common;
    // Many programs close their output before they end, and their input before that; and who has just
    // begun has its input elsewhere.
    let is_open = |process: u32, number: i32| {
        readlinkat(tracees.proc(), format!("{process}/fd/{number}").as_str()).is_ok()
    };
    let has_closed = !is_open(process, 1);
    others.retain(|other| {
        let shared = &pipes(tracees, *other) - &common;
        let ends = || !is_open(*other, 0) || !is_open(*other, 1);
        !shared.is_disjoint(&own) || has_closed && !shared.is_empty() || ends()
    });
    others
}

/// The children of a process's first thread that have not ended.
pub(super) fn children(tracees: &Tracees, parent: u32) -> BTreeSet<u32> {
    let path = format!("{parent}/task/{parent}/children");
    let text = tracees.read_proc(&path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let children = text
        .split_ascii_whitespace()
        .filter_map(|word| word.parse().ok());
    children
        .filter(|child| !tracees.is_zombie(*child))
        .collect()
}

/// The pipes that a process has open, by name (`pipe:[NUMBER]`).
fn pipes(tracees: &Tracees, process: u32) -> BTreeSet<Vec<u8>> {
    let link = |number: &i32| {
        let path = format!("{process}/fd/{number}");
        let target = readlinkat(tracees.proc(), path.as_str()).ok()?;
        let target = target.into_encoded_bytes();
        target.starts_with(b"pipe:").then_some(target)
    };
    let numbers = tracees.descriptors(process).unwrap_or_default();
    numbers.iter().filter_map(link).collect()
}
