//! The smallest part of a level that suffices: after the search, for culprits whose level has parts,
//! each part is tried alone until it is known which one each element follows; everything else of the
//! level is the counterproof. The search is told of none of these trials.

use std::collections::{BTreeMap, BTreeSet};

use super::run::{Session, event};
use super::{Error, Left, Progress};
use crate::explain::PartFound;
use crate::model::{Environment, Outcome, Row, TrialId, TrialKind, TrialRecord, TrialResult};
use crate::plan::Part;
use crate::sandbox::{TrialReport, TrialSpec};
use crate::search::{ElementVerdict, Seen, Try};
use crate::store::{Event, PartOf, TrialEvent};

impl Session<'_> {
    /// Names the parts behind all certified culprits of one variation.
    pub(super) fn name_parts(&mut self) -> Result<(), Error> {
        let verdict = self.verdict();
        for factor in 0..self.plan.variations.len() {
            let mut elements = BTreeSet::new();
            let mut used = None;
            for (number, said) in verdict.elements.iter().enumerate() {
                let ElementVerdict::Certified { culprits } = said else {
                    continue;
                };
                if let [only] = culprits.as_slice()
                    && only.set == [factor]
                    && self.ledger.decides(number)
                    && !self.followers.contains(number)
                    && used.is_none_or(|level| only.levels == [level])
                {
                    used = only.levels.first().copied();
                    elements.insert(number);
                }
            }
            if let Some(level) = used {
                self.narrow(factor, level, elements)?;
            }
        }
        Ok(())
    }

    fn narrow(&mut self, factor: usize, level: u8, mut open: BTreeSet<usize>) -> Result<(), Error> {
        for part in self.plan.parts(factor, level) {
            if open.is_empty() {
                break;
            }
            let only = format!("only {}", part.name);
            let Some(alone) = self.try_part(factor, level, &only, &part.alone)? else {
                continue;
            };
            let follows: BTreeSet<usize> = open
                .iter()
                .copied()
                .filter(|number| self.shows(alone, *number) == Some(true))
                .collect();
            if follows.is_empty() {
                continue;
            }
            open.retain(|number| !follows.contains(number));
            self.confirm(factor, level, &part, alone, &follows)?;
        }
        Ok(())
    }

    /// The counterproof: without the part, the elements are as in the control.
    fn confirm(
        &mut self,
        factor: usize,
        level: u8,
        part: &Part,
        alone: TrialId,
        follows: &BTreeSet<usize>,
    ) -> Result<(), Error> {
        let but = format!("all but {}", part.name);
        let Some(without) = self.try_part(factor, level, &but, &part.without)? else {
            return Ok(());
        };
        for number in follows {
            if self.shows(without, *number) == Some(false) {
                let found = PartFound {
                    name: part.name.clone(),
                    differs: alone,
                    same: without,
                };
                self.parts.insert((*number, factor), found);
            }
        }
        Ok(())
    }

    /// Whether an element differs in a trial.
    pub(super) fn shows(&self, trial: TrialId, number: usize) -> Option<bool> {
        match self.ledger.seen(trial)?.get(number).copied() {
            Some(Seen::Unobserved) => None,
            Some(seen) => Some(seen.differs()),
            None => Some(false),
        }
    }

    /// Runs a trial of one environment, unless it was run before; nothing where it does not build
    /// or the budget is used up.
    pub(super) fn try_part(
        &mut self,
        factor: usize,
        level: u8,
        said: &str,
        environment: &Environment,
    ) -> Result<Option<TrialId>, Error> {
        let Some(variation) = self.plan.variations.get(factor) else {
            return Ok(None);
        };
        let base = variation.level(level).map_or("", |level| &level.name);
        let of = PartOf {
            variation: variation.name.clone(),
            said: format!("{base}, {said}"),
        };
        let mut before = self.trials.iter();
        let before = before.find(|record| record.varied.get(&of.variation) == Some(&of.said));
        if let Some(record) = before {
            return Ok((record.result == TrialResult::Built).then_some(record.id));
        }
        if !self.has_room() {
            return Ok(None);
        }
        let attempt = Try {
            row: Row::control(self.plan.variations.len()),
            kind: TrialKind::Certificate,
            after_seconds: None,
        };
        self.run_part(&attempt, of, environment)
    }

    fn run_part(
        &mut self,
        attempt: &Try,
        of: PartOf,
        environment: &Environment,
    ) -> Result<Option<TrialId>, Error> {
        let id = TrialId(self.next_id());
        (self.progress)(&Progress::Started {
            trial: id,
            kind: attempt.kind,
            varied: vec![format!("{}={}", of.variation, of.said)],
            left: Left::Search(0),
        });
        let spec = TrialSpec {
            environment: environment.clone(),
            ..self.spec(id, attempt)
        };
        let report = self.sandbox.run(&spec)?;
        self.rounds += 1;
        if let Some(journal) = &mut self.journal {
            let environment = spec.environment;
            let event = event(
                id,
                &attempt.row,
                attempt.kind,
                environment,
                self.rounds,
                &report,
            );
            journal.append(&Event::Trial(Box::new(TrialEvent {
                part: Some(of.clone()),
                ..event
            })))?;
        }
        let result = self.take_part(id, attempt, of, &report);
        let elements = 0..self.ledger.elements().len();
        let differing = elements.filter(|number| self.shows(id, *number) == Some(true));
        let differing = differing.count();
        (self.progress)(&Progress::Ended {
            trial: id,
            result,
            seconds: report.seconds,
            differing,
        });
        self.not_stopped()?;
        Ok((result == TrialResult::Built).then_some(id))
    }

    /// Takes down what became of a trial of a part.
    pub(super) fn take_part(
        &mut self,
        id: TrialId,
        attempt: &Try,
        of: PartOf,
        report: &TrialReport,
    ) -> TrialResult {
        if let Outcome::Built { snapshot } = &report.outcome {
            let snapshot = &self.told(snapshot);
            self.contents.sort_out(id, snapshot);
            let split = self.known_addresses(id, attempt, snapshot);
            self.ledger.observe(id, snapshot, &split);
            self.followers.observe(id, self.ledger.control(), snapshot);
        }
        let result = report.outcome.result();
        self.trials.push(TrialRecord {
            id,
            kind: attempt.kind,
            varied: BTreeMap::from([(of.variation, of.said)]),
            result,
            seconds: report.seconds,
        });
        result
    }
}
