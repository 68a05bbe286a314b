//! Which process, and which directory, a difference comes from: where the order of directories,
//! the randomness or the clock is to blame, the varied level is let act in ever smaller scopes,
//! until what is left is small enough to be named. These trials say nothing about variations, so
//! the search never hears of them.

mod order;
mod process;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Ended, Glimpse, Known, Looking, Open};
use crate::diff::Seen;
use crate::model::{Acting, Asked, Cause, Element, Row, Scope, Slot};
use crate::search::{ElementVerdict, Verdict};
use process::Suspect;

/// What is looked into, the most urgent first.
pub const SLOTS: [Slot; 3] = [Slot::DirectoryOrder, Slot::Randomness, Slot::Clock];
/// So many places are looked for in one session, for each of these.
const PLACES: usize = 3;
/// In so many trials at most, for all of them.
pub const TRIALS: usize = 40;

/// The causes of each element for which one was found, by variation.
pub type Causes = BTreeMap<Element, BTreeMap<usize, Cause>>;

/// An element that the variation of a slot changes alone.
#[derive(Debug, Clone)]
pub struct Target {
    slot: Slot,
    /// The number of the variation.
    factor: usize,
    /// The trial in which it varies everywhere.
    row: Row,
    number: usize,
    element: Element,
}

/// A place that was found.
struct Place {
    what: What,
    /// The trial that shows it.
    shown: Rc<Glimpse>,
}

/// What was found.
enum What {
    /// A directory and its reader.
    Order(Cause),
    /// A process, or the random devices, as the trial of the control's levels names them.
    Behind(Suspect, Rc<Glimpse>),
}

/// The elements that the variation of a slot changes alone, but for those that are left out.
pub fn targets(
    known: Known<'_>,
    verdict: &Verdict,
    slot: Slot,
    left_out: impl Fn(usize, &Element) -> bool,
) -> Vec<Target> {
    let Some(factor) = known.plan.filling(slot) else {
        return Vec::new();
    };
    let elements = known.ledger.elements().iter().zip(&verdict.elements);
    let target = |(number, (element, said)): (usize, (&Element, &ElementVerdict))| {
        let ElementVerdict::Certified { culprits } = said else {
            return None;
        };
        if !known.ledger.decides(number) || left_out(number, element) {
            return None;
        }
        let alone = culprits.iter().find(|culprit| culprit.set == [factor])?;
        let row = known.plan.alone(factor, *alone.levels.first()?);
        if slot == Slot::Clock {
            // Two clocks of one trial can differ by a constant only.
            let clock = known.plan.environment(&row).clock;
            clock.ahead_of(known.plan.control.clock)?;
        }
        Some(Target {
            slot,
            factor,
            row,
            number,
            element: element.clone(),
        })
    };
    let mut targets: Vec<Target> = elements.enumerate().filter_map(target).collect();
    targets.sort_by(|a, b| a.element.cmp(&b.element));
    targets
}

/// What is behind these elements of one slot, as far as it is known; what it wants to see before it
/// can say more, of which `room` trials may be run.
pub fn causes(
    known: Known<'_>,
    targets: &[Target],
    room: usize,
    causes: &mut Causes,
) -> Vec<Asked> {
    let looking = Looking::new(known, room);
    // Where it is open, what was found before it stands.
    let _ = looking.places(targets.to_vec(), causes);
    looking.wants()
}

