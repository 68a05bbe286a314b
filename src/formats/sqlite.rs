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
    Fixed::new("sqlite.change-counter", 24, 4, Form::Big),
    Fixed::new("sqlite.schema-cookie", 40, 4, Form::Big),
    Fixed::new("sqlite.version-valid-for", 92, 4, Form::Big),
    Fixed::new("sqlite.library", 96, 4, Form::Big),
];

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    pieces.fixed(0, &FIELDS, place);
    pieces.finish(place, FORMAT.name);
}
