//! Where a search stands: everything that follows from the log, computed anew each time, so that
//! nothing depends on the order in which trials were finished or on what was in memory.

use std::collections::BTreeMap;

use super::classify::{self, Progress, Purpose, Setting, Wanted};
use super::isolate::{self, Isolation};
use super::log::{Instability, Log};
use super::noise;
use super::types::{Options, Step, Try};
use super::view::{Scheme, View};
use crate::model::{Row, TrialId, TrialKind};

/// Zip counts in steps of two seconds: with a running clock, a repeat of the control keeps this
/// distance.
const CLOCK_STEP: f64 = 2.1;
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
    /// The log through each choice of levels that matters, the main one first.
    pub(super) views: Vec<View>,
    /// Elements that differ between trials of the same environment.
    pub(super) unstable: BTreeMap<usize, Instability>,
    /// Whether the second choice of levels is the one of the first all-varied trial.
    pub(super) has_first: bool,
    order: Vec<usize>,
    weights: Vec<f64>,
}

impl<'a> State<'a> {
    /// What follows from the log.
    pub(super) fn new(log: &'a Log, options: &'a Options) -> Self {
        let factors = options.factors.as_slice();
        let volatile = |row: &Row| isolate::volatile(factors, row);
        let isolation = isolate::isolate(log, factors);
        let unstable = log.unstable(volatile);
        let mut schemes = vec![isolation.scheme.clone()];
        let first = first_scheme(options, &isolation.scheme)
            .filter(|first| log.failed_with(&first.row(&first.top())).next().is_none());
        let has_first = first.is_some();
        schemes.extend(first);
        schemes.extend(isolation.others.iter().cloned());
        let skip = |element: usize| unstable.contains_key(&element);
        let views = schemes
            .into_iter()
            .map(|scheme| View::new(log, scheme, skip, volatile))
            .collect();
        Self {
            log,
            options,
            isolation,
            views,
            has_first,
            order: isolate::order(factors),
            weights: weights(options),
            unstable,
        }
    }

    /// What to do next.
    pub(super) fn step(&self) -> Step {
        let left = self.budget().saturating_sub(self.log.trials.len());
        let mut tries = self.tries();
        tries.truncate(left.min(self.workers()));
        if tries.is_empty() {
            Step::Done
        } else {
            Step::Run(tries)
        }
    }

    /// Whether something is still to be tried, budget aside.
    pub(super) fn wants_more(&self) -> bool {
        !self.tries().is_empty()
    }

    fn tries(&self) -> Vec<Try> {
        let count = self.options.factors.len();
        if self.log.control().is_none() {
            return self.opening(&Row::control(count));
        }
        if let Some(needed) = &self.isolation.needed {
            return vec![self.attempt(self.isolation.scheme.row(needed), TrialKind::Search)];
        }
        if let Some(row) = self.missing_top() {
            return vec![self.attempt(row, TrialKind::Search)];
        }
        if self.differs() && self.count(&Row::control(count)) < 2 {
            return vec![self.attempt(Row::control(count), TrialKind::Repeat)];
        }
        for (index, _) in self.views.iter().enumerate() {
            let tries = self.wanted(index);
            if !tries.is_empty() {
                return tries;
            }
        }
        self.repeats()
    }

    /// The first trials: the control, and as much of what will be needed as runs beside it.
    fn opening(&self, control: &Row) -> Vec<Try> {
        let failures = self.log.failed_with(control).count();
        if failures >= 2 {
            return Vec::new();
        }
        let mut tries = vec![self.attempt(control.clone(), TrialKind::Control)];
        if failures == 0 && !self.options.factors.is_empty() {
            let first = first_scheme(self.options, &self.isolation.scheme);
            let first = first.unwrap_or_else(|| self.isolation.scheme.clone());
            tries.push(self.attempt(first.row(&first.top()), TrialKind::Search));
            let mut repeat = self.attempt(control.clone(), TrialKind::Repeat);
            repeat.after_seconds = self.options.clock_runs.then_some(CLOCK_STEP);
            tries.push(repeat);
        }
        tries
    }

    /// Everything varied, where that has not been run: with the levels of the first such trial
    /// if there are such, with the ordinary ones only if that differed.
    fn missing_top(&self) -> Option<Row> {
        let mut views = self.views.iter();
        let main = views.next()?;
        let first = views.next().filter(|_| self.has_first);
        if let Some(first) = first {
            if first.trials(&first.top).next().is_none() {
                return Some(first.scheme.row(&first.top));
            }
            if !first.classes.iter().any(|class| class.active)
                && main.probes.iter().all(|probe| probe.set.is_empty())
            {
                return None;
            }
        }
        let ordinary =
            std::iter::once(main).chain(self.views.iter().skip(1 + usize::from(self.has_first)));
        for view in ordinary {
            let silent = view.failed.contains_key(&view.top);
            if !view.top.is_empty() && !silent && view.trials(&view.top).next().is_none() {
                return Some(view.scheme.row(&view.top));
            }
        }
        None
    }

