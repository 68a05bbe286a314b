//! The control trial: it decides how clocks are held and whether there is anything to compare. Its
//! failure is the user's first encounter with the sandbox, so the words about it are chosen here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::addresses::KnownAddresses;
use super::clock::Courses;
use super::contents::Contents;
use super::followers::Followers;
use super::rounds;
use super::run::Session;
use super::{Error, Options, Progress, clock, made, unvaried};
use crate::diff::Judged;
use crate::explain::Ledger;
use crate::inquiry::{Trials, Wanted};

use crate::model::{
    Asked, Clock, Level, Need, Outcome, OutputSelection, Randomness, Setting, Snapshot,
    SourceMtime, TrialId, TrialKind, Variation,
};
use crate::plan::{self, Hold, Plan};
use crate::sandbox::{self, LowerSource, Sandbox, TrialReport, TrialSpec};
use crate::search::{self, Search};
use crate::store::{self, Event, Journal, Start};

/// How long the control may take where the user set no limit.
const CONTROL_LIMIT: Duration = Duration::from_hours(1);
/// The others may take so many times as long as the control, ...
const FACTOR: u32 = 10;
/// ... and at least this.
const SHORTEST_LIMIT: Duration = Duration::from_mins(1);
/// Who waits for the clock is seen to read it within this time.
const LONG_UNREAD: Duration = Duration::from_mins(5);
/// What is said where an ordinary user builds what is not all his.
const FOREIGN: &str = "the tree holds files of others, or of another group; builds of an ordinary user see a copy, all of which is his own (root's builds see the owners as they are)";
/// What is said of a tree in which two names are one file.
const LINKED: &str = "names in the tree are hard links of each other: a build that writes to one of them changes the others as well outside, and here that one alone; what it makes of them may differ from a build outside";

/// What is known before the first build, which is prepared here.
fn first_notes(options: &Options, sandbox: &Sandbox) -> Result<Vec<String>, Error> {
    let mut notes = options.notes.clone();
    let prepared = super::prepare::run(options, sandbox);
    if !prepared.as_ref().is_err_and(Error::is_stop) {
        notes.extend(prepared?);
    }
    if let Some(mounts) = options.host.missing.get(&Need::Mounts) {
        notes.push(format!(
            "builds run without a sandbox here ({}): they can read and write what you can",
            mounts.reason
        ));
    }
    let foreign = sandbox.makes_own().then(|| FOREIGN.to_owned());
    notes.extend(foreign);
    let linked = sandbox.source_has_links().then(|| LINKED.to_owned());
    notes.extend(linked);
    Ok(notes)
}

/// Opens a session: plans and runs the control, or goes on with what was recorded. One that is
/// stopped before its control has ended knows its plan and nothing else.
pub(super) fn open<'a>(
    options: &'a Options,
    sandbox: &'a Sandbox,
    progress: &'a mut dyn FnMut(&Progress),
) -> Result<Session<'a>, Error> {
    let mut journal = options.journal.as_deref().map(Journal::open).transpose()?;
    let mut notes = first_notes(options, sandbox)?;
    let contents = Contents::new(options, sandbox)?;
    if let Some(recorded) = &options.resume {
        if recorded.start.copies {
            sandbox.set_lower_source(LowerSource::Copy);
        }
        let limit = Duration::from_secs_f64(recorded.start.limit);
        let start = Start {
            workers: options.workers.unwrap_or(recorded.start.workers),
            ..recorded.start.clone()
        };
        let mut session = session(options, sandbox, progress, start, limit, contents, journal);
        let began = recorded.trials.values().next();
        if let Some(first) = began {
            sandbox.same_caller(&first.passed)?;
        }
        session.take_in(recorded);
        return Ok(session);
    }
    let held = hold_alike(options, sandbox, &contents, progress, &mut notes);
    if held.as_ref().is_err_and(Error::is_stop) {
        let plan = plan::plan(&options.catalog, &options.host, &options.request)?;
        let limit = CONTROL_LIMIT;
        let start = start(options, sandbox, plan, notes, limit, 1);
        return Ok(session(
            options, sandbox, progress, start, limit, contents, journal,
        ));
    }
    let (plan, started, report) = held?;
    notes.extend(report.notes.iter().cloned());
    notes.extend(unvaried::notes(&report, options.host.root));
    let by_control = Duration::from_secs_f64(report.seconds).saturating_mul(FACTOR);
    let limit = options
        .timeout
        .unwrap_or_else(|| by_control.max(SHORTEST_LIMIT));
    let workers = options.workers.unwrap_or_else(|| fitting(&report));
    let start = start(options, sandbox, plan, notes, limit, workers);
    if let Some(journal) = &mut journal {
        journal.append(&Event::Started(Box::new(start.clone())))?;
        let control = Asked::whole(start.plan.control_row());
        let control = Wanted::new(control, TrialKind::Control);
        let environment = start.plan.environment_of(&control.asked);
        let event = rounds::event(TrialId(0), &control, environment, 1, &report);
        journal.append(&Event::Trial(Box::new(event)))?;
    }
    let mut session = session(options, sandbox, progress, start, limit, contents, journal);
    session.control = Some((started, report));
    Ok(session)
}

