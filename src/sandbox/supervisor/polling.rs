//! Finds processes that wait for the clock by starting a program that tells it, over and over, as
//! `while [ "$(date +%s)" -lt "$end" ]` does: each of these programs reads a clock that stands still
//! once, so that no thread is seen to wait. Starts are counted, not timed, so that the clock moves at
//! the same one in every trial.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::processes::Start;
use super::tracee::{Tracees, lock};

/// Starts of one command after which its parent waits. A shell makes some 300 to 1000 in a second,
/// so that a wait takes no longer than with a clock that runs. Whoever has other uses for the same
/// time does not ask for it so often and write nothing meanwhile.
const STARTS: u32 = 200;

/// The latest command of a process.
#[derive(Debug)]
struct Run {
    command: u64,
    /// The number of its process.
    number: usize,
    /// What the clock showed then.
    time: i64,
    /// Whether it has read the clock, or what it started has.
    reads: bool,
    /// How much the parent had written, where the command is not the first of its kind.
    written: Option<Vec<u8>>,
    /// How often the same one had begun before, with nothing else between.
    count: u32,
}

#[derive(Debug, Default)]
struct Table {
    /// By the number of the parent.
    runs: BTreeMap<usize, Run>,
    /// The parents of processes, by number.
    above: BTreeMap<usize, usize>,
    /// Which process began in a thread last.
    latest: BTreeMap<u32, usize>,
}

/// Who starts what again and again.
#[derive(Debug, Default)]
pub(super) struct Polling(Mutex<Table>);

impl Polling {
    /// A thread reads the clock by a call.
    pub(super) fn reads(&self, tid: u32) {
        let Table {
            runs,
            above,
            latest,
        } = &mut *lock(&self.0);
        let mut number = latest.get(&tid);
        while let Some(parent) = number.and_then(|number| above.get(number)) {
            match runs.get_mut(parent) {
                Some(run) if Some(&run.number) == number && !run.reads => run.reads = true,
                // What stands above was told already, or waits for something else by now.
                _ => break,
            }
            number = Some(parent);
        }
    }

    /// A program begins in a thread, while the clock shows `time`; whether its parent has waited for
    /// long enough now. `written` is how much the parent has written so far.
    pub(super) fn begins(
        &self,
        tid: u32,
        start: Start,
        time: i64,
        written: impl FnOnce() -> Option<Vec<u8>>,
    ) -> bool {
        let Table {
            runs,
            above,
            latest,
        } = &mut *lock(&self.0);
        let mut run = Run {
            command: start.command,
            number: start.number,
            time,
            reads: false,
            written: None,
            count: 0,
        };
        if let Some(before) = runs.remove(&start.parent) {
            // Where the clock moves without our doing, the wait ends by itself.
            if before.command == run.command && before.reads && before.time == time {
                run.written = written();
                let same = before.count == 0 || before.written == run.written;
                if same && run.written.is_some() {
                    run.count = before.count + 1;
                }
            }
        }
        let waits = run.count >= STARTS;
        if waits {
            run.count = 0;
        }
        latest.insert(tid, start.number);
        above.insert(start.number, start.parent);
        runs.insert(start.parent, run);
        waits
    }
}

/// How much a thread has written itself: what its children wrote is not in it (`task/TID/io` of
/// `proc_pid_io(5)`, unlike the one of the process).
pub(super) fn written(tracees: &Tracees, tid: u32) -> Option<Vec<u8>> {
    let text = tracees.read_proc(&format!("{tid}/task/{tid}/io")).ok()?;
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let own = lines.filter(|line| line.starts_with(b"wchar:") || line.starts_with(b"syscw:"));
    Some(own.flatten().copied().collect())
}

/// Whether a thread has written nothing so far.
pub(super) fn writes_nothing(tracees: &Tracees, tid: u32) -> bool {
    let text = written(tracees, tid).unwrap_or_default();
    let mut lines = text.trim_ascii_end().split(|byte| *byte == b'\n');
    lines.all(|line| line.ends_with(b": 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(number: u32, parent: usize, command: u64) -> Start {
        Start {
            number: 100 + usize::try_from(number).unwrap(),
            parent,
            leader: 0,
            command,
        }
    }

    /// So many starts of a command that reads the clock; how many of them moved it.
    fn starts(polling: &Polling, count: u32, command: u64, written: impl Fn(u32) -> u32) -> usize {
        let moved = (0..count).filter(|number| {
            let tid = 10 + number;
            let amount = written(*number).to_le_bytes();
            let waits = polling.begins(tid, start(tid, 1, command), 5, || Some(amount.to_vec()));
            polling.reads(tid);
            waits
        });
        moved.count()
    }

    #[test]
    fn a_parent_that_starts_the_same_and_writes_nothing_waits() {
        let polling = Polling::default();
        assert_eq!(starts(&polling, STARTS, 7, |_| 0), 0);
        assert_eq!(starts(&polling, 1, 7, |_| 0), 1);
        assert_eq!(starts(&polling, 2 * STARTS, 7, |_| 0), 2);
    }

    #[test]
    fn one_that_writes_or_starts_something_else_between_does_not() {
        let polling = Polling::default();
        assert_eq!(starts(&polling, 3 * STARTS, 7, |number| number), 0);
        for _ in 0..8 {
            assert_eq!(starts(&polling, STARTS / 2, 7, |_| 0), 0);
            assert_eq!(starts(&polling, 1, 8, |_| 0), 0);
        }
    }

    #[test]
    fn nor_one_whose_commands_do_not_read_the_clock_or_whose_clock_moves() {
        let polling = Polling::default();
        for number in 0..3 * STARTS {
            assert!(!polling.begins(number, start(number, 1, 7), 5, || Some(Vec::new())));
        }
        for number in 0..3 * STARTS {
            let time = i64::from(number);
            assert!(!polling.begins(number, start(number, 2, 7), time, || Some(Vec::new())));
            polling.reads(number);
        }
    }

    #[test]
    fn what_a_command_starts_reads_for_it() {
        let polling = Polling::default();
        let waits = |number: u32| {
            let shell = start(2 * number, 1, 7);
            let waits = polling.begins(5, shell, 5, || Some(Vec::new()));
            // In the same thread, then in another one.
            let date = start(2 * number + 1, shell.number, 8);
            let tid = 5 + number % 2;
            polling.begins(tid, date, 5, || Some(Vec::new()));
            polling.reads(tid);
            waits
        };
        assert_eq!((0..=2 * STARTS).filter(|number| waits(*number)).count(), 2);
    }
}
