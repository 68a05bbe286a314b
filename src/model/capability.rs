//! What a host allows, and why not: the result of probing, the reason of every "not tested".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that a variation or the sandbox needs of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A private mount tree: overlays, masks, a chosen build path.
    Mounts,
    /// A user other than the caller, who owns the source.
    OtherUser,
    /// A host and domain name of the trial's own.
    HostName,
    /// Pids of the trial's own, and the choice of the first.
    Pids,
    /// A network of the trial's own.
    PrivateNetwork,
    /// Binding to chosen processors.
    Affinity,
    /// The `ADDR_NO_RANDOMIZE` personality.
    FixedAddresses,
    /// A second shell that can stand in for `/bin/sh`.
    SecondShell,
    /// The time zone database: without it, a zone's name silently means UTC.
    TimeZones,
    /// Pseudo-terminals.
    Terminals,
    /// A time namespace for the monotonic clocks.
    MonotonicClocks,
    /// The supervisor: seccomp user notification, and reach into the memory of the build.
    Supervisor,
    /// The clock hook of the supervisor.
    ClockHook,
    /// File times answered by the supervisor.
    FileTimes,
    /// Directory entries answered by the supervisor.
    DirectoryEntries,
    /// Random bytes answered by the supervisor.
    RandomBytes,
    /// `uname` and the files that repeat it answered by the supervisor.
    KernelNames,
    /// Inode and device numbers answered by the supervisor.
    InodeNumbers,
    /// Owners of the sources answered by the supervisor.
    SourceOwners,
}

/// One thing that this host does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What, in words: "user namespaces".
    pub what: String,
    /// Why: the step that failed and its errno.
    pub reason: String,
    /// The way out.
    pub hint: String,
}

/// What a host allows: every [`Need`] that is absent here is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// `uname -srm`, as the host says it.
    pub kernel: String,
    /// Whether the caller is root with the power to mount.
    pub root: bool,
    /// The caller's user and group.
    pub caller: (u32, u32),
    /// Processors that the caller may use.
    pub cpus: u32,
    /// Installed locales, sorted, as `locale -a` names them.
    pub locales: Vec<String>,
    /// Locale sources that `localedef` can compile here, sorted, for example `et_EE`.
    pub locale_sources: Vec<String>,
    /// Shells that can stand in for `/bin/sh`, beginning with what it is now.
    pub shells: Vec<std::path::PathBuf>,
    /// What is missing.
    pub missing: BTreeMap<Need, Missing>,
    /// Further things worth a note, none of which a variation needs.
    pub notes: Vec<Missing>,
}

impl Capabilities {
    /// The first of `needs` that this host does not meet.
    pub fn lacks(&self, needs: &[Need]) -> Option<&Missing> {
        needs.iter().find_map(|need| self.missing.get(need))
    }
}
