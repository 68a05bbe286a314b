//! Ctrl-C, SIGTERM and SIGHUP of the front end: held back, so that a session ends its trials and
//! removes what it left before the program goes.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};

/// The signals that ask for an end.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Holds the signals back and says when one came.
#[derive(Debug)]
pub struct Interrupt {
    signals: SignalFd,
    came: AtomicI32,
}

impl Interrupt {
    /// Blocks the signals for the calling thread and all that it will start: call it before any
    /// other thread exists.
    pub fn catch() -> Result<Self, Errno> {
        let set = SigSet::from_iter(SIGNALS);
        set.thread_block()?;
        Ok(Self {
            signals: SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            came: AtomicI32::new(0),
        })
    }

    /// The number of the signal that came last, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.take(|_| true)
    }

    /// The same while a command has the terminal, whose Ctrl-C is meant for that command. The kernel
    /// sends it; `kill -INT` comes from a process (`si_code`, sigaction(2)).
    pub fn signal_beside_command(&self) -> Option<i32> {
        self.take(|signal| {
            signal.ssi_signo != libc::SIGINT.unsigned_abs() || signal.ssi_code != libc::SI_KERNEL
        })
    }

    fn take(&self, meant: impl Fn(&siginfo) -> bool) -> Option<i32> {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if meant(&signal) {
                let number = i32::try_from(signal.ssi_signo).unwrap_or(libc::SIGTERM);
                self.came.store(number, Ordering::SeqCst);
            }
        }
        Some(self.came.load(Ordering::SeqCst)).filter(|number| *number != 0)
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}
