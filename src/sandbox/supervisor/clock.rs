//! The clock of a trial at work: the arithmetic is in `timeline`; here it meets the host's time, the
//! threads that wait, and the page from which programs read a held clock themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::engine::Event;
use super::movers::{self, Course, Movers};
use super::naps::{Effect, Naps};
use super::offers::Offers;
use super::polling::{self, Polling};
use super::processes::Start;
use super::spinning::{LOOK, PERIOD, Spinning};
use super::timeline::{Length, MILLISECOND, SECOND, Sight, Timeline, Wait};
use super::tracee::{Tracees, lock};
use super::{Config, Error};
use crate::model::Source;
use crate::sandbox::sys::page::SharedPages;
use crate::sandbox::sys::tracee::clock;

/// The clock of a trial at work.
#[derive(Debug)]
pub(super) struct Clockwork {
    timeline: Mutex<Timeline>,
    changed: Condvar,
    page: SharedPages,
    /// How the clock is ahead for chosen processes, and the page from which they read it.
    chosen: Option<(Ahead, SharedPages)>,
    /// To whom the pages are offered.
    pub(super) offers: Offers,
    spinning: Spinning,
    polling: Polling,
    naps: Naps,
    movers: Movers,
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
            offers: Offers::default(),
            spinning: Spinning::default(),
            polling: Polling::default(),
            naps: Naps::default(),
            movers: Movers::default(),
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

    /// How far a held clock came, and what moved it.
    pub(super) fn course(&self) -> Option<Course> {
        let timeline = lock(&self.timeline);
        timeline.is_held().then(|| Course {
            nanoseconds: timeline.advanced(),
            movers: self.movers.all(),
        })
    }

    /// A sleep begins; whether it counts depends on what it goes on beside.
    pub(super) fn nap(
        &self,
        tracees: &Tracees,
        event: &Event,
        length: Length,
        takes_long: impl Fn(),
    ) {
        let times = (host_now(), self.now(tracees));
        let effect = self
            .naps
            .begins(tracees, event.tid, length.meant, times, takes_long);
        match effect {
            Effect::Counts => return self.sleep(tracees, event, length),
            Effect::Waits => self.waited(tracees),
            Effect::Nothing => {}
        }
        lock(&self.timeline).forget(event.tid);
    }

    /// A process is about to end.
    pub(super) fn ends(&self, tracees: &Tracees, tid: u32, takes_long: impl Fn()) {
        if self.is_held() {
            self.naps.ends(tracees, tid, takes_long);
        }
    }

    /// Who sleeps beside what, where the clock is held.
    pub(super) fn naps(&self) -> Option<&Naps> {
        self.is_held().then_some(&self.naps)
    }

    /// A wait begins.
    pub(super) fn sleep(&self, tracees: &Tracees, event: &Event, length: impl Into<Length>) {
        let length = length.into();
        if length.left > 0 {
            let what = movers::what(event.trap.call);
            self.movers
                .count(called(tracees, event.tid), what, length.meant);
        }
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

    /// A thread reads the clock by a call.
    pub(super) fn is_read(&self, tracees: &Tracees, tid: u32) {
        self.look(tracees, tid);
        self.spinning.count(tid);
        self.polling.reads(tid);
        self.naps.reads(tracees, tid);
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
        self.movers
            .count(String::new(), "the end of a command", MILLISECOND);
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
        self.movers
            .count(String::new(), "a wait for the clock", SECOND);
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
        self.offers.forget(tid);
        let Some(start) = start.filter(|_| self.is_held()) else {
            return;
        };
        self.naps.starts(&start);
        let written = || polling::written(tracees, start.leader);
        if self.polling.begins(tid, start, self.now(tracees), written) {
            self.waited(tracees);
        }
    }

    /// How the clock is ahead for chosen processes.
    pub(super) fn ahead(&self) -> Option<Ahead> {
        self.chosen.as_ref().map(|(ahead, _)| *ahead)
    }

    /// The pages from which they read.
    pub(super) fn chosen_pages(&self) -> Option<&SharedPages> {
        self.chosen.as_ref().map(|(_, pages)| pages)
    }

    /// The pages from which everybody reads who is not ahead.
    pub(super) fn pages(&self) -> &SharedPages {
        &self.page
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

/// The name of a thread's program.
fn called(tracees: &Tracees, tid: u32) -> String {
    let name = tracees
        .read_proc(&format!("{tid}/comm"))
        .unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

/// How a waiting call is known again.
fn call_of(event: &Event) -> (u32, u64, u64) {
    (event.trap.nr, event.args[0], event.args[3])
}
