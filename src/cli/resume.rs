//! `reprobe check --resume`: an interrupted session put together again from its journal. What the
//! journal does not hold, the values of passed variables and the source tree, must be as it was.

use std::sync::Arc;

use super::args::CheckArgs;
use super::check::conclude;
use super::destination::Destination;
use super::exit::{Exit, Failure};
use super::screen::say;
use super::{clean, config, inputs};
use crate::plan;
use crate::sandbox::Interrupt;
use crate::session;
use crate::store::{Recorded, Which};

/// Goes on with a session.
pub(super) fn run(
    args: &CheckArgs,
    which: Which<'_>,
    json: Option<Destination>,
    interrupt: &Arc<Interrupt>,
) -> Result<Exit, Failure> {
    let (number, directory, recorded) = inputs::session(which)?;
    if recorded.finished {
        return Err(Failure::undecided(&format!(
            "session {number} is finished: there is nothing left to do"
        )));
    }
    let source = recorded.start.source.clone();
    if inputs::fingerprint(&source)? != recorded.start.fingerprint {
        return Err(Failure::undecided(&format!(
            "{} was changed since session {number} began; start over",
            source.display()
        )));
    }
    let known = config::read(&source)
        .map_err(|error| Failure::undecided(&error))?
        .unwrap_or_default()
        .known;
    let ended = recorded.trials.len();
    let mut options = options(args, recorded)?;
    let cleaned = if options.origin.clean {
        Some(clean::copy(&source)?)
    } else {
        None
    };
    if let Some(cleaned) = &cleaned {
        options.build.source.clone_from(&cleaned.source);
        options.sandbox.source.clone_from(&cleaned.source);
    }
    options.sandbox.interrupt = Some(Arc::clone(interrupt));
    options.journal = Some(directory.join("journal"));
    let before = match ended {
        1 => "1 trial had ended before".to_owned(),
        several => format!("{several} trials had ended before"),
    };
    say(&format!(
        "reprobe: going on with session {number} ({}): {before}",
        source.display()
    ));
    conclude(args, &options, &known, json)
}

/// What the session began with.
fn options(args: &CheckArgs, recorded: Recorded) -> Result<session::Options, Failure> {
    let start = &recorded.start;
    let build = inputs::build_of(start)?;
    let host = inputs::capabilities()?;
    Ok(session::Options {
        catalog: inputs::catalog(&[])?,
        sandbox: inputs::sandbox(build.source.clone(), &host, start.exposed.clone())?,
        host,
        request: plan::Request {
            network: start.network,
            ..inputs::request(&build.source, start.plan.seed)
        },
        build,
        outputs_from: start.outputs_from,
        prepare: start.prepare.clone(),
        required: start.required.clone(),
        timeout: None,
        metadata: start.metadata,
        checkout: start.checkout,
        keep: start.keep.clone(),
        workers: args.jobs.map(usize::from),
        budget: args.budget.or(start.budget),
        repeats: start.repeats,
        thorough: start.thorough,
        locate: start.locate,
        fix: start.fix || args.fix,
        notes: Vec::new(),
        origin: session::Origin {
            source: start.source.clone(),
            clean: start.clean,
            fingerprint: start.fingerprint.clone(),
            passed: start.passed.keys().cloned().collect(),
        },
        journal: None,
        resume: Some(recorded),
    })
}
