//! Absolute deadlines on the real-time clock: the trial speaks of its own time, the kernel waits
//! by the host's. The caller's structure holds the host's time while the kernel reads it, and gets
//! its own back as soon as the caller waits (or has returned): programs wait again with the same
//! structure, which must not be converted twice.

use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use nix::errno::Errno;

use super::calls::Call;
use super::clock::Clockwork;
use super::engine::{Answer, Event, Supervisor};
use super::timeline::SECOND;
use super::times::{Width, encode, read_pair, read_time, word_of, write_time};
use super::tracee::{Memory, Tracees, lock};
use super::waits::ABSOLUTE;
use crate::sandbox::sys::tracee::timerfd_settime;

/// How long the first look waits, and the longest pause between looks.
const PAUSES: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(2));

/// A structure that must be given back.
#[derive(Debug)]
struct Loan {
    tid: u32,
    address: u64,
    width: Width,
    /// What the caller wrote, and what stands there now.
    original: i64,
    lent: i64,
    /// The kernel may read it from now on; before, the caller still waits for our answer.
    released: bool,
}

/// All structures that are lent.
#[derive(Debug, Default)]
pub(super) struct Loans {
    open: Mutex<Vec<Loan>>,
    more: Condvar,
}

impl Loans {
    /// Gives back what the thread lent in an earlier call.
    fn settle(&self, tid: u32) {
        lock(&self.open).retain(|loan| {
            if loan.tid == tid {
                loan.give_back();
            }
            loan.tid != tid
        });
    }

    /// What the caller meant by a time that we have written there ourselves, for another thread.
    fn meant(&self, address: u64, time: i64) -> i64 {
        let open = lock(&self.open);
        let same = |loan: &&Loan| loan.address == address && loan.lent == time;
        open.iter().find(same).map_or(time, |loan| loan.original)
    }

    fn release(&self, tid: u32) {
        for loan in lock(&self.open).iter_mut().filter(|loan| loan.tid == tid) {
            loan.released = true;
        }
        self.more.notify_one();
    }

    /// Lets [`Loans::keep`] see at once that it is to stop.
    pub(super) fn wake(&self) {
        self.more.notify_all();
    }

    /// Gives structures back until told to stop.
    pub(super) fn keep(&self, tracees: &Tracees, stopped: impl Fn() -> bool) {
        let mut pause = PAUSES.0;
        while !stopped() {
            let mut open = lock(&self.open);
            let before = open.len();
            open.retain(|loan| !(loan.released && loan.is_over(tracees)));
            if open.is_empty() {
                let rest = Duration::from_millis(100);
                let _ = self.more.wait_timeout(open, rest);
                pause = PAUSES.0;
            } else {
                pause = if open.len() < before {
                    PAUSES.0
                } else {
                    (pause * 2).min(PAUSES.1)
                };
                drop(open);
                std::thread::sleep(pause);
            }
        }
    }
}

impl Loan {
    fn is_over(&self, tracees: &Tracees) -> bool {
        match tracees.read_proc(&format!("{}/syscall", self.tid)) {
            // It may not have come to read the structure yet.
            Ok(text) if text.starts_with(b"running") => false,
            Ok(_) => {
                self.give_back();
                true
            }
            Err(_) => true,
        }
    }

    /// Only what still holds our time is ours to overwrite.
    fn give_back(&self) {
        let memory = Memory(self.tid);
        if read_time(memory, self.address, self.width) == Ok(self.lent) {
            let _ = write_time(memory, self.address, self.original, self.width);
        }
    }
}

/// A call with an absolute deadline: where the deadline stands.
pub(super) fn answer(supervisor: &Supervisor, event: &Event) -> Answer {
    let Some(clockwork) = &supervisor.clock else {
        return Answer::Continue;
    };
    supervisor.loans.settle(event.tid);
    let args = event.args;
    let (address, width) = match event.trap.call {
        Call::Futex(width) => (args[3], width),
        Call::FutexWaitv => (args[3], Width::Wide),
        Call::ClockNanosleep(width) => (args[2], width),
        Call::MessageQueue(width) => (args[4], width),
        Call::TimerfdSettime(width) => return timerfd(supervisor, clockwork, event, width),
        Call::TimerSettime(width) if is_real_timer(supervisor, event) => {
            (args[2] + 2 * word_of(width) as u64, width)
        }
        _ => return Answer::Continue,
    };
    lend(supervisor, clockwork, event, address, width).unwrap_or(Answer::Continue)
}

