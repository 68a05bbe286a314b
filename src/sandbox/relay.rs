//! A terminal of its own for the command of `exec`: what the caller types goes there, and what it shows
//! goes to the caller's, which no process of the trial has.

use std::fs::File;
use std::io::{Read as _, Write as _, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{isatty, write};

use super::protocol::Streams;
use super::sys;

/// Where the standard streams of an interactive command lead: where both ends are a terminal, through
/// one of its own.
pub(super) fn streams() -> Streams {
    let both = isatty(stdin()).unwrap_or(false) && isatty(stdout()).unwrap_or(false);
    match sys::terminal_size(stdin()) {
        Ok((rows, columns)) if both => Streams::Relayed { rows, columns },
        _ => Streams::Caller,
    }
}

/// The caller's terminal while it hands on every key, Ctrl-C included.
pub(super) struct Raw(Termios);

impl Raw {
    /// `None` where it cannot be set, or there is none.
    pub(super) fn of(streams: Streams) -> Option<Self> {
        let Streams::Relayed { .. } = streams else {
            return None;
        };
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // If it is gone, there is nothing to put back.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.0);
    }
}

/// The supervisor's side.
pub(super) struct Relay {
    keys: Option<File>,
    /// Typed, and not yet taken by the terminal of the command.
    pending: Vec<u8>,
    resized: SignalFd,
}

impl Relay {
    /// `None` where there is nothing to hand on. Call it before any other thread exists.
    pub(super) fn of(streams: Streams) -> Result<Option<Self>, Errno> {
        let Streams::Relayed { .. } = streams else {
            return Ok(None);
        };
        let set = SigSet::from(Signal::SIGWINCH);
        set.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let keys = stdin().as_fd().try_clone_to_owned();
        Ok(Some(Self {
            keys: keys.ok().map(File::from),
            pending: Vec::new(),
            resized: SignalFd::with_flags(&set, flags)?,
        }))
    }

    /// The caller's keys; not while the last ones wait.
    pub(super) fn keys(&self) -> Option<BorrowedFd<'_>> {
        let idle = self.pending.is_empty();
        self.keys.as_ref().filter(|_| idle).map(AsFd::as_fd)
    }

    /// Whether keys wait to be taken.
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Tells of a new size of the caller's terminal.
    pub(super) fn resized(&self) -> BorrowedFd<'_> {
        self.resized.as_fd()
    }

    /// Takes keys.
    pub(super) fn take(&mut self) {
        let mut buffer = [0; 4096];
        let Some(keys) = &mut self.keys else {
            return;
        };
        match keys.read(&mut buffer) {
            Ok(count) if count > 0 => {
                let taken = buffer.get(..count).unwrap_or_default();
                self.pending.extend(taken);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // The caller's terminal is gone.
            _ => self.keys = None,
        }
    }

    /// Hands keys on to the terminal of the command, as many as it takes; it does not block.
    pub(super) fn send(&mut self, terminal: &OwnedFd) {
        match write(terminal, &self.pending) {
            Ok(count) => {
                self.pending.drain(..count);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.pending.clear(),
        }
    }

    /// Gives the terminal of the command the size of the caller's.
    pub(super) fn resize(&self, terminal: &OwnedFd) {
        while let Ok(Some(_)) = self.resized.read_signal() {}
        if let Ok((rows, columns)) = sys::terminal_size(stdin()) {
            // The old size will do.
            let _ = sys::set_terminal_size(terminal, rows, columns);
        }
    }

    /// Shows what the command says.
    pub(super) fn show(bytes: &[u8]) {
        let mut out = stdout().lock();
        // Where the terminal is gone, nobody reads.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }
}
