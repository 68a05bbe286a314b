//! Where a search stands: everything that follows from the log, computed anew each time, so that
//! nothing depends on the order in which trials were finished or on what was in memory.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::beside;
use super::chance;
use super::classify::{self, Progress, Setting};
use super::further::{self, Further};
use super::hypotheses::Prior;
use super::isolate::{self, Isolation};
use super::log::{Instability, Log};
use super::noise;
use super::set::Set;
use super::types::Options;
use super::view::{self, Reading, Scheme, View};
use crate::model::{Row, TrialId};

/// The share of the prior that every factor has alike, so that a wrong prior rules nothing out.
const UNIFORM_SHARE: f64 = 0.2;

/// Where a search stands.
#[derive(Debug)]
pub(super) struct State<'a> {
    /// What was recorded.
    pub(super) log: &'a Log,
    /// What the search works with.
    pub(super) options: &'a Options,
    /// What breaks the build.
    pub(super) isolation: Isolation,
    /// The log through each choice of levels that matters, the main one first, those of further
    /// levels last.
    pub(super) views: Vec<View>,
    /// What belongs to the last of the views, in the same order.
    pub(super) further: Vec<Further>,
    /// Elements that differ between trials of the same environment, no level of which is drawn anew.
    pub(super) unstable: BTreeMap<usize, Instability>,
    /// The others that differ between trials of the same environment: they follow a draw.
    pub(super) drawn: BTreeSet<usize>,
    /// Whether the second choice of levels is the one of the first all-varied trial.
    pub(super) has_first: bool,
    /// Elements whose culprits are known, and of which the first all-varied trial shows that its own
    /// levels may change them besides.
    pub(super) reopened: BTreeSet<usize>,
    /// How likely each factor is a culprit, together 1.
    pub(super) weights: Vec<f64>,
    /// The factors, the likeliest culprits first.
    pub(super) order: Vec<usize>,
    /// How many classes are unstable.
    pub(super) noisy: usize,
    doubt: f64,
    /// How far the classes of each view are, once that was asked.
    known: Vec<OnceCell<Vec<(usize, Progress)>>>,
}

impl<'a> State<'a> {
    /// What follows from the log.
    pub(super) fn new(log: &'a Log, options: &'a Options) -> Self {
        let factors = options.factors.as_slice();
        let volatile = |row: &Row| view::is_volatile(factors, row);
        let has_draw = |row: &Row| view::is_drawn(&options.draws, row);
        let isolation = isolate::isolate(log, factors);
        let unstable = log.unstable(|row| !has_draw(row), volatile);
        let parted = log.unstable(has_draw, volatile).into_keys();
        let drawn: BTreeSet<usize> = parted.filter(|e| !unstable.contains_key(e)).collect();
        let main = isolation.scheme.clone();
        let reading = Reading {
            factors,
            draws: &options.draws,
            drawn: &drawn,
            skip: &|element| unstable.contains_key(&element),
        };
        let stable = |element| !unstable.contains_key(&element);
        let unstable_only = Reading {
            skip: &stable,
            ..reading
        };
        let noise = View::new(log, main.clone(), Some(&unstable_only));
        let mut schemes = vec![main.clone()];
        let first = first_scheme(options, &main)
            .filter(|first| log.failed_with(&first.row(&first.top())).next().is_none());
        let has_first = first.is_some();
        schemes.extend(first);
        schemes.extend(isolation.others.iter().cloned());
        let mut seen = Vec::new();
        schemes.retain(|scheme| {
            let new = !seen.contains(scheme);
            seen.push(scheme.clone());
            new
        });
        let views: Vec<View> = schemes
            .into_iter()
            .map(|scheme| View::new(log, scheme, Some(&reading)))
            .collect();
        let weights = weights(options);
        let mut state = Self {
            log,
            options,
            isolation,
            known: views.iter().map(|_| OnceCell::new()).collect(),
            views,
            further: Vec::new(),
            has_first,
            order: isolate::order(factors),
            doubt: noise::allowance(&weights, chance::DOUBT),
            weights,
            noisy: noise.classes.len(),
            unstable,
            drawn,
            reopened: BTreeSet::new(),
        };
        state.reopened = beside::reopened(&state);
        further::open(&mut state);
        state
    }

    /// Adds a view of further levels.
    pub(super) fn push(&mut self, view: View, further: Further) {
        self.views.push(view);
        self.further.push(further);
        self.known.push(OnceCell::new());
    }

    /// The views of the ordinary levels.
    pub(super) fn ordinary(&self) -> &[View] {
        let count = self.views.len().saturating_sub(self.further.len());
        self.views.get(..count).unwrap_or_default()
    }

    /// What belongs to a view of further levels.
    pub(super) fn further_of(&self, index: usize) -> Option<&Further> {
        self.further.get(index.checked_sub(self.ordinary().len())?)
    }

