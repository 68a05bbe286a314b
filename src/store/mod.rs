//! Where sessions live on disk: one directory each, with an append-only journal of events. Every
//! report, resume and replay is a fold over the journal; beside it stand the logs of failed
//! builds and, until the session is finished, the outputs of its trials.

mod directory;
mod journal;

pub use directory::{Which, create, find, outputs};
pub use journal::{
    Error, Event, JOURNAL, Journal, PartOf, Recorded, Start, TrialEvent, read, recorded,
};
