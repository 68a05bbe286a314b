//! A session of trials: what they have in common, and one trial after the other, each in its own
//! directory below the session's scratch directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::apply::MAP_STEP;
use super::error::Error;
use super::homes::Homes;
use super::host::{Host, refuses_uppers};
use super::interrupt::{Interrupt, Stop};
use super::layout::{POOL, ROOT};
use super::locales::Locales;
use super::op::{Limits, SetupOp};
use super::owned::Owned;
use super::protocol::{Ending, Reply, Request, Streams, files};
use super::relay::{self, Raw};
use super::scratch::{Remover, Scratch, is_full};
use super::source::{Copies, SourceFingerprint};
use super::trial::{TrialReport, TrialSpec};
use super::variables::{self, Passed};
use super::{supervise, sys};
use crate::model::{Capabilities, Elements, Environment, Outcome, Reading};

/// What all trials of a session have in common.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Where the session's scratch directory is made, for example `/tmp`.
    pub scratch: PathBuf,
    /// The source tree on the host.
    pub source: PathBuf,
    /// What the host allows, as [`super::probe`] found it.
    pub capabilities: Capabilities,
    /// The program that plays the roles of [`super::role`]; ordinarily the running one.
    pub program: PathBuf,
    /// Resource limits of every build.
    pub limits: Limits,
    /// Ends trials when a signal asks for it; `None` leaves signals alone.
    pub interrupt: Option<Arc<Interrupt>>,
    /// What builds see of the caller's home besides the source, `PATH` and the toolchains.
    pub exposed: Vec<PathBuf>,
    /// Where compiled locales are kept from one session to the next, if anywhere.
    pub cache: Option<PathBuf>,
}

/// Which tree trials see as the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LowerSource {
    /// The host's own, through an overlay.
    Host,
    /// A copy made once, through an overlay: for builds that an overlay over the original breaks.
    Copy,
}

/// A session of trials.
#[derive(Debug)]
pub struct Sandbox {
    pub(super) options: SessionOptions,
    pub(super) host: Host,
    pub(super) passed: Passed,
    pub(super) homes: Homes,
    /// Why upper layers go into memory, if they do.
    pub(super) in_memory: Option<String>,
    pub(super) copies: Copies,
    pub(super) locales: Locales,
    // Before the scratch directory: it ends before that is removed.
    remover: Remover,
    /// Whether the file systems here show files under mapped owners.
    pub(super) maps_owners: AtomicBool,
    /// Whose the source is; looked at when it matters.
    pub(super) owned: OnceLock<Owned>,
    copied: AtomicBool,
    pub(super) prepared: Mutex<BTreeMap<String, PathBuf>>,
    /// What the first trial that built told.
    first: Mutex<Option<Elements>>,
    trials: AtomicU32,
    // Last, so that it is removed after all that lives in it.
    pub(super) scratch: Scratch,
}

impl Sandbox {
    /// Prepares a session; removes what killed sessions left in the same place.
    pub fn new(mut options: SessionOptions) -> Result<Self, Error> {
        let source = &options.source;
        options.source = source
            .canonicalize()
            .map_err(Error::file("find the source", source))?;
        check_source(&options.source)?;
        let scratch = Scratch::new(&options.scratch)?;
        for name in [POOL, ROOT] {
            let dir = scratch.dir().join(name);
            fs::create_dir(&dir).map_err(Error::file("make", &dir))?;
        }
        if scratch.dir().starts_with(&options.source) {
            return Err(Error::Unusable(format!(
                "the scratch directory {} lies inside the source {}: set TMPDIR to a directory outside of it",
                scratch.dir().display(),
                options.source.display()
            )));
        }
        let in_memory = refuses_uppers(scratch.dir()).map(|kind| {
            format!(
                "the scratch directory {} is on {kind}, which cannot hold what builds write: that goes into memory; set TMPDIR to a directory on a disk for large builds",
                options.scratch.display()
            )
        });
        let host = Host::read()?;
        let passed = Passed::collect(&host);
        let homes = Homes::of(&host, &passed, &options.source, &options.exposed);
        let locales = Locales::new(scratch.dir(), options.cache.as_deref());
        Ok(Self {
            options,
            host,
            passed,
            homes,
            copies: Copies::new(scratch.dir()),
            locales,
            scratch,
            in_memory,
            remover: Remover::new(),
            maps_owners: AtomicBool::new(true),
            owned: OnceLock::new(),
            copied: AtomicBool::new(false),
            prepared: Mutex::default(),
            first: Mutex::default(),
            trials: AtomicU32::new(0),
        })
    }

