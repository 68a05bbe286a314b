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
