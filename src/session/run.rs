//! Running what the search asks for: batches of trials, their numbers, their records.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::addresses::{KnownAddresses, When};
use super::clock::Courses;
use super::contents::Contents;
use super::followers::Followers;
use super::{Error, Left, Options, Progress, advice, clock, control, keep, left};
use crate::diff;
use crate::explain::{self, FoldedCulprits, Ledger, PartFound};
use crate::inquiry::{self, Ended, Known, Shown, Trials, Wanted};
use crate::model::{
    Acting, Asked, Build, Checkout, Element, Environment, Outcome, Row, Snapshot, TrialId,
    TrialKind, TrialRecord, TrialResult, Within,
};
use crate::plan::Plan;
use crate::sandbox::{self, Focus, Sandbox, TrialReport, TrialSpec};
use crate::search::{Observation, Search, Seen, Step, Verdict};
use crate::store::{Event, Journal, TrialEvent};

/// So many failed trials are told of one by one.
const FAILURES_TOLD: usize = 2;

/// A session that is under way.
pub(super) struct Session<'a> {
    pub(super) options: &'a Options,
    pub(super) sandbox: &'a Sandbox,
    pub(super) progress: &'a mut dyn FnMut(&Progress),
    pub(super) plan: Plan,
    pub(super) search: Search,
    pub(super) ledger: Ledger,
    pub(super) journal: Option<Journal>,
    /// The control trial, run before the search asked for it.
    pub(super) control: Option<(Instant, TrialReport)>,
    /// When the latest control was started.
    pub(super) control_started: Option<Instant>,
    /// The longest time of a trial.
    pub(super) limit: Duration,
    /// Trials at the same time.
    pub(super) workers: usize,
    pub(super) trials: Trials,
    /// What the trials made.
    pub(super) contents: Contents,
    /// Elements that were looked into for addresses.
    pub(super) addresses: KnownAddresses,
    /// The parts of levels that suffice, by element and variation.
    pub(super) parts: BTreeMap<(usize, usize), PartFound>,
    /// Culprits that act through another one's means.
    pub(super) folded: FoldedCulprits,
    /// Elements that were looked into for values of levels.
    pub(super) hinted: BTreeSet<usize>,
    /// Elements that only follow others.
    pub(super) followers: Followers,
    pub(super) notes: Vec<String>,
    /// How the held clock went in builds of one environment.
    pub(super) courses: Courses,
    /// What to say of each failed trial, with the number of variations in it.
    pub(super) failures: Vec<(usize, TrialId, String)>,
    pub(super) rounds: u32,
    /// How many elements the search knows of.
    pub(super) introduced: usize,
    /// What makes a verdict impossible.
    pub(super) spoiled: Option<String>,
    /// Whether the search came to its end.
    pub(super) searched: bool,
}

