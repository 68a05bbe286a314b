//! The supervisor at work: threads that take notifications, find who answers them, and send the
//! answer. What the answers are is decided by the modules beside this one.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::arch::{Abi, Call, Trap, identify};
use super::directory::{self, Directories};
use super::order::{Order, Records};
use super::tracee::Tracees;
use super::{Config, Error, Report};
use crate::sandbox::sys::notify;

/// A trapped call of one thread.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: u64,
    pub(super) tid: u32,
    pub(super) abi: &'static Abi,
    pub(super) trap: &'static Trap,
    pub(super) args: [u64; 6],
}

/// How a trapped call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel runs it as it stands.
    Continue,
    /// It returns this.
    Value(i64),
    /// It fails with this.
    Errno(Errno),
    /// Nobody waits for an answer any more.
    Gone,
}

/// What all threads of a supervisor share.
#[derive(Debug)]
pub(super) struct Supervisor {
    listener: OwnedFd,
    pub(super) tracees: Tracees,
    pub(super) directories: Option<Directories>,
    /// Calls answered by us.
    answered: AtomicU64,
    /// Calls left to the kernel.
    continued: AtomicU64,
    stop: AtomicBool,
}

impl Supervisor {
    pub(super) fn new(listener: OwnedFd, config: &Config) -> Result<Self, Error> {
        // An older kernel refuses; the flag only saves time.
        let _ = notify::wake_synchronously(listener.as_fd());
        Ok(Self {
            listener,
            tracees: Tracees::new().map_err(Error::Proc)?,
            directories: Order::of(config.order).map(Directories::new),
            answered: AtomicU64::new(0),
            continued: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Whether the thread still waits for its answer: only then is its id its own.
    pub(super) fn is_valid(&self, event: &Event) -> bool {
        notify::is_valid(self.listener.as_fd(), event.id)
    }

    /// Takes notifications until the last process of the trial is gone.
    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            match notify::receive(self.listener.as_fd()) {
                Ok(notification) => self.take(&notification),
                Err(Errno::ENOENT) if self.has_ended() => return,
                Err(_) => {}
            }
        }
    }

    fn has_ended(&self) -> bool {
        let mut watched = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut watched, PollTimeout::ZERO).is_ok()
            && watched
                .iter()
                .filter_map(PollFd::revents)
                .any(|events| events.contains(PollFlags::POLLHUP))
    }

    fn take(&self, notification: &notify::Notification) {
        let answer = match identify(notification.arch, notification.nr) {
            // A thread that our pid namespace cannot see has no id here.
            Some((abi, trap)) if notification.tid != 0 => self.answer(&Event {
                id: notification.id,
                tid: notification.tid,
                abi,
                trap,
                args: notification.args,
            }),
            _ => Answer::Continue,
        };
        let counter = match answer {
            Answer::Continue => &self.continued,
            _ => &self.answered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let (value, errno, run_it) = match answer {
            Answer::Continue => (0, 0, true),
            Answer::Value(value) => (value, 0, false),
            Answer::Errno(errno) => (0, errno as i32, false),
            Answer::Gone => return,
        };
        // ENOENT: the thread was killed meanwhile.
        let _ = notify::send(self.listener.as_fd(), notification.id, value, errno, run_it);
    }

    fn answer(&self, event: &Event) -> Answer {
        match event.trap.call {
            Call::Getdents64 => directory::answer(self, event, Records::Modern),
            Call::Getdents => directory::answer(self, event, Records::Legacy(event.abi.word)),
        }
    }
}

/// A supervisor whose threads run.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Supervisor>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(supervisor: Supervisor, threads: usize) -> Result<Self, Error> {
        let shared = Arc::new(supervisor);
        let threads = (0..threads)
            .map(|number| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("supervise-{number}"))
                    .spawn(move || shared.work())
                    .map_err(Error::Thread)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { shared, threads })
    }

    /// Ends the supervision of a trial whose processes are gone, and says what happened.
    pub fn finish(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Threads notice the end by themselves (6.11: a waiting RECV returns); one that an older
        // kernel keeps waiting ends with this process.
        let patience = Instant::now() + Duration::from_millis(500);
        while Instant::now() < patience && self.threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Report {
            problems: Vec::new(),
            answered: self.shared.answered.load(Ordering::Relaxed),
            continued: self.shared.continued.load(Ordering::Relaxed),
        }
    }
}
