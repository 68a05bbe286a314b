//! What every kind of file can do once it was read.

use std::io::{Read, Write};

use super::context::Context;
use super::error::Error;

/// A file that was read and judged.
pub(super) trait Canonical {
    /// Writes the canonical form.
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error>;

    /// Reads back what was written and compares it with what was read.
    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error>;
}
