//! What follows what: the name that holds a digest follows the content, a list or a page that holds
//! the name follows it in turn. Something follows others if all that differs in it, in each trial, is
//! what it holds of them; a name, if it differs in exactly the trials in which its content does. What
//! has a difference of its own is a root, and everything that follows must lead to roots.

use std::collections::{BTreeMap, BTreeSet};

use super::Ledger;
use crate::diff::Source;
use crate::formats::hashed;
use crate::model::{Element, Field, TrialId};
use crate::search::Seen;

/// What a content holds of others in a trial, if that is all that differs.
pub type Held<'a> = &'a dyn Fn(usize, TrialId) -> Option<BTreeSet<Source>>;

/// Why an element differs that follows others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follows {
    /// The elements that it follows.
    pub followed: BTreeSet<usize>,
    /// How.
    pub how: How,
}

/// How an element follows others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A name that differs in exactly the trials in which the content does.
    Named,
    /// It holds their names or digests, and differs in nothing else.
    Holds,
}

/// What may follow what, before it is known what leads to a root.
struct Graph<'l> {
    ledger: &'l Ledger,
    /// The trials in which each element differs.
    differing: BTreeMap<usize, BTreeSet<TrialId>>,
    /// What contents hold.
    held: BTreeMap<usize, BTreeSet<usize>>,
    /// What is at the path of each name and inside of it.
    inside: BTreeMap<usize, BTreeSet<usize>>,
    /// The names that a digest makes another one of in a trial.
    renamed: BTreeMap<(TrialId, Pair), BTreeSet<usize>>,
}

/// A digest in a name in the control, and what stands in its place in a trial.
type Pair = (String, String);

/// The elements that follow others, by number.
pub fn follows(ledger: &Ledger, trials: &[TrialId], held: Held<'_>) -> BTreeMap<usize, Follows> {
    let graph = Graph::new(ledger, trials, held);
    let is_name = |number: &usize| graph.inside.contains_key(number);
    let candidate = |number: &usize| is_name(number) || graph.held.contains_key(number);
    let all = graph.differing.keys();
    let mut grounded: BTreeSet<usize> = all.filter(|number| !candidate(number)).copied().collect();
    let mut found = BTreeMap::new();
    for round in 0..3 {
        while let Some((number, follows)) = graph.next(&grounded, trials) {
            grounded.insert(number);
            found.insert(number, follows);
        }
        // What leads to no root is one: names first, for contents hold names and not the other way.
        let left = graph.differing.keys();
        let left = left.filter(|number| !grounded.contains(number));
        let left: Vec<usize> = left.filter(|n| round > 0 || is_name(n)).copied().collect();
        grounded.extend(left);
    }
    found
}

impl<'l> Graph<'l> {
    fn new(ledger: &'l Ledger, trials: &[TrialId], held: Held<'_>) -> Self {
        let mut graph = Self {
            ledger,
            differing: BTreeMap::new(),
            held: BTreeMap::new(),
            inside: BTreeMap::new(),
            renamed: BTreeMap::new(),
        };
        for trial in trials {
            for (number, seen) in ledger.seen(*trial).into_iter().flatten().enumerate() {
                if seen.differs() {
                    graph.differing.entry(number).or_default().insert(*trial);
                }
            }
        }
        let mut paths: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for number in graph.differing.keys() {
            if let Some(element) = ledger.elements().get(*number) {
                paths.entry(&*element.path).or_default().push(*number);
            }
        }
        for (number, differing) in &graph.differing {
            let Some(element) = ledger.elements().get(*number) else {
                continue;
            };
            if element.field == Field::NAME {
                let inside = graph.at(&paths, &named(ledger, *number, element), *number);
                graph.inside.insert(*number, inside);
                for trial in differing {
                    for pair in pairs(ledger, *number, *trial) {
                        let renamed = graph.renamed.entry((*trial, pair)).or_default();
                        renamed.insert(*number);
                    }
                }
                continue;
            }
            let held: Option<Vec<_>> = differing
                .iter()
                .map(|trial| held(*number, *trial))
                .collect();
            if let Some(held) = held {
                let held = held.into_iter().flatten();
                let numbers = held.flat_map(|source| match source {
                    Source::Name(path) => {
                        let name = ledger.number_of(&Element::new(path, Field::NAME));
                        name.into_iter().collect()
                    }
                    Source::Content(path) => graph.at(&paths, &path, *number),
                });
                graph.held.insert(*number, numbers.collect());
            }
        }
        graph
    }

