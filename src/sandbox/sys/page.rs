//! One page of memory that a trial's processes map to read a held clock: the time in nanoseconds,
//! and the host's time from which a next step counts.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

const LENGTH: usize = 4096;

/// The page, shared with whoever maps [`SharedPage::file`].
#[derive(Debug)]
pub(in crate::sandbox) struct SharedPage {
    file: OwnedFd,
    words: NonNull<[AtomicU64; 2]>,
}

// SAFETY: the mapping lives as long as the value and is only touched through atomics.
unsafe impl Send for SharedPage {}
// SAFETY: as above.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// `memfd_create(2)`, `mmap(2)`.
    pub(in crate::sandbox) fn new() -> Result<Self, Errno> {
        // SAFETY: the name ends with a zero byte.
        let fd =
            Errno::result(unsafe { libc::memfd_create(c"clock".as_ptr(), libc::MFD_CLOEXEC) })?;
        // SAFETY: the kernel has just made this descriptor for us.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        let length = libc::off_t::try_from(LENGTH).map_err(|_| Errno::EINVAL)?;
        nix::unistd::ftruncate(&file, length)?;
        // SAFETY: a fresh shared mapping of our own file, at an address of the kernel's choice.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                LENGTH,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let words = NonNull::new(address.cast()).ok_or(Errno::ENOMEM)?;
        Ok(Self { file, words })
    }

    /// The file behind the page.
    pub(in crate::sandbox) fn file(&self) -> impl AsFd {
        &self.file
    }

    /// Sets the time, and when it will move next; readers that see the new `due` see the new time.
    pub(in crate::sandbox) fn store(&self, now: u64, due: u64) {
        // SAFETY: the mapping is page-aligned, two words fit, and only atomics touch it.
        let [time, next] = unsafe { self.words.as_ref() };
        time.store(now, Ordering::Release);
        next.store(due, Ordering::Release);
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody can reach any more.
        unsafe {
            libc::munmap(self.words.as_ptr().cast(), LENGTH);
        }
    }
}
