//! The set-up of a trial as data: what is mounted where, which masks, which identity, in the order
//! in which it is done. How each step is done is in `apply`; which steps a trial needs, in
//! `layout`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One step of the set-up. Paths named `at` are the trial's view, all others the host's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "op")]
pub enum SetupOp {
    /// Stops mounts of the trial from reaching the host.
    MakePrivate,
    /// An empty file system in memory.
    Memory {
        /// Mount point.
        at: PathBuf,
        /// Permission bits of its top directory.
        mode: u32,
        /// A limit in the words of `tmpfs(5)`, for example `50%`.
        size: String,
        /// Nothing may be written.
        read_only: bool,
    },
    /// Memory for the layers that say [`Backing::Pool`], outside of the trial's view.
    Pool {
        /// Where it is mounted.
        dir: PathBuf,
        /// A limit in the words of `tmpfs(5)`, for example `50%`.
        size: String,
    },
    /// An empty directory that nobody may write to, in the place of a home of the host.
    Home {
        /// The home.
        at: PathBuf,
        /// What later steps mount in it, and whether that is a directory.
        places: BTreeMap<PathBuf, bool>,
        /// Symbolic links in it, and where they point.
        links: BTreeMap<PathBuf, PathBuf>,
    },
    /// A writable view of directories that stay untouched.
    Overlay {
        /// Mount point.
        at: PathBuf,
        /// What shows through, the uppermost first.
        lower: Vec<PathBuf>,
        /// Where changes go.
        backing: Backing,
        /// Directories below `at` that exist although `lower` lacks them.
        premade: Vec<PathBuf>,
        /// Which of the request's owner maps the lower layers are seen through.
        mapped: Option<usize>,
        /// Where no overlay is possible here, a read-only view will do.
        or_read_only: bool,
    },
    /// A read-only view of a file or directory of the host, with all that is mounted below it.
    ReadOnly {
        /// What is seen.
        from: PathBuf,
        /// Mount point.
        at: PathBuf,
    },
    /// An empty writable directory.
    Fresh {
        /// Mount point.
        at: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Whether it belongs to the build's user.
        owned: bool,
        /// Where its files go.
        backing: Backing,
    },
    /// A symbolic link.
    Link {
        /// The link.
        at: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A directory, with those above it that are missing.
    Directory {
        /// The directory.
        at: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// Lets everybody pass through a directory that the host keeps closed.
    Passable {
        /// The directory.
        at: PathBuf,
    },
    /// A /proc that shows the trial's processes alone.
    Proc,
    /// A read-only /sys.
    Sys,
    /// A minimal /dev with pseudo-terminals and shared memory of its own.
    Devices {
        /// Whether terminals get the group that the host gives them (needs its id mapped).
        terminal_group: bool,
        /// Whether pipes that the supervisor feeds stand in place of the random devices.
        seeded_random: bool,
        /// Whether sandboxes of the build's own can mount a /proc.
        own_proc: bool,
    },
    /// Makes all of this the root directory and lets go of the host's.
    EnterRoot,
    /// Fixed text instead of a file, where the file exists.
    Mask {
        /// The file.
        at: PathBuf,
        /// Its text.
        text: String,
    },
    /// Other text in a file of the trial's own copy of the system.
    Rewrite {
        /// The file.
        at: PathBuf,
        /// Its text.
        text: String,
    },
    /// Another program in the place of one.
    Replace {
        /// What is replaced; a symbolic link is replaced itself.
        at: PathBuf,
        /// The program, a path in the trial's view.
        program: PathBuf,
    },
    /// Makes what could change the host's kernel read-only.
    ProtectKernel,
    /// A directory of the trial's own in the place of `/proc/sys/kernel/random`: the supervisor
    /// puts identifiers there.
    Identifiers,
    /// Host and domain name.
    Names {
        /// sethostname(2).
        host: String,
        /// setdomainname(2).
        domain: String,
    },
    /// Sets the loopback interface going.
    Loopback,
    /// A further network interface that leads nowhere.
    Interface {
        /// Its name.
        name: String,
        /// Its addresses in CIDR notation.
        addresses: Vec<String>,
    },
    /// Monotonic clocks that start at the same value in every trial.
    MonotonicClocks {
        /// Seconds.
        start: i64,
    },
    /// The pid after which the build's processes are numbered.
    LastPid {
        /// The pid.
        pid: u32,
    },
    /// The processors that the build may use.
    Affinity {
        /// Their numbers.
        cpus: Vec<usize>,
    },
    /// Addresses are not randomised: `ADDR_NO_RANDOMIZE` of personality(2).
    FixedAddresses,
    /// Resource limits of the build; what is absent stays as the caller has it.
    Limits(Limits),
    /// The mask of permission bits for new files.
    Umask {
        /// The mask.
        mask: u32,
    },
    /// Gives up powers over the host that builds do not need.
    DropCapabilities,
    /// Who runs the build.
    Identity {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Further groups; `None` keeps the caller's.
        groups: Option<Vec<u32>>,
    },
    /// Where the build starts.
    Enter {
        /// The directory.
        at: PathBuf,
    },
}

/// Where the files of a writable directory go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Backing {
    /// A directory of the session's scratch space.
    Disk {
        /// The directory; the sandbox makes it.
        dir: PathBuf,
    },
    /// A directory of the trial's pool of memory, for what builds seldom write: the system and the
    /// toolchains.
    Pool {
        /// The directory; the sandbox makes it.
        dir: PathBuf,
    },
    /// Memory, where the scratch space cannot hold an upper layer.
    Memory {
        /// Where it is mounted outside the trial's view; the sandbox makes it.
        dir: PathBuf,
        /// A limit in the words of `tmpfs(5)`.
        size: String,
    },
}

/// Resource limits of a build, see setrlimit(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space of each process, in bytes.
    pub memory: Option<u64>,
    /// Processes of the build's user; the kernel does not hold root to it.
    pub processes: Option<u64>,
}

