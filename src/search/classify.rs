//! How far one class is: settled, or which rows are missing.

use std::collections::BTreeMap;

use super::bisect::{Facts, Found};
use super::certificate::{Proof, proofs, transversals};
use super::hypotheses::{self, Hypothesis, Prior};
use super::noise;
use super::set::Set;
use super::types::Reason;
use super::view::{Class, Token, View};
use crate::model::{Expect, TrialId};

/// How far one class is.
#[derive(Debug)]
pub(super) enum Progress {
    /// These are the minimal sets, with the rows that prove them.
    Certified(Vec<Proof>),
    /// These trials are missing.
    Needs(Vec<Wanted>),
    /// Several explanations are left, the likeliest first: what tells them apart is missing.
    Open(Vec<Hypothesis>),
    /// It cannot be settled; the factors that may have a part in it.
    Unsettled(Reason, Set),
}

/// A trial that a class asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    /// Why.
    pub(super) purpose: Purpose,
    /// What to vary.
    pub(super) set: Set,
    /// Which copy of the row this is, where several are asked for at once.
    pub(super) copy: usize,
}

/// Why a trial is asked for, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// A row of a proof that has not been run.
    Certificate,
    /// The same environment once more, against chance.
    Repeat,
    /// The next row of a bisection.
    Bisection,
    /// A repeat that will be needed, if the rows before it come out as expected.
    Spare,
    /// The control, after everything else was repeated.
    Closing,
}

/// What all classes of a view share.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    /// The factors, the likeliest culprits first.
    pub(super) order: &'a [usize],
    /// What is known before a class is looked at.
    pub(super) prior: Prior<'a>,
    /// How many classes are known to be noisy.
    pub(super) noisy: usize,
    /// Whether certificates are repeated between two controls.
    pub(super) clock_runs: bool,
    /// Whether chance must be as unlikely for each rate as it ordinarily is over all rates.
    pub(super) thorough: bool,
}

/// How often an element turns out to be noisy, before anything is known about it.
const NOISY: f64 = 0.03;
/// How likely something outside the list of hypotheses is.
const UNLISTED: f64 = 0.01;
/// The share of noise above which a repeat tells more than another row.
const SUSPICION: f64 = 0.3;
/// The same for explanations of more than one variation, whose proof takes more trials.
const SUSPICION_OF_SEVERAL: f64 = 0.05;
/// Repeats that suspicion alone may buy.
const REPEATS_ON_SUSPICION: usize = 6;
/// The share of a hypothesis above which its proof is run instead of further search.
const CONVINCED: f64 = 0.7;
/// How likely chance may show a history at most, over all the claims of a kind, where a claim of one
/// variation is made; each claim has the share of it that its variation has of the prior. Together
/// with [`DOUBT_OF_SEVERAL`], less than one noisy element of a hundred is blamed on a variation, over
/// rates from 0.05 to 1; of those that flip a coin between two values, one of 25, as far as
/// 4 + ceil(log2 n) + 2k trials for k culprits allow. [`STRICT`] makes it less than one of a hundred
/// at every rate. Divided among the noisy classes of a session, so that it holds for the session.
const DOUBT: f64 = 0.054;
/// The same for each kind of claim of more than one variation.
const DOUBT_OF_SEVERAL: f64 = 0.003;
/// The share of these doubts that is left where the user asked for thoroughness.
const STRICT: f64 = 0.15;
/// Repeats behind a claim that no hypothesis of the list expresses: chance mimics those easily.
const REPEATS_OF_UNLISTED: usize = 7;
/// Repeats after which no more are bought.
const MOST_REPEATS: usize = 24;

/// How far a class is, by what the trials of `view` showed.
pub(super) fn progress(view: &View, class: &Class, setting: &Setting<'_>) -> Progress {
    let facts = view.facts(class);
    let Some(top) = ceiling(view, class, setting.prior.proven) else {
        return Progress::Unsettled(Reason::Unobserved, suspects(view, &facts));
    };
    match facts.terms(&top, setting.order) {
        Found::Terms(terms) => claim(view, class, &facts, &terms, &top, setting),
        Found::Need(row) => locate(view, class, &facts, row, &top, setting),
        Found::TooMany(_) => {
            Progress::Unsettled(Reason::TooManyAlternatives, suspects(view, &facts))
        }
    }
}

