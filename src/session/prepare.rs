//! The preparation: run once before everything else, unvaried and with the network open; what it
//! left is there for all trials.

use std::time::Duration;

use super::{Error, Options, keep};
use crate::model::{Build, Clock, Network, Outcome, OutputSelection};
use crate::plan::{self, Plan};
use crate::sandbox::{Sandbox, TrialSpec};

/// How long it may take: downloads are slow.
const LIMIT: Duration = Duration::from_hours(1);
/// Lines of a failed preparation's log that are shown.
const TAIL: usize = 15;

/// Runs the preparation, if one was asked for; what a reader should know about it.
pub(super) fn run(options: &Options, sandbox: &Sandbox) -> Result<Vec<String>, Error> {
    let Some(line) = &options.prepare else {
        return Ok(Vec::new());
    };
    if let Some(recorded) = &options.resume {
        return prepare(line, &recorded.start.plan, &options.build, sandbox);
    }
    let plan = plan::plan(&options.catalog, &options.host, &options.request)?;
    prepare(line, &plan, &options.build, sandbox)
}

/// Runs a line in the unvaried environment of a plan.
pub(super) fn prepare(
    line: &str,
    plan: &Plan,
    build: &Build,
    sandbox: &Sandbox,
) -> Result<Vec<String>, Error> {
    let mut environment = plan.environment(&plan.control_row());
    environment.network = Network::Host;
    // Certificates of servers are valid now, not in the trials' time.
    environment.clock = Clock::Host;
    let report = sandbox.prepare(&TrialSpec {
        environment,
        build: Build {
            command: ["sh", "-ec", line].map(str::to_owned).to_vec(),
            outputs: OutputSelection::Globs {
                patterns: Vec::new(),
            },
            ..build.clone()
        },
        timeout: LIMIT,
        keep_outputs: None,
        log: None,
        focus: None,
    })?;
    let how = match report.outcome {
        Outcome::Built { .. } => return Ok(report.notes),
        Outcome::Failed { how } => how,
        Outcome::TimedOut => format!("did not end within {} s", LIMIT.as_secs()),
    };
    Err(Error::Prepare {
        how,
        tail: keep::tail(&report.log, TAIL),
    })
}