impl Session<'_> {
    /// Runs trials until the search is done.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        self.not_stopped()?;
        while self.spoiled.is_none() {
            self.separate_addresses(When::Early)?;
            let tries = match self.search.next() {
                Step::Done if self.take_up_followers() => continue,
                Step::Done if self.separate_addresses(When::Late)? => continue,
                Step::Done => break,
                Step::Run(tries) => tries,
            };
            let wanted: Vec<Wanted> = tries.into_iter().map(Wanted::from).collect();
            self.rounds += 1;
            let control = self.control.as_ref();
            let useless = control.is_some_and(|(_, report)| !report.outcome.has_outputs());
            // Without a control there is nothing to compare the others with.
            let alone = if useless { 1 } else { self.workers };
            for batch in wanted.chunks(alone) {
                if self.spoiled.is_some() {
                    break;
                }
                self.batch(batch, None)?;
            }
        }
        if self.spoiled.is_none() {
            self.fold_layout()?;
            self.fold_ids();
            self.fold_orders();
            self.tell_owners_apart()?;
        }
        self.searched = true;
        if self.spoiled.is_none() {
            self.name_parts()?;
        }
        Ok(())
    }

    /// What the search says, without culprits that act through another one's means.
    pub(super) fn verdict(&self) -> Verdict {
        let mut verdict = self.search.verdict();
        explain::fold(&mut verdict, &self.folded);
        verdict
    }

    /// Runs trials at the same time, and records them in their order; where some of them do not end,
    /// those that did. Without `left`, the search says how many will follow.
    pub(super) fn batch(
        &mut self,
        wanted: &[Wanted],
        left_after: Option<Left>,
    ) -> Result<(), Error> {
        let first = self.trials.next();
        let numbered: Vec<(TrialId, &Wanted)> = (first.0..).map(TrialId).zip(wanted).collect();
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
        let mut failed = Ok(());
        for ((id, one), ran) in numbered.into_iter().zip(ran) {
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
        asked: Asked,
        kind: TrialKind,
        left: Left,
    ) -> Result<Option<&Ended>, Error> {
        if self.trials.of(&asked).next().is_none() {
            if !self.has_room() {
                return Ok(None);
            }
            self.rounds += 1;
            let wanted = Wanted {
                asked: asked.clone(),
                kind,
                after_seconds: None,
            };
            self.batch(&[wanted], Some(left))?;
        }
        Ok(self.trials.iter().find(|ended| ended.asked == asked))
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
            let batch = inquiry::schedule(wants, self.workers.min(room));
            if batch.is_empty() {
                return (said, Ok(()));
            }
            let left = match u32::try_from(room - batch.len()) {
                Ok(left) if most < usize::MAX => Left::AtMost(left),
                _ => Left::Search(0),
            };
            let wanted = |asked| Wanted {
                asked,
                kind,
                after_seconds: None,
            };
            let wanted: Vec<Wanted> = batch.into_iter().map(wanted).collect();
            self.rounds += 1;
            if let Err(error) = self.batch(&wanted, Some(left)) {
                return (said, Err(error));
            }
        }
    }

    /// Whether the budget allows one more trial.
    pub(super) fn has_room(&self) -> bool {
        self.has_room_for(1)
    }

    /// Whether the budget allows so many more trials.
    pub(super) fn has_room_for(&self, trials: u32) -> bool {
        usize::try_from(trials).is_ok_and(|trials| trials <= self.room())
    }

    /// How many more trials the budget allows.
    pub(super) fn room(&self) -> usize {
        let budget = self.options.budget.map(usize::try_from);
        let budget = budget.and_then(Result::ok).unwrap_or(usize::MAX);
        budget.saturating_sub(self.trials.len())
    }

    /// What questions may look at.
    pub(super) fn known(&self) -> Known<'_> {
        Known {
            plan: &self.plan,
            ledger: &self.ledger,
            trials: &self.trials,
        }
    }

    pub(super) fn not_stopped(&self) -> Result<(), Error> {
        let interrupt = self.options.sandbox.interrupt.as_ref();
        match interrupt.and_then(|interrupt| interrupt.stop()) {
            Some(stop) => Err(sandbox::Error::Stopped(stop).into()),
            None => Ok(()),
        }
    }

    fn announce(&mut self, id: TrialId, one: &Wanted, left: Left) {
        let started = Progress::Started {
            trial: id,
            kind: one.kind,
            varied: self.said(&one.asked),
            left,
        };
        (self.progress)(&started);
    }

    /// Runs trials at the same time, and writes each down when it ends. The control was run already.
    fn run_all(
        &mut self,
        wanted: &[(TrialId, &Wanted)],
    ) -> Vec<Result<(Instant, TrialReport), Error>> {
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
        TrialSpec {
            keep_outputs,
            ..spec(&self.plan, &self.options.build, asked, self.limit)
        }
    }

    /// Takes down what became of a trial.
    fn record(&mut self, id: TrialId, one: &Wanted, report: &TrialReport) {
        let before = self.first_difference();
        let (result, differing) = self.take_down(id, one, report);
        (self.progress)(&Progress::Ended {
            trial: id,
            result,
            seconds: report.seconds,
            differing,
        });
        if before.is_none()
            && let Some(outputs) = self.first_difference()
        {
            let varied = self.said(&one.asked);
            (self.progress)(&Progress::Differs {
                decided: self.options.checkout == Checkout::Decides,
                trial: id,
                varied,
                outputs,
            });
        }
    }

    /// The outputs that decide and differ, once some do.
    fn first_difference(&self) -> Option<Vec<String>> {
        let outputs = self.ledger.outputs().into_iter();
        let differing = outputs.filter(|(_, (decides, trial))| *decides && trial.is_some());
        let paths: Vec<String> = differing.map(|(path, _)| path.to_owned()).collect();
        (!paths.is_empty()).then_some(paths)
    }

    /// What a trial varies, as `name=level`.
    fn said(&self, asked: &Asked) -> Vec<String> {
        let varied = self.plan.varied_by(asked).into_iter();
        varied
            .map(|(name, level)| format!("{name}={level}"))
            .collect()
    }

    /// Takes down what became of a trial, without a word to the user; its result, and how many
    /// elements differ.
    pub(super) fn take_down(
        &mut self,
        id: TrialId,
        one: &Wanted,
        report: &TrialReport,
    ) -> (TrialResult, usize) {
        let (shown, differing) = match &one.asked.acting {
            Acting::Whole => (Shown::Observed, self.observe(id, one, report)),
            Acting::Part { .. } => (Shown::Observed, self.observe_part(id, one, report)),
            Acting::Witnessed | Acting::Within { .. } => self.glimpse(id, report),
            Acting::Remedied { .. } => self.remedied(report),
        };
        let result = report.outcome.result();
        self.trials.push(Ended {
            record: TrialRecord {
                id,
                kind: one.kind,
                varied: self.plan.varied_by(&one.asked),
                result,
                seconds: report.seconds,
            },
            asked: one.asked.clone(),
            shown,
        });
        (result, differing)
    }

    /// Takes down what a trial of the search showed, and tells the search; how many elements differ.
    fn observe(&mut self, id: TrialId, one: &Wanted, report: &TrialReport) -> usize {
        let row = &one.asked.row;
        let (observation, differing) = match &report.outcome {
            Outcome::Built { snapshot } => {
                if self.ledger.control().is_none() && snapshot.outputs.is_empty() {
                    self.spoiled = Some(control::no_outputs(self.options, snapshot));
                }
                let snapshot = &self.told(snapshot);
                self.contents.sort_out(id, snapshot);
                if let Some(course) = clock::course(report) {
                    self.courses.compare(row, course);
                }
                let split = self.known_addresses(id, row, snapshot);
                let seen = self.ledger.observe(id, snapshot, &split);
                self.contents.expect(differing(&self.ledger, &seen));
                self.followers.observe(id, self.ledger.control(), snapshot);
                self.leave_out_followers(id);
                self.suspect_addresses(id, row);
                self.look_for_marks(id, row, &seen);
                if one.kind == TrialKind::Certificate {
                    self.unpack(id);
                }
                let differing = seen.iter().filter(|seen| seen.differs()).count();
                (Observation::Built(seen), differing)
            }
            Outcome::Failed { how } => {
                self.note_failure(id, row, how, report);
                (Observation::Failed, 0)
            }
            Outcome::TimedOut => {
                let how = format!("did not end within {} s", self.limit.as_secs());
                self.note_failure(id, row, &how, report);
                (Observation::TimedOut, 0)
            }
        };
        self.introduce_elements();
        self.search.record(id, &one.to_try(), observation);
        differing
    }

    /// What a trial made, in the control's names.
    pub(super) fn told<'s>(&self, snapshot: &'s Snapshot) -> Cow<'s, Snapshot> {
        match self.ledger.control() {
            Some(control) => diff::paired(control, snapshot),
            None => Cow::Borrowed(snapshot),
        }
    }

    fn note_failure(&mut self, id: TrialId, row: &Row, how: &str, report: &TrialReport) {
        let varied = self.plan.varied(row);
        let log = keep::log(self.options, id, report);
        let text = advice::failure(
            self.options,
            id,
            &varied,
            how,
            report,
            log.as_deref(),
            self.sandbox,
        );
        if self.ledger.control().is_none() && row.is_control() {
            self.spoiled = Some(text);
        } else {
            (self.progress)(&Progress::Note { text: text.clone() });
            self.failures.push((varied.len(), id, text));
        }
    }

    /// What to say of failed trials: those that vary least say most; where the others are.
    pub(super) fn failure_notes(&mut self) -> Vec<String> {
        let mut failures = std::mem::take(&mut self.failures);
        failures.sort();
        let all = failures.len();
        failures.truncate(FAILURES_TOLD);
        let mut notes: Vec<String> = failures.into_iter().map(|(_, _, text)| text).collect();
        if all > FAILURES_TOLD {
            let logs = self.options.journal.as_deref().and_then(Path::parent);
            let place = logs.map_or(String::new(), |logs| {
                format!("; their logs are in {}", logs.display())
            });
            notes.push(format!("{all} trials failed in all{place}"));
        }
        notes
    }

    /// Tells the search of elements that it has not seen yet: the trials before them agreed with
    /// the control, and no trial is spent on what does not decide.
    pub(super) fn introduce_elements(&mut self) {
        for number in self.introduced..self.ledger.elements().len() {
            let Ok(element) = u32::try_from(number) else {
                continue;
            };
            self.search.earlier(element, Seen::Value(0));
            if !self.ledger.decides(number) {
                self.search.passive(element);
            }
        }
        self.introduced = self.ledger.elements().len();
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

/// The elements that differ in what a trial showed.
fn differing<'l>(ledger: &'l Ledger, seen: &'l [Seen]) -> impl Iterator<Item = &'l Element> {
    let elements = ledger.elements().iter().zip(seen);
    let differing = elements.filter(|(_, seen)| seen.differs());
    differing.map(|(element, _)| element)
}

/// The trial that asks this, of which nothing is kept.
pub(super) fn spec(plan: &Plan, build: &Build, asked: &Asked, timeout: Duration) -> TrialSpec {
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
        Acting::Remedied { variables } => {
            build.variables.extend(variables.clone());
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
