//! `reprobe check`: puts the job together, lets the session run it, and shows what it found.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::args::CheckArgs;
use super::config::KnownLimit;
use super::destination::{Destination, empty_directory};
use super::exit::{Exit, Failure};
use super::job::Job;
use super::progress::Reporter;
use super::screen::{Stream, say};
use super::{clean, config, dry_run, inputs, preset, resume, signals};
use crate::catalog::Catalog;
use crate::model::{Capabilities, Element, Field, Findings, escape_bytes};
use crate::plan::{self, Plan, Why, plan};
use crate::report;
use crate::sandbox::{Interrupt, Stop};
use crate::session;
use crate::snapshot::kept_as;
use crate::store::{self, Which};

/// Runs the command. What goes wrong after a signal went wrong because of it.
pub(super) fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    let interrupt = signals::catch()?;
    let outcome = check(args, &interrupt);
    match (interrupt.signal(), outcome) {
        // Findings that were shown before stand.
        (Some(_), Ok(exit)) => Ok(exit),
        (Some(number), Err(failure)) => {
            say("reprobe: interrupted; nothing is decided");
            if let Some((_, hint)) = failure.message.rsplit_once('\n')
                && hint.starts_with("to go on")
            {
                say(&format!("reprobe: {hint}"));
            }
            Ok(Exit::Signal(number))
        }
        (None, outcome) => outcome,
    }
}

fn check(args: &CheckArgs, interrupt: &Arc<Interrupt>) -> Result<Exit, Failure> {
    if let Some(limit) = args.time_limit {
        interrupt.limit(limit);
    }
    let json = args.json.as_deref().map(Destination::open).transpose()?;
    match args.resume {
        Some(Some(_)) if args.directory != Path::new(".") => {
            return Err(Failure::usage(
                "--resume ID goes without DIR: the session has its own",
            ));
        }
        Some(Some(number)) => return resume::run(args, Which::Number(number), json, interrupt),
        Some(None) => {
            let source = inputs::source(&args.directory)?;
            return resume::run(args, Which::InterruptedOf(&source), json, interrupt);
        }
        None => {}
    }
    let job = job(args)?;
    if let Some(keep) = &args.keep {
        empty_directory(keep)?;
    }
    let catalog = {
        let named = &args.variations.directories;
        inputs::catalog(&inputs::variation_directories(named, &job.build.source))?
    };
    let host = inputs::capabilities()?;
    let request = request(args, &job)?;
    let planned = plan(&catalog, &host, &request).map_err(|error| wrong_names(args, &error))?;
    announce(args, &job, &planned);
    let cleaned = if job.clean {
        Some(clean::copy(&job.build.source)?)
    } else {
        None
    };
    let mut options = options(args, &job, catalog, host, request, &planned)?;
    if let Some(cleaned) = &cleaned {
        options.build.source.clone_from(&cleaned.source);
        options.sandbox.source.clone_from(&cleaned.source);
    }
    options.sandbox.interrupt = Some(Arc::clone(interrupt));
    if args.dry_run {
        return dry_run::show(&options, &planned);
    }
    options.origin.fingerprint = inputs::fingerprint(&job.build.source)?;
    options.journal =
        inputs::session_directory(&job.build.source).map(|directory| directory.join("journal"));
    conclude(args, &options, &job.known, json)
}

/// Lets the session run, and shows what it found.
pub(super) fn conclude(
    args: &CheckArgs,
    options: &session::Options,
    known: &[KnownLimit],
    json: Option<Destination>,
) -> Result<Exit, Failure> {
    let number = number(options);
    if let (Some(number), true) = (&number, args.verbose) {
        say(&format!("reprobe: session {number}"));
    }
    let mut reporter = Reporter::new(args.verbose);
    let found = session::check(options, &mut |event| {
        reporter.event(event);
    });
    reporter.clear();
    let resume = || {
        let begun = options.journal.as_deref().is_some_and(store::has_trial);
        let number = number.as_ref().filter(|_| begun)?;
        Some(format!(
            "to go on from here: reprobe check --resume {number}"
        ))
    };
    let session::Checked {
        mut findings,
        stopped,
    } = found.map_err(|error| {
        let mut failure = Failure::undecided(&error);
        if let Some(resume) = resume() {
            failure.message = format!("{}\n{resume}", failure.message);
        }
        failure
    })?;
    let source = options.origin.source.as_os_str();
    findings.build.source = escape_bytes(source.as_encoded_bytes());
    findings.notes.extend(known_limits(known, &findings));
    show(options, json, &findings)?;
    if let Some(stop) = stopped {
        if let Some(resume) = resume() {
            say(&format!("reprobe: {resume}"));
        }
        return Ok(match stop {
            Stop::Signal(number) => Exit::Signal(number),
            Stop::TimeLimit(_) => findings.verdict.into(),
        });
    }
    if let Some(journal) = &options.journal {
        session::finish(journal).map_err(|error| Failure::undecided(&error))?;
    }
    Ok(findings.verdict.into())
}

/// The number of the session that is written down.
fn number(options: &session::Options) -> Option<String> {
    let directory = options.journal.as_deref()?.parent()?;
    Some(directory.file_name()?.to_str()?.to_owned())
}

fn job(args: &CheckArgs) -> Result<Job, Failure> {
    let source = inputs::source(&args.directory)?;
    let config = config::read(&source)
        .map_err(|error| Failure::undecided(&error))?
        .unwrap_or_default();
    let recognise =
        |source: &Path| preset::recognise(source).map_err(|error| Failure::undecided(&error));
    Job::new(args, source, config, recognise, |name| {
        std::env::var_os(name)
    })
}

