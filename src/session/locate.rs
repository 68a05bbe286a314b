//! Which process, and which directory, a difference comes from: the trials that this question wants.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Error;
use super::run::Session;
use crate::diff::{self, Judged, Seen};
use crate::inquiry::place::{self, Causes, SLOTS, TRIALS};
use crate::inquiry::{Ended, Glimpse, Shown};
use crate::model::{Element, Outcome, Reading, TrialId, TrialKind};
use crate::sandbox::TrialReport;

/// What was found out about a build.
#[derive(Debug, Default)]
pub(super) struct Located {
    pub(super) causes: Causes,
    /// The arguments of the processes that were seen.
    pub(super) commands: BTreeSet<Vec<String>>,
}

impl Session<'_> {
    /// Finds what is behind each difference that one of the variations causes alone for which a
    /// place can be told. What was found before an error counts.
    pub(super) fn locate(&mut self, located: &mut Located) -> Result<(), Error> {
        if !self.options.locate {
            return Ok(());
        }
        let verdict = self.verdict();
        let left_out = |number: usize, element: &Element| {
            self.addresses.separated(element) || self.followers.contains(number)
        };
        let targets = SLOTS.map(|slot| place::targets(self.known(), &verdict, slot, left_out));
        let (causes, ended) = self.ask(TrialKind::Location, TRIALS, |session, room, causes| {
            let wants = |targets: &Vec<_>| place::causes(session.known(), targets, room, causes);
            targets.iter().map(wants).collect()
        });
        located.causes = causes;
        for glimpse in self.trials.iter().filter_map(Ended::glimpse) {
            let commands = glimpse.lines.iter().filter_map(|line| match line {
                Reading::Process(process) => Some(process.arguments.clone()),
                Reading::Read { .. } => None,
            });
            located.commands.extend(commands);
        }
        ended
    }

    /// Takes down what a trial showed that says nothing about variations; how many elements differ.
    pub(super) fn glimpse(&self, id: TrialId, report: &TrialReport) -> (Shown, usize) {
        let Some(seen) = self.differing(&report.outcome) else {
            return (Shown::Observed, 0);
        };
        let differing = seen.len();
        let glimpse = Glimpse {
            trial: id,
            seen,
            lines: report.readings.clone(),
            directory: report.directory.clone(),
        };
        (Shown::Glimpse(Rc::new(glimpse)), differing)
    }

    /// The elements that differ from the control's; `None` where nothing was built.
    fn differing(&self, outcome: &Outcome) -> Option<BTreeMap<Element, Seen>> {
        let (Some(control), Outcome::Built { snapshot }) = (self.ledger.control(), outcome) else {
            return None;
        };
        let judged = Judged {
            metadata: self.options.metadata,
        };
        let compared = diff::compare(control, &self.told(snapshot), judged);
        let differing = compared.seen.into_iter();
        let differing = differing.filter(|(_, seen)| seen.differs());
        Some(differing.collect())
    }
}
