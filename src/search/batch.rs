//! Which trials come next: a batch for all workers, the most urgent first, each row chosen in view
//! of those beside it.

use std::collections::BTreeMap;

use super::certificate;
use super::classify::{self, Progress, Purpose, Wanted};
use super::greedy::Pool;
use super::hypotheses::{self, Hypothesis, Prior};
use super::masking;
use super::set::Set;
use super::state::{State, first_scheme, halvings};
use super::types::{Step, Try};
use super::view::{Class, Scheme, View};
use crate::model::{Row, TrialKind};

/// Zip counts in steps of two seconds: with a running clock, a repeat of the control keeps this
/// distance.
const CLOCK_STEP: f64 = 2.1;
/// Of each open class, the proofs of so many explanations are weighed.
const LIKELIEST: usize = 8;
/// The share of an explanation of failures above which it is put to the proof.
const CONVINCED: f64 = 0.7;

impl State<'_> {
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
        let control = Row::control(self.options.factors.len());
        if self.log.control().is_none() {
            return self.opening(&control);
        }
        if let Some(needed) = &self.isolation.needed {
            return self.about_failures(needed);
        }
        if let Some(row) = self.missing_top() {
            return vec![self.attempt(row, TrialKind::Search)];
        }
        let mut tries = Vec::new();
        if self.differs() && self.count(&control) < 2 {
            tries.push(self.attempt(control, TrialKind::Repeat));
        }
        let again = self.contradicted_draws().into_iter();
        tries.extend(again.map(|row| self.attempt(row, TrialKind::Repeat)));
        if self.options.thorough {
            tries.extend(self.masked_rows());
        }
        for index in 0..=self.views.len() {
            // What follows a draw is decided before further levels are tried without the draw.
            if index == self.ordinary().len() {
                tries.extend(self.draw_tries());
            }
            if let Some(needed) = self.further_of(index).and_then(|f| f.needed.as_ref()) {
                return vec![self.attempt(needed.clone(), TrialKind::Search)];
            }
            if tries.len() < self.workers() {
                let wanted = self.wanted(index, &tries);
                tries.extend(wanted);
            }
            if !tries.is_empty() {
                return tries;
            }
        }
        self.repeats()
    }

    /// What elements need that follow a level which is drawn anew in every trial.
    fn draw_tries(&self) -> Vec<Try> {
        let rows = self.agreeing_draws().into_iter().chain(self.about_draws());
        rows.map(|row| self.attempt(row, TrialKind::Search))
            .collect()
    }

    /// The first trials: the control, and as much of what will be needed as runs beside it.
    fn opening(&self, control: &Row) -> Vec<Try> {
        let failures = self.log.failed_with(control).count();
        if failures >= 2 {
            return Vec::new();
        }
        let mut tries = vec![self.attempt(control.clone(), TrialKind::Control)];
        let main = &self.isolation.scheme;
        if failures > 0 || main.top().is_empty() {
            return tries;
        }
        let first = first_scheme(self.options, main);
        let first = first.as_ref().unwrap_or(main);
        tries.push(self.attempt(first.row(&first.top()), TrialKind::Search));
        let mut repeat = self.attempt(control.clone(), TrialKind::Repeat);
        repeat.after_seconds = self.options.clock_runs.then_some(CLOCK_STEP);
        tries.push(repeat);
        if first != main {
            tries.push(self.attempt(main.row(&main.top()), TrialKind::Search));
        }
        if self.workers() > tries.len() {
            let prior = Prior {
                weights: &self.weights,
                proven: &[],
            };
            let open = vec![hypotheses::before_anything(&main.top(), &prior)];
            let mut pool = Pool::new(self.weights.len(), &open, None);
            tries.extend(self.greedy(
                main,
                &mut pool,
                &BTreeMap::new(),
                &[],
                self.workers() - tries.len(),
            ));
        }
        tries
    }

    /// Rows that teach most, as many as `count`.
    fn greedy(
        &self,
        scheme: &Scheme,
        pool: &mut Pool,
        proofs: &BTreeMap<Set, f64>,
        known: &[Set],
        count: usize,
    ) -> Vec<Try> {
        let mut chosen: Vec<Set> = Vec::new();
        let fails = self.views.first().map(|view| &view.failed);
        for _ in 0..count {
            let seed = self.options.seed ^ (self.log.trials.len() + chosen.len()) as u64;
            let allowed = |row: &Set| {
                let breaks = fails.is_some_and(|fails| fails.keys().any(|f| f.is_subset(row)));
                let run = self
                    .log
                    .trials
                    .values()
                    .any(|trial| trial.row == scheme.row(row));
                !breaks && !run && !known.contains(row) && !chosen.contains(row)
            };
            let Some(row) = pool.best(seed, proofs, allowed) else {
                break;
            };
            pool.condition(&row);
            chosen.push(row);
        }
        let rows = chosen.iter().map(|row| scheme.row(row));
        rows.map(|row| self.attempt(row, TrialKind::Search))
            .collect()
    }

    /// What tells which variations break the build.
    fn about_failures(&self, needed: &Set) -> Vec<Try> {
        let scheme = &self.isolation.scheme;
        let Some(view) = self.views.first() else {
            return Vec::new();
        };
        let run = |set: &Set| self.attempt(scheme.row(set), TrialKind::Search);
        if view.failed.contains_key(needed) {
            // Its second failure; beside it, what comes next if it fails again.
            return vec![run(needed), run(&view.top.minus(needed))];
        }
        let facts = view.failures(&self.isolation.unexplained);
        let bound = self.weights.len();
        let replaced = self
            .isolation
            .breakers
            .iter()
            .filter(|breaker| breaker.replaced);
        let suspected = Set::of(bound, replaced.flat_map(|breaker| breaker.set.clone()));
        let found = hypotheses::of_failures(&view.top, &facts.with, &facts.without, &suspected);
        let sum: f64 = found.iter().map(|hypothesis| hypothesis.weight).sum();
        let Some(best) = found.first() else {
            return vec![run(needed)];
        };
        if best.weight >= CONVINCED * sum {
            let sets = best.sets(bound);
            return sets.iter().flat_map(|set| [run(set), run(set)]).collect();
        }
        let open = self.open(0);
        let mut pool = Pool::new(bound, &open, Some(&found));
        let tries = self.greedy(scheme, &mut pool, &BTreeMap::new(), &[], self.workers());
        if tries.is_empty() {
            vec![run(needed)]
        } else {
            tries
        }
    }

    /// The explanations left for each class of a view for which more than one is.
    fn open(&self, index: usize) -> Vec<Vec<Hypothesis>> {
        let progress = self.progress(index).iter();
        progress
            .filter_map(|(_, progress)| match progress {
                Progress::Open(found) => Some(found.clone()),
                _ => None,
            })
            .collect()
    }

    /// Everything varied, where that has not been run: with the levels of the first such trial
    /// if there are such, with the ordinary ones only if that differed.
    pub(super) fn missing_top(&self) -> Option<Row> {
        let mut views = self.ordinary().iter();
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
        let others = self.ordinary().iter().skip(1 + usize::from(self.has_first));
        for view in std::iter::once(main).chain(others) {
            let silent = view.failed.contains_key(&view.top);
            if !view.top.is_empty() && !silent && view.trials(&view.top).next().is_none() {
                return Some(view.scheme.row(&view.top));
            }
        }
        None
    }

    /// What the classes of one view ask for, the most urgent first, beside what is in the batch.
    fn wanted(&self, index: usize, batch: &[Try]) -> Vec<Try> {
        let Some(view) = self.views.get(index) else {
            return Vec::new();
        };
        let mut asked: BTreeMap<(Row, usize), (Purpose, usize)> = BTreeMap::new();
        let mut open = Vec::new();
        let mut bisected = Vec::new();
        for (number, progress) in self.progress(index) {
            let class = view.classes.get(*number).filter(|class| class.active);
            match (class, progress) {
                (Some(class), Progress::Needs(wanted)) => {
                    for Wanted { set, purpose, copy } in wanted {
                        if *purpose == Purpose::Bisection {
                            bisected.push(class);
                        }
                        let entry = asked.entry((view.scheme.row(set), *copy));
                        let entry = entry.or_insert((*purpose, 0));
                        entry.0 = entry.0.min(*purpose);
                        entry.1 += 1;
                    }
                }
                (Some(_), Progress::Open(found)) => open.push(found.clone()),
                _ => {}
            }
        }
        for row in self.singles(view, &bisected) {
            asked.insert((row, 1), (Purpose::Bisection, usize::MAX));
        }
        let mut asked: Vec<(Row, Purpose, usize)> = asked
            .into_iter()
            .map(|((row, _), (purpose, count))| (row, purpose, count))
            .collect();
        asked.sort_by(|a, b| {
            a.1.cmp(&b.1)
                .then(b.2.cmp(&a.2))
                .then_with(|| a.0.cmp(&b.0))
        });
        self.fill(view, batch, asked, &open)
    }

    /// Where several classes must be bisected and few variations are possible, each variation
    /// alone serves all of them.
    fn singles(&self, view: &View, bisected: &[&Class]) -> Vec<Row> {
        if bisected.len() < 2 {
            return Vec::new();
        }
        let none = view.top.minus(&view.top);
        let suspects = bisected.iter().fold(none.clone(), |all, class| {
            all.union(&classify::suspects(view, &view.facts(class)))
        });
        let halvings = usize::try_from(halvings(view.top.len())).unwrap_or(usize::MAX);
        if suspects.len() > bisected.len() * halvings {
            return Vec::new();
        }
        let alone = suspects.iter().map(|factor| none.with(factor));
        alone
            .map(|set| view.scheme.row(&set))
            .filter(|row| self.count(row) == 0 && self.log.failed_with(row).next().is_none())
            .collect()
    }

    /// A batch: what was asked for and is urgent, then what teaches most, then what will be needed.
    fn fill(
        &self,
        view: &View,
        batch: &[Try],
        asked: Vec<(Row, Purpose, usize)>,
        open: &[Vec<Hypothesis>],
    ) -> Vec<Try> {
        let room = self.workers().saturating_sub(batch.len());
        let (urgent, rest): (Vec<_>, Vec<_>) = asked
            .into_iter()
            .partition(|(_, purpose, _)| *purpose < Purpose::Spare);
        let mut tries: Vec<Try> = urgent
            .into_iter()
            .take(room)
            .map(|(row, purpose, _)| self.attempt(row, kind(purpose)))
            .collect();
        if tries.len() < room && !open.is_empty() {
            let mut pool = Pool::new(self.weights.len(), open, None);
            let beside = batch.iter().chain(&tries);
            let known: Vec<Set> = beside.filter_map(|t| view.scheme.set(&t.row)).collect();
            for row in &known {
                pool.condition(row);
            }
            let proofs = likely_proofs(&view.top, open);
            let more = self.greedy(&view.scheme, &mut pool, &proofs, &known, room - tries.len());
            tries.extend(more);
        }
        let closing = tries.is_empty() && batch.is_empty();
        let spare = rest
            .iter()
            .any(|(_, purpose, _)| *purpose < Purpose::Closing);
        for (row, purpose, _) in rest {
            if purpose < Purpose::Closing || (closing && !spare) {
                tries.push(self.attempt(row, kind(purpose)));
            }
        }
        if tries.is_empty() && batch.is_empty() {
            // Nothing tells the explanations apart but the proof of the likeliest.
            tries.extend(self.decide(view, open));
        }
        tries.truncate(room);
        tries
    }

    /// A row of the proof of some likeliest explanation that has not been run.
    fn decide(&self, view: &View, open: &[Vec<Hypothesis>]) -> Option<Try> {
        open.iter()
            .filter_map(|found| found.first())
            .find_map(|best| {
                let proofs = certificate::proofs(&best.sets(self.weights.len()), &view.top)?;
                let rows = proofs.into_iter().flat_map(|proof| proof.rows);
                let mut rows = rows.map(|(set, _)| view.scheme.row(&set));
                let new =
                    rows.find(|row| self.log.trials.values().all(|trial| trial.row != *row))?;
                Some(self.attempt(new, TrialKind::Certificate))
            })
    }

    /// The repeats that a verdict "same" stands on, as many as there are workers.
    fn repeats(&self) -> Vec<Try> {
        let rows = self.missing_repeats().into_iter();
        rows.flat_map(|(row, count)| {
            std::iter::repeat_n(row, count.min(self.workers()))
                .map(|row| self.attempt(row, TrialKind::Repeat))
        })
        .collect()
    }

    /// The control and everything varied, each with the number of trials that are missing behind a
    /// verdict "same".
    pub(super) fn missing_repeats(&self) -> Vec<(Row, usize)> {
        let Some(view) = self.views.get(usize::from(self.has_first)) else {
            return Vec::new();
        };
        let repeats = usize::try_from(self.options.repeats).unwrap_or(usize::MAX);
        let all = view.scheme.row(&view.top);
        let mut rows = vec![Row::control(self.options.factors.len())];
        if !view.top.is_empty() && self.log.failed_with(&all).next().is_none() {
            rows.push(all);
        }
        rows.into_iter()
            .map(|row| {
                let missing = repeats.saturating_sub(self.count(&row));
                (row, missing)
            })
            .filter(|(_, missing)| *missing > 0)
            .collect()
    }

    /// Rows in which each variation is varied without each other one, as far as they were not run:
    /// they show what one other variation masks.
    pub(super) fn masked_rows(&self) -> Vec<Try> {
        let Some(view) = self.views.first() else {
            return Vec::new();
        };
        let rows = masking::rows(&view.top).into_iter();
        rows.filter(|set| {
            let breaks = view.failed.keys().any(|failed| failed.is_subset(set));
            !breaks && view.trials(set).next().is_none()
        })
        .map(|set| self.attempt(view.scheme.row(&set), TrialKind::Search))
        .collect()
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

    fn workers(&self) -> usize {
        self.options.workers.max(1)
    }
}

