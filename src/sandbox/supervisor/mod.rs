//! The supervisor of a trial: one seccomp filter whose notifications it answers, so that every
//! program of the build (static ones, Go, musl and 32-bit included) finds the clock, the file
//! times, the directory order and the randomness that the environment asks for. It needs neither
//! ptrace nor preloading, FUSE nor root.
//!
//! [`install_filter`] runs in the build's process right before `exec`; the listener it returns
//! travels by `SCM_RIGHTS` to the process that calls [`start`]. That process must see the pids of
//! the trial and be allowed to ptrace them; the trial must die with it (its calls would fail with
//! `ENOSYS`), which is the sandbox's part.

mod arch;
mod background;
mod blocked;
mod calls;
mod clock;
mod crowd;
mod counts;
mod deadlines;
mod directory;
mod engine;
mod files;
mod filter;
mod guise;
mod identifiers;
mod layout;
mod links;
mod movers;
mod moves;
mod names;
mod naps;
mod numbers;
mod offers;
mod order;
mod owners;
mod places;
mod polling;
mod processes;
mod programs;
mod randomness;
mod reads;
mod sites;
mod sources;
mod spinning;
mod steps;
mod timeline;
mod times;
mod tracee;
mod turn;
mod unvaried;
mod vdso;
mod view;
mod waits;
mod witness;

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::model::{Clock, DirectoryOrder, Environment, Inodes, Randomness, Within};
use crate::sandbox::sys::notify;
use calls::Purpose;
pub use engine::Running;
pub use movers::{Course, Mover};
pub use names::Words;
pub use sources::{Sources, SourcesOwner};
pub use unvaried::Unvaried;

/// What a trial's supervisor has to do.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing of the trial by itself"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The real-time clock and the times of files.
    pub clock: Clock,
    /// The host's time (seconds since 1970) when the set-up of the trial began: what was made
    /// between then and the start of the build gets the time at which the trial's clock starts.
    /// `None` for the start of the process that supervises.
    pub since: Option<i64>,
    /// In which order directories list their entries.
    pub order: DirectoryOrder,
    /// Where random bytes come from.
    pub randomness: Randomness,
    /// Numbers of inodes and devices.
    pub inodes: Inodes,
    /// What acts in place of the above in a scope alone.
    pub within: Option<Within>,
    /// What `uname` says.
    pub words: Option<Words>,
    /// Directories whose names the environment chose (the build's, its home, ...), the longest
    /// first: what is keyed by names leaves them out.
    pub places: Vec<PathBuf>,
    /// Whether times of files follow the clock.
    pub file_times: bool,
    /// Who the sources are said to belong to; `None` for what the kernel says.
    #[serde(default)]
    pub sources: Option<Sources>,
    /// The trial has a user namespace with few ids: owners that it has no name for are refused as
    /// an ordinary user's are.
    #[serde(default)]
    pub few_ids: bool,
    /// A directory in which no file had several names before the build.
    #[serde(default)]
    pub single: Option<PathBuf>,
    /// Overlays show the trial what was there before, which cannot rename its directories.
    #[serde(default)]
    pub overlays: bool,
    /// Makes every clock read a system call, so that it can be witnessed (about 8 µs each).
    pub witness: bool,
}

impl Config {
    /// What the environment asks for.
    pub fn new(environment: &Environment) -> Self {
        Self {
            clock: environment.clock,
            since: None,
            order: environment.directory_order,
            randomness: environment.randomness,
            inodes: environment.inodes,
            within: None,
            words: Words::of(environment),
            places: Vec::new(),
            file_times: true,
            sources: None,
            few_ids: false,
            single: None,
            overlays: false,
            witness: false,
        }
    }

    /// Whether there is anything to do; if not, no filter is installed at all.
    pub fn needed(&self) -> bool {
        !self.purposes().is_empty()
    }

