//! Waits that move a held clock: sleeps, and the end of each command of the build's shell. Where it
//! creeps also those timed waits for something else that end by their time, for threads that look
//! at the clock after them: so do runtimes sleep (Java, Go, musl's conditions, event loops), but
//! also wait in the background, and only who looks at a time can tell.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::arch::REAL_CLOCKS;
use super::background;
use super::calls::Call;
use super::clock::Clockwork;
use super::engine::{Answer, Event, Supervisor};
use super::programs::Programs;
use super::steps::End;
use super::timeline::{Length, MILLISECOND, SECOND};
use super::times::{Width, read_pair, read_time};
use super::tracee::Memory;
use crate::sandbox::sys::tracee::{clock, resolution};

/// `TIMER_ABSTIME`.
pub(super) const ABSOLUTE: u64 = 1;

/// `FUTEX_CLOCK_REALTIME`, the bits of an operation, `FUTEX_WAIT_BITSET`.
const FUTEX_REAL: u64 = 256;
const FUTEX_COMMAND: u64 = 127;
const WAIT_BITSET: u64 = 9;

/// Of several threads, one that naps this long at most waits for the others, not for the clock: the
/// monitor of Go's runtime does so all the time (`sysmon`, 20 µs to 10 ms), and so does its first
/// thread on a busy machine.
const NAP: i64 = 10 * MILLISECOND;

/// The end of a command is held up to so long for a shell that is still starting others.
const SETTLING: Duration = Duration::from_millis(100);
/// After so long it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

/// A sleep begins: the kernel runs it, the clock moves when it ends.
pub(super) fn sleep(supervisor: &Supervisor, event: &Event) -> Answer {
    let Some(clockwork) = &supervisor.clock else {
        return Answer::Continue;
    };
    // What the kernel will refuse is no sleep.
    match length(supervisor, event) {
        Ok(Some(length)) if is_for_something(event) => {
            // Shorter ones are those of locks.
            let length = if length.meant > NAP { length } else { 0.into() };
            clockwork.wait(&supervisor.tracees, event, length);
        }
        Ok(Some(length)) if length.meant > NAP || is_alone(supervisor, event) => {
            let tracees = &supervisor.tracees;
            if length.left > 0 {
                clockwork.nap(tracees, event, length, || supervisor.takes_long());
            } else {
                clockwork.sleep(tracees, event, length);
            }
        }
        _ => {}
    }
    Answer::Continue
}

fn is_alone(supervisor: &Supervisor, event: &Event) -> bool {
    supervisor.tracees.threads(event.tid) == Ok(1)
}

/// Whether something else than the time can end the wait.
fn is_for_something(event: &Event) -> bool {
    match event.trap.call {
        Call::Select | Call::Pselect(_) => super::low(event.args[0]) != 0,
        Call::Poll | Call::Ppoll(_) => super::low(event.args[1]) != 0,
        Call::Futex(_) | Call::EpollWait | Call::EpollPwait2 => true,
        _ => false,
    }
}

/// Whether a futex has no deadline on the real-time clock.
pub(super) fn is_relative(event: &Event) -> bool {
    event.args[1] & FUTEX_REAL == 0 && matches!(event.args[1] & FUTEX_COMMAND, 0 | WAIT_BITSET)
}

/// How long the caller wants to wait; `None` without end, or where the clock is not a time.
fn length(supervisor: &Supervisor, event: &Event) -> Result<Option<Length>, Errno> {
    let memory = Memory(event.tid);
    let args = event.args;
    let relative = |address: u64, width: Width| {
        read_time(memory, address, width).map(|duration| Some(duration.into()))
    };
    match event.trap.call {
        Call::Nanosleep(width) => relative(args[0], width),
        Call::ClockNanosleep(width) if args[1] & ABSOLUTE == 0 => relative(args[2], width),
        Call::ClockNanosleep(width) => {
            let until = read_time(memory, args[2], width)?;
            Ok(monotonic_now(supervisor, event, args[0]).map(|now| Length::until(until - now)))
        }
        Call::Pselect(width) => relative(args[4], width),
        Call::Ppoll(width) => relative(args[2], width),
        Call::Select => {
            let (seconds, micros) = read_pair(memory, args[4], event.abi.word)?;
            let micros = micros.saturating_mul(1000);
            let duration = seconds.saturating_mul(SECOND).saturating_add(micros);
            Ok(Some(duration.into()))
        }
        Call::Poll => Ok(milliseconds(args[2]).map(Length::from)),
        // Go rounds down, and waits for the rest in a loop. Without end, the earlier waits of the
        // thread are over as well.
        Call::EpollWait => {
            let duration = milliseconds(args[3]).map_or(0, |time| time + MILLISECOND);
            Ok(Some(duration.into()))
        }
        Call::EpollPwait2 => relative(args[3], Width::Wide),
        Call::Futex(width) if args[1] & FUTEX_COMMAND == WAIT_BITSET => {
            let until = read_time(memory, args[3], width)?;
            let monotonic = 1;
            Ok(monotonic_now(supervisor, event, monotonic).map(|now| Length::until(until - now)))
        }
        Call::Futex(width) => relative(args[3], width),
        _ => Ok(None),
    }
}

