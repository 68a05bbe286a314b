//! Whose turn it is to wait for the next notification. The kernel wakes every thread that waits
//! for one (its wait queue knows no exclusive waiters), so that only one does.

use std::sync::{Condvar, Mutex};
use std::thread::ThreadId;

use super::tracee::lock;

/// The turn; nobody's at first.
#[derive(Debug, Default)]
pub(super) struct Turn {
    holder: Mutex<Option<ThreadId>>,
    free: Condvar,
}

fn own() -> ThreadId {
    std::thread::current().id()
}

impl Turn {
    /// Waits until it is the caller's turn.
    pub(super) fn take(&self) {
        let mut holder = lock(&self.holder);
        while holder.is_some_and(|holder| holder != own()) {
            holder = match self.free.wait(holder) {
                Ok(holder) => holder,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        *holder = Some(own());
    }

    /// Gives the turn to another thread, if the caller has it.
    pub(super) fn give(&self) {
        let mut holder = lock(&self.holder);
        if *holder == Some(own()) {
            *holder = None;
            drop(holder);
            self.free.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn one_thread_has_the_turn_and_the_others_get_it_in_the_end() {
        let (turn, inside, rounds) = (Turn::default(), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        turn.take();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        rounds.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        turn.give();
                        turn.give();
                    }
                });
            }
        });
        assert_eq!(rounds.into_inner(), 800);
    }
}