/// The sets that are proven for a class as far as its trials go, doubts about chance aside.
pub(super) fn proven(view: &View, class: &Class, setting: &Setting<'_>) -> Vec<Set> {
    let Found::Terms(terms) = view.facts(class).terms(&view.top, setting.order) else {
        return Vec::new();
    };
    match proofs(&terms, &view.top) {
        Some(proofs) if missing(view, class, &proofs).next().is_none() => terms,
        _ => Vec::new(),
    }
}

/// The most that can vary while the class is still to be seen: everything, unless proven sets of
/// variations make its member disappear. Nothing if that is not understood.
fn ceiling(view: &View, class: &Class, proven: &[Set]) -> Option<Set> {
    let tokens = || view.probes.iter().zip(&class.tokens);
    let unseen = || tokens().filter(|(_, token)| **token == Token::Unseen);
    if !unseen().any(|(probe, _)| probe.set == view.top) {
        return Some(view.top.clone());
    }
    let hides = |set: &&Set| {
        let mut with = tokens().filter(|(probe, _)| set.is_subset(&probe.set));
        with.all(|(_, token)| *token == Token::Unseen)
    };
    let hiding: Vec<Set> = proven.iter().filter(hides).cloned().collect();
    let understood = unseen().all(|(probe, _)| hiding.iter().any(|set| set.is_subset(&probe.set)));
    let removed = transversals(&hiding, &view.top)?.into_iter().next()?;
    understood.then(|| view.top.minus(&removed))
}

/// The explanation is not clear yet: by hypotheses, or by bisection where none fits.
fn locate(
    view: &View,
    class: &Class,
    facts: &Facts,
    row: Set,
    top: &Set,
    setting: &Setting<'_>,
) -> Progress {
    let found = if facts.contradiction().is_some() {
        Vec::new()
    } else {
        hypotheses::consistent(view, class, top, &setting.prior)
    };
    let sum: f64 = found.iter().map(|hypothesis| hypothesis.weight).sum();
    let (differs, same) = counts(class);
    let chance = NOISY * noise::marginal(differs, same);
    let share = chance / (chance + sum + UNLISTED);
    let repeats_worth = match found.first().map(Hypothesis::terms) {
        Some([[a, b]]) if a == b => {
            if share > SUSPICION {
                REPEATS_ON_SUSPICION
            } else {
                0
            }
        }
        Some(_) => {
            if share > SUSPICION_OF_SEVERAL {
                REPEATS_ON_SUSPICION
            } else {
                0
            }
        }
        None => REPEATS_OF_UNLISTED,
    };
    if let Some(progress) = against_noise(view, class, facts, repeats_worth) {
        return progress;
    }
    let Some(best) = found.first() else {
        return needs(view, class, vec![(row, Purpose::Bisection)]);
    };
    if best.weight < CONVINCED * sum {
        return Progress::Open(found);
    }
    let terms = best.sets(view.scheme.0.len());
    match proofs(&terms, top) {
        Some(proofs) => prove(view, class, &proofs, setting),
        None => Progress::Open(found),
    }
}

/// The repeats that would show an unstable element as such, as long as there are fewer than
/// `worth`: of the smallest row that differs, or of the control where most rows differ.
fn against_noise(view: &View, class: &Class, facts: &Facts, worth: usize) -> Option<Progress> {
    let missing = worth.saturating_sub(repeats(view, class));
    let (differs, same) = counts(class);
    let again = if differs > same + 1 {
        view.top.minus(&view.top)
    } else {
        let smallest = facts
            .with
            .iter()
            .min_by_key(|set| (set.len(), (*set).clone()));
        smallest?.clone()
    };
    let purposes = std::iter::once(Purpose::Repeat).chain(std::iter::repeat(Purpose::Spare));
    let wanted = std::iter::repeat_n(again, missing).zip(purposes).collect();
    (missing > 0).then(|| needs(view, class, wanted))
}

