//! The one loop: the search says what to try, the sandbox runs it, the ledger takes down what was
//! seen, until the search is done; then everything is explained. Nothing is decided here about
//! variations, elements or culprits.

mod addresses;
mod advice;
mod around;
mod clock;
mod contents;
mod control;
mod fix;
mod followers;
mod hints;
mod keep;
mod layout;
mod locate;
mod made;
mod orders;
mod owners;
mod parts;
mod pids;
mod prepare;
mod remedy;
mod replay;
mod resume;
mod rounds;
mod run;
mod shown;
mod stopped;
mod unvaried;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::catalog::Catalog;
use crate::explain;
use crate::model::{
    Build, BuildInfo, Capabilities, Checkout, Findings, Host, OutputSelection, OutputsFrom,
    TrialId, TrialKind, TrialResult,
};
use crate::plan::{self, Plan};
use crate::sandbox::{self, Sandbox, Stop};
use crate::search::Search;
use crate::store::{self, Event, Journal, Recorded};

use locate::Located;
use run::Session;

pub use replay::{Replayed, replay};

/// What to check, and how.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of the user, by itself"
)]
pub struct Options {
    /// All variations.
    pub catalog: Catalog,
    /// What the host allows.
    pub host: Capabilities,
    /// What the user asked for. Its `clock` is the best way of holding clocks; the session falls
    /// back to others where the build does not get along with it.
    pub request: plan::Request,
    /// The build.
    pub build: Build,
    /// Who selected the outputs.
    pub outputs_from: OutputsFrom,
    /// A shell line to run once before, with the network open.
    pub prepare: Option<String>,
    /// Variations without which there is no verdict, by name.
    pub required: BTreeSet<String>,
    /// What the sandbox needs to know.
    pub sandbox: sandbox::SessionOptions,
    /// The longest time of one trial; by default an hour for the control, and for the others a
    /// multiple of its time.
    pub timeout: Option<Duration>,
    /// Modes of the outputs themselves count.
    pub metadata: bool,
    /// Whether a difference by the checkout alone decides.
    pub checkout: Checkout,
    /// Where the outputs of the control and of all certificates go, one directory per trial.
    pub keep: Option<PathBuf>,
    /// Trials at the same time; without it, as many as there are processors for, by what the control
    /// kept busy.
    pub workers: Option<usize>,
    /// At most so many trials.
    pub budget: Option<u32>,
    /// Trials of the control and of everything varied that stand behind "reproducible".
    pub repeats: u32,
    /// Look for what one other variation masks, too, and doubt claims more.
    pub thorough: bool,
    /// What a reader should know from the start.
    pub notes: Vec<String>,
    /// Where the source comes from.
    pub origin: Origin,
    /// Whether the process and the directory behind an order are looked for.
    pub locate: bool,
    /// Whether remedies are tried for what differs.
    pub fix: bool,
    /// Where events are written down, if anywhere.
    pub journal: Option<PathBuf>,
    /// The session to go on with, as its journal tells it.
    pub resume: Option<Recorded>,
}

/// Where the source comes from, for a later resume or replay.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The tree that the user named.
    pub source: PathBuf,
    /// The build works on a copy of it without what git ignores.
    pub clean: bool,
    /// What it looked like.
    pub fingerprint: String,
    /// The variables of the build whose values are the caller's, and are not written down.
    pub passed: BTreeSet<String>,
}

/// How many trials will follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing differs so far.
    Clean {
        /// If it stays so.
        same: u32,
        /// About how many else.
        differs: u32,
    },
    /// About so many look for the culprits; after them others may look for the causes.
    Search(u32),
    /// At most so many.
    AtMost(u32),
}

impl Left {
    /// What is left for the trials that follow once `trials` of them have begun.
    fn after(self, trials: u32) -> Self {
        let fewer = |left: u32| left.saturating_sub(trials);
        match self {
            Self::Clean { same, differs } => Self::Clean {
                same: fewer(same),
                differs: fewer(differs),
            },
            Self::Search(left) => Self::Search(fewer(left)),
            Self::AtMost(left) => Self::AtMost(fewer(left)),
        }
    }
}

/// What happens while it happens.
#[derive(Debug, Clone)]
pub enum Progress {
    /// What will be varied.
    Planned {
        /// The plan.
        plan: Box<Plan>,
    },
    /// A trial starts.
    Started {
        /// Its number.
        trial: TrialId,
        /// Why it is run.
        kind: TrialKind,
        /// What it varies, as `name=level`.
        varied: Vec<String>,
        /// How many trials will follow.
        left: Left,
    },
    /// A trial ended.
    Ended {
        /// Its number.
        trial: TrialId,
        /// What became of it.
        result: TrialResult,
        /// Its wall time.
        seconds: f64,
        /// How many judged elements differ from the control's.
        differing: usize,
    },
    /// For the first time something that decides differs.
    Differs {
        /// Not reproducible, whatever comes: differences by the checkout alone count as well.
        decided: bool,
        /// The trial that shows it.
        trial: TrialId,
        /// What it varied, as `name=level`.
        varied: Vec<String>,
        /// The outputs, by path.
        outputs: Vec<String>,
    },
    /// Something a person should know at once.
    Note {
        /// In words.
        text: String,
    },
}

/// Why a session ends without findings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be planned.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The sandbox does not work.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The journal cannot be written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Outputs could not be kept.
    #[error("cannot keep outputs in {}: {source}", path.display())]
    Keep {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The preparation failed.
    #[error("the preparation failed: {how}\n{tail}")]
    Prepare {
        /// In words.
        how: String,
        /// The end of its log.
        tail: String,
    },
    /// A thread that ran a trial panicked.
    #[error("a thread that ran a trial ended before it; this is a fault of reprobe")]
    Thread,
}

