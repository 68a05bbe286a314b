//! The vocabulary that every other module speaks: what can vary, what a trial is, what it makes,
//! and what is said about it in the end. Types and their invariants only; no behaviour beyond
//! construction, order and conversion.

mod capability;
pub mod difference;
mod element;
mod elements;
mod environment;
mod finding;
mod reading;
mod remedy;
mod sources;
mod trial;
mod variation;

pub use capability::{Capabilities, Missing, Need};
pub use element::{
    Element, Field, Made, Names, Observed, Renamed, Snapshot, Value, escape_bytes, escape_name,
    output_of, own_path,
};
pub use elements::{Elements, Fields, Item};
pub use environment::{
    Accounting, BuildPath, Clock, Cpus, DirectoryOrder, Environment, Inodes, Kernel, Locale,
    Network, Randomness, Setting, Shell, Slot, Terminal, UserIdentity,
};
pub use finding::{
    Artifact, ArtifactVerdict, BuildInfo, Cause, CertificateStep, Checkout, Culprit, CulpritPart,
    Expect, Finding, FindingState, Findings, Fix, FixChange, FixState, Host, OutputsFrom, Place,
    Rate, Remedy, SCHEMA, Tested, TrialRecord, TrialResult, Values, VariationRecord,
    VariationStatus, Verdict,
};
pub use reading::{Chosen, Process, Reading, Scope, Source, Within};
pub use remedy::{Attempt, Change, quoted};
pub use sources::{SourceMode, SourceMtime, SourceOwner};
pub use trial::{
    Acting, Asked, Build, Drawn, Outcome, OutputSelection, PartOf, Row, TrialId, TrialKind,
};
pub use variation::{Level, RemedyText, Variation, Varies};
