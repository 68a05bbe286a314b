//! One numbering of inodes and devices in place of the file systems' own: by the name under which
//! the build first meets a file, so that it is the same in every trial of one environment. Hard
//! links and the identity of directories stay, because one file has one number. Which of several
//! names a file is met under first depends on the order of directories: such a file is numbered by
//! what all its names share.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::errno::Errno;
use nix::sys::uio::pread;

use super::counts;
use super::order::keyed_hash;
use super::places::Places;
use super::tracee::lock;
use super::view::{Status, file_of};
use crate::model::Inodes;
use crate::sandbox::sys::page::Counts;

/// Numbers stay below this, so that 32-bit programs can hold them.
const RANGE: u64 = 1 << 31;
/// So much of the content of hard-linked sources tells them apart.
const BEGINNING: usize = 1 << 14;
/// Minor numbers stay below this, as those of few hosts' pseudo devices do not.
const MINORS: u64 = 1 << 10;

/// The numbering of a trial.
#[derive(Debug)]
pub(super) struct Numbers {
    key: u64,
    counts: Counts,
    places: Places,
    /// A directory in which no file had several names before the build.
    single: Option<PathBuf>,
    met: Mutex<Met>,
}

#[derive(Debug, Default)]
struct Met {
    devices: Numbering<u64>,
    files: Numbering<(u64, u64)>,
    /// Names that links were made under, and the devices and inodes that they were made of.
    links: BTreeMap<Vec<u8>, (u64, u64)>,
}

#[derive(Debug)]
struct Numbering<T> {
    numbers: BTreeMap<T, u64>,
    taken: BTreeSet<u64>,
}

impl<T> Default for Numbering<T> {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }
}

impl<T: Ord> Numbering<T> {
    /// The first free number from `wanted` on, below `range`.
    fn take(&mut self, what: T, wanted: u64, range: u64) -> u64 {
        let mut number = wanted % range;
        while !self.taken.insert(number) && (self.taken.len() as u64) < range {
            number = (number + 1) % range;
        }
        self.numbers.insert(what, number);
        number
    }
}

/// What all names of a file with hard links share, whichever is met first: its size, and of a
/// source, which no variation changes, the beginning of its content. `None` for other files.
pub(super) fn shared_by_links(
    status: &Status,
    is_source: bool,
    open: impl FnOnce() -> Result<OwnedFd, Errno>,
) -> Option<Vec<u8>> {
    let is_file = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFREG;
    if !is_file || status.stx_nlink < 2 {
        return None;
    }
    let mut shared = status.stx_size.to_le_bytes().to_vec();
    if is_source && let Ok(file) = open() {
        let mut content = vec![0; BEGINNING];
        let count = pread(&file, &mut content, 0).unwrap_or(0);
        content.truncate(count);
        shared.extend(content);
    }
    Some(shared)
}

impl Numbers {
    pub(super) fn of(inodes: Inodes, places: &Places, single: Option<PathBuf>) -> Option<Self> {
        match inodes {
            Inodes::Host => None,
            Inodes::Numbered { key, accounting } => Some(Self {
                key,
                counts: counts::of(accounting),
                places: places.clone(),
                single,
                met: Mutex::default(),
            }),
        }
    }

    /// The number of a file on a device (major and minor, packed). Where it has not been met before,
    /// it follows what [`shared_by_links`] says, or else the path in the trial's view.
    pub(super) fn inode(
        &self,
        device: u64,
        inode: u64,
        links: impl FnOnce() -> Option<Vec<u8>>,
        path: impl Fn() -> Vec<u8>,
    ) -> u64 {
        if let Some(number) = lock(&self.met).files.numbers.get(&(device, inode)) {
            return number + 2;
        }
        let shared = links();
        if shared.is_some()
            && let Some(number) = self.linked(&path, (device, inode))
        {
            return number + 2;
        }
        let wanted = match shared {
            Some(shared) => keyed_hash(!self.key, &shared),
            None => keyed_hash(self.key, &self.places.stable_name(&path())),
        };
        let mut met = lock(&self.met);
        // Zero means "no file" to readers of directories, one is the root of many file systems.
        2 + match met.files.numbers.get(&(device, inode)) {
            Some(number) => *number,
            None => met.files.take((device, inode), wanted, RANGE),
        }
    }

