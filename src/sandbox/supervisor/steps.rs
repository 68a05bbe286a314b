//! Which ends of commands are steps of the build. A step is what its shell has started last, a pipeline
//! with all its commands, and ends with the last of them; it is none where all of that is run again by
//! a shell that has, or had, jobs in the background, nor where no program is run. A job is what ran on
//! when a step ended, and its own end is no step: it may come before or after whatever else the shell
//! does. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Kinds of commands that are remembered.
const REMEMBERED: usize = 4096;

/// A command of the shell that is about to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Its process.
    pub(super) process: u32,
    /// The shell has, or had, jobs in the background.
    pub(super) has_jobs: bool,
    /// It did nothing but sleep beside work.
    pub(super) only_napped: bool,
}

/// The commands of the build's shell, and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// By command: what has begun in it. A subshell begins several programs, or none.
    begun: BTreeMap<u32, u64>,
    /// Without names, no command is known again.
    are_named: bool,
    /// Ran on when a step ended.
    jobs: BTreeSet<u32>,
    /// Are about to end, or have, and are not waited for yet.
    leaving: BTreeSet<u32>,
    /// What has ended of the present step; whether it is run again.
    ended: Vec<(u64, bool)>,
    /// Kinds of commands that were run beside jobs.
    beside: BTreeSet<u64>,
}

impl Steps {
    /// A program begins in a command.
    pub(super) fn begins(&mut self, command: u32, program: u64) {
        self.are_named = true;
        let kind = self.begun.entry(command).or_default();
        // The commands of a pipeline begin in any order.
        *kind = kind.wrapping_add(program);
    }

    /// A command is about to end; whether the clock moves. `started` are all that the shell has not waited
    /// for, in the order in which they were started; `runs` says which of them have not ended, and `piped`
    /// which of these share a pipe with this one.
    pub(super) fn ends(
        &mut self,
        end: End,
        started: &[u32],
        runs: impl Fn(u32) -> bool,
        piped: impl FnOnce() -> BTreeSet<u32>,
    ) -> bool {
        if self.beside.len() >= REMEMBERED {
            self.beside.clear();
        }
        self.leaving.retain(|command| started.contains(command));
        self.leaving.insert(end.process);
        let kind = self.begun.remove(&end.process).unwrap_or_default();
        let is_last = started.last() == Some(&end.process);
        let mut piped = piped();
        piped.retain(|other| !self.jobs.contains(other) && !self.leaving.contains(other));
        let is_job = !is_last && end.has_jobs && piped.is_empty();
        if self.jobs.remove(&end.process) || is_job {
            self.beside.insert(kind);
            return false;
        }
        let is_again = end.only_napped || self.is_known(kind);
        self.ended.push((kind, end.has_jobs && is_again));
        if !is_last {
            return false;
        }
        let others = started.iter().copied();
        let running = others.filter(|other| !self.leaving.contains(other) && runs(*other));
        let running: BTreeSet<u32> = running.collect();
        self.jobs.retain(|job| running.contains(job));
        // Of a pipeline, some may end later, and some are killed without a word.
        let gone = self
            .begun
            .keys()
            .filter(|command| !running.contains(command));
        piped.extend(gone);
        for other in piped {
            let kind = self.begun.get(&other).copied().unwrap_or_default();
            self.ended.push((kind, end.has_jobs && self.is_known(kind)));
        }
        self.begun.retain(|command, _| running.contains(command));
        self.jobs.extend(running);
        let ended = std::mem::take(&mut self.ended);
        // Whether the job still runs now is a matter of the machine's load: who had one counts as who has.
        if end.has_jobs || !self.jobs.is_empty() {
            self.beside.extend(ended.iter().map(|(kind, _)| kind));
        }
        // A subshell that runs no program is as what the shell does itself: no step. It may be a job that
        // was quicker than whoever waits for it.
        let runs_none = |kind: u64| self.are_named && kind == 0;
        let mut steps = ended.iter().filter(|(kind, _)| !runs_none(*kind));
        steps.any(|(_, is_again)| !is_again)
    }

