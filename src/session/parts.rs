//! Trials of a part of a level, of which the search is told nothing.

use super::run::Session;
use super::{Error, Left};
use crate::inquiry::{Ended, Wanted, parts};
use crate::model::{Acting, Asked, Outcome, PartOf, TrialId, TrialKind};
use crate::sandbox::TrialReport;

impl Session<'_> {
    /// Names the parts behind all certified culprits of one variation.
    pub(super) fn name_parts(&mut self) -> Result<(), Error> {
        let left_out = |number| self.followers.contains(number);
        let targets = parts::targets(self.known(), &self.verdict(), left_out);
        let (found, ended) = self.ask(
            TrialKind::Certificate,
            usize::MAX,
            |session, room, found| {
                let wants = |target| parts::parts(session.known(), target, room, found);
                targets.iter().map(wants).collect()
            },
        );
        self.parts = found;
        ended
    }

    /// Runs a trial of a part of a level, unless it was run before; nothing where it does not build or
    /// the budget is used up.
    pub(super) fn try_part(
        &mut self,
        factor: usize,
        level: u8,
        part: PartOf,
    ) -> Result<Option<TrialId>, Error> {
        let row = self.plan.alone(factor, level);
        let acting = Acting::Part { part };
        let asked = Asked { row, acting };
        let ended = self.once(&asked, TrialKind::Certificate, Left::Search(0))?;
        Ok(ended.and_then(Ended::built))
    }

    /// Takes down what a trial of a part showed, of which the search hears nothing; how many elements
    /// differ.
    pub(super) fn observe_part(
        &mut self,
        id: TrialId,
        one: &Wanted,
        report: &TrialReport,
    ) -> usize {
        let Outcome::Built { snapshot } = &report.outcome else {
            return 0;
        };
        let snapshot = &self.told(snapshot);
        self.contents.sort_out(id, snapshot);
        let split = self.known_addresses(id, &one.asked.row, snapshot);
        let seen = self.ledger.observe(id, snapshot, &split);
        self.followers.observe(id, self.ledger.control(), snapshot);
        seen.iter().filter(|seen| seen.differs()).count()
    }
}
