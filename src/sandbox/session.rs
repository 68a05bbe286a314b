//! A session of trials: what they have in common, and one trial after the other, each in its own
//! directory below the session's scratch directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::error::Error;
use super::host::{Host, refuses_uppers};
use super::identity::{self, IdMaps, Ids};
use super::layout::{Inputs, Layout};
use super::op::{Limits, SetupOp};
use super::protocol::{Ending, Namespaces, Reply, Request, Streams, files};
use super::scratch::{Scratch, remove_tree};
use super::supervise;
use super::variables::{self, Passed};
use crate::model::{Build, Capabilities, Environment, Need, Network, Outcome, UserIdentity};

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
}

/// One trial to run.
#[derive(Debug, Clone)]
pub struct TrialSpec {
    /// Its environment.
    pub environment: Environment,
    /// What to run and what it makes.
    pub build: Build,
    /// After which time it is killed.
    pub timeout: Duration,
    /// A directory that gets a copy of every output.
    pub keep_outputs: Option<PathBuf>,
    /// Where its output goes; `None` leaves it in the trial's directory, which goes with the
    /// session.
    pub log: Option<PathBuf>,
}

/// What became of a trial.
#[derive(Debug, Clone)]
pub struct TrialReport {
    /// Whether it built, and what.
    pub outcome: Outcome,
    /// Wall time of the build, in seconds.
    pub seconds: f64,
    /// Processor time of the build and all its descendants, in seconds.
    pub cpu_seconds: f64,
    /// What the build said.
    pub log: PathBuf,
    /// What a person should know about how the trial was run.
    pub notes: Vec<String>,
    /// Variables of the caller that reached the build: name to SHA-256 of the value.
    pub passed_variables: BTreeMap<String, String>,
}

