//! Levels beside the ordinary ones. Once the search is done with those, one more row lets every
//! variation that has another level stand at it, but for those that are known to act: what they do
//! would hide the rest. Where some are known, one more row varies them as well, for the elements that
//! they left alone so far, and for those that several did together: one may do it alone here. Where such
//! a row breaks the build, it is halved until the breaker is out; what was in no row that built was not
//! tried. A level that goes with nothing else has a row of its own.

use std::collections::BTreeSet;

use super::chance;
use super::classify::Progress;
use super::isolate::{self, Isolation};
use super::log::Log;
use super::noise;
use super::set::Set;
use super::state::State;
use super::types::{Breaker, Options};
use super::view::{Scheme, View};
use crate::model::{Row, TrialId};

/// So many trials are spent on a row that breaks the build.
const HALVINGS: usize = 4;
/// A level that breaks the build fails so often.
const FAILURES: usize = 2;
/// How likely a variation at its ordinary level is to blame here, next to the others: the ordinary
/// rows would have shown what it does alone.
const ORDINARY: f64 = 0.1;
/// What each of these rows may blame on chance, as a part of what the ordinary ones may.
const SHARE_OF_DOUBT: f64 = 0.25;

/// What belongs to a view of further levels.
#[derive(Debug)]
pub(super) struct Further {
    /// Elements that are left to earlier views.
    pub(super) settled: BTreeSet<usize>,
    /// How likely each factor is a culprit here, together 1.
    pub(super) weights: Vec<f64>,
    /// How often chance may be blamed, in units of a claim's weight.
    pub(super) doubt: f64,
    /// The row that is missing before anything is searched.
    pub(super) needed: Option<Row>,
    /// The level that breaks the build.
    pub(super) breaker: Option<Breaker>,
    /// Failures that no level explains.
    pub(super) unexplained: Vec<TrialId>,
}

/// Everything varied, with the factors that stand at a level which no earlier row had.
struct Choice {
    scheme: Scheme,
    own: Set,
    /// It is about one level that goes with nothing else.
    apart: bool,
}

/// How a row fared that may break the build.
struct Halved {
    /// As much of it as built in one trial.
    top: Set,
    /// The row that is missing.
    needed: Option<Set>,
    /// What breaks the build.
    breaker: Option<usize>,
    /// The failed trials.
    failed: Vec<TrialId>,
}

/// Opens the views of further levels, each when all before it have nothing left to ask.
pub(super) fn open(state: &mut State<'_>) {
    for choice in choices(state.options, &state.isolation) {
        if state.is_open() {
            return;
        }
        let known = if choice.apart {
            Set::empty(state.options.factors.len())
        } else {
            culprits(state)
        };
        let first = choice.without(&known);
        let mut whole = choice;
        if !first.own.is_empty() {
            let (view, further) = look(state, &first);
            if let Some(breaker) = &further.breaker {
                whole = whole.with_ordinary(&breaker.set, &state.isolation.scheme);
            }
            state.push(view, further);
        }
        if !known.is_empty() && !whole.own.is_empty() && !state.is_open() {
            let (view, further) = look(state, &whole);
            state.push(view, further);
        }
    }
}

/// How many rows of further levels are still to be run, as far as that is known.
pub(super) fn left(state: &State<'_>) -> usize {
    let all = choices(state.options, &state.isolation).len();
    let done = state
        .further
        .iter()
        .filter(|further| further.needed.is_none());
    all.saturating_sub(done.count())
}

/// The further levels of every factor together, the lowest first, all of them only if that is asked
/// for; then those that stand alone.
fn choices(options: &Options, isolation: &Isolation) -> Vec<Choice> {
    let most = options.factors.iter().map(|factor| factor.levels).max();
    let rows = if options.thorough {
        most.unwrap_or_default()
    } else {
        1
    };
    let together = (0..usize::from(rows)).map(|row| {
        let levels =
            (0..options.factors.len()).map(|factor| further(options, isolation, factor, row));
        Choice::new(levels.collect(), false, options, isolation)
    });
    let apart = options.apart.iter().map(|(factor, level)| {
        let used = isolation.scheme.0.iter().enumerate();
        let levels = used.map(|(other, used)| {
            if other == *factor && *used != 0 {
                *level
            } else {
                0
            }
        });
        Choice::new(levels.collect(), true, options, isolation)
    });
    let all = together.chain(apart);
    all.filter(|choice| !choice.own.is_empty()).collect()
}

