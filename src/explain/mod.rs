//! What was observed and what the search says of it -> what is said in the end. Every claim keeps
//! the trials that support it; what could not be settled is said to be unsettled. How a variation
//! reached the bytes (causes, evidence) is not asked here yet.

mod advice;
mod checkout;
mod derived;
mod element;
mod folded;
mod follows;
mod hints;
mod ledger;
mod likely;
mod packing;
mod tried;
mod variation;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    BuildInfo, Cause, Checkout, Element, FindingState, Findings, Host, SCHEMA, TrialId, TrialRecord,
};
use crate::plan::{Hold, Plan};
use crate::search;

pub use folded::{Folded, FoldedCulprits, fold};
pub use follows::{Follows, Held, How, follows};
pub use hints::Marks;
pub use ledger::{Ledger, Parts};
pub use likely::likely;
pub use tried::{EPOCH, Tried, has_epoch};

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
    /// Whether a difference by the checkout alone decides.
    pub checkout: Checkout,
    /// What makes any verdict impossible, for example that the source changed meanwhile.
    pub spoiled: Option<String>,
    /// Why the session ended before everything was known, in words, if it did.
    pub stopped: Option<String>,
    /// Whether the search had come to its end by then.
    pub searched: bool,
    /// What a reader should know besides.
    pub notes: Vec<String>,
    /// Wall time of the session.
    pub seconds: f64,
    /// Rounds of trials.
    pub rounds: u32,
    /// Where a variation comes in, by element and variation, where that was found out.
    pub causes: &'a BTreeMap<Element, BTreeMap<usize, Cause>>,
    /// What moved the held clock differently in two builds alike, where anything did.
    pub clock_moved: Option<String>,
    /// What only follows other differences, by element.
    pub follows: &'a BTreeMap<usize, Follows>,
    /// The programs of the build, as far as they are known.
    pub programs: BTreeSet<String>,
    /// What became of the differences with a remedy, where one was tried.
    pub tried: Option<Tried>,
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
    checkout::mark(case.plan, &mut findings);
    let artifacts = element::artifacts(&case, &findings);
    let variations = variation::records(&case);
    let tested = verdict::tested(&case, &variations);
    let decide = |checkout| verdict::decide(&case, &artifacts, &variations, &tested, checkout);
    let (verdict, why) = decide(case.checkout);
    let (without_checkout, _) = decide(Checkout::Apart);
    let by_checkout = checkout::said(case.checkout, &artifacts, &findings);
    let mut notes = case.notes;
    let is_unstable = findings.iter().any(|f| f.state == FindingState::Unstable);
    match &case.clock_moved {
        Some(moved) if is_unstable => notes.push(format!(
            "{moved}; what is unstable may be this tool's clock, and not the build"
        )),
        Some(moved) => notes.push(moved.clone()),
        None if is_unstable => notes.push(OUT_OF_REACH.into()),
        None => {}
    }
    if let Some(stopped) = case.stopped.as_ref().filter(|_| case.searched) {
        notes.push(format!(
            "{stopped}: the culprits are all found; causes, parts of levels and remedies that would have \
             been tried next may be missing"
        ));
    }
    notes.extend(case.tried.as_ref().map(Tried::note));
    notes.extend(packing::note(case.ledger, &findings));
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
        complete: case.stopped.is_none(),
        tested,
        checkout: case.checkout,
        without_checkout,
        by_checkout,
        build: case.build,
        source_date_epoch: case.source_date_epoch,
        clock: clock(case.plan).into(),
        clock_moved: case.clock_moved,
        host: case.host,
        seed: case.plan.seed.to_string(),
        seconds: case.seconds,
        rounds: case.rounds,
        trials: case.trials,
        variations,
        artifacts,
        findings,
        notes,
        fix: None,
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
