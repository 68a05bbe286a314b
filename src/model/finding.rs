//! What is said in the end: the object that `--json` writes, schema `reprobe.findings/1`.
//!
//! Within `/1` fields may be added; none changes its meaning. `schema/findings-1.json` is the JSON
//! Schema of the same object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Attempt, Missing, TrialId, TrialKind, Varies};

/// The schema's name and version.
pub const SCHEMA: &str = "reprobe.findings/1";

/// Everything that a session found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of reprobe.
    pub tool_version: String,
    /// The answer.
    pub verdict: Verdict,
    /// One sentence: why this verdict.
    pub why: String,
    /// Whether everything was tried that there was to try. What is not known is unsettled otherwise,
    /// and nothing is cleared.
    #[serde(default = "yes")]
    pub complete: bool,
    /// How much of what can vary was varied.
    #[serde(default)]
    pub tested: Tested,
    /// Whether a difference by the checkout alone decides.
    pub checkout: Checkout,
    /// The verdict if such differences are left out, whether they decide or not.
    pub without_checkout: Verdict,
    /// One sentence: which outputs differ by the checkout alone; null where none does.
    pub by_checkout: Option<String>,
    /// What was built.
    pub build: BuildInfo,
    /// `SOURCE_DATE_EPOCH` as the build saw it.
    pub source_date_epoch: Option<String>,
    /// How the control's clock was held: `stepped`, `creeping` or `running`.
    pub clock: String,
    /// What moved a held clock differently in two builds alike; left out where they agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_moved: Option<String>,
    /// Where it ran.
    pub host: Host,
    /// The seed, in decimal.
    pub seed: String,
    /// Wall time of the session.
    pub seconds: f64,
    /// Rounds of trials: a batch of parallel trials is one round.
    pub rounds: u32,
    /// All trials, by id.
    pub trials: Vec<TrialRecord>,
    /// All variations of the catalogue, in its order.
    pub variations: Vec<VariationRecord>,
    /// All outputs, by path.
    pub artifacts: Vec<Artifact>,
    /// All differing elements, by path and field.
    pub findings: Vec<Finding>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
    /// What became of the differences with remedies, where `--fix` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// What does away with the differences of a build, as trials with it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// How far it goes.
    pub state: FixState,
    /// One sentence: what is proven, or why it is not.
    pub why: String,
    /// What to change.
    pub changes: Vec<FixChange>,
    /// The same as lines of a shell before the build, ...
    pub before: Vec<String>,
    /// ... and after it.
    pub after: Vec<String>,
    /// The build with all of it, for a shell in the directory of the source; empty without changes.
    pub script: String,
    /// The trials with all of it.
    pub trials: Vec<TrialId>,
    /// What still differs with it.
    pub left: Vec<Place>,
}

/// How far a fix goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FixState {
    /// Every judged output is the same with it: unvaried, under everything, and under each culprit
    /// alone, at another moment and with other names.
    Verified,
    /// The same, but only since archives are brought into one form after the build.
    Normalized,
    /// Verified for a part of what differs.
    Partly,
    /// It helped, and did not pass or not reach the last trials.
    Unproven,
    /// Nothing that was tried helps, or there was nothing to try.
    Nothing,
}

/// One change of a fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixChange {
    /// What it is.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The variations against which it helps.
    pub variations: Vec<String>,
}

/// An element, by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its path.
    pub element: String,
    /// Its field.
    pub field: String,
}

/// Findings from before there was the field were of sessions that had come to their end.
fn yes() -> bool {
    true
}

/// How much of what can vary was varied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// So many variations, ...
    pub variations: usize,
    /// ... of so many.
    pub of: usize,
    /// Those that could not be tested here, or under which the build fails.
    pub untestable: Vec<String>,
    /// Those that nobody asked for: `--only` or `--skip` left them out, or another option did.
    pub left_out: Vec<String>,
}

/// The answer of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every judged output is identical under everything tested.
    Reproducible,
    /// Some judged output differs.
    NotReproducible,
    /// Could not decide: exactly exit code 125.
    Inconclusive,
}

/// What a difference counts for that times, modes and owners of the sources make alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checkout {
    /// It decides as any other.
    #[default]
    Decides,
    /// It is told apart and does not decide: the sources come with their times, modes and owners.
    Apart,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// The argument vector.
    pub command: Vec<String>,
    /// The source tree.
    pub source: String,
    /// The patterns that select outputs; empty where everything created or changed is judged.
    pub outputs: Vec<String>,
    /// Who said so.
    pub outputs_from: OutputsFrom,
}

/// Where the selection of outputs comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputsFrom {
    /// `--output`.
    Option,
    /// `reprobe.toml`.
    Config,
    /// A preset.
    Preset,
    /// Nobody: everything created or changed in the build tree.
    Tree,
}

/// Where a session ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Kernel name, release and machine.
    pub kernel: String,
    /// `root` or `ordinary`.
    pub user: String,
    /// What the host does not allow.
    pub missing: Vec<Missing>,
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its number.
    pub id: TrialId,
    /// Why it was run.
    pub kind: TrialKind,
    /// What was varied: variation name to level name.
    pub varied: BTreeMap<String, String>,
    /// What became of it.
    pub result: TrialResult,
    /// Wall time.
    pub seconds: f64,
}

