//! One recorded trial run again, from its resolved values alone: are the outputs the same?

use std::time::Duration;

use super::rounds::spec;
use super::{Error, prepare};
use crate::diff::{self, Judged};
use crate::model::{Build, Element, Outcome};
use crate::sandbox::{LowerSource, Sandbox, SessionOptions, TrialSpec};
use crate::store::{Start, TrialEvent};

/// What became of a trial that was run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// It ended as it did, and all outputs are the same.
    Same,
    /// It built both times, and these judged elements differ.
    Differs(Vec<Element>),
    /// It ended otherwise: how it ended then, and how now.
    Otherwise(String, String),
}

/// Runs a recorded trial again. `build` is the recorded one with the values of the variables that
/// were passed on, and the source where it stands now.
pub fn replay(
    sandbox: SessionOptions,
    start: &Start,
    build: &Build,
    trial: &TrialEvent,
) -> Result<Replayed, Error> {
    let program = sandbox.program.clone();
    let sandbox = Sandbox::new(sandbox)?;
    sandbox.same_caller(&trial.passed)?;
    if let Some(line) = &start.prepare {
        prepare::prepare(line, &start.plan, build, &sandbox)?;
    }
    if start.copies {
        sandbox.set_lower_source(LowerSource::Copy);
    }
    let limit = Duration::from_secs_f64(start.limit);
    let report = sandbox.run(&TrialSpec {
        environment: trial.environment.clone(),
        ..spec(&start.plan, build, &trial.asked, limit, &program)
    })?;
    let judged = Judged {
        metadata: start.metadata,
    };
    let replayed = compare(&trial.outcome, &report.outcome, judged);
    sandbox.close()?;
    Ok(replayed)
}

fn compare(then: &Outcome, now: &Outcome, judged: Judged) -> Replayed {
    match (then, now) {
        (Outcome::Built { snapshot: then }, Outcome::Built { snapshot: now }) => {
            let compared = diff::compare(then, &diff::paired(then, now), judged);
            let differing: Vec<Element> = compared.differing().cloned().collect();
            if differing.is_empty() {
                Replayed::Same
            } else {
                Replayed::Differs(differing)
            }
        }
        (then, now) => {
            let (then, now) = (ending(then), ending(now));
            if then == now {
                Replayed::Same
            } else {
                Replayed::Otherwise(then, now)
            }
        }
    }
}

fn ending(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Built { .. } => "it built".to_owned(),
        Outcome::Failed { how } => format!("it failed ({how})"),
        Outcome::TimedOut => "it did not end in time".to_owned(),
    }
}
