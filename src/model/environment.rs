//! The environment of a trial: one resolved value for every slot that a setting can fill.
//!
//! Everything here is resolved: no picks, no "another zone". The catalogue speaks of picks, the
//! plan resolves them, and the journal stores what stands here, so that a replay needs nothing
//! else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::sources::{SourceMode, SourceMtime, SourceOwner};

/// All settings of one trial, one field per [`Slot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The real-time clock and the times of files as the build sees them.
    pub clock: Clock,
    /// `TZ`.
    pub timezone: String,
    /// `LANG`, `LC_ALL`, `LANGUAGE`, and where the locale's archive stands.
    pub locale: Locale,
    /// The build's umask, for example `0o022`.
    pub umask: u32,
    /// Where the source tree is mounted.
    pub build_path: BuildPath,
    /// Host name, without the domain.
    pub hostname: String,
    /// NIS domain name, also the domain part of the host in `/etc/hosts`.
    pub domain: String,
    /// Who runs the build.
    pub user: UserIdentity,
    /// `HOME`: an empty directory that the sandbox makes.
    pub home: PathBuf,
    /// Variables beyond the ones that other slots set.
    pub variables: BTreeMap<String, String>,
    /// Directories appended to `PATH`; the sandbox makes those that do not exist.
    pub exec_path: Vec<PathBuf>,
    /// What `/bin/sh` is.
    pub shell: Shell,
    /// `TERM`, `COLUMNS`, `LINES`, and whether there is a terminal at all.
    pub terminal: Terminal,
    /// In which order directories list their entries.
    pub directory_order: DirectoryOrder,
    /// The modification times of the source files.
    pub source_mtime: SourceMtime,
    /// The permission bits of the source files.
    pub source_mode: SourceMode,
    /// Who the source files belong to.
    pub source_owner: SourceOwner,
    /// How many processors the build sees.
    pub cpus: Cpus,
    /// What `uname` and `/proc/version` say of the kernel.
    pub kernel: Kernel,
    /// Whether the kernel randomises addresses.
    pub random_addresses: bool,
    /// The pid after which the build's processes are numbered; `None` leaves the kernel's choice.
    pub last_pid: Option<u32>,
    /// Where random bytes come from.
    pub randomness: Randomness,
    /// Numbering of inodes and devices.
    pub inodes: Inodes,
    /// Which network the build finds.
    pub network: Network,
    /// By how many bytes the variables are longer than in other trials: the stack begins so much
    /// lower. No setting fills it; it puts the stack back where something else has moved it.
    #[serde(default)]
    pub stack: i64,
}

/// What a setting fills. Two variations never own the same slot, so that applying a subset of them
/// is commutative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each is the field of `Environment` of the same name"
)]
pub enum Slot {
    Clock,
    Timezone,
    Locale,
    Umask,
    BuildPath,
    Hostname,
    Domain,
    User,
    Home,
    Variables,
    ExecPath,
    Shell,
    Terminal,
    DirectoryOrder,
    SourceMtime,
    SourceMode,
    SourceOwner,
    Cpus,
    Kernel,
    RandomAddresses,
    LastPid,
    Randomness,
    Inodes,
    Network,
}

impl Slot {
    /// Whether it makes the variables, the arguments or the tables of programs longer, so that under
    /// fixed addresses memory lies elsewhere.
    pub fn moves_memory(self) -> bool {
        matches!(
            self,
            Self::Timezone
                | Self::Locale
                | Self::BuildPath
                | Self::User
                | Self::Home
                | Self::Variables
                | Self::ExecPath
                | Self::Shell
                | Self::Terminal
        )
    }
}

/// One resolved value for one slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "slot", content = "value")]
#[expect(
    missing_docs,
    reason = "each is the field of `Environment` of the same name"
)]
pub enum Setting {
    Clock(Clock),
    Timezone(String),
    Locale(Locale),
    Umask(u32),
    BuildPath(BuildPath),
    Hostname(String),
    Domain(String),
    User(UserIdentity),
    Home(PathBuf),
    Variables(BTreeMap<String, String>),
    ExecPath(Vec<PathBuf>),
    Shell(Shell),
    Terminal(Terminal),
    DirectoryOrder(DirectoryOrder),
    SourceMtime(SourceMtime),
    SourceMode(SourceMode),
    SourceOwner(SourceOwner),
    Cpus(Cpus),
    Kernel(Kernel),
    RandomAddresses(bool),
    LastPid(Option<u32>),
    Randomness(Randomness),
    Inodes(Inodes),
    Network(Network),
}

