//! Reach into the processes of a trial: their memory, their descriptors, their `/proc` entries.
//! Everything is addressed by thread id, which a valid notification pins.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fstatat};
use nix::sys::uio::{RemoteIoVec, pread, process_vm_readv, process_vm_writev};
use nix::unistd::{AccessFlags, Pid, faccessat};

use crate::sandbox::sys::tracee as sys;
use crate::snapshot::walk::{Entry, sorted_entries};

/// How many pidfds are kept open.
const KEPT: usize = 256;
/// Memory is read in pieces that end where pages end, so that a string may stand before a hole.
const PAGE: u64 = 4096;
/// How much of a string is read at once.
const PIECE: usize = 256;

/// A read of a file below `/proc` that leaves this much room has come to its end.
const SLACK: usize = 512;

/// A lock whose poison does not matter: the state behind it is changed in single steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The `/proc` of the supervisor and the pidfds it holds.
#[derive(Debug)]
pub(super) struct Tracees {
    proc: OwnedFd,
    pidfds: Mutex<BTreeMap<u32, Arc<OwnedFd>>>,
}

impl Tracees {
    /// Opens `/proc`, which must be the one of the supervisor's own pid namespace.
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            proc: open("/proc", flags, Mode::empty())?,
            pidfds: Mutex::default(),
        })
    }

    /// The directory `/proc`.
    pub(super) fn proc(&self) -> &OwnedFd {
        &self.proc
    }

    /// Opens a path below `/proc`.
    pub(super) fn open_proc(&self, path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
        openat(&self.proc, path, flags | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// The same open file description as descriptor `number` of the thread.
    pub(super) fn descriptor(&self, tid: u32, number: i32) -> Result<OwnedFd, Errno> {
        let kept = lock(&self.pidfds).get(&tid).cloned();
        if let Some(pidfd) = kept {
            match sys::pidfd_getfd(pidfd.as_fd(), number) {
                // A former owner of the same number has gone.
                Err(Errno::ESRCH) => {}
                other => return other,
            }
        }
        let pidfd = Arc::new(self.open_pidfd(tid)?);
        let mut pidfds = lock(&self.pidfds);
        if pidfds.len() >= KEPT {
            pidfds.retain(|_, kept| sys::is_alive(kept.as_fd()));
        }
        if pidfds.len() >= KEPT {
            pidfds.clear();
        }
        pidfds.insert(tid, Arc::clone(&pidfd));
        drop(pidfds);
        sys::pidfd_getfd(pidfd.as_fd(), number)
    }

    /// The file of descriptor `number` of the thread, for looking at it and from it: where an outer
    /// sandbox forbids to have the description (Docker's does, without `CAP_SYS_PTRACE`), through
    /// the link in `/proc`.
    pub(super) fn file(&self, tid: u32, number: i32) -> Result<OwnedFd, Errno> {
        self.descriptor(tid, number).or_else(|errno| match errno {
            Errno::EPERM | Errno::ENOSYS => {
                self.open_proc(&format!("{tid}/fd/{number}"), OFlag::O_PATH)
            }
            errno => Err(errno),
        })
    }

    /// A descriptor for the thread itself.
    pub(super) fn open_pidfd(&self, tid: u32) -> Result<OwnedFd, Errno> {
        match sys::pidfd_open(tid, true) {
            // Before 6.9 only processes have one; threads nearly always share their files.
            Err(Errno::EINVAL) => {
                let group = self.status(tid)?.group.unwrap_or(tid);
                sys::pidfd_open(group, false)
            }
            other => other,
        }
    }

    /// How many threads the process of a thread has: its `task` directory counts them as its links.
    pub(super) fn threads(&self, tid: u32) -> Result<u64, Errno> {
        let path = format!("{tid}/task");
        let status = fstatat(&self.proc, path.as_str(), AtFlags::empty())?;
        Ok(status.st_nlink.saturating_sub(2))
    }

    /// The threads of a process.
    pub(super) fn list_threads(&self, process: u32) -> Result<Vec<u32>, Errno> {
        self.numbers(&format!("{process}/task"))
    }

    /// The descriptors of a process.
    pub(super) fn descriptors(&self, process: u32) -> Result<Vec<i32>, Errno> {
        self.numbers(&format!("{process}/fd"))
    }

    /// The numbers that entries of a directory are called.
    fn numbers<N: std::str::FromStr>(&self, path: &str) -> Result<Vec<N>, Errno> {
        use std::os::fd::AsRawFd as _;
        let own = self.proc.as_raw_fd();
        let path = format!("/proc/self/fd/{own}/{path}");
        let entries = sorted_entries(Path::new(&path)).map_err(|_| Errno::ESRCH)?;
        let number = |entry: &Entry| entry.name.to_str()?.parse().ok();
        Ok(entries.iter().filter_map(number).collect())
    }

    /// Whether a thread belongs to a process.
    pub(super) fn has_thread(&self, process: u32, tid: u32) -> bool {
        let path = format!("{process}/task/{tid}");
        faccessat(
            &self.proc,
            path.as_str(),
            AccessFlags::F_OK,
            AtFlags::empty(),
        )
        .is_ok()
    }

    /// Whether a process has ended and only waits for its parent.
    pub(super) fn is_zombie(&self, pid: u32) -> bool {
        let Ok(text) = self.read_proc(&format!("{pid}/stat")) else {
            return true;
        };
        // The name stands in parentheses and may hold anything.
        let end = text.iter().rposition(|byte| *byte == b')');
        let state = end.and_then(|end| text.get(end + 2));
        matches!(state, Some(b'Z' | b'X') | None)
    }

    /// What `/proc/TID/status` says.
    pub(super) fn status(&self, tid: u32) -> Result<Status, Errno> {
        let text = self.read_proc(&format!("{tid}/status"))?;
        Ok(Status::parse(&String::from_utf8_lossy(&text)))
    }

    /// A whole file below `/proc`.
    pub(super) fn read_proc(&self, path: &str) -> Result<Vec<u8>, Errno> {
        read_from_start(&self.open_proc(path, OFlag::O_RDONLY)?)
    }
}

/// What a file below `/proc` holds now.
pub(super) fn read_from_start(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let place = i64::try_from(content.len()).map_err(|_| Errno::EFBIG)?;
        let count = pread(file, &mut buffer, place)?;
        content.extend_from_slice(buffer.get(..count).unwrap_or_default());
        // These files fill a buffer up to a line that does not fit.
        if count + SLACK < buffer.len() {
            return Ok(content);
        }
    }
}