    fn purposes(&self) -> Vec<Purpose> {
        let mut purposes = Vec::new();
        let within = self.within.as_ref();
        if within.map_or(self.order, |within| within.order) != DirectoryOrder::Host
            || self.order != DirectoryOrder::Host
        {
            purposes.push(Purpose::Directories);
        }
        if self.clock != Clock::Host {
            purposes.extend([Purpose::Programs, Purpose::Clock, Purpose::Deadlines]);
        }
        if matches!(self.clock, Clock::Stepped { .. } | Clock::Creeping { .. }) {
            purposes.push(Purpose::Sleeps);
        }
        if matches!(self.clock, Clock::Creeping { .. }) {
            purposes.push(Purpose::TimedWaits);
        }
        if self.clock != Clock::Host && self.file_times || self.sources.is_some() {
            purposes.push(Purpose::Files);
        }
        if self.randomness != Randomness::Host {
            purposes.push(Purpose::Random);
        }
        if self.words.is_some() {
            purposes.push(Purpose::Words);
        }
        if self.few_ids || self.sources.is_some() {
            purposes.push(Purpose::Owners);
        }
        if self.inodes != Inodes::Host {
            purposes.push(Purpose::Links);
        }
        if self.overlays {
            purposes.push(Purpose::Renames);
        }
        // Which process is which is learnt when its program begins, and where its vDSO is.
        let several = self.randomness != Randomness::Host || within.is_some() || self.witness;
        let listed = purposes.contains(&Purpose::Directories);
        let wanted = listed || self.sources.is_some() || several && !purposes.is_empty();
        if wanted && !purposes.contains(&Purpose::Programs) {
            purposes.push(Purpose::Programs);
        }
        purposes
    }
}

/// What a supervisor did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What went wrong, in words.
    pub problems: Vec<String>,
    /// Calls answered by the supervisor.
    pub answered: u64,
    /// Calls that were trapped and then left to the kernel.
    pub continued: u64,
    /// Places in programs that lead to the hook for calls now.
    pub led: u64,
    /// How long before the end somebody was last seen to read the clock; `None` where nobody was.
    pub unread: Option<Duration>,
    /// How far a held clock came, and what moved it; `None` where it ran.
    #[serde(default)]
    pub course: Option<Course>,
    /// What the build asked of the machine that no trial varies.
    #[serde(default)]
    pub unvaried: BTreeSet<Unvaried>,
}

/// A supervisor that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be installed.
    #[error("installing the seccomp filter: {0}{hint}", hint = filter_hint(*.0))]
    Filter(Errno),
    /// `/proc` cannot be opened.
    #[error("opening /proc: {0}; mount the proc file system")]
    Proc(Errno),
    /// The page from which programs read a held clock.
    #[error("making a page for the clock: {0}; raise the memory limit (ulimit -v)")]
    Page(Errno),
    /// A thread cannot be started.
    #[error("starting a supervisor thread: {0}; raise the process limit (ulimit -u)")]
    Thread(std::io::Error),
}

fn filter_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EBUSY => "; a supervisor already watches this process, and the kernel allows one",
        Errno::EINVAL => "; Linux 5.19 or newer is needed (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)",
        Errno::ENOSYS => "; this kernel is built without seccomp filters",
        Errno::EPERM => "; an outer sandbox forbids seccomp(2)",
        _ => "",
    }
}

/// Puts the calling thread, and everything it will start, under a filter; returns the listener.
/// Sets `no_new_privs` only where the kernel demands it of a caller without `CAP_SYS_ADMIN`.
pub fn install_filter(config: &Config) -> Result<OwnedFd, Error> {
    let program = filter::program(&arch::ABIS, &config.purposes());
    // Without this flag a signal makes a call happen twice, and directories lose entries.
    // The other one: where seccomp makes the processor guess less, the build alone would not do so.
    let flags = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let listener = match notify::install(&program, flags) {
        Err(Errno::EACCES) => {
            nix::sys::prctl::set_no_new_privs().map_err(Error::Filter)?;
            notify::install(&program, flags)
        }
        other => other,
    };
    listener.map_err(Error::Filter)
}

/// Starts the threads that answer the listener's notifications. With `event_log`, what the build
/// read is written there at the end, one [`crate::model::Reading`] of JSON each.
pub fn start(
    listener: OwnedFd,
    config: &Config,
    event_log: Option<File>,
) -> Result<Running, Error> {
    let threads = engine::processors().clamp(3, 8);
    Running::start(
        engine::Supervisor::new(listener, config, event_log)?,
        threads,
    )
}

/// The low half of a register, as the kernel reads an `int`.
fn low(argument: u64) -> i32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}
