//! Leases on files: who opens one waits until its holder has done what it wants to do first.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// Takes a write lease, `fcntl(2)`: nobody else may have the file open, and it must belong to the
/// caller (or the caller needs `CAP_LEASE`). It ends with the descriptor. Who opens the file
/// meanwhile waits, and the process gets `SIGIO`.
pub(in crate::sandbox) fn take(file: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes plain numbers.
    let taken = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) };
    Errno::result(taken).map(drop)
}

/// Whether nobody waits for the end of the lease.
pub(in crate::sandbox) fn is_undisturbed(file: BorrowedFd<'_>) -> bool {
    // SAFETY: takes plain numbers.
    let kind = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) };
    kind == libc::F_WRLCK
}