/// What is written down of a session that begins.
fn start(
    options: &Options,
    sandbox: &Sandbox,
    plan: Plan,
    notes: Vec<String>,
    limit: Duration,
    workers: usize,
) -> Start {
    let origin = &options.origin;
    let mut build = options.build.clone();
    let passed = origin.passed.iter().filter_map(|name| {
        let value = build.variables.remove(name)?;
        Some((name.clone(), sandbox::fingerprint(&value)))
    });
    Start {
        version: store::JOURNAL,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        passed: passed.collect(),
        build,
        source: origin.source.clone(),
        clean: origin.clean,
        fingerprint: origin.fingerprint.clone(),
        prepare: options.prepare.clone(),
        exposed: options.sandbox.exposed.clone(),
        network: options.request.network,
        outputs_from: options.outputs_from,
        plan,
        metadata: options.metadata,
        checkout: options.checkout,
        copies: sandbox.lower_source() == LowerSource::Copy,
        required: options.required.clone(),
        workers,
        budget: options.budget,
        repeats: options.repeats,
        thorough: options.thorough,
        locate: options.locate,
        fix: options.fix,
        limit: limit.as_secs_f64(),
        keep: options.keep.clone(),
        notes,
    }
}

/// A session in which nothing was recorded.
fn session<'a>(
    options: &'a Options,
    sandbox: &'a Sandbox,
    progress: &'a mut dyn FnMut(&Progress),
    start: Start,
    limit: Duration,
    contents: Contents,
    journal: Option<Journal>,
) -> Session<'a> {
    Session {
        options,
        sandbox,
        progress,
        search: Search::new(search_options(options, &start.plan, start.workers)),
        ledger: Ledger::new(Judged {
            metadata: options.metadata,
        }),
        journal,
        limit,
        workers: start.workers.max(1),
        control: None,
        control_started: None,
        trials: Trials::default(),
        contents,
        addresses: KnownAddresses::default(),
        parts: BTreeMap::new(),
        folded: BTreeMap::new(),
        hinted: BTreeSet::new(),
        followers: Followers::default(),
        notes: start.notes,
        courses: Courses::default(),
        failures: Vec::new(),
        rounds: 0,
        introduced: 0,
        spoiled: None,
        searched: false,
        plan: start.plan,
    }
}

/// How many builds like the control this machine has processors for.
fn fitting(control: &TrialReport) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    at_once(processors, control.cpu_seconds / control.seconds)
}

/// How many builds run at once that each keep so many processors busy; a quarter more than there are
/// does no harm, as builds also wait.
fn at_once(processors: usize, busy: f64) -> usize {
    let busy = if busy.is_finite() { busy.max(1.0) } else { 1.0 };
    let room = 1.25 * f64::from(u32::try_from(processors).unwrap_or(u32::MAX));
    let fits = (2..=processors.min(256)).take_while(|count| {
        let count = u32::try_from(*count).unwrap_or(u32::MAX);
        f64::from(count) * busy <= room
    });
    fits.last().unwrap_or(1)
}

/// The control, how it is planned, and when it was started.
type Control = (Plan, Instant, TrialReport);

/// Builds the control with one way of holding clocks.
fn attempt(
    options: &Options,
    sandbox: &Sandbox,
    contents: &Contents,
    progress: &mut dyn FnMut(&Progress),
    (hold, notes): (Hold, &mut Vec<String>),
) -> Result<Control, Error> {
    let request = plan::Request {
        clock: hold,
        ..options.request.clone()
    };
    let plan = plan::plan(&options.catalog, &options.host, &request)?;
    progress(&Progress::Planned {
        plan: Box::new(plan.clone()),
    });
    let (started, report) = build_control(options, sandbox, contents, &plan, notes)?;
    Ok((plan, started, report))
}

