//! Packages drawn at random: the generators of the bench, and what counts as an exact verdict.

use reprobe::search::{ElementVerdict, Factor, Options};

use crate::truth::{Hidden, Random, Session, Truth, named};

/// What a package is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    /// Factors.
    pub factors: usize,
    /// How likely one, two, three ... single culprits are.
    pub singles: &'static [f64],
    /// Elements that several of the culprits reach: how many, and how likely each.
    pub mixed: (usize, f64),
    /// Culprits of a mixed element, at most.
    pub widest: usize,
    /// How often a mixed element tells its culprits apart by value.
    pub distinct: f64,
    /// Pairs that only act together: how many, and how likely each.
    pub pairs: (usize, f64),
    /// Elements that differ by chance: how many, and how likely each.
    pub noisy: (usize, f64),
    /// Their rates.
    pub rates: &'static [f64],
    /// How often noise has a fresh value each time.
    pub fresh: f64,
    /// Elements that one factor moves and another holds back.
    pub masked: usize,
    /// How likely a factor breaks the build.
    pub breaker: f64,
    /// How likely a volatile level makes an element of its own differ.
    pub volatile: f64,
    /// Elements that never differ.
    pub clean: usize,
    /// Whether culprits follow Zipf's law, which the search is told; else all are alike.
    pub zipf: bool,
    /// How likely a single culprit's value is found in the bytes.
    pub hinted: f64,
}

/// A package, and what the search is told about its factors.
pub fn draw(generator: &Generator, workers: usize, seed: u64) -> (Truth, Options) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
    let weights: Vec<f64> = (0..generator.factors)
        .map(|rank| {
            if generator.zipf {
                1.0 / (rank + 1) as f64
            } else {
                1.0
            }
        })
        .collect();
    let mut free: Vec<usize> = (0..generator.factors).collect();
    let mut truth = Truth::default();
    let mut point = random.real();
    let count = generator.singles.iter().position(|chance| {
        point -= chance;
        point < 0.0
    });
    let count = count.map_or(generator.singles.len(), |index| index + 1);
    let singles: Vec<usize> = (0..count)
        .map(|_| take(&mut free, &weights, &mut random))
        .collect();
    for single in &singles {
        truth.elements.push(Hidden::Sets {
            sets: vec![vec![*single]],
            distinct: false,
        });
    }
    for _ in 0..generator.mixed.0 {
        if count < 2 || !random.chance(generator.mixed.1) {
            continue;
        }
        let width = 2 + random.below(generator.widest.min(count) - 1);
        let mut pool = singles.clone();
        let chosen = (0..width).map(|_| pool.swap_remove(random.below(pool.len())));
        let mut sets: Vec<Vec<usize>> = chosen.map(|single| vec![single]).collect();
        sets.sort();
        let distinct = random.chance(generator.distinct);
        truth.elements.push(Hidden::Sets { sets, distinct });
    }
    for _ in 0..generator.pairs.0 {
        if random.chance(generator.pairs.1) {
            let mut pair = vec![
                take(&mut free, &weights, &mut random),
                take(&mut free, &weights, &mut random),
            ];
            pair.sort_unstable();
            truth.elements.push(Hidden::Sets {
                sets: vec![pair],
                distinct: false,
            });
        }
    }
    for _ in 0..generator.masked {
        let on = take(&mut free, &weights, &mut random);
        truth
            .elements
            .push(Hidden::Masked(on, free[random.below(free.len())]));
    }
    for _ in 0..generator.noisy.0 {
        if random.chance(generator.noisy.1) {
            let rate = generator.rates[random.below(generator.rates.len())];
            truth.elements.push(Hidden::Noise {
                rate,
                fresh: random.chance(generator.fresh),
            });
        }
    }
    if random.chance(generator.breaker) {
        truth
            .breakers
            .push(vec![(take(&mut free, &weights, &mut random), 0)]);
    }
    let factor = |weight: &f64| Factor {
        levels: 1,
        weight: *weight,
        volatile: Vec::new(),
    };
    let mut factors: Vec<Factor> = weights.iter().map(factor).collect();
    let mut first_levels = Vec::new();
    if generator.volatile > 0.0 {
        factors[0].levels = 2;
        factors[0].volatile = vec![false, true];
        first_levels.push((0, 2));
        if random.chance(generator.volatile) {
            truth.elements.push(Hidden::AtLevel(0, 2));
        }
    }
    for (number, element) in truth.elements.iter().enumerate() {
        for set in element.culprits().unwrap_or_default() {
            if let ([single], true) = (set.as_slice(), random.chance(generator.hinted)) {
                truth.hints.push((number as u32, *single));
            }
        }
    }
    for _ in 0..generator.clean {
        truth.elements.push(Hidden::Sets {
            sets: Vec::new(),
            distinct: false,
        });
    }
    let options = Options {
        factors,
        first_levels,
        workers,
        budget_trials: None,
        repeats: 1,
        thorough: false,
        clock_runs: false,
        seed,
    };
    (truth, options)
}

/// A factor drawn by weight, and no longer free.
fn take(free: &mut Vec<usize>, weights: &[f64], random: &mut Random) -> usize {
    let sum: f64 = free.iter().map(|factor| weights[*factor]).sum();
    let mut point = random.real() * sum;
    let index = free.iter().position(|factor| {
        point -= weights[*factor];
        point < 0.0
    });
    free.remove(index.unwrap_or(free.len() - 1))
}

/// Whether every element got exactly its culprits, chance was blamed on nobody, and the breakers
/// are right.
pub fn exact(truth: &Truth, done: &Session) -> Result<(), String> {
    for (number, element) in truth.elements.iter().enumerate() {
        let said = named(&done.verdict, number);
        let right = match element {
            Hidden::Noise { .. } => said.is_none(),
            Hidden::Masked(on, _) => said.is_none_or(|sets| sets == [vec![*on]]),
            Hidden::Xor(..) => said.is_none(),
            other => match (other.culprits(), done.verdict.elements.get(number)) {
                (None, Some(ElementVerdict::Same { .. })) => true,
                (None, _) => false,
                (sets, _) => said == sets,
            },
        };
        if !right {
            return Err(format!(
                "{element:?}: {:?}",
                done.verdict.elements.get(number)
            ));
        }
    }
    let mut breakers: Vec<&[usize]> = done
        .verdict
        .breakers
        .iter()
        .map(|breaker| breaker.set.as_slice())
        .collect();
    breakers.sort_unstable();
    let hidden: Vec<Vec<usize>> = truth
        .breakers
        .iter()
        .map(|set| set.iter().map(|(factor, _)| *factor).collect())
        .collect();
    if breakers != hidden {
        return Err(format!("breakers {hidden:?}: {breakers:?}"));
    }
    Ok(())
}
