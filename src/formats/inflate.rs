//! Inflating a raw deflate stream in steps, with the digest of its compressed bytes. The checks of
//! the containers (CRC, sizes) are theirs.

use std::io::{self, BufRead, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::stream::Hash;

/// One deflate stream.
pub(super) struct Inflate {
    state: Decompress,
    ended: bool,
    broken: bool,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self {
            state: Decompress::new(false),
            ended: false,
            broken: false,
        }
    }

    /// How many compressed bytes it took.
    pub(super) fn compressed(&self) -> u64 {
        self.state.total_in()
    }

    /// Fills `out` from `source` as far as one step goes, hashing what it takes; 0 once the deflate
    /// stream has ended. Takes not a byte more than belongs to the stream.
    pub(super) fn step(
        &mut self,
        source: &mut dyn BufRead,
        hash: &mut Hash,
        out: &mut [u8],
    ) -> io::Result<usize> {
        while !self.ended && !out.is_empty() {
            if self.broken {
                return Err(invalid("corrupt deflate stream"));
            }
            let input = source.fill_buf()?;
            let exhausted = input.is_empty();
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(input, out, FlushDecompress::None);
            let taken = usize::try_from(self.state.total_in() - before_in).unwrap_or_default();
            let made = usize::try_from(self.state.total_out() - before_out).unwrap_or_default();
            hash.update(input.get(..taken).unwrap_or(input));
            source.consume(taken);
            self.ended = matches!(status, Ok(Status::StreamEnd));
            // What came before the fault is told all the same, in whatever pieces the input comes.
            self.broken = status.is_err();
            if made > 0 || self.ended {
                return Ok(made);
            }
            if exhausted && !self.broken {
                return Err(invalid("truncated deflate stream"));
            }
            if self.broken || taken == 0 {
                return Err(invalid("corrupt deflate stream"));
            }
        }
        Ok(0)
    }
}

/// A deflate stream within `source` as a reader of its own.
pub(super) struct Inflated<'s> {
    pub(super) source: &'s mut dyn BufRead,
    pub(super) inflate: Inflate,
    pub(super) hash: Hash,
}

impl Read for Inflated<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.inflate.step(self.source, &mut self.hash, out)
    }
}

/// A reader that keeps the CRC-32 of what passes.
pub(super) struct Checked<R> {
    pub(super) inner: R,
    pub(super) crc: Crc,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.crc.update(out.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The error of bytes that break their format.
pub(super) fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
