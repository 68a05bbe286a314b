//! Decoders as readers: zstd's frames, and a second inflate that reads back what zlib wrote.

use std::io::{self, BufRead, BufReader, Read};

use flate2::Crc;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::errors::ReadFrameHeaderError::SkipFrame;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::error::Error;
use super::spool::BUFFER;

/// Memory that a window may take: the largest that `zstd -19 --long` makes.
const WINDOW: u64 = 128 << 20;

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn corrupt(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("corrupt zstd stream: {error}"),
    )
}

/// A raw deflate stream.
pub(super) struct RawInflate<R> {
    source: R,
    state: Box<InflateState>,
    ended: bool,
}

impl<R: BufRead> RawInflate<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            state: InflateState::new_boxed(DataFormat::Raw),
            ended: false,
        }
    }
}

impl<R: BufRead> Read for RawInflate<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !out.is_empty() {
            let input = self.source.fill_buf()?;
            let exhausted = input.is_empty();
            let result = inflate(&mut self.state, input, out, MZFlush::None);
            self.source.consume(result.bytes_consumed);
            self.ended = result.status == Ok(MZStatus::StreamEnd);
            if result.bytes_written > 0 {
                return Ok(result.bytes_written);
            }
            if !self.ended && (exhausted || result.status.is_err()) {
                return Err(invalid("corrupt or truncated deflate stream"));
            }
        }
        Ok(0)
    }
}

/// One gzip member with a header of ten bytes, as it is written here, and its checksum.
pub(super) struct Inflated<'r> {
    inflate: RawInflate<BufReader<&'r mut dyn Read>>,
    crc: Crc,
    begun: bool,
}

impl<'r> Inflated<'r> {
    pub(super) fn new(source: &'r mut dyn Read) -> Self {
        Self {
            inflate: RawInflate::new(BufReader::with_capacity(BUFFER, source)),
            crc: Crc::new(),
            begun: false,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        let mut header = [0; 10];
        self.inflate.source.read_exact(&mut header)?;
        self.begun = true;
        if header == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255] {
            return Ok(());
        }
        Err(invalid("not the header that is written"))
    }

    fn trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        self.inflate.source.read_exact(&mut trailer)?;
        let sums = [
            self.crc.sum().to_le_bytes(),
            self.crc.amount().to_le_bytes(),
        ];
        if trailer != *sums.as_flattened() {
            return Err(invalid("wrong checksum in the trailer"));
        }
        if self.inflate.source.fill_buf()?.is_empty() {
            return Ok(());
        }
        Err(invalid("bytes behind the trailer"))
    }
}

impl Read for Inflated<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.header()?;
        }
        let ended = self.inflate.ended;
        let count = self.inflate.read(out)?;
        self.crc.update(out.get(..count).unwrap_or_default());
        if self.inflate.ended && !ended {
            self.trailer()?;
        }
        Ok(count)
    }
}

/// The payload of all zstd frames (RFC 8878).
pub(super) struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether a frame has begun and not ended.
    inside: bool,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self {
            source,
            decoder,
            inside: false,
        }
    }

    /// Begins the next frame; false at the end.
    fn begin(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.init(&mut self.source) {
            Ok(()) => {
                self.inside = true;
                Ok(true)
            }
            Err(FrameDecoderError::ReadFrameHeaderError(SkipFrame { .. })) => Err(Error::refused(
                "the zstd file has a frame that decoders skip, which may be an index",
                "leave it as it is, or unpack it and compress it anew",
            )
            .into()),
            Err(error) => Err(corrupt(error)),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.inside || self.begin()? {
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let step = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&mut self.source, step);
                decoded.map_err(corrupt)?;
            }
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