    /// What differs at a path and inside of it, but for names and `except`.
    fn at(&self, paths: &BTreeMap<&str, Vec<usize>>, path: &str, except: usize) -> BTreeSet<usize> {
        let below = ["!/", "/"].map(|separator| format!("{path}{separator}"));
        let inside = below.iter().flat_map(|below| {
            let range = paths.range(below.as_str()..);
            range.take_while(move |(path, _)| path.starts_with(below.as_str()))
        });
        let own = paths.get_key_value(path);
        let numbers = own
            .into_iter()
            .chain(inside)
            .flat_map(|(_, numbers)| numbers);
        let counts = |number: &usize| {
            let field = self.ledger.elements().get(*number).map(|e| &e.field);
            *number != except && field.is_some_and(|f| *f != Field::NAME)
        };
        numbers.copied().filter(counts).collect()
    }

    /// An element that follows what is grounded, and is not yet.
    fn next(&self, grounded: &BTreeSet<usize>, trials: &[TrialId]) -> Option<(usize, Follows)> {
        let open = self.differing.iter();
        let mut open = open.filter(|(number, _)| !grounded.contains(number));
        open.find_map(|(number, own)| {
            if let Some(held) = self.held.get(number) {
                let known = !held.is_empty() && held.is_subset(grounded);
                return known.then(|| {
                    let followed = held.clone();
                    let how = How::Holds;
                    (*number, Follows { followed, how })
                });
            }
            let inside = self.inside.get(number)?.intersection(grounded);
            let inside: BTreeSet<usize> = inside.copied().collect();
            let observed = |trial: &TrialId| {
                let seen = self.ledger.seen(*trial).and_then(|seen| seen.get(*number));
                seen.is_none_or(|seen| *seen != Seen::Unobserved)
            };
            let observed: BTreeSet<TrialId> = trials.iter().copied().filter(observed).collect();
            let theirs = inside.iter().filter_map(|other| self.differing.get(other));
            let theirs: BTreeSet<TrialId> = theirs.flatten().copied().collect();
            let theirs: BTreeSet<TrialId> = theirs.intersection(&observed).copied().collect();
            let follows = || Follows {
                followed: inside.clone(),
                how: How::Named,
            };
            if !inside.is_empty() && theirs == *own {
                return Some((*number, follows()));
            }
            let followed = self.same_digest(*number, own, grounded)?;
            let how = How::Holds;
            Some((*number, Follows { followed, how }))
        })
    }

    /// Names that hold the same digests as this one, in every trial in which it differs.
    fn same_digest(
        &self,
        number: usize,
        trials: &BTreeSet<TrialId>,
        grounded: &BTreeSet<usize>,
    ) -> Option<BTreeSet<usize>> {
        let mut followed: BTreeSet<usize> = BTreeSet::new();
        for trial in trials {
            for pair in pairs(self.ledger, number, *trial) {
                let mut others = self.renamed.get(&(*trial, pair))?.intersection(grounded);
                // One of them is enough, and always the same.
                followed.insert(*others.next()?);
            }
        }
        (!followed.is_empty()).then_some(followed)
    }
}

/// What makes another name of a name in a trial.
fn pairs(ledger: &Ledger, number: usize, trial: TrialId) -> Vec<Pair> {
    let own = ledger
        .control_value(number)
        .zip(ledger.value_in(number, trial));
    own.map_or_else(Vec::new, |(control, own)| {
        hashed::differing(&control.to_string(), &own.to_string())
    })
}

/// The path of what a name belongs to: the element's own, or that of a directory around it.
fn named(ledger: &Ledger, number: usize, element: &Element) -> String {
    let name = ledger.control_value(number).map(ToString::to_string);
    let name = name.unwrap_or_default();
    let path = &*element.path;
    let ends = path
        .match_indices(name.as_str())
        .map(|(at, _)| at + name.len());
    let mut ends: Vec<usize> = ends.collect();
    ends.reverse();
    let whole = |end: &usize| {
        let rest = path.get(*end..).unwrap_or_default();
        rest.is_empty() || rest.starts_with('/') || rest.starts_with("!/")
    };
    let end = ends.into_iter().find(whole).unwrap_or(path.len());
    path.get(..end).unwrap_or(path).to_owned()
}