/// What became of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialResult {
    /// It built.
    Built,
    /// It failed.
    Failed,
    /// It was killed after the time-out.
    TimedOut,
}

/// What is said about one variation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariationRecord {
    /// Its name.
    pub name: String,
    /// What it belongs to.
    pub varies: Varies,
    /// What is said.
    pub status: VariationStatus,
    /// The control level.
    pub control: String,
    /// The varied levels that were tried, or would have been.
    pub varied: Vec<String>,
    /// The varied levels to which no difference is due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleared_at: Vec<String>,
    /// The varied levels that no trial with everything varied had: nothing is known of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_tried: Vec<String>,
    /// Why not tested, why unsettled, or what else is worth knowing.
    pub reason: Option<String>,
}

/// What is said about a variation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariationStatus {
    /// A certified culprit of some difference.
    Culprit,
    /// Varied, and no difference is its.
    Cleared,
    /// May have a part in a difference that could not be settled.
    Unsettled,
    /// The build fails under it.
    BreaksBuild,
    /// Not varied.
    NotTested,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path.
    pub path: String,
    /// Whether it decides the verdict.
    pub decides: bool,
    /// What is said about it.
    pub verdict: ArtifactVerdict,
    /// The same without what differs by the checkout alone.
    pub without_checkout: ArtifactVerdict,
    /// SHA-256 of the control's bytes in hexadecimal; null for what has none (a link).
    pub sha256: Option<String>,
    /// The union of the culprits of its elements.
    pub culprits: Vec<Vec<String>>,
    /// How many of its elements differ between trials of the same environment.
    pub unstable_elements: u64,
    /// How many of its elements differ without a certified culprit.
    pub unsettled_elements: u64,
    /// How many elements the control has of each field, the output's own included.
    pub elements: BTreeMap<String, u64>,
    /// How many members each archive in it has in the control, by the archive's path: what "13 of 32
    /// members" is counted by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, u64>,
}

/// What is said about an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactVerdict {
    /// Identical in all trials.
    Same,
    /// Differs, with or without a culprit.
    Differs,
    /// Everything that differs in it differs between trials of the same environment.
    Unstable,
}

/// One differing element.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The element's path.
    pub element: String,
    /// Its field.
    pub field: String,
    /// Where the field stands in the control's innermost stream, in bytes.
    pub offset: Option<u64>,
    /// The two values.
    pub values: Values,
    /// How sure.
    pub state: FindingState,
    /// Why it is not certified; null where it is.
    pub reason: Option<String>,
    /// How often an unstable element differed.
    pub rate: Option<Rate>,
    /// Alternatives: each is one minimal set of variations.
    pub culprits: Vec<Culprit>,
    /// All of them are variations of the checkout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_checkout: bool,
    /// How the variation reached the bytes.
    pub cause: Option<String>,
    /// The bytes and processes that show it.
    pub evidence: Option<String>,
    /// What to change.
    pub remedies: Vec<Remedy>,
}

/// The values of an element in the control and in a trial that shows the difference; null where
/// the element was absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// In the control.
    pub control: Option<String>,
    /// In the other trial.
    pub varied: Option<String>,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingState {
    /// Its culprits are proven by the trials that they name.
    Certified,
    /// It differs between trials of the same environment.
    Unstable,
    /// It differs, and no culprit could be certified.
    Unsettled,
    /// It follows another element's difference.
    Derived,
}

/// How often an unstable element differed, with the 95 % Wilson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Trials that differed from the control's value.
    pub differing: u64,
    /// Repeats of the same environment.
    pub trials: u64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Two trials of one environment that made it differently.
    pub between: [TrialId; 2],
}

/// One minimal set of variations, and the trials that prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// Sorted names.
    pub variations: Vec<String>,
    /// The level of each variation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<String, String>,
    /// The proof.
    pub certificate: Vec<CertificateStep>,
    /// The smallest part of the level that suffices, where it has parts and one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<CulpritPart>,
    /// Where it comes in, where that was found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// Where a variation comes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// In words.
    pub words: String,
    /// The process and those that called it, nearest first, each with its arguments in full; none
    /// where it is not known who it is.
    pub processes: Vec<Vec<String>>,
}

/// A part of a level: one category of a locale, one variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CulpritPart {
    /// Its name, for example `LC_COLLATE`.
    pub name: String,
    /// The trial in which it alone varied, and the one in which everything else of the level did.
    pub certificate: Vec<CertificateStep>,
}

/// One trial of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CertificateStep {
    /// The trial.
    pub trial: TrialId,
    /// What it showed.
    pub expect: Expect,
}

/// What a trial of a certificate showed, compared with the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// The control's value.
    Same,
    /// Another value.
    Differs,
}

/// What to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The variation against which it helps.
    #[serde(default)]
    pub variation: Option<String>,
    /// In words or as a command.
    pub text: String,
    /// Whether a trial with it came out the same.
    pub verified: bool,
    /// How `--fix` tries it; left out where it cannot.
    #[serde(default, rename = "try", skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}
