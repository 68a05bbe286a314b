//! What was observed and what the search says of it -> what is said in the end. Every claim keeps
//! the trials that support it; what could not be settled is said to be unsettled. How a variation
//! reached the bytes (causes, evidence) is not asked here yet.

mod advice;
mod derived;
mod element;
mod folded;
mod follows;
mod hints;
mod ledger;
mod variation;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    BuildInfo, Cause, Element, FindingState, Findings, Host, SCHEMA, TrialId, TrialRecord,
};
use crate::plan::{Hold, Plan};
use crate::search;

pub use folded::{Folded, FoldedCulprits, fold};
pub use follows::{Follows, Held, How, follows};
pub use hints::Marks;
pub use ledger::{Ledger, Parts};

/// Gives the bytes of an element in a trial, where they are at hand.
pub type Contents<'a> = &'a dyn Fn(TrialId, &Element) -> Option<Vec<u8>>;

/// A part of a level that suffices for an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFound {
    /// Its name, for example `LC_COLLATE`.
    pub name: String,
    /// The trial in which it alone varied.
    pub differs: TrialId,
    /// The trial in which everything else of the level varied.
    pub same: TrialId,
}

/// Everything that a session knows when it ends.
#[derive(Debug)]
pub struct Case<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// What the search says, by number.
    pub search: &'a search::Verdict,
    /// What the numbers mean.
    pub ledger: &'a Ledger,
    /// The parts of levels that suffice, by element and variation.
    pub parts: &'a BTreeMap<(usize, usize), PartFound>,
    /// What `search` does not name, because it acts through another variation's means.
    pub folded: &'a FoldedCulprits,
    /// What was built.
    pub build: BuildInfo,
    /// `SOURCE_DATE_EPOCH` as the build saw it.
    pub source_date_epoch: Option<String>,
    /// Where it ran.
    pub host: Host,
    /// All trials, by id.
    pub trials: Vec<TrialRecord>,
    /// Variations without which there is no verdict.
    pub required: BTreeSet<String>,
    /// What makes any verdict impossible, for example that the source changed meanwhile.
    pub spoiled: Option<String>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
    /// Wall time of the session.
    pub seconds: f64,
    /// Rounds of trials.
    pub rounds: u32,
    /// Where a variation comes in, by element and variation, where that was found out.
    pub causes: &'a BTreeMap<Element, BTreeMap<usize, Cause>>,
    /// What only follows other differences, by element.
    pub follows: &'a BTreeMap<usize, Follows>,
    /// The programs of the build, as far as they are known.
    pub programs: BTreeSet<String>,
}

/// The names of the programs that commands run, each given by its arguments.
pub fn programs<'c>(commands: impl IntoIterator<Item = &'c [String]>) -> BTreeSet<String> {
    commands.into_iter().flat_map(advice::programs).collect()
}

/// What is usually behind something unstable: what no build is held from.
const OUT_OF_REACH: &str = "what is unstable often comes from the time since boot (names by mktemp \
    and mkstemp), from jobs that race each other (try make -j1), or from random numbers that a \
    program does not ask the kernel for (the order of Go's maps, of Java's Map.of)";

/// The findings of a session. Their `tool_version` is this crate's.
pub fn findings(case: Case<'_>, contents: Contents<'_>) -> Findings {
    let mut findings = element::findings(&case, contents);
    derived::mark(&case, contents, &mut findings);
    let artifacts = element::artifacts(&case, &findings);
    let variations = variation::records(&case);
    let (verdict, why) = verdict::decide(&case, &artifacts, &variations);
    let mut notes = case.notes;
    if findings.iter().any(|f| f.state == FindingState::Unstable) {
        notes.push(OUT_OF_REACH.into());
    }
    notes.extend(verdict::unread(case.ledger));
    notes.extend(
        case.search
            .notes
            .iter()
            .map(|note| variation::note(case.plan, note)),
    );
    Findings {
        schema: SCHEMA.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        verdict,
        why,
        build: case.build,
        source_date_epoch: case.source_date_epoch,
        clock: clock(case.plan).into(),
        host: case.host,
        seed: case.plan.seed.to_string(),
        seconds: case.seconds,
        rounds: case.rounds,
        trials: case.trials,
        variations,
        artifacts,
        findings,
        notes,
    }
}

/// How the control's clock was held.
fn clock(plan: &Plan) -> &'static str {
    match (plan.control.clock, plan.clock) {
        (crate::model::Clock::Host, _) | (_, Hold::Running) => "running",
        (_, Hold::Stepped) => "stepped",
        (_, Hold::Creeping) => "creeping",
    }
}
