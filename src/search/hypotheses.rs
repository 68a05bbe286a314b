//! What could explain the history of a class: one variation, a pair that only acts together, two
//! or three alternatives, or alternatives among what was already proven for other classes. Each
//! comes with its probability before it is compared with noise.

use super::set::Set;
use super::view::{Class, Token, View};

/// As many alternatives are held in one hypothesis.
const MOST_TERMS: usize = 5;
/// Alternatives of three are enumerated among at most so many variations.
const MOST_FOR_TRIPLES: usize = 40;
/// Alternatives are enumerated among at most so many proven sets.
const MOST_PROVEN: usize = 8;

/// One or two variations that act together; a single one stands twice.
pub(super) type Term = [u16; 2];

/// Alternatives that could explain a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hypothesis {
    terms: [Term; MOST_TERMS],
    count: u8,
    /// How likely it is, in a unit that all hypotheses of a class share.
    pub(super) weight: f64,
}

/// What could explain a class of which nothing is known but that it differs where everything
/// varies.
pub(super) fn before_anything(top: &Set, prior: &Prior<'_>) -> Vec<Hypothesis> {
    let history = History {
        columns: (0..prior.weights.len())
            .map(|factor| Set::of(1, top.has(factor).then_some(0)))
            .collect(),
        differs: Set::of(1, [0]),
        same: Set::empty(1),
        tokens: vec![Token::Other(0)],
    };
    let mut found = Vec::new();
    history.singles_and_pairs(top, prior, &mut found);
    history.alternatives(top, prior, &mut found);
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found
}

/// What is known before a class is looked at.
#[derive(Debug)]
pub(super) struct Prior<'a> {
    /// How likely each factor is a culprit, together 1.
    pub(super) weights: &'a [f64],
    /// Sets that are proven for other classes.
    pub(super) proven: &'a [Set],
}

/// The distinct rows that say something about a class.
struct History {
    /// One set of row numbers per factor: where it is varied.
    columns: Vec<Set>,
    /// Rows that differ.
    differs: Set,
    /// Rows that do not.
    same: Set,
    /// What each row showed.
    tokens: Vec<Token>,
}

impl Hypothesis {
    fn new(terms: &[Term], weight: f64) -> Self {
        let mut held = [Term::default(); MOST_TERMS];
        for (slot, term) in held.iter_mut().zip(terms) {
            *slot = *term;
        }
        Self {
            terms: held,
            count: u8::try_from(terms.len().min(MOST_TERMS)).unwrap_or_default(),
            weight,
        }
    }

