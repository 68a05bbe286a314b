//! The process whose random bytes, or whose clock and times of files, reach an element. It is named
//! where it alone makes the element what it is when the level acts for everybody; or, as one of
//! several, where it alone changes it, and leaving it out changes what all others make of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::{Glimpse, Looking, Open};
use super::words::{chain, processes, with_callers};
use super::{Place, Target, What, everywhere, unvaried, within};
use crate::model::{Cause, Chosen, Process, Reading, Scope, Slot, Source};

/// What a clock reaches a process by.
const TIMES: [Source; 2] = [Source::Clock, Source::FileTime];

/// What a process reads, and the trial that shows it.
type Shown = (BTreeSet<Source>, Rc<Glimpse>);

/// Somebody who may be behind a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspect {
    /// `None` for what the random devices yield: they do not know who reads.
    process: Option<Process>,
    /// What it has read that may be behind it.
    read: BTreeSet<Source>,
    /// How likely, relative to the others.
    weight: u32,
}

impl Looking<'_> {
    /// The process behind a difference; `None` where it cannot be told.
    pub(super) fn process_behind(&self, target: &Target) -> Result<Option<Place>, Open> {
        // The names of processes as they are where the level acts nowhere: so they are above the
        // one for which alone it acts.
        let Some(witness) = self.look(&unvaried(target))? else {
            return Ok(None);
        };
        if witness.seen.contains_key(&target.element) {
            return Ok(None);
        }
        let suspects = match target.slot {
            Slot::Clock => readers_of_time(&witness),
            _ => takers_of_random_bytes(&witness),
        };
        let found = self.narrow(target, &suspects, |one| one.weight, only)?;
        let Some((suspect, shown)) = found else {
            return Ok(None);
        };
        Ok(Some(Place {
            what: What::Behind(suspect, witness),
            shown,
        }))
    }

    /// What is said of an element that differs where the level acts for one process alone; `None`
    /// where that may have come about otherwise than where it acts for everybody.
    pub(super) fn tell(
        &self,
        target: &Target,
        suspect: &Suspect,
        witness: &Glimpse,
        shown: &Rc<Glimpse>,
    ) -> Result<Option<Cause>, Open> {
        let Some(everybody) = self.whole_value(target)? else {
            return Ok(None);
        };
        let whole = shown.agrees(&target.element, &everybody);
        if !whole {
            let others = self.look(&within(target, all_but(suspect)))?;
            let counts = |others: &Glimpse| !others.agrees(&target.element, &everybody);
            if !others.is_some_and(|others| counts(&others)) {
                return Ok(None);
            }
        }
        let Some((read, shown)) = self.reading(target, suspect, Rc::clone(shown))? else {
            return Ok(None);
        };
        let all = processes(&witness.lines);
        let process = suspect.process.as_ref();
        Ok(Some(Cause {
            words: words(suspect, &read, witness, &shown, whole),
            processes: process.map_or_else(Vec::new, |process| chain(process, &all)),
        }))
    }

    /// Which of its readings are enough for what a process does to the element, and the trial that
    /// shows it: one, or all where each has a part in it. `None` where it cannot be told: a process
    /// that runs beside others of its kind may be another one in the next trial.
    fn reading(
        &self,
        target: &Target,
        suspect: &Suspect,
        shown: Rc<Glimpse>,
    ) -> Result<Option<Shown>, Open> {
        if suspect.read.len() == 1 {
            return Ok(Some((suspect.read.clone(), shown)));
        }
        let Some(seen) = shown.seen.get(&target.element) else {
            return Ok(None);
        };
        let mut parts = 0;
        for source in &suspect.read {
            let read = BTreeSet::from([*source]);
            let scope = Scope {
                sources: read.clone(),
                ..only(std::slice::from_ref(suspect))
            };
            let Some(glimpse) = self.look(&within(target, scope))? else {
                continue;
            };
            if glimpse.agrees(&target.element, seen) {
                return Ok(Some((read, glimpse)));
            }
            parts += usize::from(glimpse.seen.contains_key(&target.element));
        }
        let all = suspect.read.clone();
        Ok((parts == all.len()).then_some((all, shown)))
    }
}

/// A scope that holds for these alone.
fn only(suspects: &[Suspect]) -> Scope {
    let processes = suspects.iter().filter_map(|one| one.process.as_ref());
    Scope {
        processes: Chosen::Only(processes.map(|process| process.name).collect()),
        devices: suspects.iter().any(|one| one.process.is_none()),
        ..Scope::default()
    }
}

/// A scope that holds for all others.
fn all_but(suspect: &Suspect) -> Scope {
    match &suspect.process {
        Some(process) => Scope {
            processes: Chosen::But(BTreeSet::from([process.name])),
            ..everywhere()
        },
        None => Scope::default(),
    }
}

/// Everybody, for whoever begins finds random bytes, and the random devices; the likely ones first.
fn takers_of_random_bytes(witness: &Glimpse) -> Vec<Suspect> {
    let readings = readings(&witness.lines);
    let mut suspects: Vec<Suspect> = processes(&witness.lines)
        .values()
        .map(|process| Suspect {
            process: Some(Process::clone(process)),
            read: BTreeSet::from([Source::Random]),
            // The C library asks once for itself (malloc's).
            weight: match readings.get(&(process.number, Source::Random)) {
                Some(2..) => 4,
                _ => 1,
            },
        })
        .collect();
    suspects.push(Suspect {
        process: None,
        read: BTreeSet::from([Source::Random]),
        weight: 1,
    });
    suspects.sort_by_key(|one| Reverse(one.weight));
    suspects
}