    /// A directory was made anew: it keeps its number.
    pub(super) fn is_made_anew(&self, before: (u64, u64), now: (u64, u64)) {
        let numbers = &mut lock(&self.met).files.numbers;
        if let Some(number) = numbers.get(&before).copied() {
            numbers.insert(now, number);
        }
    }

    /// A link to a file that has a number is about to be made under this path.
    pub(super) fn link(&self, path: Vec<u8>, file: (u64, u64)) {
        lock(&self.met).links.insert(path, file);
    }

    /// Whether no file of a directory has several names: none had before the build, which has made
    /// no link so far.
    pub(super) fn are_single(&self, directory: &Path) -> bool {
        let single = self.single.as_deref();
        single.is_some_and(|single| directory.starts_with(single))
            && lock(&self.met).links.is_empty()
    }

    /// What a link under this path was made of.
    pub(super) fn link_of(&self, path: impl FnOnce() -> Vec<u8>) -> Option<(u64, u64)> {
        let none = lock(&self.met).links.is_empty();
        let path = (!none).then(path)?;
        lock(&self.met).links.get(&path).copied()
    }

    /// Gives a file that is met under the name of a link the number of what was linked.
    fn linked(&self, path: impl Fn() -> Vec<u8>, file: (u64, u64)) -> Option<u64> {
        if lock(&self.met).links.is_empty() {
            return None;
        }
        let path = path();
        let mut met = lock(&self.met);
        let linked = met.links.get(&path)?;
        let number = *met.files.numbers.get(linked)?;
        met.files.numbers.insert(file, number);
        Some(number)
    }

    fn minor(&self, device: u64, path: impl FnOnce() -> Vec<u8>) -> u32 {
        let known = lock(&self.met).devices.numbers.get(&device).copied();
        let number = known.unwrap_or_else(|| {
            let stable = self.places.stable_path(&path());
            let wanted = keyed_hash(self.key, Places::top(&stable));
            lock(&self.met).devices.take(device, wanted, MINORS)
        });
        u32::try_from(number).unwrap_or(0) + 1
    }

    /// How directories and blocks are counted.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Gives a status the trial's numbers and counts; device nodes keep what they stand for.
    pub(super) fn translate(
        &self,
        status: &mut Status,
        links: impl FnOnce() -> Option<Vec<u8>>,
        path: impl Fn() -> Vec<u8>,
    ) {
        let (device, inode) = file_of(status);
        status.stx_ino = self.inode(device, inode, links, &path);
        status.stx_dev_major = 0;
        status.stx_dev_minor = self.minor(device, &path);
        counts::show(self.counts, status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Accounting;
    use std::collections::BTreeSet;

    fn inodes(key: u64) -> Inodes {
        Inodes::Numbered {
            key,
            accounting: Accounting::default(),
        }
    }

    fn numbers(key: u64) -> Numbers {
        let places = Places::new(&["/build".into()]);
        Numbers::of(inodes(key), &places, None).unwrap()
    }

    #[test]
    fn every_file_has_one_number_and_no_two_share_one() {
        for key in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let numbers = numbers(key);
            let name = |inode: u64| (inode % 700).to_string().into_bytes();
            let number = |inode| numbers.inode(1, inode, || None, || name(inode));
            let first: Vec<u64> = (0..1000).map(number).collect();
            let again: Vec<u64> = (0..1000).map(number).collect();
            assert_eq!(first, again);
            assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 1000);
            let fits = |number: &u64| *number >= 2 && *number < RANGE + 2;
            assert!(first.iter().all(fits));
        }
    }

    #[test]
    fn the_numbering_follows_names_and_the_key_and_not_what_was_met_before() {
        let numbered = |key, inode: u64, before: &[u8]| {
            let numbers = numbers(key);
            numbers.inode(9, inode + 1, || None, || before.to_vec());
            numbers.inode(9, inode, || None, || b"/build/a".to_vec())
        };
        assert_eq!(numbered(5, 100, b"/x"), numbered(5, 90_000, b"/y"));
        assert_ne!(numbered(5, 100, b"/x"), numbered(6, 100, b"/x"));
    }
}
