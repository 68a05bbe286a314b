//! Which further levels are tried together, in the order in which they are: the next level of every
//! factor, levels that go with nothing else, any two levels side by side.

use super::cover;
use super::isolate::{self, Isolation};
use super::noise;
use super::set::Set;
use super::state::State;
use super::types::Options;
use super::view::Scheme;

/// What each of these rows may blame on chance, as a part of what the ordinary ones may.
const SHARE_OF_DOUBT: f64 = 0.25;

/// Everything varied, with the factors that stand at a level which no earlier row had.
pub(super) struct Choice {
    /// Its levels.
    pub(super) scheme: Scheme,
    /// Those factors.
    pub(super) own: Set,
    /// What it is for.
    pub(super) kind: Kind,
    /// What its rows may blame on chance, as a part of what the ordinary ones may.
    pub(super) share_of_doubt: f64,
}

/// What a choice of levels is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The next level of each factor.
    Next,
    /// One level that goes with nothing else.
    Apart,
    /// Levels that were not side by side before: all of them are its own.
    Mixed,
}

/// The further levels of every factor together, the lowest first; those that stand alone; if that is
/// asked for, all levels together, then any two of them side by side.
pub(super) fn choices(options: &Options, isolation: &Isolation) -> Vec<Choice> {
    let most = options.factors.iter().map(|factor| factor.levels).max();
    let rows = if options.thorough {
        most.unwrap_or_default()
    } else {
        1
    };
    let together = (0..usize::from(rows)).map(|row| {
        let levels =
            (0..options.factors.len()).map(|factor| further(options, isolation, factor, row));
        Choice::new(levels.collect(), Kind::Next, options, isolation)
    });
    let apart = options.apart.iter().map(|(factor, level)| {
        let used = isolation.scheme.0.iter().enumerate();
        let levels = used.map(|(other, used)| {
            if other == *factor && *used != 0 {
                *level
            } else {
                0
            }
        });
        Choice::new(levels.collect(), Kind::Apart, options, isolation)
    });
    let all = together.chain(apart);
    let mut all: Vec<Choice> = all.filter(|choice| !choice.own.is_empty()).collect();
    if options.thorough {
        let mixed = mixed(options, isolation, &all);
        all.extend(mixed);
    }
    all
}

/// Rows with any two levels side by side that were not in a row with everything varied.
fn mixed(options: &Options, isolation: &Isolation, before: &[Choice]) -> Vec<Choice> {
    let factors = options.factors.iter().zip(&isolation.scheme.0).enumerate();
    let levels: Vec<Vec<u8>> = factors
        .map(|(factor, (known, used))| {
            let all = (1..=known.levels).filter(|_| *used != 0);
            all.filter(|level| !is_broken(isolation, factor, *level))
                .collect()
        })
        .collect();
    let ordinary = isolation.scheme.0.clone();
    let opening = ordinary.iter().enumerate();
    let opening = opening.map(|(factor, used)| opening_level(options, factor, *used));
    let mut known: Vec<Vec<u8>> = before.iter().map(|row| row.scheme.0.clone()).collect();
    known.extend([opening.collect(), ordinary]);
    let rows = cover::rows(&levels, &known, options.seed);
    let share_of_doubt = SHARE_OF_DOUBT / noise::real(rows.len().max(1));
    rows.into_iter()
        .map(|row| {
            let scheme = Scheme(row);
            Choice {
                own: scheme.top(),
                scheme,
                kind: Kind::Mixed,
                share_of_doubt,
            }
        })
        .collect()
}

/// The level that the first trial with everything varied has, or would have.
fn opening_level(options: &Options, factor: usize, used: u8) -> u8 {
    let mut own = options.first_levels.iter();
    let own = own.find(|(other, _)| *other == factor && used == 1);
    own.map_or(used, |(_, level)| *level)
}

/// The level of a factor in one of the rows: the next that was in no trial with everything varied,
/// else the ordinary one.
fn further(options: &Options, isolation: &Isolation, factor: usize, row: usize) -> u8 {
    let used = isolation.scheme.0.get(factor).copied().unwrap_or_default();
    let levels = options.factors.get(factor).map_or(0, |known| known.levels);
    let broken = |level: &u8| is_broken(isolation, factor, *level);
    let opened = opening_level(options, factor, used);
    let mut others = (1..=levels).filter(|level| *level != opened && !broken(level));
    others.nth(row).filter(|_| used != 0).unwrap_or(used)
}

/// Whether a level breaks the build, as far as the ordinary rows show.
fn is_broken(isolation: &Isolation, factor: usize, level: u8) -> bool {
    let mut breakers = isolation.breakers.iter();
    breakers.any(|breaker| breaker.is_level(factor, level))
}

impl Choice {
    fn new(levels: Vec<u8>, kind: Kind, options: &Options, isolation: &Isolation) -> Self {
        let used = levels.iter().zip(&isolation.scheme.0).enumerate();
        let own = used.filter(|(factor, (level, used))| {
            level != used && **level != 0 && **level != opening_level(options, *factor, **used)
        });
        Self {
            own: Set::of(levels.len(), own.map(|(factor, _)| factor)),
            scheme: Scheme(levels),
            kind,
            share_of_doubt: SHARE_OF_DOUBT,
        }
    }

    pub(super) fn without(&self, factors: &Set) -> Self {
        let scheme = within(&self.scheme, &self.scheme.top().minus(factors));
        Self {
            own: self.own.minus(factors),
            scheme,
            kind: self.kind,
            share_of_doubt: self.share_of_doubt,
        }
    }

    /// With the ordinary levels in the place of those that further rows have shown to break the build.
    pub(super) fn without_broken(mut self, state: &State<'_>) -> Self {
        let breakers = state.further.iter();
        for breaker in breakers.filter_map(|further| further.breaker.as_ref()) {
            for (factor, level) in breaker.set.iter().zip(&breaker.levels) {
                let ordinary = state.isolation.scheme.0.get(*factor).copied();
                let ordinary = ordinary.unwrap_or_default();
                if self.scheme.0.get(*factor) == Some(level) && *level != ordinary {
                    isolate::set_level(&mut self.scheme, *factor, ordinary);
                    self.own = self.own.without(*factor);
                }
            }
        }
        self
    }
}

/// The choice of levels with these factors alone.
pub(super) fn within(scheme: &Scheme, factors: &Set) -> Scheme {
    Scheme(scheme.row(factors).0)
}
