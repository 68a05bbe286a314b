//! Message catalogues of gettext: the dates and other entries of the header, which is the translation
//! of nothing.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::Pieces;
use super::place::{Place, raw};
use super::stream::Stream;
use crate::model::{Field, escape_bytes};

pub(super) const FORMAT: Format = Format {
    name: "mo",
    recognise: |prefix| prefix.starts_with(&LITTLE) || prefix.starts_with(&BIG),
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("POT-Creation-Date", Kind::Time),
        Known::within("PO-Revision-Date", Kind::Time),
        Known::within("header", Kind::Content),
    ],
    normal: &[],
};

const LITTLE: [u8; 4] = [0xde, 0x12, 0x04, 0x95];
const BIG: [u8; 4] = [0x95, 0x04, 0x12, 0xde];
/// Longer headers belong to the rest.
const HEADER: u32 = 64 << 10;
/// The entries that have fields of their own.
const DATES: [&str; 2] = ["POT-Creation-Date", "PO-Revision-Date"];

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    // Where it is not as msgfmt writes it, all is the rest.
    header(&mut pieces, place);
    pieces.finish(place, FORMAT.name);
}

fn header(pieces: &mut Pieces<'_, '_>, place: &mut Place<'_>) -> Option<()> {
    let start = pieces.seen(28)?;
    let big = start.starts_with(&BIG);
    let number = |bytes: &[u8], at: usize| {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    };
    // The table of translations: lengths and places, the header's first.
    let table = u64::from(number(&start, 16)?);
    if !pieces.pass(table.checked_sub(pieces.offset())?) {
        return None;
    }
    let entry = pieces.seen(8)?;
    let (length, at) = (number(&entry, 0)?, u64::from(number(&entry, 4)?));
    if length > HEADER || !pieces.pass(at.checked_sub(pieces.offset())?) {
        return None;
    }
    let text = pieces.named(u64::from(length))?;
    let mut others = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let entry = DATES.into_iter().find_map(|name| {
            let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b": ")?;
            Some((
                Field::named(format!("mo.{name}")),
                value.strip_suffix(b"\n")?,
            ))
        });
        match entry {
            Some((field, value)) if !place.has(&field) => place.field(field, raw(value), at),
            _ => others.extend_from_slice(line),
        }
    }
    place.field(
        Field::new("mo.header"),
        crate::model::Value::Text(escape_bytes(&others)),
        at,
    );
    Some(())
}
