//! The trial's real-time clock as arithmetic: from the host's time to the trial's, for clock
//! reads, file times and deadlines. Pure: the host's time is always an argument. All times are
//! nanoseconds since 1970.

use crate::model::Clock;
use crate::sandbox::sys::page::{Course, Step};

pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const MILLISECOND: i64 = 1_000_000;
/// File stamps lag behind the clock by up to one tick of the kernel (10 ms at HZ=100): a sleep's
/// step counts from that much earlier, so that a file written after a sleep is never older than
/// the time the sleeper reads.
const LEAD: i64 = 10 * MILLISECOND;
/// Sources were checked out so long before the clock starts: later than all of them, as it is later
/// than the host's own time, from which a session's clocks are two days away.
const CHECKED_OUT: i64 = 3600 * SECOND;
/// How much slower than real time the files of a creeping clock age.
const CREEP: i64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Stepped,
    Creeping,
    Running,
}

/// Up to this, a wait may have been meant in single milliseconds.
const SHORT: i64 = 20 * MILLISECOND;
/// Longer ones are taken to be multiples of this.
const ROUND: i64 = 10 * MILLISECOND;

/// How long a wait takes from now on, and for how long it was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) left: i64,
    pub(super) meant: i64,
}

impl Length {
    /// Of a wait until some time: some of it has passed since the caller looked at the clock, more
    /// on a busy host, and round times are what people write.
    pub(super) fn until(left: i64) -> Self {
        let round = if left > SHORT { ROUND } else { MILLISECOND };
        let over = left.rem_euclid(round);
        let missing = if over == 0 { 0 } else { round - over };
        Self {
            left,
            meant: left.saturating_add(missing),
        }
    }
}

impl From<i64> for Length {
    fn from(duration: i64) -> Self {
        Self {
            left: duration,
            meant: duration,
        }
    }
}

/// A wait that will move the clock when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    /// Host time from which the step counts.
    pub(super) due: i64,
    /// Host time at which the wait is over.
    pub(super) end: i64,
    /// Where the clock stands then, at least.
    pub(super) target: i64,
    /// The thread that waits.
    pub(super) tid: u32,
    /// The number of the call it waits in, its first and its fourth argument.
    pub(super) call: (u32, u64, u64),
    /// It may be for something else than time: only what the thread looks at afterwards tells.
    pub(super) for_something: bool,
}

/// A wait for something else that has ended by its time, of a thread that has not looked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waited {
    tid: u32,
    due: i64,
    target: i64,
}

/// A timeline as processes see it that are ahead of what it is for the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'t> {
    pub(super) timeline: &'t Timeline,
    /// Nanoseconds.
    pub(super) ahead: i64,
}

impl Sight<'_> {
    /// [`Timeline::is_given`].
    pub(super) fn is_given(self, stored: i64) -> bool {
        self.timeline.is_given(stored)
    }

    /// When the sources were checked out.
    pub(super) fn checkout(self) -> i64 {
        self.timeline.checkout().saturating_add(self.ahead)
    }

    /// [`Timeline::file`].
    pub(super) fn file(self, stored: i64, now: i64) -> i64 {
        let shown = self.timeline.file(stored, now);
        if self.timeline.is_kept(stored, now) {
            shown
        } else {
            shown.saturating_add(self.ahead)
        }
    }

    /// [`Timeline::to_real`].
    pub(super) fn to_real(self, deadline: i64, now: i64) -> i64 {
        let deadline = deadline.saturating_sub(self.ahead);
        self.timeline.to_real(deadline, now)
    }
}

/// The clock of one trial.
#[derive(Debug)]
pub(super) struct Timeline {
    pace: Pace,
    /// Where the trial's clock starts.
    start: i64,
    /// The host's time at that moment.
    began: i64,
    /// Host time from which files were set up for the trial.
    since: i64,
    /// Sorted by both fields.
    steps: Vec<Step>,
    waits: Vec<Wait>,
    waited: Vec<Waited>,
}

impl Timeline {
    /// `began` is the host's time now, `since` the host's time when the set-up of the trial (or
    /// of its session) began. `None` for the host's own clock.
    pub(super) fn new(clock: Clock, began: i64, since: i64) -> Option<Self> {
        let (pace, start) = match clock {
            Clock::Host => return None,
            Clock::Stepped { start } => (Pace::Stepped, start),
            Clock::Creeping { start } => (Pace::Creeping, start),
            Clock::Running { start } => (Pace::Running, start),
        };
        Some(Self {
            pace,
            start: start.saturating_mul(SECOND),
            began,
            since: since.min(began),
            steps: Vec::new(),
            waits: Vec::new(),
            waited: Vec::new(),
        })
    }

    /// Whether the clock stands still between steps.
    pub(super) fn is_held(&self) -> bool {
        self.pace != Pace::Running
    }

