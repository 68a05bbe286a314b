//! What moved a held clock, for whoever must explain why two trials of one build do not agree.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::calls::Call;
use super::tracee::lock;

/// Processes that are told apart.
const MOST: usize = 64;

/// How far a held clock came in a trial, and by what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Nanoseconds from its start to where it stood at the end.
    pub nanoseconds: i64,
    /// What moved it, in order of their names.
    pub movers: Vec<Mover>,
}

/// One kind of process by which a held clock was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mover {
    /// The name of the process (`comm`); empty for the build's own steps.
    pub process: String,
    /// What it did, in words.
    pub what: String,
    /// How often.
    pub times: u64,
    /// How long that was to last in all.
    pub nanoseconds: i64,
}

impl Course {
    /// What moved the clock more often or further in one of two trials than in the other.
    pub fn differing<'c>(&'c self, other: &'c Self) -> Vec<(&'c Mover, u64)> {
        let times = |course: &Self, mover: &Mover| {
            let same = |one: &&Mover| one.process == mover.process && one.what == mover.what;
            course.movers.iter().find(same).map_or(0, |one| one.times)
        };
        let mut found: Vec<_> = self
            .movers
            .iter()
            .map(|mover| (mover, times(other, mover)))
            .filter(|(mover, others)| mover.times != *others)
            .collect();
        let missing = other.movers.iter().filter(|mover| times(self, mover) == 0);
        found.extend(missing.map(|mover| (mover, 0)));
        found
    }
}

/// A process, and what it did.
type Kind = (String, &'static str);

/// How often each kind moved the clock, and by how much.
#[derive(Debug, Default)]
pub(super) struct Movers(Mutex<BTreeMap<Kind, (u64, i64)>>);

impl Movers {
    pub(super) fn count(&self, process: String, what: &'static str, nanoseconds: i64) {
        let mut movers = lock(&self.0);
        let known = movers.len() < MOST || movers.contains_key(&(process.clone(), what));
        let process = if known { process } else { String::new() };
        let (times, sum) = movers.entry((process, what)).or_default();
        *times += 1;
        *sum = sum.saturating_add(nanoseconds);
    }

    pub(super) fn all(&self) -> Vec<Mover> {
        let movers = lock(&self.0);
        let all = movers
            .iter()
            .map(|((process, what), (times, nanoseconds))| Mover {
                process: process.clone(),
                what: (*what).to_owned(),
                times: *times,
                nanoseconds: *nanoseconds,
            });
        all.collect()
    }
}

/// What a call that waits is called.
pub(super) fn what(call: Call) -> &'static str {
    match call {
        Call::Nanosleep(_) => "nanosleep",
        Call::ClockNanosleep(_) => "clock_nanosleep",
        Call::Select | Call::Pselect(_) => "select",
        Call::Poll | Call::Ppoll(_) => "poll",
        Call::EpollWait | Call::EpollPwait2 => "epoll_wait",
        Call::Futex(_) | Call::FutexWaitv => "futex",
        Call::MessageQueue(_) => "a message queue",
        _ => "another wait",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_the_clock_otherwise_in_another_trial_is_found_on_both_sides() {
        let course = |of: &[(&str, u64)]| {
            let movers = Movers::default();
            for (process, times) in of {
                (0..*times).for_each(|_| movers.count((*process).into(), "sleep", 5));
            }
            Course {
                nanoseconds: 0,
                movers: movers.all(),
            }
        };
        let (one, two) = (
            course(&[("a", 2), ("b", 1)]),
            course(&[("a", 2), ("b", 3), ("c", 1)]),
        );
        let names = |found: Vec<(&Mover, u64)>| -> Vec<(String, u64, u64)> {
            let short = |(mover, other): (&Mover, u64)| (mover.process.clone(), mover.times, other);
            found.into_iter().map(short).collect()
        };
        assert_eq!(names(one.differing(&one)), []);
        assert_eq!(
            names(one.differing(&two)),
            [("b".into(), 1, 3), ("c".into(), 1, 0)]
        );
        assert_eq!(
            names(two.differing(&one)),
            [("b".into(), 3, 1), ("c".into(), 1, 0)]
        );
    }
}
