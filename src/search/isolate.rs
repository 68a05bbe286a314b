//! Variations that break the build: which sets of them make it fail, and which levels remain. A
//! failed trial says nothing about the outputs, so this comes before anything else.

use super::bisect::{Facts, Order};
use super::log::Log;
use super::set::Set;
use super::types::{Breaker, Factor};
use super::view::{Scheme, View};
use crate::model::TrialId;

/// The levels that remain, and how that was found.
#[derive(Debug)]
pub(super) struct Isolation {
    /// The level of each factor that is used; 0 for those that are left out.
    pub(super) scheme: Scheme,
    /// Proven breakers, in the order of proof.
    pub(super) breakers: Vec<Breaker>,
    /// Other choices of levels, for factors that break the build only with others.
    pub(super) others: Vec<Scheme>,
    /// Failures that no set of variations explains.
    pub(super) unexplained: Vec<TrialId>,
    /// A row whose outcome is missing, where a failure is not understood yet.
    pub(super) needed: Option<Set>,
}

/// A breaker is believed after so many failures of exactly its row.
const FAILURES: usize = 2;

/// Follows the log from the first levels to the ones that remain.
pub(super) fn isolate(log: &Log, factors: &[Factor]) -> Isolation {
    let (order, weights) = (order(factors), vec![1.0; factors.len()]);
    // Nothing is known of who breaks builds.
    let order = Order {
        factors: &order,
        weights: &weights,
    };
    let mut isolation = Isolation {
        scheme: Scheme(vec![1; factors.len()]),
        breakers: Vec::new(),
        others: Vec::new(),
        unexplained: Vec::new(),
        needed: None,
    };
    // Without a control that builds, a failure has nothing to be compared with.
    if log.control().is_none() {
        return isolation;
    }
    loop {
        let view = View::new(log, isolation.scheme.clone(), None);
        let facts = view.failures(&isolation.unexplained);
        let Some(smallest) = facts
            .with
            .iter()
            .min_by_key(|set| (set.len(), (*set).clone()))
        else {
            return isolation;
        };
        if let Some(pair) = facts.contradiction() {
            let small = pair.0.clone();
            match view.failed.get(&small) {
                Some(trials) if trials.len() >= FAILURES => isolation.unexplained.extend(trials),
                _ => {
                    isolation.needed = Some(small);
                    return isolation;
                }
            }
            continue;
        }
        match breaker(&facts, &view, smallest, &order) {
            Ok(set) => exclude(&mut isolation, &set, &view, factors),
            Err(needed) => {
                isolation.needed = Some(needed);
                return isolation;
            }
        }
    }
}

/// The minimal failing set within `failing`, proven; else the row that is needed.
fn breaker(facts: &Facts, view: &View, failing: &Set, order: &Order<'_>) -> Result<Set, Set> {
    let set = facts.minimal(failing, order)?;
    let failures = view.failed.get(&set).map_or(0, Vec::len);
    if failures < FAILURES {
        return Err(set);
    }
    Ok(set)
}

/// Takes a proven breaker out: its next level is used from now on, or one of its factors is left
/// out.
fn exclude(isolation: &mut Isolation, set: &Set, view: &View, factors: &[Factor]) {
    let levels_of = |scheme: &Scheme| -> Vec<u8> {
        set.iter()
            .map(|factor| scheme.0.get(factor).copied().unwrap_or_default())
            .collect()
    };
    let levels = levels_of(&isolation.scheme);
    let mut replaced = false;
    let mut members = set.iter();
    if let (Some(factor), None) = (members.next(), members.next()) {
        let next = next_level(isolation, factor, factors);
        replaced = next != 0;
        set_level(&mut isolation.scheme, factor, next);
        for other in &mut isolation.others {
            if other.0.get(factor).is_some_and(|level| *level != 0) {
                set_level(other, factor, next);
            }
        }
    } else {
        let dropped = order(factors)
            .into_iter()
            .rev()
            .find(|factor| set.has(*factor));
        let kept = set.iter().find(|factor| Some(*factor) != dropped);
        if let (Some(dropped), Some(kept)) = (dropped, kept) {
            let mut other = isolation.scheme.clone();
            set_level(&mut other, kept, 0);
            isolation.others.push(other);
            set_level(&mut isolation.scheme, dropped, 0);
        }
    }
    isolation.breakers.push(Breaker {
        set: set.iter().collect(),
        levels,
        replaced,
        failed: view.failed.get(set).cloned().unwrap_or_default(),
    });
}

pub(super) fn set_level(scheme: &mut Scheme, factor: usize, level: u8) {
    if let Some(slot) = scheme.0.get_mut(factor) {
        *slot = level;
    }
}

/// The lowest level of a factor that has not been shown to break the build, those that change
/// their own values last; 0 if none is left.
fn next_level(isolation: &Isolation, factor: usize, factors: &[Factor]) -> u8 {
    let Some(known) = factors.get(factor) else {
        return 0;
    };
    let current = isolation.scheme.0.get(factor).copied();
    let broken = |level: u8| {
        Some(level) == current
            || isolation
                .breakers
                .iter()
                .any(|breaker| breaker.is_level(factor, level))
    };
    let volatile = |level: u8| {
        let index = usize::from(level).saturating_sub(1);
        known.volatile.get(index).copied().unwrap_or_default()
    };
    (1..=known.levels)
        .filter(|level| !broken(*level))
        .min_by_key(|level| (volatile(*level), *level))
        .unwrap_or_default()
}

/// The factors, the likeliest culprits first.
pub(super) fn order(factors: &[Factor]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..factors.len()).collect();
    let weight = |factor: &usize| factors.get(*factor).map_or(0.0, |known| known.weight);
    order.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    order
}
