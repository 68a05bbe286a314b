//! A build with a hidden truth: which variations make which element differ, what is noise, what
//! breaks. It answers rows as a real build would, and checks a verdict against the records alone.

use std::collections::BTreeMap;

use reprobe::model::{Expect, Row, TrialId};
use reprobe::search::{
    Certified, ElementVerdict, Factor, FactorVerdict, Observation, Options, Search, Seen, Step,
    Try, Verdict,
};

/// What decides one element.
#[derive(Debug, Clone)]
pub enum Hidden {
    /// Differs when all factors of one of the sets are varied. With `distinct`, each combination
    /// of active sets gives a value of its own.
    Sets {
        sets: Vec<Vec<usize>>,
        distinct: bool,
    },
    /// Differs when one of the sets is varied, with one of so many values, whichever they are.
    Colliding(Vec<Vec<usize>>, u32),
    /// Differs when one of the sets is varied; where the first is, the second changes nothing more.
    Hiding(Vec<Vec<usize>>),
    /// Differs when exactly one of the two is varied.
    Xor(usize, usize),
    /// Differs when the first is varied and the second is not.
    Masked(usize, usize),
    /// Differs by chance; with `fresh`, with a new value each time.
    Noise { rate: f64, fresh: bool },
    /// Differs so often when the factor is varied, with one of a few values.
    Draw { factor: usize, rate: f64 },
    /// Differs when the factor is at exactly this level, with a new value each time.
    AtLevel(usize, u8),
    /// Differs when all factors of one of the sets are at exactly these levels; each combination of
    /// active sets gives a value of its own.
    Levels(Vec<Vec<(usize, u8)>>),
    /// Differs as the other does, and when all factors of one of the sets are varied as well.
    Beside(Box<Hidden>, Vec<Vec<usize>>),
    /// Present unless one of the sets is varied.
    Presence(Vec<Vec<usize>>),
    /// A field of the member whose presence is decided by the first sets; itself decided by the
    /// second.
    FieldOf(Vec<Vec<usize>>, Vec<Vec<usize>>),
    /// Absent in the control, present when one of the sets is varied.
    Appears(Vec<Vec<usize>>),
}

/// What a search is told of so many variations of one level each, all alike, for one worker.
pub fn alike(factors: usize, seed: u64) -> Options {
    let factor = Factor {
        levels: 1,
        weight: 1.0,
        volatile: Vec::new(),
    };
    Options {
        factors: vec![factor; factors],
        first_levels: Vec::new(),
        apart: Vec::new(),
        draws: Vec::new(),
        workers: 1,
        budget_trials: None,
        repeats: 1,
        thorough: false,
        clock_runs: false,
        seed,
    }
}

/// A build.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// Its elements.
    pub elements: Vec<Hidden>,
    /// Sets of (factor, level) under which it fails; level 0 stands for any.
    pub breakers: Vec<Vec<(usize, u8)>>,
    /// How often it fails by chance.
    pub failing: f64,
    /// Values found in the bytes of elements: (element, factor), known from the start.
    pub hints: Vec<(u32, usize)>,
}

/// A stream of random numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
    pub fn real(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    pub fn chance(&mut self, probability: f64) -> bool {
        self.real() < probability
    }
}

fn active(sets: &[Vec<usize>], row: &Row) -> u32 {
    sets.iter().enumerate().fold(0, |mask, (index, set)| {
        let on = set.iter().all(|factor| row.0[*factor] != 0);
        mask | u32::from(on) << index
    })
}

impl Truth {
    /// What a trial of this row shows.
    pub fn run(&self, row: &Row, random: &mut Random) -> Observation {
        let breaks = self.breakers.iter().any(|set| {
            set.iter().all(|(factor, level)| match level {
                0 => row.0[*factor] != 0,
                level => row.0[*factor] == *level,
            })
        });
        if breaks || random.chance(self.failing) {
            return Observation::Failed;
        }
        let mut seen: Vec<Seen> = self.elements.iter().map(|e| e.seen(row, random)).collect();
        // An element at the end that never existed so far is not known yet.
        while self
            .elements
            .get(seen.len().wrapping_sub(1))
            .is_some_and(|e| matches!(e, Hidden::Appears(_)))
            && seen.last() == Some(&Seen::Absent)
        {
            seen.pop();
        }
        Observation::Built(seen)
    }
}

