//! Levels beside the ordinary ones. Once the search is done with those, one more row lets every
//! variation that has another level stand at it, but for those that are known to act: what they do
//! would hide the rest. Where some are known, one more row varies them as well, for the elements that
//! they left alone so far, and for those that several did together: one may do it alone here. An element
//! on which one of them acts says nothing there of the others: for these, few more rows leave out what
//! acts on it and vary what acts elsewhere. Where such a row breaks the build, it is halved until the
//! breaker is out; what was in no row that built was not tried. A level that goes with nothing else has a
//! row of its own. If all levels are asked for, more rows let any two of them stand side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::chance;
use super::choices::{Choice, Kind, choices, within};
use super::classify::Progress;
use super::cover;
use super::log::Log;
use super::noise;
use super::set::Set;
use super::state::State;
use super::types::Breaker;
use super::view::{Reading, View};
use crate::model::{Row, TrialId};

/// So many trials are spent on a row that breaks the build.
const HALVINGS: usize = 4;
/// A level that breaks the build fails so often.
const FAILURES: usize = 2;
/// How likely a variation at its ordinary level is to blame here, next to the others: the ordinary
/// rows would have shown what it does alone.
const ORDINARY: f64 = 0.1;
/// What belongs to a view of further levels.
#[derive(Debug)]
pub(super) struct Further {
    /// Which of the choices of levels it belongs to.
    choice: usize,
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

/// A row that was looked at: what it varies, and the elements of which nothing was asked there.
struct Shown {
    top: Set,
    settled: BTreeSet<usize>,
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
    let choices = choices(state.options, &state.isolation);
    for (number, choice) in choices.into_iter().enumerate() {
        if state.is_open() {
            return;
        }
        let whole = choice.without_broken(state);
        match whole.kind {
            Kind::Apart => {
                show(state, number, &whole);
            }
            Kind::Next | Kind::Mixed => around_the_known(state, number, whole),
        }
    }
}

/// Looks at the row without what is known to act, then at all of it, then at what others hide there.
fn around_the_known(state: &mut State<'_>, number: usize, mut whole: Choice) {
    let known = culprits(state);
    let mut rows = Vec::new();
    let first = whole.without(&known);
    if !first.own.is_empty() {
        rows.push(show(state, number, &first));
        whole = whole.without_broken(state);
    }
    if known.is_empty() || whole.own.is_empty() || state.is_open() {
        return;
    }
    rows.push(show(state, number, &whole));
    while whole.kind == Kind::Next && !state.is_open() {
        let Some(out) = cover::left_out(&hidden(state, &whole, &rows)) else {
            return;
        };
        rows.push(show(state, number, &whole.without(&out)));
    }
}

/// Looks at a row.
fn show(state: &mut State<'_>, number: usize, choice: &Choice) -> Shown {
    let (view, further) = look(state, number, choice);
    let shown = Shown {
        top: choice.scheme.top(),
        settled: further.settled.clone(),
    };
    state.push(view, further);
    shown
}

/// What none of these rows shows: a factor's further level on an element on which others act alone,
/// each with those that have to be left out.
fn hidden(state: &State<'_>, whole: &Choice, rows: &[Shown]) -> BTreeSet<(Set, usize)> {
    let top = whole.scheme.top();
    let mut hidden = BTreeSet::new();
    for (element, acting) in acting_alone(state) {
        let without = acting.intersection(&top);
        let own = whole.own.minus(&without);
        let is_shown = |factor: &usize| {
            let mut rows = rows.iter();
            rows.any(|row| row.top.has(*factor) && !row.settled.contains(&element))
        };
        let missing = own.iter().filter(|factor| !is_shown(factor));
        hidden.extend(missing.map(|factor| (without.clone(), factor)));
    }
    hidden
}

/// The factors that act alone on each element; without the elements that are not understood, and those
/// on which no factor does.
fn acting_alone(state: &State<'_>) -> BTreeMap<usize, Set> {
    let none = Set::empty(state.options.factors.len());
    let mut acting: BTreeMap<usize, Option<Set>> = BTreeMap::new();
    for (index, view) in state.views.iter().enumerate() {
        for (number, progress) in state.progress(index) {
            let Some(class) = view.classes.get(*number).filter(|class| class.active) else {
                continue;
            };
            let alone = match progress {
                Progress::Certified(proofs) => {
                    let terms = proofs.iter().map(|proof| &proof.term);
                    let single = terms.filter(|term| term.len() == 1);
                    Some(single.fold(none.clone(), |all, term| all.union(term)))
                }
                _ => None,
            };
            for element in &class.members {
                let known = acting.entry(*element).or_insert_with(|| Some(none.clone()));
                *known = known.take().zip(alone.clone()).map(|(a, b)| a.union(&b));
            }
        }
    }
    for element in &state.drawn {
        let known = acting.entry(*element).or_insert_with(|| Some(none.clone()));
        let draws = state.proven_draws(*element);
        *known = known.take().zip(draws).map(|(a, b)| a.union(&b));
    }
    let acting = acting.into_iter();
    let acting = acting.filter_map(|(element, alone)| Some((element, alone?)));
    acting.filter(|(_, alone)| !alone.is_empty()).collect()
}

/// How many rows of further levels are still to be run, as far as that is known.
pub(super) fn left(state: &State<'_>) -> usize {
    let all = choices(state.options, &state.isolation).len();
    let begun = state.further.iter().map(|further| further.choice + 1);
    let needed = state
        .further
        .iter()
        .filter(|further| further.needed.is_some());
    all.saturating_sub(begun.max().unwrap_or_default()) + needed.count()
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
    let draws = state.drawn.iter();
    let draws = draws.filter_map(|element| state.proven_draws(*element));
    draws.fold(all, |all, draws| all.union(&draws))
}

/// The log through one choice of further levels.
fn look(state: &State<'_>, number: usize, choice: &Choice) -> (View, Further) {
    let halved = halve(state, choice);
    let reading = Reading {
        factors: &state.options.factors,
        draws: &state.options.draws,
        drawn: &state.drawn,
        skip: &|element| state.unstable.contains_key(&element),
    };
    let scheme = within(&choice.scheme, &halved.top);
    let view = View::new(state.log, scheme, Some(&reading));
    let weights = weights(&state.weights, &view.top, &choice.own);
    let level = |factor: usize| choice.scheme.0.get(factor).copied().unwrap_or_default();
    let (explained, unexplained) = match halved.breaker {
        Some(_) => (halved.failed, Vec::new()),
        None => (Vec::new(), halved.failed),
    };
    let further = Further {
        choice: number,
        settled: settled(state, &view),
        doubt: noise::allowance(&weights, choice.share_of_doubt * chance::DOUBT),
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
/// those on which one factor is known to act that would act here again, or a draw that would hide them.
fn settled(state: &State<'_>, here: &View) -> BTreeSet<usize> {
    let mut settled = BTreeSet::new();
    if here.top.meets(&here.draws) {
        settled.extend(&state.drawn);
    }
    for (index, view) in state.views.iter().enumerate() {
        for (number, progress) in state.progress(index) {
            let known = match progress {
                // Less than what several do together may do here.
                Progress::Certified(proofs) => proofs
                    .iter()
                    .any(|proof| proof.term.len() == 1 && proof.term.meets(&here.top)),
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
    let level = |factor: usize| choice.scheme.0.get(factor).copied();
    let builds = |factor: usize| {
        let mut built = state.log.built();
        built.any(|(_, row, _)| row.0.get(factor).copied() == level(factor))
    };
    // What built elsewhere breaks only together with something here.
    if halved.needed.is_some() || halved.breaker.is_some_and(builds) {
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
        let view = View::new(log, choice.scheme.clone(), None);
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
