//! How likely chance alone explains a history, and the interval around a measured rate.

use std::collections::BTreeSet;

use super::view::{Class, Token, View};

/// The marginal probability that an element which differs by chance, with an unknown rate, shows
/// exactly this history of `differs` and `same` trials, the control itself left out.
pub(super) fn marginal(differs: usize, same: usize) -> f64 {
    // a! b! / (a+b+1)!, the integral of p^a (1-p)^b, without overflow.
    (1..=same).fold(1.0 / real(differs + same + 1), |value, step| {
        value * real(step) / real(differs + step)
    })
}

/// How often the trials of a class showed what, the control itself left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The control's value.
    pub(super) same: usize,
    /// Each other value.
    pub(super) others: Vec<usize>,
    /// A value that can only be told from the control's.
    pub(super) volatile: usize,
}

impl Tally {
    /// What trials showed; the first of the control is what the others are compared with.
    pub(super) fn of(tokens: &[Token]) -> Self {
        let mut tally = Self::default();
        for token in tokens {
            tally.add(*token);
        }
        tally.same = tally.same.saturating_sub(1);
        tally
    }

    /// The repeats among the trials of a class: all but the first of each row that says something.
    pub(super) fn of_repeats(view: &View, class: &Class) -> Self {
        let mut tally = Self::default();
        let mut rows = BTreeSet::new();
        for (probe, token) in view.probes.iter().zip(&class.tokens) {
            if *token != Token::Unseen && !rows.insert(&probe.set) {
                tally.add(*token);
            }
        }
        tally
    }

    /// Takes in what one more trial shows.
    pub(super) fn add(&mut self, token: Token) {
        match token {
            Token::Unseen => {}
            Token::Same => self.same += 1,
            Token::Volatile => self.volatile += 1,
            Token::Other(value) => {
                let value = usize::try_from(value).unwrap_or(usize::MAX);
                let length = self.others.len().max(value.saturating_add(1));
                self.others.resize(length, 0);
                if let Some(count) = self.others.get_mut(value) {
                    *count += 1;
                }
            }
        }
    }

    /// What a trial shows that differs in the commonest way.
    pub(super) fn commonest(&self) -> Token {
        let values = (0_u32..).zip(&self.others);
        let commonest = values.max_by_key(|(_, count)| **count);
        commonest.map_or(Token::Volatile, |(value, _)| Token::Other(value))
    }

    /// How many trials there were.
    pub(super) fn trials(&self) -> usize {
        self.same + self.differs()
    }

    /// How many trials differed.
    pub(super) fn differs(&self) -> usize {
        self.volatile + self.others.iter().sum::<usize>()
    }

    /// The probability of this history where each trial draws its value anew, from whatever
    /// distribution makes it likeliest: however often an element differs by chance, and between
    /// however many values, it shows this history no oftener.
    pub(super) fn at_most(&self) -> f64 {
        at_most(self.differs(), self.same) * self.pattern()
    }

    /// Of a tally of repeats: the probability that each of them shows again what its row showed first,
    /// where each trial draws its value anew, from whatever distribution makes that likeliest.
    pub(super) fn agreement(&self) -> f64 {
        let all = real(self.others.iter().sum::<usize>().max(1));
        let shares = self.others.iter().map(|count| {
            let share = real(*count) / all;
            (0..*count).fold(1.0, |product, _| product * share)
        });
        at_most(self.differs(), self.same) * shares.product::<f64>()
    }

    /// The same of which values are equal, given which ones differ from the control. Values that
    /// were seen once may come from any number of rare ones; those seen oftener are few.
    fn pattern(&self) -> f64 {
        let all = real(self.others.iter().sum::<usize>().max(1));
        let share = |count: usize| (0..count).fold(1.0, |product, _| product * real(count) / all);
        let seen = self.others.iter().filter(|count| **count > 0);
        let (often, once): (Vec<usize>, Vec<usize>) = seen.partition(|count| **count > 1);
        if often.is_empty() {
            return 1.0;
        }
        let values = often.iter().zip(1..);
        let product = values.fold(share(once.len()), |product, (count, number)| {
            product * share(*count) * real(number)
        });
        product.min(1.0)
    }
}

