//! Finds programs that wait for the clock by reading it over and over: under a clock that stands
//! still they would never end. From time to time every read becomes a call for a moment; a thread
//! that makes nothing but such calls for most of a second, and whose process transfers no data
//! meanwhile, waits. So does one that reads the clock now and then and does nothing else for long:
//! it sleeps between by means that do not move the clock (timers of runtimes and event loops).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::tracee::{Tracees, lock};

/// Time between two looks, and how long a look lasts.
pub(super) const PERIOD: Duration = Duration::from_millis(200);
pub(super) const LOOK: Duration = Duration::from_millis(4);
/// Reads in one look that leave no time for anything else: a call costs about 8 µs, and a loaded
/// host gives a thread only a part of the look.
const MANY: u32 = 40;
/// So many looks in a row.
const LOOKS: u32 = 4;
/// After so many seconds a thread that reads the clock and hardly runs waits for it.
const PATIENCE: u32 = 12;
/// Ticks of 10 ms that its process may run in such a second, and seconds without a read.
const BUSY: u64 = 20;
const PAUSE: u32 = 3;

#[derive(Debug, Default)]
struct Thread {
    /// Reads in this look.
    reads: u32,
    /// Looks in a row that found many.
    looks: u32,
    /// How much its process had transferred then.
    transferred: Option<Vec<u8>>,
    /// Whether it has read the clock in this second; seconds without.
    read: bool,
    pause: u32,
    /// Seconds in a row in which it did nothing else.
    idle: u32,
    /// How much its process had transferred and run then.
    activity: Option<(Vec<u8>, u64)>,
}

/// The readers of a held clock.
#[derive(Debug, Default)]
pub(super) struct Spinning {
    threads: Mutex<BTreeMap<u32, Thread>>,
    /// When somebody was last seen to read it.
    latest: Mutex<Option<Instant>>,
}

impl Spinning {
    /// A thread reads the clock by a call.
    pub(super) fn count(&self, tid: u32) {
        *lock(&self.latest) = Some(Instant::now());
        let mut threads = lock(&self.threads);
        let thread = threads.entry(tid).or_default();
        thread.reads += 1;
        thread.read = true;
    }

    /// How long nobody has been seen to read the clock; `None` where nobody ever was.
    pub(super) fn unread(&self) -> Option<Duration> {
        Some((*lock(&self.latest))?.elapsed())
    }

    /// Forgets reads outside of looks.
    pub(super) fn begin(&self) {
        lock(&self.threads).retain(|_, thread| {
            thread.reads = 0;
            thread.looks > 0 || thread.read || thread.idle > 0
        });
    }

    /// Ends a look: whether some thread has waited for long enough now.
    pub(super) fn end(&self, tracees: &Tracees) -> bool {
        let mut threads = lock(&self.threads);
        let mut waits = false;
        for (tid, thread) in threads.iter_mut() {
            if thread.reads == 0 {
                // It may not have had the processor.
                continue;
            }
            let transferred = tracees.read_proc(&format!("{tid}/io")).ok();
            let same = thread.looks == 0 || thread.transferred == transferred;
            thread.looks = if thread.reads >= MANY && same {
                thread.looks + 1
            } else {
                0
            };
            thread.transferred = transferred;
            if thread.looks >= LOOKS {
                thread.looks = 0;
                waits = true;
            }
        }
        waits
    }
}

impl Spinning {
    /// Ends a second: whether some thread has waited for so long that it waits for the clock.
    /// `moved`: the clock has moved meanwhile, without our doing.
    pub(super) fn second(&self, tracees: &Tracees, moved: bool) -> bool {
        let mut threads = lock(&self.threads);
        let mut waits = false;
        for (tid, thread) in threads.iter_mut() {
            thread.pause = if thread.read { 0 } else { thread.pause + 1 };
            thread.read = false;
            if moved || thread.pause > PAUSE {
                thread.idle = 0;
                continue;
            }
            let before = thread.activity.take();
            thread.activity = activity(tracees, *tid);
            let quiet = match (&before, &thread.activity) {
                (Some(before), Some(after)) => before.0 == after.0 && after.1 <= before.1 + BUSY,
                _ => false,
            };
            thread.idle = if quiet { thread.idle + 1 } else { 0 };
            waits |= thread.idle >= PATIENCE;
        }
        waits
    }
}

/// What the process of a thread has transferred, and its time on processors in ticks.
fn activity(tracees: &Tracees, tid: u32) -> Option<(Vec<u8>, u64)> {
    let transferred = tracees.read_proc(&format!("{tid}/io")).ok()?;
    let text = tracees.read_proc(&format!("{tid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // utime and stime, fields 14 and 15 of proc_pid_stat(5), of the whole process.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((transferred, ticks()? + ticks()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_that_reads_and_does_nothing_else_waits() {
        let tracees = Tracees::new().unwrap();
        let spinning = Spinning::default();
        // A thread that is not there transfers nothing.
        let look = |reads: u32| {
            spinning.begin();
            (0..reads).for_each(|_| spinning.count(u32::MAX));
            spinning.end(&tracees)
        };
        assert_eq!([MANY; 4].map(look), [false, false, false, true]);
        assert_eq!([MANY, MANY, 5, MANY].map(look), [false; 4]);
        assert_eq!([MANY, 0, MANY, MANY].map(look), [false, false, false, true]);
    }
}
