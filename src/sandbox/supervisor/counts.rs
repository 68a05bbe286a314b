//! What file systems count in ways of their own: how long a directory is, how many blocks and links
//! it has, how many blocks a file takes. All files of a trial are counted in one way, whatever file
//! system they lie on: a copy of the source may lie on another than the source.

use super::view::Status;
use crate::model::Accounting;
use crate::sandbox::sys::page::Counts;

/// Files take whole blocks of this many bytes, ...
const BLOCK: u64 = 4096;
/// ... which `stat(2)` counts by 512.
const UNITS: u64 = BLOCK / 512;
/// The links of a directory where they are not counted, ...
const UNCOUNTED: u32 = 1;
/// ... and of one that has so few already: more than it can have subdirectories, as programs that
/// walk a tree stop looking for them at the number that this promises.
const MANY: u32 = 30_001;

/// How it is counted.
pub(super) fn of(accounting: Accounting) -> Counts {
    match accounting {
        // As ext4 does it.
        Accounting::Blocks => Counts {
            directory_size: BLOCK,
            directory_blocks: UNITS,
            uncounted_links: 0,
            more_blocks: 0,
        },
        // As btrfs does it; files take a block more, as where what leads to their blocks counts.
        Accounting::Names => Counts {
            directory_size: 74,
            directory_blocks: 0,
            uncounted_links: 1,
            more_blocks: UNITS,
        },
    }
}

/// Counts a file in this way; `hook.s` does the same. What has no length is left alone: an empty file
/// takes no blocks, and a directory without one is the kernel's (links of `/proc/self/task` count
/// threads).
pub(super) fn show(counts: Counts, status: &mut Status) {
    if status.stx_size == 0 {
        return;
    }
    match u32::from(status.stx_mode) & libc::S_IFMT {
        libc::S_IFDIR => {
            status.stx_size = counts.directory_size;
            status.stx_blocks = counts.directory_blocks;
            if counts.uncounted_links != 0 {
                status.stx_nlink = match status.stx_nlink {
                    UNCOUNTED => MANY,
                    _ => UNCOUNTED,
                };
            }
        }
        libc::S_IFREG => {
            let whole = status.stx_size.div_ceil(BLOCK).saturating_mul(UNITS);
            // A file with holes takes less, and short ones may lie beside their inode.
            let taken = if status.stx_size > BLOCK {
                whole.min(status.stx_blocks)
            } else {
                whole
            };
            status.stx_blocks = taken.saturating_add(counts.more_blocks);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn shown(kind: u32, size: u64, blocks: u64, accounting: Accounting) -> (u64, u64, u32) {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let mut status =
            crate::sandbox::sys::tracee::statx(file.as_fd(), c"", 0x1000, 0x17ff).unwrap();
        status.stx_mode = u16::try_from(kind).unwrap();
        (status.stx_size, status.stx_blocks, status.stx_nlink) = (size, blocks, 3);
        show(of(accounting), &mut status);
        (status.stx_size, status.stx_blocks, status.stx_nlink)
    }

    #[test]
    fn whatever_the_file_system_counts_a_trial_sees_one_way_and_another_the_other() {
        let (file, directory) = (libc::S_IFREG, libc::S_IFDIR);
        for (size, blocks) in [(4096, 8), (60, 0), (1234, 16)] {
            let one = shown(directory, size, blocks, Accounting::Blocks);
            let other = shown(directory, size, blocks, Accounting::Names);
            assert_eq!((one, other), ((4096, 8, 3), (74, 0, 1)));
        }
        for blocks in [0, 8, 16] {
            assert_eq!(shown(file, 100, blocks, Accounting::Blocks), (100, 8, 3));
        }
        assert_eq!(shown(file, 5000, 64, Accounting::Blocks), (5000, 16, 3));
        assert_eq!(shown(file, 5000, 16, Accounting::Names), (5000, 24, 3));
        // Holes stay holes.
        assert_eq!(shown(file, 1 << 20, 8, Accounting::Blocks), (1 << 20, 8, 3));
        for accounting in [Accounting::Blocks, Accounting::Names] {
            assert_eq!(shown(file, 0, 0, accounting), (0, 0, 3));
            assert_eq!(shown(directory, 0, 0, accounting), (0, 0, 3));
            assert_eq!(shown(libc::S_IFLNK, 7, 0, accounting), (7, 0, 3));
        }
    }
}
