//! Which sleeps move a held clock. One that goes on beside work does not: who polls for something
//! with short sleeps makes more of them the longer that takes, and a clock that counted them would
//! show the load of the machine. A sleep counts where nothing else works when it begins, nor has
//! since the same waiter's sleep before; of longer ones beside work, the first of a row. A short one
//! does not count, either, where work in the background may have ended just before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::background::{self, Background};
use super::crowd::{Crowd, Look, Waiting};
use super::order::keyed_hash;
use super::polling;
use super::processes::Start;
use super::timeline::SECOND;
use super::tracee::{Tracees, lock};

/// How long a sleep is held back for a process from which it comes to begin to wait for it: a busy
/// host lets that stand in a queue for some slices of time.
const SETTLING: Duration = Duration::from_millis(40);
const PAUSE: Duration = Duration::from_micros(200);
/// After so many sleeps that moved nothing, each followed by a look at the clock, or after sleeps of
/// so many nanoseconds in all, the waiter waits for the clock.
const ROUNDS: u32 = 200;
const PATIENCE: i64 = 12 * SECOND;
/// Waiters and commands that are remembered.
const REMEMBERED: usize = 256;

/// Who waits: the parent of the sleeping process, and what it is called. So it is the same for each
/// `sleep 1` that a shell starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    parent: u32,
    command: u64,
}

/// What its latest sleep was found beside.
#[derive(Debug)]
enum Before {
    Work(u32),
    Waiting(Waiting),
}

#[derive(Debug, Default)]
struct Waiter {
    before: Option<Before>,
    /// A process from which it comes did not begin to wait for it.
    is_in_vain: bool,
    /// When the latest long sleep beside work ends that counts.
    long: Option<i64>,
    /// Its process at the latest sleep that moved nothing; whether it has looked at the clock since.
    idle: Option<u32>,
    looked: bool,
    /// What the clock showed then, and rounds since; how long they were to last.
    time: i64,
    rounds: u32,
    lasted: i64,
    /// Children of its process and of that one's parent at its latest sleep beside work.
    beside: BTreeSet<u32>,
}

#[derive(Debug, Default)]
struct Table {
    waiters: BTreeMap<Name, Waiter>,
    /// Commands that processes have started.
    commands: BTreeMap<u32, BTreeSet<u64>>,
    /// Processes whose latest sleep moved nothing.
    idle: BTreeSet<u32>,
}

/// Who sleeps beside what.
#[derive(Debug, Default)]
pub(super) struct Naps {
    crowd: Crowd,
    background: Background,
    table: Mutex<Table>,
}

/// What a sleep does to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It moves it by its length.
    Counts,
    /// It moves nothing.
    Nothing,
    /// Its waiter has waited for the clock by others that moved nothing.
    Waits,
}

impl Naps {
    /// A thread is about to sleep for so long, at the host's time `now`, while the clock shows
    /// `time`. Takes up to [`SETTLING`]; before it takes long it says so by `takes_long`.
    pub(super) fn begins(
        &self,
        tracees: &Tracees,
        tid: u32,
        length: i64,
        (now, time): (i64, i64),
        takes_long: impl Fn(),
    ) -> Effect {
        let Some((name, process)) = name(tracees, tid) else {
            return Effect::Counts;
        };
        let is_behind = length < SECOND && self.background.is_behind(tracees, process);
        // Others of the same name wait meanwhile as if it were their first sleep.
        let mut waiter = lock(&self.table).waiters.remove(&name).unwrap_or_default();
        let is_still = !is_behind && self.is_still(tracees, tid, &mut waiter, takes_long);
        let effect = if is_still {
            Effect::Counts
        } else {
            let mut beside = background::children(tracees, name.parent);
            beside.extend(background::children(tracees, process));
            beside.remove(&process);
            waiter.is_beside(beside);
            waiter.beside_work(process, length, (now, time))
        };
        let mut table = lock(&self.table);
        if table.waiters.len() >= REMEMBERED {
            table.waiters.clear();
        }
        table.waiters.insert(name, waiter);
        if table.idle.len() >= REMEMBERED {
            table.idle.clear();
        }
        if effect == Effect::Nothing {
            table.idle.insert(process);
        } else {
            table.idle.remove(&process);
        }
        effect
    }

