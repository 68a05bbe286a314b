//! Answers clock reads, and hands out the page from which programs read a held clock themselves.

use std::os::fd::{AsFd, AsRawFd as _};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::calls::Call;
use super::clock::{Ahead, Clockwork};
use super::engine::{Answer, Event, Supervisor};
use super::programs::PageSlots;
use super::timeline::SECOND;
use super::times::{pair, write_time};
use super::tracee::Memory;
use crate::model::Source;
use crate::sandbox::sys::hook::{MAPPED, MAPPED_FOR_FILES, READ, WANTED};

/// Answers `clock_gettime`, `gettimeofday` and `time`.
pub(super) fn answer(supervisor: &Supervisor, event: &Event) -> Answer {
    let Some(clockwork) = &supervisor.clock else {
        return Answer::Continue;
    };
    let ahead = supervisor.ahead(event.tid).clock;
    if is_read(event) {
        clockwork.is_read(&supervisor.tracees, event.tid);
        supervisor.witness(event, Source::Clock, || None);
    }
    let now = clockwork.now(&supervisor.tracees).saturating_add(ahead);
    if !supervisor.is_valid(event) {
        return Answer::Gone;
    }
    let written = match event.trap.call {
        Call::ClockGettime(width) => {
            let memory = Memory(event.tid);
            write_time(memory, event.args[1], now, width)
                .and_then(|()| hand_page_out(supervisor, clockwork, event))
        }
        Call::Gettimeofday => gettimeofday(event, now),
        _ => time(event, now),
    };
    written.map_or_else(Answer::Errno, Answer::Value)
}

/// Whether the program asks for the time, and not its hooks for the pages.
fn is_read(event: &Event) -> bool {
    let is_clock = matches!(event.trap.call, Call::ClockGettime(_));
    !(is_clock && matches!(event.args[2], WANTED | MAPPED | MAPPED_FOR_FILES))
}

/// A read by the hook asks for the pages when there were many, or for file times, and tells where
/// they were mapped.
fn hand_page_out(
    supervisor: &Supervisor,
    clockwork: &Clockwork,
    event: &Event,
) -> Result<i64, Errno> {
    let wants = match event.args[2] {
        READ => clockwork.is_held() && clockwork.offers.for_reads(event.tid),
        WANTED => clockwork.is_held() && clockwork.offers.for_files(event.tid),
        MAPPED => {
            clockwork.offers.are_taken(event.tid);
            supervisor.set_pages(event.tid, event.args[3], PageSlots::All);
            false
        }
        MAPPED_FOR_FILES => {
            supervisor.set_pages(event.tid, event.args[3], PageSlots::Files);
            false
        }
        _ => false,
    };
    if !wants {
        return Ok(0);
    }
    let pages = match clockwork.chosen_pages() {
        Some(pages) if supervisor.is_chosen(event.tid) => pages,
        _ => clockwork.pages(),
    };
    let own = format!("self/fd/{}", pages.file().as_fd().as_raw_fd());
    let file = supervisor.tracees.open_proc(&own, OFlag::O_RDONLY)?;
    let number = supervisor.add_descriptor(event, file.as_fd());
    // Where no descriptor is free the program goes on asking.
    Ok(number.map_or(0, |number| i64::from(number) + 1))
}

impl Supervisor {
    /// How the clock is ahead for this caller.
    pub(super) fn ahead(&self, tid: u32) -> Ahead {
        let ahead = self.clock.as_ref().and_then(Clockwork::ahead);
        ahead.filter(|_| self.is_chosen(tid)).unwrap_or_default()
    }
}

fn gettimeofday(event: &Event, now: i64) -> Result<i64, Errno> {
    let memory = Memory(event.tid);
    let [value, zone, ..] = event.args;
    if value != 0 {
        let bytes = pair(now / SECOND, now % SECOND / 1000, event.abi.word);
        memory.write(value, &bytes)?;
    }
    if zone != 0 {
        memory.write(zone, &[0; 8])?;
    }
    Ok(0)
}

fn time(event: &Event, now: i64) -> Result<i64, Errno> {
    let seconds = now / SECOND;
    if event.args[0] != 0 {
        let bytes = pair(seconds, 0, event.abi.word);
        let first = bytes.get(..event.abi.word).unwrap_or_default();
        Memory(event.tid).write(event.args[0], first)?;
    }
    Ok(seconds)
}
