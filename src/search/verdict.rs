//! What the records say in the end: one verdict for each element and each factor.

use std::collections::BTreeMap;

use super::beside;
use super::classify::{Progress, shown, suspects};
use super::noise;
use super::set::Set;
use super::state::State;
use super::types::{
    Certified, Control, ElementVerdict, FactorVerdict, Note, Reason, Seen, Verdict,
};
use super::view::{Class, View};
use crate::model::{Row, TrialId};

impl State<'_> {
    /// What the records say.
    pub(super) fn verdict(&self) -> Verdict {
        let mut elements: Vec<ElementVerdict> = (0..self.log.elements())
            .map(|element| self.unsearched(element))
            .collect();
        for (element, verdict) in self.searched() {
            if let Some(slot) = elements.get_mut(element) {
                *slot = verdict;
            }
        }
        let control = Row::control(self.options.factors.len());
        let top = self
            .all_varied()
            .map(|(_, view)| view.scheme.row(&view.top));
        let count = |row: &Row| u32::try_from(self.count(row)).unwrap_or(u32::MAX);
        Verdict {
            factors: self.factors(&elements),
            elements,
            breakers: self.isolation.breakers.clone(),
            control: self.control(&control),
            all_varied: self.all_varied().map(|(id, _)| id),
            repeats: (count(&control), top.as_ref().map_or(0, count)),
            notes: self.notes(),
        }
    }

    fn control(&self, control: &Row) -> Control {
        let built = self.log.built_with(control).next().is_some();
        let failed = self.log.failed_with(control).next().is_some();
        match (built, failed) {
            (false, false) => Control::NotRun,
            (true, false) => Control::Builds,
            (true, true) => Control::Flaky,
            (false, true) => Control::Fails,
        }
    }

    /// The verdict on an element that is in no class.
    fn unsearched(&self, element: usize) -> ElementVerdict {
        let unstable = self.unstable.get(&element);
        if let Some((instability, shown_by)) = unstable.and_then(|i| Some((i, i.shown_by?))) {
            let (differing, trials) = (instability.differing, instability.trials);
            let (low, high) = noise::wilson(differing.into(), trials.into());
            return ElementVerdict::Unstable {
                differing,
                trials,
                low,
                high,
                shown_by,
            };
        }
        if self.log.reference(element) == Seen::Unobserved {
            return ElementVerdict::NotInControl;
        }
        let observed = self.log.built();
        let observed =
            observed.filter(|(.., values)| self.log.seen(values, element) != Seen::Unobserved);
        ElementVerdict::Same {
            trials: u32::try_from(observed.count()).unwrap_or(u32::MAX),
        }
    }

    /// The verdicts on the elements that differ in some view.
    fn searched(&self) -> BTreeMap<usize, ElementVerdict> {
        let mut verdicts = BTreeMap::new();
        for (index, view) in self.views.iter().enumerate() {
            for (number, progress) in self.progress(index) {
                let Some(class) = view.classes.get(number) else {
                    continue;
                };
                let verdict = self.class_verdict(view, class, progress);
                let adds = beside::adds(self, &verdict);
                for element in &class.members {
                    // What an earlier view has proven stands, unless this one proves more.
                    let known = self.reopened.contains(element) && verdicts.contains_key(element);
                    if !self.settled_before(index, *element) && (adds || !known) {
                        verdicts.insert(*element, verdict.clone());
                    }
                }
            }
        }
        verdicts
    }

    fn class_verdict(&self, view: &View, class: &Class, progress: Progress) -> ElementVerdict {
        match progress {
            Progress::Certified(proofs) => ElementVerdict::Certified {
                culprits: proofs
                    .iter()
                    .map(|proof| Certified {
                        set: proof.term.iter().collect(),
                        levels: levels(view, &proof.term),
                        certificate: proof
                            .rows
                            .iter()
                            .flat_map(|(set, expect)| {
                                shown(view, class, set, *expect).map(|trial| (trial, *expect))
                            })
                            .collect(),
                    })
                    .collect(),
            },
            Progress::Needs(_) | Progress::Open(_) => ElementVerdict::Unsettled {
                reason: if self.log.trials.len() >= self.budget() {
                    Reason::Budget
                } else {
                    Reason::Unfinished
                },
                possible: suspects(view, &view.facts(class)).iter().collect(),
            },
            Progress::Unsettled(reason, possible) => ElementVerdict::Unsettled {
                reason,
                possible: possible.iter().collect(),
            },
        }
    }

    /// One verdict per factor, the gravest first.
    fn factors(&self, elements: &[ElementVerdict]) -> Vec<FactorVerdict> {
        let count = self.options.factors.len();
        let mut culprits = Set::empty(count);
        let mut possible = beside::unsettled(self);
        // What no trial is spent on says nothing against a variation.
        let active = elements.iter().zip(0_u32..);
        let active = active.filter(|(_, number)| !self.log.passive.contains(number));
        for (element, _) in active {
            match element {
                ElementVerdict::Certified { culprits: found } => {
                    for factor in found.iter().flat_map(|culprit| &culprit.set) {
                        culprits.insert(*factor);
                    }
                }
                ElementVerdict::Unsettled { possible: open, .. } => {
                    for factor in open {
                        possible.insert(*factor);
                    }
                }
                _ => {}
            }
        }
        let mut varied = Set::empty(count);
        for (_, row, _) in self.log.built() {
            for factor in row.varied() {
                varied.insert(factor);
            }
        }
        let breakers = self.isolation.breakers.iter();
        let breaking = Set::of(
            count,
            breakers.flat_map(|breaker| breaker.set.iter().copied()),
        );
        (0..count)
            .map(|factor| {
                if culprits.has(factor) {
                    FactorVerdict::Culprit
                } else if breaking.has(factor) && self.excluded(factor) {
                    FactorVerdict::Breaks
                } else if possible.has(factor) {
                    FactorVerdict::Unsettled
                } else if self.cleared(factor) {
                    FactorVerdict::Cleared
                } else if varied.has(factor) {
                    FactorVerdict::Unsettled
                } else {
                    FactorVerdict::NotTried
                }
            })
            .collect()
    }

    /// Whether no choice of levels has the factor any more.
    fn excluded(&self, factor: usize) -> bool {
        self.views.iter().all(|view| !view.top.has(factor))
    }

    /// Whether everything was varied together with the factor, in a trial that built.
    fn cleared(&self, factor: usize) -> bool {
        let mut views = self.views.iter();
        views.any(|view| view.top.has(factor) && view.trials(&view.top).next().is_some())
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        for (failed, built) in self.log.flaky() {
            notes.push(Note::FlakyBuild { failed, built });
        }
        for breaker in &self.isolation.breakers {
            if breaker.set.len() > 1 {
                notes.push(Note::NeverTogether(breaker.set.clone()));
            }
        }
        let unexplained: Vec<TrialId> = self.isolation.unexplained.clone();
        if !unexplained.is_empty() {
            notes.push(Note::UnexplainedFailures(unexplained));
        }
        if self.log.trials.len() >= self.budget() && self.wants_more() {
            notes.push(Note::BudgetUsed);
        }
        notes
    }
}

fn levels(view: &View, set: &Set) -> Vec<u8> {
    set.iter()
        .map(|factor| view.scheme.0.get(factor).copied().unwrap_or_default())
        .collect()
}
