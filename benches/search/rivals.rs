//! What the search is compared with: linear search, as reprotest does it, and iterated ddmin. Both
//! judge the output as a whole.

use reprobe::model::Row;
use reprobe::search::Observation;

use crate::truth::{Hidden, Random, Truth};

/// What a rival found, and at what cost.
#[derive(Debug, Default)]
pub struct Found {
    /// Trials run, controls among them.
    pub trials: u32,
    /// The sets that it blames for the output.
    pub culprits: Vec<Vec<usize>>,
}

/// A build whose output is only compared as a whole.
struct Whole<'a> {
    truth: &'a Truth,
    random: Random,
    factors: usize,
    control: Observation,
    trials: u32,
}

impl<'a> Whole<'a> {
    fn new(truth: &'a Truth, factors: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let control = truth.run(&Row::control(factors), &mut random);
        Self {
            truth,
            random,
            factors,
            control,
            trials: 1,
        }
    }

    /// Whether the output differs; a failed build says nothing.
    fn differs(&mut self, varied: &[usize]) -> Option<bool> {
        let mut row = Row::control(self.factors);
        for factor in varied {
            row.0[*factor] = 1;
        }
        self.trials += 1;
        let seen = self.truth.run(&row, &mut self.random);
        (seen != Observation::Failed).then(|| seen != self.control)
    }
}

/// Two controls; if they agree, one variation after the other is added, and kept if the output
/// stays the same.
pub fn linear(truth: &Truth, factors: usize, seed: u64) -> Found {
    let mut build = Whole::new(truth, factors, seed);
    let mut found = Found::default();
    if build.differs(&[]) == Some(false) {
        let mut kept = Vec::new();
        for factor in 0..factors {
            kept.push(factor);
            if build.differs(&kept) != Some(false) {
                kept.pop();
                found.culprits.push(vec![factor]);
            }
        }
    }
    found.trials = build.trials;
    found
}

/// As many sets are looked for: with chance in play, ddmin does not end by itself.
const MOST_SETS: usize = 20;

/// Zeller and Hildebrandt's ddmin for one minimal set after the other, until what is left varied
/// makes no difference.
pub fn ddmin(truth: &Truth, factors: usize, seed: u64) -> Found {
    let mut build = Whole::new(truth, factors, seed);
    let mut found = Found::default();
    let mut left: Vec<usize> = (0..factors).collect();
    while found.culprits.len() < MOST_SETS && !left.is_empty() && build.differs(&left) == Some(true)
    {
        let set = minimal(&mut build, left.clone());
        left.retain(|factor| !set.contains(factor));
        found.culprits.push(set);
    }
    found.trials = build.trials;
    found.culprits.sort();
    found
}

fn minimal(build: &mut Whole<'_>, mut set: Vec<usize>) -> Vec<usize> {
    let mut parts = 2;
    while set.len() > 1 {
        let size = set.len().div_ceil(parts);
        let chunks: Vec<Vec<usize>> = set.chunks(size).map(<[usize]>::to_vec).collect();
        let rest = |chunk: &Vec<usize>| -> Vec<usize> {
            set.iter()
                .copied()
                .filter(|factor| !chunk.contains(factor))
                .collect()
        };
        if let Some(chunk) = chunks
            .iter()
            .find(|chunk| build.differs(chunk) == Some(true))
        {
            set.clone_from(chunk);
            parts = 2;
        } else if let Some(smaller) = chunks
            .iter()
            .map(rest)
            .find(|rest| build.differs(rest) == Some(true))
        {
            set = smaller;
            parts = (parts - 1).max(2);
        } else if parts < set.len() {
            parts = (2 * parts).min(set.len());
        } else {
            break;
        }
    }
    set
}

/// Whether what is said of the output is right for each element.
pub fn exact(truth: &Truth, found: &Found) -> bool {
    truth.breakers.is_empty()
        && truth.elements.iter().all(|element| match element {
            Hidden::Noise { .. } => found.culprits.is_empty(),
            other => other
                .culprits()
                .is_none_or(|culprits| culprits == found.culprits),
        })
}
