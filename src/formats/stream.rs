//! A stream of foreign bytes: hashed as it passes, with its offset known, a prefix that can be
//! looked at before it is read, and errors kept aside, so that the readers of formats see only an
//! early end. Nothing is allocated by a length that the bytes claim.

use std::io::{self, BufRead, Read};

use sha2::{Digest as _, Sha256};

use super::sketch::Sketch;
use crate::model::Value;

/// What a stream was in all.
#[derive(Debug)]
pub(crate) struct Whole {
    /// SHA-256 and length.
    pub(crate) digest: Value,
    /// Its length.
    pub(crate) size: u64,
    /// What it has in common with others, where that was asked for.
    pub(crate) sketch: Option<Vec<u32>>,
    /// The error that ended it early.
    pub(crate) error: Option<io::Error>,
}

/// A hashed stream with a fixed buffer.
pub(crate) struct Stream<'a> {
    source: &'a mut dyn Read,
    hash: Hash,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    error: Option<io::Error>,
}

/// SHA-256 of bytes and their number.
#[derive(Default)]
pub(crate) struct Hash {
    sha256: Sha256,
    size: u64,
    sketch: Option<Sketch>,
}

impl Hash {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sketch) = &mut self.sketch {
            sketch.update(bytes);
        }
        self.size += bytes.len() as u64;
    }

    pub(crate) fn value(self) -> Value {
        Value::Digest {
            sha256: hexadecimal(&self.sha256.finalize()),
            size: self.size,
        }
    }

    /// The digest of bytes that are at hand.
    pub(crate) fn of(bytes: &[u8]) -> Value {
        let mut hash = Self::default();
        hash.update(bytes);
        hash.value()
    }
}

/// Lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl<'a> Stream<'a> {
    /// A stream with a buffer of `capacity` bytes, which is also the most that can be peeked.
    pub(crate) fn new(source: &'a mut dyn Read, capacity: usize) -> Self {
        Self {
            source,
            hash: Hash::default(),
            buffer: vec![0; capacity],
            start: 0,
            end: 0,
            ended: false,
            error: None,
        }
    }

    /// The same, with a sketch of what passes.
    pub(crate) fn sketched(mut self) -> Self {
        self.hash.sketch = Some(Sketch::default());
        self
    }

    /// How many bytes were taken out of it.
    pub(crate) fn offset(&self) -> u64 {
        self.hash.size - self.buffered().len() as u64
    }

    /// The next `wanted` bytes without taking them; fewer where the stream ends before.
    pub(crate) fn peek(&mut self, wanted: usize) -> &[u8] {
        let wanted = wanted.min(self.buffer.len());
        if self.buffered().len() < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < wanted && self.refill() {}
        let buffered = self.buffered();
        buffered.get(..wanted).unwrap_or(buffered)
    }

    /// The next `N` bytes; `None` where the stream ends before, which takes what is left.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The next `length` bytes; `None` where the stream ends before.
    pub(crate) fn exactly(&mut self, length: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(length).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 == length).then_some(bytes)
    }

    /// Takes `length` bytes; false where the stream ends before.
    pub(crate) fn skip(&mut self, length: u64) -> bool {
        let mut left = length;
        while left > 0 {
            let Ok(available) = self.fill_buf() else {
                return false;
            };
            let step =
                usize::try_from(left).map_or(available.len(), |left| left.min(available.len()));
            if step == 0 {
                return false;
            }
            self.consume(step);
            left -= step as u64;
        }
        true
    }

    /// Reads what is left and says what the whole was.
    pub(crate) fn finish(mut self) -> Whole {
        self.start = self.end;
        loop {
            self.start = 0;
            self.end = 0;
            if !self.refill() {
                break;
            }
        }
        Whole {
            size: self.hash.size,
            sketch: self.hash.sketch.take().map(Sketch::hashes),
            digest: self.hash.value(),
            error: self.error,
        }
    }

    fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads more behind what is buffered; false at the end.
    fn refill(&mut self) -> bool {
        let Some(room) = self.buffer.get_mut(self.end..) else {
            return false;
        };
        let count = pull(
            self.source,
            &mut self.hash,
            &mut self.error,
            &mut self.ended,
            room,
        );
        self.end += count;
        count > 0
    }
}

/// Reads once from `source` into `room`, hashing; an error is kept and looks like the end.
fn pull(
    source: &mut dyn Read,
    hash: &mut Hash,
    error: &mut Option<io::Error>,
    ended: &mut bool,
    room: &mut [u8],
) -> usize {
    while !*ended && !room.is_empty() {
        match source.read(room) {
            Ok(0) => *ended = true,
            Ok(count) => {
                let count = count.min(room.len());
                hash.update(room.get(..count).unwrap_or_default());
                return count;
            }
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
            Err(failure) => {
                *error = Some(failure);
                *ended = true;
            }
        }
    }
    0
}

impl Read for Stream<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end && out.len() >= self.buffer.len() {
            let (hash, error, ended) = (&mut self.hash, &mut self.error, &mut self.ended);
            return Ok(pull(self.source, hash, error, ended, out));
        }
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Stream<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.refill();
        }
        Ok(self.buffered())
    }

    fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeking_takes_nothing_and_offsets_count_what_was_taken() {
        let mut bytes: &[u8] = b"abcdefgh";
        let mut stream = Stream::new(&mut bytes, 4);
        assert_eq!(stream.peek(3), b"abc");
        assert_eq!(stream.offset(), 0);
        assert_eq!(stream.array::<3>(), Some(*b"abc"));
        assert_eq!(stream.peek(4), b"defg");
        assert_eq!(stream.offset(), 3);
        assert!(stream.skip(4));
        assert_eq!(stream.exactly(2), None);
    }

    #[test]
    fn the_digest_covers_everything_however_little_was_read() {
        let mut bytes: &[u8] = b"abcdefgh";
        let mut stream = Stream::new(&mut bytes, 4);
        stream.peek(2);
        assert_eq!(stream.finish().digest, Hash::of(b"abcdefgh"));
    }

    #[test]
    fn an_error_of_the_source_ends_the_stream_and_is_kept() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("bad sector"))
            }
        }
        let mut source = b"ab".chain(Failing);
        let mut stream = Stream::new(&mut source, 16);
        assert_eq!(stream.peek(4), b"ab");
        assert_eq!(stream.finish().error.unwrap().to_string(), "bad sector");
    }
}
