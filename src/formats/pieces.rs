//! Files of which some bytes are named fields, and all others one digest: where that is the same, the
//! fields explain the file.

use std::io::Read as _;

use super::REST;
use super::place::{Place, binary, raw, until_nul};
use super::stream::{Hash, Stream};
use crate::model::{Field, Value};

/// A field that stands at one place in every file of its format.
pub(super) struct Fixed {
    /// With the name of the format before it.
    pub(super) name: &'static str,
    pub(super) at: u64,
    pub(super) length: u64,
    pub(super) form: Form,
}

impl Fixed {
    pub(super) const fn new(name: &'static str, at: u64, length: u64, form: Form) -> Self {
        Self {
            name,
            at,
            length,
            form,
        }
    }
}

/// A number, the least significant byte first.
pub(super) fn little(bytes: &[u8]) -> u64 {
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    bytes.iter().rev().fold(0, add)
}

/// How the bytes of a field are shown.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// A number of up to eight bytes, the least significant one first.
    Little,
    /// The same, the most significant one first.
    Big,
    /// Text up to the first NUL, without the spaces at its end.
    Text,
    /// Hexadecimal digits.
    Binary,
}

impl Form {
    fn show(self, bytes: &[u8]) -> Value {
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        match self {
            Self::Little => Value::Text(little(bytes).to_string()),
            Self::Big => Value::Text(bytes.iter().fold(0, add).to_string()),
            Self::Text => raw(until_nul(bytes).trim_ascii_end()),
            Self::Binary => binary(bytes),
        }
    }
}

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

    /// Records fields by their places from `start` on, which are given in their order.
    pub(super) fn fixed(&mut self, start: u64, fields: &[Fixed], place: &mut Place<'_>) {
        for field in fields {
            let at = start + field.at;
            if !self.pass(at.saturating_sub(self.offset())) {
                return;
            }
            if let Some(bytes) = self.named(field.length) {
                place.field(Field::new(field.name), field.form.show(&bytes), at);
            }
        }
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
