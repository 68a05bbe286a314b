//! Elements that follow a level which draws its value anew in every trial (random addresses). Two trials
//! of one such environment differ by nature, and may agree by luck: neither says that the element is
//! unstable, nor anything about the other factors. Such an element is searched without the draws; then a
//! draw is to blame where the element differs with it alone, and never without it, oftener than chance
//! would share the trials out like that.

use std::collections::{BTreeMap, BTreeSet};

use super::classify::{Progress, shown};
use super::noise;
use super::set::Set;
use super::state::State;
use super::types::{Certified, ElementVerdict, Reason, Seen};
use super::view::View;
use crate::model::{Expect, Row, TrialId};

/// How often what chance does may be blamed on a draw, shared by the draws of a session: no other factor
/// is ever blamed like this.
const DOUBT: f64 = 0.002;
/// So many trials of a draw alone are spent on an element.
const MOST_ALONE: usize = 24;
/// The same where it was never seen to differ in them: it may only differ beside something else.
const MOST_IN_VAIN: usize = 12;

/// How far an element is.
enum Standing {
    /// It is still searched without the draws.
    Waits,
    /// These environments are to be run next.
    Needs(Vec<Row>),
    /// These draws make it differ, each with its proof; beside what the search without them found.
    Proven(Vec<Certified>),
    /// It cannot be settled.
    Unsettled(Reason, Set),
}

/// What the trials without any other known culprit show of an element.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    /// With one draw.
    with: usize,
    /// Those of them that differ.
    differing: usize,
    /// With that draw and nothing else.
    alone: usize,
    /// Those of them that differ.
    alone_differing: usize,
    /// Without any draw, but for the first control.
    without: usize,
}

impl State<'_> {
    /// The rows that elements which follow a draw need next, once they are searched without it.
    pub(super) fn about_draws(&self) -> Vec<Row> {
        let mut wanted: BTreeMap<Row, usize> = BTreeMap::new();
        for element in self
            .drawn
            .iter()
            .filter(|element| self.is_active(**element))
        {
            if let Standing::Needs(rows) = standing(self, *element) {
                let mut own: BTreeMap<Row, usize> = BTreeMap::new();
                for row in rows {
                    *own.entry(row).or_default() += 1;
                }
                for (row, count) in own {
                    let most = wanted.entry(row).or_default();
                    *most = count.max(*most);
                }
            }
        }
        let wanted = wanted.into_iter();
        let wanted = wanted.flat_map(|(row, count)| std::iter::repeat_n(row, count));
        wanted.collect()
    }

    /// Puts in the verdicts on elements that follow a draw; `found` are those of the search.
    pub(super) fn add_draws(&self, found: &mut BTreeMap<usize, ElementVerdict>) {
        for element in &self.drawn {
            let verdict = match standing(self, *element) {
                Standing::Proven(proven) => {
                    let mut culprits = match found.remove(element) {
                        Some(ElementVerdict::Certified { culprits }) => culprits,
                        _ => Vec::new(),
                    };
                    culprits.extend(proven);
                    culprits.sort_by(|a, b| a.set.cmp(&b.set));
                    ElementVerdict::Certified { culprits }
                }
                Standing::Unsettled(reason, possible) => ElementVerdict::Unsettled {
                    reason,
                    possible: possible.iter().collect(),
                },
                Standing::Waits | Standing::Needs(_) => ElementVerdict::Unsettled {
                    reason: self.unfinished(),
                    possible: levels(self).iter().map(|(factor, _)| *factor).collect(),
                },
            };
            found.insert(*element, verdict);
        }
    }

    /// The draws that are proven to act on an element; nothing where that is not decided.
    pub(super) fn proven_draws(&self, element: usize) -> Option<Set> {
        let bound = self.options.factors.len();
        match standing(self, element) {
            Standing::Proven(proven) => {
                let factors = proven
                    .iter()
                    .flat_map(|culprit| culprit.set.iter().copied());
                Some(Set::of(bound, factors))
            }
            _ => None,
        }
    }

    fn is_active(&self, element: usize) -> bool {
        !u32::try_from(element).is_ok_and(|number| self.log.passive.contains(&number))
    }
}

