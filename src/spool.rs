//! Temporary files for those who need more room than memory has.

use std::io;

use tempfile::SpooledTempFile;

use crate::normalize::{Spool, Spools};

/// What stays in memory before it becomes a file.
const MEMORY: usize = 128 << 10;

/// Spools in `$TMPDIR`, which go with whoever holds them.
#[derive(Debug, Clone, Copy)]
pub struct Temporary;

impl Spools for Temporary {
    fn spool(&self) -> io::Result<Box<dyn Spool>> {
        Ok(Box::new(SpooledTempFile::new(MEMORY)))
    }
}
