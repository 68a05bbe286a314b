//! Finds the file that a path means to a process of the trial: by its root, its working directory,
//! its descriptors and its credentials, from a process that has other ones.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::Mode;

use super::engine::{Answer, Event, Supervisor};
use super::guise::{Guise, IdMap, Identity};
use super::low;
use super::tracee::{Tracees, lock};
use crate::sandbox::sys::tracee as sys;

/// `statx` as it comes from the kernel.
pub(super) type Status = libc::statx;

/// Which file it is of: device and inode.
pub(super) fn file_of(status: &Status) -> (u64, u64) {
    let device = libc::makedev(status.stx_dev_major, status.stx_dev_minor);
    (device, status.stx_ino)
}

/// A look-up that is disturbed so often is the kernel's.
const TRIES: usize = 100;

/// The id that leaves an id as it is, `setreuid(2)`.
const UNCHANGED: u32 = u32::MAX;

/// Where a process stands in the file system, and as whom.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// The root of the trial, and who its processes are.
    common: Mutex<Option<Arc<Footing>>>,
    /// Somebody has changed root, mounts or credentials: every process is asked for its own.
    diverse: AtomicBool,
}

#[derive(Debug)]
struct Footing {
    root: OwnedFd,
    identity: Identity,
    /// Lines of `uid_map` and `gid_map`, where ids differ from ours.
    users: IdMap,
    groups: IdMap,
}

impl Footing {
    fn of(tracees: &Tracees, tid: u32) -> Result<Self, Errno> {
        let root = tracees.open_proc(&format!("{tid}/root"), OFlag::O_PATH)?;
        let identity = Identity::of(tracees, &tid.to_string()).ok_or(Errno::ESRCH)?;
        let map = |name: &str| {
            let text = tracees
                .read_proc(&format!("{tid}/{name}"))
                .unwrap_or_default();
            IdMap::parse(&String::from_utf8_lossy(&text))
        };
        let (users, groups) = if namespace(tracees, tid) == namespace(tracees, std::process::id()) {
            (IdMap::same(), IdMap::same())
        } else {
            (map("uid_map"), map("gid_map"))
        };
        Ok(Self {
            root,
            identity,
            users,
            groups,
        })
    }
}

fn namespace(tracees: &Tracees, pid: u32) -> Option<std::ffi::OsString> {
    tracees.link(&format!("{pid}/ns/user")).ok()
}

/// A file as a process names it.
#[derive(Debug)]
pub(super) struct Name<'a> {
    /// `AT_FDCWD`, or a descriptor of the process.
    pub(super) directory: i32,
    /// Empty for the descriptor itself.
    pub(super) path: &'a CStr,
    /// Whether a symbolic link at the end is followed.
    pub(super) follow: bool,
}

impl<'a> Name<'a> {
    /// A file as a call names it that takes flags, of which the kernel knows these.
    pub(super) fn new(
        directory: i32,
        path: &'a CStr,
        flags: i32,
        known: i32,
    ) -> Result<Self, Errno> {
        if flags & !known != 0 {
            return Err(Errno::EINVAL);
        }
        if path.is_empty() && flags & libc::AT_EMPTY_PATH == 0 {
            return Err(Errno::ENOENT);
        }
        Ok(Self {
            directory,
            path,
            follow: flags & libc::AT_SYMLINK_NOFOLLOW == 0,
        })
    }
}

impl Views {
    /// The processes of the trial no longer share root, mounts and credentials.
    pub(super) fn diverge(&self) {
        self.diverse.store(true, Ordering::Relaxed);
    }

    /// A process takes on a user, in any of the first `count` arguments. make becomes who
    /// it is before each command, which changes nothing.
    pub(super) fn become_user(&self, tracees: &Tracees, event: &Event, count: usize) -> Answer {
        self.take_on(tracees, event, count, |footing| {
            footing.users.inside(footing.identity.user)
        })
    }

    /// A process takes on a group.
    pub(super) fn become_group(&self, tracees: &Tracees, event: &Event, count: usize) -> Answer {
        self.take_on(tracees, event, count, |footing| {
            footing.groups.inside(footing.identity.group)
        })
    }

    fn take_on(
        &self,
        tracees: &Tracees,
        event: &Event,
        count: usize,
        own: impl Fn(&Footing) -> u32,
    ) -> Answer {
        if !self.diverse.load(Ordering::Relaxed) {
            // The caller is still who everybody is.
            let own = self
                .footing(tracees, event.tid)
                .map(|footing| own(&footing));
            let ids = event.args.iter().take(count);
            let mut ids = ids.map(|id| low(*id).cast_unsigned());
            if !own.is_ok_and(|own| ids.all(|id| id == own || id == UNCHANGED)) {
                self.diverge();
            }
        }
        Answer::Continue
    }

    /// The build begins: what happened before was the sandbox preparing it.
    pub(super) fn begin(&self) {
        *lock(&self.common) = None;
        self.diverse.store(false, Ordering::Relaxed);
    }