    /// Whether an element differs between different environments, or between equal ones.
    pub(super) fn differs(&self) -> bool {
        !self.unstable.is_empty() || self.views.iter().any(|view| !view.classes.is_empty())
    }

    /// What the classes of one view ask for.
    fn wanted(&self, index: usize) -> Vec<Try> {
        let Some(view) = self.views.get(index) else {
            return Vec::new();
        };
        let mut rows: BTreeMap<Row, (Purpose, usize)> = BTreeMap::new();
        for (number, progress) in self.progress(index) {
            let class = view.classes.get(number);
            if let (Progress::Needs(wanted), true) = (progress, class.is_some_and(|c| c.active)) {
                for Wanted { set, purpose } in wanted {
                    let entry = rows.entry(view.scheme.row(&set)).or_insert((purpose, 0));
                    entry.0 = entry.0.min(purpose);
                    entry.1 += 1;
                }
            }
        }
        let mut rows: Vec<(Row, (Purpose, usize))> = rows.into_iter().collect();
        rows.sort_by(|(a, (a_purpose, a_count)), (b, (b_purpose, b_count))| {
            let urgency = a_purpose.cmp(b_purpose);
            urgency.then(b_count.cmp(a_count)).then_with(|| a.cmp(b))
        });
        if rows
            .iter()
            .any(|(_, (purpose, _))| *purpose != Purpose::Closing)
        {
            rows.retain(|(_, (purpose, _))| *purpose != Purpose::Closing);
        }
        rows.into_iter()
            .map(|(row, (purpose, _))| {
                let kind = match purpose {
                    Purpose::Certificate => TrialKind::Certificate,
                    Purpose::Repeat | Purpose::Closing => TrialKind::Repeat,
                    Purpose::Search => TrialKind::Search,
                };
                self.attempt(row, kind)
            })
            .collect()
    }

    /// How far each class of a view is; an element that an earlier view shows to differ is left to
    /// that view.
    pub(super) fn progress(&self, index: usize) -> Vec<(usize, Progress)> {
        let Some(view) = self.views.get(index) else {
            return Vec::new();
        };
        let setting = Setting {
            order: &self.order,
            weights: &self.weights,
            noisy: self.unstable.len(),
            clock_runs: self.options.clock_runs,
        };
        let classes = view.classes.iter().enumerate();
        classes
            .filter(|(_, class)| {
                class
                    .members
                    .iter()
                    .any(|e| !self.settled_before(index, *e))
            })
            .map(|(number, class)| (number, classify::progress(view, class, &setting)))
            .collect()
    }

    /// Whether an earlier view shows that an element differs.
    pub(super) fn settled_before(&self, index: usize, element: usize) -> bool {
        self.views.iter().take(index).any(|view| {
            let mut classes = view.classes.iter();
            classes.any(|class| class.members.binary_search(&element).is_ok())
        })
    }

    /// The repeats that a verdict "same" stands on.
    fn repeats(&self) -> Vec<Try> {
        let Some(view) = self.views.get(usize::from(self.has_first)) else {
            return Vec::new();
        };
        let repeats = usize::try_from(self.options.repeats).unwrap_or(usize::MAX);
        let mut tries = Vec::new();
        let rows = [
            Row::control(self.options.factors.len()),
            view.scheme.row(&view.top),
        ];
        for row in rows {
            let missing = repeats.saturating_sub(self.count(&row));
            if !row.is_control() && self.log.failed_with(&row).next().is_some() {
                continue;
            }
            for _ in 0..missing.min(self.workers()) {
                tries.push(self.attempt(row.clone(), TrialKind::Repeat));
            }
            if row.is_control() && view.top.is_empty() {
                break;
            }
        }
        tries
    }

    /// A try of a row; the control keeps its distance where the clock runs.
    fn attempt(&self, row: Row, kind: TrialKind) -> Try {
        let again = self.log.trials.values().any(|trial| trial.row == row);
        let control = row.is_control();
        Try {
            kind: match kind {
                TrialKind::Control => TrialKind::Control,
                _ if again => TrialKind::Repeat,
                kind => kind,
            },
            after_seconds: (control && again && self.options.clock_runs).then_some(CLOCK_STEP),
            row,
        }
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

    fn workers(&self) -> usize {
        self.options.workers.max(1)
    }
}

/// The levels of the first all-varied trial, where they are not the ordinary ones.
fn first_scheme(options: &Options, main: &Scheme) -> Option<Scheme> {
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

/// Only for the estimate: how often a number can be halved.
pub(super) fn halvings(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}