/// What is known of an element without the draws.
#[derive(Default)]
struct Known<'s> {
    /// The sets that make it differ, with the view that says so.
    terms: Vec<(&'s View, Set)>,
    /// Trials that leave room for nothing else.
    same: BTreeSet<TrialId>,
}

/// Where an element stands.
fn standing(state: &State<'_>, element: usize) -> Standing {
    match without_draws(state, element) {
        Ok(known) => decide(state, element, &known),
        Err(standing) => standing,
    }
}

/// What the trials without a draw say of an element; else where that leaves it.
fn without_draws<'s>(state: &'s State<'_>, element: usize) -> Result<Known<'s>, Standing> {
    let mut known = Known::default();
    let factors = levels(state).into_iter().map(|(factor, _)| factor);
    let all = Set::of(state.options.factors.len(), factors);
    for (index, view) in state.ordinary().iter().enumerate() {
        if view.top.is_empty() || state.settled_before(index, element) {
            continue;
        }
        let mut classes = state.progress(index).iter();
        let found = classes.find_map(|(number, progress)| {
            let class = view.classes.get(*number)?;
            let is_member = class.members.binary_search(&element).is_ok();
            is_member.then_some((class, progress))
        });
        match found {
            Some((class, Progress::Certified(proofs))) => {
                for proof in proofs {
                    known.terms.push((view, proof.term.clone()));
                    let same = proof
                        .rows
                        .iter()
                        .filter(|(_, expect)| *expect == Expect::Same);
                    let trials = same.flat_map(|(set, expect)| shown(view, class, set, *expect));
                    known.same.extend(trials);
                }
            }
            Some((_, Progress::Unsettled(reason, possible))) => {
                return Err(Standing::Unsettled(*reason, possible.union(&all)));
            }
            Some((_, Progress::Needs(_) | Progress::Open(_))) => return Err(Standing::Waits),
            None => known.same.extend(same_without(state, view, element, &all)?),
        }
    }
    Ok(known)
}

/// The trials of everything varied but the draws, in which an element that nothing else changes is the
/// same; else where it stands without them.
fn same_without(
    state: &State<'_>,
    view: &View,
    element: usize,
    all: &Set,
) -> Result<Vec<TrialId>, Standing> {
    let row = view.scheme.row(&view.top.minus(&view.draws));
    if state.log.built_with(&row).next().is_none() {
        let fails = state.log.failed_with(&row).next().is_some();
        return Err(if fails {
            Standing::Unsettled(Reason::Breakers, all.clone())
        } else {
            Standing::Needs(vec![row])
        });
    }
    let trials = state.log.built().filter(|(_, other, _)| **other == row);
    let reference = state.log.reference(element);
    let same = trials.filter(|(.., values)| state.log.seen(values, element) == reference);
    let same: Vec<TrialId> = same.map(|(id, ..)| id).collect();
    if same.is_empty() {
        return Err(Standing::Unsettled(Reason::Unobserved, all.clone()));
    }
    Ok(same)
}

/// The levels that the ordinary rows vary and that are drawn anew in every trial.
fn levels(state: &State<'_>) -> Vec<(usize, u8)> {
    let used = |(factor, level): &&(usize, u8)| {
        let mut views = state.ordinary().iter();
        views.any(|view| view.scheme.0.get(*factor) == Some(level))
    };
    state.options.draws.iter().filter(used).copied().collect()
}

/// Once it is searched without the draws: which of them is to blame, or what would tell.
fn decide(state: &State<'_>, element: usize, known: &Known<'_>) -> Standing {
    let draws = levels(state);
    let count = |draw: &(usize, u8)| count(state, element, *draw, &known.terms);
    let counts: Vec<Count> = draws.iter().map(count).collect();
    let share = DOUBT / noise::real(state.noisy.max(1) * draws.len().max(1));
    let is_proven =
        |(_, count): &(&(usize, u8), &Count)| count.alone_differing > 0 && count.chance() <= share;
    let (proven, open): (Vec<_>, Vec<_>) = draws.iter().zip(&counts).partition(is_proven);
    let open = open.into_iter();
    let open = open.filter(|(_, count)| !count.is_hopeless(!proven.is_empty()));
    if let Some((draw, count)) = open.min_by_key(|(_, count)| count.alone) {
        return Standing::Needs(next(state, *draw, *count));
    }
    if proven.is_empty() {
        let factors = draws.iter().map(|(factor, _)| *factor);
        let all = Set::of(state.options.factors.len(), factors);
        return Standing::Unsettled(Reason::MaybeNoise, all);
    }
    let proven = proven.into_iter();
    let proven = proven.map(|(draw, _)| certified(state, element, *draw, known));
    Standing::Proven(proven.collect())
}

