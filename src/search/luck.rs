//! Trials with a level that is drawn anew each time may agree by luck, and mislead the search: a larger
//! row lacks what a smaller one shows, a draw seems to act only together with others, or not to act
//! beside a known culprit. Such rows are run again: where two of their trials part, the element follows
//! the draw.

use std::collections::{BTreeMap, BTreeSet};

use super::bisect::Facts;
use super::certificate::Proof;
use super::classify::Progress;
use super::set::Set;
use super::state::State;
use super::types::Seen;
use super::view::{self, Class, View};
use crate::model::{Expect, Row};

/// Rows that may mislead are run so often, ...
const TRIALS: usize = 4;
/// ... and a draw alone that seems to do nothing so often.
const TRIALS_ALONE: usize = 6;
/// Of so many rows that contradict each other at most.
const ROWS: usize = 5;
/// Of so many elements of a class the values are looked at.
const MEMBERS: usize = 16;

impl State<'_> {
    /// The rows that are to be run again before the search goes on: two that contradict each other, and
    /// that a draw may part.
    pub(super) fn contradicted_draws(&self) -> Vec<Row> {
        let mut wanted = BTreeSet::new();
        for (view, class, progress) in self.beside_draws() {
            let rows = match progress {
                Progress::Certified(_) => continue,
                Progress::Needs(_) | Progress::Open(_) => contradiction(view, class),
                Progress::Unsettled(..) => {
                    let rows = contradiction(view, class);
                    if rows.is_empty() {
                        alone(view, class)
                    } else {
                        rows
                    }
                }
            };
            wanted.extend(rows.iter().map(|set| view.scheme.row(set)));
        }
        wanted.into_iter().collect()
    }

    /// The rows that are to be run again before a claim is believed in which a draw may have agreed by
    /// luck.
    pub(super) fn agreeing_draws(&self) -> Vec<Row> {
        let mut wanted = BTreeSet::new();
        for (view, class, progress) in self.beside_draws() {
            if let Progress::Certified(proofs) = progress {
                wanted.extend(self.again(view, class, proofs));
            }
        }
        wanted.into_iter().collect()
    }

    /// How far the classes are that are searched in rows with a draw.
    fn beside_draws(&self) -> impl Iterator<Item = (&View, &Class, &Progress)> {
        let views = self.views.iter().enumerate();
        let views = views.filter(|(_, view)| !view.draws.is_empty());
        views.flat_map(|(index, view)| {
            let classes = self.progress(index).iter();
            classes.filter_map(move |(number, progress)| {
                let class = view.classes.get(*number)?;
                (class.active && !class.drawn).then_some((view, class, progress))
            })
        })
    }

    fn again(&self, view: &View, class: &Class, proofs: &[Proof]) -> Vec<Row> {
        let together = proofs.iter().filter(|proof| proof.term.len() > 1);
        let draws = together.flat_map(|proof| {
            proof
                .term
                .intersection(&view.draws)
                .iter()
                .collect::<Vec<_>>()
        });
        let none = view.top.minus(&view.top);
        let alone: BTreeSet<Set> = draws.map(|draw| none.with(draw)).collect();
        let few = |set: &Set, trials: usize| view.trials(set).count() < trials;
        let alone = alone.into_iter().filter(|set| few(set, TRIALS_ALONE));
        let mut rows: Vec<Set> = alone.collect();
        let same = proofs.iter().flat_map(|proof| &proof.rows);
        let same = same.filter(|(set, expect)| *expect == Expect::Same && set.meets(&view.draws));
        let same = same.filter(|(set, _)| few(set, TRIALS));
        let same: Vec<Set> = same.map(|(set, _)| set.clone()).collect();
        let named = proofs.iter().any(|proof| proof.term.meets(&view.draws));
        let mut members = class.members.iter().take(MEMBERS);
        if !named
            && !same.is_empty()
            && members.any(|element| self.changes_more(view, proofs, *element))
        {
            rows.extend(same);
        }
        rows.iter().map(|set| view.scheme.row(set)).collect()
    }

    /// Whether an element has another value with a draw than without it, while the same sets act.
    fn changes_more(&self, view: &View, proofs: &[Proof], element: usize) -> bool {
        let mut values: BTreeMap<Set, (BTreeSet<Seen>, BTreeSet<Seen>)> = BTreeMap::new();
        for (_, row, seen) in self.log.built() {
            let Some(set) = view.scheme.set(row) else {
                continue;
            };
            let undrawn = view.scheme.row(&set.minus(&view.draws));
            if view::is_volatile(&self.options.factors, &undrawn) {
                continue;
            }
            let acting = proofs.iter().enumerate();
            let acting = acting.filter(|(_, proof)| proof.term.is_subset(&set));
            let acting = Set::of(proofs.len(), acting.map(|(number, _)| number));
            let values = values.entry(acting).or_default();
            let values = if set.meets(&view.draws) {
                &mut values.0
            } else {
                &mut values.1
            };
            values.insert(self.log.seen(seen, element));
        }
        let mut values = values.into_iter().filter(|(acting, _)| !acting.is_empty());
        values.any(|(_, (with, without))| without.len() == 1 && !with.is_subset(&without))
    }
}

/// Two rows with a draw of which the larger lacks what the smaller has, though nothing else explains
/// the smaller one: what of them was not run often enough to tell. Of few rows only, as it may be no draw.
fn contradiction(view: &View, class: &Class) -> Vec<Set> {
    let facts = view.facts(class);
    let drawn = |set: &&Set| set.meets(&view.draws);
    let trials = |set: &Set| view.trials(set).count();
    let all = facts.with.iter().chain(&facts.without).filter(drawn);
    if all.filter(|set| trials(set) >= TRIALS).count() >= ROWS {
        return Vec::new();
    }
    let pairs = facts.with.iter().filter(drawn).flat_map(|small| {
        let larger = facts.without.iter().filter(drawn);
        let larger = larger.filter(move |large| small.is_subset(large));
        larger.map(move |large| [small, large])
    });
    let missing = |pair: &[&Set; 2]| pair.iter().any(|set| trials(set) < TRIALS);
    let pairs = pairs.filter(|pair| {
        missing(pair)
            && !pair
                .first()
                .is_some_and(|small| is_explained(&facts, view, small))
    });
    let size = |pair: &[&Set; 2]| pair.map(Set::len);
    let first = pairs.min_by(|a, b| size(a).cmp(&size(b)).then_with(|| a.cmp(b)));
    let rows = first.into_iter().flatten();
    rows.filter(|set| trials(set) < TRIALS).cloned().collect()
}

/// The draws alone, where only they may explain a class, and they were not run often enough to tell.
fn alone(view: &View, class: &Class) -> Vec<Set> {
    let facts = view.facts(class);
    let mut with = facts.with.iter();
    if !with.any(|row| row.meets(&view.draws) && !is_explained(&facts, view, row)) {
        return Vec::new();
    }
    let none = view.top.minus(&view.top);
    let draws = view.draws.iter().map(|draw| none.with(draw));
    let draws = draws.filter(|set| view.trials(set).count() < TRIALS_ALONE);
    draws.collect()
}

/// Whether a row without a draw shows already what a larger one shows.
fn is_explained(facts: &Facts, view: &View, row: &Set) -> bool {
    let mut others = facts.with.iter().filter(|set| !set.meets(&view.draws));
    others.any(|other| other.is_subset(row))
}
