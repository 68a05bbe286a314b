//! The log through one choice of levels: the trials whose varied variations all stand at that
//! choice, as sets of variations, and the elements grouped by what these trials showed. Elements
//! with the same history share one class and are searched as one.

use std::collections::{BTreeMap, BTreeSet};

use super::bisect::Facts;
use super::log::Log;
use super::set::Set;
use super::types::{Factor, Observation, Seen};
use crate::model::{Row, TrialId};

/// One level for each factor; 0 leaves it out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scheme(pub(super) Vec<u8>);

/// What one trial says about a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token {
    /// Nothing.
    Unseen,
    /// The control's value.
    Same,
    /// Another value, numbered by first appearance.
    Other(u32),
    /// Another value, in a trial whose values change by themselves.
    Volatile,
}

/// One trial that built.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// Its number.
    pub(super) id: TrialId,
    /// What was varied.
    pub(super) set: Set,
}

/// Elements with the same history.
#[derive(Debug, Clone)]
pub(super) struct Class {
    /// What each probe showed, in the order of [`View::probes`].
    pub(super) tokens: Vec<Token>,
    /// The elements, rising.
    pub(super) members: Vec<usize>,
    /// Whether trials may be spent on it.
    pub(super) active: bool,
    /// Whether trials with a draw say nothing about these elements.
    pub(super) drawn: bool,
    /// Factors whose values were found in the bytes of these elements, rising.
    pub(super) hints: Vec<usize>,
}

/// How trials are read.
pub(super) struct Reading<'a> {
    /// The factors.
    pub(super) factors: &'a [Factor],
    /// Levels that are drawn anew in every trial.
    pub(super) draws: &'a [(usize, u8)],
    /// Elements of which trials with such a level say nothing.
    pub(super) drawn: &'a BTreeSet<usize>,
    /// Elements that are left out.
    pub(super) skip: &'a dyn Fn(usize) -> bool,
}

/// The log through one choice of levels.
#[derive(Debug)]
pub(super) struct View {
    /// The choice.
    pub(super) scheme: Scheme,
    /// Everything that can vary.
    pub(super) top: Set,
    /// What of it is drawn anew in every trial.
    pub(super) draws: Set,
    /// The trials that built, by number.
    pub(super) probes: Vec<Probe>,
    /// Rows all of whose trials failed, with these trials.
    pub(super) failed: BTreeMap<Set, Vec<TrialId>>,
    /// The classes that differ somewhere, in the order of their histories.
    pub(super) classes: Vec<Class>,
}

impl Token {
    /// Whether the trial says that the element differs; nothing if it says nothing.
    pub(super) fn differs(self) -> Option<bool> {
        match self {
            Self::Unseen => None,
            Self::Same => Some(false),
            Self::Other(_) | Self::Volatile => Some(true),
        }
    }
}

/// Whether an environment changes its own values from trial to trial.
pub(super) fn is_volatile(factors: &[Factor], row: &Row) -> bool {
    row.0.iter().zip(factors).any(|(level, factor)| {
        let index = usize::from(*level).checked_sub(1);
        index.is_some_and(|index| factor.volatile.get(index).copied().unwrap_or_default())
    })
}

/// Whether an environment has a level that is drawn anew in every trial.
pub(super) fn is_drawn(draws: &[(usize, u8)], row: &Row) -> bool {
    let mut draws = draws.iter();
    draws.any(|(factor, level)| row.0.get(*factor) == Some(level))
}

impl Scheme {
    /// What is varied.
    pub(super) fn top(&self) -> Set {
        let varied = self.0.iter().enumerate().filter(|(_, level)| **level != 0);
        Set::of(self.0.len(), varied.map(|(factor, _)| factor))
    }

    /// The row in which exactly `set` is varied.
    pub(super) fn row(&self, set: &Set) -> Row {
        let levels = self.0.iter().enumerate();
        Row(levels
            .map(|(factor, level)| if set.has(factor) { *level } else { 0 })
            .collect())
    }

    /// The varied set of a row, where it stands at these levels.
    pub(super) fn set(&self, row: &Row) -> Option<Set> {
        let fits = row.0.len() == self.0.len()
            && row
                .0
                .iter()
                .zip(&self.0)
                .all(|(is, mine)| *is == 0 || is == mine);
        fits.then(|| Set::of(self.0.len(), row.varied()))
    }
}

