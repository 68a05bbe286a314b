//! `reprobe replay`: one recorded trial run again, and whether it came out the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::args::ReplayArgs;
use super::exit::{Exit, Failure};
use super::screen::{Stream, say};
use super::{clean, inputs, signals};
use crate::model::{Acting, Element, Outcome};
use crate::plan::Plan;
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
    let mut sandbox = inputs::sandbox(build.source.clone(), &host, start.exposed.clone())?;
    sandbox.interrupt = Some(Arc::clone(interrupt));
    let replayed = session::replay(sandbox, start, &build, trial)
        .map_err(|error| Failure::undecided(&error))?;
    let (exit, text) = words(trial, &start.plan, &replayed);
    Stream::Out.write(text.as_bytes())?;
    Ok(exit)
}

fn trial(id: u32, number: u64, recorded: &Recorded) -> Result<&TrialEvent, Failure> {
    let mut trials = recorded.trials.values();
    trials.find(|trial| trial.id.0 == id).ok_or_else(|| {
        let last = recorded.trials.keys().last().map_or(0, |last| last.0);
        Failure::undecided(&format!(
            "session {number} has no trial {id} on record: its last one is {last}"
        ))
    })
}

fn words(trial: &TrialEvent, plan: &Plan, replayed: &Replayed) -> (Exit, String) {
    let mut text = format!("trial {}, {}: ", trial.id.0, varied(trial, plan));
    let exit = match replayed {
        Replayed::Same => {
            text.push_str("the same as when it was recorded\n");
            text.push_str(&compared(&trial.outcome));
            Exit::Success
        }
        Replayed::Otherwise(then, now) => {
            for words in ["when it was recorded ", then, ", now ", now, "\n"] {
                text.push_str(words);
            }
            Exit::Differs
        }
        Replayed::Differs(elements) => {
            let (count, differ) = match elements.len() {
                1 => ("1 element".to_owned(), "differs"),
                several => (format!("{several} elements"), "differ"),
            };
            text.push_str(&count);
            text.push_str(" of the outputs ");
            text.push_str(differ);
            text.push_str(" from what was recorded\n");
            let told = elements.iter().take(TOLD);
            text.extend(told.map(|Element { path, field }| format!("  {path} {field}\n")));
            text.push_str(&more(elements.len()));
            Exit::Differs
        }
    };
    (exit, text)
}

/// What the trial varied, in the words of the report.
fn varied(trial: &TrialEvent, plan: &Plan) -> String {
    let pairs = |all: &BTreeMap<String, String>| {
        let all = all.iter().map(|(name, value)| format!("{name}={value}"));
        all.collect::<Vec<_>>().join(" ")
    };
    let varied = match plan.varied_by(&trial.asked) {
        nothing if nothing.is_empty() => "nothing varied".to_owned(),
        varied => pairs(&varied),
    };
    match &trial.asked.acting {
        Acting::Within { .. } => {
            format!("{varied} (for some of its processes or directories alone)")
        }
        Acting::Remedied { change, .. } => {
            let lines = change.lines().concat();
            let lines = lines
                .iter()
                .map(|line| line.strip_prefix("export ").unwrap_or(line));
            format!("{varied} (with {})", lines.collect::<Vec<_>>().join("; "))
        }
        Acting::Whole | Acting::Witnessed | Acting::Part { .. } => varied,
    }
}

/// Which outputs were compared.
fn compared(outcome: &Outcome) -> String {
    let Outcome::Built { snapshot } = outcome else {
        return String::new();
    };
    let told = snapshot.outputs.keys().take(TOLD);
    let mut text = String::new();
    text.extend(told.flat_map(|path| ["  ", path, "\n"]));
    text + &more(snapshot.outputs.len())
}

fn more(count: usize) -> String {
    match count.saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("  and {more} more\n"),
    }
}
