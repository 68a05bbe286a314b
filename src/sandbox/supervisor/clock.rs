//! Answers clock reads, and keeps the page from which programs read a held clock themselves. The
//! arithmetic is in `timeline`; here it meets the host's time and the threads that wait.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::arch::{Call, Width};
use super::engine::{Answer, Event, Supervisor};
use super::polling::{self, Polling};
use super::processes::Start;
use super::programs::PageSlots;
use super::spinning::{LOOK, PERIOD, Spinning};
use super::timeline::{Length, SECOND, Sight, Timeline, Wait};
use super::tracee::{Memory, Tracees, lock};
use super::witness::Source;
use super::{Config, Error};
use crate::sandbox::sys::hook::{MAPPED, MAPPED_FOR_FILES, READ, WANTED};
use crate::sandbox::sys::page::SharedPages;
use crate::sandbox::sys::tracee::clock;

/// After this many reads by one thread, its program gets the page.
const READS_BEFORE_MAPPING: u32 = 16;
/// How often a program is offered the page; one that cannot map it keeps asking.
const OFFERS: u32 = 4;

/// The clock of a trial at work.
#[derive(Debug)]
pub(super) struct Clockwork {
    timeline: Mutex<Timeline>,
    changed: Condvar,
    page: SharedPages,
    /// How the clock is ahead for chosen processes, and the page from which they read it.
    chosen: Option<(Ahead, SharedPages)>,
    /// Reads since a program began, and when the latest bundle of them did, by thread.
    reads: Mutex<BTreeMap<u32, (u32, i64)>>,
    spinning: Spinning,
    polling: Polling,
    /// At the moment every read is a call.
    looking: AtomicBool,
}

/// What of the clock is ahead for chosen processes, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ahead {
    /// What they read of the clock, and their deadlines.
    pub(super) clock: i64,
    /// The times of files that they see.
    pub(super) files: i64,
}

impl Ahead {
    /// Nothing where a clock acts everywhere alike.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let within = config.within.as_ref()?;
        let seconds = within.clock.ahead_of(config.clock)?;
        let ahead = seconds.saturating_mul(SECOND);
        let of = |source| i64::from(within.scope.holds_for(source)) * ahead;
        Some(Self {
            clock: of(Source::Clock),
            files: of(Source::FileTime),
        })
        .filter(|ahead| *ahead != Self::default())
    }
}

/// The host's time.
pub(super) fn host_now() -> i64 {
    clock(libc::CLOCK_REALTIME)
}

impl Clockwork {
    pub(super) fn new(timeline: Timeline, ahead: Option<Ahead>) -> Result<Self, Error> {
        let chosen = ahead.map(|ahead| Ok((ahead, SharedPages::new().map_err(Error::Page)?)));
        let clockwork = Self {
            timeline: Mutex::new(timeline),
            changed: Condvar::new(),
            page: SharedPages::new().map_err(Error::Page)?,
            chosen: chosen.transpose()?,
            reads: Mutex::default(),
            spinning: Spinning::default(),
            polling: Polling::default(),
            looking: AtomicBool::new(false),
        };
        clockwork.publish(&lock(&clockwork.timeline), host_now());
        Ok(clockwork)
    }

    pub(super) fn unread(&self) -> Option<Duration> {
        self.spinning.unread()
    }

    pub(super) fn is_held(&self) -> bool {
        lock(&self.timeline).is_held()
    }

    /// Whether it moves in steps alone, files' times included.
    pub(super) fn is_stepped(&self) -> bool {
        lock(&self.timeline).is_stepped()
    }

    /// Whether what programs read of it depends on who they are.
    pub(super) fn differs_by_reader(&self) -> bool {
        self.chosen.is_some()
    }

    /// What a running clock adds.
    pub(super) fn offset(&self) -> i64 {
        lock(&self.timeline).offset()
    }

