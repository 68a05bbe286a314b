//! How far one class is: settled, or which rows are missing.

use super::bisect::{Facts, Found};
use super::certificate::{Proof, proofs};
use super::noise;
use super::set::Set;
use super::types::Reason;
use super::view::{Class, View};
use crate::model::{Expect, TrialId};

/// How far one class is.
#[derive(Debug)]
pub(super) enum Progress {
    /// These are the minimal sets, with the rows that prove them.
    Certified(Vec<Proof>),
    /// These trials are missing.
    Needs(Vec<Wanted>),
    /// It cannot be settled; the factors that may have a part in it.
    Unsettled(Reason, Set),
}

/// A trial that a class asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What to vary.
    pub(super) set: Set,
    /// Why.
    pub(super) purpose: Purpose,
}

/// Why a trial is asked for, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// A row of a proof that has not been run.
    Certificate,
    /// The same environment once more, against chance.
    Repeat,
    /// To learn which variations matter.
    Search,
    /// The control, after everything else was repeated.
    Closing,
}

/// What all classes of a session share.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    /// The factors, the likeliest culprits first.
    pub(super) order: &'a [usize],
    /// How likely each factor is a culprit, together 1.
    pub(super) weights: &'a [f64],
    /// How many elements are known to be noisy.
    pub(super) noisy: usize,
    /// Whether certificates are repeated between two controls.
    pub(super) clock_runs: bool,
}

/// How likely chance may explain a history, over all the claims of its kind, where a claim is made.
/// Divided among the noisy elements of a session, so that it holds for the session.
const DOUBT: f64 = 0.0175;
/// Repeats behind a claim of more than one variation: chance mimics those easily.
const REPEATS_OF_SEVERAL: usize = 7;
/// Repeats after which no more are bought.
const MOST_REPEATS: usize = 20;

/// How far a class is, by what the trials of `view` showed.
pub(super) fn progress(view: &View, class: &Class, setting: &Setting<'_>) -> Progress {
    let facts = view.facts(class);
    if facts.contradiction().is_some() {
        return Progress::Unsettled(Reason::NotMonotone, suspects(view, &facts));
    }
    let terms = match facts.terms(&view.top, setting.order) {
        Found::Terms(terms) => terms,
        Found::Need(row) => {
            return needs(view, class, vec![(row, Purpose::Search)]);
        }
        Found::TooMany(_) => {
            return Progress::Unsettled(Reason::TooManyAlternatives, suspects(view, &facts));
        }
    };
    let Some(proofs) = proofs(&terms, &view.top) else {
        return Progress::Unsettled(Reason::TooManyAlternatives, suspects(view, &facts));
    };
    let missing: Vec<(Set, Purpose)> = rows(&proofs)
        .filter(|(set, expect)| shown(view, class, set, *expect).next().is_none())
        .map(|(set, _)| (set.clone(), Purpose::Certificate))
        .collect();
    if !missing.is_empty() {
        return needs(view, class, missing);
    }
    match doubts(view, class, &proofs, setting) {
        Doubt::None => Progress::Certified(proofs),
        Doubt::Repeat(wanted) => needs(view, class, wanted),
        Doubt::Stays => Progress::Unsettled(Reason::MaybeNoise, suspects(view, &facts)),
    }
}

/// Whether a proof might be chance.
enum Doubt {
    /// No.
    None,
    /// These repeats would tell.
    Repeat(Vec<(Set, Purpose)>),
    /// After many repeats it still might.
    Stays,
}

/// The trials of a row that showed for the class what is expected.
pub(super) fn shown<'a>(
    view: &'a View,
    class: &'a Class,
    set: &'a Set,
    expect: Expect,
) -> impl Iterator<Item = TrialId> + 'a {
    view.probes
        .iter()
        .zip(&class.tokens)
        .filter(move |(probe, token)| {
            probe.set == *set && token.differs() == Some(expect == Expect::Differs)
        })
        .map(|(probe, _)| probe.id)
}

/// The distinct rows of some proofs.
fn rows(proofs: &[Proof]) -> impl Iterator<Item = (&Set, Expect)> {
    let all = proofs.iter().flat_map(|proof| &proof.rows);
    let sorted: std::collections::BTreeMap<&Set, Expect> =
        all.map(|(set, expect)| (set, *expect)).collect();
    sorted.into_iter()
}

