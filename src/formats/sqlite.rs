//! Databases of `SQLite`: the counters of the header, and the version of the library that wrote it.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::Pieces;
use super::place::Place;
use super::stream::Stream;
use crate::model::{Field, Value};

pub(super) const FORMAT: Format = Format {
    name: "sqlite",
    recognise: |prefix| prefix.starts_with(b"SQLite format 3\0"),
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("change-counter", Kind::Header),
        Known::within("schema-cookie", Kind::Header),
        Known::within("version-valid-for", Kind::Header),
        Known::within("library", Kind::Header),
    ],
    normal: &[],
};

/// Names and places of the fields, of four bytes each (sqlite.org/fileformat.html, 1.3).
const FIELDS: [(&str, u64); 4] = [
    ("sqlite.change-counter", 24),
    ("sqlite.schema-cookie", 40),
    ("sqlite.version-valid-for", 92),
    ("sqlite.library", 96),
];

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    for (name, at) in FIELDS {
        pieces.pass(at - pieces.offset());
        if let Some(bytes) = pieces.named(4)
            && let Some(bytes) = bytes.first_chunk()
        {
            let number = u32::from_be_bytes(*bytes).to_string();
            place.field(Field::new(name), Value::Text(number), at);
        }
    }
    pieces.finish(place, FORMAT.name);
}
