//! The table of trials: every one that has ended, with what it asked and what it showed that the
//! ledger does not hold. What was asked once is not run again, neither in a session that goes on nor
//! in one that is resumed: the journal holds the same rows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use crate::diff::Seen;
use crate::model::{
    Asked, Element, Reading, Snapshot, TrialId, TrialKind, TrialRecord, TrialResult,
};
use crate::search::Try;

/// A trial that is to be run.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it asks.
    pub asked: Asked,
    /// Why it is run.
    pub kind: TrialKind,
    /// Not to be started earlier than so many seconds after the latest control was.
    pub after_seconds: Option<f64>,
}

impl Wanted {
    /// As soon as there is room for it.
    pub fn new(asked: Asked, kind: TrialKind) -> Self {
        Self {
            asked,
            kind,
            after_seconds: None,
        }
    }

    /// The same for the search, which asks for whole rows alone.
    pub fn to_try(&self) -> Try {
        Try {
            row: self.asked.row.clone(),
            kind: self.kind,
            after_seconds: self.after_seconds,
        }
    }
}

impl From<Try> for Wanted {
    fn from(one: Try) -> Self {
        Self {
            asked: Asked::whole(one.row),
            kind: one.kind,
            after_seconds: one.after_seconds,
        }
    }
}

/// What a trial showed that says nothing about variations.
#[derive(Debug)]
pub struct Glimpse {
    /// Its number.
    pub trial: TrialId,
    /// The elements that differ from the control's, and what they are.
    pub seen: BTreeMap<Element, Seen>,
    /// The processes of the build, and what they read.
    pub lines: Vec<Reading>,
    /// Where the build ran.
    pub directory: PathBuf,
}

/// A trial that has ended.
#[derive(Debug)]
pub struct Ended {
    /// What is told of it.
    pub record: TrialRecord,
    /// What it asked.
    pub asked: Asked,
    /// What it showed.
    pub shown: Shown,
}

/// What a trial showed.
#[derive(Debug)]
pub enum Shown {
    /// What the ledger has taken down; nothing where it did not build.
    Observed,
    /// What differs where levels act in a scope alone, and what was read.
    Glimpse(Rc<Glimpse>),
    /// What it made with a remedy, in the control's names.
    Remedied(Rc<Snapshot>),
}

/// All trials that have ended, in the order of their numbers.
#[derive(Debug, Default)]
pub struct Trials {
    rows: Vec<Ended>,
}

impl Glimpse {
    /// Whether both show the same of an element that differs.
    pub fn agrees(&self, element: &Element, with: &Seen) -> bool {
        self.seen.get(element) == Some(with)
    }
}

impl Ended {
    /// Its number.
    pub fn id(&self) -> TrialId {
        self.record.id
    }

    /// The trial, if it built.
    pub fn built(&self) -> Option<TrialId> {
        let is_built = self.record.result == TrialResult::Built;
        is_built.then_some(self.record.id)
    }

    /// What it showed, where that says nothing about variations.
    pub fn glimpse(&self) -> Option<Rc<Glimpse>> {
        match &self.shown {
            Shown::Glimpse(glimpse) => Some(Rc::clone(glimpse)),
            Shown::Observed | Shown::Remedied(_) => None,
        }
    }

    /// What it made with a remedy.
    pub fn remedied(&self) -> Option<Rc<Snapshot>> {
        match &self.shown {
            Shown::Remedied(snapshot) => Some(Rc::clone(snapshot)),
            Shown::Observed | Shown::Glimpse(_) => None,
        }
    }
}

impl Trials {
    /// Adds one; its number is [`Trials::next`]'s or a later one.
    pub fn push(&mut self, ended: Ended) {
        self.rows.push(ended);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Ended> {
        self.rows.iter()
    }

    /// How many have ended.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// The number of the next one.
    pub fn next(&self) -> TrialId {
        let last = self.rows.last();
        TrialId(last.map_or(0, |ended| ended.id().0.saturating_add(1)))
    }

    /// The first trial that asked this.
    pub fn first(&self, asked: &Asked) -> Option<&Ended> {
        self.rows.iter().find(|ended| ended.asked == *asked)
    }

    /// The trials that asked this, the first one first.
    pub fn of<'t>(&'t self, asked: &'t Asked) -> impl Iterator<Item = &'t Ended> {
        self.rows.iter().filter(move |ended| ended.asked == *asked)
    }

    /// The trials that built.
    pub fn built(&self) -> impl Iterator<Item = TrialId> {
        self.rows.iter().filter_map(Ended::built)
    }

    /// What is told of them.
    pub fn records(&self) -> Vec<TrialRecord> {
        self.rows.iter().map(|ended| ended.record.clone()).collect()
    }
}
