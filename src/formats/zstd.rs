//! zstd (RFC 8878): the payload of all its frames, skippable ones left out.

use std::io::{self, Read};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::errors::ReadFrameHeaderError::SkipFrame;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::format::{Format, Holds, Kind};
use super::inflate::invalid;
use super::place::Place;
use super::stream::Stream;

pub(super) const FORMAT: Format = Format {
    name: "zstd",
    recognise: |prefix| prefix.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
    read,
    holds: Holds::Payload(&[(".zst", ""), (".tzst", ".tar")]),
    fields: &[],
    normal: &[Kind::Compression],
};

/// Memory that a window may take: the largest that `zstd -19 --long` makes.
const WINDOW: u64 = 128 << 20;

/// The payload of all frames.
struct Frames<'s, 'a> {
    stream: &'s mut Stream<'a>,
    decoder: FrameDecoder,
    /// Whether a frame has begun and not ended.
    inside: bool,
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    let mut payload = Frames {
        stream,
        decoder,
        inside: false,
    };
    let whole = place.payload(&FORMAT).content(&mut payload, 0);
    if let Some(error) = whole.error {
        place.problem(format!("truncated or corrupt zstd stream: {error}"));
    }
}

impl Frames<'_, '_> {
    /// Begins the next frame; false at the end.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.stream.peek(1).is_empty() {
            match self.decoder.init(&mut *self.stream) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(SkipFrame { length, .. })) => {
                    self.stream.skip(u64::from(length));
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    /// Decodes until there are bytes to take, or the frame ends.
    fn decode(&mut self) -> io::Result<()> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            self.decoder
                .decode_blocks(&mut *self.stream, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Read for Frames<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.inside || self.begin()? {
            self.decode()?;
            let count = self.decoder.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            self.inside = false;
            let stored = self.decoder.get_checksum_from_data();
            if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
                return Err(invalid("wrong checksum"));
            }
        }
        Ok(0)
    }
}
