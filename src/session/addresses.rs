//! Telling memory addresses from what else moves. The positions that hold them become an element of
//! their own, so that what else is in an output has its own culprits. A position holds an address
//! only as long as nothing that was seen under fixed addresses says otherwise: what another variation
//! does to it must be what the layout of memory can do.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::run::Session;
use crate::diff::{self, Addresses, Moves};
use crate::explain::Parts;
use crate::inquiry::{Ended, Wanted};
use crate::model::{Acting, Asked, Element, Field, Row, Slot, Snapshot, TrialId, TrialKind, Value};
use crate::search::{Certified, ElementVerdict, Observation, Try};

/// What is known of addresses.
#[derive(Debug, Default)]
pub(super) struct KnownAddresses {
    /// The elements that trials with random addresses were run for, and the positions that hold
    /// addresses, where there are any.
    pub(super) positions: BTreeMap<Element, Option<Addresses>>,
    /// The elements whose looks were judged.
    looked_at: BTreeSet<usize>,
    /// Those that look as if they held addresses.
    suspected: BTreeSet<usize>,
}

/// When to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// The search goes on: into what looks like addresses.
    Early,
    /// It has ended: into what random addresses and something else seem to change.
    Late,
}

/// What has turned out to be no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// None of the positions holds one.
    All,
    /// Some of them hold none.
    Some,
}

impl KnownAddresses {
    /// Whether the element holds addresses, or what was left when they were taken out.
    pub(super) fn separated(&self, element: &Element) -> bool {
        element.field.is_addresses() || matches!(self.positions.get(element), Some(Some(_)))
    }
}

