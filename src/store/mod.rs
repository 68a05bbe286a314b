//! Where sessions live on disk: one directory each, with an append-only journal of events. Every
//! report, resume and replay is a fold over the journal; beside it stand the logs of failed
//! builds and, until the session is finished, the outputs of its trials.

mod directory;
mod journal;
mod prune;

use std::path::{Path, PathBuf};

pub use directory::{Which, create, find};
pub use journal::{
    Error, Event, JOURNAL, Journal, Planned, Recorded, Start, TrialEvent, has_trial, read, recorded,
};
pub use prune::Pruned;

/// Where a session keeps what its trials made, until it is finished.
pub fn outputs(session: &Path) -> PathBuf {
    session.join("outputs")
}
