//! Answers `uname(2)`: release and version as the trial names them, the host name as it was given,
//! the machine as it is.

use super::calls::Call;
use super::engine::{Answer, Event, Supervisor};
use super::tracee::{Memory, Tracees};
use crate::model::{Environment, Kernel};
use serde::{Deserialize, Serialize};

/// Bytes of a field, and of the old structure's, the final zero included.
const FIELD: usize = 65;
const OLD_FIELD: usize = 9;
/// `PER_LINUX32` of `linux/personality.h`.
const PER_LINUX32: u32 = 8;

/// What `uname` says in place of the kernel's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// `uname -n`.
    pub hostname: String,
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// The NIS domain name.
    pub domain: String,
}

impl Words {
    pub(super) fn of(environment: &Environment) -> Option<Self> {
        match &environment.kernel {
            Kernel::Named { release, version } => Some(Self {
                hostname: environment.hostname.clone(),
                release: release.clone(),
                version: version.clone(),
                domain: environment.domain.clone(),
            }),
            Kernel::Host => None,
        }
    }

    fn encode(&self, machine: &str, field: usize, domain: bool) -> Vec<u8> {
        let mut words = vec![
            "Linux",
            &self.hostname,
            &self.release,
            &self.version,
            machine,
        ];
        if domain {
            words.push(&self.domain);
        }
        let mut bytes = Vec::new();
        for (number, word) in words.iter().enumerate() {
            bytes.extend(word.bytes().take(field - 1));
            bytes.resize((number + 1) * field, 0);
        }
        bytes
    }
}

/// Answers `uname` and its two older forms.
pub(super) fn answer(supervisor: &Supervisor, event: &Event) -> Answer {
    let Some(words) = &supervisor.words else {
        return Answer::Continue;
    };
    let (field, domain) = match event.trap.call {
        Call::Uname => (FIELD, true),
        Call::OldUname => (FIELD, false),
        _ => (OLD_FIELD, false),
    };
    let machine = machine(&supervisor.tracees, event.tid);
    let bytes = words.encode(machine, field, domain);
    if !supervisor.is_valid(event) {
        return Answer::Gone;
    }
    match Memory(event.tid).write(event.args[0], &bytes) {
        Ok(()) => Answer::Value(0),
        Err(errno) => Answer::Errno(errno),
    }
}

/// `setarch i686` changes the machine of one process tree: personality(2).
fn machine(tracees: &Tracees, tid: u32) -> &'static str {
    let text = tracees.read_proc(&format!("{tid}/personality"));
    let text = text.unwrap_or_default();
    let digits = std::str::from_utf8(&text).unwrap_or("").trim();
    let personality = u32::from_str_radix(digits, 16).unwrap_or(0);
    if personality & 0xff == PER_LINUX32 {
        super::arch::MACHINES[1]
    } else {
        super::arch::MACHINES[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_place_and_ends() {
        let words = Words {
            hostname: "h".into(),
            release: "r".repeat(100),
            version: "v".into(),
            domain: "d".into(),
        };
        let bytes = words.encode("x86_64", FIELD, true);
        assert_eq!(bytes.len(), 390);
        assert_eq!(&bytes[65..67], b"h\0");
        assert_eq!(bytes[130 + 63..130 + 66], *b"r\0v");
        assert_eq!(bytes[260..267], *b"x86_64\0");
        assert_eq!(words.encode("x86_64", OLD_FIELD, false).len(), 45);
    }
}