/// The level that the first trial with everything varied has, or would have.
fn opening(options: &Options, factor: usize, used: u8) -> u8 {
    let mut own = options.first_levels.iter();
    let own = own.find(|(other, _)| *other == factor && used == 1);
    own.map_or(used, |(_, level)| *level)
}

/// The level of a factor in one of the rows: the next that was in no trial with everything varied,
/// else the ordinary one.
fn further(options: &Options, isolation: &Isolation, factor: usize, row: usize) -> u8 {
    let used = isolation.scheme.0.get(factor).copied().unwrap_or_default();
    let levels = options.factors.get(factor).map_or(0, |known| known.levels);
    let broken = |level: &u8| {
        let mut breakers = isolation.breakers.iter();
        breakers.any(|breaker| breaker.is_level(factor, *level))
    };
    let opened = opening(options, factor, used);
    let mut others = (1..=levels).filter(|level| *level != opened && !broken(level));
    others.nth(row).filter(|_| used != 0).unwrap_or(used)
}

impl Choice {
    fn new(levels: Vec<u8>, apart: bool, options: &Options, isolation: &Isolation) -> Self {
        let used = levels.iter().zip(&isolation.scheme.0).enumerate();
        let own = used.filter(|(factor, (level, used))| {
            level != used && **level != 0 && **level != opening(options, *factor, **used)
        });
        Self {
            own: Set::of(levels.len(), own.map(|(factor, _)| factor)),
            scheme: Scheme(levels),
            apart,
        }
    }

    fn without(&self, factors: &Set) -> Self {
        let scheme = within(&self.scheme, &self.scheme.top().minus(factors));
        Self {
            own: self.own.minus(factors),
            scheme,
            apart: self.apart,
        }
    }

    /// With these factors at their ordinary levels.
    fn with_ordinary(mut self, factors: &[usize], ordinary: &Scheme) -> Self {
        for factor in factors {
            let level = ordinary.0.get(*factor).copied().unwrap_or_default();
            isolate::set_level(&mut self.scheme, *factor, level);
            self.own = self.own.without(*factor);
        }
        self
    }
}

/// The choice of levels with these factors alone.
fn within(scheme: &Scheme, factors: &Set) -> Scheme {
    Scheme(scheme.row(factors).0)
}

/// The factors of all sets that are proven so far.
fn culprits(state: &State<'_>) -> Set {
    let mut all = Set::empty(state.options.factors.len());
    for index in 0..state.views.len() {
        for (_, progress) in state.progress(index) {
            if let Progress::Certified(proofs) = progress {
                all = proofs.iter().fold(all, |all, proof| all.union(&proof.term));
            }
        }
    }
    all
}

/// The log through one choice of further levels.
fn look(state: &State<'_>, choice: &Choice) -> (View, Further) {
    let halved = halve(state, choice);
    let view = View::new(
        state.log,
        within(&choice.scheme, &halved.top),
        |element| state.unstable.contains_key(&element),
        |row| isolate::volatile(&state.options.factors, row),
    );
    let weights = weights(&state.weights, &view.top, &choice.own);
    let level = |factor: usize| choice.scheme.0.get(factor).copied().unwrap_or_default();
    let (explained, unexplained) = match halved.breaker {
        Some(_) => (halved.failed, Vec::new()),
        None => (Vec::new(), halved.failed),
    };
    let further = Further {
        settled: settled(state, &view.top),
        doubt: noise::allowance(&weights, SHARE_OF_DOUBT * chance::DOUBT),
        weights,
        needed: halved.needed.map(|set| choice.scheme.row(&set)),
        breaker: halved.breaker.map(|factor| Breaker {
            set: vec![factor],
            levels: vec![level(factor)],
            replaced: false,
            failed: explained,
        }),
        unexplained,
    };
    (view, further)
}

