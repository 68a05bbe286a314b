//! Commands that end their trials when a signal asks for an end.

use std::sync::Arc;

use super::exit::{Exit, Failure};
use crate::sandbox::Interrupt;

/// Holds the signals back, for the trials of a command.
pub(super) fn catch() -> Result<Arc<Interrupt>, Failure> {
    let interrupt = Interrupt::catch();
    let interrupt =
        interrupt.map_err(|errno| Failure::undecided(&format!("take over signals: {errno}")))?;
    Ok(Arc::new(interrupt))
}

/// Runs a command. What goes wrong after a signal (`came` says which) went wrong because of it.
pub(super) fn until(
    came: fn(&Interrupt) -> Option<i32>,
    command: impl FnOnce(&Arc<Interrupt>) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let interrupt = catch()?;
    let outcome = command(&interrupt);
    match (came(&interrupt), outcome) {
        (Some(number), Err(_)) => Ok(Exit::Signal(number)),
        (_, outcome) => outcome,
    }
}