    /// Runs one trial to its end.
    pub fn run(&self, spec: &TrialSpec) -> Result<TrialReport, Error> {
        let (reply, request) = self.attempt(spec)?;
        self.report(reply, &request)
    }

    /// Runs one command with the caller's own streams, for a person to look around; returns its
    /// exit code, 128 and the signal's number where one killed it, nothing after the time-out.
    pub fn exec(&self, spec: &TrialSpec) -> Result<Option<u8>, Error> {
        let (reply, _) = self.attempt_with(spec, relay::streams())?;
        if let Some(error) = reply.snapshot_error {
            return Err(Error::Outputs(error));
        }
        match reply.ending {
            Ending::Exited { code } => Ok(Some(u8::try_from(code).unwrap_or(u8::MAX))),
            Ending::Killed { signal } => Ok(Some(u8::try_from(signal + 128).unwrap_or(u8::MAX))),
            Ending::TimedOut => Ok(None),
            Ending::NotStarted { why } => Err(Error::Unusable(why)),
            Ending::Refused { error, .. } => Err(error.into()),
        }
    }

    /// Whether a path of the host is kept from builds, as one of the caller's home.
    pub fn hides(&self, path: &Path) -> bool {
        self.homes.hides(path).is_some()
    }

    /// The steps that would set up a trial in this environment.
    pub fn plan_ops(&self, environment: &Environment) -> Result<Vec<SetupOp>, Error> {
        let trial = self.scratch.dir().join("trial");
        Ok(self.layout(environment, &trial, true)?.ops)
    }

    /// Which tree the next trials see as the source.
    pub fn set_lower_source(&self, lower: LowerSource) {
        self.copied
            .store(lower == LowerSource::Copy, Ordering::Relaxed);
    }

    /// Which tree trials see as the source.
    pub fn lower_source(&self) -> LowerSource {
        if self.copied.load(Ordering::Relaxed) {
            LowerSource::Copy
        } else {
            LowerSource::Host
        }
    }

    /// Why a failed trial may work on a copy of the source: its log speaks of what an overlay
    /// cannot do with files that it did not make itself.
    pub fn copy_may_help(&self, report: &TrialReport) -> Option<&'static str> {
        let log = fs::read(&report.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        [
            (
                "Value too large for defined data type",
                "files of the source belong to others (EOVERFLOW)",
            ),
            (
                "EOVERFLOW",
                "files of the source belong to others (EOVERFLOW)",
            ),
        ]
        .into_iter()
        .find(|(said, _)| log.contains(said) && self.lower_source() == LowerSource::Host)
        .map(|(_, why)| why)
    }

    /// What the source looks like now, to be compared with later.
    pub fn source_fingerprint(&self) -> Result<SourceFingerprint, Error> {
        SourceFingerprint::of(&self.options.source)
    }

    /// Makes a directory for the caller in the session's scratch directory; it goes with it.
    pub fn room_for(&self, name: &str) -> Result<PathBuf, Error> {
        let dir = self.scratch.dir().join(name);
        fs::create_dir_all(&dir).map_err(Error::file("make", &dir))?;
        // Nobody else's trial looks in here.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
            .map_err(Error::file("set mode of", &dir))?;
        Ok(dir)
    }

    /// Whether what the caller passes on is what was passed on before: names with the SHA-256 of
    /// their values, as a report has them.
    pub fn same_caller(&self, before: &BTreeMap<String, String>) -> Result<(), Error> {
        let mut passed = self.passed.variables.clone();
        let network = self.passed.of_the_network.iter();
        let network = network.filter(|(name, _)| before.contains_key(*name));
        passed.extend(network.map(|(name, value)| (name.clone(), value.clone())));
        let now = variables::fingerprints(&passed);
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let other: Vec<&str> = names
            .into_iter()
            .filter(|name| before.get(*name) != now.get(*name))
            .map(String::as_str)
            .collect();
        if other.is_empty() {
            return Ok(());
        }
        Err(Error::Unusable(format!(
            "not as it was when the session began: {}; every build finds it, so set it as it was, or start over",
            other.join(", ")
        )))
    }

