//! Why a file is not normalised: it may not be (a refusal, with the way out), it is broken, or reading
//! and writing failed. Nothing has been replaced by then.

use std::io;

use crate::model::escape_bytes;

/// What failed, in an error of reading.
const READ: &str = "read";

/// Why there is no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could be read, and must not be changed.
    #[error("{0}")]
    Refused(Refusal),
    /// The bytes break their format.
    #[error("{0}")]
    Broken(String),
    /// Reading back what was written gave something else: a fault of this program.
    #[error(
        "what was written does not read back as it was: {0}; the file is untouched, please report this"
    )]
    Unverified(String),
    /// Reading or writing failed.
    #[error("{step}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// A file that must not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused: {reason}; {way_out}")]
pub struct Refusal {
    /// What stands in the way, with the member where it is one.
    pub reason: String,
    /// What can be done instead.
    pub way_out: &'static str,
}

impl Error {
    /// A refusal.
    pub(super) fn refused(reason: impl Into<String>, way_out: &'static str) -> Self {
        Self::Refused(Refusal {
            reason: reason.into(),
            way_out,
        })
    }

    /// Bytes that break their format.
    pub(super) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }

    /// For `map_err`: reading the source failed. Refusals and broken bytes that a decoder met on the
    /// way come out as what they are.
    pub(super) fn reading(source: io::Error) -> Self {
        Self::io(READ, source)
    }

    /// For `map_err`: writing failed.
    pub(super) fn writing(source: io::Error) -> Self {
        Self::io("write", source)
    }

    fn io(step: &'static str, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(own) => own,
            Err(source) => match source.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    Self::Broken(source.to_string())
                }
                // What no call of the system said a decoder did.
                io::ErrorKind::Other if source.raw_os_error().is_none() && step == READ => {
                    Self::Broken(format!("its data is damaged ({source})"))
                }
                io::ErrorKind::UnexpectedEof => Self::Broken("truncated".to_owned()),
                io::ErrorKind::OutOfMemory => {
                    Self::Broken(format!("it asks for too much memory: {source}"))
                }
                _ => Self::Io { step, source },
            },
        }
    }
}

/// A decoder is a reader, whose errors are those of io.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// How a member is called in messages.
pub(super) fn shown(name: &[u8]) -> String {
    let text = escape_bytes(name);
    if text.chars().count() <= 120 {
        return text;
    }
    let head: String = text.chars().take(117).collect();
    format!("{head}...")
}