/// Everybody who read the clock or a time that follows it; who read the clock first.
fn readers_of_time(witness: &Glimpse) -> Vec<Suspect> {
    let readings = readings(&witness.lines);
    let suspect = |process: &&Process| {
        let has_read = |source: &Source| readings.contains_key(&(process.number, *source));
        let read: BTreeSet<Source> = TIMES.into_iter().filter(has_read).collect();
        (!read.is_empty()).then(|| Suspect {
            process: Some(Process::clone(process)),
            // Nearly every process looks at some file.
            weight: if read.contains(&Source::Clock) { 4 } else { 1 },
            read,
        })
    };
    let mut suspects: Vec<Suspect> = processes(&witness.lines)
        .values()
        .filter_map(suspect)
        .collect();
    suspects.sort_by_key(|one| Reverse(one.weight));
    suspects
}

/// How often each process has read what.
fn readings(lines: &[Reading]) -> BTreeMap<(usize, Source), u64> {
    let mut readings = BTreeMap::new();
    for line in lines {
        if let Reading::Read {
            process,
            source,
            times,
            ..
        } = line
        {
            *readings.entry((*process, *source)).or_default() += times;
        }
    }
    readings
}

/// Of these it is not known who reads them.
const DEVICES: &str = "/dev/random, /dev/urandom or an identifier below /proc/sys/kernel/random";

fn words(
    suspect: &Suspect,
    read: &BTreeSet<Source>,
    witness: &Glimpse,
    shown: &Glimpse,
    whole: bool,
) -> String {
    let trial = shown.trial.0;
    let others = if whole {
        ""
    } else {
        ", as others do for the same output"
    };
    let Some(process) = &suspect.process else {
        return format!(
            "something reads {DEVICES}{others} (trial {trial} varied what they yield, and nothing else)"
        );
    };
    let (what, it) = match TIMES.map(|source| read.contains(&source)) {
        [true, true] => (
            "reads the clock and the times of files that the build made or found",
            "both",
        ),
        [true, false] => ("reads the clock", "it"),
        [false, true] => (
            "reads the times of files that the build made or found",
            "them",
        ),
        [false, false] => ("takes random bytes from the kernel", "them"),
    };
    format!(
        "{} {what}{others} (trial {trial} varied {it} for that process alone)",
        with_callers(process, &processes(&witness.lines)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::process;
    use super::*;
    use crate::model::TrialId;

    fn read(process: usize, source: Source, times: u64) -> Reading {
        Reading::Read {
            process,
            source,
            path: None,
            times,
        }
    }

    fn names(some: &[Suspect]) -> Vec<Option<u64>> {
        let names = some.iter().map(|one| one.process.as_ref().map(|p| p.name));
        names.collect()
    }

    fn glimpse(trial: u32, lines: Vec<Reading>) -> Glimpse {
        Glimpse {
            trial: TrialId(trial),
            seen: BTreeMap::new(),
            lines,
            directory: "/build/x".into(),
        }
    }

    #[test]
    fn every_process_is_suspected_and_who_asks_more_than_once_first() {
        let lines = vec![
            process(0, None, &["sh", "-ec", "./number"]),
            process(1, Some(0), &["make"]),
            process(2, Some(1), &["python3", "number.py"]),
            read(1, Source::Random, 1),
            read(2, Source::Random, 2),
        ];
        let witness = glimpse(3, lines);
        let suspects = takers_of_random_bytes(&witness);
        assert_eq!(names(&suspects), [Some(2), Some(0), Some(1), None]);
        assert_eq!(only(&suspects[..2]).processes, Chosen::Only([0, 2].into()));
        assert!(!only(&suspects[..2]).devices && only(&suspects).devices);
        assert_eq!(all_but(&suspects[0]).processes, Chosen::But([2].into()));
        assert!(all_but(&suspects[0]).devices && !all_but(&suspects[3]).devices);
        let shown = glimpse(9, Vec::new());
        let said = |one: &Suspect, whole| words(one, &one.read, &witness, &shown, whole);
        assert_eq!(
            said(&suspects[0], true),
            "`python3 number.py`, called by `make`, takes random bytes from the kernel (trial 9 \
             varied them for that process alone)"
        );
        assert_eq!(
            said(&suspects[3], false),
            "something reads /dev/random, /dev/urandom or an identifier below \
             /proc/sys/kernel/random, as others do for the same output (trial 9 varied what they \
             yield, and nothing else)"
        );
    }

    #[test]
    fn who_read_a_time_is_suspected_and_who_read_the_clock_first() {
        let lines = vec![
            process(0, None, &["sh", "-ec", "make"]),
            process(1, Some(0), &["make"]),
            process(2, Some(1), &["tar", "cf", "a.tar", "a"]),
            process(3, Some(1), &["true"]),
            read(1, Source::FileTime, 9),
            read(2, Source::Clock, 1),
            read(2, Source::FileTime, 1),
            read(3, Source::Random, 1),
        ];
        let witness = glimpse(3, lines);
        let suspects = readers_of_time(&witness);
        assert_eq!(names(&suspects), [Some(2), Some(1)]);
        let shown = glimpse(9, Vec::new());
        let tar = |read: &[Source]| {
            let read = read.iter().copied().collect();
            words(&suspects[0], &read, &witness, &shown, true)
        };
        let who = "`tar cf a.tar a`, called by `make`, reads";
        let made = "the times of files that the build made or found";
        assert_eq!(
            [tar(&TIMES), tar(&TIMES[..1]), tar(&TIMES[1..])],
            [
                format!("{who} the clock and {made} (trial 9 varied both for that process alone)"),
                format!("{who} the clock (trial 9 varied it for that process alone)"),
                format!("{who} {made} (trial 9 varied them for that process alone)"),
            ]
        );
    }
}
