//! Prefix bisection: the minimal sets that make a monotone property hold, asked for one row at a
//! time. What known rows imply is inferred (a row that contains a row with the property has it, a
//! row inside one without it lacks it), so only rows that teach something are asked for.

use super::certificate::transversals;
use super::noise::real;
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
/// With fewer independent culprits than this an explanation of the list would fit.
const FEWEST_UNLISTED: f64 = 4.0;
/// So many culprits are expected among variations of which one is as likely there as not: ln 2.
const EVEN: f64 = std::f64::consts::LN_2;

/// The factors in the order in which they are looked at, and how likely each is a culprit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    /// The likeliest first.
    pub(super) factors: &'a [usize],
    /// By factor, in any unit.
    pub(super) weights: &'a [f64],
}

impl Order<'_> {
    fn within(&self, row: &Set) -> Vec<usize> {
        self.factors
            .iter()
            .copied()
            .filter(|i| row.has(*i))
            .collect()
    }

    fn weight(&self, factors: impl IntoIterator<Item = usize>) -> f64 {
        let weights = factors
            .into_iter()
            .filter_map(|factor| self.weights.get(factor));
        weights.sum()
    }

    /// How many of these, at least one and not all, hold half of the weight.
    fn middle(&self, factors: &[usize]) -> usize {
        let half = self.weight(factors.iter().copied()) / 2.0;
        let mut sum = 0.0;
        let reached = factors.iter().position(|factor| {
            sum += self.weight([*factor]);
            sum >= half * (1.0 - 1e-9)
        });
        let most = factors.len().saturating_sub(1).max(1);
        reached.map_or(1, |index| index + 1).clamp(1, most)
    }
}

impl Facts {
    /// Two rows of which the larger lacks what the smaller has: the property is not monotone.
    pub(super) fn contradiction(&self) -> Option<(&Set, &Set)> {
        self.with.iter().find_map(|small| {
            let large = self.without.iter().find(|large| small.is_subset(large))?;
            Some((small, large))
        })
    }

    /// Whether a row has the property, as far as it is known or follows. Where the property is
    /// not monotone and known rows imply both, nothing follows; nor does anything about what lies
    /// within a row in which one variation undoes another.
    pub(super) fn ask(&self, row: &Set) -> Option<bool> {
        if self.with.contains(row) {
            return Some(true);
        }
        if self.without.contains(row) {
            return Some(false);
        }
        let with = self.with.iter().any(|known| known.is_subset(row));
        let mut without = self.without.iter();
        let without = without.any(|known| row.is_subset(known) && !self.is_undone_in(known));
        (with != without).then_some(with)
    }

    /// Whether a row lacks what a smaller one has: something in it undoes the rest, so that it says
    /// nothing about the rows within it.
    fn is_undone_in(&self, row: &Set) -> bool {
        self.with.iter().any(|small| small.is_subset(row))
    }

    /// One minimal set within `row`, which has the property; else the row that must be known.
    pub(super) fn minimal(&self, row: &Set, order: &Order<'_>) -> Result<Set, Set> {
        let mut candidates = order.within(row);
        let mut base = row.minus(row);
        while !self.ask(&base).ok_or_else(|| base.clone())? {
            let (mut low, mut high) = (0, candidates.len());
            while low + 1 < high {
                let middle = order.middle(candidates.get(low..high).unwrap_or_default());
                let middle = low + middle;
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

    /// One more minimal set within `row`, of which it is not known whether it holds any, where that
    /// is likely: so many were found already. Growing parts of it are asked for, each as likely to
    /// have the property as not; nothing where all of it has to be.
    fn another(&self, row: &Set, terms: &[Set], order: &Order<'_>) -> Result<Option<Set>, Set> {
        let candidates = order.within(row);
        let known = |factor: &usize| self.ask(&row.minus(row).with(*factor)).is_some();
        let (tested, rest): (Vec<usize>, Vec<usize>) = candidates.iter().copied().partition(known);
        let found = terms.iter().flat_map(Set::iter);
        let tested = order.weight(tested) + order.weight(found);
        let weight = order.weight(rest.iter().copied());
        let count = real(terms.len());
        let expected =
            (FEWEST_UNLISTED - count).max(count * weight / tested.max(f64::MIN_POSITIVE));
        let mut part = row.minus(row);
        let mut share = 0.0;
        let mut left = rest.len();
        for factor in candidates {
            part.insert(factor);
            if !rest.contains(&factor) {
                continue;
            }
            left -= 1;
            share += expected * order.weight([factor]) / weight;
            if left == 0 {
                break;
            }
            if share < EVEN {
                continue;
            }
            if self.ask(&part).ok_or_else(|| part.clone())? {
                return self.minimal(&part, order).map(Some);
            }
            share = 0.0;
        }
        Ok(None)
    }

    /// All minimal sets within `top`: each row with the property holds one of them, and whichever
    /// way one member of each is taken out of `top`, the property is gone.
    pub(super) fn terms(&self, top: &Set, order: &Order<'_>) -> Found {
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
                    None => match self.another(&row, &terms, order) {
                        Ok(Some(term)) => {
                            terms.push(term);
                            continue 'search;
                        }
                        Ok(None) => return Found::Need(row),
                        Err(needed) => return Found::Need(needed),
                    },
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
        let factors: Vec<usize> = (0..bound).collect();
        let order = Order {
            factors: &factors,
            weights: &vec![1.0; bound],
        };
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
