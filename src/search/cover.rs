//! Few rows that together show much: every two levels side by side, or a variation without those whose
//! effects hide what it does. Greedy, and the same for the same seed.

use std::collections::BTreeSet;

use super::greedy::mix;
use super::set::Set;

/// So many rows are drawn up for each that is taken.
const DRAFTS: usize = 6;

/// A level of a factor.
type At = (usize, u8);

/// What one row leaves out so that it shows as many of these as one step after the other finds: each a
/// set that has to be left out, and a factor that must not be. Nothing where there are none.
pub(super) fn left_out(open: &BTreeSet<(Set, usize)>) -> Option<Set> {
    let (first, _) = open.first()?;
    let shown = |out: &Set| {
        let shows = |(without, with): &&(Set, usize)| without.is_subset(out) && !out.has(*with);
        open.iter().filter(shows).count()
    };
    let (mut out, mut count) = (first.minus(first), 0);
    loop {
        let more = open.iter().map(|(without, _)| out.union(without));
        let more = more.map(|out| (shown(&out), out));
        // The first of those that show most.
        let best = more.reduce(|best, other| if other.0 > best.0 { other } else { best });
        match best {
            Some((shown, more)) if shown > count => (out, count) = (more, shown),
            _ => return (count > 0).then_some(out),
        }
    }
}

/// Rows in which any two levels of two factors stand side by side, beside the rows that there are
/// already. `levels` says which levels each factor may have; one without any is not varied.
pub(super) fn rows(levels: &[Vec<u8>], known: &[Vec<u8>], seed: u64) -> Vec<Vec<u8>> {
    let mut open = Pairs::new(levels);
    for row in known {
        open.take(row);
    }
    let mut state = seed;
    let mut rows = Vec::new();
    while let Some(pair) = open.first() {
        let drafts = (0..DRAFTS).map(|_| draft(levels, &open, pair, &mut state));
        let drafts = drafts.map(|row| (open.count(&row), row));
        let best = drafts.reduce(|best, other| if other.0 > best.0 { other } else { best });
        let Some((_, row)) = best else { break };
        open.take(&row);
        rows.push(row);
    }
    rows
}

/// A row with this pair: factor by factor, in an order that is drawn, the level that stands beside most
/// others for the first time.
fn draft(levels: &[Vec<u8>], open: &Pairs, pair: (At, At), state: &mut u64) -> Vec<u8> {
    let mut row = vec![0; levels.len()];
    let mut chosen = vec![pair.0, pair.1];
    let others = (0..levels.len()).filter(|factor| *factor != pair.0.0 && *factor != pair.1.0);
    let mut others: Vec<(u64, usize)> = others.map(|factor| (mix(state), factor)).collect();
    others.sort_unstable();
    for (_, factor) in others {
        let new = |level: &u8| {
            let beside = chosen.iter();
            let new = beside.filter(|other| open.has((factor, *level), **other));
            (new.count(), *level)
        };
        let level = levels.get(factor).into_iter().flatten().map(new);
        // Of equals the lowest.
        let best = level.reduce(|best, other| if other.0 > best.0 { other } else { best });
        if let Some((_, level)) = best {
            chosen.push((factor, level));
        }
    }
    for (factor, level) in chosen {
        if let Some(slot) = row.get_mut(factor) {
            *slot = level;
        }
    }
    row
}

/// Pairs of levels that were not seen side by side, the factor with the lower number first.
struct Pairs(BTreeSet<(At, At)>);

impl Pairs {
    fn new(levels: &[Vec<u8>]) -> Self {
        let all = levels.iter().enumerate();
        let all: Vec<At> = all
            .flat_map(|(factor, levels)| levels.iter().map(move |level| (factor, *level)))
            .collect();
        let pairs = all.iter().enumerate().flat_map(|(index, one)| {
            let others = all.iter().skip(index + 1);
            let others = others.filter(|other| other.0 != one.0);
            others.map(|other| (*one, *other))
        });
        Self(pairs.collect())
    }

    fn first(&self) -> Option<(At, At)> {
        self.0.first().copied()
    }

    fn has(&self, one: At, other: At) -> bool {
        self.0.contains(&(one.min(other), one.max(other)))
    }

    fn of(row: &[u8]) -> impl Iterator<Item = (At, At)> + '_ {
        let varied = || {
            row.iter()
                .copied()
                .enumerate()
                .filter(|(_, level)| *level != 0)
        };
        varied().flat_map(move |one| {
            let others = varied().filter(move |other| one.0 < other.0);
            others.map(move |other| (one, other))
        })
    }

    fn count(&self, row: &[u8]) -> usize {
        Self::of(row).filter(|pair| self.0.contains(pair)).count()
    }

    fn take(&mut self, row: &[u8]) {
        for pair in Self::of(row) {
            self.0.remove(&pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Varied levels of the shipped variations that go with others.
    const SHIPPED: [u8; 23] = [
        1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 3, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 2, 1,
    ];

    #[test]
    fn any_two_levels_stand_side_by_side_in_few_rows() {
        let levels: Vec<Vec<u8>> = SHIPPED.iter().map(|most| (1..=*most).collect()).collect();
        for seed in 0..20 {
            let first = vec![1; levels.len()];
            let rows = rows(&levels, std::slice::from_ref(&first), seed);
            assert!((8..=14).contains(&rows.len()), "{}", rows.len());
            let mut left = Pairs::new(&levels);
            for row in rows.iter().chain([&first]) {
                left.take(row);
            }
            assert_eq!(left.first(), None);
        }
    }

    #[test]
    fn levels_that_stood_side_by_side_already_need_no_row_and_what_has_none_is_not_varied() {
        let levels = [vec![1], vec![1], vec![], vec![1]];
        assert!(rows(&levels, &[vec![1, 1, 0, 1]], 3).is_empty());
        assert_eq!(rows(&levels, &[], 3), [[1, 1, 0, 1]]);
    }

    #[test]
    fn rows_leave_out_what_hides_others_until_all_were_shown() {
        let set = |members: &[usize]| Set::of(8, members.iter().copied());
        // Each of six is hidden by each other one.
        let mut open: BTreeSet<(Set, usize)> = (0..6)
            .flat_map(|a| (0..6).map(move |b| (a, b)))
            .filter(|(a, b)| a != b)
            .map(|(a, b)| (set(&[a]), b))
            .collect();
        let mut count = 0;
        while let Some(out) = left_out(&open) {
            let before = open.len();
            open.retain(|(without, with)| !without.is_subset(&out) || out.has(*with));
            assert!(open.len() < before);
            count += 1;
        }
        assert!(open.is_empty());
        assert!(count <= 6, "{count}");
        let two = BTreeSet::from([(set(&[1, 2]), 3), (set(&[2]), 4)]);
        assert_eq!(left_out(&two), Some(set(&[1, 2])));
    }
}
