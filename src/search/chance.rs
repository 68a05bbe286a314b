//! Which repeats a claim needs before it is believed: as many as make the history that it stands on
//! too rare for chance, at whatever rate an element may differ by chance. As a claim follows from one
//! history alone, the sum over all claims is how often chance is blamed on any of them.

use super::acting;
use super::certificate::Proof;
use super::classify::{self, Setting};
use super::noise::{self, Tally};
use super::set::Set;
use super::view::{Class, Token, View};
use crate::model::Expect;

/// How often what chance does may be blamed on one variation, whatever the rate at which it makes an
/// element differ; the claims of one variation share this by their weights. Divided among the noisy
/// classes of a session, so that it holds for the session. A flipped coin shows each history of `t`
/// trials and the control with 2^-t, so that 14 claims need 11 trials: fewer could not do.
pub(super) const DOUBT: f64 = 0.0085;
/// The same for claims of several variations, by their history or else by their repeats, and ...
const DOUBT_OF_SEVERAL: f64 = 0.001;
/// ... for claims that the trials contradict, which their repeats alone must bear out.
const DOUBT_OF_CONTRADICTED: f64 = 0.0025;
/// How much likelier chance may show the history behind a claim of values that were found in the bytes:
/// they were chosen so that it does not put them there, not even into one element of so many.
const HINTED: f64 = 6.0;
/// Repeats after which no more are bought.
pub(super) const MOST_REPEATS: usize = 24;

/// The repeats of a proof after which chance is unlikely enough; `missing` are rows that will be run
/// besides, and what they are expected to show. Repeats bear a claim out by themselves where the trials
/// contradict it, or the history cannot: there are too many claims of its kind.
pub(super) fn repeats(
    view: &View,
    class: &Class,
    proofs: &[Proof],
    missing: &[(&Set, Expect)],
    setting: &Setting<'_>,
) -> Vec<Set> {
    let noisy = noise::real(setting.noisy.max(1));
    let rows = Rows::of(view, class, proofs);
    let terms: Vec<Set> = proofs.iter().map(|proof| proof.term.clone()).collect();
    let listed = classify::listed(&terms, setting.certain);
    let monotone = view.facts(class).contradiction().is_none();
    if !monotone || (!listed && acting::contradicted(view, class, proofs)) {
        // Each further alternative is one more that chance may have added.
        let further = one_choice_of(proofs.len().saturating_sub(1));
        let bound = DOUBT_OF_CONTRADICTED * further / noisy;
        return agreeing(Tally::of_repeats(view, class), rows, bound);
    }
    let by_history = by_history(view, class, proofs, missing, setting);
    if listed {
        return by_history;
    }
    let by_repeats = agreeing(
        Tally::of_repeats(view, class),
        rows,
        DOUBT_OF_SEVERAL / noisy,
    );
    if by_repeats.len() < by_history.len() {
        by_repeats
    } else {
        by_history
    }
}

/// The repeats of a proof after which chance hardly shows the history behind it.
pub(super) fn by_history(
    view: &View,
    class: &Class,
    proofs: &[Proof],
    missing: &[(&Set, Expect)],
    setting: &Setting<'_>,
) -> Vec<Set> {
    let mut tally = Tally::of(&class.tokens);
    let commonest = tally.commonest();
    for (_, expect) in missing {
        tally.add(match expect {
            Expect::Differs => commonest,
            Expect::Same => Token::Same,
        });
    }
    let rows = Rows::of(view, class, proofs);
    let bound = doubt(class, proofs, setting) / noise::real(setting.noisy.max(1));
    against_history(tally, rows, bound)
}

/// The repeats after which chance shows a history with at most this probability, the rarer kind first.
fn against_history(mut tally: Tally, mut rows: Rows, bound: f64) -> Vec<Set> {
    let commonest = tally.commonest();
    let mut wanted = Vec::new();
    while tally.at_most() > bound && wanted.len() < MOST_REPEATS {
        let expect = if tally.differs() <= tally.same {
            Expect::Differs
        } else {
            Expect::Same
        };
        let Some((set, token)) = rows.next(expect) else {
            break;
        };
        tally.add(token.unwrap_or(commonest));
        wanted.push(set.clone());
    }
    wanted
}

