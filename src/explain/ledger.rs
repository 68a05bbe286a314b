//! What was observed in all trials, by number: the search knows elements and values as integers,
//! and this is where the integers come from and lead back to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diff::{self, Judged};
use crate::model::{Element, Field, Names, Observed, Snapshot, TrialId, Value};
use crate::search::Seen;

/// The elements that were not the same in all trials of a session, and their values. Value 0 of an
/// element is the control's; "the control has none" is a value, too.
#[derive(Debug, Clone)]
pub struct Ledger {
    judged: Judged,
    control: Option<Arc<Snapshot>>,
    elements: Vec<Element>,
    numbers: BTreeMap<Element, usize>,
    /// Per element, its values in the order of their first appearance; `None` is "has none".
    values: Vec<Vec<Option<Value>>>,
    /// Per trial, what each element was; elements beyond the end agreed with the control.
    trials: BTreeMap<TrialId, Vec<Seen>>,
    /// Outputs that differed from the control's in some trial, judged or not, and the first trial
    /// that showed it.
    differing: BTreeMap<String, TrialId>,
    /// Outputs that the control does not have: whether they decide.
    extra: BTreeMap<String, bool>,
    /// Per element that was told apart, what it was in each trial whose bytes were at hand.
    parts: BTreeMap<usize, BTreeMap<TrialId, Parts>>,
}

/// An element of one trial, told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The element as it was.
    pub whole: Value,
    /// What is left of it without addresses.
    pub rest: Value,
    /// The addresses; `None` where they cannot be told from the rest.
    pub addresses: Option<Value>,
    /// Whether the trial's addresses were random.
    pub random: bool,
}

fn separate(snapshot: &mut Snapshot, element: &Element, parts: &Parts) {
    if !snapshot.elements.contains(element) {
        return;
    }
    let offset = snapshot.elements.offset(element);
    snapshot.elements.set(element, parts.rest.clone());
    if let Some(value) = parts.addresses.clone() {
        let addresses = Observed { value, offset };
        snapshot.elements.insert(element.addresses(), addresses);
    }
}

/// Whether a trial had an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Had {
    Some,
    None,
    Unknown,
}

fn set(seen: &mut [Seen], number: usize, value: Seen) {
    if let Some(slot) = seen.get_mut(number) {
        *slot = value;
    }
}

impl Ledger {
    /// Nothing observed yet.
    pub fn new(judged: Judged) -> Self {
        Self {
            judged,
            control: None,
            elements: Vec::new(),
            numbers: BTreeMap::new(),
            values: Vec::new(),
            trials: BTreeMap::new(),
            differing: BTreeMap::new(),
            extra: BTreeMap::new(),
            parts: BTreeMap::new(),
        }
    }

    /// Tells an element apart into its addresses, a new element, and the rest, for all trials that
    /// were observed. A trial without parts says nothing of either.
    pub fn split(&mut self, number: usize, parts: BTreeMap<TrialId, Parts>) {
        let own = self.control_trial().and_then(|control| parts.get(&control));
        let (Some(own), Some(element)) = (own, self.elements.get(number).cloned()) else {
            return;
        };
        let Some(mut control) = self.control.as_deref().cloned() else {
            return;
        };
        separate(&mut control, &element, own);
        let control = Arc::new(control);
        let addresses = self.number(&control, element.addresses());
        self.control = Some(control);
        if let Some(own) = &own.addresses {
            self.begin_again(addresses, own.clone());
        }
        let old = self.begin_again(number, own.rest.clone());
        for (trial, had) in self.had(number, &old) {
            let (rest, address) = match (had, parts.get(&trial)) {
                (Had::None, _) => (self.value(number, None), Seen::Unobserved),
                (Had::Some, Some(parts)) => (
                    self.value(number, Some(parts.rest.clone())),
                    self.address(addresses, parts),
                ),
                _ => (Seen::Unobserved, Seen::Unobserved),
            };
            self.see(trial, number, rest);
            self.see(trial, addresses, address);
        }
        self.parts.insert(number, parts);
    }

