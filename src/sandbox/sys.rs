//! The one module with `unsafe`: kernel calls that no crate in use wraps, each behind a safe
//! function that says what it needs. No policy lives here.

#![expect(
    unsafe_code,
    reason = "raw kernel calls; every use states why it is sound"
)]

pub(super) mod hook;
pub(super) mod lease;
pub(super) mod notify;
pub(super) mod page;
pub(super) mod tracee;

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Pid;

// linux/mount.h; the C library's crate has none of these.
const OPEN_TREE_CLONE: libc::c_int = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_int = 4;
const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
#[derive(Debug, Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The parent, and the pid of the child as the parent sees it.
    Parent(Pid),
    /// The child.
    Child,
}

/// Threads other than the caller would not exist in a child, and with them the owners of locks:
/// a fork is sound only where there are none.
fn refuse_threads() -> Result<(), Errno> {
    // Two links are "." and the parent's entry; each thread's directory adds one.
    match std::fs::metadata("/proc/self/task") {
        Ok(task) if task.nlink() > 3 => Err(Errno::EBUSY),
        _ => Ok(()),
    }
}

/// fork(2). `EBUSY` where the process has more than one thread.
pub fn fork() -> Result<Fork, Errno> {
    refuse_threads()?;
    // SAFETY: the process has a single thread, so the child inherits no lock that somebody holds.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Fork::Parent(child)),
        nix::unistd::ForkResult::Child => Ok(Fork::Child),
    }
}

/// A fork whose child lives in new namespaces (`libc::CLONE_NEW*`), see clone(2). `EBUSY` where
/// the process has more than one thread.
pub fn fork_into(namespaces: i32) -> Result<Fork, Errno> {
    refuse_threads()?;
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with a null stack, clone behaves as fork: the child runs on a
    // copy of this stack; the process has a single thread (checked above).
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok(match i32::try_from(pid) {
        Ok(0) | Err(_) => Fork::Child,
        Ok(pid) => Fork::Parent(Pid::from_raw(pid)),
    })
}

/// Gives a process that is about to execute a build the signals of a fresh login: nothing blocked, and
/// nothing ignored (the runtime ignores `SIGPIPE`, nohup `SIGHUP`, and a shell's `&` in a script
/// `SIGINT`); and no descriptor but the standard streams.
pub fn forget_inheritance() -> Result<(), Errno> {
    use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

    let fixed = [Signal::SIGKILL, Signal::SIGSTOP];
    for one in Signal::iterator().filter(|one| !fixed.contains(one)) {
        // SAFETY: the default disposition runs no code of ours.
        unsafe { signal(one, SigHandler::SigDfl) }?;
    }
    SigSet::empty().thread_set_mask()?;
    // SAFETY: takes integers; with CLOSE_RANGE_CLOEXEC descriptors close at the next exec only, so
    // none is closed behind the back of its owner.
    let done = Errno::result(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    });
    match done {
        // Before Linux 5.11 descriptors that the caller leaked reach the build.
        Err(Errno::ENOSYS | Errno::EINVAL) | Ok(_) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Moves the caller into new namespaces, those that nix has no flag for included.
pub fn unshare(namespaces: i32) -> Result<(), Errno> {
    // SAFETY: unshare takes an integer and touches no memory of ours.
    Errno::result(unsafe { libc::unshare(namespaces) }).map(drop)
}

fn adopt(fd: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(fd)?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just returned this descriptor to us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `pidfd_open(2)`.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: takes two integers.
    adopt(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
}

/// Kills the process behind a pidfd (`pidfd_send_signal(2)`).
pub fn pidfd_kill(pidfd: impl AsFd) -> Result<(), Errno> {
    let fd = pidfd.as_fd().as_raw_fd();
    let null = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed and means what kill(2) would send.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, null, 0) })
        .map(drop)
}

/// Takes over descriptors that recvmsg(2) has just delivered (`SCM_RIGHTS`).
pub fn adopt_received(fds: &[RawFd]) -> Vec<OwnedFd> {
    fds.iter()
        // SAFETY: descriptors in a control message are new ones that belong to the receiver.
        .map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) })
        .collect()
}

