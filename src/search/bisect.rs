//! Prefix bisection: the minimal sets that make a monotone property hold, asked for one row at a
//! time. What known rows imply is inferred (a row that contains a row with the property has it, a
//! row inside one without it lacks it), so only rows that teach something are asked for.

use super::certificate::transversals;
use super::set::Set;

/// Rows with a known outcome.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Rows with the property.
    pub(super) with: Vec<Set>,
    /// Rows without it.
    pub(super) without: Vec<Set>,
}

/// What the facts say about the minimal sets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// These are all of them.
    Terms(Vec<Set>),
    /// The outcome of this row is needed first.
    Need(Set),
    /// More alternatives than are worth telling apart; those found so far.
    TooMany(Vec<Set>),
}

/// As many minimal sets are told apart.
const MOST_TERMS: usize = 24;

impl Facts {
    /// Two rows of which the larger lacks what the smaller has: the property is not monotone.
    pub(super) fn contradiction(&self) -> Option<(&Set, &Set)> {
        self.with.iter().find_map(|small| {
            let large = self.without.iter().find(|large| small.is_subset(large))?;
            Some((small, large))
        })
    }

    /// Whether a row has the property, as far as it is known or follows. Where the property is
    /// not monotone and known rows imply both, nothing follows.
    pub(super) fn ask(&self, row: &Set) -> Option<bool> {
        if self.with.contains(row) {
            return Some(true);
        }
        if self.without.contains(row) {
            return Some(false);
        }
        let with = self.with.iter().any(|known| known.is_subset(row));
        let without = self.without.iter().any(|known| row.is_subset(known));
        (with != without).then_some(with)
    }

    /// One minimal set within `row`, which has the property; else the row that must be known.
    pub(super) fn minimal(&self, row: &Set, order: &[usize]) -> Result<Set, Set> {
        let mut candidates: Vec<usize> = order.iter().copied().filter(|i| row.has(*i)).collect();
        let mut base = row.minus(row);
        while !self.ask(&base).ok_or_else(|| base.clone())? {
            let (mut low, mut high) = (0, candidates.len());
            while low + 1 < high {
                let middle = usize::midpoint(low, high);
                let prefix = candidates
                    .iter()
                    .take(middle)
                    .fold(base.clone(), |set, i| set.with(*i));
                if self.ask(&prefix).ok_or(prefix)? {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            candidates.truncate(high);
            match candidates.pop() {
                Some(last) => base.insert(last),
                None => return Ok(base),
            }
        }
        Ok(base)
    }

    /// All minimal sets within `top`: each row with the property holds one of them, and whichever
    /// way one member of each is taken out of `top`, the property is gone.
    pub(super) fn terms(&self, top: &Set, order: &[usize]) -> Found {
        let mut terms: Vec<Set> = Vec::new();
        'search: loop {
            if terms.len() > MOST_TERMS {
                return Found::TooMany(terms);
            }
            let unexplained = self
                .with
                .iter()
                .filter(|row| row.is_subset(top) && !terms.iter().any(|term| term.is_subset(row)));
            if let Some(row) = unexplained.min_by_key(|row| (row.len(), (*row).clone())) {
                match self.minimal(row, order) {
                    Ok(term) => terms.push(term),
                    Err(needed) => return Found::Need(needed),
                }
                continue;
            }
            let Some(hitting) = transversals(&terms, top) else {
                return Found::TooMany(terms);
            };
            for removed in hitting {
                let row = top.minus(&removed);
                match self.ask(&row) {
                    Some(false) => {}
                    None => return Found::Need(row),
                    Some(true) => match self.minimal(&row, order) {
                        Ok(term) => {
                            terms.push(term);
                            continue 'search;
                        }
                        Err(needed) => return Found::Need(needed),
                    },
                }
            }
            terms.sort();
            return Found::Terms(terms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solve(bound: usize, truth: &[Set]) -> (Vec<Set>, usize) {
        let top = Set::of(bound, 0..bound);
        let order: Vec<usize> = (0..bound).collect();
        let mut facts = Facts {
            with: vec![top.clone()],
            without: vec![Set::empty(bound)],
        };
        let mut asked = 0;
        loop {
            match facts.terms(&top, &order) {
                Found::Terms(terms) => return (terms, asked),
                Found::TooMany(terms) => panic!("too many: {terms:?}"),
                Found::Need(row) => {
                    assert!(facts.ask(&row).is_none(), "asked for what follows");
                    asked += 1;
                    if truth.iter().any(|term| term.is_subset(&row)) {
                        facts.with.push(row);
                    } else {
                        facts.without.push(row);
                    }
                }
            }
        }
    }

    #[test]
    fn every_minimal_set_of_a_monotone_truth_is_found() {
        for truth in [
            vec![Set::of(14, [5])],
            vec![Set::of(14, [0]), Set::of(14, [13])],
            vec![Set::of(14, [2, 9])],
            vec![Set::of(14, [2, 9]), Set::of(14, [2, 10])],
            vec![
                Set::of(14, [1]),
                Set::of(14, [3, 4, 5]),
                Set::of(14, [6, 7]),
            ],
        ] {
            let (mut found, asked) = solve(14, &truth);
            let mut truth = truth;
            truth.sort();
            found.sort();
            assert_eq!(found, truth);
            assert!(asked <= 40, "{asked}");
        }
    }

    #[test]
    fn a_larger_row_that_lacks_what_a_smaller_has_is_a_contradiction() {
        let facts = Facts {
            with: vec![Set::of(4, [1])],
            without: vec![Set::of(4, [1, 2])],
        };
        assert!(facts.contradiction().is_some());
    }
}
