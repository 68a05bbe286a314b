//! Who owns the sources, as the trial sees it. The kernel lets the build's user write them in every
//! environment, whoever they are said to belong to: so the same builds succeed, and only who looks
//! at owners sees a difference. What the build makes is its own.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use super::engine::Supervisor;
use super::tracee::lock;
use super::view::{Status, file_of};
use crate::sandbox::host::names_if_allowed;
use crate::sandbox::sys::tracee as sys;

/// User and group, as the trial sees them.
pub(super) type Owner = (u32, u32);

/// Who the sources are said to belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The source tree in the trial's view.
    pub directory: PathBuf,
    /// Whose they are.
    pub owner: SourcesOwner,
}

/// Whose the sources are said to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SourcesOwner {
    /// This user's and group's.
    One {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Those of a tree on the host.
    Given {
        /// The tree.
        tree: PathBuf,
        /// The caller's user and group.
        caller: (u32, u32),
        /// The build's, as the trial sees them.
        builder: (u32, u32),
        /// What is the caller's stays his; else it is the build user's.
        kept: bool,
    },
}

/// The owners that a trial sees of its sources.
#[derive(Debug)]
pub(super) struct Owners {
    sources: Sources,
    /// Whose the files of the tree on the host are, by their paths in it, where that is asked for.
    given: BTreeMap<PathBuf, Owner>,
    /// What of that tree could not be looked at.
    unknown: Option<String>,
    /// By device and inode; met when the build begins.
    met: OnceLock<Mutex<BTreeMap<(u64, u64), Shown>>>,
}

/// One source.
#[derive(Debug, Clone, Copy)]
struct Shown {
    /// As it was met: who is given the file by the build owns it.
    stored: Owner,
    /// What is shown instead.
    shown: Owner,
}

impl Owners {
    /// Looks at the tree on the host now: later on, threads look at files as the build's user, who may
    /// not even pass the directories above it.
    pub(super) fn new(sources: Sources) -> Self {
        let mut given = BTreeMap::new();
        let looked = match &sources.owner {
            SourcesOwner::Given { tree, .. } => look(tree, Path::new(""), &mut given),
            SourcesOwner::One { .. } => Ok(()),
        };
        let unknown = looked.err().map(|error| error.to_string());
        Self {
            sources,
            given,
            unknown,
            met: OnceLock::new(),
        }
    }

    /// Looks at every source once, before the build can have made anything. `inside` turns the
    /// kernel's ids into the trial's.
    pub(super) fn meet(&self, supervisor: &Supervisor, tid: u32, inside: impl Fn(Owner) -> Owner) {
        self.met.get_or_init(|| {
            let mut found = BTreeMap::new();
            let walked = self.walk(supervisor, tid, &inside, &mut found);
            if let Some(why) = &self.unknown {
                supervisor.problem(format!("looking at the owners of the sources: {why}"));
            }
            if let Err(errno) = walked {
                supervisor.problem(format!("looking at the owners of the sources: {errno}"));
            }
            Mutex::new(found)
        });
    }