/// How the trial's real-time clock behaves. Times are whole seconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Clock {
    /// The host's own clock: no supervisor holds it.
    Host,
    /// Stands still at `start`, moves with sleeps and with the end of each top-level step.
    Stepped {
        /// Where it starts.
        start: i64,
    },
    /// As `Stepped`, and the times of files also advance by a millionth of the elapsed time.
    Creeping {
        /// Where it starts.
        start: i64,
    },
    /// Runs from `start`.
    Running {
        /// Where it starts.
        start: i64,
    },
}

impl Clock {
    /// By how many seconds this clock is ahead of another one that behaves alike; `None` where they
    /// behave differently.
    pub fn ahead_of(self, other: Self) -> Option<i64> {
        match (self, other) {
            (Self::Stepped { start: own }, Self::Stepped { start })
            | (Self::Creeping { start: own }, Self::Creeping { start })
            | (Self::Running { start: own }, Self::Running { start }) => {
                Some(own.saturating_sub(start))
            }
            _ => None,
        }
    }
}

/// The locale variables of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locale {
    /// `LANG`.
    pub lang: String,
    /// `LC_ALL`; empty leaves it unset.
    pub lc_all: String,
    /// `LANGUAGE`; empty leaves it unset.
    pub language: String,
    /// A compiled locale that the sandbox provides through `LOCPATH`: the source name and the
    /// character map that `localedef` is given, for example `("et_EE", "UTF-8")`.
    pub compile: Option<(String, String)>,
}

/// Where the source tree is mounted: `parent/leaf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildPath {
    /// An absolute directory that the sandbox makes; builds may write beside the tree.
    pub parent: PathBuf,
    /// The name of the tree itself; `None` keeps the name that the source has on the host.
    pub leaf: Option<String>,
}

/// Who runs the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum UserIdentity {
    /// The caller, as the host knows him.
    Caller,
    /// Somebody else, who owns the source and may write it.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Login name.
        name: String,
        /// Name of the group.
        group: String,
        /// Full name, the fifth field of passwd(5).
        gecos: String,
        /// Login shell; must exist in the trial.
        login_shell: PathBuf,
    },
}

/// What `/bin/sh` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Shell {
    /// As on the host.
    Host,
    /// This program, an absolute path on the host.
    Program {
        /// For example `/usr/bin/bash`.
        path: PathBuf,
    },
}

/// The terminal of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    /// `TERM`.
    pub term: String,
    /// `COLUMNS`, and the width of the terminal where there is one; `None` leaves it unset.
    pub columns: Option<u16>,
    /// Whether the standard streams are a terminal.
    pub tty: bool,
}

/// In which order directories list their entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum DirectoryOrder {
    /// As the file system gives them.
    Host,
    /// By a keyed hash of the name.
    Keyed {
        /// The key.
        key: u64,
        /// The reverse of the same order, which flips every pair of names.
        reverse: bool,
    },
}

/// How many processors the build sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Cpus {
    /// All that the caller has.
    All,
    /// The first `count` of them.
    Count {
        /// At least one.
        count: u32,
    },
}

/// What the build is told of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kernel {
    /// The host's own words.
    Host,
    /// These words, in `uname` and in `/proc` alike.
    Named {
        /// `uname -r`.
        release: String,
        /// `uname -v`.
        version: String,
    },
}

/// Where random bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Randomness {
    /// The kernel.
    Host,
    /// A stream keyed by this seed, the lineage of the process, and the number of the call.
    Seeded {
        /// The seed.
        seed: u64,
    },
}

/// Numbering of inodes and devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Inodes {
    /// The file system's own.
    Host,
    /// A numbering that depends on this key alone.
    Numbered {
        /// The key.
        key: u64,
        /// How directories and blocks are counted.
        #[serde(default)]
        accounting: Accounting,
    },
}

/// How lengths and links of directories and blocks of files are counted, which each file system
/// does in its own way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accounting {
    /// Directories take whole blocks, and their links are counted, as on ext4.
    #[default]
    Blocks,
    /// Directories are as long as the names in them, their links are not counted, and files take a
    /// block more, as on btrfs.
    Names,
}