/// The probability of a history of `differs` and `same` trials with the rate under which it is
/// likeliest: however often an element differs by chance, it shows this history no oftener.
pub(super) fn at_most(differs: usize, same: usize) -> f64 {
    let rate = real(differs) / real((differs + same).max(1));
    let share = |rate: f64, count: usize| (0..count).fold(1.0, |product, _| product * rate);
    share(rate, differs) * share(1.0 - rate, same)
}

/// How likely chance may show the history that a claim stands on, in units of the weight of the claim,
/// so that chance makes any of the claims with these weights (together 1) in at most `most` of all
/// cases. More than `most`, as histories come in steps of one trial and stay below their bounds.
pub(super) fn allowance(weights: &[f64], most: f64) -> f64 {
    const LONGEST: usize = 64;
    let steps: Vec<f64> = (0..LONGEST).map(|n| at_most(n / 2, n - n / 2)).collect();
    let total = |allowance: f64| -> f64 {
        let reached = |weight: &f64| steps.iter().find(|step| **step <= allowance * weight);
        weights.iter().filter_map(reached).sum()
    };
    let (mut low, mut high) = (most, 4.0 * most);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if total(middle) <= most {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The 95 % Wilson score interval of a rate (Wilson, JASA 22 (1927) 209).
pub(super) fn wilson(differing: u64, trials: u64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if trials == 0 {
        return (0.0, 1.0);
    }
    let count = real(usize::try_from(trials).unwrap_or(usize::MAX));
    let rate = real(usize::try_from(differing).unwrap_or(usize::MAX)) / count;
    let denominator = 1.0 + Z * Z / count;
    let centre = (rate + Z * Z / (2.0 * count)) / denominator;
    let half =
        Z * (rate * (1.0 - rate) / count + Z * Z / (4.0 * count * count)).sqrt() / denominator;
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// A count as a real number; counts of trials are far below where this loses precision.
#[expect(clippy::cast_precision_loss, reason = "counts of trials are small")]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marginal_is_the_beta_function() {
        assert!((marginal(0, 0) - 1.0).abs() < 1e-12);
        assert!((marginal(1, 1) - 1.0 / 6.0).abs() < 1e-12);
        assert!((marginal(3, 3) - 1.0 / 140.0).abs() < 1e-12);
    }

    #[test]
    fn no_rate_makes_a_history_likelier_than_its_own() {
        assert!((at_most(3, 4) - 27.0 * 256.0 / 823_543.0).abs() < 1e-12);
        assert!((at_most(2, 2) - 1.0 / 16.0).abs() < 1e-12);
        assert!((at_most(3, 0) - 1.0).abs() < 1e-12);
        assert!((at_most(0, 0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn values_seen_again_are_rarer_than_new_ones() {
        let tally = |others: &[usize]| Tally {
            same: 4,
            others: others.to_vec(),
            volatile: 0,
        };
        let two_valued = at_most(4, 4);
        assert!((tally(&[4]).at_most() - two_valued).abs() < 1e-12);
        assert!((tally(&[1, 1, 1, 1]).at_most() - two_valued).abs() < 1e-12);
        // Two values in a given order, in either role.
        assert!((tally(&[2, 2]).at_most() - two_valued * 2.0 / 16.0).abs() < 1e-12);
        assert!(tally(&[3, 1]).at_most() < two_valued);
    }

    #[test]
    fn claims_together_stay_below_what_is_allowed() {
        for weights in [vec![1.0], vec![1.0 / 14.0; 14], vec![0.5, 0.3, 0.15, 0.05]] {
            let allowed = allowance(&weights, 0.0085);
            assert!(allowed >= 0.0085);
            let needed = weights.iter().map(|weight| {
                let mut steps = (0..64).map(|n| at_most(n / 2, n - n / 2));
                steps.find(|step| *step <= allowed * weight).unwrap()
            });
            assert!(needed.sum::<f64>() <= 0.0085 + 1e-12);
        }
    }

    #[test]
    fn the_interval_holds_the_rate_and_stays_within_bounds() {
        let (low, high) = wilson(0, 10);
        assert!(
            low.abs() < 1e-12 && (high - 0.2775).abs() < 1e-3,
            "{low} {high}"
        );
        let (low, high) = wilson(5, 10);
        assert!((low - 0.2366).abs() < 1e-3 && (high - 0.7634).abs() < 1e-3);
    }
}