/// Converts in place and lets the kernel run the call. What cannot be read is the kernel's to
/// refuse.
fn lend(
    supervisor: &Supervisor,
    clockwork: &Clockwork,
    event: &Event,
    address: u64,
    width: Width,
) -> Result<Answer, Errno> {
    let memory = Memory(event.tid);
    let original = supervisor
        .loans
        .meant(address, read_time(memory, address, width)?);
    let sets_timer = matches!(
        event.trap.call,
        Call::TimerSettime(_) | Call::TimerfdSettime(_)
    );
    if original == 0 && sets_timer {
        // Disarms the timer.
        return Ok(Answer::Continue);
    }
    let ahead = supervisor.ahead(event.tid).clock;
    let (lent, wait) = clockwork.with(&supervisor.tracees, ahead, |sight, now| {
        let real = sight.to_real(original, now);
        (real, real - now)
    });
    if !supervisor.is_valid(event) {
        return Ok(Answer::Gone);
    }
    let loan = Loan {
        tid: event.tid,
        address,
        width,
        original,
        lent,
        released: false,
    };
    lock(&supervisor.loans.open).push(loan);
    if supervisor
        .write_anywhere(event.tid, address, &encode(lent, width))
        .is_err()
    {
        supervisor.loans.settle(event.tid);
        supervisor.problem("a deadline stands in memory that cannot be written".into());
        return Ok(Answer::Errno(Errno::EFAULT));
    }
    if !sets_timer {
        clockwork.sleep(&supervisor.tracees, event, wait);
    }
    supervisor.send(event.id, Answer::Continue);
    supervisor.loans.release(event.tid);
    Ok(Answer::Sent)
}

/// `timerfd_settime` acts on an open file description, which we can have too.
fn timerfd(supervisor: &Supervisor, clockwork: &Clockwork, event: &Event, width: Width) -> Answer {
    let set = || -> Result<Option<Answer>, Errno> {
        let number = super::low(event.args[0]);
        let path = format!("{}/fdinfo/{number}", event.tid);
        let information = supervisor.tracees.read_proc(&path)?;
        let information = String::from_utf8_lossy(&information);
        if !information.lines().any(|line| line == "clockid: 0") {
            return Ok(None);
        }
        let (memory, word) = (Memory(event.tid), word_of(width));
        let value_at = event.args[2] + 2 * word as u64;
        let value = read_time(memory, value_at, width)?;
        let interval = read_pair(memory, event.args[2], word)?;
        if value == 0 {
            return Ok(None);
        }
        let ahead = supervisor.ahead(event.tid).clock;
        let real = clockwork.with(&supervisor.tracees, ahead, |sight, now| {
            sight.to_real(value, now).max(1)
        });
        let Ok(timer) = supervisor.tracees.descriptor(event.tid, number) else {
            // An outer sandbox forbids it: as with any other timer.
            return lend(supervisor, clockwork, event, value_at, width).map(Some);
        };
        let new = [interval.0, interval.1, real / SECOND, real % SECOND];
        let old = timerfd_settime(timer.as_fd(), super::low(event.args[1]), new);
        let Ok(old) = old else {
            return Ok(None);
        };
        if event.args[3] != 0 && supervisor.is_valid(event) {
            let bytes = old
                .iter()
                .flat_map(|number| number.to_le_bytes().into_iter().take(word));
            memory.write(event.args[3], &bytes.collect::<Vec<_>>())?;
        }
        Ok(Some(Answer::Value(0)))
    };
    set().ok().flatten().unwrap_or(Answer::Continue)
}

/// Whether a POSIX timer counts real time: `/proc/PID/timers`, proc(5).
fn is_real_timer(supervisor: &Supervisor, event: &Event) -> bool {
    let path = format!("{}/timers", event.tid);
    let text = supervisor.tracees.read_proc(&path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let wanted = format!("ID: {}", super::low(event.args[0]));
    event.args[1] & ABSOLUTE != 0
        && text
            .lines()
            .skip_while(|line| *line != wanted)
            .find_map(|line| line.strip_prefix("ClockID: "))
            == Some("0")
}
