//! Compressed files: the header says nothing, the encoder, its settings and its version are fixed.
//! What is read back is read with another decoder than the encoder's own, but for bzip2, which has one.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use liblzma::stream::{Check, Stream as Lzma};
use lzma_rust2::XzReader;

use super::decoders::{Frames, Inflated};
use super::error::Error;
use super::spool::{BUFFER, Blocks};

/// zlib's level: one percent larger than its highest at a quarter of its time.
const GZIP: u32 = 6;
/// xz's preset, which `xz` takes without being asked.
const XZ: u32 = 6;
/// zstd's level, which dpkg-deb takes.
const ZSTD: i32 = 19;
/// bzip2's level, which `bzip2` takes without being asked.
const BZIP2: u32 = 9;
/// Memory that a dictionary or a window may take: the largest that `zstd -19 --long` makes.
const WINDOW: u64 = 128 << 20;

/// A compressed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Xz,
    Zstd,
    Bzip2,
}

impl Codec {
    /// The one that these bytes begin.
    pub(super) fn recognise(prefix: &[u8]) -> Option<Self> {
        match prefix {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // A frame, or one to be skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        }
    }

    /// What is in a file; behind its end nothing but zeros may stand.
    pub(super) fn decoder<'r>(self, source: &'r mut dyn Read) -> Box<dyn Read + 'r> {
        let source = BufReader::with_capacity(BUFFER, source);
        match self {
            Self::Gzip => Box::new(Gunzip {
                decoder: Some(GzDecoder::new(source)),
            }),
            Self::Xz => Box::new(XzReader::new_mem_limit(
                source,
                true,
                u32::try_from(WINDOW >> 10).unwrap_or(u32::MAX),
            )),
            Self::Zstd => Box::new(Frames::new(source)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        }
    }

    /// The same for what was written here.
    pub(super) fn checker<'r>(self, source: &'r mut dyn Read) -> Box<dyn Read + 'r> {
        match self {
            Self::Gzip => Box::new(Inflated::new(source)),
            other => other.decoder(source),
        }
    }

    /// Writes what `fill` writes, compressed.
    pub(super) fn encode(
        self,
        out: &mut dyn Write,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Gzip => {
                // 255 is "unknown", as Python writes it.
                let header = GzBuilder::new().mtime(0).operating_system(255);
                let encoder = header.write(out, Compression::new(GZIP));
                filled(encoder, fill)?.finish().map(drop)
            }
            Self::Xz => {
                let stream = Lzma::new_easy_encoder(XZ, Check::Crc64);
                let stream = stream.map_err(|error| Error::writing(error.into()))?;
                let encoder = liblzma::write::XzEncoder::new_stream(out, stream);
                filled(encoder, fill)?.finish().map(drop)
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD).map_err(Error::writing)?;
                encoder.include_checksum(true).map_err(Error::writing)?;
                filled(encoder, fill)?.finish().map(drop)
            }
            Self::Bzip2 => {
                let encoder = bzip2::write::BzEncoder::new(out, bzip2::Compression::new(BZIP2));
                filled(encoder, fill)?.finish().map(drop)
            }
        }
        .map_err(Error::writing)
    }
}

/// Fills an encoder, in blocks of one size.
fn filled<E: Write>(
    encoder: E,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), Error>,
) -> Result<E, Error> {
    let mut blocks = Blocks::new(encoder);
    fill(&mut blocks)?;
    blocks.finish().map_err(Error::writing)
}

/// All members of a gzip file.
struct Gunzip<R> {
    /// The member that is read; nothing behind the last one.
    decoder: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gunzip<R> {
    /// The next member, where there is one behind this one.
    fn next(decoder: GzDecoder<R>) -> io::Result<Option<GzDecoder<R>>> {
        let mut rest = decoder.into_inner();
        // Tapes were padded with zeros, and gzip ignores them.
        while rest.fill_buf()?.first() == Some(&0) {
            rest.consume(1);
        }
        match rest.fill_buf()? {
            [] => Ok(None),
            [0x1f, ..] => Ok(Some(GzDecoder::new(rest))),
            _ => Err(Error::refused(
                "bytes behind the end of the gzip that are no zeros",
                "see what they are: gzip ignores them; `gzip -d` and compress again",
            )
            .into()),
        }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let extra = decoder.header().and_then(|header| header.extra());
            if extra.is_some_and(|extra| !extra.is_empty()) {
                return Err(Error::refused(
                    "the gzip header has an extra field, which may be an index (BGZF, dictzip)",
                    "leave it as it is, or unpack it and compress it anew",
                )
                .into());
            }
            let count = decoder.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            if let Some(decoder) = self.decoder.take() {
                self.decoder = Self::next(decoder)?;
            }
        }
        Ok(0)
    }
}
