//! What goes into a search and what comes out: options, tries, observations, verdicts. Variations
//! and elements are numbers here; the session knows their names.

use std::fmt;

use crate::model::{Expect, Row, TrialId, TrialKind};

/// One variation, as the search sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// How many varied levels it has, at least one. Level 0 is the control, 1 the one that the
    /// search uses; the next is tried when a level breaks the build, and once what level 1 does is
    /// known.
    pub levels: u8,
    /// How likely it is a culprit, in any unit; only ratios count, and no factor is ever ruled out.
    pub weight: f64,
    /// Per varied level, beginning with level 1: whether its value changes from trial to trial (a
    /// running clock), so that outputs compare only as same or different. Missing means no.
    pub volatile: Vec<bool>,
}

/// What a search works with.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The variations, in the plan's order.
    pub factors: Vec<Factor>,
    /// Levels other than 1 for the first trial in which everything varies, by factor. Where that
    /// trial equals the control, nothing else is run; where it differs, the search goes on with
    /// level 1, and asks about these levels alone only for what level 1 does not explain.
    pub first_levels: Vec<(usize, u8)>,
    /// Levels, by factor, that are tried in a row of their own; none of the `levels`.
    pub apart: Vec<(usize, u8)>,
    /// Varied levels, by factor, that are drawn anew in every trial: what follows them differs between
    /// two trials of one environment, or not, and is not called unstable for it.
    pub draws: Vec<(usize, u8)>,
    /// How many trials run at the same time; at least one.
    pub workers: usize,
    /// At most so many trials; without it, a generous multiple of the number of variations.
    pub budget_trials: Option<u32>,
    /// How many trials of the control and of everything varied stand behind a verdict "same"; at
    /// least one of each.
    pub repeats: u32,
    /// Also run rows that show a culprit which one other variation masks, and try all levels instead
    /// of two, any two of them side by side.
    pub thorough: bool,
    /// The clock runs in the control: its repeats keep their distance, and certificates are run
    /// once more between two controls.
    pub clock_runs: bool,
    /// Breaks ties; the same seed and the same records give the same tries.
    pub seed: u64,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Run these, in any order or all at once, and record each.
    Run(Vec<Try>),
    /// Nothing more: read the verdict.
    Done,
}

/// One trial to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// The level of each variation.
    pub row: Row,
    /// Why it is run.
    pub kind: TrialKind,
    /// Not to be started earlier than so many seconds after the previous control was started.
    pub after_seconds: Option<f64>,
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The build succeeded: what each element was, by its number. An element beyond the end was
    /// not known then; see [`super::Search::earlier`].
    Built(Vec<Seen>),
    /// The build failed.
    Failed,
    /// The build did not end in time.
    TimedOut,
}

/// What an element was in one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// A value; equal numbers are equal values, and 0 is the value in the first control that
    /// built.
    Value(u32),
    /// The path does not exist: a value of the element that stands for its presence.
    Absent,
    /// Nothing can be said, for example about a field of a member that is absent.
    Unobserved,
}

impl Seen {
    /// Whether this is a difference from the control.
    pub fn differs(self) -> bool {
        !matches!(self, Self::Value(0) | Self::Unobserved)
    }
}

/// What the records say.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// One per element, by its number.
    pub elements: Vec<ElementVerdict>,
    /// One per factor.
    pub factors: Vec<FactorVerdict>,
    /// Per factor, rising, the levels that varied together with everything else, or in a row of their
    /// own, and to which no difference is due.
    pub cleared: Vec<Vec<u8>>,
    /// Variations under which the build fails.
    pub breakers: Vec<Breaker>,
    /// How the control fared.
    pub control: Control,
    /// The first trial in which everything that can vary together varied and the build succeeded.
    pub all_varied: Option<TrialId>,
    /// How many trials of the control, and of everything varied, built.
    pub repeats: (u32, u32),
    /// What a reader should know besides.
    pub notes: Vec<Note>,
}

