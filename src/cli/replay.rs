//! `reprobe replay`: one recorded trial run again, and whether it came out the same.

use std::sync::Arc;

use super::args::ReplayArgs;
use super::exit::{Exit, Failure};
use super::screen::{Stream, say};
use super::{clean, inputs, signals};
use crate::model::Element;
use crate::sandbox::Interrupt;
use crate::session::{self, Replayed};
use crate::store::{Recorded, TrialEvent, Which};

/// So many differing elements are told.
const TOLD: usize = 20;

/// Runs the command.
pub(super) fn run(args: &ReplayArgs) -> Result<Exit, Failure> {
    signals::until(Interrupt::signal, |interrupt| replay(args, interrupt))
}

fn replay(args: &ReplayArgs, interrupt: &Arc<Interrupt>) -> Result<Exit, Failure> {
    let (number, _, recorded) = inputs::session(Which::Number(args.session))?;
    let trial = trial(args.trial, number, &recorded)?;
    let start = &recorded.start;
    let mut build = inputs::build_of(start)?;
    if inputs::fingerprint(&start.source)? != start.fingerprint {
        say(&format!(
            "reprobe: {} was changed since session {number} began",
            start.source.display()
        ));
    }
    let cleaned = if start.clean {
        Some(clean::copy(&start.source)?)
    } else {
        None
    };
    if let Some(cleaned) = &cleaned {
        build.source.clone_from(&cleaned.source);
    }
    let host = inputs::capabilities()?;
    let mut sandbox = inputs::sandbox(build.source.clone(), &host)?;
    sandbox.interrupt = Some(Arc::clone(interrupt));
    let replayed = session::replay(sandbox, start, &build, trial)
        .map_err(|error| Failure::undecided(&error))?;
    let (exit, text) = words(trial, &replayed);
    Stream::Out.write(text.as_bytes())?;
    Ok(exit)
}

fn trial(id: u32, number: u64, recorded: &Recorded) -> Result<&TrialEvent, Failure> {
    let mut trials = recorded.trials.values();
    trials.find(|trial| trial.id.0 == id).ok_or_else(|| {
        let last = recorded.trials.keys().last().map_or(0, |last| last.0);
        Failure::undecided(&format!(
            "session {number} has no trial {id} on record: its last one is {last} (those after it \
             look for causes or try remedies, and cannot be run again)"
        ))
    })
}

fn words(trial: &TrialEvent, replayed: &Replayed) -> (Exit, String) {
    let id = trial.id.0;
    match replayed {
        Replayed::Same => (
            Exit::Success,
            format!("trial {id}: the same as when it was recorded\n"),
        ),
        Replayed::Otherwise(then, now) => (
            Exit::Differs,
            format!("trial {id}: when it was recorded {then}, now {now}\n"),
        ),
        Replayed::Differs(elements) => {
            let mut text = format!(
                "trial {id}: {} of the outputs' elements differ from those that were recorded\n",
                elements.len()
            );
            let told = elements.iter().take(TOLD);
            text.extend(told.map(|Element { path, field }| format!("  {path} {field}\n")));
            (Exit::Differs, text)
        }
    }
}
