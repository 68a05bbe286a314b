//! Where bytes come from and go to: traits, so that this module opens no file itself, and readers that
//! watch what passes.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use sha2::{Digest as _, Sha256};

use super::error::Error;

/// What is read: a file, or what was unpacked.
pub trait Source: Read + Seek {}

impl<T: Read + Seek + ?Sized> Source for T {}

/// A place for bytes that are read again later.
pub trait Spool: Read + Write + Seek {}

impl<T: Read + Write + Seek + ?Sized> Spool for T {}

/// Makes spools, which vanish when they are dropped.
pub trait Spools {
    /// An empty one.
    fn spool(&self) -> io::Result<Box<dyn Spool>>;
}

/// Bytes that are moved at once.
pub(super) const BUFFER: usize = 64 << 10;

/// The SHA-256 of a content.
pub(super) type Digest = [u8; 32];

/// Copies `size` bytes from `source` to `out`; the digest of what was copied. Where the source ends
/// before, that is an error that says so.
pub(super) fn copy(source: &mut dyn Read, size: u64, out: &mut dyn Write) -> Result<Digest, Error> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut left = size;
    while left > 0 {
        let wanted = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
        let room = buffer.get_mut(..wanted).unwrap_or_default();
        let count = source.read(room).map_err(Error::reading)?;
        let bytes = room.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Error::broken("truncated"));
        }
        sha256.update(bytes);
        out.write_all(bytes).map_err(Error::writing)?;
        left -= count as u64;
    }
    Ok(sha256.finalize().into())
}

/// Copies all that is left; the number of bytes and their digest.
pub(super) fn copy_all(source: &mut dyn Read, out: &mut dyn Write) -> Result<(u64, Digest), Error> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let count = source.read(&mut buffer).map_err(Error::reading)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok((size, sha256.finalize().into()));
        }
        sha256.update(bytes);
        out.write_all(bytes).map_err(Error::writing)?;
        size += count as u64;
    }
}

/// Begins to read at an offset.
pub(super) fn seek(source: &mut (impl Seek + ?Sized), offset: u64) -> Result<(), Error> {
    source
        .seek(SeekFrom::Start(offset))
        .map(drop)
        .map_err(Error::reading)
}

/// How many bytes it holds; goes back to its beginning.
pub(super) fn length(source: &mut (impl Seek + ?Sized)) -> Result<u64, Error> {
    let length = source.seek(SeekFrom::End(0)).map_err(Error::reading)?;
    seek(source, 0)?;
    Ok(length)
}

/// Whether both hold the same bytes.
pub fn same(one: &mut dyn Source, other: &mut (impl Source + ?Sized)) -> Result<bool, Error> {
    if length(one)? != length(other)? {
        return Ok(false);
    }
    let mut one = BufReader::with_capacity(BUFFER, one);
    let mut other = BufReader::with_capacity(BUFFER, other);
    loop {
        let left = one.fill_buf().map_err(Error::reading)?;
        let right = other.fill_buf().map_err(Error::reading)?;
        let count = left.len().min(right.len());
        if left.get(..count) != right.get(..count) {
            return Ok(false);
        }
        if count == 0 {
            return Ok(left.len() == right.len());
        }
        one.consume(count);
        other.consume(count);
    }
}

/// A reader that writes down what passes.
pub(super) struct Tee<'s> {
    pub(super) source: Box<dyn Read + 's>,
    pub(super) copy: &'s mut dyn Write,
}

impl Read for Tee<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        self.copy.write_all(out.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

/// A reader that stops with a refusal where more comes than a bomb is allowed to unpack.
pub(super) struct Bounded<'s> {
    pub(super) source: Box<dyn Read + 's>,
    pub(super) left: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        let Some(left) = self.left.checked_sub(count as u64) else {
            return Err(Error::refused(
                "it unpacks to more than a gigabyte and 200 times its size",
                "if you trust it: --large",
            )
            .into());
        };
        self.left = left;
        Ok(count)
    }
}

/// A writer that counts what passes.
pub(super) struct Counted<W> {
    pub(super) out: W,
    pub(super) count: u64,
}

impl<W: Write> Counted<W> {
    /// Writes so many zeros.
    pub(super) fn zeros(&mut self, count: u64) -> Result<(), Error> {
        io::copy(&mut io::repeat(0).take(count), self)
            .map(drop)
            .map_err(Error::writing)
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A writer that hands on blocks of one size, the last one aside: no encoder sees in what pieces its
/// input was written.
pub(super) struct Blocks<W: Write> {
    inner: W,
    block: Vec<u8>,
}

impl<W: Write> Blocks<W> {
    pub(super) fn new(inner: W) -> Self {
        Self {
            inner,
            block: Vec::with_capacity(BUFFER),
        }
    }

    /// Hands on what is left.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&self.block)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Blocks<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BUFFER - self.block.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.block.extend_from_slice(taken);
        if self.block.len() == BUFFER {
            self.inner.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether nothing but zero bytes is left.
pub(super) fn only_zeros(source: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let bytes = source.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        let length = bytes.len();
        source.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_depend_on_how_they_were_written() {
        struct Sizes(Vec<usize>);
        impl Write for Sizes {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.push(bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for step in [1, 1000, BUFFER, 3 * BUFFER] {
            let mut blocks = Blocks::new(Sizes(Vec::new()));
            for piece in vec![0; 2 * BUFFER + 7].chunks(step) {
                blocks.write_all(piece).unwrap();
            }
            let sizes = blocks.finish().unwrap().0;
            assert_eq!(sizes, [BUFFER, BUFFER, 7], "written by {step}");
        }
    }
}