    fn is_still(
        &self,
        tracees: &Tracees,
        tid: u32,
        waiter: &mut Waiter,
        takes_long: impl Fn(),
    ) -> bool {
        let before = waiter.before.take();
        if let Some(Before::Work(other)) = &before
            && self.crowd.runs(tracees, *other)
        {
            waiter.before = before;
            return false;
        }
        let waiting = match &before {
            Some(Before::Waiting(waiting)) => Some(waiting),
            _ => None,
        };
        let since = Instant::now();
        loop {
            match self.crowd.look(tracees, tid, waiting) {
                Look::Still(found) => {
                    waiter.is_in_vain = false;
                    waiter.before = Some(Before::Waiting(found));
                    return !matches!(before, Some(Before::Work(_)));
                }
                Look::Ended(found) => {
                    waiter.before = Some(Before::Waiting(found));
                    return false;
                }
                Look::Settles if !waiter.is_in_vain && since.elapsed() < SETTLING => {
                    takes_long();
                    std::thread::sleep(PAUSE);
                }
                Look::Settles => {
                    waiter.is_in_vain = true;
                    waiter.before = Some(Before::Work(0));
                    return false;
                }
                Look::Works(other) => {
                    waiter.before = Some(Before::Work(other));
                    return false;
                }
            }
        }
    }

    /// A thread reads the clock by a call.
    pub(super) fn reads(&self, tracees: &Tracees, tid: u32) {
        let mut table = lock(&self.table);
        let mut idle = table.waiters.iter_mut().filter(|(_, waiter)| {
            // Only of these it matters whether they look.
            waiter.idle.is_some() && !waiter.looked
        });
        let Some(first) = idle.next() else {
            return;
        };
        let Ok(status) = tracees.status(tid) else {
            return;
        };
        for (name, waiter) in std::iter::once(first).chain(idle) {
            waiter.looked = waiter.idle == status.group || Some(name.parent) == status.parent;
        }
    }

    /// A process is about to end. Before this takes long it says so by `takes_long`.
    pub(super) fn ends(&self, tracees: &Tracees, tid: u32, takes_long: impl Fn()) {
        self.background.ends(tracees, tid, takes_long);
    }

    /// Whether a process, or one that it comes from, has or had work in the background.
    pub(super) fn is_behind(&self, tracees: &Tracees, process: u32) -> bool {
        self.background.is_behind(tracees, process)
    }

    /// Whether a process that is about to end did nothing but sleep, which moved nothing.
    pub(super) fn only_napped(&self, tracees: &Tracees, process: u32) -> bool {
        let was_idle = lock(&self.table).idle.remove(&process);
        was_idle && polling::writes_nothing(tracees, process)
    }

    /// A program begins: whether its parent has started the same before decides what is a row.
    pub(super) fn starts(&self, start: &Start) {
        let mut table = lock(&self.table);
        if table.commands.len() >= REMEMBERED {
            table.commands.clear();
        }
        let commands = table.commands.entry(start.leader).or_default();
        if commands.insert(start.command) {
            for (name, waiter) in &mut table.waiters {
                if name.parent == start.leader {
                    waiter.long = None;
                }
            }
        }
    }
}

impl Waiter {
    /// What it waits beside; where something of that has ended, so has what it waited for, and
    /// another wait begins.
    fn is_beside(&mut self, children: BTreeSet<u32>) {
        if !self.beside.is_subset(&children) {
            (self.rounds, self.lasted) = (0, 0);
        }
        self.beside = children;
    }