/// Which network the build finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Network {
    /// The loopback interface alone.
    Loopback,
    /// The host's own, open to the world.
    Host,
    /// Loopback and one more interface that leads nowhere.
    Isolated {
        /// The name of the interface.
        interface: String,
        /// Its addresses in CIDR notation, IPv4 or IPv6.
        addresses: Vec<String>,
    },
}

impl Setting {
    /// The slot that this setting fills.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Clock(_) => Slot::Clock,
            Self::Timezone(_) => Slot::Timezone,
            Self::Locale(_) => Slot::Locale,
            Self::Umask(_) => Slot::Umask,
            Self::BuildPath(_) => Slot::BuildPath,
            Self::Hostname(_) => Slot::Hostname,
            Self::Domain(_) => Slot::Domain,
            Self::User(_) => Slot::User,
            Self::Home(_) => Slot::Home,
            Self::Variables(_) => Slot::Variables,
            Self::ExecPath(_) => Slot::ExecPath,
            Self::Shell(_) => Slot::Shell,
            Self::Terminal(_) => Slot::Terminal,
            Self::DirectoryOrder(_) => Slot::DirectoryOrder,
            Self::SourceMtime(_) => Slot::SourceMtime,
            Self::SourceMode(_) => Slot::SourceMode,
            Self::SourceOwner(_) => Slot::SourceOwner,
            Self::Cpus(_) => Slot::Cpus,
            Self::Kernel(_) => Slot::Kernel,
            Self::RandomAddresses(_) => Slot::RandomAddresses,
            Self::LastPid(_) => Slot::LastPid,
            Self::Randomness(_) => Slot::Randomness,
            Self::Inodes(_) => Slot::Inodes,
            Self::Network(_) => Slot::Network,
        }
    }
}

impl Environment {
    /// Fills the setting's slot.
    pub fn apply(&mut self, setting: &Setting) {
        match setting.clone() {
            Setting::Clock(value) => self.clock = value,
            Setting::Timezone(value) => self.timezone = value,
            Setting::Locale(value) => self.locale = value,
            Setting::Umask(value) => self.umask = value,
            Setting::BuildPath(value) => self.build_path = value,
            Setting::Hostname(value) => self.hostname = value,
            Setting::Domain(value) => self.domain = value,
            Setting::User(value) => self.user = value,
            Setting::Home(value) => self.home = value,
            Setting::Variables(value) => self.variables = value,
            Setting::ExecPath(value) => self.exec_path = value,
            Setting::Shell(value) => self.shell = value,
            Setting::Terminal(value) => self.terminal = value,
            Setting::DirectoryOrder(value) => self.directory_order = value,
            Setting::SourceMtime(value) => self.source_mtime = value,
            Setting::SourceMode(value) => self.source_mode = value,
            Setting::SourceOwner(value) => self.source_owner = value,
            Setting::Cpus(value) => self.cpus = value,
            Setting::Kernel(value) => self.kernel = value,
            Setting::RandomAddresses(value) => self.random_addresses = value,
            Setting::LastPid(value) => self.last_pid = value,
            Setting::Randomness(value) => self.randomness = value,
            Setting::Inodes(value) => self.inodes = value,
            Setting::Network(value) => self.network = value,
        }
    }
}

impl Default for Environment {
    /// What a trial has where no variation says anything: fixed values that owe nothing to the
    /// host. The catalogue's control levels override them.
    fn default() -> Self {
        Self {
            clock: Clock::Host,
            timezone: "UTC".into(),
            locale: Locale {
                lang: "C.UTF-8".into(),
                lc_all: "C.UTF-8".into(),
                language: String::new(),
                compile: None,
            },
            umask: 0o022,
            build_path: BuildPath {
                parent: "/reprobe/build".into(),
                leaf: None,
            },
            hostname: "reprobe".into(),
            domain: "(none)".into(),
            user: UserIdentity::Caller,
            home: "/reprobe/home".into(),
            variables: BTreeMap::new(),
            exec_path: Vec::new(),
            shell: Shell::Host,
            terminal: Terminal {
                term: "dumb".into(),
                columns: None,
                tty: false,
            },
            directory_order: DirectoryOrder::Host,
            source_mtime: SourceMtime::AsGiven,
            source_mode: SourceMode::AsGiven,
            source_owner: SourceOwner::AsGiven,
            cpus: Cpus::All,
            kernel: Kernel::Host,
            random_addresses: true,
            last_pid: None,
            randomness: Randomness::Host,
            inodes: Inodes::Host,
            network: Network::Loopback,
            stack: 0,
        }
    }
}
