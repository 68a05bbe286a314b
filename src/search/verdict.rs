//! What the records say in the end: one verdict for each element and each factor.

use std::collections::{BTreeMap, BTreeSet};

use super::beside;
use super::classify::{self, Progress, shown, suspects};
use super::noise;
use super::set::Set;
use super::state::State;
use super::types::{
    Breaker, Certified, Control, ElementVerdict, FactorVerdict, Note, Reason, Seen, Verdict,
};
use super::view::{Class, View};
use crate::model::{Expect, Row, TrialId};

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
        let factors = self.factors(&elements);
        Verdict {
            cleared: self.cleared_levels(&elements, &factors),
            factors,
            elements,
            breakers: self.breakers(),
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
                let Some(class) = view.classes.get(*number) else {
                    continue;
                };
                let verdict = self.class_verdict(view, class, progress);
                let adds = beside::adds(self, &verdict);
                for element in &class.members {
                    if self.settled_before(index, *element) {
                        continue;
                    }
                    if self.further_of(index).is_some() {
                        self.add_further(&mut verdicts, index, *element, &verdict);
                        continue;
                    }
                    // What an earlier view has proven stands, unless this one proves more.
                    let known = self.reopened.contains(element) && verdicts.contains_key(element);
                    if adds || !known {
                        verdicts.insert(*element, verdict.clone());
                    }
                }
            }
        }
        self.add_draws(&mut verdicts);
        verdicts
    }

    /// Adds what further levels do to an element. That nothing else does it at the ordinary levels is
    /// part of the proof.
    fn add_further(
        &self,
        verdicts: &mut BTreeMap<usize, ElementVerdict>,
        index: usize,
        element: usize,
        verdict: &ElementVerdict,
    ) {
        let ElementVerdict::Certified { culprits: new } = verdict else {
            verdicts.entry(element).or_insert_with(|| verdict.clone());
            return;
        };
        let mut new = new.clone();
        let known = match verdicts.get_mut(&element) {
            Some(ElementVerdict::Certified { culprits }) => Some(culprits),
            Some(_) => return,
            None => None,
        };
        let same: Vec<(TrialId, Expect)> = match &known {
            Some(culprits) => {
                let steps = culprits.iter().flat_map(|culprit| &culprit.certificate);
                steps
                    .filter(|(_, expect)| *expect == Expect::Same)
                    .copied()
                    .collect()
            }
            None => self.same_before(index, element),
        };
        for culprit in &mut new {
            culprit.certificate.extend(&same);
            culprit.certificate.sort();
            culprit.certificate.dedup();
        }
        match known {
            Some(culprits) => {
                // What several do together at one level, fewer may do at another.
                let covers = |less: &Certified, more: &Certified| {
                    less.set.iter().all(|factor| more.set.contains(factor))
                };
                new.retain(|new| !culprits.iter().any(|known| covers(known, new)));
                culprits.retain(|known| !new.iter().any(|new| covers(new, known)));
                culprits.extend(new);
                culprits.sort_by(|a, b| a.set.cmp(&b.set));
            }
            None => {
                verdicts.insert(element, ElementVerdict::Certified { culprits: new });
            }
        }
    }

    /// The trials of earlier views in which everything varied and an element was the same.
    fn same_before(&self, index: usize, element: usize) -> Vec<(TrialId, Expect)> {
        let reference = self.log.reference(element);
        let tops: BTreeSet<Row> = self
            .views
            .iter()
            .take(index)
            .filter(|view| !view.top.is_empty())
            .map(|view| view.scheme.row(&view.top))
            .collect();
        self.log
            .built()
            .filter(|(_, row, values)| {
                tops.contains(row) && self.log.seen(values, element) == reference
            })
            .map(|(id, ..)| (id, Expect::Same))
            .collect()
    }

    /// Why something that was asked for was not run.
    pub(super) fn unfinished(&self) -> Reason {
        if self.log.trials.len() >= self.budget() {
            Reason::Budget
        } else {
            Reason::Unfinished
        }
    }

    fn class_verdict(&self, view: &View, class: &Class, progress: &Progress) -> ElementVerdict {
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
                reason: self.unfinished(),
                possible: suspects(view, &view.facts(class)).iter().collect(),
            },
            Progress::Unsettled(reason, possible) => ElementVerdict::Unsettled {
                reason: *reason,
                possible: possible.iter().collect(),
            },
        }
    }

    /// Factors whose further levels may have a part in elements with other culprits, without a proof.
    fn further_suspects(&self) -> Set {
        let mut suspects = Set::empty(self.options.factors.len());
        for index in self.ordinary().len()..self.views.len() {
            let Some(view) = self.views.get(index) else {
                continue;
            };
            for (number, progress) in self.progress(index) {
                let class = view.classes.get(*number).filter(|class| class.active);
                if let (Some(class), false) = (class, matches!(progress, Progress::Certified(_))) {
                    suspects = suspects.union(&classify::suspects(view, &view.facts(class)));
                }
            }
        }
        suspects
    }

    /// Per factor, the levels that are cleared: of those that varied with everything else in a trial
    /// that built, the ones that no culprit has.
    fn cleared_levels(
        &self,
        elements: &[ElementVerdict],
        factors: &[FactorVerdict],
    ) -> Vec<Vec<u8>> {
        let mut cleared: Vec<BTreeSet<u8>> = vec![BTreeSet::new(); factors.len()];
        for view in &self.views {
            if view.trials(&view.top).next().is_none() {
                continue;
            }
            for factor in view.top.iter() {
                let level = view.scheme.0.get(factor);
                if let (Some(levels), Some(level)) = (cleared.get_mut(factor), level) {
                    levels.insert(*level);
                }
            }
        }
        for (factor, level) in self.acting_again(elements) {
            if let Some(levels) = cleared.get_mut(factor) {
                levels.remove(&level);
            }
        }
        let active = elements.iter().zip(0_u32..);
        let active = active.filter(|(_, number)| !self.log.passive.contains(number));
        for (element, _) in active {
            let ElementVerdict::Certified { culprits } = element else {
                continue;
            };
            for culprit in culprits {
                for (factor, level) in culprit.set.iter().zip(&culprit.levels) {
                    if let Some(levels) = cleared.get_mut(*factor) {
                        levels.remove(level);
                    }
                }
            }
        }
        let levels = cleared.into_iter().zip(factors);
        levels
            .map(|(levels, said)| match said {
                FactorVerdict::Culprit | FactorVerdict::Cleared => levels.into_iter().collect(),
                _ => Vec::new(),
            })
            .collect()
    }

    /// Culprits at levels that may act on the same element as well, of which nothing was asked there:
    /// it is not as in the control.
    fn acting_again(&self, elements: &[ElementVerdict]) -> BTreeSet<(usize, u8)> {
        let mut acting = BTreeSet::new();
        for (index, view) in self.views.iter().enumerate() {
            let tops: Vec<usize> = view.trials(&view.top).collect();
            let differs = |class: &&Class| {
                let mut tokens = tops.iter().filter_map(|top| class.tokens.get(*top));
                tokens.any(|token| token.differs() == Some(true))
            };
            let members = view
                .classes
                .iter()
                .filter(differs)
                .flat_map(|class| &class.members);
            for member in members.filter(|member| self.settled_before(index, **member)) {
                let Some(ElementVerdict::Certified { culprits }) = elements.get(*member) else {
                    continue;
                };
                let factors = culprits.iter().flat_map(|culprit| &culprit.set);
                let varied = factors.filter(|factor| view.top.has(**factor));
                acting.extend(
                    varied.filter_map(|factor| Some((*factor, *view.scheme.0.get(*factor)?))),
                );
            }
        }
        acting
    }

    /// All breakers, at the ordinary levels and at the further ones.
    fn breakers(&self) -> Vec<Breaker> {
        let further = self
            .further
            .iter()
            .filter_map(|further| further.breaker.clone());
        self.isolation
            .breakers
            .iter()
            .cloned()
            .chain(further)
            .collect()
    }

    /// One verdict per factor, the gravest first.
    fn factors(&self, elements: &[ElementVerdict]) -> Vec<FactorVerdict> {
        let count = self.options.factors.len();
        let mut culprits = Set::empty(count);
        let mut possible = beside::unsettled(self).union(&self.further_suspects());
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
        let flaky = self.log.flaky();
        if let Some((failed, built)) = flaky.first().copied() {
            notes.push(Note::FlakyBuild {
                failed,
                built,
                others: flaky.len() - 1,
            });
        }
        for breaker in &self.isolation.breakers {
            if breaker.set.len() > 1 {
                notes.push(Note::NeverTogether(breaker.set.clone()));
            }
        }
        let further = self
            .further
            .iter()
            .filter(|further| further.needed.is_none());
        let further = further.flat_map(|further| &further.unexplained);
        let unexplained = self.isolation.unexplained.iter().chain(further);
        let unexplained: Vec<TrialId> = unexplained.copied().collect();
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
