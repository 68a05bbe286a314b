//! Runs one trial: namespaces, mounts, masks, limits, time-out and teardown, as root and as an
//! ordinary user.

pub mod supervisor;
pub mod sys;
