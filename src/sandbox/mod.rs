//! Runs one trial: namespaces, mounts, masks, limits, time-out and teardown, as root and as an
//! ordinary user. Set-up is data ([`SetupOp`]), decided by the layout and carried out in the
//! trial's first process; nothing of the host or of the source is ever written.
//!
//! ```text
//! front end -> reprobe __supervise -> first process of the trial -> build
//! ```

mod answers;
mod apply;
mod cpus;
mod delta;
mod error;
mod homes;
mod host;
mod identity;
mod init;
mod interrupt;
mod lacking;
mod layout;
mod link;
mod locales;
mod log;
mod masks;
mod namespaces;
mod network;
mod op;
mod owned;
mod place;
mod prepare;
mod probe;
mod protocol;
mod relay;
mod request;
mod scratch;
mod session;
mod snapshots;
mod source;
mod supervise;
pub mod supervisor;
pub mod sys;
mod trial;
mod variables;

pub use error::{Error, StepError};
pub use interrupt::{Interrupt, Stop};
pub use op::{Backing, Limits, SetupOp};
pub use probe::probe;
pub use protocol::Focus;
pub use session::{LowerSource, Sandbox, SessionOptions};
pub use source::SourceFingerprint;
pub use trial::{TrialReport, TrialSpec};
pub use variables::fingerprint;

use std::path::Path;
use std::process::ExitCode;

use nix::unistd::Pid;

/// Runs a role of the program that only the program itself asks for, if `arguments` (without the
/// program's name) do; `None` leaves them to the command line. Must be called before any thread is
/// started.
pub fn role(arguments: &[std::ffi::OsString]) -> Option<ExitCode> {
    let (role, rest) = arguments.split_first()?;
    if role != supervise::ROLE {
        return None;
    }
    let dir = rest.first()?;
    let parent = rest
        .get(1)
        .and_then(|pid| pid.to_str()?.parse().ok())
        .map(Pid::from_raw);
    Some(match supervise::run(Path::new(dir), parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            supervise::complain(&message);
            ExitCode::from(125)
        }
    })
}
