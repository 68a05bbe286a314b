//! Python byte code (PEP 552, from Python 3.7 on): the time and size of the source, or its hash.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::Pieces;
use super::place::{Place, binary};
use super::stream::Stream;
use crate::model::Field;

pub(super) const FORMAT: Format = Format {
    name: "pyc",
    recognise,
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("source-mtime", Kind::Time),
        Known::within("source-size", Kind::Content),
        Known::within("source-hash", Kind::Content),
        Known::within("version", Kind::Content),
        Known::within("flags", Kind::Content),
    ],
    normal: &[],
};

/// The numbers of Python 3.7 to those that are far from being given out.
const VERSIONS: std::ops::Range<u16> = 3390..4200;
/// The flag for code that names its source by a hash.
const BY_HASH: u32 = 1;
/// A code object of marshal, without and with the flag for what is referred to.
const CODE: [u8; 2] = [b'c', b'c' | 0x80];

fn recognise(prefix: &[u8]) -> bool {
    let Some(&[v0, v1, b'\r', b'\n', flags, 0, 0, 0]) = prefix.get(..8) else {
        return false;
    };
    let known = VERSIONS.contains(&u16::from_le_bytes([v0, v1])) && flags <= 3;
    known && prefix.get(16).is_some_and(|kind| CODE.contains(kind))
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    if let Some(header) = pieces.named(16)
        && let Some((&[v0, v1, _, _, f0, f1, f2, f3, m0, m1, m2, m3, s0, s1, s2, s3], _)) =
            header.split_first_chunk()
    {
        let flags = u32::from_le_bytes([f0, f1, f2, f3]);
        place.text("pyc.version", u16::from_le_bytes([v0, v1]).to_string(), 0);
        place.text("pyc.flags", flags.to_string(), 4);
        if flags & BY_HASH == 0 {
            let mtime = u32::from_le_bytes([m0, m1, m2, m3]);
            place.text("pyc.source-mtime", mtime.to_string(), 8);
            let size = u32::from_le_bytes([s0, s1, s2, s3]);
            place.text("pyc.source-size", size.to_string(), 12);
        } else {
            let hash = binary(header.get(8..).unwrap_or_default());
            place.field(Field::new("pyc.source-hash"), hash, 8);
        }
    }
    pieces.finish(place, FORMAT.name);
}
