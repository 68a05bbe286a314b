//! A trial: one execution of the build in one environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Change, Scope, Snapshot, TrialResult};

/// The number of a trial within its session, in the order in which trials were planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub u32);

/// The level of each variation of the plan, in the plan's order; 0 is the control.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(pub Vec<u8>);

/// What a trial asks of the build. Trials that ask the same are repeats of each other; whatever else
/// there is about a trial, this tells it from all others of its session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Asked {
    /// The levels.
    pub row: Row,
    /// How they act.
    pub acting: Acting,
}

/// How the levels of a trial act.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Acting {
    /// All of them, for everybody.
    Whole,
    /// All of them, for everybody, and what the build reads is written down.
    Witnessed,
    /// In a scope alone, for what can be told apart there; everything else is as in the control.
    Within {
        /// The scope.
        scope: Scope,
    },
    /// A part of the only level that is varied.
    Part {
        /// The part.
        part: PartOf,
    },
    /// All of them, with a remedy around the build.
    Remedied {
        /// The remedy.
        #[serde(flatten)]
        change: Change,
        /// Whose values the levels have.
        #[serde(default)]
        drawn: Drawn,
    },
}

/// Whose values levels have: each session has a seed, moments and names of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drawn {
    /// This session's.
    #[default]
    Here,
    /// Those of a session at another moment, with other names and another seed.
    Elsewhere,
    /// The same once more: a repeat.
    ElsewhereAgain,
}

/// A part of a level, or a level but for a part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum PartOf {
    /// A part alone, by its name in the plan.
    Only {
        /// The name.
        name: String,
    },
    /// Everything but a part.
    AllBut {
        /// The name of the part.
        name: String,
    },
    /// Everything, with the stacks of programs moved.
    Stack {
        /// By so many bytes, to lower addresses.
        by: i64,
    },
    /// Everything but the owners of the sources.
    ButOwners,
}

/// Why a trial is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialKind {
    /// Nothing varied; the first trial.
    Control,
    /// To learn which variations matter.
    Search,
    /// To prove a culprit.
    Certificate,
    /// The same environment once more.
    Repeat,
    /// Varied in some directories or for some programs alone, to learn where a difference comes
    /// from. It says nothing about the variation itself.
    Location,
    /// With a remedy applied, to learn whether it helps. It says nothing about the build without.
    Remedy,
}

/// The user's command and how to find what it makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The argument vector that runs inside the trial; a shell line is `["sh", "-ec", line]`.
    pub command: Vec<String>,
    /// The source tree on the host: absolute, resolved.
    pub source: PathBuf,
    /// What counts as output.
    pub outputs: OutputSelection,
    /// Variables given by the user, over the ones of the environment.
    pub variables: BTreeMap<String, String>,
}

/// Which of the files that a build created or changed are outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OutputSelection {
    /// Everything created or changed in the build tree; intermediates are compared, but do not
    /// decide.
    Tree,
    /// The same, and the files that the build made right beside its tree (`../x.deb`).
    TreeAndBeside,
    /// What these globs match, relative to the build directory (they may leave it) or absolute in
    /// the trial's view; all of it decides.
    Globs {
        /// The patterns.
        patterns: Vec<String>,
    },
}

/// What became of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The build ended with success, and this is what it made.
    Built {
        /// Its outputs.
        snapshot: Arc<Snapshot>,
    },
    /// The build failed: this trial says nothing about the outputs.
    Failed {
        /// In words: "exit code 2", "killed by SIGSEGV".
        how: String,
    },
    /// The build did not end in time and was killed.
    TimedOut,
}

impl Outcome {
    /// Whether the build succeeded.
    pub fn is_built(&self) -> bool {
        matches!(self, Self::Built { .. })
    }

    /// Whether there is anything to compare.
    pub fn has_outputs(&self) -> bool {
        matches!(self, Self::Built { snapshot } if !snapshot.outputs.is_empty())
    }

    /// The same without what was built.
    pub fn result(&self) -> TrialResult {
        match self {
            Self::Built { .. } => TrialResult::Built,
            Self::Failed { .. } => TrialResult::Failed,
            Self::TimedOut => TrialResult::TimedOut,
        }
    }
}

impl Asked {
    /// The levels of a row, for everybody: what the search asks.
    pub fn whole(row: Row) -> Self {
        Self {
            row,
            acting: Acting::Whole,
        }
    }
}

impl fmt::Display for PartOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only { name } => write!(f, "only {name}"),
            Self::AllBut { name } => write!(f, "all but {name}"),
            Self::Stack { by } => {
                let way = if *by < 0 { "higher" } else { "lower" };
                write!(f, "the stack {} bytes {way}", by.unsigned_abs())
            }
            Self::ButOwners => f.write_str("all but the owners of the sources"),
        }
    }
}

impl Row {
    /// The control: nothing varied, over `count` variations.
    pub fn control(count: usize) -> Self {
        Self(vec![0; count])
    }

    /// One variation alone at a level, over `count` variations.
    pub fn alone(count: usize, factor: usize, level: u8) -> Self {
        let mut row = Self::control(count);
        if let Some(slot) = row.0.get_mut(factor) {
            *slot = level;
        }
        row
    }

    /// Whether nothing is varied.
    pub fn is_control(&self) -> bool {
        self.0.iter().all(|level| *level == 0)
    }

    /// The variations that are varied, by their number in the plan.
    pub fn varied(&self) -> impl Iterator<Item = usize> + '_ {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, level)| **level != 0)
            .map(|(index, _)| index)
    }
}
