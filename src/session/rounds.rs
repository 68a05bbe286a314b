//! Rounds of trials: what the search or a question wants is run together, written down as it ends, and
//! taken down in its order.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::around::around;
use super::run::Session;
use super::{Error, Left, Progress, left};
use crate::inquiry::{self, Ended, Wanted};
use crate::model::{Acting, Asked, Build, Environment, TrialId, TrialKind, Within};
use crate::plan::Plan;
use crate::sandbox::{Focus, TrialReport, TrialSpec};
use crate::store::{Event, Planned, TrialEvent};

/// When a trial was started, and what became of it.
pub(super) type Ran = Result<(Instant, TrialReport), Error>;

impl Session<'_> {
    /// Runs trials at the same time, and records them in their order; where some of them do not end,
    /// those that did. Without `left`, the search says how many will follow.
    pub(super) fn batch(
        &mut self,
        wanted: &[Wanted],
        left_after: Option<Left>,
    ) -> Result<(), Error> {
        let first = self.trials.next();
        let numbered: Vec<(TrialId, &Wanted)> = (first.0..).map(TrialId).zip(wanted).collect();
        if let Some(journal) = &mut self.journal {
            let planned = numbered.iter().map(|(id, one)| Planned {
                id: *id,
                asked: one.asked.clone(),
                kind: one.kind,
            });
            let planned = planned.collect();
            journal.append(&Event::Round { planned })?;
        }
        let all = left_after.unwrap_or_else(|| left(&self.search));
        for (begun, (id, one)) in (1..).zip(&numbered) {
            self.wait_for(one.after_seconds)?;
            let following = match left_after {
                Some(left) => left,
                None => all.after(begun),
            };
            self.announce(*id, one, following);
        }
        let ran = self.run_all(&numbered);
        self.end_round(numbered.into_iter().zip(ran))
    }

    /// Takes down the trials of a round in their order; where some of them did not end, the others.
    pub(super) fn end_round<'w>(
        &mut self,
        round: impl Iterator<Item = ((TrialId, &'w Wanted), Ran)>,
    ) -> Result<(), Error> {
        let mut failed = Ok(());
        for ((id, one), ran) in round {
            match ran {
                Ok((started, report)) => {
                    if one.asked.row.is_control() && one.asked.acting == Acting::Whole {
                        self.control_started = Some(started);
                    }
                    self.record(id, one, &report);
                }
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed?;
        self.not_stopped()
    }

    /// Runs a trial unless one that asked the same has ended, or the budget is used up; that trial.
    pub(super) fn once(
        &mut self,
        asked: &Asked,
        kind: TrialKind,
        left: Left,
    ) -> Result<Option<&Ended>, Error> {
        if self.trials.first(asked).is_none() {
            if !self.has_room() {
                return Ok(None);
            }
            self.rounds += 1;
            self.batch(&[Wanted::new(asked.clone(), kind)], Some(left))?;
        }
        Ok(self.trials.first(asked))
    }

    /// Asks questions again and again, and runs what they want in between, for all workers at once,
    /// until they want nothing more: what they say. At most so many trials of this kind are run in the
    /// session. What was said before an error stands.
    pub(super) fn ask<T: Default>(
        &mut self,
        kind: TrialKind,
        most: usize,
        questions: impl Fn(&Self, usize, &mut T) -> Vec<Vec<Asked>>,
    ) -> (T, Result<(), Error>) {
        loop {
            let spent = self.trials.iter().filter(|trial| trial.record.kind == kind);
            let room = most.saturating_sub(spent.count()).min(self.room());
            let mut said = T::default();
            let wants = questions(self, room, &mut said);
            let batch = inquiry::schedule(&wants, self.workers.min(room));
            if batch.is_empty() {
                return (said, Ok(()));
            }
            let left = match u32::try_from(room - batch.len()) {
                Ok(left) if most < usize::MAX => Left::AtMost(left),
                _ => Left::Search(0),
            };
            let wanted = batch.into_iter().map(|asked| Wanted::new(asked, kind));
            let wanted: Vec<Wanted> = wanted.collect();
            self.rounds += 1;
            if let Err(error) = self.batch(&wanted, Some(left)) {
                return (said, Err(error));
            }
        }
    }

    pub(super) fn announce(&mut self, id: TrialId, one: &Wanted, left: Left) {
        let started = Progress::Started {
            trial: id,
            kind: one.kind,
            varied: self.said(&one.asked),
            left,
        };
        (self.progress)(&started);
    }

    /// Runs trials at the same time, and writes each down when it ends. The control was run already.
    pub(super) fn run_all(&mut self, wanted: &[(TrialId, &Wanted)]) -> Vec<Ran> {
        let mut done: Vec<_> = self.control.take().into_iter().map(Ok).collect();
        let rest = wanted.iter().skip(done.len());
        let specs: Vec<(TrialId, &Wanted, TrialSpec)> = rest
            .map(|(id, one)| (*id, *one, self.spec(*id, &one.asked)))
            .collect();
        let journal = self.journal.as_mut().map(Mutex::new);
        let (sandbox, round) = (self.sandbox, self.rounds);
        let run = |(id, one, spec): &(TrialId, &Wanted, TrialSpec)| {
            let started = Instant::now();
            let report = sandbox.run(spec)?;
            if let Some(journal) = &journal {
                let environment = spec.environment.clone();
                let event = event(*id, one, environment, round, &report);
                let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                journal.append(&Event::Trial(Box::new(event)))?;
            }
            Ok::<_, Error>((started, report))
        };
        if let [spec] = specs.as_slice() {
            done.push(run(spec));
            return done;
        }
        thread::scope(|scope| {
            let threads: Vec<_> = specs.iter().map(|spec| scope.spawn(|| run(spec))).collect();
            let ended = threads.into_iter();
            done.extend(ended.map(|thread| thread.join().unwrap_or(Err(Error::Thread))));
        });
        done
    }

    fn spec(&self, id: TrialId, asked: &Asked) -> TrialSpec {
        let keep_outputs = match asked.acting {
            Acting::Whole | Acting::Part { .. } => self.contents.keep(id),
            // Only what differs is asked.
            Acting::Witnessed | Acting::Within { .. } | Acting::Remedied { .. } => None,
        };
        let program = &self.options.sandbox.program;
        TrialSpec {
            keep_outputs,
            ..spec(&self.plan, &self.options.build, asked, self.limit, program)
        }
    }

    /// Waits until the given time after the latest control's start.
    fn wait_for(&self, after: Option<f64>) -> Result<(), Error> {
        let (Some(after), Some(control)) = (after, self.control_started) else {
            return Ok(());
        };
        let until = control + Duration::from_secs_f64(after.max(0.0));
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.not_stopped()?;
            thread::sleep(left.min(Duration::from_millis(50)));
        }
        Ok(())
    }
}

/// The trial that asks this, of which nothing is kept. `program` normalises, where that is asked.
pub(super) fn spec(
    plan: &Plan,
    build: &Build,
    asked: &Asked,
    timeout: Duration,
    program: &Path,
) -> TrialSpec {
    let mut build = build.clone();
    let focus = match &asked.acting {
        Acting::Witnessed => Some(Focus {
            witness: true,
            within: None,
        }),
        Acting::Within { scope } => Some(Focus {
            witness: false,
            within: Some(Within::new(scope.clone(), &plan.environment(&asked.row))),
        }),
        Acting::Remedied { change, .. } => {
            build = around(change, &build, &program.to_string_lossy());
            None
        }
        Acting::Whole | Acting::Part { .. } => None,
    };
    TrialSpec {
        environment: plan.environment_of(asked),
        build,
        timeout,
        keep_outputs: None,
        log: None,
        focus,
    }
}

/// What is written down of a trial.
pub(super) fn event(
    id: TrialId,
    one: &Wanted,
    environment: Environment,
    round: u32,
    report: &TrialReport,
) -> TrialEvent {
    TrialEvent {
        id,
        asked: one.asked.clone(),
        kind: one.kind,
        round,
        environment,
        outcome: report.outcome.clone(),
        seconds: report.seconds,
        cpu_seconds: report.cpu_seconds,
        passed: report.passed_variables.clone(),
        readings: report.readings.clone(),
        directory: report.directory.clone(),
    }
}