impl Hidden {
    fn seen(&self, row: &Row, random: &mut Random) -> Seen {
        let value = |differs: bool| Seen::Value(u32::from(differs));
        match self {
            Self::Sets { sets, distinct } => match active(sets, row) {
                mask if *distinct => Seen::Value(mask),
                mask => value(mask != 0),
            },
            Self::Colliding(sets, values) => match active(sets, row) {
                0 => Seen::Value(0),
                mask => Seen::Value(1 + mask.wrapping_mul(0x9e37_79b9).rotate_left(9) % values),
            },
            Self::Hiding(sets) => match active(sets, row) {
                mask if mask & 1 == 1 => Seen::Value(mask & !2),
                mask => Seen::Value(mask),
            },
            Self::Xor(a, b) => value((row.0[*a] != 0) != (row.0[*b] != 0)),
            Self::Masked(on, off) => value(row.0[*on] != 0 && row.0[*off] == 0),
            Self::Noise { rate, fresh } => match (random.chance(*rate), fresh) {
                (false, _) => Seen::Value(0),
                (true, false) => Seen::Value(1),
                (true, true) => Seen::Value(1 + (random.next() % 1_000_000) as u32),
            },
            Self::Draw { factor, rate } => {
                let drawn = Seen::Value(1 + (random.next() % 4) as u32);
                if row.0[*factor] != 0 && random.chance(*rate) {
                    drawn
                } else {
                    Seen::Value(0)
                }
            }
            Self::AtLevel(factor, level) => {
                let fresh = Seen::Value(1 + (random.next() % 1_000_000) as u32);
                if row.0[*factor] == *level {
                    fresh
                } else {
                    Seen::Value(0)
                }
            }
            Self::Levels(sets) => {
                let on = |set: &Vec<(usize, u8)>| set.iter().all(|(f, level)| row.0[*f] == *level);
                let mask = sets.iter().enumerate();
                Seen::Value(mask.fold(0, |mask, (i, set)| mask | u32::from(on(set)) << i))
            }
            Self::Beside(other, sets) => match other.seen(row, random) {
                Seen::Value(value) => Seen::Value(value + 10_000_000 * active(sets, row)),
                seen => seen,
            },
            Self::Presence(sets) => match active(sets, row) {
                0 => Seen::Value(0),
                _ => Seen::Absent,
            },
            Self::FieldOf(presence, sets) => match active(presence, row) {
                0 => value(active(sets, row) != 0),
                _ => Seen::Unobserved,
            },
            Self::Appears(sets) => match active(sets, row) {
                0 => Seen::Absent,
                _ => Seen::Value(1),
            },
        }
    }

    /// The minimal sets that a right verdict names; nothing for an element that never differs
    /// or has no such sets.
    pub fn culprits(&self) -> Option<Vec<Vec<usize>>> {
        match self {
            Self::Sets { sets, .. }
            | Self::Colliding(sets, _)
            | Self::Hiding(sets)
            | Self::Presence(sets)
            | Self::FieldOf(_, sets)
            | Self::Appears(sets) => {
                let mut sets = sets.clone();
                sets.sort();
                (!sets.is_empty()).then_some(sets)
            }
            Self::AtLevel(factor, _) | Self::Draw { factor, .. } => Some(vec![vec![*factor]]),
            Self::Levels(sets) => {
                let factors = |set: &Vec<(usize, u8)>| set.iter().map(|(f, _)| *f).collect();
                let mut sets: Vec<Vec<usize>> = sets.iter().map(factors).collect();
                sets.sort();
                Some(sets)
            }
            Self::Beside(other, sets) => {
                let mut all = other.culprits()?;
                all.extend(sets.iter().cloned());
                all.sort();
                Some(all)
            }
            Self::Xor(..) | Self::Masked(..) | Self::Noise { .. } => None,
        }
    }
}

/// What was recorded: the trials in the order of their numbers.
pub type Records = BTreeMap<TrialId, (Try, Observation)>;

/// A finished session.
#[derive(Debug)]
pub struct Session {
    pub search: Search,
    pub records: Records,
    pub rounds: usize,
    pub verdict: Verdict,
}

/// Runs a search to its end. `order` arranges each batch as it completes.
pub fn session(
    truth: &Truth,
    options: &Options,
    seed: u64,
    order: impl Fn(&mut Vec<(TrialId, Try)>),
) -> Session {
    let mut search = Search::new(options.clone());
    for (element, factor) in &truth.hints {
        search.hint(*element, *factor);
    }
    let mut records = Records::new();
    let rounds = go_on(
        truth,
        &mut search,
        &mut records,
        seed,
        options.workers,
        order,
    );
    Session {
        verdict: search.verdict(),
        search,
        records,
        rounds,
    }
}

/// Goes on with a search until it is done; the rounds that it took.
pub fn go_on(
    truth: &Truth,
    search: &mut Search,
    records: &mut Records,
    seed: u64,
    workers: usize,
    order: impl Fn(&mut Vec<(TrialId, Try)>),
) -> usize {
    let mut rounds = 0;
    while let Step::Run(tries) = search.next() {
        assert!(
            !tries.is_empty() && tries.len() <= workers,
            "{} tries",
            tries.len()
        );
        rounds += 1;
        let next = records.keys().last().map_or(0, |id| id.0 + 1);
        let mut batch: Vec<(TrialId, Try)> = (next..).map(TrialId).zip(tries).collect();
        order(&mut batch);
        for (id, attempt) in batch {
            // The outcome of a trial depends on its number alone, not on when it completes.
            let mut random = Random(seed ^ u64::from(id.0).wrapping_mul(0x2545_f491_4f6c_dd1d));
            random.next();
            let observation = truth.run(&attempt.row, &mut random);
            search.record(id, &attempt, observation.clone());
            records.insert(id, (attempt, observation));
        }
        assert!(records.len() < 5_000, "does not end");
    }
    rounds
}