    fn is_known(&self, kind: u64) -> bool {
        self.are_named && self.beside.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts commands and ends them.
    #[derive(Default)]
    struct Shell {
        steps: Steps,
        started: Vec<u32>,
        number: u32,
        has_no_jobs: bool,
    }

    impl Shell {
        fn starts(&mut self, program: u64) -> u32 {
            self.number += 1;
            self.started.push(self.number);
            if program != 0 {
                self.steps.begins(self.number, program);
            }
            self.number
        }

        fn end(&mut self, process: u32, piped: &[u32]) -> bool {
            let end = End {
                process,
                has_jobs: !self.has_no_jobs,
                only_napped: false,
            };
            let moves = self.steps.ends(
                end,
                &self.started,
                |_| true,
                || piped.iter().copied().collect(),
            );
            self.started.retain(|other| *other != process);
            moves
        }

        fn ends(&mut self, process: u32) -> bool {
            self.end(process, &[])
        }

        fn runs(&mut self, program: u64) -> bool {
            let process = self.starts(program);
            self.ends(process)
        }

        /// How many of these, which share pipes, move the clock as they end in this order.
        fn pipeline(&mut self, programs: [u64; 3], order: [usize; 3]) -> usize {
            let all = programs.map(|program| self.starts(program));
            let mut left = all.to_vec();
            let moves = order.map(|place| {
                left.retain(|other| *other != all[place]);
                self.end(all[place], &left)
            });
            moves.into_iter().filter(|moves| *moves).count()
        }
    }

    const ORDERS: [[usize; 3]; 4] = [[0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1]];

    #[test]
    fn each_of_several_commands_is_a_step_and_a_pipeline_is_one() {
        let mut shell = Shell {
            has_no_jobs: true,
            ..Shell::default()
        };
        assert!(shell.runs(1) && shell.runs(1) && !shell.runs(0) && shell.runs(1));
        let moves = ORDERS.map(|order| Shell::default().pipeline([1, 2, 3], order));
        assert_eq!(moves, [1; 4]);
    }

    #[test]
    fn beside_a_job_what_is_run_first_is_a_step_and_what_is_run_again_is_none() {
        for job_ends in 1..5 {
            let mut shell = Shell::default();
            let job = shell.starts(9);
            let moves = [0, 1, 2, 3, 4].map(|round| {
                if round == job_ends {
                    assert!(!shell.ends(job));
                }
                // A command, and a pipeline.
                let first = shell.runs(8);
                (first, shell.pipeline([2, 3, 4], ORDERS[round % 4]))
            });
            let again = (false, 0);
            assert_eq!(moves, [(true, 1), again, again, again, again]);
            assert_eq!(shell.pipeline([5, 3, 4], ORDERS[job_ends % 4]), 1);
            assert!(shell.runs(6));
        }
    }

    #[test]
    fn a_job_ends_a_step_only_where_nothing_was_started_after_it() {
        let mut shell = Shell::default();
        let job = shell.starts(1);
        assert!(shell.ends(job));
        let jobs = [shell.starts(1), shell.starts(2)];
        assert!(!shell.ends(jobs[0]));
        assert!(shell.ends(jobs[1]));
        let jobs = [shell.starts(3), shell.starts(4)];
        assert!(shell.ends(jobs[1]));
        assert!(!shell.ends(jobs[0]));
    }

    #[test]
    fn who_had_a_job_runs_nothing_again_whether_it_has_ended_or_not() {
        for ends_early in [true, false] {
            let mut shell = Shell::default();
            let mut moves = 0;
            for _ in 0..5 {
                moves += u32::from(shell.runs(7));
                let job = shell.starts(0);
                let nap = shell.starts(8);
                let order = if ends_early { [job, nap] } else { [nap, job] };
                moves += order
                    .map(|process| u32::from(shell.ends(process)))
                    .iter()
                    .sum::<u32>();
            }
            assert_eq!(moves, 2, "{ends_early}");
        }
    }
}
