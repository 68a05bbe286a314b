//! Which sets of variations make each element of a build's outputs differ, certified by trials.
//!
//! The search runs nothing: it says what to try next, is told what came of it, and everything it
//! says is a function of what was recorded. One trial answers for every element at once; elements
//! with the same history are searched as one class. A claim is made only when each of its trials
//! was really run: each set alone differs, less of it does not, everything without it does not.
//!
//! ```text
//! Search::new(options)
//! loop { next() -> Run(tries) | Done; run them; record(id, try, observation) for each }
//! verdict()
//! ```

mod batch;
mod bisect;
mod certificate;
mod classify;
mod greedy;
mod hypotheses;
mod isolate;
mod log;
mod masking;
mod noise;
mod set;
mod state;
mod types;
mod verdict;
mod view;

pub use types::{
    Breaker, Certified, Control, ElementVerdict, Factor, FactorVerdict, Note, Observation, Options,
    Reason, Seen, Step, Try, Verdict,
};

use crate::model::TrialId;

use self::classify::Progress;
use self::log::{Log, Trial};
use self::state::{State, halvings};

/// A search: options and what was recorded.
#[derive(Debug, Clone)]
pub struct Search {
    options: Options,
    log: Log,
}

impl Search {
    /// A search in which nothing was recorded yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            log: Log::default(),
        }
    }

    /// Says what an element was in trials whose observations ended before it; without this, it was
    /// [`Seen::Absent`]. Right for a field of a member that those trials did not have:
    /// [`Seen::Unobserved`].
    pub fn earlier(&mut self, element: u32, seen: Seen) {
        self.log.earlier.insert(element, seen);
    }

    /// Spends no trial on an element (an intermediate file); it still gets the verdict that the
    /// trials for others allow.
    pub fn passive(&mut self, element: u32) {
        self.log.passive.insert(element);
    }

    /// Says that a value which a factor's levels chose was found in the bytes of an element, where it
    /// differs. A hint makes the search quicker if it is right and costs little if it is wrong; it
    /// never makes a claim.
    pub fn hint(&mut self, element: u32, factor: usize) {
        self.log.hints.entry(element).or_default().insert(factor);
    }

    /// Records what became of a try. Numbers order the trials: a batch is numbered in the order in
    /// which [`Search::next`] gave it, and may be recorded in any order. Recording a number again
    /// replaces what it said.
    pub fn record(&mut self, id: TrialId, attempt: &Try, observation: Observation) {
        let trial = Trial {
            row: attempt.row.clone(),
            result: observation,
        };
        self.log.trials.insert(id, trial);
    }

    /// What to run next, at most as many as there are workers. Ask again when all of it is
    /// recorded; after an interruption, with whatever part of it is.
    pub fn next(&self) -> Step {
        State::new(&self.log, &self.options).step()
    }

    /// What the records say, at any time.
    pub fn verdict(&self) -> Verdict {
        State::new(&self.log, &self.options).verdict()
    }

    /// About how many trials are left, for a progress display.
    pub fn estimate(&self) -> u32 {
        let state = State::new(&self.log, &self.options);
        let Step::Run(tries) = state.step() else {
            return 0;
        };
        let locate = halvings(self.options.factors.len()) + 1;
        if self.log.trials.len() < 2 {
            return locate + 4;
        }
        let views = 0..state.views.len();
        let open = views
            .flat_map(|index| state.progress(index))
            .filter(|(_, progress)| matches!(progress, Progress::Needs(_) | Progress::Open(_)))
            .count();
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        let asked = u32::try_from(tries.len()).unwrap_or(u32::MAX);
        asked.max(locate.min(open.saturating_mul(2)).saturating_add(open))
    }
}