    /// A sleep beside work begins.
    fn beside_work(&mut self, process: u32, length: i64, (now, time): (i64, i64)) -> Effect {
        if length >= SECOND && self.long.is_none_or(|end| end > now) {
            self.long = Some(now.saturating_add(length));
            return Effect::Counts;
        }
        if self.idle.is_none() || self.time != time {
            // Where the clock moves without our doing, a wait for it ends by itself.
            (self.rounds, self.lasted, self.time) = (0, 0, time);
        } else if self.looked {
            self.rounds += 1;
            self.lasted = self.lasted.saturating_add(length);
        }
        self.idle = Some(process);
        self.looked = false;
        if self.rounds >= ROUNDS || self.lasted >= PATIENCE {
            self.idle = None;
            return Effect::Waits;
        }
        Effect::Nothing
    }
}

/// Who sleeps, and the process to which the thread belongs.
fn name(tracees: &Tracees, tid: u32) -> Option<(Name, u32)> {
    let status = tracees.status(tid).ok()?;
    let arguments = tracees.read_proc(&format!("{tid}/cmdline")).ok()?;
    let command = keyed_hash(0, &arguments);
    let parent = status.parent?;
    Some((Name { parent, command }, status.group?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAP: i64 = SECOND / 100;

    #[test]
    fn of_long_sleeps_beside_work_one_counts_and_all_that_overlap_it() {
        let mut waiter = Waiter::default();
        let mut sleep = |length, now| waiter.beside_work(1, length, (now, 0));
        assert_eq!(sleep(2 * SECOND, 0), Effect::Counts);
        assert_eq!(sleep(3 * SECOND, SECOND), Effect::Counts);
        assert_eq!(sleep(SECOND, 5 * SECOND), Effect::Nothing);
        assert_eq!(sleep(SECOND, 6 * SECOND), Effect::Nothing);
        assert_eq!(sleep(SECOND - 1, 7 * SECOND), Effect::Nothing);
    }

    #[test]
    fn a_new_command_between_ends_a_row_of_long_sleeps() {
        let naps = Naps::default();
        let name = Name {
            parent: 7,
            command: 1,
        };
        let start = |command| Start {
            number: 1,
            parent: 0,
            leader: 7,
            command,
        };
        let sleep = |now| {
            let mut table = lock(&naps.table);
            let waiter = table.waiters.entry(name).or_default();
            waiter.beside_work(1, SECOND, (now, 0))
        };
        naps.starts(&start(1));
        assert_eq!(sleep(0), Effect::Counts);
        naps.starts(&start(1));
        assert_eq!(sleep(2 * SECOND), Effect::Nothing);
        naps.starts(&start(2));
        assert_eq!(sleep(4 * SECOND), Effect::Counts);
        naps.starts(&start(2));
        assert_eq!(sleep(6 * SECOND), Effect::Nothing);
    }

    #[test]
    fn who_looks_at_the_clock_after_each_sleep_waits_for_it_in_the_end() {
        let round = |waiter: &mut Waiter, length, time| {
            let effect = waiter.beside_work(1, length, (0, time));
            waiter.looked = true;
            effect
        };
        let mut waiter = Waiter::default();
        let waits = |waiter: &mut Waiter, count, length| {
            let effects = (0..count).map(|_| round(waiter, length, 0));
            effects.filter(|effect| *effect == Effect::Waits).count()
        };
        assert_eq!(waits(&mut waiter, ROUNDS, NAP), 0);
        assert_eq!(waits(&mut waiter, 1, NAP), 1);
        assert_eq!(waits(&mut waiter, ROUNDS, NAP), 0);
        // The clock moves by itself.
        let effects = (1..2 * i64::from(ROUNDS)).map(|time| round(&mut waiter, NAP, time));
        assert!(
            effects
                .collect::<Vec<_>>()
                .iter()
                .all(|effect| *effect == Effect::Nothing)
        );
        let mut waiter = Waiter::default();
        assert_eq!(waits(&mut waiter, 26, SECOND / 2), 1);
        // Each wait is for another process.
        let mut waiter = Waiter::default();
        for child in 1..2 * ROUNDS {
            waiter.is_beside(BTreeSet::from([child]));
            assert_eq!(round(&mut waiter, NAP, 0), Effect::Nothing, "{child}");
        }
    }
}
