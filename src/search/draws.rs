//! Which row tells most about an element whose culprits each change its value in their own way: many
//! sets of culprits that its values allow are drawn, and the row is taken that parts them best. What
//! a row will count for in the proof is weighed with it.

use super::greedy::mix;
use super::noise::real;
use super::set::Set;
use super::values::Values;

/// How likely more culprits than a hypothesis holds are, before anything is known.
const SEVERAL: f64 = 0.1;
/// So many are expected then, ...
const CULPRITS: f64 = 6.0;
/// ... so many sets of them are drawn to choose a row, ...
const DRAWS: usize = 96;
/// ... after so many that are thrown away.
const BURNT: usize = 16;
/// Draws between two whose complement a climb begins with.
const STEP: usize = 24;
/// Passes over all factors in a climb.
const PASSES: usize = 2;
/// What a trial that the proof needs is worth, in nats.
const PROOF: f64 = 0.7;
/// What is worth less than this is worth nothing.
const LEAST: f64 = 1e-6;

/// How likely culprits of which each changes the value are behind these values, in the unit of the
/// hypotheses of the list.
pub(super) fn several(values: &Values, weights: &[f64]) -> f64 {
    let none_of = |set: &Set| {
        set.iter()
            .map(|factor| innocent(weights, factor))
            .product::<f64>()
    };
    let guilty = values.guilty.iter().map(|set| 1.0 - none_of(set));
    SEVERAL * none_of(&values.innocent) * guilty.product::<f64>()
}

/// The row that tells most; nothing where none tells anything. `run` says whether a row was run or
/// cannot be.
pub(super) fn row(values: &Values, weights: &[f64], run: impl Fn(&Set) -> bool) -> Option<Set> {
    let draws = Draws::new(values, weights);
    let none = values.top.minus(&values.top);
    let possible = values.top.minus(&values.innocent);
    let alone = possible.iter().map(|factor| none.with(factor));
    let alone = alone.map(|row| (draws.value(&draws.acting(&row), &row), row));
    let climbed = draws.starts().into_iter().map(|row| draws.climb(row));
    let mut best: Option<(f64, Set)> = None;
    for (value, row) in alone.chain(climbed) {
        let known = best.as_ref().map_or(0.0, |(known, _)| *known);
        if value > known + LEAST && !run(&row) {
            best = Some((value, row));
        }
    }
    best.map(|(_, row)| row)
}

/// A set of culprits that the values allow.
struct Draw {
    culprits: Set,
    /// Of each known value, the culprits that gave it.
    values: Vec<Set>,
    /// What would show a culprit a second time: it beside what was seen twice without it.
    shows: Vec<Set>,
}

/// What a row is chosen by.
struct Draws<'a> {
    values: &'a Values,
    all: Vec<Draw>,
    /// Factors that were run alone.
    alone: Set,
}

impl<'a> Draws<'a> {
    fn new(values: &'a Values, weights: &[f64]) -> Self {
        let none = values.top.minus(&values.top);
        let alone = values.trials.iter().filter(|row| row.len() == 1);
        let mut draws = Self {
            values,
            all: Vec::new(),
            alone: alone.fold(none, |all, row| all.union(row)),
        };
        let open = values.open();
        // All that may be culprits are allowed together.
        let mut culprits = values.top.minus(&values.innocent);
        let mut random = 2;
        for number in 0..BURNT + DRAWS {
            for factor in open.iter() {
                let without = culprits.without(factor);
                let guilty = chance(&mut random) > innocent(weights, factor);
                culprits = if guilty || !values.allow(&without) {
                    culprits.with(factor)
                } else {
                    without
                };
            }
            if number >= BURNT {
                draws.add(culprits.clone());
            }
        }
        draws
    }

    fn add(&mut self, culprits: Set) {
        let acting = |row: &Set| row.intersection(&culprits);
        let trials: Vec<Set> = self.values.trials.iter().map(acting).collect();
        let twice = |set: &Set| trials.iter().filter(|other| *other == set).nth(1).is_some();
        let mut shows = Vec::new();
        for factor in culprits.iter() {
            let (with, without): (Vec<&Set>, Vec<&Set>) =
                trials.iter().partition(|set| set.has(factor));
            let seen = with
                .iter()
                .filter(|set| twice(&set.without(factor)))
                .count();
            // Alone, it is run for the proof in any case.
            if seen <= usize::from(self.alone.has(factor)) {
                let without = without.iter().filter(|set| twice(set));
                shows.extend(without.map(|set| set.with(factor)));
            }
        }
        self.all.push(Draw {
            values: self.values.rows.iter().map(acting).collect(),
            shows,
            culprits,
        });
    }

    /// The culprits in a row, by draw.
    fn acting(&self, row: &Set) -> Vec<Set> {
        let draws = self.all.iter();
        draws.map(|draw| row.intersection(&draw.culprits)).collect()
    }

    /// Rows to climb from: of some draws, everything but the culprits, and a part of that.
    fn starts(&self) -> Vec<Set> {
        let mut random = 3;
        let some = self.all.iter().step_by(STEP);
        some.flat_map(|draw| {
            let rest = self.values.top.minus(&draw.culprits);
            let part = rest.iter().filter(|_| mix(&mut random) >> 62 == 0);
            [Set::of(rest.bound(), part), rest]
        })
        .collect()
    }

    /// Flips factors as long as that helps.
    fn climb(&self, mut row: Set) -> (f64, Set) {
        let mut acting = self.acting(&row);
        let mut value = self.value(&acting, &row);
        for factor in (0..PASSES).flat_map(|_| self.values.top.iter()) {
            self.flip(&mut acting, &mut row, factor);
            let flipped = self.value(&acting, &row);
            if flipped > value + LEAST {
                value = flipped;
            } else {
                self.flip(&mut acting, &mut row, factor);
            }
        }
        (value, row)
    }

    fn flip(&self, acting: &mut [Set], row: &mut Set, factor: usize) {
        row.flip(factor);
        for (acting, draw) in acting.iter_mut().zip(&self.all) {
            if draw.culprits.has(factor) {
                acting.flip(factor);
            }
        }
    }

    /// How open the value of a row is, in nats, and what the row is worth for the proof.
    fn value(&self, acting: &[Set], row: &Set) -> f64 {
        let (size, rest) = (row.len(), self.values.top.len() - row.len());
        let mut counts = vec![0_usize; self.values.rows.len() + 1];
        let mut proves = 0_usize;
        for (acting, draw) in acting.iter().zip(&self.all) {
            let known = draw.values.iter().position(|value| value == acting);
            if let Some(count) = counts.get_mut(known.unwrap_or(draw.values.len())) {
                *count += 1;
            }
            proves += usize::from(if acting.is_empty() {
                draw.culprits.len() == rest
            } else if size == 1 {
                !row.is_subset(&self.alone)
            } else {
                draw.shows.contains(acting)
            });
        }
        let all = real(self.all.len());
        let shares = counts.iter().filter(|count| **count > 0);
        let shares = shares.map(|count| real(*count) / all);
        let open: f64 = shares.map(|share| -share * share.ln()).sum();
        open + PROOF * real(proves) / all
    }
}

/// How likely a factor is no culprit.
fn innocent(weights: &[f64], factor: usize) -> f64 {
    (-CULPRITS * weights.get(factor).copied().unwrap_or_default()).exp()
}

/// A number between 0 and 1.
fn chance(random: &mut u64) -> f64 {
    f64::from(u32::try_from(mix(random) >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
