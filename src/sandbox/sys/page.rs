//! Memory that a trial's processes map to read a held clock, and to see file times and inode numbers
//! as the trial has them: where the clock stands and when it moves next, how it came there, and
//! which number stands for which inode. One writer; readers are the hooks in `hook`.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;

/// Bytes of all pages.
pub(super) const LENGTH: usize = TABLE + ENTRIES * ENTRY;

// Where things stand, in bytes. The time and when it moves next come first.
/// Odd while what follows is being written.
pub(super) const SEQUENCE: usize = 16;
/// Bits, below.
pub(super) const FLAGS: usize = 24;
/// The host's times when the set-up, and when the trial began; the trial's clock at its start.
pub(super) const SINCE: usize = 32;
pub(super) const BEGAN: usize = 40;
pub(super) const START: usize = 48;
/// How many steps there are, and they: the host's time, and what the clock shows from then on.
pub(super) const COUNT: usize = 56;
pub(super) const STEPS: usize = 112;
/// Seconds: when the sources were checked out.
pub(super) const CHECKOUT: usize = 64;
/// [`Counts`], field by field.
pub(super) const DIRECTORY_SIZE: usize = 72;
pub(super) const DIRECTORY_BLOCKS: usize = 80;
pub(super) const UNCOUNTED_LINKS: usize = 88;
pub(super) const MORE_BLOCKS: usize = 96;
/// Hash table of inodes: device (as `struct stat` has it), inode, its number, and the number of the
/// device, in the upper half once more as `struct stat` has it. An empty entry has the number 0.
pub(super) const TABLE: usize = 4 * 4096;

/// The steps hold.
pub(super) const SHOWS_TIMES: u64 = 1;
/// Inodes have numbers of the trial's.
pub(super) const SHOWS_NUMBERS: u64 = 2;

const ENTRY: usize = 32;
/// Entries of the table; a power of two.
pub(super) const ENTRIES: usize = 1 << 14;
/// An entry is looked for in so many places at most.
pub(super) const PROBES: usize = 16;
/// Multiplicative hashing (Knuth, TAOCP 6.4): the upper bits of the product.
pub(super) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
pub(super) const SHIFT: u32 = 64 - ENTRIES.ilog2();

const WORDS: usize = LENGTH / 8;
const MOST_STEPS: usize = (TABLE - STEPS) / 16;

/// The pages, shared with whoever maps [`SharedPages::file`].
#[derive(Debug)]
pub(in crate::sandbox) struct SharedPages {
    file: OwnedFd,
    words: NonNull<[AtomicU64; WORDS]>,
    /// Whoever writes into the table holds this.
    table: Mutex<()>,
}

// SAFETY: the mapping lives as long as the value and is only touched through atomics.
unsafe impl Send for SharedPages {}
// SAFETY: as above.
unsafe impl Sync for SharedPages {}

/// From this host time on, the trial's clock shows this; in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Step {
    pub(in crate::sandbox) real: i64,
    pub(in crate::sandbox) reached: i64,
}

/// How directories and blocks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Counts {
    /// Bytes of each directory.
    pub(in crate::sandbox) directory_size: u64,
    /// Blocks of each directory, of 512 bytes.
    pub(in crate::sandbox) directory_blocks: u64,
    /// Other than 0: directories do not tell their links.
    pub(in crate::sandbox) uncounted_links: u64,
    /// Blocks of 512 bytes that each file takes besides those that hold its content.
    pub(in crate::sandbox) more_blocks: u64,
}

/// How a clock came to where it stands, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Course<'c> {
    /// The host's time when the set-up of the trial began.
    pub(in crate::sandbox) since: i64,
    /// The host's time when the trial began.
    pub(in crate::sandbox) began: i64,
    /// Where its clock started.
    pub(in crate::sandbox) start: i64,
    /// When the sources were checked out, in whole seconds.
    pub(in crate::sandbox) checkout: i64,
    /// Sorted by both fields. `None` where the clock does not stand still between them.
    pub(in crate::sandbox) steps: Option<&'c [Step]>,
}

