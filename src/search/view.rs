//! The log through one choice of levels: the trials whose varied variations all stand at that
//! choice, as sets of variations, and the elements grouped by what these trials showed. Elements
//! with the same history share one class and are searched as one.

use std::collections::BTreeMap;

use super::bisect::Facts;
use super::log::Log;
use super::set::Set;
use super::types::{Observation, Seen};
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
    /// Factors whose values were found in the bytes of these elements, rising.
    pub(super) hints: Vec<usize>,
}

/// The log through one choice of levels.
#[derive(Debug)]
pub(super) struct View {
    /// The choice.
    pub(super) scheme: Scheme,
    /// Everything that can vary.
    pub(super) top: Set,
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
    /// The log through `scheme`, without the elements that `skip` names. `volatile` says whether
    /// an environment changes its own values from trial to trial.
    pub(super) fn new(
        log: &Log,
        scheme: Scheme,
        skip: impl Fn(usize) -> bool,
        volatile: impl Fn(&Row) -> bool,
    ) -> Self {
        let mut probes = Vec::new();
        let mut observed: Vec<(&[Seen], bool)> = Vec::new();
        let mut failed: BTreeMap<Set, Vec<TrialId>> = BTreeMap::new();
        for (id, trial) in &log.trials {
            let Some(set) = scheme.set(&trial.row) else {
                continue;
            };
            if let Observation::Built(values) = &trial.result {
                observed.push((values.as_slice(), volatile(&trial.row)));
                probes.push(Probe { id: *id, set });
            } else {
                failed.entry(set).or_default().push(*id);
            }
        }
        failed.retain(|set, _| !probes.iter().any(|probe| probe.set == *set));
        let classes = classes(log, &observed, skip);
        Self {
            top: scheme.top(),
            scheme,
            probes,
            failed,
            classes,
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

/// Groups the elements that differ in some trial by their histories.
fn classes(log: &Log, observed: &[(&[Seen], bool)], skip: impl Fn(usize) -> bool) -> Vec<Class> {
    let mut groups: BTreeMap<(Vec<Token>, Vec<usize>, bool), Vec<usize>> = BTreeMap::new();
    let Some(control) = log.control_values() else {
        return Vec::new();
    };
    for element in 0..log.elements() {
        let reference = log.seen(control, element);
        if reference == Seen::Unobserved || skip(element) {
            continue;
        }
        let mut known: Vec<Seen> = Vec::new();
        let tokens: Vec<Token> = observed
            .iter()
            .map(|(values, volatile)| {
                let seen = log.seen(values, element);
                if seen == Seen::Unobserved {
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
            let group = groups.entry((tokens, hints.collect(), active));
            group.or_default().push(element);
        }
    }
    groups
        .into_iter()
        .map(|((tokens, hints, active), members)| Class {
            tokens,
            members,
            active,
            hints,
        })
        .collect()
}