/// As [`hold_clocks`]; where naps moved the clock, the control is built once more, to see whether
/// they move it the same way, and if not with the next way, until two builds agree.
fn hold_alike(
    options: &Options,
    sandbox: &Sandbox,
    contents: &Contents,
    progress: &mut dyn FnMut(&Progress),
    notes: &mut Vec<String>,
) -> Result<Control, Error> {
    let mut found = hold_clocks(options, sandbox, contents, progress, notes)?;
    loop {
        let next = match found.0.clock {
            Hold::Stepped => Hold::Creeping,
            Hold::Creeping => Hold::Running,
            Hold::Running => return Ok(found),
        };
        let Some(course) = clock::course(&found.2).filter(|course| clock::has_naps(course)) else {
            return Ok(found);
        };
        let again = sandbox.run(&control_spec(options, &found.0))?;
        let Some(again) = clock::course(&again) else {
            return Ok(found);
        };
        let Some(moved) = clock::difference(course, again) else {
            return Ok(found);
        };
        contents.forget_others(|_| false);
        let other = attempt(options, sandbox, contents, progress, (next, notes))?;
        if !other.2.outcome.is_built() {
            notes.push(format!("{moved}; with another clock it does not build"));
            return hold_clocks(options, sandbox, contents, progress, notes);
        }
        let way = match next {
            Hold::Running => "in all trials it runs",
            _ => "in all trials the times of files creep",
        };
        notes.push(format!("{moved}; {way}"));
        found = other;
    }
}

/// Tries the ways of holding clocks, the best first, until the build gets along with one.
fn hold_clocks(
    options: &Options,
    sandbox: &Sandbox,
    contents: &Contents,
    progress: &mut dyn FnMut(&Progress),
    notes: &mut Vec<String>,
) -> Result<Control, Error> {
    let mut attempt = |hold, notes: &mut Vec<String>| {
        attempt(options, sandbox, contents, progress, (hold, notes))
    };
    let own = options.request.clock;
    let first = attempt(own, notes)?;
    if first.2.outcome.is_built() || first.0.control.clock == Clock::Host || own == Hold::Running {
        return Ok(first);
    }
    let timed_out = first.2.outcome == Outcome::TimedOut;
    if timed_out && !awaits_clock(&first.2) {
        return Ok(first);
    }
    let running = attempt(Hold::Running, notes)?;
    if !running.2.outcome.is_built() {
        // It fails with any clock, and the first attempt is the one to tell of.
        if timed_out {
            notes.push("the build looked at the held clock until its time was up, so it was tried with a running one, too: it did not build either".into());
        }
        return Ok(first);
    }
    if own == Hold::Stepped {
        let creeping = attempt(Hold::Creeping, notes)?;
        if creeping.2.outcome.is_built() {
            notes.push("the build fails with a clock that stands still between steps; in all trials the times of files creep, and a thread that has waited for a time finds that it has passed".into());
            return Ok(creeping);
        }
    }
    notes.push("the build fails with a clock that is held; in all trials it runs".into());
    Ok(running)
}

/// Whether a build that did not end may have waited for the clock: programs read theirs from a page,
/// so that of those that do so now and then only some reads are seen.
fn awaits_clock(report: &TrialReport) -> bool {
    let unread = report.supervisor.as_ref().and_then(|found| found.unread);
    let most = Duration::from_secs_f64(report.seconds).mul_f64(0.75);
    unread.is_some_and(|unread| unread < most.min(LONG_UNREAD))
}

