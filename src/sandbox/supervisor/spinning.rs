//! Finds programs that wait for the clock by reading it over and over: under a clock that stands
//! still they would never end. From time to time every read becomes a call for a moment; a thread
//! that makes nothing but such calls for most of a second, and whose process transfers no data
//! meanwhile, waits.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::tracee::{Tracees, lock};

/// Time between two looks, and how long a look lasts.
pub(super) const PERIOD: Duration = Duration::from_millis(200);
pub(super) const LOOK: Duration = Duration::from_millis(4);
/// Reads in one look that leave no time for anything else: a call costs about 8 µs, and a loaded
/// host gives a thread only a part of the look.
const MANY: u32 = 40;
/// So many looks in a row.
const LOOKS: u32 = 4;

#[derive(Debug, Default)]
struct Thread {
    /// Reads in this look.
    reads: u32,
    /// Looks in a row that found many.
    looks: u32,
    /// How much its process had transferred then.
    transferred: Option<Vec<u8>>,
}

/// The readers of a held clock.
#[derive(Debug, Default)]
pub(super) struct Spinning(Mutex<BTreeMap<u32, Thread>>);

impl Spinning {
    /// A thread reads the clock by a call.
    pub(super) fn count(&self, tid: u32) {
        lock(&self.0).entry(tid).or_default().reads += 1;
    }

    /// Forgets reads outside of looks.
    pub(super) fn begin(&self) {
        lock(&self.0).retain(|_, thread| {
            thread.reads = 0;
            thread.looks > 0
        });
    }

    /// Ends a look: whether some thread has waited for long enough now.
    pub(super) fn end(&self, tracees: &Tracees) -> bool {
        let mut threads = lock(&self.0);
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