    /// What an element that was told apart was in each trial whose bytes were at hand.
    pub fn parts(&self, number: usize) -> Option<&BTreeMap<TrialId, Parts>> {
        self.parts.get(&number)
    }

    /// Makes one again of an element that was told apart: what were taken for addresses are none.
    pub fn join(&mut self, number: usize) {
        let (Some(parts), Some(element)) = (
            self.parts.remove(&number),
            self.elements.get(number).cloned(),
        ) else {
            return;
        };
        let own = self.control_trial().and_then(|control| parts.get(&control));
        let (Some(own), Some(mut control)) = (own, self.control.as_deref().cloned()) else {
            return;
        };
        let addresses = self.number(&control, element.addresses());
        control.elements.remove(&element.addresses());
        control.elements.set(&element, own.whole.clone());
        self.control = Some(Arc::new(control));
        let old = self.begin_again(number, own.whole.clone());
        for (trial, had) in self.had(number, &old) {
            let whole = match (had, parts.get(&trial)) {
                (Had::None, _) => self.value(number, None),
                (Had::Some, Some(parts)) => self.value(number, Some(parts.whole.clone())),
                _ => Seen::Unobserved,
            };
            self.see(trial, number, whole);
            self.see(trial, addresses, Seen::Value(0));
        }
    }

    /// Forgets the values of an element but for the control's, which is now `own`; the old ones.
    fn begin_again(&mut self, number: usize, own: Value) -> Vec<Option<Value>> {
        let values = self.values.get_mut(number);
        values
            .map(|values| std::mem::replace(values, vec![Some(own)]))
            .unwrap_or_default()
    }

    /// Whether each trial had the element, by its values.
    fn had(&self, number: usize, values: &[Option<Value>]) -> Vec<(TrialId, Had)> {
        let had = |seen: &Vec<Seen>| {
            let value = match seen.get(number).copied() {
                Some(Seen::Value(value)) => usize::try_from(value).ok().and_then(|v| values.get(v)),
                None => values.first(),
                Some(Seen::Absent | Seen::Unobserved) => None,
            };
            match value {
                Some(Some(_)) => Had::Some,
                Some(None) => Had::None,
                None => Had::Unknown,
            }
        };
        let trials = self.trials.iter();
        trials.map(|(trial, seen)| (*trial, had(seen))).collect()
    }

    fn see(&mut self, trial: TrialId, number: usize, value: Seen) {
        if let Some(seen) = self.trials.get_mut(&trial) {
            seen.resize(seen.len().max(number + 1), Seen::Value(0));
            set(seen, number, value);
        }
    }

    /// What the addresses of an element were in a trial.
    fn address(&mut self, number: usize, parts: &Parts) -> Seen {
        match &parts.addresses {
            Some(addresses) => self.value(number, Some(addresses.clone())),
            None => Seen::Unobserved,
        }
    }

    /// What each element was in a trial; elements beyond the end agreed with the control.
    pub fn seen(&self, trial: TrialId) -> Option<&[Seen]> {
        self.trials.get(&trial).map(Vec::as_slice)
    }

