//! Packages drawn at random: the generators of the bench, and what counts as an exact verdict.

use reprobe::search::{ElementVerdict, FactorVerdict, Options};

use crate::truth::{Hidden, Random, Session, Truth, alike, named};

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
    let weight = |rank: usize| {
        if generator.zipf {
            1.0 / (rank + 1) as f64
        } else {
            1.0
        }
    };
    let mut drawing = Drawing {
        generator,
        weights: (0..generator.factors).map(weight).collect(),
        free: (0..generator.factors).collect(),
        truth: Truth::default(),
    };
    let singles = drawing.singles(&mut random);
    drawing.mixed(&singles, &mut random);
    drawing.pairs(&mut random);
    drawing.masked_and_noisy(&mut random);
    if random.chance(generator.breaker) {
        let breaker = drawing.take(&mut random);
        drawing.truth.breakers.push(vec![(breaker, 0)]);
    }
    let options = drawing.options(workers, seed, &mut random);
    drawing.hints(&mut random);
    let clean = Hidden::Sets {
        sets: Vec::new(),
        distinct: false,
    };
    let all = drawing.truth.elements.len() + generator.clean;
    drawing.truth.elements.resize(all, clean);
    (drawing.truth, options)
}

/// A package that is being drawn.
struct Drawing<'a> {
    generator: &'a Generator,
    weights: Vec<f64>,
    /// Factors that have no part in anything yet.
    free: Vec<usize>,
    truth: Truth,
}

impl Drawing<'_> {
    fn singles(&mut self, random: &mut Random) -> Vec<usize> {
        let mut point = random.real();
        let count = self.generator.singles.iter().position(|chance| {
            point -= chance;
            point < 0.0
        });
        let count = count.map_or(self.generator.singles.len(), |index| index + 1);
        let singles: Vec<usize> = (0..count).map(|_| self.take(random)).collect();
        for single in &singles {
            self.differs(vec![vec![*single]], false);
        }
        singles
    }

    fn mixed(&mut self, singles: &[usize], random: &mut Random) {
        for _ in 0..self.generator.mixed.0 {
            if singles.len() < 2 || !random.chance(self.generator.mixed.1) {
                continue;
            }
            let width = 2 + random.below(self.generator.widest.min(singles.len()) - 1);
            let mut pool = singles.to_vec();
            let chosen = (0..width).map(|_| pool.swap_remove(random.below(pool.len())));
            let mut sets: Vec<Vec<usize>> = chosen.map(|single| vec![single]).collect();
            sets.sort();
            let distinct = random.chance(self.generator.distinct);
            self.differs(sets, distinct);
        }
    }

    fn pairs(&mut self, random: &mut Random) {
        for _ in 0..self.generator.pairs.0 {
            if random.chance(self.generator.pairs.1) {
                let mut pair = vec![self.take(random), self.take(random)];
                pair.sort_unstable();
                self.differs(vec![pair], false);
            }
        }
    }

    fn masked_and_noisy(&mut self, random: &mut Random) {
        for _ in 0..self.generator.masked {
            let on = self.take(random);
            let off = self.free[random.below(self.free.len())];
            self.truth.elements.push(Hidden::Masked(on, off));
        }
        for _ in 0..self.generator.noisy.0 {
            if random.chance(self.generator.noisy.1) {
                let rate = self.generator.rates[random.below(self.generator.rates.len())];
                let fresh = random.chance(self.generator.fresh);
                self.truth.elements.push(Hidden::Noise { rate, fresh });
            }
        }
    }

    /// What the search is told; a level whose values change by themselves is drawn here.
    fn options(&mut self, workers: usize, seed: u64, random: &mut Random) -> Options {
        let mut options = Options {
            workers,
            ..alike(self.weights.len(), seed)
        };
        for (factor, weight) in options.factors.iter_mut().zip(&self.weights) {
            factor.weight = *weight;
        }
        if self.generator.volatile > 0.0 {
            options.factors[0].levels = 2;
            options.factors[0].volatile = vec![false, true];
            options.first_levels.push((0, 2));
            if random.chance(self.generator.volatile) {
                self.truth.elements.push(Hidden::AtLevel(0, 2));
            }
        }
        options
    }

    fn hints(&mut self, random: &mut Random) {
        for (number, element) in self.truth.elements.iter().enumerate() {
            for set in element.culprits().unwrap_or_default() {
                if let ([single], true) = (set.as_slice(), random.chance(self.generator.hinted)) {
                    self.truth.hints.push((number as u32, *single));
                }
            }
        }
    }

    fn differs(&mut self, sets: Vec<Vec<usize>>, distinct: bool) {
        self.truth.elements.push(Hidden::Sets { sets, distinct });
    }

    /// A factor drawn by weight, and no longer free.
    fn take(&mut self, random: &mut Random) -> usize {
        let weights = &self.weights;
        let sum: f64 = self.free.iter().map(|factor| weights[*factor]).sum();
        let mut point = random.real() * sum;
        let index = self.free.iter().position(|factor| {
            point -= weights[*factor];
            point < 0.0
        });
        self.free.remove(index.unwrap_or(self.free.len() - 1))
    }
}

