//! Which process, and which directory, a difference comes from: where the order of directories,
//! the randomness or the clock is to blame, the varied level is let act in ever smaller scopes,
//! until what is left is small enough to be named. These trials say nothing about variations, so
//! the search never hears of them.

mod order;
mod process;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use super::run::Session;
use super::{Error, Left, Progress};
use crate::diff::{self, Judged, Seen};
use crate::model::{
    Cause, Element, Outcome, Reading, Row, Scope, Slot, TrialId, TrialKind, TrialRecord,
    TrialResult, Within,
};
use crate::sandbox::Focus;
use crate::search::{ElementVerdict, Try};
use process::Suspect;

/// What is looked into, in this order.
const SLOTS: [Slot; 3] = [Slot::DirectoryOrder, Slot::Randomness, Slot::Clock];
/// So many places are looked for in one session, for each of these.
const PLACES: usize = 3;
/// In so many trials at most, for all of them.
const TRIALS: u32 = 40;

/// The causes of each element for which one was found, by variation.
pub(super) type Causes = BTreeMap<Element, BTreeMap<usize, Cause>>;

/// Where the levels of a trial act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Acting {
    /// The trial is the control's.
    Nowhere,
    /// In a scope alone.
    Within(Scope),
    /// As in any other trial.
    Everywhere,
}

/// What a trial showed in which levels acted in a scope alone.
pub(super) struct Glimpse {
    trial: TrialId,
    /// The elements that differ from the control's, and what they are.
    seen: BTreeMap<Element, Seen>,
    pub(super) lines: Vec<Reading>,
    /// Where the build ran.
    directory: PathBuf,
}

impl Glimpse {
    /// Whether both show the same of an element that differs.
    fn agrees(&self, element: &Element, with: &Seen) -> bool {
        self.seen.get(element) == Some(with)
    }
}

/// What the search is after.
#[derive(Clone)]
struct Target {
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

/// What was found out about a build.
#[derive(Default)]
pub(super) struct Located {
    pub(super) causes: Causes,
    /// The arguments of the processes that were seen.
    pub(super) commands: BTreeSet<Vec<String>>,
}

/// The search for places.
struct Looking<'l, 's> {
    session: &'l mut Session<'s>,
    /// Trials that are left.
    left: u32,
    /// What was run already; `None` for what did not build.
    run: BTreeMap<(Row, Option<Scope>), Option<Rc<Glimpse>>>,
}

impl Session<'_> {
    /// Finds what is behind each difference that one of the variations causes alone for which a
    /// place can be told. What was found before an error counts.
    pub(super) fn locate(&mut self, located: &mut Located) -> Result<(), Error> {
        if !self.options.locate {
            return Ok(());
        }
        let targets = SLOTS.map(|slot| self.caused_by(slot));
        let mut looking = Looking {
            session: self,
            left: TRIALS,
            run: BTreeMap::new(),
        };
        let mut targets = targets.into_iter();
        let found = targets.try_for_each(|targets| looking.places(targets, &mut located.causes));
        let lines = looking.run.values().flatten();
        let commands = lines.flat_map(|glimpse| &glimpse.lines);
        let commands = commands.filter_map(|line| match line {
            Reading::Process(process) => Some(process.arguments.clone()),
            Reading::Read { .. } => None,
        });
        located.commands = commands.collect();
        found
    }

    /// The elements that the variation of a slot changes alone.
    fn caused_by(&self, slot: Slot) -> Vec<Target> {
        let Some(factor) = self.plan.filling(slot) else {
            return Vec::new();
        };
        let verdict = self.verdict();
        let elements = self
            .ledger
            .elements()
            .iter()
            .zip(&verdict.elements)
            .enumerate();
        let mut targets: Vec<Target> = elements
            .filter(|(number, (element, _))| {
                self.ledger.decides(*number)
                    && !self.addresses.separated(element)
                    && !self.followers.contains(*number)
            })
            .filter_map(|(number, (element, verdict))| {
                let ElementVerdict::Certified { culprits } = verdict else {
                    return None;
                };
                let alone = culprits.iter().find(|culprit| culprit.set == [factor])?;
                let mut row = Row::control(self.plan.variations.len());
                *row.0.get_mut(factor)? = *alone.levels.first()?;
                if slot == Slot::Clock {
                    // Two clocks of one trial can differ by a constant only.
                    let clock = self.plan.environment(&row).clock;
                    clock.ahead_of(self.plan.control.clock)?;
                }
                Some(Target {
                    slot,
                    factor,
                    row,
                    number,
                    element: element.clone(),
                })
            })
            .collect();
        targets.sort_by(|a, b| a.element.cmp(&b.element));
        targets
    }
}

