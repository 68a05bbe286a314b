//! What the levels of the first all-varied trial change beside a culprit that the ordinary levels
//! show. Elapsed time shows while the clock runs, and never under a clock that is stepped: where the
//! umask changes the same element, every trial that would tell of it differs anyway. It is looked
//! for where the first all-varied trial made something else of an element than the ordinary one.

use std::collections::BTreeSet;

use super::certificate::transversals;
use super::classify::{self, Progress};
use super::set::Set;
use super::state::State;
use super::types::{ElementVerdict, Seen};
use super::view::View;
use crate::model::Row;

/// The elements whose culprits are known by the ordinary levels, and which those of the first
/// all-varied trial may change besides: they are searched with those levels, too. One trial with
/// these levels in which the known culprits do not act, and the element is the same, closes it again.
pub(super) fn reopened(state: &State<'_>) -> BTreeSet<usize> {
    let Some((main, first)) = views(state) else {
        return BTreeSet::new();
    };
    let becomes_another = |element: &usize| {
        let ordinary = values(state, &main.scheme.row(&main.top), *element);
        let own = values(state, &first.scheme.row(&first.top), *element);
        !ordinary.is_empty() && own.iter().any(|seen| !ordinary.contains(seen))
    };
    let active = main.classes.iter().filter(|class| class.active);
    let candidates: BTreeSet<usize> = active
        .flat_map(|class| class.members.iter().copied())
        .filter(becomes_another)
        .collect();
    if candidates.is_empty() {
        return candidates;
    }
    let own = own_factors(main, first);
    let mut open = BTreeSet::new();
    for (number, progress) in state.progress(0) {
        let (Some(class), Progress::Certified(proofs)) = (main.classes.get(*number), progress)
        else {
            continue;
        };
        let known: Vec<Set> = proofs.iter().map(|proof| proof.term.clone()).collect();
        if known.iter().any(|set| set.meets(&own)) {
            continue;
        }
        let without = transversals(&known, &first.top).unwrap_or_default();
        let without: Vec<Row> = without
            .iter()
            .map(|removed| first.scheme.row(&first.top.minus(removed)))
            .collect();
        let members = class.members.iter().copied();
        open.extend(
            members.filter(|element| {
                candidates.contains(element) && !is_same(state, &without, *element)
            }),
        );
    }
    open
}

/// Whether a verdict names a level of the first all-varied trial.
pub(super) fn adds(state: &State<'_>, verdict: &ElementVerdict) -> bool {
    let (Some((main, first)), ElementVerdict::Certified { culprits }) = (views(state), verdict)
    else {
        return false;
    };
    let own = own_factors(main, first);
    let mut factors = culprits.iter().flat_map(|culprit| &culprit.set);
    factors.any(|factor| own.has(*factor))
}

/// Factors whose levels in the first all-varied trial may have a part in elements with other
/// culprits, without a proof.
pub(super) fn unsettled(state: &State<'_>) -> Set {
    let none = Set::empty(state.options.factors.len());
    let Some((main, first)) = views(state).filter(|_| !state.reopened.is_empty()) else {
        return none;
    };
    let own = own_factors(main, first);
    state
        .progress(1)
        .iter()
        .filter(|(_, progress)| !matches!(progress, Progress::Certified(_)))
        .filter_map(|(number, _)| first.classes.get(*number))
        .filter(|class| class.members.iter().any(|e| state.reopened.contains(e)))
        .map(|class| classify::suspects(first, &first.facts(class)).intersection(&own))
        .fold(none, |all, some| all.union(&some))
}

/// The log through the ordinary levels, and through those of the first all-varied trial.
fn views<'s>(state: &'s State<'_>) -> Option<(&'s View, &'s View)> {
    match state.views.as_slice() {
        [main, first, ..] if state.has_first => Some((main, first)),
        _ => None,
    }
}

/// The factors whose levels differ between the two.
fn own_factors(main: &View, first: &View) -> Set {
    let levels = main.scheme.0.iter().zip(&first.scheme.0).enumerate();
    let other = levels.filter(|(_, (ordinary, own))| ordinary != own);
    Set::of(main.scheme.0.len(), other.map(|(factor, _)| factor))
}

/// What an element was in the trials of one environment.
fn values(state: &State<'_>, row: &Row, element: usize) -> Vec<Seen> {
    let trials = state.log.built().filter(|(_, other, _)| *other == row);
    trials
        .map(|(.., values)| state.log.seen(values, element))
        .filter(|seen| *seen != Seen::Unobserved)
        .collect()
}

/// Whether an element was what it is in the control, in every trial of some rows, and in one at
/// least.
fn is_same(state: &State<'_>, rows: &[Row], element: usize) -> bool {
    let reference = state.log.reference(element);
    let seen = rows.iter().flat_map(|row| values(state, row, element));
    let mut seen = seen.peekable();
    seen.peek().is_some() && seen.all(|seen| seen == reference)
}