/// Asks for the missing rows of a proof, and for the repeats that it will need besides.
pub(super) fn prove(
    view: &View,
    class: &Class,
    proofs: &[Proof],
    setting: &Setting<'_>,
) -> Progress {
    let missing: Vec<(&Set, Expect)> = missing(view, class, proofs).collect();
    let (mut differs, mut same) = counts(class);
    for (_, expect) in &missing {
        match expect {
            Expect::Differs => differs += 1,
            Expect::Same => same += 1,
        }
    }
    let spare = spares(view, class, proofs, (differs, same), setting);
    let missing = missing
        .into_iter()
        .map(|(set, _)| (set.clone(), Purpose::Certificate));
    let spare = spare.into_iter().map(|set| (set, Purpose::Spare));
    needs(view, class, missing.chain(spare).collect())
}

/// The trials show what the minimal sets are: proves it literally.
fn claim(
    view: &View,
    class: &Class,
    facts: &Facts,
    terms: &[Set],
    top: &Set,
    setting: &Setting<'_>,
) -> Progress {
    let Some(proofs) = proofs(terms, top) else {
        return Progress::Unsettled(Reason::TooManyAlternatives, suspects(view, facts));
    };
    let monotone = facts.contradiction().is_none();
    let unlisted = !(monotone && listed(terms, setting.prior.proven));
    if unlisted && let Some(progress) = against_noise(view, class, facts, REPEATS_OF_UNLISTED) {
        return progress;
    }
    if missing(view, class, &proofs).next().is_some() {
        return prove(view, class, &proofs, setting);
    }
    if let Some(again) = shown_once(view, &proofs) {
        return needs(view, class, again);
    }
    let wanted = spares(view, class, &proofs, counts(class), setting);
    if !wanted.is_empty() && repeats(view, class) >= MOST_REPEATS {
        let reason = if monotone {
            Reason::MaybeNoise
        } else {
            Reason::NotMonotone
        };
        return Progress::Unsettled(reason, suspects(view, facts));
    }
    if !wanted.is_empty() {
        // The rows that other classes still need may serve as well: these come last.
        let wanted = wanted.into_iter().map(|set| (set, Purpose::Spare));
        return needs(view, class, wanted.collect());
    }
    match unclosed(view, &proofs).filter(|_| setting.clock_runs) {
        Some(wanted) => needs(view, class, wanted),
        None => Progress::Certified(proofs),
    }
}

/// A set of several that only one trial has shown: a single odd trial, whatever the reason, looks
/// like a set of everything that it varied.
fn shown_once(view: &View, proofs: &[Proof]) -> Option<Vec<(Set, Purpose)>> {
    let several = proofs.iter().filter(|proof| proof.term.len() > 1);
    let once = several.filter(|proof| view.trials(&proof.term).count() < 2);
    let again: Vec<_> = once
        .map(|proof| (proof.term.clone(), Purpose::Repeat))
        .collect();
    (!again.is_empty()).then_some(again)
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

/// The rows of some proofs that no trial has shown yet.
fn missing<'a>(
    view: &'a View,
    class: &'a Class,
    proofs: &'a [Proof],
) -> impl Iterator<Item = (&'a Set, Expect)> {
    rows(proofs).filter(|(set, expect)| shown(view, class, set, *expect).next().is_none())
}

/// The distinct rows of some proofs.
fn rows(proofs: &[Proof]) -> impl Iterator<Item = (&Set, Expect)> {
    let all = proofs.iter().flat_map(|proof| &proof.rows);
    let sorted: BTreeMap<&Set, Expect> = all.map(|(set, expect)| (set, *expect)).collect();
    sorted.into_iter()
}

/// What is wanted, unless it was tried and says nothing.
fn needs(view: &View, class: &Class, wanted: Vec<(Set, Purpose)>) -> Progress {
    let silent = |set: &Set| {
        let mut tokens = view
            .trials(set)
            .filter_map(|index| class.tokens.get(index))
            .peekable();
        tokens.peek().is_some() && tokens.all(|token| token.differs().is_none())
    };
    let breaks = |set: &Set| view.failed.keys().any(|failed| failed.is_subset(set));
    if wanted.iter().any(|(set, _)| breaks(set)) {
        return Progress::Unsettled(Reason::Breakers, suspects(view, &view.facts(class)));
    }
    if wanted.iter().any(|(set, _)| silent(set)) {
        return Progress::Unsettled(Reason::Unobserved, suspects(view, &view.facts(class)));
    }
    let mut copies: BTreeMap<Set, usize> = BTreeMap::new();
    let wanted = wanted.into_iter().map(|(set, purpose)| {
        let copy = copies.entry(set.clone()).or_default();
        *copy += 1;
        Wanted {
            purpose,
            copy: *copy,
            set,
        }
    });
    Progress::Needs(wanted.collect())
}

