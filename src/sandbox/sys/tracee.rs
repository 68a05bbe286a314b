//! Calls that reach into another process, or change the calling thread alone: pidfds, directory
//! reads, stat by descriptor and path, and the credentials that path look-ups use.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

fn own(descriptor: libc::c_long) -> Result<OwnedFd, Errno> {
    let descriptor = Errno::result(descriptor)?;
    let raw = i32::try_from(descriptor).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// `pidfd_open(2)` for one thread (6.9 and later) or for a process.
pub(in crate::sandbox) fn pidfd_open(pid: u32, thread: bool) -> Result<OwnedFd, Errno> {
    // PIDFD_THREAD is O_EXCL.
    let flags = if thread { libc::O_EXCL } else { 0 };
    // SAFETY: takes plain numbers.
    own(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) })
}

/// `pidfd_getfd(2)`: the same open file description that `number` names in the other process.
pub(in crate::sandbox) fn pidfd_getfd(
    pidfd: BorrowedFd<'_>,
    number: i32,
) -> Result<OwnedFd, Errno> {
    // SAFETY: takes plain numbers.
    own(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })
}

/// Whether the process or thread behind a pidfd still runs.
pub(in crate::sandbox) fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    // SAFETY: signal 0 is sent to nobody; no siginfo is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            0,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    result == 0 || Errno::last() == Errno::EPERM
}

/// `getdents64(2)`: how many bytes of `buffer` were filled, 0 at the end.
pub(in crate::sandbox) fn getdents64(
    directory: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `len` bytes into the slice.
    let count = Errno::result(unsafe {
        libc::syscall(
            libc::SYS_getdents64,
            directory.as_raw_fd(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })?;
    usize::try_from(count).map_err(|_| Errno::EIO)
}

/// `statx(2)`.
pub(in crate::sandbox) fn statx(
    directory: BorrowedFd<'_>,
    path: &CStr,
    flags: i32,
    mask: u32,
) -> Result<libc::statx, Errno> {
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero byte, and the kernel fills one structure.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_statx,
            directory.as_raw_fd(),
            path.as_ptr(),
            flags,
            mask,
            &raw mut status,
        )
    })?;
    Ok(status)
}

/// `clock_gettime(2)` in nanoseconds.
pub(in crate::sandbox) fn clock(id: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills one structure; an unknown clock leaves zeros.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// `clock_getres(2)` in nanoseconds.
pub(in crate::sandbox) fn resolution(id: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills one structure; an unknown clock leaves zeros.
    unsafe { libc::clock_getres(id, &raw mut time) };
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// `timerfd_settime(2)`: seconds and nanoseconds of interval and value; returns the old ones.
pub(in crate::sandbox) fn timerfd_settime(
    timer: BorrowedFd<'_>,
    flags: i32,
    new: [i64; 4],
) -> Result<[i64; 4], Errno> {
    let pack = |[a, b, c, d]: [i64; 4]| libc::itimerspec {
        it_interval: libc::timespec {
            tv_sec: a,
            tv_nsec: b,
        },
        it_value: libc::timespec {
            tv_sec: c,
            tv_nsec: d,
        },
    };
    let (new, mut old) = (pack(new), pack([0; 4]));
    // SAFETY: the kernel reads one structure and fills another.
    Errno::result(unsafe {
        libc::timerfd_settime(timer.as_raw_fd(), flags, &raw const new, &raw mut old)
    })?;
    Ok([
        old.it_interval.tv_sec,
        old.it_interval.tv_nsec,
        old.it_value.tv_sec,
        old.it_value.tv_nsec,
    ])
}

/// `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`.
const CAPABILITIES: u32 = 0x2008_0522;
/// `CAP_CHOWN`, `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`, `CAP_FOWNER`, `CAP_FSETID`: what
/// counts in the file system.
const FILE_CAPABILITIES: u64 = 0b1_1111;

/// Makes the calling thread look files up with another's rights, keeping its other powers. Each
/// step that is not allowed is left out: the look-up then fails, and the kernel is asked.
pub(in crate::sandbox) fn look_up_as(user: u32, group: u32, groups: &[u32], capabilities: u64) {
    // SAFETY: these change the calling thread alone (the C library's own would change all).
    unsafe {
        libc::syscall(libc::SYS_setfsuid, 0);
        libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr());
        libc::syscall(libc::SYS_setfsgid, group);
        libc::syscall(libc::SYS_setfsuid, user);
    }
    let header = [CAPABILITIES, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: the kernel fills two structures of three words each, as this version says.
    let known = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    if known != 0 {
        return;
    }
    let [effective, permitted, ..] = sets;
    let wanted = u32::try_from(capabilities & FILE_CAPABILITIES).unwrap_or(0);
    let others = effective & !u32::try_from(FILE_CAPABILITIES).unwrap_or(0);
    if let Some(first) = sets.first_mut() {
        *first = others | (wanted & permitted);
    }
    // SAFETY: the kernel reads the same two structures.
    unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
}
