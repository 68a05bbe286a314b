//! What ends a command before it is done: Ctrl-C, SIGTERM and SIGHUP of the front end, held back so
//! that a session ends its trials and says what it knows before the program goes; and a limit of time.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};

/// The signals that ask for an end.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Why a command ends before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A signal asked for it, by its number.
    Signal(i32),
    /// Its time is up: so long it had.
    TimeLimit(Duration),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "stopped by {signal}"),
                Err(_) => write!(f, "stopped by signal {number}"),
            },
            Self::TimeLimit(limit) => {
                write!(f, "stopped by the time limit of {} s", limit.as_secs_f64())
            }
        }
    }
}

/// Holds the signals back and says when one came, or when the time is up.
#[derive(Debug)]
pub struct Interrupt {
    signals: SignalFd,
    came: AtomicI32,
    limit: OnceLock<(Instant, Duration)>,
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
            limit: OnceLock::new(),
        })
    }

    /// From now on, so long and no longer. Of several limits, the first holds.
    pub fn limit(&self, limit: Duration) {
        let _ = self.limit.set((Instant::now(), limit));
    }

    /// How much of the time is left, if there is a limit.
    pub fn left(&self) -> Option<Duration> {
        let (began, limit) = self.limit.get()?;
        Some(limit.saturating_sub(began.elapsed()))
    }

    /// Whether a signal came or the time is up.
    pub fn stop(&self) -> Option<Stop> {
        let time_is_up = || {
            let (began, limit) = self.limit.get()?;
            (began.elapsed() >= *limit).then_some(Stop::TimeLimit(*limit))
        };
        self.signal().map(Stop::Signal).or_else(time_is_up)
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
