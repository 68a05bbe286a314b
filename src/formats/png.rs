//! PNG (ISO/IEC 15948): the time of the last change, and texts by their keywords.

use flate2::Crc;

use super::format::{Format, Holds, Kind, Known};
use super::pieces::Pieces;
use super::place::{Place, raw};
use super::stream::Stream;
use crate::model::{Field, escape_bytes};

pub(super) const FORMAT: Format = Format {
    name: "png",
    recognise: |prefix| prefix.starts_with(SIGNATURE),
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("time", Kind::Time),
        // As ImageMagick calls them, and the keyword of the specification.
        Known::within("text.date:create", Kind::Time),
        Known::within("text.date:modify", Kind::Time),
        Known::within("text.date:timestamp", Kind::Time),
        Known::within("text.Creation Time", Kind::Time),
        Known::within("text", Kind::Content),
    ],
    normal: &[],
};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Longer texts belong to the rest.
const TEXT: u32 = 64 << 10;
/// So many chunks are told by their names.
const NAMED: u32 = 64;

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    pieces.pass(SIGNATURE.len() as u64);
    let mut named = 0;
    while let Some(&[l0, l1, l2, l3, k0, k1, k2, k3]) = pieces.peek(8).first_chunk() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let kind = [k0, k1, k2, k3];
        let telling = (kind == *b"tIME" && length == 7) || (kind == *b"tEXt" && length <= TEXT);
        // Length, kind, content and checksum.
        let whole = u64::from(length) + 12;
        if !telling || named == NAMED {
            if !pieces.pass(whole) {
                break;
            }
            continue;
        }
        named += 1;
        let at = pieces.offset() + 8;
        let Some(chunk) = pieces.named(whole) else {
            break;
        };
        if !field(place, &chunk, at) {
            pieces.unnamed(&chunk);
        }
    }
    pieces.finish(place, FORMAT.name);
}

/// Records a chunk; false where it is not as it should be.
fn field(place: &mut Place<'_>, chunk: &[u8], at: u64) -> bool {
    let Some((body, sum)) = chunk.split_last_chunk::<4>() else {
        return false;
    };
    let body = body.get(4..).unwrap_or_default();
    let mut crc = Crc::new();
    crc.update(body);
    let content = body.get(4..).unwrap_or_default();
    if crc.sum().to_be_bytes() != *sum {
        return false;
    }
    if let (true, &[y0, y1, month, day, hour, minute, second]) =
        (body.starts_with(b"tIME"), content)
    {
        let year = u16::from_be_bytes([y0, y1]);
        let time = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
        place.text("png.time", time, at);
        return true;
    }
    let Some(end) = content.iter().position(|byte| *byte == 0) else {
        return false;
    };
    let (keyword, text) = content.split_at(end);
    let name = Field::named(format!("png.text.{}", escape_bytes(keyword)));
    if place.has(&name) {
        // The second text of a keyword: which is which is not known.
        return false;
    }
    place.field(name, raw(text.get(1..).unwrap_or_default()), at);
    true
}
