//! What follows other differences is left out of the search: no trial is spent on a name that holds
//! the digest of the content, or on a list of such names, as long as everything that was seen of it
//! follows from the others. Where it turns out to have a difference of its own, the search takes it
//! up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::run::Session;
use crate::diff::{Changes, Source};
use crate::explain::{self, Follows};
use crate::model::{Element, Field, Snapshot, TrialId, Value};

/// Into so many contents of one trial it is looked.
const MOST: usize = 400;

/// What an element holds of others, if that is all that differs.
type Held = Option<BTreeSet<Source>>;

/// What is known of followers.
#[derive(Debug, Default)]
pub(super) struct Followers {
    changes: BTreeMap<TrialId, Changes>,
    /// What contents hold of others in a trial, where that was looked for.
    held: RefCell<BTreeMap<(usize, TrialId), Held>>,
    /// The elements that were judged when they first differed.
    judged: BTreeSet<usize>,
    /// Those on which no trial is spent.
    passive: BTreeSet<usize>,
}

impl Followers {
    /// Whether no trial is spent on an element.
    pub(super) fn contains(&self, number: usize) -> bool {
        self.passive.contains(&number)
    }

    /// Takes down what other names and contents a trial, told in the control's names, has.
    pub(super) fn observe(&mut self, trial: TrialId, control: Option<&Snapshot>, other: &Snapshot) {
        if let Some(control) = control {
            self.changes.insert(trial, Changes::of(control, other));
        }
    }
}

impl Session<'_> {
    /// Tells the search of what may only follow other differences.
    pub(super) fn leave_out_followers(&mut self, trial: TrialId) {
        let seen = self.ledger.seen(trial).unwrap_or_default();
        let new = (0..seen.len()).filter(|number| {
            let differs = seen.get(*number).is_some_and(|seen| seen.differs());
            differs && !self.followers.judged.contains(number)
        });
        let new: Vec<usize> = new.collect();
        let mut looked_into = 0;
        for number in new {
            self.followers.judged.insert(number);
            if !self.ledger.decides(number) {
                continue;
            }
            let Some(element) = self.ledger.elements().get(number) else {
                continue;
            };
            looked_into += usize::from(element.field == Field::CONTENT);
            let follows = element.field == Field::NAME
                || (looked_into <= MOST && self.held(number, trial).is_some());
            if let (true, Ok(known)) = (follows, u32::try_from(number)) {
                self.followers.passive.insert(number);
                self.search.passive(known);
            }
        }
    }

    /// Gives back to the search what does not follow others after all; whether there was any.
    pub(super) fn take_up_followers(&mut self) -> bool {
        if self.followers.passive.is_empty() {
            return false;
        }
        let follows = self.follows();
        let passive = self.followers.passive.iter().copied();
        let own: Vec<usize> = passive
            .filter(|number| !follows.contains_key(number))
            .collect();
        for number in &own {
            self.followers.passive.remove(number);
            if let Ok(number) = u32::try_from(*number) {
                self.search.active(number);
            }
        }
        !own.is_empty()
    }

    /// What follows what, by all that was seen.
    pub(super) fn follows(&self) -> BTreeMap<usize, Follows> {
        let trials: Vec<TrialId> = self.trials.built().collect();
        let held = |number: usize, trial| {
            if self.followers.passive.contains(&number) {
                self.held(number, trial)
            } else {
                None
            }
        };
        explain::follows(&self.ledger, &trials, &held)
    }

    /// What an element holds of others in a trial, if that is all that differs.
    fn held(&self, number: usize, trial: TrialId) -> Held {
        let known = self.followers.held.borrow().get(&(number, trial)).cloned();
        if let Some(known) = known {
            return known;
        }
        let held = self.look_for_held(number, trial);
        let mut all = self.followers.held.borrow_mut();
        all.insert((number, trial), held.clone());
        held
    }

    fn look_for_held(&self, number: usize, trial: TrialId) -> Held {
        let element: &Element = self.ledger.elements().get(number)?;
        let changes = self.followers.changes.get(&trial)?;
        if changes.is_empty() {
            return None;
        }
        let control = self.ledger.control_trial()?;
        let [old, new] = [control, trial].map(|trial| {
            if element.field == Field::CONTENT {
                return self.contents.bytes(trial, &element.path);
            }
            match self.ledger.value_in(number, trial)? {
                Value::Text(text) => Some(text.clone().into_bytes()),
                Value::Digest { .. } | Value::Order(_) => None,
            }
        });
        changes.held(element, &old?, &new?)
    }
}