    /// The alternatives.
    pub(super) fn terms(&self) -> &[Term] {
        self.terms
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    /// The alternatives as sets.
    pub(super) fn sets(&self, bound: usize) -> Vec<Set> {
        let terms = self.terms().iter();
        let mut sets: Vec<Set> = terms
            .map(|[a, b]| Set::of(bound, [usize::from(*a), usize::from(*b)]))
            .collect();
        sets.sort();
        sets
    }

    /// How many of the alternatives a row has.
    pub(super) fn active(&self, row: &Set) -> u8 {
        let on = |factor: u16| row.has(usize::from(factor));
        self.terms()
            .iter()
            .map(|[a, b]| u8::from(on(*a) && on(*b)))
            .sum()
    }
}

/// All hypotheses that the history of a class allows, the likeliest first.
pub(super) fn consistent(
    view: &View,
    class: &Class,
    top: &Set,
    prior: &Prior<'_>,
) -> Vec<Hypothesis> {
    let history = History::new(view, class);
    let mut found = Vec::new();
    history.singles_and_pairs(top, prior, &mut found);
    history.alternatives(top, prior, &mut found);
    history.proven(prior, &mut found);
    let hinted = history.hinted(class, &mut found);
    if hinted > 0 {
        let rest = found.len() - hinted;
        found.iter_mut().take(rest).for_each(|h| h.weight *= 0.1);
    }
    found.sort_by(|a, b| {
        let likelier = b.weight.total_cmp(&a.weight);
        likelier.then_with(|| a.terms().cmp(b.terms()))
    });
    found
}

/// What could explain failed builds: one variation or a pair, all alike but for `suspected`, which
/// failed before at another level.
pub(super) fn of_failures(
    top: &Set,
    fails: &[Set],
    builds: &[Set],
    suspected: &Set,
) -> Vec<Hypothesis> {
    let suspects: Vec<usize> = top
        .iter()
        .filter(|factor| fails.iter().all(|row| row.has(*factor)))
        .collect();
    let possible = |term: Term| {
        let set = |row: &&Set| term.iter().all(|factor| row.has(usize::from(*factor)));
        !builds.iter().any(|row| set(&row))
    };
    let mut found = Vec::new();
    for (index, first) in suspects.iter().enumerate() {
        for second in suspects.iter().skip(index) {
            let term = term(*first, *second);
            if possible(term) {
                let weight = match (first == second, suspected.has(*first)) {
                    (false, _) => 0.02,
                    (true, false) => 1.0,
                    (true, true) => 10.0,
                };
                found.push(Hypothesis::new(&[term], weight));
            }
        }
    }
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found
}

impl History {
    fn new(view: &View, class: &Class) -> Self {
        let mut rows: Vec<(&Set, Token)> = Vec::new();
        for (probe, token) in view.probes.iter().zip(&class.tokens) {
            if *token == Token::Unseen {
                continue;
            }
            match rows.iter_mut().find(|(set, _)| **set == probe.set) {
                Some((_, known)) if *known == Token::Volatile => *known = *token,
                Some(_) => {}
                None => rows.push((&probe.set, *token)),
            }
        }
        let numbered = || rows.iter().enumerate();
        let having = |differs| {
            let with = numbered().filter(move |(_, (_, token))| token.differs() == Some(differs));
            Set::of(rows.len(), with.map(|(index, _)| index))
        };
        let columns = (0..view.scheme.0.len())
            .map(|factor| {
                let on = numbered().filter(|(_, (set, _))| set.has(factor));
                Set::of(rows.len(), on.map(|(index, _)| index))
            })
            .collect();
        Self {
            columns,
            differs: having(true),
            same: having(false),
            tokens: rows.iter().map(|(_, token)| *token).collect(),
        }
    }

    fn column(&self, factor: usize) -> Option<&Set> {
        self.columns.get(factor)
    }

    fn singles_and_pairs(&self, top: &Set, prior: &Prior<'_>, found: &mut Vec<Hypothesis>) {
        let members: Vec<(usize, &Set)> = top
            .iter()
            .filter_map(|factor| Some((factor, self.column(factor)?)))
            .filter(|(_, column)| self.differs.is_subset(column))
            .collect();
        for (index, (first, first_rows)) in members.iter().enumerate() {
            let weight = prior.weight(*first);
            if !first_rows.meets(&self.same) {
                self.push(&[term(*first, *first)], 0.75 * weight, found);
            }
            for (second, second_rows) in members.iter().skip(index + 1) {
                let both_same = first_rows.intersection(second_rows);
                if !both_same.meets(&self.same) {
                    let weight = 0.12 * weight * prior.weight(*second);
                    self.push(&[term(*first, *second)], weight, found);
                }
            }
        }
    }

    fn alternatives(&self, top: &Set, prior: &Prior<'_>, found: &mut Vec<Hypothesis>) {
        let members: Vec<(usize, &Set)> = top
            .iter()
            .filter_map(|factor| Some((factor, self.column(factor)?)))
            .filter(|(_, column)| !column.meets(&self.same) && column.meets(&self.differs))
            .collect();
        let triples = members.len() <= MOST_FOR_TRIPLES;
        for (index, (first, first_rows)) in members.iter().enumerate() {
            for (next, (second, second_rows)) in members.iter().enumerate().skip(index + 1) {
                let rows = first_rows.union(second_rows);
                let weight = prior.weight(*first) * prior.weight(*second);
                let pair = [term(*first, *first), term(*second, *second)];
                if self.differs.is_subset(&rows) {
                    self.push(&pair, 0.26 * weight, found);
                }
                for (third, third_rows) in members.iter().skip(next + 1).filter(|_| triples) {
                    if self.differs.is_subset(&rows.union(third_rows)) {
                        let [a, b] = pair;
                        let weight = 0.3 * weight * prior.weight(*third);
                        self.push(&[a, b, term(*third, *third)], weight, found);
                    }
                }
            }
        }
    }

