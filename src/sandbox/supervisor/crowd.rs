//! Who else of the trial works when one of its threads is about to sleep. All threads are looked at
//! twice: how often each has run, and then its state, and the same number once more. Where none has
//! run between, all of them waited at one moment; and where none waits for a time, none can go on
//! before the sleeper wakes. What works in the meantime need not be watched, then.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::blocked::{self, Blocked};
use super::order::keyed_hash;
use super::tracee::{Tracees, lock, read_from_start};

/// In a larger crowd somebody is taken to work: to look at all would take too long.
const MOST: usize = 1024;
/// Files of so many threads are kept open from one look to the next.
const KEPT: usize = 128;

/// Stands for how often, and how long, a thread has run.
type Runs = u64;

/// Those who waited, beside the sleeper and whom it goes back to.
pub(super) type Waiting = BTreeMap<u32, Runs>;

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// Nobody works, nor can go on before the sleeper does.
    Still(Waiting),
    /// This thread works, waits for a time as well, or has worked since the look before; 0 for one
    /// that is gone.
    Works(u32),
    /// As the first, but for processes that have ended without anybody having noticed yet.
    Ended(Waiting),
    /// The sleeper comes from a process that still runs: it may be about to wait for it.
    Settles,
}

/// Open files below `/proc`, and what the thread was found to wait for when it had run so often.
#[derive(Debug, Default)]
struct Files {
    runs: Option<OwnedFd>,
    state: Option<OwnedFd>,
    children: Option<OwnedFd>,
    blocked: Option<(Runs, Blocked)>,
}

/// How the sleeper knows a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinship {
    /// It belongs to a process from which the sleeper comes.
    Ancestor,
    /// It belongs to its own process.
    Own,
    Stranger,
}

#[derive(Debug)]
struct Member {
    tid: u32,
    process: u32,
    runs: Runs,
}

/// Everybody of a trial.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<BTreeMap<u32, Files>>);

impl Crowd {
    /// Whether a thread runs, or the kernel works for it.
    pub(super) fn runs(&self, tracees: &Tracees, tid: u32) -> bool {
        let mut files = lock(&self.0);
        let state = state(tracees, &mut files, tid);
        matches!(state, Ok('R' | 'D'))
    }

    /// Looks at everybody but the sleeper. `before` is what a look found at an earlier sleep.
    pub(super) fn look(&self, tracees: &Tracees, sleeper: u32, before: Option<&Waiting>) -> Look {
        let mut files = lock(&self.0);
        let mut walk = Walk::default();
        walk.go(tracees, &mut files, std::process::id());
        if walk.members.len() > MOST {
            return Look::Works(0);
        }
        if files.len() > KEPT {
            let known: BTreeSet<u32> = walk.members.iter().map(|member| member.tid).collect();
            files.retain(|tid, _| known.contains(tid) && known.len() <= KEPT);
        }
        let own = walk.members.iter().find(|member| member.tid == sleeper);
        let Some(own) = own.map(|member| member.process) else {
            return Look::Works(0);
        };
        let kin = walk.kinship(own);
        let alive = |tid: &u32| walk.members.iter().any(|member| member.tid == *tid);
        if before.is_some_and(|before| !before.keys().all(alive)) {
            return Look::Works(0);
        }
        let mut waiting = Waiting::new();
        let (mut settles, mut ended) = (false, false);
        for member in walk.members.iter().filter(|member| member.tid != sleeper) {
            let kinship = kin(member.process);
            let earlier = before.and_then(|before| before.get(&member.tid).copied());
            match one(tracees, &mut files, member, kinship, earlier) {
                Seen::Waits => {}
                Seen::Idle => drop(waiting.insert(member.tid, member.runs)),
                Seen::Ended => {
                    ended = true;
                    waiting.insert(member.tid, member.runs);
                }
                Seen::Works if kinship == Kinship::Ancestor => settles = true,
                Seen::Works | Seen::Sleeps => return Look::Works(member.tid),
            }
        }
        match (settles, ended) {
            (true, _) => Look::Settles,
            (false, true) => Look::Ended(waiting),
            (false, false) => Look::Still(waiting),
        }
    }
}

/// What one thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It waits, and it does not matter whether it has run before.
    Waits,
    /// It waits, and has done so since the look before.
    Idle,
    Ended,
    Works,
    Sleeps,
}

fn one(
    tracees: &Tracees,
    files: &mut BTreeMap<u32, Files>,
    member: &Member,
    kinship: Kinship,
    earlier: Option<Runs>,
) -> Seen {
    let (Ok(state), Ok(runs)) = (
        state(tracees, files, member.tid),
        runs(tracees, files, member.tid),
    ) else {
        return Seen::Works;
    };
    let blocked = match state {
        _ if runs != member.runs => return Seen::Works,
        'R' | 'D' | 'X' => return Seen::Works,
        // There was time to notice its end where it had ended before.
        'Z' if kinship == Kinship::Stranger && earlier.is_none() => return Seen::Ended,
        'Z' => Blocked::Untimed,
        _ => match blocked(tracees, files, member) {
            Some(blocked) => blocked,
            None => return Seen::Works,
        },
    };
    let has_run = earlier.is_some_and(|earlier| earlier != runs);
    match (blocked, kinship) {
        (Blocked::Asks, _) | (Blocked::Timed, Kinship::Stranger) => Seen::Works,
        (Blocked::Sleeps, _) => Seen::Sleeps,
        // Runtimes wait so in the background, all the time.
        (_, Kinship::Ancestor) | (Blocked::Timed, Kinship::Own) => Seen::Waits,
        (Blocked::Untimed, _) if has_run => Seen::Works,
        (Blocked::Untimed, _) => Seen::Idle,
    }
}