/// The part of `/proc/TID/status` that matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Id of the thread group.
    pub(super) group: Option<u32>,
    /// The parent.
    pub(super) parent: Option<u32>,
}

impl Status {
    fn parse(text: &str) -> Self {
        let number = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.trim().parse().ok())
        };
        Self {
            group: number("Tgid:"),
            parent: number("PPid:"),
        }
    }
}

/// The memory of one thread's process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory(pub(super) u32);

impl Memory {
    fn pid(self) -> Pid {
        Pid::from_raw(i32::try_from(self.0).unwrap_or(0))
    }

    /// Writes all of `bytes`, or says `EFAULT` as the kernel would.
    pub(super) fn write(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let remote = remote(address, bytes.len())?;
        match process_vm_writev(self.pid(), &[IoSlice::new(bytes)], &[remote]) {
            Ok(count) if count == bytes.len() => Ok(()),
            Ok(_) => Err(Errno::EFAULT),
            Err(errno) => Err(errno),
        }
    }

    /// Fills all of `bytes`, or says `EFAULT`.
    pub(super) fn read(self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        let remote = remote(address, bytes.len())?;
        let length = bytes.len();
        match process_vm_readv(self.pid(), &mut [IoSliceMut::new(bytes)], &[remote]) {
            Ok(count) if count == length => Ok(()),
            Ok(_) => Err(Errno::EFAULT),
            Err(errno) => Err(errno),
        }
    }

    /// A path: `ENAMETOOLONG` where no zero byte follows within `PATH_MAX`.
    pub(super) fn path(self, address: u64) -> Result<CString, Errno> {
        let limit = usize::try_from(libc::PATH_MAX).unwrap_or(4096);
        let mut path = Vec::new();
        while path.len() < limit {
            let at = address.wrapping_add(path.len() as u64);
            let mut piece = [0; PIECE];
            let to_page_end = usize::try_from(PAGE - at % PAGE).unwrap_or(1);
            let piece = piece.get_mut(..to_page_end.min(PIECE)).unwrap_or_default();
            self.read(at, piece)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                path.extend(piece.iter().take(end));
                return CString::new(path).map_err(|_| Errno::EINVAL);
            }
            path.extend(piece.iter());
        }
        Err(Errno::ENAMETOOLONG)
    }
}

fn remote(address: u64, len: usize) -> Result<RemoteIoVec, Errno> {
    let base = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
    Ok(RemoteIoVec { base, len })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_up_to_their_end_and_no_further() {
        let own = Memory(std::process::id());
        let text = CString::new("a/".repeat(900)).unwrap();
        assert_eq!(own.path(text.as_ptr() as u64).unwrap(), text);
        assert_eq!(own.path(8), Err(Errno::EFAULT));
    }

    #[test]
    fn writing_to_a_bad_address_is_efault() {
        let own = Memory(std::process::id());
        assert_eq!(own.write(8, b"x"), Err(Errno::EFAULT));
        let mut byte = [0];
        assert_eq!(own.read(u64::MAX, &mut byte), Err(Errno::EFAULT));
    }

    #[test]
    fn status_names_group_and_parent() {
        let status = Status::parse("Name:\tx\nTgid:\t12\nPid:\t13\nPPid:\t5\n");
        assert_eq!((status.group, status.parent), (Some(12), Some(5)));
    }
}