    /// Whether something is still to be asked of the views that there are.
    pub(super) fn is_open(&self) -> bool {
        let control = Row::control(self.options.factors.len());
        let open = |index: usize| {
            let classes = self.views.get(index).map_or(&[][..], |view| &view.classes);
            self.progress(index).iter().any(|(number, progress)| {
                let active = classes.get(*number).is_some_and(|class| class.active);
                active && matches!(progress, Progress::Needs(_) | Progress::Open(_))
            })
        };
        self.log.control().is_none()
            || self.isolation.needed.is_some()
            || self.missing_top().is_some()
            || (self.differs() && self.count(&control) < 2)
            || (self.options.thorough && !self.masked_rows().is_empty())
            || self.further.iter().any(|further| further.needed.is_some())
            || (0..self.views.len()).any(open)
            || !self.contradicted_draws().is_empty()
            || !self.agreeing_draws().is_empty()
            || !self.about_draws().is_empty()
    }

    /// Whether an element differs between different environments, or between equal ones.
    pub(super) fn differs(&self) -> bool {
        !self.unstable.is_empty()
            || !self.drawn.is_empty()
            || self.views.iter().any(|view| !view.classes.is_empty())
    }

    /// How far each class of a view is; an element that an earlier view shows to differ is left to
    /// that view.
    pub(super) fn progress(&self, index: usize) -> &[(usize, Progress)] {
        let known = self.known.get(index);
        known.map_or(&[], |known| {
            known.get_or_init(|| self.progress_given(index, &[]))
        })
    }

    /// The same as if `likely` sets were proven, and beyond doubt.
    pub(super) fn progress_given(&self, index: usize, likely: &[Set]) -> Vec<(usize, Progress)> {
        let Some(view) = self.views.get(index) else {
            return Vec::new();
        };
        let mut setting = self.setting(index, &[], &[]);
        let classes = || {
            let classes = view.classes.iter().enumerate();
            classes.filter(|(_, class)| {
                class
                    .members
                    .iter()
                    .any(|element| !self.settled_before(index, *element))
            })
        };
        let (mut proven, mut certain) = (likely.to_vec(), likely.to_vec());
        for (_, class) in classes() {
            let (sets, is_certain) = classify::proven(view, class, &setting);
            if is_certain {
                certain.extend(sets.iter().cloned());
            }
            proven.extend(sets);
        }
        for sets in [&mut proven, &mut certain] {
            sets.sort();
            sets.dedup();
        }
        setting.prior.proven = &proven;
        setting.certain = &certain;
        classes()
            .map(|(number, class)| (number, classify::progress(view, class, &setting)))
            .collect()
    }

    /// What all classes of a view share, given the sets that are proven for some of them, and those
    /// beyond doubt.
    pub(super) fn setting<'s>(
        &'s self,
        index: usize,
        proven: &'s [Set],
        certain: &'s [Set],
    ) -> Setting<'s> {
        let further = self.further_of(index);
        Setting {
            order: &self.order,
            prior: Prior {
                weights: further.map_or(&self.weights, |further| &further.weights),
                proven,
            },
            certain,
            doubt: further.map_or(self.doubt, |further| further.doubt),
            noisy: self.noisy,
            clock_runs: self.options.clock_runs,
        }
    }

    /// Whether an earlier view shows that an element differs, and leaves nothing to this one.
    pub(super) fn settled_before(&self, index: usize, element: usize) -> bool {
        if let Some(further) = self.further_of(index) {
            return further.settled.contains(&element);
        }
        if index == 1 && self.reopened.contains(&element) {
            return false;
        }
        self.views.iter().take(index).any(|view| {
            let mut classes = view.classes.iter();
            classes.any(|class| class.members.binary_search(&element).is_ok())
        })
    }

    /// How many trials of a row built.
    pub(super) fn count(&self, row: &Row) -> usize {
        self.log.built_with(row).count()
    }

    /// The first trial in which everything varied and that built.
    pub(super) fn all_varied(&self) -> Option<(TrialId, &View)> {
        let views = self.views.iter();
        views
            .filter(|view| !view.top.is_empty())
            .filter_map(|view| {
                let index = view.trials(&view.top).next()?;
                Some((view.probes.get(index)?.id, view))
            })
            .min_by_key(|(id, _)| *id)
    }

    /// How many trials there may be.
    pub(super) fn budget(&self) -> usize {
        let most = 6 * self.options.factors.len().min(60) + 80;
        let asked = self.options.budget_trials.map(usize::try_from);
        most.min(asked.and_then(Result::ok).unwrap_or(most))
    }
}

/// The levels of the first all-varied trial, where they are not the ordinary ones.
pub(super) fn first_scheme(options: &Options, main: &Scheme) -> Option<Scheme> {
    let mut scheme = main.clone();
    for (factor, level) in &options.first_levels {
        let known = options.factors.get(*factor)?;
        let slot = scheme.0.get_mut(*factor)?;
        if *slot == 1 && (1..=known.levels).contains(level) {
            *slot = *level;
        }
    }
    (scheme != *main).then_some(scheme)
}

/// How likely each factor is a culprit, together 1; none is ruled out.
fn weights(options: &Options) -> Vec<f64> {
    let sum: f64 = options
        .factors
        .iter()
        .map(|factor| factor.weight.max(0.0))
        .sum();
    let count = noise::real(options.factors.len().max(1));
    let share = |weight: f64| {
        if sum > 0.0 {
            weight.max(0.0) / sum
        } else {
            1.0 / count
        }
    };
    let factors = options.factors.iter();
    factors
        .map(|factor| (1.0 - UNIFORM_SHARE) * share(factor.weight) + UNIFORM_SHARE / count)
        .collect()
}

/// How often a number can be halved.
pub(super) fn halvings(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}