/// What was found on the way from the supervisor to all processes below it.
#[derive(Debug, Default)]
struct Walk {
    members: Vec<Member>,
    /// By process.
    parents: BTreeMap<u32, u32>,
}

impl Walk {
    fn go(&mut self, tracees: &Tracees, files: &mut BTreeMap<u32, Files>, own: u32) {
        let mut open = children(tracees, files, own, own);
        for child in &open {
            self.parents.insert(*child, own);
        }
        while let Some(process) = open.pop() {
            if self.members.len() > MOST {
                return;
            }
            for tid in threads(tracees, process) {
                // Gone: who made it end, or waits for it, is seen to run.
                let Ok(runs) = runs(tracees, files, tid) else {
                    continue;
                };
                self.members.push(Member { tid, process, runs });
                for child in children(tracees, files, process, tid) {
                    self.parents.insert(child, process);
                    open.push(child);
                }
            }
        }
    }

    fn kinship(&self, own: u32) -> impl Fn(u32) -> Kinship {
        let mut ancestors = BTreeSet::new();
        let mut at = own;
        while let Some(parent) = self.parents.get(&at).filter(|_| ancestors.len() < MOST) {
            ancestors.insert(*parent);
            at = *parent;
        }
        move |process| match process {
            process if process == own => Kinship::Own,
            process if ancestors.contains(&process) => Kinship::Ancestor,
            _ => Kinship::Stranger,
        }
    }
}

fn threads(tracees: &Tracees, process: u32) -> Vec<u32> {
    match tracees.threads(process) {
        Ok(0 | 1) | Err(_) => vec![process],
        Ok(_) => tracees.list_threads(process).unwrap_or_default(),
    }
}

/// A file below `/proc` that is kept open; a thread that ended may have left its number to another.
fn read_kept(
    tracees: &Tracees,
    kept: &mut Option<OwnedFd>,
    path: impl FnOnce() -> String,
) -> Result<Vec<u8>, Errno> {
    if let Some(Ok(text)) = kept.as_ref().map(read_from_start) {
        return Ok(text);
    }
    let file = kept.insert(tracees.open_proc(&path(), OFlag::O_RDONLY)?);
    read_from_start(file)
}

/// `/proc/TID/schedstat`: the time on processors, that in queues for them, and how often it came
/// there. Kernels without it count switches (`proc_pid_status(5)`).
fn runs(tracees: &Tracees, files: &mut BTreeMap<u32, Files>, tid: u32) -> Result<Runs, Errno> {
    let files = files.entry(tid).or_default();
    let text = match read_kept(tracees, &mut files.runs, || format!("{tid}/schedstat")) {
        Err(Errno::ENOENT) => {
            let status = tracees.read_proc(&format!("{tid}/status"))?;
            let lines = status.split_inclusive(|byte| *byte == b'\n');
            let switches = b"voluntary_ctxt_switches";
            lines
                .filter(|line| line.windows(switches.len()).any(|part| part == switches))
                .flatten()
                .copied()
                .collect()
        }
        other => other?,
    };
    Ok(keyed_hash(0, &text))
}

fn state(tracees: &Tracees, files: &mut BTreeMap<u32, Files>, tid: u32) -> Result<char, Errno> {
    let files = files.entry(tid).or_default();
    let path = || format!("{tid}/task/{tid}/stat");
    let text = read_kept(tracees, &mut files.state, path)?;
    // The name stands in parentheses and may hold anything.
    let end = text.iter().rposition(|byte| *byte == b')');
    let state = end.and_then(|end| text.get(end + 2));
    state.map(|byte| char::from(*byte)).ok_or(Errno::ESRCH)
}

/// What a waiting thread waits for, which cannot change before it runs.
fn blocked(
    tracees: &Tracees,
    files: &mut BTreeMap<u32, Files>,
    member: &Member,
) -> Option<Blocked> {
    let files = files.entry(member.tid).or_default();
    if let Some((runs, blocked)) = files.blocked
        && runs == member.runs
    {
        return Some(blocked);
    }
    let text = tracees.read_proc(&format!("{}/syscall", member.tid)).ok()?;
    let blocked = blocked::parse(&String::from_utf8_lossy(&text))?;
    files.blocked = Some((member.runs, blocked));
    Some(blocked)
}

/// The processes that a thread has started (`proc_tid_children(5)`).
fn children(
    tracees: &Tracees,
    files: &mut BTreeMap<u32, Files>,
    process: u32,
    tid: u32,
) -> Vec<u32> {
    let files = files.entry(tid).or_default();
    let path = || format!("{process}/task/{tid}/children");
    let text = read_kept(tracees, &mut files.children, path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let words = text.split_ascii_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}
