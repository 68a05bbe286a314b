//! Which sets of a claim act in each trial, and whether chance beside the other sets shows as well
//! what one of them seems to do.

use std::collections::{BTreeMap, BTreeSet};

use super::certificate::Proof;
use super::noise;
use super::set::Set;
use super::view::{Class, Token, View};

/// How likely chance may show what one set of a claim seems to do, however often it makes the element
/// differ: as two odd trials of twelve, ...
const CHANCE_BESIDE: f64 = 0.0045;
/// ... and this likely where its unlikeliest member is to blame as often as variations are on average;
/// in proportion where it is more seldom, as chance takes all of them alike.
const CHANCE_BESIDE_AVERAGE: f64 = 0.0036;

/// The rows that must be run again before a claim is believed: those of several variations that only
/// one trial has shown alone, as a single odd trial, whatever the reason, looks like a set of
/// everything that it varied; where no hypothesis expresses the claim, also those that an odd trial
/// or two may have added.
pub(super) fn again(
    view: &View,
    class: &Class,
    proofs: &[Proof],
    listed: bool,
    weights: &[f64],
) -> Vec<Set> {
    let monotone = view.facts(class).contradiction().is_none();
    let acting = Acting::of(view, class, proofs);
    if monotone && !listed {
        let odd = acting.odd();
        if !odd.is_empty() {
            return odd;
        }
    }
    let bound = |term: &Set| {
        let members = term.iter().filter_map(|factor| weights.get(factor));
        let average = CHANCE_BESIDE_AVERAGE * noise::real(weights.len());
        members.fold(CHANCE_BESIDE, |least, weight| least.min(average * weight))
    };
    let in_doubt = |which: usize, term: &Set| match (listed, monotone) {
        (true, _) => term.len() > 1 && acting.alone(which, Some(term)) < 2,
        (false, true) => acting.chance_beside(which) > bound(term),
        (false, false) => acting.alone(which, None) < 2,
    };
    let terms = proofs.iter().map(|proof| &proof.term).enumerate();
    let terms = terms.filter(|(which, term)| in_doubt(*which, term));
    terms.map(|(_, term)| term.clone()).collect()
}

/// Whether trials in which the same sets of a claim act have different values: something else acts
/// there, or chance does.
pub(super) fn contradicted(view: &View, class: &Class, proofs: &[Proof]) -> bool {
    let acting = Acting::of(view, class, proofs);
    acting.0.values().any(|values| values.len() > 1)
}

/// For the sets of a claim that act together in some trial, each value that they show with its rows.
struct Acting<'a>(BTreeMap<Set, BTreeMap<Token, Vec<&'a Set>>>);

impl<'a> Acting<'a> {
    fn of(view: &'a View, class: &Class, proofs: &[Proof]) -> Self {
        let mut all: BTreeMap<Set, BTreeMap<Token, Vec<&Set>>> = BTreeMap::new();
        let volatile = class.tokens.contains(&Token::Volatile);
        for (probe, token) in view.probes.iter().zip(&class.tokens) {
            let token = match token {
                Token::Unseen => continue,
                // Values that can only be told from the control's are all alike.
                Token::Other(_) if volatile => Token::Volatile,
                other => *other,
            };
            let acts = proofs.iter().enumerate();
            let acts = acts.filter(|(_, proof)| proof.term.is_subset(&probe.set));
            let acts = Set::of(proofs.len(), acts.map(|(number, _)| number));
            let values = all.entry(acts).or_default();
            values.entry(token).or_default().push(&probe.set);
        }
        Self(all)
    }

    /// The rows that show what no other trial with the same acting sets shows: something else acts
    /// there, or chance does.
    fn odd(&self) -> Vec<Set> {
        let parted = self.0.values().filter(|values| values.len() > 1);
        let once = parted
            .flat_map(BTreeMap::values)
            .filter(|rows| rows.len() == 1);
        once.flatten().map(|row| (*row).clone()).collect()
    }