    /// The timeline, with every wait that is over turned into a step.
    fn current(&self, tracees: &Tracees, now: i64) -> MutexGuard<'_, Timeline> {
        let mut timeline = lock(&self.timeline);
        if timeline.next_due() <= now {
            timeline.advance(now, |wait| lasted(tracees, wait, now));
            self.publish(&timeline, now);
        }
        timeline
    }

    fn publish(&self, timeline: &Timeline, now: i64) {
        let due = match timeline.next_due() {
            _ if self.looking.load(Ordering::Relaxed) || timeline.depends_on_reader() => 0,
            i64::MAX => u64::MAX,
            due => due.cast_unsigned(),
        };
        let time = timeline.at(now);
        self.page.store(time.cast_unsigned(), due);
        self.page.show(timeline.course());
        if let Some((ahead, page)) = &self.chosen {
            let time = time.saturating_add(ahead.clock);
            page.store(time.cast_unsigned(), due);
        }
    }

    /// What the trial's clock shows.
    pub(super) fn now(&self, tracees: &Tracees) -> i64 {
        let now = host_now();
        self.current(tracees, now).at(now)
    }

    /// Reads something from the current timeline, for who is so much ahead; the argument is the
    /// host's time.
    pub(super) fn with<T>(
        &self,
        tracees: &Tracees,
        ahead: i64,
        read: impl Fn(Sight<'_>, i64) -> T,
    ) -> T {
        let now = host_now();
        let timeline = &self.current(tracees, now);
        read(Sight { timeline, ahead }, now)
    }

    /// A wait begins.
    pub(super) fn sleep(&self, tracees: &Tracees, event: &Event, length: impl Into<Length>) {
        let now = host_now();
        let mut timeline = self.current(tracees, now);
        timeline.sleep(now, length, event.tid, call_of(event));
        timeline.advance(now, |_| true);
        self.publish(&timeline, now);
        drop(timeline);
        self.changed.notify_one();
    }

    /// A wait for something else, or for time, begins.
    pub(super) fn wait(&self, tracees: &Tracees, event: &Event, length: impl Into<Length>) {
        let now = host_now();
        let mut timeline = self.current(tracees, now);
        timeline.wait(now, length, event.tid, call_of(event));
        self.publish(&timeline, now);
        drop(timeline);
        self.changed.notify_one();
    }

    /// A thread looks at a time: what it has waited for before has passed.
    pub(super) fn look(&self, tracees: &Tracees, tid: u32) {
        // There, waits for something else do not count.
        if self.is_stepped() {
            return;
        }
        let now = host_now();
        let mut timeline = self.current(tracees, now);
        if timeline.look(tid) {
            self.publish(&timeline, now);
        }
    }

    /// The end of a step of the build, from the host's time `real` on.
    pub(super) fn tick(&self, tracees: &Tracees, real: i64) {
        let now = host_now();
        let mut timeline = self.current(tracees, now);
        timeline.tick(real);
        self.publish(&timeline, now);
    }

    /// Turns waits into steps when they are due, so that the page is right without being asked.
    pub(super) fn keep(&self, tracees: &Tracees, stopped: impl Fn() -> bool) {
        let mut last = Instant::now();
        let mut seconds = (Instant::now(), self.now(tracees));
        while !stopped() {
            let now = host_now();
            let timeline = self.current(tracees, now);
            let left = timeline.next_due().saturating_sub(now).max(0);
            let left = Duration::from_nanos(left.cast_unsigned());
            // Wakes now and then to see whether it is to stop.
            let rest = PERIOD.saturating_sub(last.elapsed()).min(left);
            drop(self.changed.wait_timeout(timeline, rest));
            if last.elapsed() >= PERIOD {
                self.look_for_readers(tracees);
                last = Instant::now();
            }
            if seconds.0.elapsed() >= Duration::from_secs(1) {
                let moved = self.now(tracees) != seconds.1;
                if self.spinning.second(tracees, moved) {
                    self.waited(tracees);
                }
                seconds = (Instant::now(), self.now(tracees));
            }
        }
    }

    /// Looks for a moment whether somebody waits by reading the clock; if so, moves it.
    fn look_for_readers(&self, tracees: &Tracees) {
        let set = |looking| {
            self.looking.store(looking, Ordering::Relaxed);
            self.publish(&lock(&self.timeline), host_now());
        };
        self.spinning.begin();
        set(true);
        std::thread::sleep(LOOK);
        set(false);
        if self.spinning.end(tracees) {
            self.waited(tracees);
        }
    }

    /// Somebody has waited for the clock to move.
    fn waited(&self, tracees: &Tracees) {
        let now = host_now();
        let mut timeline = self.current(tracees, now);
        timeline.waited(now);
        self.publish(&timeline, now);
    }

    /// Lets [`Clockwork::keep`] see at once that it is to stop.
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    /// A program begins in this thread; if its parent waits for the clock by starting it over and
    /// over, the clock moves.
    pub(super) fn begin(&self, tracees: &Tracees, tid: u32, start: Option<Start>) {
        lock(&self.reads).remove(&tid);
        let Some(start) = start.filter(|_| self.is_held()) else {
            return;
        };
        let written = || polling::written(tracees, start.leader);
        if self.polling.begins(tid, start, self.now(tracees), written) {
            self.waited(tracees);
        }
    }

    /// The pages from which everybody reads who is not ahead.
    pub(super) fn pages(&self) -> &SharedPages {
        &self.page
    }

    /// A program wants the pages for file times; one that cannot map them is offered them no more.
    fn wants_files(&self, tid: u32) -> bool {
        let mut reads = lock(&self.reads);
        let (count, _) = reads.entry(tid).or_insert((0, 0));
        *count = count.saturating_add(READS_BEFORE_MAPPING);
        *count <= READS_BEFORE_MAPPING * OFFERS
    }

    fn wants_page(&self, tid: u32) -> bool {
        let mut reads = lock(&self.reads);
        let now = clock(libc::CLOCK_MONOTONIC);
        let (count, since) = reads.entry(tid).or_insert((0, now));
        *count = count.saturating_add(1);
        let full = count.is_multiple_of(READS_BEFORE_MAPPING);
        // One that reads it now and then may wait for it, which must be seen.
        let often = full && now - std::mem::replace(since, now) < SECOND / 10;
        often && *count <= READS_BEFORE_MAPPING * OFFERS
    }
}