    /// Alternatives among what is proven for other classes: a file that holds several values.
    fn proven(&self, prior: &Prior<'_>, found: &mut Vec<Hypothesis>) {
        let terms: Vec<Term> = prior
            .proven
            .iter()
            .filter_map(as_term)
            .filter(|term| !self.rows(*term).meets(&self.same))
            .take(MOST_PROVEN)
            .collect();
        for choice in 1..1_usize << terms.len() {
            let chosen: Vec<Term> = terms
                .iter()
                .enumerate()
                .filter(|(index, _)| choice >> index & 1 == 1)
                .map(|(_, term)| *term)
                .collect();
            if (2..=MOST_TERMS).contains(&chosen.len()) && self.explained(&chosen) {
                let size = i32::try_from(chosen.len()).unwrap_or(i32::MAX);
                self.push(&chosen, 0.05 * 0.4_f64.powi(size), found);
            }
        }
    }

    /// What the values found in the bytes suggest; how many hypotheses that adds.
    fn hinted(&self, class: &Class, found: &mut Vec<Hypothesis>) -> usize {
        let before = found.len();
        let hints: Vec<Term> = class
            .hints
            .iter()
            .map(|factor| term(*factor, *factor))
            .collect();
        let fits = |terms: &[Term]| {
            self.explained(terms) && !terms.iter().any(|term| self.rows(*term).meets(&self.same))
        };
        if (1..=MOST_TERMS).contains(&hints.len()) && fits(&hints) {
            let all = if hints.len() == 1 { 0.88 } else { 0.6 };
            self.push(&hints, all, found);
        }
        if hints.len() > 1 {
            for hint in hints.iter().filter(|hint| fits(&[**hint])) {
                let share = 0.28 / super::noise::real(hints.len());
                self.push(&[*hint], share, found);
            }
        }
        found.len() - before
    }

    /// The rows in which a term acts.
    fn rows(&self, [a, b]: Term) -> Set {
        match (self.column(usize::from(a)), self.column(usize::from(b))) {
            (Some(a), Some(b)) => a.intersection(b),
            _ => self.same.minus(&self.same),
        }
    }

    /// Whether every row that differs has one of the terms.
    fn explained(&self, terms: &[Term]) -> bool {
        let none = self.same.minus(&self.same);
        let rows = terms
            .iter()
            .fold(none, |rows, term| rows.union(&self.rows(*term)));
        self.differs.is_subset(&rows)
    }

    /// Adds a hypothesis, unless equal causes had unequal effects.
    fn push(&self, terms: &[Term], weight: f64, found: &mut Vec<Hypothesis>) {
        if let Some(likelihood) = self.likelihood(terms) {
            found.push(Hypothesis::new(terms, weight * likelihood));
        }
    }

    /// Equal sets of active terms must give equal values; nothing if they do not. Different ones
    /// usually give different values, or all the same.
    fn likelihood(&self, terms: &[Term]) -> Option<f64> {
        let rows: Vec<Set> = terms.iter().map(|term| self.rows(*term)).collect();
        let mut values: Vec<(u8, Token)> = Vec::new();
        for row in self.differs.iter() {
            let token = *self.tokens.get(row)?;
            if token == Token::Volatile {
                continue;
            }
            let mask = rows.iter().enumerate().fold(0, |mask, (index, active)| {
                mask | u8::from(active.has(row)) << index
            });
            match values.iter().find(|(known, _)| *known == mask) {
                Some((_, value)) if *value != token => return None,
                Some(_) => {}
                None => values.push((mask, token)),
            }
        }
        if values.len() < 2 {
            return Some(1.0);
        }
        let mut tokens: Vec<Token> = values.iter().map(|(_, token)| *token).collect();
        tokens.sort();
        tokens.dedup();
        Some(match tokens.len() {
            1 => 0.30,
            different if different == values.len() => 0.65,
            _ => 0.05,
        })
    }
}

impl Prior<'_> {
    fn weight(&self, factor: usize) -> f64 {
        self.weights.get(factor).copied().unwrap_or_default()
    }
}

fn term(first: usize, second: usize) -> Term {
    let number = |factor| u16::try_from(factor).unwrap_or(u16::MAX);
    [number(first), number(second)]
}

fn as_term(set: &Set) -> Option<Term> {
    let mut members = set.iter();
    let first = members.next()?;
    let second = members.next().unwrap_or(first);
    members.next().is_none().then(|| term(first, second))
}
