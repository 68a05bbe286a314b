//! Going on with a session that was interrupted: what its journal holds is taken in as if it had just
//! been run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::run::Session;
use super::{Error, left};
use crate::inquiry::Wanted;
use crate::model::TrialId;
use crate::sandbox::TrialReport;
use crate::store::{Planned, Recorded, TrialEvent};

impl Session<'_> {
    /// Takes in what was recorded, but for a round that had not ended: its trials that had are kept
    /// until [`Session::go_on`].
    pub(super) fn take_in(&mut self, recorded: &Recorded) {
        self.contents
            .forget_others(|id| recorded.trials.contains_key(&id));
        let ended = |planned: &Planned| recorded.trials.contains_key(&planned.id);
        let is_open = !recorded.round.iter().all(ended);
        let open = recorded.round.first().filter(|_| is_open);
        for trial in recorded.trials.values() {
            if open.is_some_and(|first| first.id <= trial.id) {
                break;
            }
            let report = self.report(trial);
            if recorded.round.is_empty() {
                // The control, which runs before the search asks for it.
                self.control = Some((Instant::now(), report));
                break;
            }
            let one = Wanted::new(trial.asked.clone(), trial.kind);
            self.take_down(trial.id, &one, &report);
            self.rounds = self.rounds.max(trial.round);
        }
    }

    /// Runs what is missing of a round that had not ended.
    pub(super) fn go_on(&mut self, recorded: &Recorded) -> Result<(), Error> {
        let open = recorded.round.iter();
        let open = open.filter(|planned| planned.id >= self.trials.next());
        let open: Vec<(TrialId, Wanted)> = open
            .map(|planned| {
                let one = Wanted::new(planned.asked.clone(), planned.kind);
                (planned.id, one)
            })
            .collect();
        let Some((first, _)) = open.first() else {
            return Ok(());
        };
        let mut known: BTreeMap<TrialId, TrialReport> = recorded
            .trials
            .range(first..)
            .map(|(id, trial)| (*id, self.report(trial)))
            .collect();
        let missing = open.iter().filter(|(id, _)| !known.contains_key(id));
        let missing: Vec<(TrialId, &Wanted)> = missing.map(|(id, one)| (*id, one)).collect();
        for (id, one) in &missing {
            self.announce(*id, one, left(&self.search));
        }
        self.rounds += 1;
        let mut ran = self.run_all(&missing).into_iter();
        let round = open.iter().filter_map(|(id, one)| {
            let ended = match known.remove(id) {
                Some(report) => Ok((Instant::now(), report)),
                None => ran.next()?,
            };
            Some(((*id, one), ended))
        });
        let round: Vec<_> = round.collect();
        self.end_round(round.into_iter())
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