    /// How many trials differed in which one set acted and no other; of one row, if that is given.
    fn alone(&self, which: usize, row: Option<&Set>) -> usize {
        let only = self
            .0
            .iter()
            .filter(|(acts, _)| acts.has(which) && acts.len() == 1);
        let values = only.flat_map(|(_, values)| values);
        let rows = values.filter(|(token, _)| **token != Token::Same);
        let rows = rows.flat_map(|(_, rows)| rows);
        rows.filter(|other| row.is_none_or(|row| row == **other))
            .count()
    }

    /// How likely chance beside the other sets shows what this one seems to do: then trials that only
    /// differ in whether it acts are alike but for chance, and the rarer values are odd.
    fn chance_beside(&self, which: usize) -> f64 {
        let none = BTreeMap::new();
        let count = |values: &BTreeMap<_, Vec<_>>| values.values().map(Vec::len).sum::<usize>();
        let rest: BTreeSet<Set> = self.0.keys().map(|acts| acts.without(which)).collect();
        let (mut odd, mut usual, mut choices) = (0, 0, 1.0);
        for others in rest {
            let with = self.0.get(&others.with(which)).unwrap_or(&none);
            let without = self.0.get(&others).unwrap_or(&none);
            let (a, b) = (count(with), count(without));
            if with.keys().any(|token| without.contains_key(token)) {
                usual += a + b;
            } else if a.min(b) > 0 {
                odd += a.min(b);
                usual += a.max(b);
                choices *= if a == b { 2.0 } else { 1.0 };
            } else if a + b > 1 {
                usual += a + b;
            }
        }
        choices * noise::at_most(odd, usual)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::TrialId;
    use crate::search::certificate::proofs;
    use crate::search::view::{Probe, Scheme};

    /// As many factors as these tests have.
    const FACTORS: usize = 8;

    /// A row and the value that an element had there; 0 is the control's.
    type Shown<'a> = (&'a [usize], u32);
    /// The control and its value.
    const NOTHING: Shown<'static> = (&[], 0);

    /// Trials of these rows, in which an element had these values.
    fn trials(rows: &[Shown<'_>]) -> (View, Class) {
        let scheme = Scheme(vec![1; FACTORS]);
        let probes = (1..).zip(rows).map(|(number, (row, _))| Probe {
            id: TrialId(number),
            set: set(row),
        });
        let view = View {
            top: scheme.top(),
            draws: Set::empty(FACTORS),
            scheme,
            probes: probes.collect(),
            failed: BTreeMap::new(),
            classes: Vec::new(),
        };
        let tokens = rows.iter().map(|(_, value)| match value {
            0 => Token::Same,
            other => Token::Other(*other),
        });
        let class = Class {
            tokens: tokens.collect(),
            members: vec![0],
            active: true,
            drawn: false,
            hints: Vec::new(),
        };
        (view, class)
    }

    fn set(row: &[usize]) -> Set {
        Set::of(FACTORS, row.iter().copied())
    }

    fn claim(view: &View, terms: &[&[usize]]) -> Vec<Proof> {
        let terms: Vec<Set> = terms.iter().map(|term| set(term)).collect();
        proofs(&terms, &view.top).unwrap()
    }

    /// So many trials of the control that show its value, and so many of another row that show one.
    fn beside(control: usize, row: &[usize], value: u32, count: usize) -> Vec<Shown<'_>> {
        let controls = vec![NOTHING; control];
        [controls, vec![(row, value); count]].concat()
    }