impl View {
    /// The log through `scheme`; without a reading, only which rows build.
    pub(super) fn new(log: &Log, scheme: Scheme, reading: Option<&Reading<'_>>) -> Self {
        let mut probes = Vec::new();
        let mut observed = Vec::new();
        let mut failed: BTreeMap<Set, Vec<TrialId>> = BTreeMap::new();
        for (id, trial) in &log.trials {
            let Some(set) = scheme.set(&trial.row) else {
                continue;
            };
            if let Observation::Built(values) = &trial.result {
                observed.push((values.as_slice(), &trial.row));
                probes.push(Probe { id: *id, set });
            } else {
                failed.entry(set).or_default().push(*id);
            }
        }
        failed.retain(|set, _| !probes.iter().any(|probe| probe.set == *set));
        let classes = reading.map(|reading| classes(log, &observed, reading));
        let draws = reading.map_or(&[][..], |reading| reading.draws);
        let draws = draws.iter();
        let draws = draws.filter(|(factor, level)| scheme.0.get(*factor) == Some(level));
        Self {
            draws: Set::of(scheme.0.len(), draws.map(|(factor, _)| *factor)),
            top: scheme.top(),
            scheme,
            probes,
            failed,
            classes: classes.unwrap_or_default(),
        }
    }

    /// Everything that can vary where a class is searched.
    pub(super) fn reach(&self, class: &Class) -> Set {
        if class.drawn {
            self.top.minus(&self.draws)
        } else {
            self.top.clone()
        }
    }

    /// The trials of a row that built.
    pub(super) fn trials<'a>(&'a self, set: &'a Set) -> impl Iterator<Item = usize> + 'a {
        let probes = self.probes.iter().enumerate();
        probes
            .filter(move |(_, probe)| probe.set == *set)
            .map(|(index, _)| index)
    }

    /// What the trials say about one class, as a property of rows.
    pub(super) fn facts(&self, class: &Class) -> Facts {
        let mut facts = Facts::default();
        for (probe, token) in self.probes.iter().zip(&class.tokens) {
            let known = match token.differs() {
                Some(true) => &mut facts.with,
                Some(false) => &mut facts.without,
                None => continue,
            };
            if !known.contains(&probe.set) {
                known.push(probe.set.clone());
            }
        }
        facts
    }

    /// Which rows build, as a property of rows; `ignored` failures are left out.
    pub(super) fn failures(&self, ignored: &[TrialId]) -> Facts {
        let mut facts = Facts::default();
        for probe in &self.probes {
            if !facts.without.contains(&probe.set) {
                facts.without.push(probe.set.clone());
            }
        }
        for (set, trials) in &self.failed {
            if !trials.iter().any(|trial| ignored.contains(trial)) {
                facts.with.push(set.clone());
            }
        }
        facts
    }
}

/// What the elements of a class share: tokens, hints, whether they are active, and follow a draw.
type Key = (Vec<Token>, Vec<usize>, bool, bool);

/// Groups the elements that differ in some trial by their histories.
fn classes(log: &Log, observed: &[(&[Seen], &Row)], reading: &Reading<'_>) -> Vec<Class> {
    let mut groups: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    let rows = observed.iter().map(|(values, row)| {
        let volatile = is_volatile(reading.factors, row);
        (*values, volatile, is_drawn(reading.draws, row))
    });
    let observed: Vec<(&[Seen], bool, bool)> = rows.collect();
    let Some(control) = log.control_values() else {
        return Vec::new();
    };
    for element in 0..log.elements() {
        let reference = log.seen(control, element);
        if reference == Seen::Unobserved || (reading.skip)(element) {
            continue;
        }
        let follows_draws = reading.drawn.contains(&element);
        let mut known: Vec<Seen> = Vec::new();
        let tokens: Vec<Token> = observed
            .iter()
            .map(|(values, volatile, drawn)| {
                let seen = log.seen(values, element);
                if seen == Seen::Unobserved || (*drawn && follows_draws) {
                    Token::Unseen
                } else if seen == reference {
                    Token::Same
                } else if *volatile {
                    Token::Volatile
                } else {
                    let number = known.iter().position(|other| *other == seen);
                    let number = number.unwrap_or_else(|| {
                        known.push(seen);
                        known.len() - 1
                    });
                    Token::Other(u32::try_from(number).unwrap_or(u32::MAX))
                }
            })
            .collect();
        if tokens.iter().any(|token| token.differs() == Some(true)) {
            let number = u32::try_from(element).unwrap_or(u32::MAX);
            let hints = log.hints.get(&number).into_iter().flatten().copied();
            let active = !log.passive.contains(&number);
            let key = (tokens, hints.collect(), active, follows_draws);
            let group = groups.entry(key);
            group.or_default().push(element);
        }
    }
    groups
        .into_iter()
        .map(|((tokens, hints, active, drawn), members)| Class {
            tokens,
            members,
            active,
            drawn,
            hints,
        })
        .collect()
}