/// A session of trials.
#[derive(Debug)]
pub struct Sandbox {
    options: SessionOptions,
    host: Host,
    passed: Passed,
    scratch: Scratch,
    /// Why upper layers go into memory, if they do.
    in_memory: Option<String>,
    trials: AtomicU32,
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
        Ok(Self {
            options,
            host,
            passed,
            scratch,
            in_memory,
            trials: AtomicU32::new(0),
        })
    }

    /// Runs one trial to its end.
    pub fn run(&self, spec: &TrialSpec) -> Result<TrialReport, Error> {
        let dir = self.trial_dir()?;
        let request = self.request(spec, &dir, Streams::Log)?;
        let reply = self.supervise(&dir, &request)?;
        let removed = remove_tree(&dir.join("layers"));
        removed.map_err(Error::file("remove layers of", &dir))?;
        self.report(reply, &request)
    }

    /// Runs one command with the caller's own streams, for a person to look around; returns its
    /// exit code, 128 and the signal's number where one killed it.
    pub fn exec(&self, spec: &TrialSpec) -> Result<u8, Error> {
        let dir = self.trial_dir()?;
        let request = self.request(spec, &dir, Streams::Caller)?;
        let reply = self.supervise(&dir, &request)?;
        let removed = remove_tree(&dir.join("layers"));
        removed.map_err(Error::file("remove layers of", &dir))?;
        if let Some(error) = reply.snapshot_error {
            return Err(Error::Outputs(error));
        }
        match reply.ending {
            Ending::Exited { code } => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            Ending::Killed { signal } => Ok(u8::try_from(signal + 128).unwrap_or(u8::MAX)),
            Ending::TimedOut => Ok(124),
            Ending::NotStarted { why } => Err(Error::Unusable(why)),
            Ending::Refused { error, .. } => Err(error.into()),
        }
    }

    /// The steps that would set up a trial in this environment.
    pub fn plan_ops(&self, environment: &Environment) -> Result<Vec<SetupOp>, Error> {
        let trial = self.scratch.dir().join("trial");
        Ok(self.layout(environment, &trial)?.ops)
    }

    /// Removes the session's scratch directory.
    pub fn close(self) -> Result<(), Error> {
        self.scratch.close()
    }

    fn trial_dir(&self) -> Result<PathBuf, Error> {
        let number = self.trials.fetch_add(1, Ordering::Relaxed);
        let dir = self.scratch.dir().join(format!("trial-{number}"));
        fs::create_dir(&dir).map_err(Error::file("make", &dir))?;
        Ok(dir)
    }

    fn layout(&self, environment: &Environment, trial: &Path) -> Result<Layout, Error> {
        let mapped = self.options.capabilities.root && environment.user != UserIdentity::Caller;
        let prepared = BTreeMap::new();
        let inputs = Inputs {
            host: &self.host,
            capabilities: &self.options.capabilities,
            environment,
            passed: &self.passed,
            source: &self.options.source,
            lower: &self.options.source,
            source_map: mapped.then_some(0),
            caller_map: mapped.then_some(1),
            scratch: self.scratch.dir(),
            trial,
            in_memory: self.in_memory.is_some(),
            prepared: &prepared,
            locales: None,
            limits: self.options.limits,
        };
        inputs.layout()
    }

    fn request(&self, spec: &TrialSpec, dir: &Path, streams: Streams) -> Result<Request, Error> {
        let environment = &spec.environment;
        let layout = self.layout(environment, dir)?;
        let root = self.options.capabilities.root;
        let ids = identity::ids(&self.host, &environment.user);
        let own = Ids {
            uid: self.host.uid,
            gid: self.host.gid,
        };
        let other = root && environment.user != UserIdentity::Caller;
        let source_owner = owner_of(&self.options.source)?;
        let owner_maps = if other {
            vec![IdMaps::swap(source_owner, ids), IdMaps::swap(own, ids)]
        } else {
            Vec::new()
        };
        let terminal = &environment.terminal;
        Ok(Request {
            environment: environment.clone(),
            ops: layout.ops,
            namespaces: self.namespaces(environment),
            user_map: (!root).then(|| IdMaps::single(ids, own)),
            owner_maps,
            ids,
            root: dir.join("root"),
            command: spec.build.command.clone(),
            variables: variables::of_build(
                &self.host,
                &self.passed,
                environment,
                &spec.build.variables,
            ),
            directory: layout.directory,
            streams: match streams {
                Streams::Log if terminal.tty => Streams::Terminal {
                    rows: 24,
                    columns: terminal.columns.unwrap_or(80),
                },
                streams => streams,
            },
            timeout: spec.timeout.as_secs_f64(),
            outputs: Some(spec.build.outputs.clone())
                .filter(|_| streams != Streams::Caller || spec.keep_outputs.is_some()),
            copy_of: None,
            keep: spec.keep_outputs.clone(),
            log: spec.log.clone().unwrap_or_else(|| dir.join(files::LOG)),
            supervised: !self
                .options
                .capabilities
                .missing
                .contains_key(&Need::Supervisor),
            ours: layout.ours,
        })
    }

    fn namespaces(&self, environment: &Environment) -> Namespaces {
        let has = |need: Need| !self.options.capabilities.missing.contains_key(&need);
        Namespaces {
            user: !self.options.capabilities.root,
            mount_and_pid: true,
            uts: has(Need::HostName),
            ipc: true,
            net: has(Need::PrivateNetwork) && environment.network != Network::Host,
            cgroup: true,
            time: has(Need::MonotonicClocks),
        }
    }

    /// Starts the supervisor and waits for its answer.
    fn supervise(&self, dir: &Path, request: &Request) -> Result<Reply, Error> {
        let path = dir.join(files::REQUEST);
        let text = serde_json::to_vec(request).map_err(|error| Error::Program {
            program: "request",
            message: error.to_string(),
        })?;
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        let mut child = self.spawn(dir, request.streams)?;
        let ended = child.wait();
        let status = ended.map_err(Error::file("wait for the supervisor of", dir))?;
        let text = fs::read(dir.join(files::REPLY)).unwrap_or_default();
        serde_json::from_slice(&text).map_err(|_| {
            let said = fs::read_to_string(dir.join(files::STDERR)).unwrap_or_default();
            Error::Died(format!("{status}: {}", said.trim()))
        })
    }

    fn spawn(&self, dir: &Path, streams: Streams) -> Result<Child, Error> {
        use std::os::unix::process::CommandExt as _;

        let mut command = Command::new(&self.options.program);
        command
            .arg(supervise::ROLE)
            .arg(dir)
            .arg(std::process::id().to_string())
            .current_dir("/");
        if streams == Streams::Caller {
            command.stdin(Stdio::inherit());
        } else {
            let path = dir.join(files::STDERR);
            let stderr = File::create(&path).map_err(Error::file("create", &path))?;
            // A terminal's interrupt goes to the front end, which ends the trial.
            command
                .env_clear()
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(stderr)
                .process_group(0);
        }
        let program = &self.options.program;
        command.spawn().map_err(Error::file("run", program))
    }

    fn report(&self, reply: Reply, request: &Request) -> Result<TrialReport, Error> {
        let outcome = match reply.ending {
            Ending::Exited { code: 0 } => match (reply.snapshot, reply.snapshot_error) {
                (Some(snapshot), None) => Outcome::Built { snapshot },
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
        let mut passed = self.passed.variables.clone();
        passed.retain(|name, value| request.variables.get(name) == Some(value));
        Ok(TrialReport {
            outcome,
            seconds: reply.seconds,
            cpu_seconds: reply.cpu_seconds,
            log: request.log.clone(),
            notes,
            passed_variables: variables::fingerprints(&passed),
        })
    }
}

fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal).map_or_else(
        |_| format!("signal {signal}"),
        |name| name.as_str().to_owned(),
    )
}

fn check_source(source: &Path) -> Result<(), Error> {
    if !source.is_dir() {
        return Err(Error::Unusable(format!(
            "the source {} is not a directory",
            source.display()
        )));
    }
    if source.parent().is_none() {
        return Err(Error::Unusable(
            "the source is /: give a directory below".into(),
        ));
    }
    if source.to_str().is_none() {
        return Err(Error::Unusable(format!(
            "the path of the source {} is not UTF-8: rename the directory",
            source.display()
        )));
    }
    Ok(())
}

fn owner_of(path: &Path) -> Result<Ids, Error> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = path.metadata().map_err(Error::file("look at", path))?;
    Ok(Ids {
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}