    /// The rows that a claim of `terms`, which no hypothesis expresses, needs again.
    fn unlisted(rows: &[Shown<'_>], terms: &[&[usize]], weights: &[f64]) -> Vec<Set> {
        let (view, class) = trials(rows);
        again(&view, &class, &claim(&view, terms), false, weights)
    }

    #[test]
    fn a_pair_that_one_trial_shows_alone_is_run_again_and_a_single_variation_is_not() {
        let wanted = |rows: &[Shown<'_>], terms: &[&[usize]]| {
            let (view, class) = trials(rows);
            again(&view, &class, &claim(&view, terms), true, &[0.125; FACTORS])
        };
        let once: &[Shown<'_>] = &[NOTHING, (&[2, 3], 1), (&[2, 3, 4], 1), (&[2], 0)];
        assert_eq!(wanted(once, &[&[2, 3]]), [set(&[2, 3])]);
        let more: &[Shown<'_>] = &[(&[2, 3], 1)];
        let twice = [once, more].concat();
        assert!(wanted(&twice, &[&[2, 3]]).is_empty());
        assert!(wanted(&[NOTHING, (&[2], 1)], &[&[2]]).is_empty());
    }

    #[test]
    fn a_row_whose_value_no_trial_with_the_same_acting_sets_shares_is_run_again() {
        let rows: &[Shown<'_>] = &[NOTHING, (&[1], 1), (&[1, 5], 1), (&[1, 6], 2)];
        let weights = [0.125; FACTORS];
        assert_eq!(unlisted(rows, &[&[1]], &weights), [set(&[1, 6])]);
        // Beside another set, it may have a value of its own.
        let again = unlisted(rows, &[&[1], &[6]], &weights);
        assert!(!again.contains(&set(&[1, 6])), "{again:?}");
    }

    #[test]
    fn values_that_the_acting_sets_do_not_tell_apart_contradict_a_claim() {
        let rows: &[Shown<'_>] = &[NOTHING, (&[1], 1), (&[1], 1), (&[1, 6], 2), (&[1, 6], 2)];
        let (view, class) = trials(rows);
        assert!(contradicted(&view, &class, &claim(&view, &[&[1]])));
        assert!(!contradicted(&view, &class, &claim(&view, &[&[1], &[6]])));
    }

    #[test]
    fn values_that_change_by_themselves_contradict_nothing() {
        let (view, mut class) = trials(&[NOTHING, (&[1], 1), (&[1], 2), (&[1], 3)]);
        let proofs = claim(&view, &[&[1]]);
        assert!(contradicted(&view, &class, &proofs));
        class.tokens[3] = Token::Volatile;
        assert!(!contradicted(&view, &class, &proofs));
    }

    #[test]
    fn chance_beside_the_others_is_as_likely_as_the_rarer_of_what_only_one_set_parts() {
        let chance = |rows: &[Shown<'_>]| {
            let (view, class) = trials(rows);
            Acting::of(&view, &class, &claim(&view, &[&[1], &[6]])).chance_beside(1)
        };
        let like = |rows: &[Shown<'_>], expected: f64| {
            let chance = chance(rows);
            assert!((chance - expected).abs() < 1e-12, "{chance} {expected}");
        };
        like(&beside(10, &[6], 1, 2), noise::at_most(2, 10));
        // Trials that are alike with it and without it show nothing of it.
        like(&beside(10, &[6], 0, 2), 1.0);
        // Beside the other set as well.
        let more: &[Shown<'_>] = &[(&[1], 2), (&[1], 2), (&[1, 6], 3)];
        let both = [&beside(4, &[6], 1, 2), more].concat();
        like(&both, noise::at_most(3, 6));
        // Of as many trials with it as without it, either may be odd.
        like(&beside(2, &[6], 1, 2), 2.0 * noise::at_most(2, 2));
    }

    #[test]
    fn a_variation_that_is_more_seldom_to_blame_than_others_must_be_shown_better() {
        let culprits: &[&[usize]] = &[&[1]];
        let mut rare = [0.99 / 7.0; FACTORS];
        rare[1] = 0.01;
        let twice = beside(13, &[1], 1, 2);
        assert!(unlisted(&twice, culprits, &[0.125; FACTORS]).is_empty());
        assert_eq!(unlisted(&twice, culprits, &rare), [set(&[1])]);
        let often = beside(13, &[1], 1, 4);
        assert!(unlisted(&often, culprits, &rare).is_empty());
        // It need not be shown better only because there are many.
        assert!(unlisted(&twice, culprits, &[0.005; 200]).is_empty());
    }

    #[test]
    fn where_a_larger_row_lacks_the_difference_each_set_must_be_shown_twice() {
        let rows: &[Shown<'_>] = &[NOTHING, (&[1], 1), (&[1, 5], 0), (&[6], 2), (&[6, 5], 2)];
        let again = unlisted(rows, &[&[1], &[6]], &[0.125; FACTORS]);
        assert_eq!(again, [set(&[1])]);
    }
}
