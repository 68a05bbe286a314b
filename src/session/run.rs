//! A session under way: what the search asks for is run, and what became of it taken down.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use super::addresses::{KnownAddresses, When};
use super::clock::Courses;
use super::contents::Contents;
use super::followers::Followers;
use super::{Error, Options, Progress, advice, clock, control, keep};
use crate::diff;
use crate::explain::{self, FoldedCulprits, Ledger, PartFound};
use crate::inquiry::{Ended, Known, Shown, Trials, Wanted};
use crate::model::{
    Acting, Asked, Checkout, Element, Outcome, Row, Snapshot, TrialId, TrialKind, TrialRecord,
    TrialResult,
};
use crate::plan::Plan;
use crate::sandbox::{self, Sandbox, TrialReport};
use crate::search::{Observation, Search, Seen, Step, Verdict};
use crate::store::Journal;

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
        if let Some(recorded) = &self.options.resume {
            self.go_on(recorded)?;
        }
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
        budget.saturating_sub(self.trials.count())
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

    /// Takes down what became of a trial.
    pub(super) fn record(&mut self, id: TrialId, one: &Wanted, report: &TrialReport) {
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
    pub(super) fn said(&self, asked: &Asked) -> Vec<String> {
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
}

/// The elements that differ in what a trial showed.
fn differing<'l>(ledger: &'l Ledger, seen: &'l [Seen]) -> impl Iterator<Item = &'l Element> {
    let elements = ledger.elements().iter().zip(seen);
    let differing = elements.filter(|(_, seen)| seen.differs());
    differing.map(|(element, _)| element)
}
