//! What is known while one file is read and written: the choices, the spools, and what is told in the
//! end.

use std::io::Read;

use super::error::Error;
use super::options::{Class, Options, Pass, Report};
use super::spool::{Bounded, Spool, Spools};

/// Most notes of one file.
const NOTES: usize = 20;

/// The state of one run.
pub(super) struct Context<'a> {
    pub(super) options: &'a Options,
    pub(super) spools: &'a dyn Spools,
    pub(super) report: Report,
    /// The name says that a tar in it is no system image.
    pub(super) exchanged: bool,
    /// How many bytes each compressed content may unpack to.
    pub(super) unpacked: u64,
}

impl Context<'_> {
    /// A place for bytes.
    pub(super) fn spool(&self) -> Result<Box<dyn Spool>, Error> {
        self.spools.spool().map_err(|source| Error::Io {
            step: "make a temporary file",
            source,
        })
    }

    /// The time that members get: the one that was chosen, or else the first that is met.
    pub(super) fn time(&mut self, met: i64) -> i64 {
        let chosen = self.options.time;
        *self.report.time.get_or_insert(chosen.unwrap_or(met))
    }

    pub(super) fn keeps(&self, pass: Pass) -> bool {
        self.options.keeps(pass)
    }

    /// Counts a change.
    pub(super) fn changed(&mut self, pass: Pass, changed: bool) {
        self.report.changes.count(pass, changed);
    }

    /// Tells something, once.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.report.notes.len() < NOTES && !self.report.notes.contains(&text) {
            self.report.notes.push(text);
        }
    }

    /// Writes down what the file turned out to be.
    pub(super) fn is(&mut self, format: &'static str, class: Option<Class>) {
        self.report.formats.push(format);
        self.report.class = class.or(self.report.class);
    }

    /// A decoder that cannot be a bomb.
    pub(super) fn bounded<'s>(&self, source: Box<dyn Read + 's>) -> Box<dyn Read + 's> {
        if self.options.large {
            return source;
        }
        Box::new(Bounded {
            source,
            left: self.unpacked,
        })
    }
}