/// Whether a wait that is due was not cut short: the thread still waits, or its time was over
/// before anybody looked.
fn lasted(tracees: &Tracees, wait: &Wait, now: i64) -> bool {
    if now >= wait.end {
        return true;
    }
    let Ok(text) = tracees.read_proc(&format!("{}/syscall", wait.tid)) else {
        return false;
    };
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split_ascii_whitespace();
    let Some(number) = words.next() else {
        return false;
    };
    // restart_syscall, x86-64 and i386: a wait that a signal stopped for a moment.
    if matches!(number, "running" | "219" | "0") {
        return !wait.for_something || number == "219";
    }
    let number_of = |word: Option<&str>| {
        let digits = word.and_then(|word| word.strip_prefix("0x"))?;
        u64::from_str_radix(digits, 16).ok()
    };
    let argument = number_of(words.next());
    // Another wait on the same lock may have no end.
    let fourth = number_of(words.nth(2));
    (number.parse(), argument, fourth) == (Ok(wait.call.0), Some(wait.call.1), Some(wait.call.2))
}

/// How a waiting call is known again.
fn call_of(event: &Event) -> (u32, u64, u64) {
    (event.trap.nr, event.args[0], event.args[3])
}

/// Answers `clock_gettime`, `gettimeofday` and `time`.
pub(super) fn answer(supervisor: &Supervisor, event: &Event) -> Answer {
    let Some(clockwork) = &supervisor.clock else {
        return Answer::Continue;
    };
    let ahead = supervisor.ahead(event.tid).clock;
    if is_read(event) {
        clockwork.look(&supervisor.tracees, event.tid);
        clockwork.spinning.count(event.tid);
        clockwork.polling.reads(event.tid);
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
        READ => clockwork.is_held() && clockwork.wants_page(event.tid),
        WANTED => clockwork.is_held() && clockwork.wants_files(event.tid),
        MAPPED => {
            lock(&clockwork.reads).insert(event.tid, (u32::MAX, 0));
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
    let page = match &clockwork.chosen {
        Some((_, page)) if supervisor.is_chosen(event.tid) => page,
        _ => &clockwork.page,
    };
    let own = format!("self/fd/{}", raw(page.file()));
    let file = supervisor.tracees.open_proc(&own, OFlag::O_RDONLY)?;
    let number = supervisor.add_descriptor(event, file.as_fd());
    // Where no descriptor is free the program goes on asking.
    Ok(number.map_or(0, |number| i64::from(number) + 1))
}

impl Supervisor {
    /// How the clock is ahead for this caller.
    pub(super) fn ahead(&self, tid: u32) -> Ahead {
        let chosen = self.clock.as_ref().and_then(|clock| clock.chosen.as_ref());
        match chosen {
            Some((ahead, _)) if self.is_chosen(tid) => *ahead,
            _ => Ahead::default(),
        }
    }
}

fn raw(file: impl AsFd) -> i32 {
    use std::os::fd::AsRawFd;
    file.as_fd().as_raw_fd()
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

/// Two numbers as a structure of two words.
fn pair(first: i64, second: i64, word: usize) -> Vec<u8> {
    let [first, second] = [first, second].map(i64::to_le_bytes);
    let low = |bytes: [u8; 8]| bytes.into_iter().take(word);
    low(first).chain(low(second)).collect()
}

/// Bytes of a number in a time structure.
pub(super) fn word_of(width: Width) -> usize {
    match width {
        Width::Wide => 8,
        Width::Narrow => 4,
    }
}

/// A time as a `timespec`.
pub(super) fn encode(time: i64, width: Width) -> Vec<u8> {
    pair(
        time.div_euclid(SECOND),
        time.rem_euclid(SECOND),
        word_of(width),
    )
}

/// Writes a time as a `timespec`.
pub(super) fn write_time(
    memory: Memory,
    address: u64,
    time: i64,
    width: Width,
) -> Result<(), Errno> {
    memory.write(address, &encode(time, width))
}

/// Reads two numbers, for example a `timespec`.
pub(super) fn read_pair(memory: Memory, address: u64, word: usize) -> Result<(i64, i64), Errno> {
    let mut bytes = [0; 16];
    let bytes = bytes.get_mut(..2 * word).ok_or(Errno::EINVAL)?;
    memory.read(address, bytes)?;
    let number = |at: usize| match word {
        4 => bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map(|chunk| i64::from(i32::from_le_bytes(*chunk))),
        _ => bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map(|chunk| i64::from_le_bytes(*chunk)),
    };
    number(0).zip(number(word)).ok_or(Errno::EFAULT)
}

/// Reads a `timespec` as nanoseconds; `EINVAL` where the kernel would say so.
pub(super) fn read_time(memory: Memory, address: u64, width: Width) -> Result<i64, Errno> {
    let (seconds, nanoseconds) = read_pair(memory, address, word_of(width))?;
    if seconds < 0 || !(0..SECOND).contains(&nanoseconds) {
        return Err(Errno::EINVAL);
    }
    Ok(seconds.saturating_mul(SECOND).saturating_add(nanoseconds))
}