    /// Removes the session's scratch directory.
    pub fn close(self) -> Result<(), Error> {
        self.remover.wait();
        self.scratch.close()
    }

    pub(super) fn trial_dir(&self) -> Result<PathBuf, Error> {
        self.remover.make_room(self.scratch.dir());
        let number = self.trials.fetch_add(1, Ordering::Relaxed);
        let dir = self.scratch.dir().join(format!("trial-{number}"));
        fs::create_dir(&dir).map_err(Error::file("make", &dir))?;
        Ok(dir)
    }

    pub(super) fn attempt(&self, spec: &TrialSpec) -> Result<(Reply, Request), Error> {
        self.attempt_with(spec, Streams::Log)
    }

    /// Runs a trial; once more with a copy of the source where owners cannot be mapped.
    fn attempt_with(&self, spec: &TrialSpec, streams: Streams) -> Result<(Reply, Request), Error> {
        loop {
            let dir = self.trial_dir()?;
            let request = self.request(spec, &dir, streams, true)?;
            let reply = self.supervise(&dir, &request);
            // What ends so with a full disk says nothing of the build; soon there is room again.
            let full = match &reply {
                Ok(reply) => reply.full && reply.ending != Ending::Exited { code: 0 },
                Err(Error::Died(_)) => is_full(self.scratch.dir()),
                Err(_) => false,
            };
            self.remover.remove(dir.join("layers"));
            if full {
                return Err(Error::Full(self.options.scratch.clone()));
            }
            let reply = reply?;
            match &reply.ending {
                Ending::Refused { error, .. } if error.step.starts_with(MAP_STEP) => {
                    if !self.maps_owners.swap(false, Ordering::Relaxed) {
                        return Ok((reply, request));
                    }
                }
                _ => return Ok((reply, request)),
            }
        }
    }

    /// Starts the supervisor and waits for its answer.
    pub(super) fn supervise(&self, dir: &Path, request: &Request) -> Result<Reply, Error> {
        let path = dir.join(files::REQUEST);
        let text =
            serde_json::to_vec(request).map_err(|error| Error::Unusable(error.to_string()))?;
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        let interrupt = self.options.interrupt.as_ref();
        if let Some(stop) = interrupt.and_then(|interrupt| interrupt.stop()) {
            return Err(Error::Stopped(stop));
        }
        let mut child = self.spawn(dir, request.streams)?;
        let raw = Raw::of(request.streams);
        let status = self.wait(&mut child, dir, request.streams.are_callers());
        drop(raw);
        let status = status?;
        self.read_reply(dir).ok_or_else(|| {
            let said = fs::read_to_string(dir.join(files::STDERR)).unwrap_or_default();
            Error::died(status, said.trim())
        })
    }

    /// Reads a reply, one at a time: it may tell of millions of elements. What is as in the first one
    /// is kept once.
    fn read_reply(&self, dir: &Path) -> Option<Reply> {
        let file = File::open(dir.join(files::REPLY)).ok()?;
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reply: Reply = serde_json::from_reader(BufReader::new(file)).ok()?;
        if let Some(snapshot) = &mut reply.snapshot {
            match &*first {
                Some(first) => snapshot.elements.share_with(first),
                None => *first = Some(snapshot.elements.clone()),
            }
        }
        Some(reply)
    }

    /// Waits for the supervisor; ends it when a signal asks for it or the session's time is up.
    fn wait(&self, child: &mut Child, dir: &Path, interactive: bool) -> Result<ExitStatus, Error> {
        let failed = || Error::file("wait for the supervisor of", dir);
        if let Some(interrupt) = &self.options.interrupt {
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
            let ended = sys::pidfd_open(pid).map_err(|errno| {
                Error::Unusable(format!(
                    "pidfd_open: {errno}; an outer sandbox forbids it: allow it there (Docker: --security-opt seccomp=unconfined)"
                ))
            })?;
            while !poll_either(&ended, interrupt).map_err(|errno| failed()(errno.into()))? {
                let stop = if interactive {
                    interrupt.signal_beside_command().map(Stop::Signal)
                } else {
                    interrupt.stop()
                };
                if let Some(stop) = stop {
                    // It ends the whole trial before itself.
                    kill(pid, Signal::SIGTERM).map_err(|errno| failed()(errno.into()))?;
                    child.wait().map_err(failed())?;
                    return Err(Error::Stopped(stop));
                }
            }
        }
        child.wait().map_err(failed())
    }

