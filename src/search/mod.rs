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

mod acting;
mod batch;
mod beside;
mod bisect;
mod certificate;
mod chance;
mod choices;
mod classify;
mod cover;
mod draws;
mod estimate;
mod fresh;
mod further;
mod greedy;
mod hypotheses;
mod isolate;
mod log;
mod luck;
mod masking;
mod noise;
mod set;
mod state;
mod types;
mod values;
mod verdict;
mod view;

pub use types::{
    Breaker, Certified, Control, ElementVerdict, Factor, FactorVerdict, Note, Observation, Options,
    Reason, Seen, Step, Try, Verdict,
};

use crate::model::TrialId;

use self::log::{Log, Trial};
use self::state::State;

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

    /// Spends trials on an element again.
    pub fn active(&mut self, element: u32) {
        self.log.passive.remove(&element);
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

    /// How many trials are left if nothing differs in them either; `None` where something differs,
    /// or a build failed.
    pub fn if_clean(&self) -> Option<u32> {
        State::new(&self.log, &self.options).if_clean()
    }

    /// About how many trials are left, for a progress display. As long as nothing is known to
    /// differ, it is for a build with two culprits.
    pub fn estimate(&self) -> u32 {
        State::new(&self.log, &self.options).left()
    }
}
