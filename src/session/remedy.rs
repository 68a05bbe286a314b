//! A remedy tried: the build with variables set, once unvaried and once under the variations that it
//! is to help against. What is the same in both does not depend on them any more. The search never
//! hears of these trials, for they say nothing about the build as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::run::Session;
use super::{Error, Left, Progress};
use crate::diff::{self, Judged};
use crate::explain::{EPOCH, Tried, has_epoch};
use crate::model::{Build, Element, Outcome, Row, Slot, Snapshot, TrialId, TrialKind, TrialRecord};
use crate::sandbox::TrialSpec;
use crate::search::{ElementVerdict, Try};

/// What `SOURCE_DATE_EPOCH` is set to: 2020-09-13. Earlier than most sources, so that who takes the
/// earlier one of it and a file's own time takes it.
const MOMENT: &str = "1600000000";
/// What it is to help against.
const TIMES: [Slot; 3] = [Slot::Clock, Slot::Timezone, Slot::SourceMtime];

/// What a remedy is tried against.
struct Targets {
    /// Everything that has a part in the differences varied.
    row: Row,
    elements: BTreeSet<Element>,
}

impl Session<'_> {
    /// Tries whether differences go away with `SOURCE_DATE_EPOCH` set, where times are to blame and
    /// neither the user nor one of these programs sets it.
    pub(super) fn try_epoch(
        &mut self,
        programs: &BTreeSet<String>,
    ) -> Result<Option<Tried>, Error> {
        let given = self.options.build.variables.contains_key(EPOCH);
        if self.spoiled.is_some() || has_epoch(given, programs) {
            return Ok(None);
        }
        let variables = BTreeMap::from([(EPOCH.to_owned(), MOMENT.to_owned())]);
        match self.targets(&TIMES) {
            Some(targets) => self.try_remedy(&variables, &targets),
            None => Ok(None),
        }
    }

    /// Builds with `variables` set, twice if the budget allows.
    fn try_remedy(
        &mut self,
        variables: &BTreeMap<String, String>,
        targets: &Targets,
    ) -> Result<Option<Tried>, Error> {
        let setting = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let mut tried = Tried {
            setting: setting.collect::<Vec<_>>().join(" "),
            variations: self.plan.varied(&targets.row).into_keys().collect(),
            trials: Vec::new(),
            built: false,
            gone: BTreeSet::new(),
            left: BTreeSet::new(),
        };
        let mut snapshots = Vec::new();
        for (row, left) in [(self.plan.control_row(), 1), (targets.row.clone(), 0)] {
            if !self.has_room_for(left + 1) {
                return Ok(None);
            }
            let (id, snapshot) = self.with_variables(variables, row, left)?;
            tried.trials.push(id);
            let Some(snapshot) = snapshot else {
                tried.trials = vec![id];
                return Ok(Some(tried));
            };
            snapshots.push(snapshot);
        }
        if let [control, varied] = snapshots.as_slice() {
            let judged = Judged {
                metadata: self.options.metadata,
            };
            let seen = diff::compare(control, varied, judged).seen;
            tried.built = true;
            for element in &targets.elements {
                let same = control.elements.contains(element) && !seen.contains_key(element);
                let side = if same {
                    &mut tried.gone
                } else {
                    &mut tried.left
                };
                side.insert(element.clone());
            }
        }
        Ok(Some(tried))
    }

    /// The elements that the variations of these slots change, alone or with others.
    fn targets(&self, slots: &[Slot]) -> Option<Targets> {
        let factors: BTreeSet<usize> = slots.iter().filter_map(|s| self.plan.filling(*s)).collect();
        let mut row = self.plan.control_row();
        let mut elements = BTreeSet::new();
        let verdict = self.verdict();
        let judged = self.ledger.elements().iter().zip(&verdict.elements);
        for (number, (element, said)) in judged.enumerate() {
            let ElementVerdict::Certified { culprits } = said else {
                continue;
            };
            if !self.ledger.decides(number) || element.field.is_addresses() {
                continue;
            }
            let by_these = |set: &[usize]| set.iter().any(|factor| factors.contains(factor));
            for culprit in culprits.iter().filter(|culprit| by_these(&culprit.set)) {
                for (factor, level) in culprit.set.iter().zip(&culprit.levels) {
                    if let Some(slot) = row.0.get_mut(*factor) {
                        *slot = *level;
                    }
                }
                elements.insert(element.clone());
            }
        }
        (!elements.is_empty()).then_some(Targets { row, elements })
    }

    /// Runs a trial with variables set over those of the build.
    fn with_variables(
        &mut self,
        variables: &BTreeMap<String, String>,
        row: Row,
        left: u32,
    ) -> Result<(TrialId, Option<Snapshot>), Error> {
        let attempt = Try {
            row,
            kind: TrialKind::Remedy,
            after_seconds: None,
        };
        let id = TrialId(self.next_id());
        self.announce(id, &attempt, Left::AtMost(left));
        let mut all = self.options.build.variables.clone();
        all.extend(variables.clone());
        let spec = TrialSpec {
            build: Build {
                variables: all,
                ..self.options.build.clone()
            },
            // What it makes is compared here, and not shown.
            keep_outputs: None,
            ..self.spec(id, &attempt)
        };
        let report = self.sandbox.run(&spec)?;
        let result = report.outcome.result();
        self.rounds += 1;
        self.trials.push(TrialRecord {
            id,
            kind: attempt.kind,
            varied: self.plan.varied(&attempt.row),
            result,
            seconds: report.seconds,
        });
        (self.progress)(&Progress::Ended {
            trial: id,
            result,
            seconds: report.seconds,
            differing: 0,
        });
        self.not_stopped()?;
        Ok(match report.outcome {
            Outcome::Built { snapshot } => (id, Some(self.told(&snapshot).into_owned())),
            Outcome::Failed { .. } | Outcome::TimedOut => (id, None),
        })
    }
}