/// What is wanted, unless it was tried and says nothing.
fn needs(view: &View, class: &Class, wanted: Vec<(Set, Purpose)>) -> Progress {
    let silent = |set: &Set| {
        let seen = view.trials(set).count();
        let spoke = view
            .trials(set)
            .filter_map(|index| class.tokens.get(index))
            .any(|token| token.differs().is_some());
        view.failed.contains_key(set) || (seen > 0 && !spoke)
    };
    if wanted.iter().any(|(set, _)| silent(set)) {
        let reason = if wanted.iter().any(|(set, _)| view.failed.contains_key(set)) {
            Reason::Breakers
        } else {
            Reason::Unobserved
        };
        return Progress::Unsettled(reason, suspects(view, &view.facts(class)));
    }
    let wanted = wanted.into_iter();
    Progress::Needs(
        wanted
            .map(|(set, purpose)| Wanted { set, purpose })
            .collect(),
    )
}

/// The trials that are bought because the history might be chance, or because the clock runs.
fn doubts(view: &View, class: &Class, proofs: &[Proof], setting: &Setting<'_>) -> Doubt {
    let count = |differs| {
        let tokens = class.tokens.iter();
        tokens
            .filter(|token| token.differs() == Some(differs))
            .count()
    };
    let chance = noise::marginal(count(true), count(false).saturating_sub(1));
    let bound = DOUBT * prior(proofs, setting.weights) / noise::real(setting.noisy.max(1));
    let done = repeats(view, class);
    let single = matches!(proofs, [proof] if proof.term.len() == 1);
    if chance > bound && done >= MOST_REPEATS {
        return Doubt::Stays;
    }
    if chance > bound || (!single && done < REPEATS_OF_SEVERAL) {
        let fewest = rows(proofs).min_by_key(|(set, _)| (view.trials(set).count(), (*set).clone()));
        return fewest.map_or(Doubt::Stays, |(set, _)| {
            Doubt::Repeat(vec![(set.clone(), Purpose::Repeat)])
        });
    }
    match unclosed(view, proofs).filter(|_| setting.clock_runs) {
        Some(wanted) => Doubt::Repeat(wanted),
        None => Doubt::None,
    }
}

/// With a running clock: the proofs that were not repeated, or else the control that closes them.
fn unclosed(view: &View, proofs: &[Proof]) -> Option<Vec<(Set, Purpose)>> {
    let once: Vec<(Set, Purpose)> = rows(proofs)
        .filter(|(set, _)| view.trials(set).count() < 2)
        .map(|(set, _)| (set.clone(), Purpose::Repeat))
        .collect();
    if !once.is_empty() {
        return Some(once);
    }
    let last_control = view.probes.iter().rposition(|probe| probe.set.is_empty());
    let second = |set: &Set| view.trials(set).nth(1);
    let closed = rows(proofs).all(|(set, _)| second(set) < last_control);
    (!closed).then(|| vec![(view.top.minus(&view.top), Purpose::Closing)])
}

/// How likely a claim is among those of its kind, before anything was run.
fn prior(proofs: &[Proof], weights: &[f64]) -> f64 {
    let factors = proofs.iter().flat_map(|proof| proof.term.iter());
    factors
        .map(|factor| weights.get(factor).copied().unwrap_or_default())
        .product()
}

/// How many trials repeated an environment, as far as they say something about the class.
fn repeats(view: &View, class: &Class) -> usize {
    let spoke = class
        .tokens
        .iter()
        .filter(|token| token.differs().is_some());
    let facts = view.facts(class);
    spoke
        .count()
        .saturating_sub(facts.with.len() + facts.without.len())
}

/// The factors that may have a part: those of the smallest rows that differ, less what is known
/// to be harmless within them.
fn suspects(view: &View, facts: &Facts) -> Set {
    let none = view.top.minus(&view.top);
    facts.with.iter().fold(none, |all, row| {
        let smaller = facts
            .with
            .iter()
            .any(|other| other != row && other.is_subset(row));
        if smaller { all } else { all.union(row) }
    })
}
