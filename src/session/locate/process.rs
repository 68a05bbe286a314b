//! The process whose random bytes reach an element. It is named where it alone makes the element
//! what it is when everybody has other ones; or, as one of several, where it alone changes it, and
//! leaving it alone changes what all others make of it.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{processes, with_callers};
use super::{Error, Glimpse, Looking, Place, Target, everywhere};
use crate::sandbox::supervisor::{Chosen, Line, Process, Scope, Source};

/// Somebody who may be behind a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Suspect {
    /// `None` for what the random devices yield: they do not know who reads.
    process: Option<Process>,
    /// How likely, relative to the others.
    weight: u32,
}

impl Looking<'_, '_> {
    /// The process behind a difference; `None` where it cannot be told.
    pub(super) fn process_behind(&mut self, target: &Target) -> Result<Option<Place>, Error> {
        // The names of processes as they are where the level acts nowhere: so they are above the
        // one for which alone it acts.
        let Some(witness) = self.look(target, None)? else {
            return Ok(None);
        };
        if witness.seen.contains_key(&target.element) {
            return Ok(None);
        }
        let suspects = suspects(&witness);
        let found = self.narrow(target, suspects, |one| one.weight, only)?;
        let Some((suspect, shown)) = found else {
            return Ok(None);
        };
        let Some(everybody) = self.whole_value(target)? else {
            return Ok(None);
        };
        let whole = shown.agrees(&target.element, &everybody);
        if !whole {
            let others = self.look(target, Some(all_but(&suspect)))?;
            let counts = |others: &Glimpse| !others.agrees(&target.element, &everybody);
            if !others.is_some_and(|others| counts(&others)) {
                return Ok(None);
            }
        }
        Ok(Some(Place {
            words: words(&suspect, &witness, &shown, whole),
            shown,
            whole,
        }))
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

/// Everybody who found random bytes at its start or asked for more, the likely ones first.
fn suspects(witness: &Glimpse) -> Vec<Suspect> {
    let mut asked: BTreeMap<usize, u64> = BTreeMap::new();
    for line in &witness.lines {
        if let Line::Read {
            process,
            source: Source::Random,
            times,
            ..
        } = line
        {
            *asked.entry(*process).or_default() += times;
        }
    }
    let mut suspects: Vec<Suspect> = processes(&witness.lines)
        .values()
        .map(|process| Suspect {
            process: Some(Process::clone(process)),
            // The C library asks once for itself (malloc's).
            weight: match asked.get(&process.number) {
                Some(2..) => 4,
                _ => 1,
            },
        })
        .collect();
    suspects.push(Suspect {
        process: None,
        weight: 1,
    });
    suspects.sort_by_key(|one| std::cmp::Reverse(one.weight));
    suspects
}

fn words(suspect: &Suspect, witness: &Glimpse, shown: &Glimpse, whole: bool) -> String {
    let trial = shown.trial.0;
    let others = if whole {
        ""
    } else {
        ", and is not the only one whose random bytes get here"
    };
    match &suspect.process {
        Some(process) => format!(
            "{} takes random bytes from the kernel{others} (trial {trial} varied them there alone)",
            with_callers(process, &processes(&witness.lines)),
        ),
        None => format!(
            "something reads /dev/random or /dev/urandom{others} (trial {trial} varied what they yield alone)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::process;
    use super::*;
    use crate::model::TrialId;

    fn asks(process: usize, times: u64) -> Line {
        Line::Read {
            process,
            source: Source::Random,
            path: None,
            times,
        }
    }

    fn glimpse(trial: u32, lines: Vec<Line>) -> Glimpse {
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
            asks(1, 1),
            asks(2, 2),
        ];
        let witness = glimpse(3, lines);
        let suspects = suspects(&witness);
        let names = |some: &[Suspect]| -> Vec<Option<u64>> {
            let names = some.iter().map(|one| one.process.as_ref().map(|p| p.name));
            names.collect()
        };
        assert_eq!(names(&suspects), [Some(2), Some(0), Some(1), None]);
        assert_eq!(only(&suspects[..2]).processes, Chosen::Only([0, 2].into()));
        assert!(!only(&suspects[..2]).devices && only(&suspects).devices);
        assert_eq!(all_but(&suspects[0]).processes, Chosen::But([2].into()));
        assert!(all_but(&suspects[0]).devices && !all_but(&suspects[3]).devices);
        assert_eq!(
            words(&suspects[0], &witness, &glimpse(9, Vec::new()), true),
            "`python3 number.py`, called by `make`, takes random bytes from the kernel (trial 9 \
             varied them there alone)"
        );
    }
}