/// Checks every claim of a verdict against the records alone: each certificate lists recorded
/// trials with the claimed outcome, and they prove the claim.
pub fn verify(records: &Records, verdict: &Verdict) -> Result<(), String> {
    let control = records
        .values()
        .find_map(|(attempt, observation)| match observation {
            Observation::Built(values) if attempt.row.is_control() => Some(values),
            _ => None,
        });
    for (element, said) in verdict.elements.iter().enumerate() {
        let ElementVerdict::Certified { culprits } = said else {
            continue;
        };
        let control = control.ok_or("a claim without a control")?;
        let reference = at(control, element);
        if culprits.is_empty() {
            return Err(format!("element {element}: certified without a culprit"));
        }
        for culprit in culprits {
            let shown = recorded(records, element, reference, culprit)?;
            minimal(element, culprit, &shown)?;
            complete(element, records, verdict, culprits, &shown)?;
        }
    }
    Ok(())
}

/// The rows of a certificate, each recorded with the claimed outcome.
fn recorded<'a>(
    records: &'a Records,
    element: usize,
    reference: Seen,
    culprit: &Certified,
) -> Result<Vec<(&'a Row, Expect)>, String> {
    let mut shown = Vec::new();
    for (id, expect) in &culprit.certificate {
        let Some((attempt, Observation::Built(values))) = records.get(id) else {
            return Err(format!("element {element}: trial {} did not build", id.0));
        };
        let seen = at(values, element);
        let right = match expect {
            Expect::Same => seen == reference,
            Expect::Differs => seen != reference && seen != Seen::Unobserved,
        };
        if !right {
            return Err(format!("element {element}: trial {} shows {seen:?}", id.0));
        }
        shown.push((&attempt.row, *expect));
    }
    Ok(shown)
}

/// Whether the set alone was shown to differ, and less of it was shown not to.
fn minimal(element: usize, culprit: &Certified, shown: &[(&Row, Expect)]) -> Result<(), String> {
    let width = shown.first().map_or(0, |(row, _)| row.0.len());
    let alone = |left_out: Option<usize>| {
        let mut row = Row::control(width);
        for (factor, level) in culprit.set.iter().zip(&culprit.levels) {
            if Some(*factor) != left_out {
                row.0[*factor] = *level;
            }
        }
        row
    };
    if !shown.contains(&(&alone(None), Expect::Differs)) {
        return Err(format!(
            "element {element}: {:?} was not shown alone",
            culprit.set
        ));
    }
    for factor in &culprit.set {
        let row = alone(Some(*factor));
        if !row.is_control() && !shown.contains(&(&row, Expect::Same)) {
            return Err(format!(
                "element {element}: {:?} may be too large",
                culprit.set
            ));
        }
    }
    Ok(())
}

/// Whether the trials that showed "same" leave room for no other culprit: each factor that is not
/// in any culprit was varied in one of them, broke the build, or hides the element.
fn complete(
    element: usize,
    records: &Records,
    verdict: &Verdict,
    culprits: &[Certified],
    shown: &[(&Row, Expect)],
) -> Result<(), String> {
    for (factor, said) in verdict.factors.iter().enumerate() {
        let named = culprits.iter().any(|culprit| culprit.set.contains(&factor));
        let out = matches!(said, FactorVerdict::Breaks | FactorVerdict::NotTried)
            || verdict
                .breakers
                .iter()
                .any(|breaker| breaker.set.contains(&factor));
        let varied = shown
            .iter()
            .any(|(row, expect)| *expect == Expect::Same && row.0[factor] != 0);
        let hides = records
            .values()
            .all(|(attempt, observation)| match observation {
                Observation::Built(values) if attempt.row.0[factor] != 0 => {
                    at(values, element) == Seen::Unobserved
                }
                _ => true,
            });
        if !named && !out && !varied && !hides {
            return Err(format!(
                "element {element}: factor {factor} was never excluded"
            ));
        }
    }
    Ok(())
}

fn at(values: &[Seen], element: usize) -> Seen {
    values.get(element).copied().unwrap_or(Seen::Absent)
}

/// The culprit sets of an element, sorted; nothing where it is not certified.
pub fn named(verdict: &Verdict, element: usize) -> Option<Vec<Vec<usize>>> {
    match verdict.elements.get(element)? {
        ElementVerdict::Certified { culprits } => {
            let mut sets: Vec<Vec<usize>> = culprits.iter().map(|c| c.set.clone()).collect();
            sets.sort();
            Some(sets)
        }
        _ => None,
    }
}