/// The repeats after which chance agrees with itself in all of them with at most this probability,
/// those that tell most first.
fn agreeing(mut tally: Tally, mut rows: Rows, bound: f64) -> Vec<Set> {
    let mut wanted = Vec::new();
    while tally.agreement() > bound && wanted.len() < MOST_REPEATS {
        let tried = [Expect::Differs, Expect::Same]
            .into_iter()
            .filter_map(|expect| {
                let mut after = tally.clone();
                let (_, token) = rows.clone().next(expect)?;
                after.add(token.unwrap_or(Token::Volatile));
                Some((after, expect))
            });
        let best = tried.min_by(|(a, _), (b, _)| a.agreement().total_cmp(&b.agreement()));
        let Some((after, expect)) = best else {
            break;
        };
        if let Some((set, _)) = rows.next(expect) {
            wanted.push(set.clone());
        }
        tally = after;
    }
    wanted
}

/// The repeats of some rows that differ, and of the control, after which chance agrees with itself in
/// all of them with at most this probability.
pub(super) fn against(view: &View, class: &Class, differing: &[Set], bound: f64) -> Vec<Set> {
    let rows = Rows::among(view, class, differing);
    agreeing(Tally::of_repeats(view, class), rows, bound)
}

/// The rows of a proof with how often each was run, and what it showed for a class.
#[derive(Debug, Clone)]
struct Rows {
    differs: Vec<(usize, Set, Option<Token>)>,
    same: Vec<(usize, Set, Option<Token>)>,
}

impl Rows {
    fn of(view: &View, class: &Class, proofs: &[Proof]) -> Self {
        let of_kind = |kind| {
            let rows = classify::rows(proofs).filter(move |(_, expect)| *expect == kind);
            rows.map(|(set, _)| one(view, class, set)).collect()
        };
        Self::new(view, of_kind(Expect::Differs), of_kind(Expect::Same))
    }

    /// These rows and the control, the smaller ones first.
    fn among(view: &View, class: &Class, differing: &[Set]) -> Self {
        let mut differs: Vec<_> = differing.iter().map(|set| one(view, class, set)).collect();
        differs.sort_by(|a, b| a.1.len().cmp(&b.1.len()).then_with(|| a.1.cmp(&b.1)));
        // One row for each value.
        let mut seen = Vec::new();
        differs.retain(|(.., token)| {
            let new = !seen.contains(token);
            seen.push(*token);
            new
        });
        Self::new(view, differs, Vec::new())
    }

    fn new(
        view: &View,
        differs: Vec<(usize, Set, Option<Token>)>,
        mut same: Vec<(usize, Set, Option<Token>)>,
    ) -> Self {
        if same.is_empty() {
            let control = view.top.minus(&view.top);
            same.push((view.trials(&control).count(), control, None));
        }
        for (.., shown) in &mut same {
            *shown = Some(Token::Same);
        }
        Self { differs, same }
    }

    /// The row of a kind with the fewest trials, which gets one more.
    fn next(&mut self, kind: Expect) -> Option<(&Set, Option<Token>)> {
        let rows = match kind {
            Expect::Differs => &mut self.differs,
            Expect::Same => &mut self.same,
        };
        let (trials, set, token) = rows.iter_mut().min_by_key(|(trials, ..)| *trials)?;
        *trials += 1;
        Some((set, *token))
    }
}

/// How often a row was run, and what it showed first for a class.
fn one(view: &View, class: &Class, set: &Set) -> (usize, Set, Option<Token>) {
    let tokens = view.trials(set).filter_map(|index| class.tokens.get(index));
    let shown = tokens.copied().find(|token| *token != Token::Unseen);
    (view.trials(set).count(), set.clone(), shown)
}

/// How likely chance may show the history behind a claim: it has that many claims to mimic.
fn doubt(class: &Class, proofs: &[Proof], setting: &Setting<'_>) -> f64 {
    let hinted = |proof: &Proof| {
        let mut members = proof.term.iter();
        let member = members.next();
        members.next().is_none() && member.is_some_and(|one| class.hints.contains(&one))
    };
    let factors = proofs.iter().flat_map(|proof| proof.term.iter());
    let weights = factors.filter_map(|factor| setting.prior.weights.get(factor));
    let product: f64 = weights.product();
    if proofs.iter().all(hinted) {
        return HINTED * setting.doubt * product.max(one_choice_of(class.hints.len()));
    }
    if let [proof] = proofs
        && proof.term.len() == 1
    {
        return setting.doubt * product;
    }
    let certain = setting.certain;
    if proofs.iter().all(|proof| certain.contains(&proof.term)) {
        return DOUBT_OF_SEVERAL * product.max(one_choice_of(certain.len()));
    }
    DOUBT_OF_SEVERAL * product
}

/// The share of one choice among so many causes, all choices alike.
fn one_choice_of(count: usize) -> f64 {
    (0..count).fold(1.0, |share, _| share / 2.0)
}
