//! Databases of `SQLite`: the counters of the header, and the version of the library that wrote it.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::{Fixed, Form, Pieces};
use super::place::Place;
use super::stream::Stream;

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

/// Places of the fields (sqlite.org/fileformat.html, 1.3).
const FIELDS: [Fixed; 4] = [
    field("sqlite.change-counter", 24),
    field("sqlite.schema-cookie", 40),
    field("sqlite.version-valid-for", 92),
    field("sqlite.library", 96),
];

const fn field(name: &'static str, at: u64) -> Fixed {
    Fixed {
        name,
        at,
        length: 4,
        form: Form::Big,
    }
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    pieces.fixed(0, &FIELDS, place);
    pieces.finish(place, FORMAT.name);
}
