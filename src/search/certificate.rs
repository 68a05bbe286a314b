//! Which trials prove a claim: for each set that it differs, that less of it does not, and that
//! nothing else does.

use super::set::Set;
use crate::model::Expect;

/// More ways of taking one member out of each set than this are not tried.
const MOST_TRANSVERSALS: usize = 16;

/// The smallest sets that take at least one member out of each of `terms`; nothing where there are
/// too many. Without terms, the one empty set.
pub(super) fn transversals(terms: &[Set], like: &Set) -> Option<Vec<Set>> {
    let mut found = vec![like.minus(like)];
    for term in terms {
        let mut next: Vec<Set> = Vec::new();
        for partial in &found {
            if partial.intersection(term).is_empty() {
                next.extend(term.iter().map(|member| partial.with(member)));
            } else {
                next.push(partial.clone());
            }
        }
        next.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        let mut minimal: Vec<Set> = Vec::new();
        for candidate in next {
            if !minimal.iter().any(|smaller| smaller.is_subset(&candidate)) {
                minimal.push(candidate);
            }
        }
        if minimal.len() > MOST_TRANSVERSALS {
            return None;
        }
        found = minimal;
    }
    Some(found)
}

/// The rows that prove one of the sets of a claim.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    /// The set.
    pub(super) term: Set,
    /// The rows and what each must show. The control, which is the same by definition, is among them
    /// only where nothing is left to vary without the set: its repeats are the counterproof then.
    pub(super) rows: Vec<(Set, Expect)>,
}

/// The proofs of the claim that exactly `terms` are the minimal sets within `top`.
pub(super) fn proofs(terms: &[Set], top: &Set) -> Option<Vec<Proof>> {
    let complete: Vec<Set> = transversals(terms, top)?
        .iter()
        .map(|removed| top.minus(removed))
        .collect();
    let mut proofs = Vec::new();
    for term in terms {
        let mut rows = vec![(term.clone(), Expect::Differs)];
        let less = term.iter().map(|member| term.without(member));
        for row in less.filter(|row| !row.is_empty()).chain(complete.clone()) {
            if !rows.iter().any(|(known, _)| *known == row) {
                rows.push((row, Expect::Same));
            }
        }
        proofs.push(Proof {
            term: term.clone(),
            rows,
        });
    }
    Some(proofs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(terms: &[Set]) -> usize {
        let mut all: Vec<(Set, Expect)> = proofs(terms, &Set::of(8, 0..8))
            .unwrap()
            .into_iter()
            .flat_map(|proof| proof.rows)
            .collect();
        all.sort();
        all.dedup();
        all.len()
    }

    #[test]
    fn alternatives_need_one_trial_each_and_one_without_all_of_them() {
        assert_eq!(rows(&[Set::of(8, [3])]), 2);
        assert_eq!(rows(&[Set::of(8, [3]), Set::of(8, [5])]), 3);
    }

    #[test]
    fn where_nothing_else_varies_the_control_is_the_counterproof() {
        let only = Set::of(8, [3]);
        let found = proofs(std::slice::from_ref(&only), &only).unwrap();
        let control = (Set::empty(8), Expect::Same);
        assert_eq!(found[0].rows, [(only, Expect::Differs), control]);
    }

    #[test]
    fn a_pair_needs_both_alone_and_everything_without_either() {
        assert_eq!(rows(&[Set::of(8, [3, 5])]), 5);
    }
}
