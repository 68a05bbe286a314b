//! How likely chance alone explains a history, and the interval around a measured rate.

/// The marginal probability that an element which differs by chance, with an unknown rate, shows
/// exactly this history of `differs` and `same` trials, the control itself left out.
pub(super) fn marginal(differs: usize, same: usize) -> f64 {
    // a! b! / (a+b+1)!, the integral of p^a (1-p)^b, without overflow.
    (1..=same).fold(1.0 / real(differs + same + 1), |value, step| {
        value * real(step) / real(differs + step)
    })
}

/// The same with the rate under which this history is likeliest: however often an element differs by
/// chance, it shows this history no oftener.
pub(super) fn at_most(differs: usize, same: usize) -> f64 {
    let rate = real(differs) / real((differs + same).max(1));
    let share = |rate: f64, count: usize| (0..count).fold(1.0, |product, _| product * rate);
    share(rate, differs) * share(1.0 - rate, same)
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
