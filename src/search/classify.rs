//! How far one class is: settled, or which rows are missing.

use std::collections::BTreeMap;

use super::acting;
use super::bisect::{Facts, Found, Order};
use super::certificate::{Proof, proofs, transversals};
use super::chance::{self, MOST_REPEATS};
use super::draws;
use super::hypotheses::{self, Hypothesis, Prior};
use super::noise::{self, Tally};
use super::set::Set;
use super::types::Reason;
use super::values::Values;
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
    /// A row that parts what the values allow; what is learnt of other classes meanwhile may explain
    /// it.
    Parting,
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
    /// Sets that are certified for some class by its own trials alone.
    pub(super) certain: &'a [Set],
    /// How likely chance may show the history behind a claim of one variation, in units of its weight.
    pub(super) doubt: f64,
    /// How many classes are known to be noisy.
    pub(super) noisy: usize,
    /// Whether certificates are repeated between two controls.
    pub(super) clock_runs: bool,
}

impl Setting<'_> {
    fn order(&self) -> Order<'_> {
        Order {
            factors: self.order,
            weights: self.prior.weights,
        }
    }
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
/// How often chance may pass the repeats without which nothing is looked for that no hypothesis of
/// the list expresses: chance mimics such things easily. Seven repeats of two values.
const CHANCE_OF_UNLISTED: f64 = 0.0085;
/// The same before the values choose the rows. What they lead to still needs the repeats above.
const CHANCE_OF_SEVERAL: f64 = 0.25;
/// So many variations may be claimed with fewer repeats. Chance beside three, which hypotheses
/// express, looks like four most easily.
const MANY: usize = 5;

/// How far a class is, by what the trials of `view` showed.
pub(super) fn progress(view: &View, class: &Class, setting: &Setting<'_>) -> Progress {
    let facts = view.facts(class);
    let Some(top) = ceiling(view, class, setting.prior.proven) else {
        return Progress::Unsettled(Reason::Unobserved, suspects(view, &facts));
    };
    match facts.terms(&top, &setting.order()) {
        Found::Terms(terms) => claim(view, class, &facts, &terms, &top, setting),
        Found::Need(row) => locate(view, class, &facts, row, &top, setting),
        Found::TooMany(_) => {
            Progress::Unsettled(Reason::TooManyAlternatives, suspects(view, &facts))
        }
    }
}

/// The sets that are proven for a class as far as its trials go, and whether its own trials leave no
/// doubt about chance either.
pub(super) fn proven(view: &View, class: &Class, setting: &Setting<'_>) -> (Vec<Set>, bool) {
    let facts = view.facts(class);
    let top = view.reach(class);
    let Found::Terms(terms) = facts.terms(&top, &setting.order()) else {
        return (Vec::new(), false);
    };
    match proofs(&terms, &top) {
        Some(proofs) if missing(view, class, &proofs).next().is_none() => {
            let certain = doubts(view, class, &facts, &proofs, &top, setting).is_none();
            (terms, certain)
        }
        _ => (Vec::new(), false),
    }
}

/// The one set that is likeliest behind a class, as far as its trials go; nothing where several are.
pub(super) fn likeliest(view: &View, class: &Class, setting: &Setting<'_>) -> Option<Set> {
    let top = view.reach(class);
    let sets = match view.facts(class).terms(&top, &setting.order()) {
        Found::Terms(terms) => terms,
        Found::Need(_) => {
            let found = hypotheses::consistent(view, class, &top, &setting.prior);
            found.first()?.sets(view.scheme.0.len())
        }
        Found::TooMany(_) => return None,
    };
    <[Set; 1]>::try_from(sets).ok().map(|[set]| set)
}