    fn walk(
        &self,
        supervisor: &Supervisor,
        tid: u32,
        inside: &impl Fn(Owner) -> Owner,
        found: &mut BTreeMap<(u64, u64), Shown>,
    ) -> Result<(), Errno> {
        let root = supervisor
            .tracees
            .open_proc(&format!("{tid}/root"), OFlag::O_PATH)?;
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT);
        let top = openat2(&root, self.sources.directory.as_path(), how)?;
        let mut add = |status: &Status, path: &Path| {
            let stored = inside((status.stx_uid, status.stx_gid));
            let file = file_of(status);
            if let Some(shown) = self.shown(stored, path) {
                found.insert(file, Shown { stored, shown });
            }
        };
        let own = sys::statx(
            top.as_fd(),
            c"",
            libc::AT_EMPTY_PATH,
            libc::STATX_BASIC_STATS,
        )?;
        add(&own, Path::new(""));
        visit(&top, Path::new(""), &mut add)
    }

    /// What is shown of a source, by its path in the tree; nothing where it is what is stored.
    fn shown(&self, stored: Owner, path: &Path) -> Option<Owner> {
        let shown = match &self.sources.owner {
            SourcesOwner::One { uid, gid } => (*uid, *gid),
            SourcesOwner::Given {
                caller,
                builder,
                kept,
                ..
            } => {
                let given = self.given.get(path)?;
                let of = |given: u32, caller: u32, builder: u32, stored: u32| match stored {
                    // Somebody whom the trial has no name for.
                    _ if stored != builder => stored,
                    _ if given == caller && !kept => builder,
                    _ => given,
                };
                (
                    of(given.0, caller.0, builder.0, stored.0),
                    of(given.1, caller.1, builder.1, stored.1),
                )
            }
        };
        (shown != stored).then_some(shown)
    }

    /// A file that was met under the name of a link, or was made anew, is this source.
    pub(super) fn is_also(&self, file: (u64, u64), source: (u64, u64)) {
        if let Some(met) = self.met.get() {
            let mut met = lock(met);
            if let Some(shown) = met.get(&source).copied() {
                met.entry(file).or_insert(shown);
            }
        }
    }

    /// Shows a source's owner; whether that is another one than the kernel says.
    pub(super) fn show(&self, status: &mut Status) -> bool {
        let file = file_of(status);
        let known = self.met.get().and_then(|met| lock(met).get(&file).copied());
        let Some(Shown { stored, shown }) = known else {
            return false;
        };
        let before = (status.stx_uid, status.stx_gid);
        if status.stx_uid == stored.0 {
            status.stx_uid = shown.0;
        }
        if status.stx_gid == stored.1 {
            status.stx_gid = shown.1;
        }
        before != (status.stx_uid, status.stx_gid)
    }

    /// The build gives a file to somebody: from now on that is shown.
    pub(super) fn give(&self, file: (u64, u64), user: bool, group: bool) {
        let Some(met) = self.met.get() else {
            return;
        };
        if let Some(known) = lock(met).get_mut(&file) {
            if user {
                known.shown.0 = known.stored.0;
            }
            if group {
                known.shown.1 = known.stored.1;
            }
        }
    }
}

/// Whose a file of the host is, and everything below it. What the caller cannot list no build sees.
fn look(tree: &Path, path: &Path, given: &mut BTreeMap<PathBuf, Owner>) -> io::Result<()> {
    let at = tree.join(path);
    let metadata = fs::symlink_metadata(&at)?;
    given.insert(path.to_owned(), (metadata.uid(), metadata.gid()));
    if metadata.is_dir() {
        for name in names_if_allowed(&at)?.unwrap_or_default() {
            look(tree, &path.join(name), given)?;
        }
    }
    Ok(())
}

/// Looks at every entry below a directory.
fn visit(
    directory: &OwnedFd,
    path: &Path,
    add: &mut impl FnMut(&Status, &Path),
) -> Result<(), Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = |name: &CStr| {
        openat(directory, name, flags | OFlag::O_NOATIME, Mode::empty())
            // Somebody else's directory.
            .or_else(|_| openat(directory, name, flags, Mode::empty()))
    };
    // Whoever may not read a directory cannot see what is in it.
    let Ok(reader) = open(c".") else {
        return Ok(());
    };
    for entry in Dir::from_fd(reader)?.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let mask = libc::STATX_BASIC_STATS;
        let status = sys::statx(directory.as_fd(), name, libc::AT_SYMLINK_NOFOLLOW, mask)?;
        let path = path.join(OsStr::from_bytes(name.to_bytes()));
        add(&status, &path);
        let is_directory = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
        if is_directory && let Ok(below) = open(name) {
            visit(&below, &path, add)?;
        }
    }
    Ok(())
}
