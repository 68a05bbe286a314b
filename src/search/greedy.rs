//! The row that teaches most: the one whose predicted outcomes are the most open, summed over the
//! classes and given the rows of the same batch whose outcomes are not known yet.

use std::collections::BTreeMap;

use super::hypotheses::Hypothesis;
use super::set::Set;

/// Of each class, so many hypotheses are weighed: the rest is too unlikely to change the choice.
const MOST_HYPOTHESES: usize = 400;
/// Random rows to climb from, ...
const STARTS: usize = 16;
/// ... and fewer, but at least two, where a pass weighs so many hypotheses over and over.
const WEIGHED: usize = 2_000_000;
/// Passes over all factors in a climb.
const PASSES: usize = 4;
/// What a saved trial is worth, in nats.
const SAVED_TRIAL: f64 = 0.5;
/// A row that teaches less than this, in nats, is not worth a trial.
const LEAST: f64 = 1e-6;

/// One class with its hypotheses, split by what the rows of the batch would show.
#[derive(Debug)]
struct Weighed {
    /// With the probability and the group of each.
    hypotheses: Vec<(Hypothesis, f64, usize)>,
    groups: usize,
}

/// What is open.
#[derive(Debug)]
pub(super) struct Pool {
    classes: Vec<Weighed>,
    failures: Option<Weighed>,
    /// The factors of any hypothesis.
    live: Vec<usize>,
    bound: usize,
}

impl Weighed {
    fn new(hypotheses: &[Hypothesis]) -> Self {
        let likeliest = || hypotheses.iter().take(MOST_HYPOTHESES);
        let sum: f64 = likeliest().map(|h| h.weight).sum();
        Self {
            hypotheses: likeliest().map(|h| (*h, h.weight / sum, 0)).collect(),
            groups: 1,
        }
    }

    /// What a hypothesis predicts: the control's value, the one of everything varied, another.
    fn outcome(hypothesis: &Hypothesis, row: &Set) -> usize {
        match usize::from(hypothesis.active(row)) {
            0 => 0,
            all if all == hypothesis.terms().len() => 1,
            _ => 2,
        }
    }

    /// How open the outcome of a row is, together with the rows of the batch, in nats.
    fn entropy(&self, row: &Set, buckets: &mut Vec<f64>) -> f64 {
        buckets.clear();
        buckets.resize(self.groups * 3, 0.0);
        for (hypothesis, probability, group) in &self.hypotheses {
            if let Some(bucket) = buckets.get_mut(group * 3 + Self::outcome(hypothesis, row)) {
                *bucket += probability;
            }
        }
        buckets
            .iter()
            .filter(|p| **p > 0.0)
            .map(|p| -p * p.ln())
            .sum()
    }

    /// Splits the hypotheses by what they predict for a row of the batch.
    fn condition(&mut self, row: &Set) {
        let mut groups: Vec<usize> = Vec::new();
        for (hypothesis, _, group) in &mut self.hypotheses {
            let key = *group * 3 + Self::outcome(hypothesis, row);
            *group = groups
                .iter()
                .position(|known| *known == key)
                .unwrap_or_else(|| {
                    groups.push(key);
                    groups.len() - 1
                });
        }
        self.groups = groups.len();
    }

    /// How likely a row has the property at all.
    fn chance(&self, row: &Set) -> f64 {
        let active = self.hypotheses.iter().filter(|(h, ..)| h.active(row) > 0);
        active.map(|(_, probability, _)| probability).sum()
    }
}

impl Pool {
    /// What is open in these classes, and about failures.
    pub(super) fn new(
        bound: usize,
        classes: &[Vec<Hypothesis>],
        failures: Option<&[Hypothesis]>,
    ) -> Self {
        let classes: Vec<Weighed> = classes.iter().map(|class| Weighed::new(class)).collect();
        let failures = failures.map(Weighed::new);
        let all = classes.iter().chain(&failures);
        let factors = all
            .flat_map(|class| &class.hypotheses)
            .flat_map(|(hypothesis, ..)| hypothesis.terms().iter().flatten());
        let live = Set::of(bound, factors.map(|factor| usize::from(*factor)));
        Self {
            live: live.iter().collect(),
            classes,
            failures,
            bound,
        }
    }

    /// Takes a row into the batch.
    pub(super) fn condition(&mut self, row: &Set) {
        for class in self.classes.iter_mut().chain(&mut self.failures) {
            class.condition(row);
        }
    }

    /// The row that teaches most, of those that `allowed` allows; nothing where no row teaches
    /// anything. `proofs` are rows that a proof will need, each with how likely it will: a trial
    /// that it saves counts like one that halves a class. The same `seed` gives the same row.
    pub(super) fn best(
        &self,
        seed: u64,
        proofs: &BTreeMap<Set, f64>,
        allowed: impl Fn(&Set) -> bool,
    ) -> Option<Set> {
        let mut random = seed;
        let mut buckets = Vec::new();
        let known = self.value(None, &mut buckets);
        let mut best: Option<(f64, Set)> = None;
        for (row, likely) in proofs.iter().filter(|(row, _)| allowed(row)) {
            let value = self.value(Some(row), &mut buckets);
            if value <= known + LEAST {
                continue;
            }
            let value = value + likely * SAVED_TRIAL;
            if best.as_ref().is_none_or(|(known, _)| value > known + 1e-12) {
                best = Some((value, row.clone()));
            }
        }
        for _ in 0..self.starts() {
            let mut row = Set::empty(self.bound);
            for factor in &self.live {
                if mix(&mut random) >> 63 == 1 {
                    row.insert(*factor);
                }
            }
            let value = self.climb(&mut row, &mut buckets);
            if allowed(&row) && best.as_ref().is_none_or(|(known, _)| value > known + 1e-12) {
                best = Some((value, row));
            }
        }
        best.filter(|(value, _)| *value > known + LEAST)
            .map(|(_, row)| row)
    }

    fn starts(&self) -> usize {
        let classes = self.classes.iter().chain(&self.failures);
        let weighed: usize = classes.map(|class| class.hypotheses.len()).sum();
        (WEIGHED / (weighed * self.live.len()).max(1)).clamp(2, STARTS)
    }

    /// Flips factors as long as that helps; the value of the row then.
    fn climb(&self, row: &mut Set, buckets: &mut Vec<f64>) -> f64 {
        let mut value = self.value(Some(row), buckets);
        for _ in 0..PASSES {
            let before = value;
            for factor in &self.live {
                row.flip(*factor);
                let flipped = self.value(Some(row), buckets);
                if flipped > value + 1e-12 {
                    value = flipped;
                } else {
                    row.flip(*factor);
                }
            }
            if value <= before {
                break;
            }
        }
        value
    }

    /// What a row teaches; without a row, what the batch teaches so far.
    fn value(&self, row: Option<&Set>, buckets: &mut Vec<f64>) -> f64 {
        let control = Set::empty(self.bound);
        let row = row.unwrap_or(&control);
        let failures = self.failures.as_ref();
        let fails = failures.map_or(0.0, |class| class.chance(row));
        let open: f64 = self
            .classes
            .iter()
            .map(|class| class.entropy(row, buckets))
            .sum();
        let about_failures = failures.map_or(0.0, |class| class.entropy(row, buckets));
        about_failures + (1.0 - fails) * open
    }
}

/// A stream of numbers that look random: `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014).
pub(super) fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
