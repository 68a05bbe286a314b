//! What the processes of a trial say to each other: the request and the reply are JSON files in
//! the trial's directory, so that a trial can be run again by hand
//! (`reprobe __supervise DIRECTORY`).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::StepError;
use super::identity::{IdMaps, Ids};
use super::op::SetupOp;
use super::supervisor::{self, Sources};
use crate::model::{Environment, OutputSelection, Snapshot, Within};
use crate::snapshot::Keep;

/// Everything that a trial needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    /// The environment, for the supervisor of system calls.
    pub environment: Environment,
    /// Who the sources are said to belong to, where it is not what the kernel says.
    #[serde(default)]
    pub(super) sources: Option<Sources>,
    /// The set-up, in order.
    pub ops: Vec<SetupOp>,
    /// Which namespaces the trial gets; none at all means that it runs without a sandbox.
    pub namespaces: Namespaces,
    /// How the user namespace of an ordinary user maps ids.
    pub user_map: Option<IdMaps>,
    /// How mapped lower layers show their owners.
    pub owner_maps: Vec<IdMaps>,
    /// Who runs the build.
    pub ids: Ids,
    /// Where the trial's root is put together.
    pub root: PathBuf,
    /// The build's argument vector.
    pub command: Vec<String>,
    /// The build's variables, all of them.
    pub variables: BTreeMap<String, String>,
    /// The build directory, in the trial's view.
    pub directory: PathBuf,
    /// Where standard input, output and error lead.
    pub streams: Streams,
    /// Seconds after which the trial is killed.
    pub timeout: f64,
    /// What counts as output; `None` takes no snapshot.
    pub outputs: Option<OutputSelection>,
    /// Where the build's own files are, in the trial's view, apart from the overlays: the source
    /// copy of a trial without a sandbox, and what it is a copy of.
    pub copy_of: Option<PathBuf>,
    /// Where on the host the outputs are copied to.
    pub keep: Option<Keep>,
    /// The build's output, a file on the host.
    pub log: PathBuf,
    /// Whether the host allows a supervisor of system calls.
    pub(super) supervised: bool,
    /// Paths whose change is the sandbox's own doing.
    pub ours: Vec<PathBuf>,
    /// No file of the source has several names.
    #[serde(default)]
    pub single: bool,
    /// A closer look, if one is taken.
    pub focus: Option<Focus>,
}

/// A closer look: what the build reads is written down, and levels act in a scope alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Focus {
    /// Levels that act in place of the environment's, and where; `None` for nowhere.
    pub within: Option<Within>,
    /// Whether every read of the clock is written down too, which makes each of them slow.
    pub witness: bool,
}

impl Request {
    /// What the supervisor of system calls has to do.
    pub(super) fn supervisor(&self) -> supervisor::Config {
        let environment = &self.environment;
        let mut places = vec![
            self.directory.clone(),
            environment.home.clone(),
            environment.build_path.parent.clone(),
        ];
        places.sort_by_key(|place| Reverse(place.as_os_str().len()));
        let mut config = supervisor::Config {
            places,
            sources: self.sources.clone(),
            few_ids: self.user_map.is_some(),
            single: self.single.then(|| self.directory.clone()),
            overlays: self.namespaces.mount_and_pid,
            ..supervisor::Config::new(environment)
        };
        if let Some(focus) = &self.focus {
            config.within.clone_from(&focus.within);
            config.witness = focus.witness;
        }
        config
    }
}

/// Where the standard streams of a build lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(super) enum Streams {
    /// Nothing to read; a pipe into the log.
    Log,
    /// A terminal of this size, what it shows goes into the log.
    Terminal {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// The caller's own.
    Caller,
    /// The caller's, by way of a terminal of this size.
    Relayed {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
}

impl Streams {
    /// Whether somebody sits at the other end.
    pub(super) fn are_callers(self) -> bool {
        matches!(self, Self::Caller | Self::Relayed { .. })
    }
}

/// The namespaces of a trial, see namespaces(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of flags, each of which the host may refuse on its own"
)]
pub(super) struct Namespaces {
    /// Ids of its own: what an ordinary user needs for all the others.
    pub user: bool,
    /// Mounts and processes of its own.
    pub mount_and_pid: bool,
    /// Host name.
    pub uts: bool,
    /// System V and POSIX message queues.
    pub ipc: bool,
    /// Network.
    pub net: bool,
    /// Control groups.
    pub cgroup: bool,
    /// Monotonic clocks.
    pub time: bool,
}

/// What became of a trial, as its supervisor writes it down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reply {
    /// How it ended.
    pub ending: Ending,
    /// What the build made, if it ended with success and a snapshot was asked for.
    pub snapshot: Option<Snapshot>,
    /// Why there is no snapshot although one was asked for.
    pub snapshot_error: Option<String>,
    /// The disk on which the trial wrote was full in the end.
    pub full: bool,
    /// Wall time of the command in seconds.
    pub seconds: f64,
    /// Processor time of the command and all its descendants in seconds.
    pub cpu_seconds: f64,
    /// What the supervisor of system calls did, where there was one.
    pub(super) supervisor: Option<supervisor::Report>,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(super) enum Ending {
    /// The command ended by itself.
    Exited {
        /// Its code.
        code: i32,
    },
    /// A signal ended the command.
    Killed {
        /// Its number.
        signal: i32,
    },
    /// The time-out ended it.
    TimedOut,
    /// The command could not be started.
    NotStarted {
        /// Why, in words.
        why: String,
    },
    /// The set-up failed.
    Refused {
        /// Which step: an index into the request's, if it was one of them.
        op: Option<usize>,
        /// What failed.
        error: StepError,
    },
}

impl Namespaces {
    /// The flags of clone(2), without the time namespace, which has none there.
    pub(super) fn flags(self) -> i32 {
        [
            (self.user, libc::CLONE_NEWUSER),
            (self.mount_and_pid, libc::CLONE_NEWNS | libc::CLONE_NEWPID),
            (self.uts, libc::CLONE_NEWUTS),
            (self.ipc, libc::CLONE_NEWIPC),
            (self.net, libc::CLONE_NEWNET),
            (self.cgroup, libc::CLONE_NEWCGROUP),
        ]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |flags, (_, flag)| flags | flag)
    }
}

/// Files of a trial's directory.
pub(super) mod files {
    /// What is asked.
    pub(crate) const REQUEST: &str = "request.json";
    /// What became of it.
    pub(crate) const REPLY: &str = "reply.json";
    /// What the supervisor says on its standard error when it crashes.
    pub(crate) const STDERR: &str = "stderr";
    /// What the build says.
    pub(crate) const LOG: &str = "log";
    /// What the build read.
    pub(crate) const EVENTS: &str = "events";
}
