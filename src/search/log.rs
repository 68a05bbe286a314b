//! What was recorded, in the order of the trials' numbers, whatever the order of completion; and
//! what follows from it without any search: the control, unstable elements, flaky builds.

use std::collections::{BTreeMap, BTreeSet};

use super::types::{Observation, Seen};
use crate::model::{Row, TrialId};

/// One recorded trial.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// The levels.
    pub(super) row: Row,
    /// What became of it.
    pub(super) result: Observation,
}

/// All recorded trials.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    /// By number.
    pub(super) trials: BTreeMap<TrialId, Trial>,
    /// What elements were in trials whose observations ended before them.
    pub(super) earlier: BTreeMap<u32, Seen>,
    /// Elements for which no trial is spent.
    pub(super) passive: BTreeSet<u32>,
    /// Factors whose chosen values were found in the bytes of an element.
    pub(super) hints: BTreeMap<u32, BTreeSet<usize>>,
}

/// How often an unstable element differed between trials of the same environment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instability {
    /// Repeats that differed from the first trial of their environment.
    pub(super) differing: u32,
    /// Repeats.
    pub(super) trials: u32,
    /// Two trials that show it; without them it is not unstable.
    pub(super) shown_by: Option<(TrialId, TrialId)>,
}

impl Instability {
    /// Counts what an element was in the trials of one environment.
    fn compare(&mut self, trials: impl Iterator<Item = (TrialId, Seen)>) {
        let mut trials = trials.filter(|(_, seen)| *seen != Seen::Unobserved);
        let Some((first, value)) = trials.next() else {
            return;
        };
        for (id, seen) in trials {
            self.trials += 1;
            if seen != value {
                self.differing += 1;
                self.shown_by = self.shown_by.or(Some((first, id)));
            }
        }
    }
}

impl Log {
    /// The first control that built: what every other trial is compared with.
    pub(super) fn control(&self) -> Option<TrialId> {
        self.built()
            .find(|(_, row, _)| row.is_control())
            .map(|(id, ..)| id)
    }

    /// The trials that built.
    pub(super) fn built(&self) -> impl Iterator<Item = (TrialId, &Row, &[Seen])> {
        self.trials.iter().filter_map(|(id, trial)| {
            let Observation::Built(seen) = &trial.result else {
                return None;
            };
            Some((*id, &trial.row, seen.as_slice()))
        })
    }

    /// The trials of one environment that built.
    pub(super) fn built_with<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = TrialId> + 'a {
        self.built()
            .filter(move |(_, other, _)| *other == row)
            .map(|(id, ..)| id)
    }

    /// The trials of one environment that did not build.
    pub(super) fn failed_with<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = TrialId> + 'a {
        self.trials
            .iter()
            .filter(move |(_, trial)| {
                trial.row == *row && !matches!(trial.result, Observation::Built(_))
            })
            .map(|(id, _)| *id)
    }

    /// How many elements were seen.
    pub(super) fn elements(&self) -> usize {
        let longest = self.built().map(|(.., seen)| seen.len()).max();
        longest.unwrap_or_default()
    }

    /// What an element was in a trial that built.
    pub(super) fn seen(&self, values: &[Seen], element: usize) -> Seen {
        values.get(element).copied().unwrap_or_else(|| {
            u32::try_from(element)
                .ok()
                .and_then(|number| self.earlier.get(&number).copied())
                .unwrap_or(Seen::Absent)
        })
    }

    /// What the elements are in the control.
    pub(super) fn control_values(&self) -> Option<&[Seen]> {
        let mut built = self.built();
        let (.., values) = built.find(|(_, row, _)| row.is_control())?;
        Some(values)
    }

    /// What an element is in the control.
    pub(super) fn reference(&self, element: usize) -> Seen {
        self.control_values()
            .map_or(Seen::Unobserved, |values| self.seen(values, element))
    }

    /// Environments that built in one trial and failed in another: one such pair of trials each,
    /// the failed one first.
    pub(super) fn flaky(&self) -> Vec<(TrialId, TrialId)> {
        let mut environments: BTreeMap<&Row, (Option<TrialId>, Option<TrialId>)> = BTreeMap::new();
        for (id, trial) in &self.trials {
            let entry = environments.entry(&trial.row).or_default();
            match trial.result {
                Observation::Built(_) => entry.1 = entry.1.or(Some(*id)),
                Observation::Failed | Observation::TimedOut => entry.0 = entry.0.or(Some(*id)),
            }
        }
        environments
            .into_values()
            .filter_map(|(failed, built)| Some((failed?, built?)))
            .collect()
    }

    /// The elements that differ between two trials of the same environment, one of those that
    /// `counts` names. `volatile` says whether an environment changes its own values from trial to trial.
    pub(super) fn unstable(
        &self,
        counts: impl Fn(&Row) -> bool,
        volatile: impl Fn(&Row) -> bool,
    ) -> BTreeMap<usize, Instability> {
        let mut environments: BTreeMap<&Row, Vec<(TrialId, &[Seen])>> = BTreeMap::new();
        for (id, row, values) in self.built().filter(|(_, row, _)| counts(row)) {
            environments.entry(row).or_default().push((id, values));
        }
        environments.retain(|_, trials| trials.len() > 1);
        let control = self.control_values();
        let mut unstable = BTreeMap::new();
        for element in 0..self.elements() {
            let reference = control.map_or(Seen::Unobserved, |values| self.seen(values, element));
            let mut known = Instability {
                differing: 0,
                trials: 0,
                shown_by: None,
            };
            for (row, trials) in &environments {
                let only_same_or_not = volatile(row);
                let seen = trials.iter().map(|(id, values)| {
                    let seen = self.seen(values, element);
                    let same = Seen::Value(0);
                    (
                        *id,
                        if only_same_or_not && seen == reference {
                            same
                        } else if only_same_or_not && seen != Seen::Unobserved {
                            Seen::Value(1)
                        } else {
                            seen
                        },
                    )
                });
                known.compare(seen);
            }
            if known.shown_by.is_some() {
                unstable.insert(element, known);
            }
        }
        unstable
    }
}