    /// Takes a trial in, and gives what the search is to know of it. The first trial is the
    /// control. Elements that this trial brought up for the first time agreed with the control in
    /// all trials before it: neither had them. `split` holds the parts of elements that were told
    /// apart before, where their bytes are at hand.
    pub fn observe(
        &mut self,
        trial: TrialId,
        snapshot: &Snapshot,
        split: &[(Element, Option<Parts>)],
    ) -> Vec<Seen> {
        let mut snapshot = Cow::Borrowed(snapshot);
        for (element, parts) in split {
            if let Some(parts) = parts {
                separate(snapshot.to_mut(), element, parts);
            }
        }
        let snapshot = snapshot.as_ref();
        let control = self.control_for(snapshot);
        for (path, decides) in &snapshot.outputs {
            let touched = !self.judged.metadata && snapshot.touched.contains(path);
            if !touched && !control.outputs.contains_key(path) {
                self.extra.insert(path.clone(), *decides);
            }
        }
        let mut seen = vec![Seen::Value(0); self.elements.len()];
        for (element, judged) in diff::compare(&control, snapshot, self.judged).seen {
            if judged.differs() {
                self.differing
                    .entry(element.output().to_owned())
                    .or_insert(trial);
            }
            let number = self.number(&control, element);
            let value = match judged {
                diff::Seen::Same => Seen::Value(0),
                diff::Seen::Value(value) => self.value(number, Some(value)),
                diff::Seen::Absent => self.value(number, None),
                diff::Seen::Unobserved => Seen::Unobserved,
            };
            match seen.get_mut(number) {
                Some(slot) => *slot = value,
                None => seen.push(value),
            }
        }
        for number in self.nameless(snapshot) {
            set(&mut seen, number, Seen::Unobserved);
        }
        for (element, parts) in split {
            let rest = self.number(&control, element.clone());
            let addresses = self.number(&control, element.addresses());
            if let Some(parts) = parts {
                let address = self.address(addresses, parts);
                set(&mut seen, addresses, address);
                let known = self.parts.entry(rest).or_default();
                known.insert(trial, parts.clone());
            } else {
                set(&mut seen, rest, Seen::Unobserved);
                set(&mut seen, addresses, Seen::Unobserved);
            }
        }
        self.trials.insert(trial, seen.clone());
        seen
    }

    /// The control, with the names of everything that this trial calls otherwise.
    fn control_for(&mut self, snapshot: &Snapshot) -> Arc<Snapshot> {
        let control = self
            .control
            .get_or_insert_with(|| Arc::new(snapshot.clone()));
        let names = snapshot.renamed.values().filter_map(|r| r.names.as_ref());
        let element = |names: &Names| Element::new(names.element.as_str(), Field::NAME);
        let new = names.filter(|names| !control.elements.contains(&element(names)));
        let new: Vec<(Element, Observed)> = new
            .map(|names| {
                let observed = Observed {
                    value: Value::Text(names.control.clone()),
                    offset: None,
                };
                (element(names), observed)
            })
            .collect();
        if !new.is_empty() {
            Arc::make_mut(control).elements.extend(new);
        }
        Arc::clone(control)
    }

    /// The names of what a trial does not have.
    fn nameless(&self, snapshot: &Snapshot) -> Vec<usize> {
        let names = self.elements.iter().enumerate();
        let names = names.filter(|(_, element)| element.field == Field::NAME);
        let absent = names.filter(|(_, name)| !snapshot.elements.has_path(&name.path));
        absent.map(|(number, _)| number).collect()
    }

    /// Whether the element is part of an output that decides the verdict.
    pub fn decides(&self, element: usize) -> bool {
        self.elements.get(element).is_none_or(|element| {
            let control = self
                .control
                .as_ref()
                .and_then(|c| c.outputs.get(element.output()));
            control
                .or_else(|| self.extra.get(element.output()))
                .copied()
                .unwrap_or(true)
        })
    }

    /// The elements, by number.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// The number of an element that differed in some trial.
    pub fn number_of(&self, element: &Element) -> Option<usize> {
        self.numbers.get(element).copied()
    }

    /// The control trial, once it was observed.
    pub fn control_trial(&self) -> Option<TrialId> {
        self.trials.first_key_value().map(|(trial, _)| *trial)
    }

    /// The control's snapshot, once it was observed.
    pub fn control(&self) -> Option<&Snapshot> {
        self.control.as_deref()
    }

    /// What the element was in the control; `None` where the control has none.
    pub fn control_value(&self, element: usize) -> Option<&Value> {
        self.values.get(element)?.first()?.as_ref()
    }

    /// What the element was in a trial; `None` where the trial has none, or says nothing of it.
    pub fn value_in(&self, element: usize, trial: TrialId) -> Option<&Value> {
        let number = match self.trials.get(&trial)?.get(element).copied() {
            Some(Seen::Value(number)) => usize::try_from(number).ok()?,
            None => 0,
            Some(Seen::Absent | Seen::Unobserved) => return None,
        };
        self.values.get(element)?.get(number)?.as_ref()
    }