impl Looking<'_, '_> {
    /// The causes of elements that one variation changes.
    fn places(&mut self, mut targets: Vec<Target>, causes: &mut Causes) -> Result<(), Error> {
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
        &mut self,
        place: &Place,
        target: Target,
        causes: &mut Causes,
    ) -> Result<Option<Target>, Error> {
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
        &mut self,
        target: &Target,
        mut suspects: Vec<T>,
        weight: impl Fn(&T) -> u32,
        scope: impl Fn(&[T]) -> Scope,
    ) -> Result<Option<(T, Rc<Glimpse>)>, Error> {
        let mut shown = None;
        while suspects.len() > 1 {
            let weights: Vec<u32> = suspects.iter().map(&weight).collect();
            let rest = suspects.split_off(middle(&weights));
            shown = self.differing(target, scope(&suspects))?;
            if shown.is_none() {
                // If it is none of these either, the last trial will say so.
                suspects = rest;
            }
        }
        if shown.is_none() {
            shown = self.differing(target, scope(&suspects))?;
        }
        Ok(suspects.pop().zip(shown))
    }

    /// What the element is where the level acts everywhere; `None` where that cannot be told.
    fn whole_value(&mut self, target: &Target) -> Result<Option<Seen>, Error> {
        let session = &self.session;
        let alone = session.plan.varied(&target.row);
        let mut trials = session.trials.iter().filter(|record| {
            record.kind != TrialKind::Location
                && record.result == TrialResult::Built
                && record.varied == alone
        });
        let ledger = &session.ledger;
        let seen = trials.find_map(|record| {
            let seen = ledger.seen(record.id)?.get(target.number)?;
            let value = ledger.value_in(target.number, record.id).cloned();
            seen.differs()
                .then(|| value.map_or(Seen::Absent, Seen::Value))
        });
        if seen.is_some() {
            return Ok(seen);
        }
        let glimpse = self.look(target, Some(everywhere()))?;
        Ok(glimpse.and_then(|glimpse| glimpse.seen.get(&target.element).cloned()))
    }

    /// A trial in which the level acts in a scope alone, if that changes the element.
    fn differing(&mut self, target: &Target, scope: Scope) -> Result<Option<Rc<Glimpse>>, Error> {
        let glimpse = self.look(target, Some(scope))?;
        Ok(glimpse.filter(|glimpse| glimpse.seen.contains_key(&target.element)))
    }

    /// A trial in which the level acts in a scope alone, or nowhere, with every reading written
    /// down; `None` where it does not build, or no trial is left.
    fn look(
        &mut self,
        target: &Target,
        scope: Option<Scope>,
    ) -> Result<Option<Rc<Glimpse>>, Error> {
        let row = match &scope {
            Some(_) => target.row.clone(),
            None => Row::control(target.row.0.len()),
        };
        let key = (row, scope);
        if let Some(known) = self.run.get(&key) {
            return Ok(known.clone());
        }
        if self.left == 0 || !self.session.has_room() {
            return Ok(None);
        }
        self.left -= 1;
        let acting = key.1.clone().map_or(Acting::Nowhere, Acting::Within);
        let glimpse = self.session.glimpse(&key.0, &acting, self.left)?;
        let glimpse = glimpse.map(Rc::new);
        self.run.insert(key, glimpse.clone());
        Ok(glimpse)
    }
}

impl Session<'_> {
    /// Runs a trial that says nothing about variations, in which the levels of a row act where it
    /// is said. Readings are written down unless they act in a scope.
    pub(super) fn glimpse(
        &mut self,
        row: &Row,
        acting: &Acting,
        left: u32,
    ) -> Result<Option<Glimpse>, Error> {
        let attempt = Try {
            row: row.clone(),
            kind: TrialKind::Location,
            after_seconds: None,
        };
        let id = TrialId(self.next_id());
        self.announce(id, &attempt, Left::AtMost(left));
        let mut spec = self.spec(id, &attempt);
        // Only what differs is asked.
        spec.keep_outputs = None;
        let within = match acting {
            Acting::Within(scope) => Some(Within::new(scope.clone(), &spec.environment)),
            Acting::Nowhere | Acting::Everywhere => None,
        };
        spec.focus = Some(Focus {
            witness: within.is_none(),
            within,
        });
        if *acting != Acting::Everywhere {
            // Nothing outside of the scope may be another.
            spec.environment = self.plan.environment(&Row::control(row.0.len()));
        }
        let report = self.sandbox.run(&spec)?;
        let seen = self.differing(&report.outcome);
        let result = report.outcome.result();
        self.trials.push(TrialRecord {
            id,
            kind: attempt.kind,
            varied: self.plan.varied(&attempt.row),
            result,
            seconds: report.seconds,
        });
        (self.progress)(&Progress::Ended {
            trial: id,
            result,
            seconds: report.seconds,
            differing: seen.as_ref().map_or(0, BTreeMap::len),
        });
        self.not_stopped()?;
        Ok(seen.map(|seen| Glimpse {
            trial: id,
            seen,
            lines: report.readings(),
            directory: report.directory,
        }))
    }

    /// The elements that differ from the control's; `None` where nothing was built.
    fn differing(&self, outcome: &Outcome) -> Option<BTreeMap<Element, Seen>> {
        let (Some(control), Outcome::Built { snapshot }) = (self.ledger.control(), outcome) else {
            return None;
        };
        let judged = Judged {
            metadata: self.options.metadata,
        };
        let compared = diff::compare(control, &self.told(snapshot), judged);
        let differing = compared.seen.into_iter();
        let differing = differing.filter(|(_, seen)| seen.differs());
        Some(differing.collect())
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