fn request(args: &CheckArgs, job: &Job) -> Result<plan::Request, Failure> {
    let seed = inputs::seed(args.variations.seed)?;
    Ok(plan::Request {
        only: job.only.clone(),
        skip: job.skip.clone(),
        require: job.require.clone(),
        network: job.network,
        ..inputs::request(&job.build.source, seed)
    })
}

/// Names on the command line make it wrong; names in `reprobe.toml` make that unusable.
fn wrong_names(args: &CheckArgs, error: &plan::Error) -> Failure {
    let own = &args.variations;
    if own.only.is_empty() && own.skip.is_empty() && args.require.is_empty() {
        Failure::undecided(&format!("{}: {error}", config::FILE))
    } else {
        Failure::usage(&error)
    }
}

/// Says what was chosen for the user, and which variations take part where a choice was made.
fn announce(args: &CheckArgs, job: &Job, planned: &Plan) {
    if let Some(chosen) = &job.chosen {
        say(&format!("reprobe: {chosen}"));
    }
    let narrowed = planned.left_out.iter().any(|left| left.why == Why::Chosen);
    if narrowed || args.verbose {
        let names: Vec<&str> = planned.variations.iter().map(|v| v.name.as_str()).collect();
        say(&format!("reprobe: varying {}", names.join(", ")));
    }
    if args.verbose {
        say(&format!("reprobe: seed {}", planned.seed));
    }
}

fn options(
    args: &CheckArgs,
    job: &Job,
    catalog: Catalog,
    host: Capabilities,
    request: plan::Request,
    planned: &Plan,
) -> Result<session::Options, Failure> {
    Ok(session::Options {
        required: required(job, &catalog, planned),
        catalog,
        sandbox: inputs::sandbox(
            job.build.source.clone(),
            &host,
            inputs::exposed(&args.expose)?,
        )?,
        host,
        request,
        build: job.build.clone(),
        outputs_from: job.outputs_from,
        timeout: job.timeout,
        metadata: args.metadata,
        checkout: job.checkout,
        locate: !args.no_locate,
        fix: args.fix,
        keep: args.keep.clone(),
        prepare: job.prepare.clone(),
        workers: args.jobs.map(usize::from),
        budget: args.budget,
        repeats: args.repeat,
        thorough: args.thorough,
        notes: job.notes.clone(),
        origin: session::Origin {
            source: job.build.source.clone(),
            clean: job.clean,
            fingerprint: String::new(),
            passed: job.passed.clone(),
        },
        journal: None,
        resume: None,
    })
}

/// The variations that were asked for by name: without them there is no verdict.
fn required(job: &Job, catalog: &Catalog, planned: &Plan) -> BTreeSet<String> {
    let mut required: BTreeSet<String> = planned.unmet().map(|left| left.name.clone()).collect();
    if job.require.iter().any(|name| name == "all") {
        required.extend(planned.variations.iter().map(|tried| tried.name.clone()));
    }
    let named = job.only.iter().flatten().chain(&job.require);
    let found = named.filter_map(|name| catalog.find(name).ok());
    let tried = |name: &str| planned.variations.iter().any(|tried| tried.name == name);
    required.extend(
        found
            .map(|entry| entry.name.clone())
            .filter(|name| tried(name)),
    );
    required
}

/// One note for each known limit that something differing falls under.
fn known_limits(known: &[KnownLimit], findings: &Findings) -> Vec<String> {
    known
        .iter()
        .filter_map(|limit| {
            let covered = findings.findings.iter().filter(|finding| {
                let field = Field::from(finding.field.as_str());
                limit.covers(&Element::new(finding.element.as_str(), field))
            });
            let number = covered.count();
            (number > 0).then(|| {
                format!(
                    "known: {number} of the differing elements fall under `{}` of {}: {}",
                    limit.element,
                    config::FILE,
                    limit.reason
                )
            })
        })
        .collect()
}

/// Writes the JSON where it was asked for, and the summary.
fn show(
    options: &session::Options,
    json: Option<Destination>,
    findings: &Findings,
) -> Result<(), Failure> {
    let taken = json.as_ref().is_some_and(Destination::is_standard);
    let stream = if taken { Stream::Err } else { Stream::Out };
    if let Some(json) = json {
        json.write(&report::json::render(findings))?;
    }
    let mut page = report::terminal::render(findings, stream.layout());
    if let Some(hint) = hint(options, findings) {
        page.push_str(&hint);
        page.push('\n');
    }
    stream.write(page.as_bytes())
}

/// How to look at the bytes.
fn hint(options: &session::Options, findings: &Findings) -> Option<String> {
    let differing = findings
        .artifacts
        .iter()
        .find(|artifact| artifact.decides && !artifact.culprits.is_empty())?;
    let proof = findings
        .findings
        .iter()
        .flat_map(|finding| &finding.culprits)
        .flat_map(|culprit| &culprit.certificate)
        .find(|step| step.expect == crate::model::Expect::Differs)?;
    let again = number(options).map_or(String::new(), |number| {
        format!(
            "\nTo run a trial again: reprobe replay {number} {}",
            proof.trial.0
        )
    });
    let bytes = match &options.keep {
        Some(keep) => {
            let place = escape_bytes(keep.as_os_str().as_encoded_bytes());
            let kept = kept_as(Path::new(&differing.path));
            let word = |trial: u32| inputs::quoted(&keep.join(trial.to_string()).join(&kept));
            let (control, varied) = (word(0), word(proof.trial.0));
            format!("The outputs are in {place}/: reprobe diff {control} {varied}")
        }
        None => format!(
            "To look at the bytes, keep them: the same command with --keep DIR --seed {}",
            findings.seed
        ),
    };
    Some(bytes + &again)
}
