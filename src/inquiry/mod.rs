//! Questions that a session asks besides which variations matter: each is a function of what is known
//! to what it says so far, or to the trials that it must see before it can say it. Nothing is run
//! here, so that a question does not care who runs its trials, how many at once, or whether they were
//! run by a session that was interrupted.

pub mod fix;
pub mod parts;
pub mod place;
mod trials;

use std::cell::RefCell;

pub use trials::{Ended, Glimpse, Shown, Trials, Wanted};

use crate::explain::Ledger;
use crate::model::Asked;
use crate::plan::Plan;

/// What is known when a question is asked.
#[derive(Debug, Clone, Copy)]
pub struct Known<'k> {
    /// What varies.
    pub plan: &'k Plan,
    /// What each element was in each trial.
    pub ledger: &'k Ledger,
    /// The trials that have ended.
    pub trials: &'k Trials,
}

/// So many trials are left for what is wanted: guesses take none of them.
const RESERVE: usize = 25;

/// An answer waits for a trial that has not been run; it is wanted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open;

/// One question while it is asked: what it may look at, and what it wants to see next, the most urgent
/// first. With one worker only the first of these is run before it is asked again, so that what follows
/// may be a guess.
#[derive(Debug)]
struct Looking<'k> {
    known: Known<'k>,
    /// So many trials may still be run.
    room: usize,
    wants: RefCell<Vec<Asked>>,
}

impl<'k> Looking<'k> {
    fn new(known: Known<'k>, room: usize) -> Self {
        Self {
            known,
            room,
            wants: RefCell::default(),
        }
    }

    /// The trial that asked this; `None` where it was not run and none is left.
    fn trial(&self, asked: &Asked) -> Result<Option<&'k Ended>, Open> {
        let ended = self.known.trials.first(asked);
        if ended.is_none() && self.room > 0 {
            self.want(asked);
            return Err(Open);
        }
        Ok(ended)
    }

    /// What may be wanted after the trials that are: for workers that would have nothing to do, as
    /// long as trials are plenty.
    fn guess(&self, asked: &Asked) {
        if self.room > RESERVE {
            self.want(asked);
        }
    }

    fn want(&self, asked: &Asked) {
        let mut wants = self.wants.borrow_mut();
        if self.known.trials.first(asked).is_none() && !wants.contains(asked) {
            wants.push(asked.clone());
        }
    }

    fn wants(self) -> Vec<Asked> {
        self.wants.into_inner()
    }
}

/// What several questions want, in turns, the most urgent of each first: at most so many.
pub fn schedule(wants: &[Vec<Asked>], workers: usize) -> Vec<Asked> {
    let mut batch = Vec::new();
    let longest = wants.iter().map(Vec::len).max().unwrap_or_default();
    for turn in 0..longest {
        for asked in wants.iter().filter_map(|wants| wants.get(turn)) {
            if batch.len() < workers && !batch.contains(asked) {
                batch.push(asked.clone());
            }
        }
    }
    batch
}
