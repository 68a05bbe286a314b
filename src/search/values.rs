//! What the values of one element say about several culprits in it, if each of them changes the value
//! in its own way (a compressed file, one digest of many things): two rows with the same value differ
//! in no culprit, two rows with different values differ in one at least. This is a guess, right for
//! such elements alone. It only chooses which rows to ask for; what is claimed is proven without it.

use super::set::Set;
use super::view::{Class, Token, View};

/// Fewer values than this, the control's left out, say nothing of several culprits.
const FEWEST_VALUES: usize = 3;
/// Among more variations than this, halving what is left finds culprits in fewer trials.
const MOST_FACTORS: usize = 64;

/// What the values of a class say.
#[derive(Debug)]
pub(super) struct Values {
    /// Everything that can vary.
    pub(super) top: Set,
    /// One row for each value, the first of it.
    pub(super) rows: Vec<Set>,
    /// The rows of all trials, repeats as well.
    pub(super) trials: Vec<Set>,
    /// Factors that rows of one value differ in: no culprits.
    pub(super) innocent: Set,
    /// What rows of different values differ in, the smallest such sets: each holds a culprit.
    pub(super) guilty: Vec<Set>,
}

impl Values {
    /// What the values say about the factors of `top`; nothing where they are too few or those too
    /// many, or the values cannot be due to culprits of which each changes the value in its own way.
    pub(super) fn of(view: &View, class: &Class, top: &Set) -> Option<Self> {
        if top.len() > MOST_FACTORS {
            return None;
        }
        let mut known: Vec<(Token, Set)> = Vec::new();
        let mut trials = Vec::new();
        let mut innocent = top.minus(top);
        for (probe, token) in view.probes.iter().zip(&class.tokens) {
            match token {
                Token::Unseen => continue,
                Token::Volatile => return None,
                Token::Same | Token::Other(_) => {}
            }
            if !probe.set.is_subset(top) {
                continue;
            }
            trials.push(probe.set.clone());
            match known.iter().find(|(value, _)| value == token) {
                Some((_, row)) => innocent = innocent.union(&difference(row, &probe.set)),
                None => known.push((*token, probe.set.clone())),
            }
        }
        let rows: Vec<Set> = known.into_iter().map(|(_, row)| row).collect();
        if rows.len() <= FEWEST_VALUES {
            return None;
        }
        let guilty = guilty(&rows, &innocent)?;
        Some(Self {
            top: top.clone(),
            rows,
            trials,
            innocent,
            guilty,
        })
    }

    /// The factors of which it is open whether they are culprits.
    pub(super) fn open(&self) -> Set {
        let culprits = self.guilty.iter().filter(|set| set.len() == 1);
        culprits.fold(self.top.minus(&self.innocent), |open, set| open.minus(set))
    }

    /// Whether these may be the culprits.
    pub(super) fn allow(&self, culprits: &Set) -> bool {
        !culprits.meets(&self.innocent) && self.guilty.iter().all(|set| set.meets(culprits))
    }
}

/// The smallest sets that hold a culprit; nothing where one would have to be among the innocent.
fn guilty(rows: &[Set], innocent: &Set) -> Option<Vec<Set>> {
    let mut all = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for other in rows.iter().skip(index + 1) {
            let set = difference(row, other).minus(innocent);
            if set.is_empty() {
                return None;
            }
            all.push(set);
        }
    }
    all.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    let mut smallest: Vec<Set> = Vec::new();
    for set in all {
        if !smallest.iter().any(|smaller| smaller.is_subset(&set)) {
            smallest.push(set);
        }
    }
    Some(smallest)
}

fn difference(a: &Set, b: &Set) -> Set {
    a.minus(b).union(&b.minus(a))
}