impl Error {
    /// Whether a session was to end before it was done.
    fn is_stop(&self) -> bool {
        matches!(self, Self::Sandbox(sandbox::Error::Stopped(_)))
    }
}

/// What a check found out.
#[derive(Debug)]
pub struct Checked {
    /// What is known.
    pub findings: Findings,
    /// Why it ended before everything was known.
    pub stopped: Option<Stop>,
}

/// Checks a build: runs trials until every difference is explained or the budget is used up.
///
/// A signal or the end of its time stops it, between trials or in the middle of one, where
/// `options.sandbox.interrupt` listens to any: what is known by then are its findings.
pub fn check(options: &Options, progress: &mut dyn FnMut(&Progress)) -> Result<Checked, Error> {
    let began = Instant::now();
    let sandbox = Sandbox::new(options.sandbox.clone())?;
    let before = sandbox.source_fingerprint()?;
    let mut session = control::open(options, &sandbox, progress)?;
    let mut located = Located::default();
    let mut tried = None;
    let ended = session.run().and_then(|()| session.locate(&mut located));
    let ended = ended.and_then(|()| {
        if !options.fix {
            tried = session.try_epoch(&programs(options, &located))?;
        }
        Ok(())
    });
    let mut stopped = match ended {
        Err(Error::Sandbox(sandbox::Error::Stopped(stop))) => Some(stop),
        ended => ended.map(|()| None)?,
    };
    if let Some(path) = before.first_change(&sandbox.source_fingerprint()?) {
        let text = format!(
            "{} was changed while the build ran; leave the source tree alone and run reprobe again",
            path.display()
        );
        session.spoiled = Some(text);
    }
    let mut findings = explained(options, &mut session, &located, tried, stopped, began);
    if options.fix {
        match session.fix(&mut findings) {
            Err(Error::Sandbox(sandbox::Error::Stopped(stop))) => stopped = Some(stop),
            // What was found before stands.
            Err(error) => findings
                .notes
                .push(format!("remedies were not tried to the end: {error}")),
            Ok(()) => {}
        }
        findings.trials = session.trials.records();
        findings.rounds = session.rounds;
        findings.seconds = began.elapsed().as_secs_f64();
    }
    if let Some(directory) = &options.keep {
        keep::deliver(&session.contents, &findings, directory)?;
    }
    drop(session);
    sandbox.close()?;
    Ok(Checked { findings, stopped })
}

/// What a session knows when it has come to its end, or was stopped.
fn explained(
    options: &Options,
    session: &mut Session<'_>,
    located: &Located,
    tried: Option<explain::Tried>,
    stopped: Option<Stop>,
    began: Instant,
) -> Findings {
    let failures = session.failure_notes();
    session.notes.extend(failures);
    let verdict = session.conclusion();
    let follows = session.follows();
    let case = explain::Case {
        plan: &session.plan,
        search: &verdict,
        ledger: &session.ledger,
        parts: &session.parts,
        folded: &session.folded,
        build: build_info(options),
        source_date_epoch: options.build.variables.get(explain::EPOCH).cloned(),
        host: host(&options.host),
        trials: session.trials.records(),
        required: options.required.clone(),
        checkout: options.checkout,
        spoiled: session.spoiled.take(),
        stopped: stopped.map(|stop| stop.to_string()),
        searched: session.searched,
        notes: std::mem::take(&mut session.notes),
        seconds: began.elapsed().as_secs_f64(),
        rounds: session.rounds,
        causes: &located.causes,
        clock_moved: session.courses.moved.take(),
        follows: &follows,
        programs: programs(options, located),
        tried,
    };
    explain::findings(case, &|trial, element| session.content(trial, element))
}

/// The programs of the build, as far as they are known.
fn programs(options: &Options, located: &Located) -> BTreeSet<String> {
    let commands = located.commands.iter().map(Vec::as_slice);
    explain::programs(commands.chain([options.build.command.as_slice()]))
}

/// Closes the books of a session whose findings were shown: it cannot be resumed any more.
pub fn finish(journal: &Path) -> Result<(), Error> {
    Journal::open(journal)?.append(&Event::Finished)?;
    if let Some(session) = journal.parent() {
        // What cannot be removed only takes room.
        let _ = fs::remove_dir_all(store::outputs(session));
    }
    Ok(())
}

/// How many trials a session will take, before the first of them.
pub fn estimate(options: &Options, plan: &Plan) -> Left {
    let workers = options.workers.unwrap_or(1);
    left(&Search::new(control::search_options(
        options, plan, workers,
    )))
}

/// How many trials a search still takes.
fn left(search: &Search) -> Left {
    let about = search.estimate();
    match search.if_clean() {
        Some(same) => Left::Clean {
            same,
            differs: about.max(same),
        },
        None => Left::Search(about),
    }
}

fn build_info(options: &Options) -> BuildInfo {
    BuildInfo {
        command: options.build.command.clone(),
        source: crate::model::escape_bytes(options.build.source.as_os_str().as_encoded_bytes()),
        outputs: match &options.build.outputs {
            OutputSelection::Tree | OutputSelection::TreeAndBeside => Vec::new(),
            OutputSelection::Globs { patterns } => patterns.clone(),
        },
        outputs_from: options.outputs_from,
    }
}

fn host(capabilities: &Capabilities) -> Host {
    let missing = capabilities.missing.values().chain(&capabilities.notes);
    Host {
        kernel: capabilities.kernel.clone(),
        user: if capabilities.root {
            "root"
        } else {
            "ordinary"
        }
        .into(),
        missing: missing.cloned().collect(),
    }
}
