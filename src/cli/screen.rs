//! Standard output and standard error: width, colour, and what to do when nobody listens.

use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;

use anstream::{AutoStream, ColorChoice};

use super::exit::Failure;
use crate::report::page::Layout;
use crate::sandbox::sys;

/// Wider lines are hard to read, however wide the terminal.
const WIDEST: usize = 110;

/// One of the two streams of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// What was asked for.
    Out,
    /// What happens meanwhile.
    Err,
}

impl Stream {
    /// How text looks best on it.
    pub(super) fn layout(self) -> Layout {
        match self {
            Self::Out => layout(&io::stdout()),
            Self::Err => layout(&io::stderr()),
        }
    }

    /// Its columns, where it is a terminal.
    pub(super) fn columns(self) -> Option<usize> {
        match self {
            Self::Out => columns(&io::stdout()),
            Self::Err => columns(&io::stderr()),
        }
    }

    /// Writes it all. A reader that went away is no error: it has seen enough.
    pub(super) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match self {
            Self::Out => io::stdout()
                .write_all(bytes)
                .and_then(|()| io::stdout().flush()),
            Self::Err => io::stderr().write_all(bytes),
        };
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::undecided(
                &format!("write the answer to {}: {error}", self.name()),
            )),
            _ => Ok(()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Out => "standard output",
            Self::Err => "standard error",
        }
    }
}

fn layout(stream: &(impl AsFd + IsTerminal + anstream::stream::RawStream)) -> Layout {
    Layout {
        width: columns(stream).map_or(Layout::default().width, |columns| columns.min(WIDEST)),
        colour: AutoStream::choice(stream) != ColorChoice::Never,
    }
}

fn columns(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let known = sys::terminal_size(stream).map_or(0, |(_, columns)| usize::from(columns));
    // Terminals of scripts and of serial lines do not know: eighty is what they have always had.
    Some(if known == 0 { 80 } else { known })
}

/// Says something on standard error, for whoever listens.
pub(super) fn say(text: &str) {
    // Nothing is left to be done where even standard error is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

/// The error message of the program.
pub(super) fn complain(message: &str) {
    say(&format!("reprobe: error: {message}"));
}