/// What is said about one element.
#[derive(Debug, Clone, PartialEq)]
pub enum ElementVerdict {
    /// It was the same in so many trials, the control among them.
    Same {
        /// Trials in which it was observed.
        trials: u32,
    },
    /// The control does not have it, so there is nothing to compare; the element for the presence
    /// of its path speaks for it.
    NotInControl,
    /// It differs between trials of the same environment, no level of which is drawn anew.
    Unstable {
        /// Repeats of an environment that differed from its first trial.
        differing: u32,
        /// Repeats of environments.
        trials: u32,
        /// Lower end of the 95 % interval of the rate.
        low: f64,
        /// Upper end.
        high: f64,
        /// Two trials of the same environment that show it.
        shown_by: (TrialId, TrialId),
    },
    /// These sets of variations make it differ, and nothing else does.
    Certified {
        /// Alternatives, sorted.
        culprits: Vec<Certified>,
    },
    /// It differs, and no claim is proven.
    Unsettled {
        /// Why not.
        reason: Reason,
        /// Variations that may have a part in it.
        possible: Vec<usize>,
    },
}

/// One minimal set of variations that makes an element differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// Factors, rising.
    pub set: Vec<usize>,
    /// The level of each, in the same order.
    pub levels: Vec<u8>,
    /// Recorded trials and what each of them showed for this element.
    pub certificate: Vec<(TrialId, Expect)>,
}

impl Certified {
    /// The first trial of the certificate that shows the difference.
    pub fn shown_by(&self) -> Option<TrialId> {
        let mut steps = self.certificate.iter();
        let (trial, _) = steps.find(|(_, expect)| *expect == Expect::Differs)?;
        Some(*trial)
    }
}

/// Why an element could not be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The budget of trials was used up.
    Budget,
    /// A variation undoes the effect of another, so no minimal set stands for all of it.
    NotMonotone,
    /// More alternatives than are worth telling apart.
    TooManyAlternatives,
    /// It cannot be told from chance in so many trials.
    MaybeNoise,
    /// Variations that would be needed for the proof break the build.
    Breakers,
    /// The trials that would decide it say nothing about it.
    Unobserved,
    /// The search is not finished.
    Unfinished,
}

/// What is said about one factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactorVerdict {
    /// Part of a certified culprit.
    Culprit,
    /// Varied together with everything else, and no difference is its.
    Cleared,
    /// May have a part in a difference that could not be settled.
    Unsettled,
    /// The build fails at all of its levels.
    Breaks,
    /// No trial with it built.
    NotTried,
}

/// A set of variations under which the build fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Factors, rising: one, or several that fail only together.
    pub set: Vec<usize>,
    /// The level of each.
    pub levels: Vec<u8>,
    /// Whether the next level of it was used from then on; otherwise it was left out.
    pub replaced: bool,
    /// The failed trials that show it.
    pub failed: Vec<TrialId>,
}

/// How the control fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// Not run yet.
    NotRun,
    /// It built every time.
    Builds,
    /// It built, and it failed, in the same environment.
    Flaky,
    /// It never built: nothing can be said.
    Fails,
}

impl Breaker {
    /// Whether it is this level alone.
    pub fn is_level(&self, factor: usize, level: u8) -> bool {
        self.set == [factor] && self.levels == [level]
    }
}

/// Something a reader should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The same environment failed in one trial and built in another.
    FlakyBuild {
        /// The failed trial.
        failed: TrialId,
        /// The one that built.
        built: TrialId,
        /// In how many other environments some failed and some built.
        others: usize,
    },
    /// The budget ended the search.
    BudgetUsed,
    /// These factors were varied only apart, as they break the build together.
    NeverTogether(Vec<usize>),
    /// Builds failed, and no set of variations could be shown to be the reason.
    UnexplainedFailures(Vec<TrialId>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Budget => "the budget of trials was used up",
            Self::NotMonotone => "one variation undoes the effect of another",
            Self::TooManyAlternatives => "too many alternatives to tell apart",
            Self::MaybeNoise => "it cannot be told from chance in so many trials",
            Self::Breakers => "a variation needed for the proof breaks the build",
            Self::Unobserved => "the trials that would decide it do not have it",
            Self::Unfinished => "the search was not finished",
        })
    }
}