impl SharedPages {
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
        Ok(Self {
            file,
            words,
            table: Mutex::new(()),
        })
    }

    /// The file behind the pages.
    pub(in crate::sandbox) fn file(&self) -> impl AsFd {
        &self.file
    }

    fn words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: the mapping is page-aligned, holds all words, and only atomics touch it.
        unsafe { self.words.as_ref() }
    }

    fn put(&self, place: usize, value: u64) {
        if let Some(word) = self.words().get(place / 8) {
            word.store(value, Ordering::Release);
        }
    }

    fn get(&self, place: usize) -> u64 {
        let word = self.words().get(place / 8);
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Sets the time, and when it will move next; readers that see the new `due` see the new time.
    pub(in crate::sandbox) fn store(&self, now: u64, due: u64) {
        self.put(0, now);
        self.put(8, due);
    }

    /// Says how the clock came to where it stands. One caller at a time.
    pub(in crate::sandbox) fn show(&self, course: Course<'_>) {
        let sequence = self.get(SEQUENCE);
        self.put(SEQUENCE, sequence | 1);
        let numbers = self.get(FLAGS) & SHOWS_NUMBERS;
        match course.steps.filter(|steps| steps.len() <= MOST_STEPS) {
            Some(steps) => {
                let fixed = [
                    (SINCE, course.since),
                    (BEGAN, course.began),
                    (START, course.start),
                    (CHECKOUT, course.checkout),
                ];
                for (place, time) in fixed {
                    self.put(place, time.cast_unsigned());
                }
                for (number, step) in steps.iter().enumerate() {
                    self.put(STEPS + 16 * number, step.real.cast_unsigned());
                    self.put(STEPS + 16 * number + 8, step.reached.cast_unsigned());
                }
                self.put(COUNT, steps.len() as u64);
                self.put(FLAGS, numbers | SHOWS_TIMES);
            }
            None => self.put(FLAGS, numbers),
        }
        self.put(SEQUENCE, (sequence | 1) + 1);
    }

    /// From now on a file is shown with the numbers of [`SharedPages::number`] and these counts, or
    /// not at all.
    pub(in crate::sandbox) fn show_numbers(&self, counts: Counts) {
        self.put(DIRECTORY_SIZE, counts.directory_size);
        self.put(DIRECTORY_BLOCKS, counts.directory_blocks);
        self.put(UNCOUNTED_LINKS, counts.uncounted_links);
        self.put(MORE_BLOCKS, counts.more_blocks);
        self.put(FLAGS, self.get(FLAGS) | SHOWS_NUMBERS);
    }

    /// Remembers the number of an inode, and the minor number of its device; `encoded` are devices
    /// as `struct stat` has them. What finds no place is asked for each time.
    pub(in crate::sandbox) fn number(
        &self,
        (device, inode): (u32, u64),
        number: u64,
        (minor, encoded): (u32, u32),
    ) {
        let _guard = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = ((u64::from(device) << 32) ^ inode).wrapping_mul(MULTIPLIER) >> SHIFT;
        let first = usize::try_from(hash).unwrap_or(0);
        let places = (first..first + PROBES).map(|slot| TABLE + (slot % ENTRIES) * ENTRY);
        for place in places {
            if self.get(place + 16) == 0 {
                self.put(place, u64::from(device));
                self.put(place + 8, inode);
                self.put(place + 24, u64::from(encoded) << 32 | u64::from(minor));
                // Readers take an entry with a number for complete.
                self.put(place + 16, number);
                return;
            }
            if (self.get(place), self.get(place + 8)) == (u64::from(device), inode) {
                return;
            }
        }
    }
}

impl Drop for SharedPages {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody can reach any more.
        unsafe {
            libc::munmap(self.words.as_ptr().cast(), LENGTH);
        }
    }
}