    fn spawn(&self, dir: &Path, streams: Streams) -> Result<Child, Error> {
        use std::os::unix::process::CommandExt as _;

        let mut command = Command::new(&self.options.program);
        command
            .arg(supervise::ROLE)
            .arg(dir)
            .arg(std::process::id().to_string())
            .current_dir("/");
        // It needs none, and the trial's first process has what it has.
        command.env_clear();
        if !streams.are_callers() {
            let path = dir.join(files::STDERR);
            let stderr = File::create(&path).map_err(Error::file("create", &path))?;
            // A terminal's interrupt goes to the front end, which ends the trial.
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(stderr)
                .process_group(0);
        }
        let program = &self.options.program;
        command.spawn().map_err(Error::file("run", program))
    }

    pub(super) fn report(&self, reply: Reply, request: &Request) -> Result<TrialReport, Error> {
        let outcome = match reply.ending {
            Ending::Exited { code: 0 } => match (reply.snapshot, reply.snapshot_error) {
                (Some(snapshot), None) => Outcome::Built {
                    snapshot: Arc::new(snapshot),
                },
                (_, error) => return Err(Error::Outputs(error.unwrap_or_default())),
            },
            Ending::Exited { code } => Outcome::Failed {
                how: format!("exit code {code}"),
            },
            Ending::Killed { signal } => Outcome::Failed {
                how: format!("killed by {}", signal_name(signal)),
            },
            Ending::TimedOut => Outcome::TimedOut,
            Ending::NotStarted { why } => Outcome::Failed { how: why },
            Ending::Refused { error, .. } => return Err(error.into()),
        };
        let mut notes = reply.notes;
        notes.extend(self.in_memory.clone());
        notes.extend(self.passed.notes.clone());
        let hidden = self.passed.hidden(&self.options.capabilities);
        notes.extend(hidden.map(str::to_owned));
        let mut passed = self.passed.variables.clone();
        passed.extend(self.passed.of_the_network.clone());
        passed.retain(|name, _| request.variables.contains_key(name));
        Ok(TrialReport {
            outcome,
            seconds: reply.seconds,
            cpu_seconds: reply.cpu_seconds,
            log: request.log.clone(),
            notes,
            passed_variables: variables::fingerprints(&passed),
            supervisor: reply.supervisor,
            directory: request.directory.clone(),
            readings: readings(request),
        })
    }
}

/// What the build read, if that was written down.
fn readings(request: &Request) -> Vec<Reading> {
    if request.focus.is_none() {
        return Vec::new();
    }
    let events = request.log.with_file_name(files::EVENTS);
    let text = fs::read_to_string(events).unwrap_or_default();
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Waits until the supervisor has ended or a signal came; whether it was the former. Another trial
/// may take the signal off first, so that the wait is short.
fn poll_either(ended: impl AsFd, interrupt: &Interrupt) -> Result<bool, Errno> {
    let watch = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut fds = [watch(ended.as_fd()), watch(interrupt.as_fd())];
    match poll(&mut fds, 100_u16) {
        Ok(_) | Err(Errno::EINTR) => Ok(fds[0].any().unwrap_or(false)),
        Err(errno) => Err(errno),
    }
}

fn signal_name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(
        |_| format!("signal {signal}"),
        |name| name.as_str().to_owned(),
    )
}

fn check_source(source: &Path) -> Result<(), Error> {
    let unusable = |text: String| Err(Error::Unusable(text));
    if !source.is_dir() {
        return unusable(format!(
            "the source {} is not a directory",
            source.display()
        ));
    }
    if source.parent().is_none() {
        return unusable("the source is /: give a directory below".into());
    }
    if source.to_str().is_none() {
        return unusable(format!(
            "the path of the source {} is not UTF-8: rename the directory",
            source.display()
        ));
    }
    Ok(())
}