fn c_path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// A detached copy of the mount that `path` lies on, rooted at `path` (`open_tree(2)`).
/// `recursive` takes the mounts below along. A symbolic link is opened itself if `follow` is
/// false.
pub fn clone_mount(path: &Path, recursive: bool, follow: bool) -> Result<OwnedFd, Errno> {
    let path = c_path(path)?;
    let mut flags = OPEN_TREE_CLONE | libc::O_CLOEXEC;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    if !follow {
        flags |= libc::AT_SYMLINK_NOFOLLOW;
    }
    // SAFETY: the path is a string that ends in NUL and outlives the call.
    adopt(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Attaches a detached mount at `at` (`move_mount(2)`); a symbolic link at `at` is itself covered.
pub fn attach_mount(mount: impl AsFd, at: &Path) -> Result<(), Errno> {
    let at = c_path(at)?;
    // SAFETY: both paths are strings that end in NUL and outlive the call.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            at.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(drop)
}

fn set_mount_attributes(
    mount: impl AsFd,
    recursive: bool,
    attributes: &MountAttributes,
) -> Result<(), Errno> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a static string, the attributes outlive the call, and their size is
    // given.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    })
    .map(drop)
}

/// Makes a detached mount, and with `recursive` those below it, read-only (`mount_setattr(2)`,
/// Linux 5.12).
pub fn make_read_only(mount: impl AsFd, recursive: bool) -> Result<(), Errno> {
    let attributes = MountAttributes {
        set: MOUNT_ATTR_RDONLY,
        ..MountAttributes::default()
    };
    set_mount_attributes(mount, recursive, &attributes)
}

/// Lets no device be opened on a detached mount.
pub fn forbid_devices(mount: impl AsFd) -> Result<(), Errno> {
    let attributes = MountAttributes {
        set: libc::MOUNT_ATTR_NODEV,
        ..MountAttributes::default()
    };
    set_mount_attributes(mount, false, &attributes)
}

/// Shows a detached mount through the id map of a user namespace (`mount_setattr(2)`, Linux 5.12).
pub fn map_ids(mount: impl AsFd, user_namespace: impl AsFd) -> Result<(), Errno> {
    let fd = user_namespace.as_fd().as_raw_fd();
    let attributes = MountAttributes {
        set: MOUNT_ATTR_IDMAP,
        user_namespace: u64::try_from(fd).map_err(|_| Errno::EBADF)?,
        ..MountAttributes::default()
    };
    set_mount_attributes(mount, false, &attributes)
}

/// setdomainname(2).
pub fn set_domain_name(name: &str) -> Result<(), Errno> {
    // SAFETY: pointer and length describe the same string.
    Errno::result(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Empties the inheritable set of capabilities (`capset(2)`), and with it the ambient one: what is in
/// it comes back at an execve(2) of root although the bounding set lacks it.
pub fn inherit_no_capability() -> Result<(), Errno> {
    // `_LINUX_CAPABILITY_VERSION_3`, and this process.
    let header: [u32; 2] = [0x2008_0522, 0];
    // Two times effective, permitted and inheritable.
    let mut sets = [0_u32; 6];
    // SAFETY: the kernel reads the header and fills two structures of three numbers each.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) })?;
    let [_, _, low, _, _, high] = &mut sets;
    (*low, *high) = (0, 0);
    // SAFETY: the kernel reads what it filled before.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) })
        .map(drop)
}

/// Removes a capability (`CAP_*` of capabilities(7)) from the bounding set, so that no program
/// gains it any more.
pub fn drop_capability(capability: u32) -> Result<(), Errno> {
    // SAFETY: takes integers.
    Errno::result(unsafe {
        libc::prctl(
            libc::PR_CAPBSET_DROP,
            libc::c_ulong::from(capability),
            0,
            0,
            0,
        )
    })
    .map(drop)
}

/// The monotonic and the boot clock, as seconds and nanoseconds.
pub fn monotonic_clocks() -> [(i64, i64); 2] {
    [libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME].map(|clock| {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the structure is ours and the kernel fills it. Both clocks always exist.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        (time.tv_sec, time.tv_nsec)
    })
}

/// Makes the terminal the controlling one of the caller's session (`TIOCSCTTY`).
pub fn take_terminal(terminal: impl AsFd) -> Result<(), Errno> {
    // SAFETY: the request takes an integer.
    Errno::result(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) })
        .map(drop)
}

/// Unlocks the other end of a pseudo-terminal and opens it (`TIOCSPTLCK`, `TIOCGPTPEER`), which
/// needs no path and so works in any mount namespace.
pub fn open_terminal(master: impl AsFd) -> Result<OwnedFd, Errno> {
    let fd = master.as_fd().as_raw_fd();
    let unlock: libc::c_int = 0;
    // SAFETY: the request reads one integer, which outlives the call.
    Errno::result(unsafe { libc::ioctl(fd, libc::TIOCSPTLCK, &raw const unlock) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes an integer and returns a descriptor.
    adopt(libc::c_long::from(unsafe {
        libc::ioctl(fd, libc::TIOCGPTPEER, flags)
    }))
}

/// The size of a terminal: rows and columns (`TIOCGWINSZ`).
pub fn terminal_size(terminal: impl AsFd) -> Result<(u16, u16), Errno> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the structure is ours and the kernel fills it.
    Errno::result(unsafe {
        libc::ioctl(
            terminal.as_fd().as_raw_fd(),
            libc::TIOCGWINSZ,
            &raw mut size,
        )
    })?;
    Ok((size.ws_row, size.ws_col))
}

/// Sets the size of a terminal (`TIOCSWINSZ`).
pub fn set_terminal_size(terminal: impl AsFd, rows: u16, columns: u16) -> Result<(), Errno> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the structure outlives the call and is only read.
    Errno::result(unsafe {
        libc::ioctl(
            terminal.as_fd().as_raw_fd(),
            libc::TIOCSWINSZ,
            &raw const size,
        )
    })
    .map(drop)
}

/// Gives `to` the same bytes as `from` by sharing its extents (`FICLONE`, `ioctl_ficlone(2)`).
pub fn share_extents(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    // SAFETY: the request takes a descriptor.
    Errno::result(unsafe {
        libc::ioctl(
            to.as_fd().as_raw_fd(),
            libc::FICLONE,
            from.as_fd().as_raw_fd(),
        )
    })?;
    Ok(())
}