    /// A user and a group of ours as a process of the trial knows them.
    pub(super) fn inside(
        &self,
        tracees: &Tracees,
        tid: u32,
        (user, group): (u32, u32),
    ) -> (u32, u32) {
        match self.footing(tracees, tid) {
            Ok(footing) => (footing.users.inside(user), footing.groups.inside(group)),
            Err(_) => (user, group),
        }
    }

    fn footing(&self, tracees: &Tracees, tid: u32) -> Result<Arc<Footing>, Errno> {
        if self.diverse.load(Ordering::Relaxed) {
            return Footing::of(tracees, tid).map(Arc::new);
        }
        let mut common = lock(&self.common);
        if let Some(footing) = common.as_ref() {
            return Ok(Arc::clone(footing));
        }
        let footing = Arc::new(Footing::of(tracees, tid)?);
        *common = Some(Arc::clone(&footing));
        Ok(footing)
    }
}

/// What `statx(2)` would tell the process. Any error means: the kernel should say it.
pub(super) fn status(
    supervisor: &Supervisor,
    event: &Event,
    guise: &mut Guise,
    name: &Name<'_>,
    mask: u32,
    flags: i32,
) -> Result<(Status, Found), Errno> {
    let tracees = &supervisor.tracees;
    let footing = supervisor.views.footing(tracees, event.tid)?;
    guise.assume(tracees, &footing.identity);
    let found = if name.path.is_empty() {
        start(tracees, event.tid, name.directory).map(Found::whole)?
    } else {
        by_path(tracees, event.tid, &footing, name)?
    };
    let more = if found.leaf.is_empty() {
        libc::AT_EMPTY_PATH
    } else {
        libc::AT_SYMLINK_NOFOLLOW
    };
    let mut status = sys::statx(found.file.as_fd(), &found.leaf, flags | more, mask)?;
    status.stx_uid = footing.users.inside(status.stx_uid);
    status.stx_gid = footing.groups.inside(status.stx_gid);
    Ok((status, found))
}

/// Where a look-up led: a file, or a name in a directory.
#[derive(Debug)]
pub(super) struct Found {
    file: OwnedFd,
    /// Empty for the file itself.
    leaf: CString,
}

impl Found {
    fn whole(file: OwnedFd) -> Self {
        Self {
            file,
            leaf: CString::default(),
        }
    }

    /// The file, where it was found by all of its path.
    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// The file, to be read.
    pub(super) fn open(&self, tracees: &Tracees) -> Result<OwnedFd, Errno> {
        if self.leaf.is_empty() {
            let path = format!("thread-self/fd/{}", self.file.as_raw_fd());
            return tracees.open_proc(&path, OFlag::O_RDONLY);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.file, self.leaf.as_c_str(), flags, Mode::empty())
    }

    /// The path of the file in the trial's view.
    pub(super) fn path(&self, tracees: &Tracees) -> Vec<u8> {
        let link = format!("thread-self/fd/{}", self.file.as_raw_fd());
        let mut path = PathBuf::from(tracees.link(&link).unwrap_or_default());
        if !self.leaf.is_empty() {
            path.push(OsStr::from_bytes(self.leaf.to_bytes()));
        }
        path.into_os_string().into_vec()
    }
}

/// Where a process begins to look: at its working directory, or at one of its descriptors.
fn start(tracees: &Tracees, tid: u32, directory: i32) -> Result<OwnedFd, Errno> {
    if directory == libc::AT_FDCWD {
        tracees.open_proc(&format!("{tid}/cwd"), OFlag::O_PATH)
    } else {
        tracees.file(tid, directory)
    }
}

fn by_path(
    tracees: &Tracees,
    tid: u32,
    footing: &Footing,
    name: &Name<'_>,
) -> Result<Found, Errno> {
    let bytes = name.path.to_bytes();
    if let Some(number) = own_descriptor(bytes).filter(|_| name.follow) {
        return tracees.file(tid, number).map(Found::whole);
    }
    if let Some((is_thread, entry)) = own_entry(bytes) {
        let group = || tracees.status(tid).ok()?.group;
        let owner = if is_thread {
            tid
        } else {
            group().unwrap_or(tid)
        };
        let link = if name.follow {
            OFlag::empty()
        } else {
            OFlag::O_NOFOLLOW
        };
        let path = format!("{owner}/{entry}");
        return tracees
            .open_proc(&path, OFlag::O_PATH | link)
            .map(Found::whole);
    }
    if is_about_the_caller(bytes) {
        return Err(Errno::EXDEV);
    }
    let file = if bytes.starts_with(b"/") {
        open(&footing.root, name, name.path, ResolveFlag::RESOLVE_IN_ROOT)?
    } else {
        let start = start(tracees, tid, name.directory)?;
        if !name.follow && !bytes.contains(&b'/') && bytes != b".." {
            // One name in one directory leads nowhere else.
            return Ok(Found {
                file: start,
                leaf: name.path.to_owned(),
            });
        }
        match open(&start, name, name.path, ResolveFlag::RESOLVE_BENEATH) {
            // It leaves the directory: by the trial's root, then.
            Err(Errno::EXDEV) => {
                let whole = whole_path(tracees, &start, bytes)?;
                open(&footing.root, name, &whole, ResolveFlag::RESOLVE_IN_ROOT)?
            }
            other => other?,
        }
    };
    Ok(Found::whole(file))
}

