//! A remedy tried: the build with variables set, once unvaried and once under the variations that it
//! is to help against. What is the same in both does not depend on them any more. The search never
//! hears of these trials, for they say nothing about the build as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::run::Session;
use super::{Error, Left};
use crate::diff::{self, Judged};
use crate::explain::{EPOCH, Tried, has_epoch};
use crate::inquiry::Shown;
use crate::model::{Acting, Asked, Change, Drawn, Element, Outcome, Row, Slot, TrialKind};
use crate::sandbox::TrialReport;
use crate::search::ElementVerdict;

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
            let change = Change {
                variables: variables.clone(),
                ..Change::default()
            };
            let acting = Acting::Remedied {
                change,
                drawn: Drawn::Here,
            };
            let asked = Asked { row, acting };
            if self.trials.first(&asked).is_none() && !self.has_room_for(left + 1) {
                return Ok(None);
            }
            let ended = self.once(&asked, TrialKind::Remedy, Left::AtMost(left))?;
            let Some(ended) = ended else {
                return Ok(None);
            };
            tried.trials.push(ended.id());
            let Some(snapshot) = ended.remedied() else {
                tried.trials = vec![ended.id()];
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

    /// Takes down what a trial with a remedy made: it is compared here, and not shown.
    pub(super) fn remedied(&self, report: &TrialReport) -> (Shown, usize) {
        let shown = match &report.outcome {
            Outcome::Built { snapshot } => {
                Shown::Remedied(Rc::new(self.told(snapshot).into_owned()))
            }
            Outcome::Failed { .. } | Outcome::TimedOut => Shown::Observed,
        };
        (shown, 0)
    }
}