impl Backing {
    /// The directory that holds the files.
    pub fn dir(&self) -> &PathBuf {
        match self {
            Self::Disk { dir } | Self::Pool { dir } | Self::Memory { dir, .. } => dir,
        }
    }
}

impl SetupOp {
    /// The directory or link that the step makes, if it makes one.
    pub fn mount_point(&self) -> Option<&PathBuf> {
        match self {
            Self::Memory { at, .. }
            | Self::Home { at, .. }
            | Self::Overlay { at, .. }
            | Self::ReadOnly { at, .. }
            | Self::Fresh { at, .. }
            | Self::Link { at, .. }
            | Self::Directory { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Whether the step belongs to the build's process alone, not to the trial as a whole.
    pub fn is_of_build(&self) -> bool {
        matches!(
            self,
            Self::Affinity { .. }
                | Self::FixedAddresses
                | Self::Limits(_)
                | Self::Umask { .. }
                | Self::DropCapabilities
                | Self::Identity { .. }
                | Self::Enter { .. }
        )
    }
}

impl fmt::Display for SetupOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakePrivate => f.write_str("keep mounts to the trial"),
            Self::EnterRoot => f.write_str("enter the new root"),
            Self::Proc => f.write_str("proc at /proc"),
            Self::Sys => f.write_str("read-only /sys"),
            Self::Devices { .. } => f.write_str("minimal /dev"),
            Self::ProtectKernel => f.write_str("read-only /proc/sys"),
            Self::Identifiers => f.write_str("identifiers in /proc/sys/kernel/random"),
            Self::Loopback => f.write_str("loopback interface up"),
            Self::DropCapabilities => f.write_str("drop capabilities"),
            Self::FixedAddresses => f.write_str("fixed addresses"),
            _ => self.fmt_mount(f),
        }
    }
}

impl SetupOp {
    fn fmt_mount(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { at, size, .. } => {
                write!(f, "memory of at most {size} at {}", at.display())
            }
            Self::Home { at, .. } => write!(f, "empty home at {}", at.display()),
            Self::Pool { size, .. } => {
                write!(f, "memory of at most {size} for changes of the system")
            }
            Self::Overlay {
                at, lower, mapped, ..
            } => {
                write!(f, "overlay at {} over", at.display())?;
                for layer in lower {
                    write!(f, " {}", layer.display())?;
                }
                f.write_str(if mapped.is_some() {
                    " with mapped owners"
                } else {
                    ""
                })
            }
            Self::ReadOnly { from, at } if from == at => write!(f, "read-only {}", at.display()),
            Self::ReadOnly { from, at } => {
                write!(f, "read-only {} at {}", from.display(), at.display())
            }
            Self::Fresh { at, mode, .. } => write!(f, "empty {} mode {mode:04o}", at.display()),
            Self::Link { at, target } => {
                write!(f, "link {} to {}", at.display(), target.display())
            }
            Self::Directory { at, .. } => write!(f, "directory {}", at.display()),
            Self::Passable { at } => write!(f, "passage through {}", at.display()),
            Self::Mask { at, .. } => write!(f, "mask {}", at.display()),
            Self::Rewrite { at, .. } => write!(f, "rewrite {}", at.display()),
            Self::Replace { at, program } => {
                write!(f, "{} in the place of {}", program.display(), at.display())
            }
            _ => self.fmt_process(f),
        }
    }

    fn fmt_process(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names { host, domain } => write!(f, "host name {host}, domain {domain}"),
            Self::Interface { name, addresses } => {
                write!(f, "interface {name} with {}", addresses.join(" "))
            }
            Self::MonotonicClocks { start } => write!(f, "monotonic clocks start at {start} s"),
            Self::LastPid { pid } => write!(f, "last pid {pid}"),
            Self::Affinity { cpus } => {
                let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
                write!(f, "processors {}", cpus.join(","))
            }
            Self::Limits(limits) => {
                f.write_str("limits: no core dumps")?;
                if let Some(bytes) = limits.memory {
                    write!(f, ", {bytes} bytes of address space")?;
                }
                if let Some(count) = limits.processes {
                    write!(f, ", {count} processes")?;
                }
                Ok(())
            }
            Self::Umask { mask } => write!(f, "umask {mask:03o}"),
            Self::Identity { uid, gid, .. } => write!(f, "user {uid}, group {gid}"),
            Self::Enter { at } => write!(f, "directory {}", at.display()),
            _ => Ok(()),
        }
    }
}