    /// Whether it matters who looks at it next.
    pub(super) fn depends_on_reader(&self) -> bool {
        !self.waited.is_empty()
    }

    /// What a running clock adds to the host's.
    pub(super) fn offset(&self) -> i64 {
        self.start - self.began
    }

    /// What the trial's clock shows at the host's time `real`.
    pub(super) fn at(&self, real: i64) -> i64 {
        match self.pace {
            Pace::Running => real.max(self.began).saturating_add(self.offset()),
            Pace::Stepped => self.stepped(real),
            // Never behind the files.
            Pace::Creeping => self.stepped(real) + MILLISECOND,
        }
    }

    fn stepped(&self, real: i64) -> i64 {
        let passed = self.steps.partition_point(|step| step.real <= real);
        match passed.checked_sub(1).and_then(|last| self.steps.get(last)) {
            Some(step) => step.reached,
            None => self.start,
        }
    }

    /// How far it has come by steps.
    pub(super) fn advanced(&self) -> i64 {
        self.steps
            .last()
            .map_or(0, |step| step.reached - self.start)
    }

    /// Whether it moves in steps alone, files' times included.
    pub(super) fn is_stepped(&self) -> bool {
        self.pace == Pace::Stepped
    }

    /// What tells file times where it does.
    pub(super) fn course(&self) -> Course<'_> {
        Course {
            since: self.since,
            began: self.began,
            start: self.start,
            checkout: self.checkout() / SECOND,
            steps: self.is_stepped().then_some(&self.steps),
        }
    }

    /// When the sources were checked out.
    fn checkout(&self) -> i64 {
        self.start.saturating_sub(CHECKED_OUT)
    }

    /// Whether a stored time is from before the set-up: the source's own.
    pub(super) fn is_given(&self, stored: i64) -> bool {
        stored < self.since
    }

    /// Whether a stored time is nobody's but the source's or the build's.
    fn is_kept(&self, stored: i64, now: i64) -> bool {
        self.is_given(stored) || stored > now
    }

    /// What the trial shows for a file time that the kernel, or the build, has stored. Times
    /// before the set-up are the source's own; times after `now` were set by the build.
    pub(super) fn file(&self, stored: i64, now: i64) -> i64 {
        if self.is_kept(stored, now) {
            stored
        } else if stored < self.began {
            self.start
        } else {
            match self.pace {
                Pace::Running => self.at(stored),
                Pace::Stepped => self.stepped(stored),
                Pace::Creeping => {
                    let age = (stored - self.began) / CREEP;
                    self.stepped(stored) + age.min(MILLISECOND)
                }
            }
        }
    }

    /// The host's time at which the trial's clock would show `deadline`, were it running from now.
    pub(super) fn to_real(&self, deadline: i64, now: i64) -> i64 {
        deadline
            .saturating_sub(self.at(now))
            .saturating_add(now)
            .max(0)
    }

    /// A wait for something else, or for time: it moves the clock when the thread looks at it
    /// afterwards.
    pub(super) fn wait(
        &mut self,
        now: i64,
        length: impl Into<Length>,
        tid: u32,
        call: (u32, u64, u64),
    ) {
        let before = self.waited.iter().find(|waited| waited.tid == tid);
        let reached = before.map_or(i64::MIN, |waited| waited.target);
        // It may have waited before, without looking.
        let ahead = reached.saturating_sub(self.stepped(now)).max(0);
        self.sleep(now, length, tid, call);
        if let Some(wait) = self.waits.iter_mut().find(|wait| wait.tid == tid) {
            wait.for_something = true;
            wait.target = wait.target.saturating_add(ahead);
        }
    }

    /// The thread looks at a time: whether that moves the clock.
    pub(super) fn look(&mut self, tid: u32) -> bool {
        let place = self.waited.iter().position(|waited| waited.tid == tid);
        let waited = place.map(|place| self.waited.swap_remove(place));
        if let Some(waited) = waited {
            self.step(waited.due, waited.target);
        }
        waited.is_some()
    }

    /// A wait begins.
    pub(super) fn sleep(
        &mut self,
        now: i64,
        length: impl Into<Length>,
        tid: u32,
        call: (u32, u64, u64),
    ) {
        self.forget(tid);
        let Length { left, meant } = length.into();
        if left <= 0 || !self.is_held() {
            return;
        }
        let whole = meant.saturating_add(MILLISECOND - 1) / MILLISECOND * MILLISECOND;
        self.waits.push(Wait {
            due: now.saturating_add(left - left.min(LEAD)),
            end: now.saturating_add(left),
            target: self.stepped(now).saturating_add(whole),
            tid,
            call,
            for_something: false,
        });
    }

    /// The thread does something else: it no longer waits.
    pub(super) fn forget(&mut self, tid: u32) {
        self.waits.retain(|wait| wait.tid != tid);
    }

    /// Turns waits that are due into steps, where `lasted` says that they were not cut short.
    pub(super) fn advance(&mut self, now: i64, lasted: impl Fn(&Wait) -> bool) {
        if self.next_due() > now {
            return;
        }
        let waits = std::mem::take(&mut self.waits);
        let (mut due, later): (Vec<_>, Vec<_>) =
            waits.into_iter().partition(|wait| wait.due <= now);
        self.waits = later;
        due.retain(lasted);
        due.sort_by_key(|wait| wait.due);
        for wait in due {
            if wait.for_something {
                self.waited.retain(|waited| waited.tid != wait.tid);
                self.waited.push(Waited {
                    tid: wait.tid,
                    due: wait.due,
                    target: wait.target,
                });
            } else {
                self.step(wait.due, wait.target);
            }
        }
    }

    /// When the next wait is due; `i64::MAX` if there is none.
    pub(super) fn next_due(&self) -> i64 {
        self.waits
            .iter()
            .map(|wait| wait.due)
            .min()
            .unwrap_or(i64::MAX)
    }

    /// A step of the build has ended: from `real` on the clock is a millisecond later.
    pub(super) fn tick(&mut self, real: i64) {
        if self.is_held() {
            self.step(real, self.stepped(real) + MILLISECOND);
        }
    }

    /// A program has waited for a second by reading the clock.
    pub(super) fn waited(&mut self, now: i64) {
        if self.is_held() {
            self.step(now, self.stepped(now) + SECOND);
        }
    }

    fn step(&mut self, real: i64, target: i64) {
        let place = self.steps.partition_point(|step| step.real <= real);
        let mut reached = target.max(self.stepped(real));
        self.steps.insert(place, Step { real, reached });
        for step in self.steps.iter_mut().skip(place) {
            reached = reached.max(step.reached);
            step.reached = reached;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: i64 = 2_000_000_000;
    const BEGAN: i64 = 1_800_000_000 * SECOND + 123;

    fn stepped() -> Timeline {
        Timeline::new(Clock::Stepped { start: T0 }, BEGAN, BEGAN - SECOND).unwrap()
    }

    #[test]
    fn what_is_left_of_a_wait_is_told_as_it_was_meant() {
        let micros = |left: i64| Length::until(left * 1000).meant / 1000;
        assert_eq!(micros(499_990), 500_000);
        assert_eq!(micros(492_000), 500_000);
        assert_eq!(micros(500_000), 500_000);
        assert_eq!(micros(1_950), 2_000);
        assert_eq!(micros(15_100), 16_000);
        assert!(micros(-5) <= 0);
        assert_eq!(Length::until(i64::MAX).meant, i64::MAX);
        let mut line = stepped();
        line.sleep(BEGAN, Length::until(SECOND - MILLISECOND), 1, (35, 0, 0));
        let end = BEGAN + SECOND - MILLISECOND;
        assert_eq!(line.next_due(), end - LEAD);
        line.advance(end - LEAD, |wait| wait.end == end);
        assert_eq!(line.at(end), (T0 + 1) * SECOND);
    }

    #[test]
    fn a_stepped_clock_stands_still_until_a_sleep_ends() {
        let mut line = stepped();
        assert_eq!(line.at(BEGAN + 3600 * SECOND), T0 * SECOND);
        line.sleep(BEGAN + SECOND, 2 * SECOND, 1, (35, 0, 0));
        line.advance(BEGAN + 2 * SECOND, |_| true);
        assert_eq!(line.at(BEGAN + 2 * SECOND), T0 * SECOND);
        let end = BEGAN + 3 * SECOND - LEAD;
        assert_eq!(line.next_due(), end);
        line.advance(end, |_| true);
        assert_eq!(line.at(end), (T0 + 2) * SECOND);
        assert_eq!(line.file(end - 1, end), T0 * SECOND);
        assert_eq!(line.file(end, end), (T0 + 2) * SECOND);
    }

    #[test]
    fn overlapping_sleeps_are_not_added_and_one_that_is_cut_short_does_not_count() {
        let mut line = stepped();
        line.sleep(BEGAN, SECOND, 1, (35, 0, 0));
        line.sleep(BEGAN, SECOND, 2, (35, 0, 0));
        line.sleep(BEGAN, 5 * SECOND, 3, (35, 0, 0));
        line.advance(BEGAN + 9 * SECOND, |wait| wait.tid != 3);
        assert_eq!(line.at(BEGAN + 9 * SECOND), (T0 + 1) * SECOND);
        line.sleep(BEGAN + 9 * SECOND, 5 * SECOND, 3, (35, 0, 0));
        line.forget(3);
        assert_eq!(line.next_due(), i64::MAX);
    }

    #[test]
    fn a_wait_for_something_moves_the_clock_once_its_thread_looks() {
        let mut line = Timeline::new(Clock::Creeping { start: T0 }, BEGAN, BEGAN).unwrap();
        let call = (202, 0, 0);
        line.wait(BEGAN, SECOND, 1, call);
        line.wait(BEGAN, SECOND, 2, call);
        line.advance(BEGAN + SECOND, |_| true);
        assert_eq!(line.stepped(BEGAN + SECOND), T0 * SECOND);
        assert!(!line.look(3));
        // Two waits in a row count together.
        line.wait(BEGAN + SECOND, SECOND, 1, call);
        line.advance(BEGAN + 2 * SECOND, |_| true);
        assert!(line.look(1) && !line.look(1));
        assert_eq!(line.stepped(BEGAN + 2 * SECOND), (T0 + 2) * SECOND);
        // The other's was over at the same time as the first.
        assert!(line.look(2));
        assert_eq!(line.stepped(BEGAN + SECOND), (T0 + 1) * SECOND);
        assert_eq!(line.stepped(BEGAN + 2 * SECOND), (T0 + 2) * SECOND);
        // One that is cut short does not count.
        line.wait(BEGAN + 2 * SECOND, SECOND, 1, call);
        line.advance(BEGAN + 3 * SECOND, |_| false);
        assert!(!line.look(1));
    }

    #[test]
    fn steps_are_whole_milliseconds() {
        let mut line = stepped();
        line.sleep(BEGAN, 1, 1, (35, 0, 0));
        line.advance(BEGAN, |_| true);
        assert_eq!(line.at(BEGAN), T0 * SECOND + MILLISECOND);
        line.tick(BEGAN + 5);
        assert_eq!(line.at(BEGAN + 5), T0 * SECOND + 2 * MILLISECOND);
    }

    #[test]
    fn a_late_step_never_sets_the_clock_back() {
        let mut line = stepped();
        line.step(BEGAN + 20, T0 * SECOND + 500);
        line.step(BEGAN + 10, T0 * SECOND + 900);
        assert_eq!(line.at(BEGAN + 10), T0 * SECOND + 900);
        assert_eq!(line.at(BEGAN + 20), T0 * SECOND + 900);
    }

    #[test]
    fn file_times_of_sources_and_explicit_ones_stay() {
        let line = stepped();
        let now = BEGAN + SECOND;
        assert_eq!(line.file(BEGAN - 2 * SECOND, now), BEGAN - 2 * SECOND);
        assert_eq!(line.file(now + 1, now), now + 1);
        assert_eq!(line.file(BEGAN - 1, now), T0 * SECOND);
        assert_eq!(line.file(-5, now), -5);
    }

    #[test]
    fn who_is_ahead_sees_the_trials_times_later_and_all_others_as_they_are() {
        let line = stepped();
        let sight = Sight {
            timeline: &line,
            ahead: 5,
        };
        let now = BEGAN + SECOND;
        assert_eq!(sight.file(now, now), T0 * SECOND + 5);
        assert_eq!(sight.file(BEGAN - 1, now), T0 * SECOND + 5);
        for kept in [now + 1, BEGAN - 2 * SECOND] {
            assert_eq!(sight.file(kept, now), kept);
        }
        let deadline = line.at(now) + 5 + SECOND;
        assert_eq!(sight.to_real(deadline, now), now + SECOND);
    }

    #[test]
    fn a_deadline_is_as_far_away_for_the_host_as_for_the_trial() {
        let line = stepped();
        let now = BEGAN + 7 * SECOND;
        let deadline = line.at(now) + SECOND;
        assert_eq!(line.to_real(deadline, now), now + SECOND);
        assert_eq!(line.to_real(0, now), 0);
        assert!(line.to_real(i64::MAX, now) > 0);
    }

    #[test]
    fn a_running_clock_runs_and_files_with_it() {
        let clock = Clock::Running { start: T0 };
        let mut line = Timeline::new(clock, BEGAN, BEGAN).unwrap();
        assert_eq!(line.at(BEGAN + 5), T0 * SECOND + 5);
        assert_eq!(line.file(BEGAN + 5, BEGAN + 9), T0 * SECOND + 5);
        line.sleep(BEGAN, SECOND, 1, (35, 0, 0));
        assert_eq!(line.next_due(), i64::MAX);
    }

    #[test]
    fn files_of_a_creeping_clock_age_by_a_millionth_and_never_pass_the_clock() {
        let clock = Clock::Creeping { start: T0 };
        let line = Timeline::new(clock, BEGAN, BEGAN).unwrap();
        let later = BEGAN + 100 * SECOND;
        assert_eq!(line.file(later, later), T0 * SECOND + 100_000);
        let much_later = BEGAN + 10_000 * SECOND;
        assert_eq!(line.file(much_later, much_later), line.at(much_later));
    }
}
