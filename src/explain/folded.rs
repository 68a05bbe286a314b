//! Culprits that act on an element through another one's means alone: what they do is told of that
//! one, and they are not named beside it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::TrialId;
use crate::search::{ElementVerdict, FactorVerdict, Verdict};

/// A variation that changes an element only by what another one changes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// The other one.
    pub into: usize,
    /// The trial that shows it.
    pub trial: TrialId,
}

/// By element and variation.
pub type FoldedCulprits = BTreeMap<(usize, usize), Folded>;

/// Takes the folded culprits out. A variation that was none but such is cleared.
pub fn fold(verdict: &mut Verdict, folded: &FoldedCulprits) {
    let before = blamed(verdict);
    for (number, element) in verdict.elements.iter_mut().enumerate() {
        if let ElementVerdict::Certified { culprits } = element {
            culprits.retain(|culprit| match culprit.set.as_slice() {
                [factor] => !folded.contains_key(&(number, *factor)),
                _ => true,
            });
        }
    }
    clear(verdict, &before);
    let named = verdict.elements.iter().flat_map(|element| match element {
        ElementVerdict::Certified { culprits } => culprits.as_slice(),
        _ => &[],
    });
    let named: BTreeSet<usize> = named.flat_map(|culprit| culprit.set.clone()).collect();
    let factors: BTreeSet<usize> = folded.keys().map(|(_, factor)| *factor).collect();
    for factor in factors.difference(&named) {
        if let Some(said @ FactorVerdict::Culprit) = verdict.factors.get_mut(*factor) {
            *said = FactorVerdict::Cleared;
        }
    }
}

/// The factors of all culprits, each with its level.
fn blamed(verdict: &Verdict) -> BTreeSet<(usize, u8)> {
    let culprits = verdict.elements.iter().flat_map(|element| match element {
        ElementVerdict::Certified { culprits } => culprits.as_slice(),
        _ => &[],
    });
    let levels = culprits.flat_map(|culprit| culprit.set.iter().zip(&culprit.levels));
    levels.map(|(factor, level)| (*factor, *level)).collect()
}

/// Counts levels as cleared that nothing is blamed on any more.
fn clear(verdict: &mut Verdict, before: &BTreeSet<(usize, u8)>) {
    let after = blamed(verdict);
    for (factor, level) in before.difference(&after) {
        if let Some(levels) = verdict.cleared.get_mut(*factor) {
            levels.push(*level);
            levels.sort_unstable();
            levels.dedup();
        }
    }
}