impl Session<'_> {
    /// Looks for addresses in the elements for which that makes a difference; whether any were
    /// found, so that the search has more to do.
    pub(super) fn separate_addresses(&mut self, when: When) -> Result<bool, Error> {
        let Some(factor) = self.random_addresses() else {
            return Ok(false);
        };
        let mut changed = self.join_what_holds_none();
        let mut suspects = std::mem::take(&mut self.addresses.suspected);
        if when == When::Late {
            suspects.extend(self.suspects(factor));
        }
        if !suspects.is_empty()
            && let Some(random) = self.two_of(Some(factor))?
            && let Some(fixed) = self.two_of(None)?
        {
            for number in suspects {
                changed |= self.look_into(number, random, fixed);
            }
        }
        if changed {
            self.tell_again();
        }
        Ok(changed)
    }

    /// Looks for addresses in one element; whether there were any.
    fn look_into(&mut self, number: usize, random: [TrialId; 2], fixed: [TrialId; 2]) -> bool {
        let Some(element) = self.ledger.elements().get(number).cloned() else {
            return false;
        };
        let bytes = |trial| self.bytes(number, &element, trial);
        let positions = match (random.map(bytes), fixed.map(bytes)) {
            ([Some(a), Some(b)], [Some(c), Some(d)]) => {
                let others = self
                    .trials
                    .iter()
                    .filter(|trial| !self.are_random(&trial.asked));
                let others = others.map(Ended::id);
                let others: Vec<Vec<u8>> = others.filter_map(bytes).collect();
                diff::addresses([&a, &b], [&c, &d], &others)
            }
            _ => None,
        };
        if let Some(positions) = &positions {
            self.split(number, &element, positions);
        }
        let found = positions.is_some();
        self.addresses.positions.insert(element, positions);
        found
    }

    /// Takes back what was told apart and has turned out to be no address. Whether anything was.
    fn join_what_holds_none(&mut self) -> bool {
        let told_apart = self.addresses.positions.iter();
        let told_apart = told_apart.filter_map(|(element, positions)| {
            let positions = positions.as_ref()?;
            let number = self.ledger.number_of(element)?;
            Some((
                element.clone(),
                number,
                self.doubt(number, element, positions)?,
            ))
        });
        let doubted: Vec<(Element, usize, Doubt)> = told_apart.collect();
        for (element, number, doubt) in &doubted {
            self.ledger.join(*number);
            match doubt {
                Doubt::All => {
                    self.addresses.positions.insert(element.clone(), None);
                }
                // What is left of the positions is looked for once more.
                Doubt::Some => {
                    self.addresses.positions.remove(element);
                    self.addresses.suspected.insert(*number);
                }
            }
        }
        !doubted.is_empty()
    }

    /// Whether what was told apart may be no address: it differs between two trials of one
    /// environment with fixed addresses, is with random ones what it was in the control, or is in
    /// some trial with fixed ones what no layout of memory makes of it.
    fn doubt(&self, number: usize, element: &Element, positions: &Addresses) -> Option<Doubt> {
        let control = self.ledger.control_trial()?;
        let parts = self.ledger.parts(number)?;
        let own = parts.get(&control)?.addresses.as_ref();
        let own_bytes = self.bytes(number, element, control);
        let mut fixed = BTreeMap::new();
        let mut doubt = None;
        for trial in self.trials.iter() {
            let id = trial.id();
            let Some(seen) = parts.get(&id) else {
                continue;
            };
            let addresses = seen.addresses.as_ref();
            if seen.random {
                if addresses == own {
                    return Some(Doubt::All);
                }
                continue;
            }
            if *fixed.entry(&trial.asked).or_insert(addresses) != addresses {
                return Some(Doubt::All);
            }
            if addresses != own && doubt.is_none() {
                let bytes = self.bytes(number, element, id);
                let pair = own_bytes.as_ref().zip(bytes);
                let explained = pair
                    .is_none_or(|(own, bytes)| positions.explain(own, &bytes, Moves::PagesOrStack));
                doubt = (!explained).then_some(Doubt::Some);
            }
        }
        doubt
    }

    /// The variation that makes addresses random.
    pub(super) fn random_addresses(&self) -> Option<usize> {
        self.plan.filling(Slot::RandomAddresses)
    }

    fn are_random(&self, asked: &Asked) -> bool {
        asked.acting == Acting::Whole && self.has_random_addresses(&asked.row)
    }

    /// The elements that random addresses change, or may change, and something else as well.
    fn suspects(&self, factor: usize) -> BTreeSet<usize> {
        let verdict = self.search.verdict();
        let alone = |culprit: &Certified| culprit.set.iter().eq([&factor]);
        let suspect = |verdict: &ElementVerdict| match verdict {
            ElementVerdict::Certified { culprits } => {
                culprits.iter().any(|culprit| culprit.set.contains(&factor))
                    && !culprits.iter().all(alone)
            }
            ElementVerdict::Unsettled { possible, .. } => possible.contains(&factor),
            _ => false,
        };
        let elements = self.ledger.elements().iter().zip(&verdict.elements);
        elements
            .enumerate()
            .filter(|(number, (element, verdict))| {
                suspect(verdict)
                    && self.ledger.decides(*number)
                    && !element.field.is_addresses()
                    && !self.addresses.positions.contains_key(*element)
            })
            .map(|(number, _)| number)
            .collect()
    }

    /// The elements that hold addresses, and those of which it is not known whether they do, where
    /// that makes a difference.
    pub(super) fn may_be_addresses(&self) -> BTreeSet<usize> {
        let Some(factor) = self.random_addresses() else {
            return BTreeSet::new();
        };
        let elements = self.ledger.elements().iter().enumerate();
        let known = elements.filter(|(_, element)| element.field.is_addresses());
        let suspected = self.addresses.suspected.iter().copied();
        let mut all = self.suspects(factor);
        all.extend(known.map(|(number, _)| number).chain(suspected));
        all
    }

    /// Two trials of one environment, the control or it with one variation more; runs what is
    /// missing.
    fn two_of(&mut self, factor: Option<usize>) -> Result<Option<[TrialId; 2]>, Error> {
        let row = match factor {
            Some(factor) => self.plan.alone(factor, 1),
            None => self.plan.control_row(),
        };
        let asked = Asked::whole(row);
        for _ in 0..3 {
            let built = self.trials.of(&asked).filter_map(Ended::built);
            let ids: Vec<TrialId> = built.collect();
            if let [first, second, ..] = ids.as_slice() {
                return Ok(Some([*first, *second]));
            }
            if !self.has_room() {
                break;
            }
            let kind = match factor {
                Some(_) => TrialKind::Search,
                None => TrialKind::Repeat,
            };
            self.batch(&[Wanted::new(asked.clone(), kind)], None)?;
        }
        Ok(None)
    }

    /// The bytes of an element in a trial: its content, or what its field says.
    pub(super) fn bytes(
        &self,
        number: usize,
        element: &Element,
        trial: TrialId,
    ) -> Option<Vec<u8>> {
        if element.field == Field::CONTENT {
            return self.contents.bytes(trial, &element.path);
        }
        let parts = self
            .ledger
            .parts(number)
            .and_then(|parts| parts.get(&trial));
        let whole = parts.map(|parts| &parts.whole);
        match whole.or_else(|| self.ledger.value_in(number, trial))? {
            Value::Text(text) => Some(text.clone().into_bytes()),
            Value::Digest { .. } | Value::Order(_) => None,
        }
    }

    /// Makes two elements of one, for all trials that there were.
    fn split(&mut self, number: usize, element: &Element, positions: &Addresses) {
        let parts = |trial: &Ended| {
            let id = trial.id();
            let bytes = self.bytes(number, element, id)?;
            let whole = self.ledger.value_in(number, id)?.clone();
            let random = self.are_random(&trial.asked);
            Some((id, parts(element, positions, whole, &bytes, random)))
        };
        let parts: BTreeMap<TrialId, Parts> = self.trials.iter().filter_map(parts).collect();
        self.ledger.split(number, parts);
        self.introduce_elements();
    }

    /// Whether the element is made of addresses, and differs between the control and a trial as they
    /// do that lie some pages further on.
    pub(super) fn pages_explain(&self, number: usize, trial: TrialId) -> bool {
        let (Some(element), Some(control)) = (
            self.ledger.elements().get(number),
            self.ledger.control_trial(),
        ) else {
            return false;
        };
        let told_apart = self.addresses.positions.iter();
        let mut told_apart = told_apart.filter(|(whole, _)| whole.addresses() == *element);
        told_apart.any(|(whole, positions)| {
            let number = self.ledger.number_of(whole);
            let bytes = |trial| self.bytes(number?, whole, trial);
            let pair = bytes(control).zip(bytes(trial));
            let positions = positions.as_ref();
            let explained = pair.zip(positions);
            explained.is_some_and(|((own, other), at)| at.explain(&own, &other, Moves::Pages))
        })
    }

    /// Records all trials anew: what some elements were has changed.
    fn tell_again(&mut self) {
        let whole = self.trials.iter();
        for trial in whole.filter(|trial| trial.asked.acting == Acting::Whole) {
            let Some(seen) = self.ledger.seen(trial.id()) else {
                continue;
            };
            let attempt = Try {
                row: trial.asked.row.clone(),
                kind: trial.record.kind,
                after_seconds: None,
            };
            let seen = Observation::Built(seen.to_vec());
            self.search.record(trial.id(), &attempt, seen);
        }
    }

    fn has_random_addresses(&self, row: &Row) -> bool {
        let factor = self.random_addresses();
        let level = factor.and_then(|factor| row.0.get(factor));
        level.is_some_and(|level| *level != 0)
    }

    /// Takes down which elements look as if they held addresses, once for each.
    pub(super) fn suspect_addresses(&mut self, trial: TrialId, row: &Row) {
        if !self.has_random_addresses(row) {
            return;
        }
        let (Some(control), Some(seen)) = (self.ledger.control_trial(), self.ledger.seen(trial))
        else {
            return;
        };
        let differing: Vec<usize> = (0..seen.len())
            .filter(|number| seen.get(*number).is_some_and(|seen| seen.differs()))
            .filter(|number| !self.addresses.looked_at.contains(number))
            .collect();
        for number in differing {
            self.addresses.looked_at.insert(number);
            let Some(element) = self.ledger.elements().get(number) else {
                continue;
            };
            let known =
                element.field.is_addresses() || self.addresses.positions.contains_key(element);
            if known || !self.ledger.decides(number) {
                continue;
            }
            let [own, other] = [control, trial].map(|trial| self.bytes(number, element, trial));
            if own
                .zip(other)
                .is_some_and(|(a, b)| diff::may_hold_addresses(&a, &b))
            {
                self.addresses.suspected.insert(number);
            }
        }
    }

    /// Separates known addresses in what a new trial made; `None` in the place of parts whose bytes
    /// are not at hand.
    pub(super) fn known_addresses(
        &self,
        trial: TrialId,
        row: &Row,
        snapshot: &Snapshot,
    ) -> Vec<(Element, Option<Parts>)> {
        let random = self.has_random_addresses(row);
        let known = self.addresses.positions.iter();
        let known = known.filter_map(|(element, positions)| Some((element, positions.as_ref()?)));
        known
            .filter_map(|(element, positions)| {
                let whole = snapshot.elements.get(element)?;
                let bytes = match whole {
                    Value::Text(text) => Some(text.clone().into_bytes()),
                    Value::Digest { .. } => self.contents.bytes(trial, &element.path),
                    Value::Order(_) => None,
                };
                let parts =
                    bytes.map(|bytes| parts(element, positions, whole.clone(), &bytes, random));
                Some((element.clone(), parts))
            })
            .collect()
    }
}

fn parts(
    element: &Element,
    positions: &Addresses,
    whole: Value,
    bytes: &[u8],
    random: bool,
) -> Parts {
    let rest = positions.blank(bytes);
    let value = |bytes: Vec<u8>| {
        if element.field == Field::CONTENT {
            crate::formats::digest(&bytes)
        } else {
            Value::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    Parts {
        whole,
        addresses: positions
            .only(bytes)
            .map(|only| crate::formats::short(&only)),
        rest: value(rest),
        random,
    }
}
