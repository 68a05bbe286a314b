//! PDF (ISO 32000): the dates of the document, its identifiers, and the same in its XMP packet, where
//! they stand uncompressed.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::Pieces;
use super::place::{Place, raw};
use super::stream::Stream;
use crate::model::Field;

pub(super) const FORMAT: Format = Format {
    name: "pdf",
    recognise: |prefix| prefix.starts_with(b"%PDF-"),
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("CreationDate", Kind::Time),
        Known::within("ModDate", Kind::Time),
        Known::within("ID", Kind::Content),
        Known::within("xmp-CreateDate", Kind::Time),
        Known::within("xmp-ModifyDate", Kind::Time),
        Known::within("xmp-MetadataDate", Kind::Time),
        Known::within("xmp-DocumentID", Kind::Content),
        Known::within("xmp-InstanceID", Kind::Content),
    ],
    normal: &[],
};

/// What a field begins with, what its value ends with, and its name.
const MARKS: [(&[u8], u8, &str); 8] = [
    (b"/CreationDate", b')', "CreationDate"),
    (b"/ModDate", b')', "ModDate"),
    (b"/ID", b']', "ID"),
    (b"<xmp:CreateDate>", b'<', "xmp-CreateDate"),
    (b"<xmp:ModifyDate>", b'<', "xmp-ModifyDate"),
    (b"<xmp:MetadataDate>", b'<', "xmp-MetadataDate"),
    (b"<xmpMM:DocumentID>", b'<', "xmp-DocumentID"),
    (b"<xmpMM:InstanceID>", b'<', "xmp-InstanceID"),
];
/// Longer values belong to the rest; so long are no marks.
const VALUE: usize = 256;
const MARK: usize = 24;
/// So much is looked at together.
const WINDOW: usize = 16 << 10;
/// So many fields are named.
const NAMED: u32 = 32;

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    let mut named = 0;
    while named < NAMED {
        let window = pieces.peek(WINDOW);
        let (length, is_end) = (window.len(), window.len() < WINDOW);
        let Some((at, mark, end, name)) = next(window) else {
            // A mark may begin at the end of what was looked at.
            let clear = if is_end { length } else { length - MARK };
            if !pieces.pass(clear as u64) || is_end {
                break;
            }
            continue;
        };
        if !is_end && at + mark + VALUE > length && at > 0 {
            pieces.pass(at as u64);
            continue;
        }
        let value = value(window.get(at + mark..).unwrap_or_default(), end);
        pieces.pass((at + mark) as u64);
        let from = pieces.offset();
        if let Some(length) = value
            && let Some(value) = pieces.named(length as u64)
        {
            place.field(unused(place, name), raw(value.trim_ascii()), from);
            named += 1;
        }
    }
    pieces.finish(place, FORMAT.name);
}

/// The first mark: where it is, how long, what its value ends with, and the field.
fn next(window: &[u8]) -> Option<(usize, usize, u8, &'static str)> {
    let mut begins = window.iter().enumerate();
    begins.find_map(|(at, byte)| {
        if !matches!(byte, b'/' | b'<') {
            return None;
        }
        let rest = window.get(at..)?;
        let found = MARKS.iter().find(|(mark, ..)| rest.starts_with(mark));
        found.map(|(mark, end, name)| (at, mark.len(), *end, *name))
    })
}

/// How long a value is: a string or an array of them, with what it ends with; text in XMP, without.
fn value(bytes: &[u8], end: u8) -> Option<usize> {
    let bytes = bytes.get(..VALUE).unwrap_or(bytes);
    let opens = match end {
        b')' => b'(',
        b']' => b'[',
        _ => return bytes.iter().position(|byte| *byte == end),
    };
    let starts = bytes.trim_ascii_start().first() == Some(&opens);
    let at = bytes.iter().position(|byte| *byte == end);
    at.filter(|_| starts).map(|at| at + 1)
}

/// The field of this name, with a number where it is there already.
fn unused(place: &Place<'_>, name: &str) -> Field {
    let mut number = 1;
    loop {
        let field = Field::named(match number {
            1 => format!("pdf.{name}"),
            _ => format!("pdf.{name}#{number}"),
        });
        if !place.has(&field) {
            return field;
        }
        number += 1;
    }
}
