//! One trial as its caller sees it: what to run, and what became of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::protocol::Focus;
use super::supervisor;
use crate::model::{Build, Environment, Outcome, Reading};
use crate::snapshot::Keep;

/// One trial to run.
#[derive(Debug, Clone)]
pub struct TrialSpec {
    /// Its environment.
    pub environment: Environment,
    /// What to run and what it makes.
    pub build: Build,
    /// After which time it is killed.
    pub timeout: Duration,
    /// Where copies of the outputs go: into a directory that exists.
    pub keep_outputs: Option<Keep>,
    /// Where its output goes; `None` leaves it in the trial's directory, which goes with the
    /// session.
    pub log: Option<PathBuf>,
    /// A closer look, if one is taken.
    pub focus: Option<Focus>,
}

/// What became of a trial.
#[derive(Debug, Clone)]
pub struct TrialReport {
    /// Whether it built, and what.
    pub outcome: Outcome,
    /// Wall time of the build, in seconds.
    pub seconds: f64,
    /// Processor time of the build and all its descendants, in seconds.
    pub cpu_seconds: f64,
    /// What the build said.
    pub log: PathBuf,
    /// What a person should know about how the trial was run.
    pub notes: Vec<String>,
    /// Variables of the caller that reached the build: name to SHA-256 of the value.
    pub passed_variables: BTreeMap<String, String>,
    /// What the supervisor of system calls did, where there was one.
    pub supervisor: Option<supervisor::Report>,
    /// The build directory, in the trial's view.
    pub directory: PathBuf,
    /// What the build read; nothing where it was not written down.
    pub readings: Vec<Reading>,
}
