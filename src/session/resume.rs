//! Going on with a session that was interrupted: what its journal holds is taken in as if it had just
//! been run.

use std::path::Path;

use super::Progress;
use super::run::Session;
use crate::inquiry::Wanted;
use crate::sandbox::TrialReport;
use crate::store::{Recorded, TrialEvent};

impl Session<'_> {
    /// Takes in what was recorded.
    pub(super) fn take_in(&mut self, recorded: &Recorded) {
        self.contents
            .forget_others(|id| recorded.trials.contains_key(&id));
        for trial in recorded.trials.values() {
            let one = Wanted {
                asked: trial.asked.clone(),
                kind: trial.kind,
                after_seconds: None,
            };
            let report = self.report(trial);
            self.take_down(trial.id, &one, &report);
            self.rounds = self.rounds.max(trial.round);
        }
        (self.progress)(&Progress::Resumed {
            trials: u32::try_from(recorded.trials.len()).unwrap_or(u32::MAX),
        });
    }

    fn report(&self, trial: &TrialEvent) -> TrialReport {
        let session = self.options.journal.as_deref().and_then(Path::parent);
        TrialReport {
            outcome: trial.outcome.clone(),
            seconds: trial.seconds,
            cpu_seconds: trial.cpu_seconds,
            log: session
                .unwrap_or(Path::new(""))
                .join(format!("trial-{}.log", trial.id.0)),
            notes: Vec::new(),
            passed_variables: trial.passed.clone(),
            supervisor: None,
            directory: trial.directory.clone(),
            readings: trial.readings.clone(),
        }
    }
}