/// The repeats of a proof after which chance is unlikely enough, given how many trials differed
/// and how many did not: the rarer kind first.
fn spares(
    view: &View,
    class: &Class,
    proofs: &[Proof],
    (mut differs, mut same): (usize, usize),
    setting: &Setting<'_>,
) -> Vec<Set> {
    let kind = match proofs {
        [proof] if proof.term.len() == 1 => DOUBT,
        _ => DOUBT_OF_SEVERAL,
    };
    let doubt = if setting.thorough {
        kind * STRICT
    } else {
        kind
    };
    let noisy = noise::real(setting.noisy.max(1));
    let bound = doubt * alternatives(class, proofs, &setting.prior) / noisy;
    let of_kind = |expect| -> Vec<Set> {
        let kind = rows(proofs).filter(|(_, is)| *is == expect);
        kind.map(|(set, _)| set.clone()).collect()
    };
    let (mut differing, mut equal) = (0, 0);
    while noise::at_most(differs, same) > bound && differing + equal < MOST_REPEATS {
        if differs <= same {
            differs += 1;
            differing += 1;
        } else {
            same += 1;
            equal += 1;
        }
    }
    let mut equal_rows = of_kind(Expect::Same);
    if equal_rows.is_empty() {
        equal_rows.push(view.top.minus(&view.top));
    }
    let mut wanted = fewest(view, &of_kind(Expect::Differs), differing);
    wanted.extend(fewest(view, &equal_rows, equal));
    wanted
}

/// So many repeats of some rows, always of the one with the fewest trials.
fn fewest(view: &View, rows: &[Set], count: usize) -> Vec<Set> {
    let mut trials: Vec<(usize, &Set)> = rows
        .iter()
        .map(|set| (view.trials(set).count(), set))
        .collect();
    let mut wanted = Vec::new();
    for _ in 0..count {
        if let Some((done, set)) = trials.iter_mut().min() {
            *done += 1;
            wanted.push((*set).clone());
        }
    }
    wanted
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

/// How likely a claim is among those of its kind, before anything was run: chance has that many
/// claims to mimic.
fn alternatives(class: &Class, proofs: &[Proof], prior: &Prior<'_>) -> f64 {
    let factors = proofs.iter().flat_map(|proof| proof.term.iter());
    let product: f64 = factors
        .map(|factor| {
            let weight = prior.weights.get(factor).copied().unwrap_or_default();
            let hinted = class.hints.contains(&factor);
            if hinted { weight.max(0.5) } else { weight }
        })
        .product();
    let elsewhere = proofs
        .iter()
        .all(|proof| prior.proven.contains(&proof.term));
    if elsewhere && proofs.len() > 1 {
        let size = i32::try_from(proofs.len()).unwrap_or(i32::MAX);
        product.max(0.3 * 0.5_f64.powi(size))
    } else {
        product
    }
}

/// Whether a hypothesis of the list expresses a claim.
fn listed(terms: &[Set], proven: &[Set]) -> bool {
    let singles = terms.iter().all(|term| term.len() == 1);
    match terms {
        [term] => term.len() <= 2,
        [_, _] | [_, _, _] if singles => true,
        _ => terms.iter().all(|term| proven.contains(term)),
    }
}

/// How many trials differed, and how many did not, the control itself left out.
fn counts(class: &Class) -> (usize, usize) {
    let count = |differs| {
        let tokens = class.tokens.iter();
        tokens
            .filter(|token| token.differs() == Some(differs))
            .count()
    };
    (count(true), count(false).saturating_sub(1))
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

/// The factors that may have a part: those of the smallest rows that differ.
pub(super) fn suspects(view: &View, facts: &Facts) -> Set {
    let none = view.top.minus(&view.top);
    facts.with.iter().fold(none, |all, row| {
        let smaller = facts
            .with
            .iter()
            .any(|other| other != row && other.is_subset(row));
        if smaller { all } else { all.union(row) }
    })
}
