//! Files of which some bytes are named fields, and all others one digest: where that is the same, the
//! fields explain the file.

use std::io::Read as _;

use super::REST;
use super::place::Place;
use super::stream::{Hash, Stream};
use crate::model::Field;

/// A stream that is taken in pieces.
pub(super) struct Pieces<'s, 'a> {
    stream: &'s mut Stream<'a>,
    rest: Hash,
}

impl<'s, 'a> Pieces<'s, 'a> {
    pub(super) fn new(stream: &'s mut Stream<'a>) -> Self {
        Self {
            stream,
            rest: Hash::default(),
        }
    }

    /// How many bytes were taken.
    pub(super) fn offset(&self) -> u64 {
        self.stream.offset()
    }

    /// The next bytes, which stay; fewer where the stream ends before.
    pub(super) fn peek(&mut self, wanted: usize) -> &[u8] {
        self.stream.peek(wanted)
    }

    /// The next bytes, which become a field: none of the rest. `None` where the stream ends before;
    /// then they are the rest's.
    pub(super) fn named(&mut self, length: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        // An error of the source looks like its end, and is kept there.
        let _ = self.stream.by_ref().take(length).read_to_end(&mut bytes);
        if bytes.len() as u64 == length {
            return Some(bytes);
        }
        self.rest.update(&bytes);
        None
    }

    /// The next bytes, which belong to the rest and are looked at.
    pub(super) fn seen(&mut self, length: u64) -> Option<Vec<u8>> {
        let bytes = self.named(length)?;
        self.rest.update(&bytes);
        Some(bytes)
    }

    /// Adds bytes to the rest that were taken as a field and are none.
    pub(super) fn unnamed(&mut self, bytes: &[u8]) {
        self.rest.update(bytes);
    }

    /// Passes bytes to the rest; false where the stream ends before.
    pub(super) fn pass(&mut self, length: u64) -> bool {
        let mut left = length;
        let mut buffer = [0; 4096];
        while left > 0 {
            let room = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let Some(room) = buffer.get_mut(..room) else {
                return false;
            };
            let count = self.stream.read(room).unwrap_or(0);
            if count == 0 {
                return false;
            }
            self.rest.update(room.get(..count).unwrap_or_default());
            left -= count as u64;
        }
        true
    }

    /// Passes all that is left, and records the rest of a format.
    pub(super) fn finish(mut self, place: &mut Place<'_>, format: &str) {
        self.pass(u64::MAX);
        let field = Field::named(format!("{format}.{REST}"));
        place.field(field, self.rest.value(), None);
    }
}
