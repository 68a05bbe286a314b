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
    /// Whether it does nothing else there. Otherwise that cannot be told from what the other one does,
    /// and it is not cleared.
    pub is_all: bool,
}

/// By element and variations.
pub type FoldedCulprits = BTreeMap<(usize, Vec<usize>), Folded>;

/// Takes the folded culprits out. A variation that was none but such is cleared, or unsettled where that
/// cannot be told.
pub fn fold(verdict: &mut Verdict, folded: &FoldedCulprits) {
    let before = blamed(verdict);
    for (number, element) in verdict.elements.iter_mut().enumerate() {
        if let ElementVerdict::Certified { culprits } = element {
            culprits.retain(|culprit| !folded.contains_key(&(number, culprit.set.clone())));
        }
    }
    clear(verdict, &before);
    let named = verdict.elements.iter().flat_map(|element| match element {
        ElementVerdict::Certified { culprits } => culprits.as_slice(),
        _ => &[],
    });
    let named: BTreeSet<usize> = named.flat_map(|culprit| culprit.set.clone()).collect();
    for ((_, factors), folded) in folded {
        for factor in factors.iter().filter(|factor| !named.contains(factor)) {
            let said = verdict.factors.get_mut(*factor);
            match (said, folded.is_all) {
                (Some(said @ FactorVerdict::Culprit), true) => *said = FactorVerdict::Cleared,
                (Some(said @ (FactorVerdict::Culprit | FactorVerdict::Cleared)), false) => {
                    *said = FactorVerdict::Unsettled;
                }
                _ => {}
            }
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
