//! The identifiers that the kernel makes up below `/proc/sys/kernel/random`, from the trial's seed:
//! `boot_id`, which stays, and `uuid`, which is another one whenever somebody opens it. A lease
//! holds the opener back until the name leads to the next file, so that reads that follow each other
//! never get the same one; only who opens it while another waits does. An open that refuses to wait
//! (`O_NONBLOCK`) has to ask again.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::write;
use rand::rand_core::Rng as _;
use rand_chacha::ChaCha12Rng;

use super::tracee::Tracees;
use crate::sandbox::sys::lease;

/// The name of a file that is not complete yet.
const PARTIAL: &str = ".next";

/// The directory of identifiers, and the file that holds the next.
#[derive(Debug)]
pub(super) struct Identifiers {
    directory: OwnedFd,
    random: ChaCha12Rng,
    next: OwnedFd,
}

impl Identifiers {
    /// Nothing where the trial has the kernel's own. An error where openers cannot be held back:
    /// then all of them get the same.
    pub(super) fn take_over(
        tracees: &Tracees,
        tid: u32,
        mut random: ChaCha12Rng,
    ) -> Option<Result<Self, Errno>> {
        let path = format!("{tid}/root/proc/sys/kernel/random");
        let directory = tracees
            .open_proc(&path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
            .ok()?;
        let kind = fstatfs(&directory).ok()?.filesystem_type();
        (kind == TMPFS_MAGIC).then(|| {
            put(&directory, "boot_id", &mut random, false)?;
            let next = put(&directory, "uuid", &mut random, true)?;
            Ok(Self {
                directory,
                random,
                next,
            })
        })
    }

    /// Lets those in who have come, after the next identifier has been put in place.
    pub(super) fn admit(&mut self) -> Result<(), Errno> {
        if lease::is_undisturbed(self.next.as_fd()) {
            return Ok(());
        }
        // The lease ends with the old descriptor.
        self.next = put(&self.directory, "uuid", &mut self.random, true)?;
        Ok(())
    }
}

/// Puts a fresh file in the place of `name`.
fn put(
    directory: &OwnedFd,
    name: &str,
    random: &mut ChaCha12Rng,
    leased: bool,
) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IRGRP | Mode::S_IROTH;
    let file = openat(directory, PARTIAL, flags, mode)?;
    let mut bytes = [0; 16];
    random.fill_bytes(&mut bytes);
    write(&file, text(bytes).as_bytes())?;
    let taken = if leased {
        lease::take(file.as_fd())
    } else {
        Ok(())
    };
    renameat(directory, PARTIAL, directory, name)?;
    taken.map(|()| file)
}

/// Version 4, RFC 9562, 5.4.
fn text(bytes: [u8; 16]) -> String {
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{number:032x}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_written_as_the_kernel_writes_them() {
        assert_eq!(text([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff\n");
        assert_eq!(text([0; 16]), "00000000-0000-4000-8000-000000000000\n");
    }
}
