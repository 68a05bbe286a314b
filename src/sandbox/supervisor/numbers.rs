//! One numbering of inodes and devices in place of the file systems' own: by the order in which
//! the build meets them, so that it is the same in every trial of one environment. Hard links and
//! the identity of directories stay, because one file has one number.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::tracee::lock;
use super::view::Status;
use crate::model::Inodes;

/// Numbers stay below this, so that 32-bit programs can hold them.
const RANGE: u64 = 1 << 30;

/// The numbering of a trial.
#[derive(Debug)]
pub(super) struct Numbers {
    key: u64,
    met: Mutex<Met>,
}

#[derive(Debug, Default)]
struct Met {
    devices: BTreeMap<u64, u32>,
    files: BTreeMap<(u64, u64), u64>,
}

impl Numbers {
    pub(super) fn of(inodes: Inodes) -> Option<Self> {
        match inodes {
            Inodes::Host => None,
            Inodes::Numbered { key } => Some(Self {
                key,
                met: Mutex::default(),
            }),
        }
    }

    /// The number of a file on a device (major and minor, packed).
    pub(super) fn inode(&self, device: u64, inode: u64) -> u64 {
        let mut met = lock(&self.met);
        let next = met.files.len() as u64 + 1;
        let count = *met.files.entry((device, inode)).or_insert(next);
        // One-to-one below RANGE: an odd factor, and a constant.
        let factor = self.key.wrapping_mul(2) | 1;
        let number = count.wrapping_mul(factor) ^ (self.key >> 32);
        // Zero means "no file" to readers of directories.
        (number % RANGE) + 2
    }

    fn minor(&self, device: u64) -> u32 {
        let mut met = lock(&self.met);
        let next = u32::try_from(met.devices.len()).unwrap_or(0);
        let count = *met.devices.entry(device).or_insert(next);
        let first = u32::try_from(self.key % 128).unwrap_or(0);
        first + count + 1
    }

    /// Gives a status the trial's numbers; device nodes keep what they stand for.
    pub(super) fn translate(&self, status: &mut Status) {
        let device = libc::makedev(status.stx_dev_major, status.stx_dev_minor);
        status.stx_ino = self.inode(device, status.stx_ino);
        status.stx_dev_major = 0;
        status.stx_dev_minor = self.minor(device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_has_one_number_and_no_two_share_one() {
        for key in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let numbers = Numbers::of(Inodes::Numbered { key }).unwrap();
            let first: Vec<u64> = (0..1000).map(|inode| numbers.inode(1, inode)).collect();
            let again: Vec<u64> = (0..1000).map(|inode| numbers.inode(1, inode)).collect();
            assert_eq!(first, again);
            assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 1000);
            assert!(
                first
                    .iter()
                    .all(|number| *number >= 2 && *number < RANGE + 2)
            );
        }
    }

    #[test]
    fn the_numbering_follows_the_order_in_which_files_are_met_and_the_key() {
        let numbered = |key, first: u64| {
            let numbers = Numbers::of(Inodes::Numbered { key }).unwrap();
            [numbers.inode(9, first), numbers.inode(9, first + 7)]
        };
        assert_eq!(numbered(5, 100), numbered(5, 90_000));
        assert_ne!(numbered(5, 100), numbered(6, 100));
    }
}