/// The most that can vary while the class is still to be seen: everything, unless proven sets of
/// variations make its member disappear. Nothing if that is not understood.
fn ceiling(view: &View, class: &Class, proven: &[Set]) -> Option<Set> {
    let top = view.reach(class);
    let tokens = || {
        let all = view.probes.iter().zip(&class.tokens);
        all.filter(|(probe, _)| probe.set.is_subset(&top))
    };
    let unseen = || tokens().filter(|(_, token)| **token == Token::Unseen);
    if !unseen().any(|(probe, _)| probe.set == top) {
        return Some(top);
    }
    let hides = |set: &&Set| {
        let mut with = tokens().filter(|(probe, _)| set.is_subset(&probe.set));
        with.all(|(_, token)| *token == Token::Unseen)
    };
    let hiding: Vec<Set> = proven.iter().filter(hides).cloned().collect();
    let understood = unseen().all(|(probe, _)| hiding.iter().any(|set| set.is_subset(&probe.set)));
    let removed = transversals(&hiding, &top)?.into_iter().next()?;
    understood.then(|| top.minus(&removed))
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
    if let Some(progress) = by_values(view, class, facts, top, sum, setting) {
        return progress;
    }
    let chance = chance_of(class);
    let share = chance / (chance + sum + UNLISTED);
    let repeats_worth = match found.first().map(Hypothesis::terms) {
        Some([[a, b]]) if a == b && share > SUSPICION => REPEATS_ON_SUSPICION,
        Some([[a, b]]) if a == b => 0,
        Some(_) if share > SUSPICION_OF_SEVERAL => REPEATS_ON_SUSPICION,
        _ => 0,
    };
    if let Some(progress) = against_noise(view, class, facts, repeats_worth) {
        return progress;
    }
    let Some(best) = found.first() else {
        let bisection = || needs(view, class, vec![(row, Purpose::Bisection)]);
        return unlisted(view, class, facts, CHANCE_OF_UNLISTED).unwrap_or_else(bisection);
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

/// Where the values show that more culprits are likelier than any hypothesis of the list, which
/// together are as likely as `listed`: the row that tells most about those.
fn by_values(
    view: &View,
    class: &Class,
    facts: &Facts,
    top: &Set,
    listed: f64,
    setting: &Setting<'_>,
) -> Option<Progress> {
    let values = Values::of(view, class, top)?;
    let weights = setting.prior.weights;
    let several = draws::several(&values, weights);
    let chance = chance_of(class);
    let suspicious = chance > SUSPICION_OF_SEVERAL * (chance + several + listed);
    if listed > 0.0 && (several < listed || suspicious) {
        return None;
    }
    // A culprit that is known alone has to be shown again anyway.
    let alone = facts.with.iter().any(|row| row.len() == 1);
    if (alone || suspicious)
        && let Some(progress) = unlisted(view, class, facts, CHANCE_OF_SEVERAL)
    {
        return Some(progress);
    }
    let run = |row: &Set| {
        view.trials(row).next().is_some() || view.failed.keys().any(|failed| failed.is_subset(row))
    };
    let row = draws::row(&values, weights, run)?;
    Some(needs(view, class, vec![(row, Purpose::Parting)]))
}

/// How likely a class shows what it shows by chance, in the unit of the hypotheses.
fn chance_of(class: &Class) -> f64 {
    let tally = Tally::of(&class.tokens);
    NOISY * noise::marginal(tally.differs(), tally.same)
}

/// The repeats that would show an unstable element as such, as long as there are fewer than
/// `worth`: of the smallest row that differs, or of the control where most rows differ.
fn against_noise(view: &View, class: &Class, facts: &Facts, worth: usize) -> Option<Progress> {
    let repeats = Tally::of_repeats(view, class);
    let missing = worth.saturating_sub(repeats.trials());
    let tally = Tally::of(&class.tokens);
    let again = if tally.differs() > tally.same + 1 {
        view.top.minus(&view.top)
    } else {
        smallest(facts)?
    };
    let purposes = std::iter::once(Purpose::Repeat).chain(std::iter::repeat(Purpose::Spare));
    let wanted = std::iter::repeat_n(again, missing).zip(purposes).collect();
    (missing > 0).then(|| needs(view, class, wanted))
}

/// The repeats without which nothing is claimed that no hypothesis expresses, of rows that differ,
/// each in another way if they do, and of the control. What is proven for other classes meanwhile may
/// give a hypothesis.
fn unlisted(view: &View, class: &Class, facts: &Facts, bound: f64) -> Option<Progress> {
    let again = chance::against(view, class, &facts.with, bound);
    let wanted: Vec<_> = again.into_iter().map(|set| (set, Purpose::Spare)).collect();
    (!wanted.is_empty()).then(|| needs(view, class, wanted))
}

/// The repeats without which a claim that no hypothesis expresses is not believed; none where it is
/// about so many variations, each combination of which shows a value of its own, that chance hardly
/// shows such a history.
fn unlisted_claim(
    view: &View,
    class: &Class,
    facts: &Facts,
    proofs: &[Proof],
    top: &Set,
    setting: &Setting<'_>,
) -> Option<Progress> {
    let single = proofs.iter().all(|proof| proof.term.len() == 1);
    let terms = proofs.iter().map(|proof| &proof.term);
    let culprits = terms.fold(top.minus(top), |all, term| all.union(term));
    let borne_out = single
        && proofs.len() >= MANY
        && missing(view, class, proofs).next().is_none()
        && Values::of(view, class, top).is_some_and(|values| values.allow(&culprits))
        && chance::by_history(view, class, proofs, &[], setting).is_empty();
    if borne_out {
        return None;
    }
    unlisted(view, class, facts, CHANCE_OF_UNLISTED)
}

/// The smallest row that differs.
fn smallest(facts: &Facts) -> Option<Set> {
    let rows = facts.with.iter();
    rows.min_by_key(|set| (set.len(), (*set).clone())).cloned()
}

/// Asks for the missing rows of a proof, and for the repeats that it will need besides.
pub(super) fn prove(
    view: &View,
    class: &Class,
    proofs: &[Proof],
    setting: &Setting<'_>,
) -> Progress {
    let missing: Vec<(&Set, Expect)> = missing(view, class, proofs).collect();
    let spare = chance::repeats(view, class, proofs, &missing, setting);
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
    if let Some(progress) = doubts(view, class, facts, &proofs, top, setting) {
        return progress;
    }
    match unclosed(view, &proofs).filter(|_| setting.clock_runs) {
        Some(wanted) => needs(view, class, wanted),
        None => Progress::Certified(proofs),
    }
}

/// What a claim needs before it is believed.
fn doubts(
    view: &View,
    class: &Class,
    facts: &Facts,
    proofs: &[Proof],
    top: &Set,
    setting: &Setting<'_>,
) -> Option<Progress> {
    let monotone = facts.contradiction().is_none();
    let terms: Vec<Set> = proofs.iter().map(|proof| proof.term.clone()).collect();
    let listed = monotone && listed(&terms, setting.certain);
    if !listed && let Some(progress) = unlisted_claim(view, class, facts, proofs, top, setting) {
        return Some(progress);
    }
    if missing(view, class, proofs).next().is_some() {
        return Some(prove(view, class, proofs, setting));
    }
    let again = acting::again(view, class, proofs, listed, setting.prior.weights);
    if !again.is_empty() {
        let again = again.into_iter().map(|set| (set, Purpose::Repeat));
        return Some(needs(view, class, again.collect()));
    }
    let wanted = chance::repeats(view, class, proofs, &[], setting);
    if wanted.is_empty() {
        return None;
    }
    if Tally::of_repeats(view, class).trials() >= MOST_REPEATS {
        let reason = if monotone {
            Reason::MaybeNoise
        } else {
            Reason::NotMonotone
        };
        return Some(Progress::Unsettled(reason, suspects(view, facts)));
    }
    // The rows that other classes still need may serve as well: these come last.
    let wanted = wanted.into_iter().map(|set| (set, Purpose::Spare));
    Some(needs(view, class, wanted.collect()))
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
pub(super) fn rows(proofs: &[Proof]) -> impl Iterator<Item = (&Set, Expect)> {
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

/// Whether a hypothesis of the list expresses a claim.
pub(super) fn listed(terms: &[Set], proven: &[Set]) -> bool {
    let singles = terms.iter().all(|term| term.len() == 1);
    match terms {
        [term] => term.len() <= 2,
        [_, _] | [_, _, _] if singles => true,
        _ => terms.iter().all(|term| proven.contains(term)),
    }
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