/// Rows that the proofs of open classes will need, each with how likely that is.
fn likely_proofs(top: &Set, open: &[Vec<Hypothesis>]) -> BTreeMap<Set, f64> {
    let mut needless: BTreeMap<Set, f64> = BTreeMap::new();
    for found in open {
        let sum: f64 = found.iter().map(|hypothesis| hypothesis.weight).sum();
        for hypothesis in found.iter().take(LIKELIEST) {
            let proofs = certificate::proofs(&hypothesis.sets(top.bound()), top);
            let mut rows: Vec<Set> = proofs
                .into_iter()
                .flatten()
                .flat_map(|proof| proof.rows)
                .map(|(row, _)| row)
                .collect();
            rows.sort();
            rows.dedup();
            for row in rows {
                *needless.entry(row).or_insert(1.0) *= 1.0 - hypothesis.weight / sum;
            }
        }
    }
    needless
        .into_iter()
        .map(|(row, chance)| (row, 1.0 - chance))
        .collect()
}

fn kind(purpose: Purpose) -> TrialKind {
    match purpose {
        Purpose::Certificate => TrialKind::Certificate,
        Purpose::Repeat | Purpose::Spare | Purpose::Closing => TrialKind::Repeat,
        Purpose::Bisection | Purpose::Parting => TrialKind::Search,
    }
}