/// The elements of earlier views of which nothing is asked here: those that are not understood, and
/// those on which one factor is known to act that would act here again.
fn settled(state: &State<'_>, top: &Set) -> BTreeSet<usize> {
    let mut settled = BTreeSet::new();
    for (index, view) in state.views.iter().enumerate() {
        for (number, progress) in state.progress(index) {
            let known = match progress {
                // Less than what several do together may do here.
                Progress::Certified(proofs) => proofs
                    .iter()
                    .any(|proof| proof.term.len() == 1 && proof.term.meets(top)),
                _ => true,
            };
            let class = view.classes.get(*number).filter(|_| known);
            settled.extend(class.iter().flat_map(|class| &class.members));
        }
    }
    settled
}

fn weights(given: &[f64], top: &Set, own: &Set) -> Vec<f64> {
    let share = |(factor, weight): (usize, &f64)| match (top.has(factor), own.has(factor)) {
        (false, _) => 0.0,
        (true, false) => ORDINARY * weight,
        (true, true) => *weight,
    };
    let shares: Vec<f64> = given.iter().enumerate().map(share).collect();
    let sum: f64 = shares.iter().sum();
    let all = if sum > 0.0 { sum } else { 1.0 };
    shares.into_iter().map(|share| share / all).collect()
}

/// Follows the log from the whole row to what of it builds, taking one of its own factors to break
/// the build: each step leaves out half of those that may.
fn halve(state: &State<'_>, choice: &Choice) -> Halved {
    let whole = choice.scheme.top();
    let rows = Rows::of(state.log, choice);
    let mut halved = Halved {
        top: whole.clone(),
        needed: None,
        breaker: None,
        failed: rows.failed.iter().map(|(id, _)| *id).collect(),
    };
    if rows.has_built(&whole) {
        halved.failed.clear();
        return halved;
    }
    if rows.failed.is_empty() {
        halved.needed = Some(whole);
        return halved;
    }
    halved.top = rows.largest_built(&whole);
    let all_failed = rows
        .failed
        .iter()
        .fold(choice.own.clone(), |all, (_, set)| all.intersection(set));
    let suspects = rows
        .built
        .iter()
        .fold(all_failed, |left, set| left.minus(set));
    let suspects: Vec<usize> = state
        .order
        .iter()
        .copied()
        .filter(|factor| suspects.has(*factor))
        .collect();
    let spent = rows.built.len() + rows.failed.len() > HALVINGS;
    let next = match suspects.as_slice() {
        [] => None,
        [one] => {
            let rest = whole.without(*one);
            let alone = whole.minus(&rest);
            let failures = rows.failed.iter().filter(|(_, set)| set.has(*one)).count();
            halved.breaker = Some(*one);
            if halved.top == rest {
                (failures < FAILURES).then_some(alone)
            } else {
                Some(rest)
            }
        }
        several => {
            let out = several.iter().take(several.len().div_ceil(2));
            Some(out.fold(whole.clone(), |row, factor| row.without(*factor)))
        }
    };
    halved.needed = next.filter(|_| !spent);
    if halved.needed.is_some() {
        halved.breaker = None;
    }
    halved
}

/// The trials in which one of a choice's own levels took part.
struct Rows {
    built: Vec<Set>,
    failed: Vec<(TrialId, Set)>,
}

impl Rows {
    fn of(log: &Log, choice: &Choice) -> Self {
        let view = View::new(log, choice.scheme.clone(), |_| true, |_| false);
        let built = view.probes.iter().map(|probe| &probe.set);
        let failed = view.failed.iter();
        let mut failed: Vec<(TrialId, Set)> = failed
            .filter(|(set, _)| set.meets(&choice.own))
            .flat_map(|(set, trials)| trials.iter().map(|trial| (*trial, set.clone())))
            .collect();
        failed.sort();
        Self {
            built: built
                .filter(|set| set.meets(&choice.own))
                .cloned()
                .collect(),
            failed,
        }
    }

    fn has_built(&self, set: &Set) -> bool {
        self.built.contains(set)
    }

    /// Of the rows that built, the one that varies most; nothing where none did.
    fn largest_built(&self, whole: &Set) -> Set {
        let largest = self
            .built
            .iter()
            .max_by_key(|set| (set.len(), (*set).clone()));
        largest.cloned().unwrap_or_else(|| whole.minus(whole))
    }
}