impl Looking<'_> {
    /// The causes of elements that one variation changes.
    fn places(&self, mut targets: Vec<Target>, causes: &mut Causes) -> Result<(), Open> {
        let mut tried = BTreeSet::new();
        for _ in 0..PLACES {
            // The first one of an output of which nothing is known, if there is any.
            let fresh = |target: &Target| !tried.contains(target.element.output());
            let next = targets.iter().position(fresh).unwrap_or(0);
            if targets.is_empty() {
                break;
            }
            let target = targets.remove(next);
            tried.insert(target.element.output().to_owned());
            let found = match target.slot {
                Slot::DirectoryOrder => self.reader_of_directory(&target)?,
                _ => self.process_behind(&target)?,
            };
            let Some(place) = found else { continue };
            self.tell_of(&place, target, causes)?;
            let mut open = Vec::new();
            for other in targets {
                let output = other.element.output().to_owned();
                match self.tell_of(&place, other, causes)? {
                    Some(untold) => open.push(untold),
                    None => {
                        tried.insert(output);
                    }
                }
            }
            targets = open;
        }
        Ok(())
    }

    /// Says of an element what was found, if the trial that shows it changed this one too and it
    /// holds for it; gives the element back otherwise.
    fn tell_of(
        &self,
        place: &Place,
        target: Target,
        causes: &mut Causes,
    ) -> Result<Option<Target>, Open> {
        if !place.shown.seen.contains_key(&target.element) {
            return Ok(Some(target));
        }
        let cause = match &place.what {
            What::Order(cause) => Some(cause.clone()),
            What::Behind(suspect, witness) => self.tell(&target, suspect, witness, &place.shown)?,
        };
        let Some(cause) = cause else {
            return Ok(Some(target));
        };
        let known = causes.entry(target.element).or_default();
        known.insert(target.factor, cause);
        Ok(None)
    }

    /// Halves what is suspected until one is left: it, and the trial in which the level acted for
    /// it alone, where that is enough to change the element.
    fn narrow<T>(
        &self,
        target: &Target,
        suspects: &[T],
        weight: impl Fn(&T) -> u32,
        scope: impl Fn(&[T]) -> Scope,
    ) -> Result<Option<(T, Rc<Glimpse>)>, Open>
    where
        T: Clone,
    {
        let halves = |suspects: &'_ [T]| {
            let weights: Vec<u32> = suspects.iter().map(&weight).collect();
            (suspects.len() > 1).then(|| middle(&weights))
        };
        let mut suspects = suspects;
        let mut shown = None;
        while let Some((first, rest)) = halves(suspects).map(|at| suspects.split_at(at)) {
            let looked = self.differing(target, scope(first));
            if looked.is_err() {
                for half in [first, rest] {
                    let next = halves(half).map_or(half, |at| half.split_at(at).0);
                    self.guess(&within(target, scope(next)));
                }
            }
            shown = looked?;
            // If it is none of these either, the last trial will say so.
            suspects = if shown.is_some() { first } else { rest };
        }
        if shown.is_none() {
            shown = self.differing(target, scope(suspects))?;
        }
        Ok(suspects.first().cloned().zip(shown))
    }

    /// What the element is where the level acts everywhere; `None` where that cannot be told.
    fn whole_value(&self, target: &Target) -> Result<Option<Seen>, Open> {
        let ledger = self.known.ledger;
        let whole = Asked::whole(target.row.clone());
        let mut trials = self.known.trials.of(&whole).filter_map(Ended::built);
        let seen = trials.find_map(|trial| {
            let seen = ledger.seen(trial)?.get(target.number)?;
            let value = ledger.value_in(target.number, trial).cloned();
            seen.differs()
                .then(|| value.map_or(Seen::Absent, Seen::Value))
        });
        if seen.is_some() {
            return Ok(seen);
        }
        let glimpse = self.look(&within(target, everywhere()))?;
        Ok(glimpse.and_then(|glimpse| glimpse.seen.get(&target.element).cloned()))
    }

    /// A trial in which the level acts in a scope alone, if that changes the element.
    fn differing(&self, target: &Target, scope: Scope) -> Result<Option<Rc<Glimpse>>, Open> {
        let glimpse = self.look(&within(target, scope))?;
        Ok(glimpse.filter(|glimpse| glimpse.seen.contains_key(&target.element)))
    }

    /// What a trial showed; `None` where it does not build, or no trial is left.
    fn look(&self, asked: &Asked) -> Result<Option<Rc<Glimpse>>, Open> {
        Ok(self.trial(asked)?.and_then(Ended::glimpse))
    }
}

/// The levels of a target in a scope alone.
fn within(target: &Target, scope: Scope) -> Asked {
    Asked {
        row: target.row.clone(),
        acting: Acting::Within { scope },
    }
}

/// The control, with what the build reads written down.
fn unvaried(target: &Target) -> Asked {
    Asked {
        row: Row::control(target.row.0.len()),
        acting: Acting::Witnessed,
    }
}

/// Everybody, everywhere.
fn everywhere() -> Scope {
    Scope {
        devices: true,
        ..Scope::default()
    }
}

/// Where to cut a list of at least two, so that both parts weigh about the same.
fn middle(weights: &[u32]) -> usize {
    let all: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let mut sum = 0;
    let before = weights.iter().take_while(|weight| {
        sum += u64::from(**weight);
        2 * sum <= all
    });
    before
        .count()
        .clamp(1, weights.len().saturating_sub(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_where_both_parts_weigh_about_the_same() {
        assert_eq!(middle(&[1, 1, 1, 1]), 2);
        assert_eq!(middle(&[1, 1, 1]), 1);
        assert_eq!(middle(&[8, 1, 1, 1]), 1);
        assert_eq!(middle(&[1, 1, 8]), 2);
        assert_eq!(middle(&[0, 0]), 1);
    }
}
