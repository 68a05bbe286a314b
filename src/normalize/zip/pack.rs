//! The content of one entry, unpacked, checked and compressed again.

use std::io::{self, BufReader, Read as _, Write, sink};

use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::entry::{Entry, STORED};
use crate::normalize::error::{Error, shown};
use crate::normalize::spool::{BUFFER, Blocks, Counted, Source, copy, copy_all, seek};

/// zlib's level, as for gzip.
const LEVEL: u32 = 6;

/// Writes the content of an entry that stands at `at` to `contents`, by the same method, and says where
/// it ends in the source. With `keep_packed` the compressed bytes are those of the source. The entry
/// learns its new size and its digest.
pub(super) fn pack(
    source: &mut dyn Source,
    entry: &mut Entry,
    at: u64,
    keep_packed: bool,
    contents: &mut dyn Write,
) -> Result<u64, Error> {
    let end = at.checked_add(entry.stored);
    let end = end.ok_or_else(|| Error::broken("an entry of the zip has no valid size"))?;
    seek(source, at)?;
    if !entry.is_known() {
        entry.digest = copy(source, entry.stored, contents)?;
        return Ok(end);
    }
    if entry.method == STORED {
        let mut summed = Summed::new(contents);
        entry.digest = copy(source, entry.stored, &mut summed)?;
        check(entry, entry.stored, summed.crc.sum(), 0)?;
        return Ok(end);
    }
    let mut packed = BufReader::with_capacity(BUFFER, source.take(entry.stored));
    let decoder = DeflateDecoder::new(&mut packed);
    // A bomb is not unpacked beyond the size that it claims.
    let mut decoder = decoder.take(entry.size.saturating_add(1));
    let (size, crc, stored) = if keep_packed {
        let mut summed = Summed::new(sink());
        let (size, digest) = copy_all(&mut decoder, &mut summed)?;
        entry.digest = digest;
        (size, summed.crc.sum(), entry.stored)
    } else {
        let counted = Counted {
            out: &mut *contents,
            count: 0,
        };
        let encoder = DeflateEncoder::new(counted, Compression::new(LEVEL));
        let mut summed = Summed::new(Blocks::new(encoder));
        let (size, digest) = copy_all(&mut decoder, &mut summed)?;
        let Summed { out, crc } = summed;
        let encoder = out.finish().map_err(Error::writing)?;
        let crc = crc.sum();
        let counted = encoder.finish().map_err(Error::writing)?.count;
        entry.digest = digest;
        (size, crc, counted)
    };
    let left = io::copy(&mut packed, &mut sink()).map_err(Error::reading)?;
    check(entry, size, crc, left)?;
    if keep_packed {
        seek(source, at)?;
        copy(source, entry.stored, contents)?;
    }
    entry.stored = stored;
    Ok(end)
}

/// Whether the content is what the directory says, with nothing behind it.
fn check(entry: &Entry, size: u64, crc: u32, left: u64) -> Result<(), Error> {
    if (size, crc, left) == (entry.size, entry.crc, 0) {
        return Ok(());
    }
    Err(Error::broken(format!(
        "{}: wrong checksum or size",
        shown(&entry.name)
    )))
}

/// A writer that keeps the CRC-32 of what passes.
struct Summed<W> {
    out: W,
    crc: Crc,
}

impl<W: Write> Summed<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            crc: Crc::new(),
        }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.crc.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