/// A package in which so many single culprits each reach one element, all factors alike.
pub fn singles(factors: usize, count: usize, seed: u64) -> (Truth, Options) {
    let mut random = Random(seed * 1000 + (factors * 10 + count) as u64);
    let mut free: Vec<usize> = (0..factors).collect();
    let mut truth = Truth::default();
    for _ in 0..count {
        let culprit = free.swap_remove(random.below(free.len()));
        truth.elements.push(Hidden::Sets {
            sets: vec![vec![culprit]],
            distinct: false,
        });
    }
    (truth, alike(factors, seed))
}

/// How often each of the shipped variations is to blame, the oftenest first.
pub const SHIPPED: [u32; 22] = [
    53, 44, 24, 22, 11, 10, 9, 9, 8, 8, 7, 7, 7, 6, 6, 4, 4, 4, 2, 2, 2, 1,
];

/// One opaque element with so many culprits, each of which changes its value in its own way, drawn as
/// often as the shipped variations are to blame. With `levels`, every second variation has another
/// level, as about half of those that are shipped do.
pub fn opaque(count: usize, levels: bool, seed: u64) -> (Truth, Options) {
    let mut random = Random(seed * 1000 + count as u64);
    let mut options = alike(SHIPPED.len(), seed);
    for (factor, weight) in options.factors.iter_mut().zip(SHIPPED) {
        factor.weight = f64::from(weight);
    }
    if levels {
        for factor in options.factors.iter_mut().step_by(2) {
            factor.levels = 2;
        }
    }
    let mut free: Vec<usize> = (0..SHIPPED.len()).collect();
    let mut sets = Vec::new();
    while sets.len() < count {
        let sum: u32 = free.iter().map(|factor| SHIPPED[*factor]).sum();
        let mut point = random.below(sum as usize) as u32;
        let at = free.iter().position(|factor| {
            let reached = point < SHIPPED[*factor];
            point = point.saturating_sub(SHIPPED[*factor]);
            reached
        });
        sets.push(vec![free.remove(at.unwrap_or_default())]);
    }
    let truth = Truth {
        elements: vec![Hidden::Sets {
            sets,
            distinct: true,
        }],
        ..Truth::default()
    };
    (truth, options)
}

/// As many trials may single culprits take: 4 + ceil(log2 n) + 2k, and what a coin cannot mimic.
pub fn bound(factors: usize, count: usize) -> usize {
    let halvings = (usize::BITS - (factors - 1).leading_zeros()) as usize;
    halvings + (4 + 2 * count).max(9)
}

/// Whether every element got exactly its culprits, chance was blamed on nobody, and the breakers
/// are right: each level at which the build fails is named by itself, and what only they would
/// change is left alone.
pub fn exact(truth: &Truth, done: &Session) -> Result<(), String> {
    for (number, element) in truth.elements.iter().enumerate() {
        let said = named(&done.verdict, number);
        let right = match element {
            Hidden::Noise { .. } | Hidden::Xor(..) => said.is_none(),
            Hidden::Masked(on, _) => said.is_none_or(|sets| sets == [vec![*on]]),
            Hidden::AtLevel(factor, _) if truth.breakers.contains(&vec![(*factor, 0)]) => {
                said.is_none() && done.verdict.factors[*factor] == FactorVerdict::Breaks
            }
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
    breakers.dedup();
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