/// Runs the control; once more on a copy of the source where an overlay may have been the trouble.
fn build_control(
    options: &Options,
    sandbox: &Sandbox,
    contents: &Contents,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<(Instant, TrialReport), Error> {
    loop {
        let started = Instant::now();
        let report = sandbox.run(&TrialSpec {
            keep_outputs: contents.keep(TrialId(0)),
            ..control_spec(options, plan)
        })?;
        let why = sandbox.copy_may_help(&report);
        let Some(why) = why.filter(|_| !report.outcome.is_built()) else {
            return Ok((started, report));
        };
        sandbox.set_lower_source(LowerSource::Copy);
        notes.push(format!(
            "the build failed, and {why} in an overlay; all trials use copies of the source"
        ));
    }
}

fn control_spec(options: &Options, plan: &Plan) -> TrialSpec {
    TrialSpec {
        environment: plan.environment(&plan.control_row()),
        build: options.build.clone(),
        timeout: options.timeout.unwrap_or(CONTROL_LIMIT),
        keep_outputs: None,
        log: None,
        focus: None,
    }
}

pub(super) fn search_options(options: &Options, plan: &Plan, workers: usize) -> search::Options {
    let factors = plan.variations.iter().zip(&plan.weights);
    let opening = plan
        .opening
        .iter()
        .enumerate()
        .filter(|(_, level)| **level != 1);
    search::Options {
        factors: factors
            .map(|(variation, weight)| search::Factor {
                levels: together(variation),
                weight: f64::from(*weight),
                volatile: variation
                    .varied
                    .iter()
                    .map(|level| level.volatile)
                    .collect(),
            })
            .collect(),
        first_levels: opening.map(|(factor, level)| (factor, *level)).collect(),
        apart: apart(options, plan),
        draws: draws(plan),
        workers,
        budget_trials: options.budget,
        repeats: options.repeats,
        thorough: options.thorough,
        clock_runs: matches!(plan.control.clock, Clock::Host | Clock::Running { .. }),
        seed: plan.seed,
    }
}

/// How many levels of a variation go with others; they stand first.
fn together(variation: &Variation) -> u8 {
    let levels = variation.varied.iter().take_while(|level| !level.apart);
    u8::try_from(levels.count()).unwrap_or(u8::MAX)
}

/// The levels that are drawn anew in every trial, by variation: the kernel's random addresses and bytes.
fn draws(plan: &Plan) -> Vec<(usize, u8)> {
    let is_draw = |setting: &Setting| {
        matches!(
            setting,
            Setting::RandomAddresses(true) | Setting::Randomness(Randomness::Host)
        )
    };
    let variations = plan.variations.iter().enumerate();
    variations
        .flat_map(|(factor, variation)| {
            let levels = (1..).zip(&variation.varied);
            let drawn = levels.filter(|(_, level)| level.settings.iter().any(is_draw));
            drawn.map(move |(number, _)| (factor, number))
        })
        .collect()
}

/// The levels that are tried in rows of their own, by variation. The order of the sources' times is
/// turned round only where a checkout may do so to files that are made from each other.
fn apart(options: &Options, plan: &Plan) -> Vec<(usize, u8)> {
    let made = made::holds(&options.origin.source, &options.build.command);
    let applies = |level: &Level| {
        let reversed = level
            .settings
            .contains(&Setting::SourceMtime(SourceMtime::Reversed));
        options.thorough || !reversed || made
    };
    let mut apart = Vec::new();
    for (factor, variation) in plan.variations.iter().enumerate() {
        for (number, level) in (1..).zip(&variation.varied) {
            if level.apart && applies(level) {
                apart.push((factor, number));
            }
        }
    }
    apart
}

/// What to say of a build that made nothing.
pub(super) fn no_outputs(options: &Options, snapshot: &Snapshot) -> String {
    let wanted = match &options.build.outputs {
        OutputSelection::Tree => "in the build tree".to_owned(),
        OutputSelection::TreeAndBeside => "in the build tree or beside it".to_owned(),
        OutputSelection::Globs { patterns } => format!("that matches {}", patterns.join(" or ")),
    };
    let mut text = format!("the build created or changed nothing {wanted}");
    let made = &snapshot.made;
    if let Some(first) = snapshot.near_misses.first() {
        let more = match snapshot.near_misses.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        text = format!(
            "{text}; {first}{more} stood in the source already and was left as it was: remove \
             earlier products, or hide them with --clean if git ignores them"
        );
    } else if made.count == 0 {
        text.push_str(", nor anything else");
    }
    if made.count > 0 {
        let paths = made.first.join(", ");
        let more = match made.count.saturating_sub(made.first.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        text = format!(
            "{text}; it made {paths}{more}: name what is to be judged with -o, relative to the \
             source tree"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::at_once;

    #[test]
    fn as_many_builds_run_at_once_as_there_are_processors_for() {
        assert_eq!(at_once(1, 1.0), 1);
        assert_eq!(at_once(2, 0.3), 2);
        assert_eq!(at_once(2, 1.2), 2);
        assert_eq!(at_once(2, 1.9), 1);
        assert_eq!(at_once(16, 3.9), 5);
        assert_eq!(at_once(16, f64::NAN), 16);
    }
}