/// A draw that is to blame, with its proof.
fn certified(
    state: &State<'_>,
    element: usize,
    (factor, level): (usize, u8),
    known: &Known<'_>,
) -> Certified {
    let alone = Row::alone(state.options.factors.len(), factor, level);
    let differing = state.log.built().filter(|(_, row, _)| **row == alone);
    let differing = differing.filter(|(.., values)| differs(state, values, element));
    let differing = differing.map(|(id, ..)| (id, Expect::Differs));
    let same = known.same.iter().map(|id| (*id, Expect::Same));
    let mut certificate: Vec<(TrialId, Expect)> = differing.chain(same).collect();
    certificate.sort();
    Certified {
        set: vec![factor],
        levels: vec![level],
        certificate,
    }
}

impl Count {
    /// How likely chance alone, however often it makes the element differ, would leave all trials that
    /// differ to those with the draw (Fisher's exact test).
    fn chance(&self) -> f64 {
        (0..self.differing).fold(1.0, |chance, taken| {
            let left = self.with.saturating_sub(taken);
            chance * noise::real(left) / noise::real((left + self.without).max(1))
        })
    }

    /// Whether no more trials are spent on it; fewer where another draw explains the element.
    fn is_hopeless(&self, explained: bool) -> bool {
        let in_vain = if explained {
            MOST_IN_VAIN / 2
        } else {
            MOST_IN_VAIN
        };
        self.alone >= MOST_ALONE || (self.alone_differing == 0 && self.alone >= in_vain)
    }
}

/// The trials that tell of one draw: those in which nothing else acts on the element, as far as is known.
fn count(
    state: &State<'_>,
    element: usize,
    (factor, level): (usize, u8),
    terms: &[(&View, Set)],
) -> Count {
    let alone = Row::alone(state.options.factors.len(), factor, level);
    let acts = |row: &Row| {
        let mut terms = terms.iter();
        terms.any(|(view, term)| {
            term.iter()
                .all(|one| row.0.get(one) == view.scheme.0.get(one))
        })
    };
    let other = |row: &Row| {
        let mut draws = state.options.draws.iter();
        draws.any(|(other, drawn)| *other != factor && row.0.get(*other) == Some(drawn))
    };
    let is_ordinary = |row: &Row| {
        let mut views = state.ordinary().iter();
        views.any(|view| view.scheme.set(row).is_some())
    };
    let mut count = Count::default();
    for (_, row, values) in state.log.built() {
        let seen = state.log.seen(values, element);
        if seen == Seen::Unobserved || !is_ordinary(row) || other(row) || acts(row) {
            continue;
        }
        let differs = usize::from(differs(state, values, element));
        if row.0.get(factor) == Some(&level) {
            count.with += 1;
            count.differing += differs;
            if *row == alone {
                count.alone += 1;
                count.alone_differing += differs;
            }
        } else {
            count.without += 1 - differs;
        }
    }
    count.without = count.without.saturating_sub(1);
    count
}

/// The next trials: of the draw alone, and of the control, as many with the draw as without.
fn next(state: &State<'_>, (factor, level): (usize, u8), count: Count) -> Vec<Row> {
    let bound = state.options.factors.len();
    let (mut with, mut without) = (count.with, count.without);
    let mut shown = count.alone_differing > 0 || count.alone == 0;
    let rows = (0..state.options.workers.max(1)).map(|_| {
        if with <= without || !shown {
            with += 1;
            shown = true;
            Row::alone(bound, factor, level)
        } else {
            without += 1;
            Row::control(bound)
        }
    });
    rows.collect()
}

fn differs(state: &State<'_>, values: &[Seen], element: usize) -> bool {
    let seen = state.log.seen(values, element);
    seen != Seen::Unobserved && seen != state.log.reference(element)
}
