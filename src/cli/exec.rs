//! `reprobe exec`: one command in one environment, with the caller's own terminal, to look around
//! and to reproduce by hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::args::ExecArgs;
use super::destination::empty_directory;
use super::exit::{Exit, Failure};
use super::job::{given, shell};
use super::{clean, config, inputs, signals};
use crate::model::{Build, OutputSelection};
use crate::plan::{self, plan};
use crate::sandbox::{Interrupt, Sandbox, TrialSpec};
use crate::snapshot::Keep;

/// A person may look around for as long as he likes; the sandbox wants a number.
const NO_LIMIT: Duration = Duration::from_hours(24 * 365);

/// Runs the command.
pub(super) fn run(args: &ExecArgs) -> Result<Exit, Failure> {
    // The terminal's signals are for the command; those that are sent end the trial.
    SigSet::from(Signal::SIGQUIT)
        .thread_block()
        .map_err(|errno| Failure::undecided(&format!("take over signals: {errno}")))?;
    signals::until(Interrupt::signal_beside_command, |interrupt| {
        exec(args, interrupt)
    })
}

fn exec(args: &ExecArgs, interrupt: &Arc<Interrupt>) -> Result<Exit, Failure> {
    let source = inputs::source(&args.directory)?;
    if let Some(keep) = &args.keep {
        empty_directory(keep)?;
        std::fs::create_dir_all(keep)
            .map_err(|error| Failure::usage(&format!("--keep {}: {error}", keep.display())))?;
    }
    let cleaned = if args.clean {
        Some(clean::copy(&source)?)
    } else {
        None
    };
    let source = cleaned
        .as_ref()
        .map_or(source, |cleaned| cleaned.source.clone());
    // Another process opens it, from another directory.
    let keep = args.keep.as_deref().map(std::path::absolute).transpose();
    let keep = keep.map_err(|error| Failure::usage(&format!("--keep: {error}")))?;
    let catalog = inputs::catalog(&inputs::variation_directories(&args.directories, &source))?;
    let host = inputs::capabilities()?;
    let request = plan::Request {
        network: args.network,
        ..inputs::request(&source, inputs::seed(args.seed)?)
    };
    let plan = plan(&catalog, &host, &request).map_err(|error| Failure::undecided(&error))?;
    let row = plan.vary(&args.vary).map_err(|error| match error {
        plan::VaryError::Unable { .. } => Failure::undecided(&error),
        _ => Failure::usage(&error),
    })?;
    let spec = TrialSpec {
        environment: plan.environment(&row),
        build: Build {
            command: shell(&args.command).unwrap_or_default(),
            source: source.clone(),
            outputs: OutputSelection::Tree,
            variables: variables(args, &source)?,
        },
        timeout: args.timeout.unwrap_or(NO_LIMIT),
        keep_outputs: keep.map(|directory| Keep {
            directory,
            up_to: None,
        }),
        log: None,
        focus: None,
    };
    let mut options = inputs::sandbox(source, &host, inputs::exposed(&args.expose)?)?;
    options.interrupt = Some(Arc::clone(interrupt));
    let sandbox = Sandbox::new(options).map_err(|error| Failure::undecided(&error))?;
    let code = sandbox.exec(&spec);
    let closed = sandbox.close();
    let code = code.map_err(|error| Failure::undecided(&error))?;
    closed.map_err(|error| Failure::undecided(&error))?;
    code.map(Exit::Command).ok_or_else(|| Failure {
        exit: Exit::TimedOut,
        message: format!(
            "the command did not end within {} s (--timeout)",
            spec.timeout.as_secs()
        ),
    })
}

/// What the builds of this project are given, and what the options add.
fn variables(args: &ExecArgs, source: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let config = config::read(source)
        .map_err(|error| Failure::undecided(&error))?
        .unwrap_or_default();
    let mut variables = config.variables;
    for name in config.pass.iter().chain(&args.pass_env) {
        if let Some(value) = given(name, |name| std::env::var_os(name))? {
            variables.insert(name.clone(), value);
        }
    }
    variables.extend(args.env.iter().cloned());
    Ok(variables)
}