    /// Whether the element differs in a trial; `None` where it was not observed.
    pub fn shows(&self, trial: TrialId, element: usize) -> Option<bool> {
        match self.trials.get(&trial)?.get(element).copied() {
            Some(Seen::Unobserved) => None,
            Some(seen) => Some(seen.differs()),
            None => Some(false),
        }
    }

    /// The first trial in which the element was not as in the control.
    pub fn first_difference(&self, element: usize) -> Option<TrialId> {
        let differs = |seen: &Vec<Seen>| seen.get(element).is_some_and(|seen| seen.differs());
        self.trials
            .iter()
            .find(|(_, seen)| differs(seen))
            .map(|(trial, _)| *trial)
    }

    /// All outputs of all trials: whether they decide, and the first trial in which they differed
    /// from the control's.
    pub fn outputs(&self) -> BTreeMap<&str, (bool, Option<TrialId>)> {
        let control = self.control.iter().flat_map(|control| &control.outputs);
        control
            .chain(&self.extra)
            .map(|(path, decides)| (path.as_str(), (*decides, self.differing.get(path).copied())))
            .collect()
    }

    fn number(&mut self, control: &Snapshot, element: Element) -> usize {
        let next = self.elements.len();
        if let Some(number) = self.numbers.get(&element) {
            return *number;
        }
        let value = control.elements.get(&element).cloned();
        self.numbers.insert(element.clone(), next);
        self.elements.push(element);
        self.values.push(vec![value]);
        next
    }

    fn value(&mut self, element: usize, value: Option<Value>) -> Seen {
        let Some(values) = self.values.get_mut(element) else {
            return Seen::Unobserved;
        };
        let known = values.iter().position(|known| *known == value);
        let number = known.unwrap_or_else(|| {
            values.push(value);
            values.len() - 1
        });
        u32::try_from(number).map_or(Seen::Unobserved, Seen::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: Option<&str>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.outputs.insert("out".into(), true);
        if let Some(text) = text {
            let element = Element::new("out", Field::CONTENT);
            let observed = Observed {
                value: Value::Text(text.into()),
                offset: None,
            };
            snapshot.elements.insert(element, observed);
        }
        snapshot
    }

    fn parts(text: &str) -> Parts {
        let (rest, addresses) = text.split_once(' ').unwrap();
        Parts {
            whole: Value::Text(text.into()),
            rest: Value::Text(rest.into()),
            addresses: Some(Value::Text(addresses.into())),
            random: false,
        }
    }

    #[test]
    fn what_was_told_apart_and_joined_again_is_what_it_was() {
        let judged = Judged { metadata: false };
        let texts = [Some("a 1"), Some("a 2"), Some("b 1"), None];
        let mut ledger = Ledger::new(judged);
        for (id, text) in (0..).map(TrialId).zip(texts) {
            ledger.observe(id, &snapshot(text), &[]);
        }
        let element = Element::new("out", Field::CONTENT);
        let number = ledger.number_of(&element).unwrap();
        let seen = |ledger: &Ledger, trial| ledger.seen(TrialId(trial)).unwrap()[number];
        let before: Vec<Seen> = (1..4).map(|trial| seen(&ledger, trial)).collect();

        let known = texts.iter().flatten().map(|text| parts(text));
        ledger.split(number, (0..).map(TrialId).zip(known).collect());
        assert_eq!(seen(&ledger, 1), Seen::Value(0));
        assert!(seen(&ledger, 2).differs());

        ledger.join(number);
        let after: Vec<Seen> = (1..4).map(|trial| seen(&ledger, trial)).collect();
        assert_eq!(before, after);
        let value = |trial| ledger.value_in(number, TrialId(trial)).cloned();
        assert_eq!(value(1), Some(Value::Text("a 2".into())));
        let addresses = ledger.number_of(&element.addresses()).unwrap();
        let moved = (1..4).any(|trial| {
            let seen = ledger.seen(TrialId(trial)).unwrap().get(addresses);
            seen.is_some_and(|seen| seen.differs())
        });
        assert!(!moved);
        let again = ledger.observe(TrialId(4), &snapshot(Some("a 1")), &[]);
        assert!(!again.iter().any(|seen| seen.differs()));
    }
}