fn open(
    start: &OwnedFd,
    name: &Name<'_>,
    path: &CStr,
    resolve: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    let follow = if name.follow {
        OFlag::empty()
    } else {
        OFlag::O_NOFOLLOW
    };
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | follow)
        .resolve(resolve);
    // EAGAIN: somebody, somewhere, renamed something while a `..` was looked up; openat2(2).
    for _ in 1..TRIES {
        match openat2(start, path, how) {
            Err(Errno::EAGAIN) => {}
            other => return other,
        }
    }
    openat2(start, path, how)
}

/// A path that leaves its directory, from the root of the trial.
fn whole_path(tracees: &Tracees, start: &OwnedFd, path: &[u8]) -> Result<CString, Errno> {
    let directory = tracees.link(&format!("thread-self/fd/{}", start.as_raw_fd()))?;
    let directory = PathBuf::from(directory);
    // A deleted directory has no path; only the kernel knows what lies above it.
    if !directory.is_absolute() || directory.as_os_str().as_bytes().ends_with(b" (deleted)") {
        return Err(Errno::ENOENT);
    }
    let whole = directory.join(Path::new(OsStr::from_bytes(path)));
    CString::new(whole.into_os_string().into_vec()).map_err(|_| Errno::EINVAL)
}

/// The directory of a path, and the name in it.
pub(super) fn split(path: &CStr) -> Result<(CString, CString), Errno> {
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    let name = path.file_name().ok_or(Errno::EEXIST)?;
    let above = match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => return Err(Errno::EEXIST),
    };
    let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| Errno::EINVAL);
    Ok((text(above.as_os_str())?, text(name)?))
}

/// The descriptor that a path names by `/dev/fd` or `/proc/self/fd`.
fn own_descriptor(path: &[u8]) -> Option<i32> {
    let number = match path {
        b"/dev/stdin" => return Some(0),
        b"/dev/stdout" => return Some(1),
        b"/dev/stderr" => return Some(2),
        _ => [
            &b"/dev/fd/"[..],
            b"/proc/self/fd/",
            b"/proc/thread-self/fd/",
        ]
        .iter()
        .find_map(|prefix| path.strip_prefix(*prefix))?,
    };
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// What a path names of the process (or the thread: true) that uses it: its executable, its working
/// directory and the like, and nothing behind them.
fn own_entry(path: &[u8]) -> Option<(bool, &str)> {
    let (is_thread, entry) = match path.strip_prefix(b"/proc/self/") {
        Some(entry) => (false, entry),
        None => (true, path.strip_prefix(b"/proc/thread-self/")?),
    };
    let entry = std::str::from_utf8(entry).ok()?;
    let is_one = !entry.is_empty() && !entry.contains('/') && entry != "..";
    is_one.then_some((is_thread, entry))
}

/// Whether a path speaks of the process that uses it, which we are not.
fn is_about_the_caller(path: &[u8]) -> bool {
    [&b"/proc/self"[..], b"/proc/thread-self", b"/dev/fd"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

impl Tracees {
    /// Where a symbolic link below `/proc` leads.
    pub(super) fn link(&self, path: &str) -> Result<std::ffi::OsString, Errno> {
        readlinkat(self.proc(), path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::supervisor::arch::{ABIS, identify};

    #[test]
    fn who_becomes_who_it_is_already_does_not_part_from_the_others() {
        let tracees = Tracees::new().unwrap();
        let own = nix::unistd::Uid::effective().as_raw();
        let becomes = |users: &[u32]| {
            let views = Views::default();
            let (abi, trap) = identify(ABIS[0].audit, 117).unwrap();
            let mut event = Event {
                id: 0,
                tid: std::process::id(),
                abi,
                trap,
                args: [7; 6],
                place: 0,
            };
            for (place, user) in event.args.iter_mut().zip(users) {
                *place = u64::from(*user);
            }
            views.become_user(&tracees, &event, users.len());
            views.diverse.into_inner()
        };
        assert!(!becomes(&[own]));
        assert!(!becomes(&[UNCHANGED, own, UNCHANGED]));
        assert!(becomes(&[own + 1]));
        assert!(becomes(&[own, own, own + 1]));
    }

    #[test]
    fn paths_that_speak_of_the_caller_are_known() {
        assert_eq!(own_descriptor(b"/dev/stdout"), Some(1));
        assert_eq!(own_descriptor(b"/proc/self/fd/17"), Some(17));
        assert_eq!(own_descriptor(b"/dev/fd/x"), None);
        assert!(is_about_the_caller(b"/proc/self/exe"));
        assert!(!is_about_the_caller(b"/dev/null"));
    }
}
