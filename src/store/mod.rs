//! Where sessions live on disk: one directory each, with an append-only journal of events. Every
//! report, resume and replay is a fold over the journal; nothing is kept beside it that could not
//! be computed again.

mod directory;
mod journal;

pub use directory::create;
pub use journal::{Error, Event, JOURNAL, Journal, Start, TrialEvent, read};