fn milliseconds(argument: u64) -> Option<i64> {
    let count = i64::from(super::low(argument));
    (count > 0).then(|| count * MILLISECOND)
}

/// What a monotonic clock shows inside the time namespace of the caller.
fn monotonic_now(supervisor: &Supervisor, event: &Event, id: u64) -> Option<i64> {
    let (id, name) = match id & 0xffff_ffff {
        1 => (libc::CLOCK_MONOTONIC, "monotonic"),
        7 => (libc::CLOCK_BOOTTIME, "boottime"),
        _ => return None,
    };
    let path = format!("{}/timens_offsets", event.tid);
    let text = supervisor.tracees.read_proc(&path).unwrap_or_default();
    Some(clock(id) + offset(&String::from_utf8_lossy(&text), name))
}

/// One line of `/proc/PID/timens_offsets`: name, seconds, nanoseconds (`time_namespaces(7)`).
fn offset(text: &str, name: &str) -> i64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let mut numbers = line
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(|word| word.parse::<i64>().unwrap_or(0));
    let (seconds, nanoseconds) = (numbers.next(), numbers.next());
    seconds.unwrap_or(0) * SECOND + nanoseconds.unwrap_or(0)
}

/// Whether the caller of `clock_nanosleep` waits for the real-time clock to reach a time.
pub(super) fn is_deadline(event: &Event) -> bool {
    let real = u32::try_from(event.args[0] & 0xffff_ffff).unwrap_or(u32::MAX);
    event.args[1] & ABSOLUTE != 0 && REAL_CLOCKS.contains(&real)
}

/// A process ends: if a step of the build's shell ends with it, the clock moves.
pub(super) fn exit(supervisor: &Supervisor, event: &Event) -> Answer {
    let Some(programs) = &supervisor.programs else {
        return Answer::Continue;
    };
    if let Some(clockwork) = &supervisor.clock {
        clockwork.ends(&supervisor.tracees, event.tid, || supervisor.takes_long());
        if ends_step(supervisor, programs, clockwork, event.tid) {
            end_of_step(supervisor, clockwork);
        }
    }
    programs.forget(event.tid);
    Answer::Continue
}

/// Holds the end of the step until files get a later stamp than any that it wrote. Those stamps may
/// be finer than the kernel's tick (multigrain, 6.13), and the tick may come late.
fn end_of_step(supervisor: &Supervisor, clockwork: &Clockwork) {
    supervisor.takes_long();
    let ended = clock(libc::CLOCK_REALTIME);
    let tick = resolution(libc::CLOCK_REALTIME_COARSE);
    let mut now = clock(libc::CLOCK_REALTIME_COARSE);
    while now <= ended {
        // A tick is at most 10 ms (HZ=100), and most of it may be over already.
        let left =
            (tick - (clock(libc::CLOCK_REALTIME) - now)).clamp(MILLISECOND / 10, 10 * MILLISECOND);
        std::thread::sleep(Duration::from_nanos(left.cast_unsigned()));
        now = clock(libc::CLOCK_REALTIME_COARSE);
    }
    clockwork.tick(&supervisor.tracees, now);
}

/// Whether a step of the build ends with a process. It is waited until the shell has started all that
/// goes together, for the first command of a pipeline may end before.
fn ends_step(
    supervisor: &Supervisor,
    programs: &Programs,
    clockwork: &Clockwork,
    tid: u32,
) -> bool {
    let tracees = &supervisor.tracees;
    let naps = clockwork.naps();
    let only_napped = naps.is_some_and(|naps| naps.only_napped(tracees, tid));
    let commands = programs.commands(tid).unwrap_or_default();
    // Its own, or that of the process of which it is not the first thread.
    let own = |command: u32| {
        command == tid || !programs.has_begun(tid) && tracees.has_thread(command, tid)
    };
    let Some(own) = commands.iter().copied().find(|command| own(*command)) else {
        return false;
    };
    let since = Instant::now();
    while !programs.shell_waits(tracees) && since.elapsed() < SETTLING {
        supervisor.takes_long();
        std::thread::sleep(LOOK_AGAIN);
    }
    let has_jobs = naps.is_some_and(|naps| naps.is_behind(tracees, own));
    let end = End {
        process: own,
        has_jobs,
        only_napped,
    };
    let piped = || {
        if has_jobs {
            background::in_pipeline(tracees, own)
        } else {
            BTreeSet::new()
        }
    };
    programs.ends_step(tracees, end, piped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_a_time_namespace_are_read_by_name() {
        let text = "monotonic   -864000         5\nboottime     7         0\n";
        assert_eq!(offset(text, "monotonic"), -864_000 * SECOND + 5);
        assert_eq!(offset(text, "boottime"), 7 * SECOND);
        assert_eq!(offset("", "boottime"), 0);
    }
}
