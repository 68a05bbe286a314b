//! PE: programs and libraries of Windows and .NET. The time that the linker writes, and the checksum
//! that follows from all.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::Pieces;
use super::place::{Place, binary};
use super::stream::Stream;
use crate::model::Field;

pub(super) const FORMAT: Format = Format {
    name: "pe",
    recognise,
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("timestamp", Kind::Time),
        Known::within("checksum", Kind::Content),
    ],
    normal: &[],
};

/// Where the place of the header stands.
const POINTER: usize = 0x3c;
const SIGNATURE: &[u8] = b"PE\0\0";
/// In the header: the time, the length of the optional header, and in this the checksum, which stands at
/// one place in both its forms.
const TIME: usize = 8;
const LENGTH: usize = 20;
const CHECKSUM: usize = 64;
const OPTIONAL: usize = 24;

/// Where the header is.
fn header(prefix: &[u8]) -> Option<usize> {
    let at = u32::from_le_bytes(*prefix.get(POINTER..)?.first_chunk()?);
    let at = usize::try_from(at).ok()?;
    let is_one = prefix.starts_with(b"MZ") && prefix.get(at..)?.starts_with(SIGNATURE);
    is_one.then_some(at)
}

fn recognise(prefix: &[u8]) -> bool {
    header(prefix).is_some()
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    if let Some(at) = header(pieces.peek(super::PREFIX)) {
        let at = at as u64;
        pieces.pass(at + TIME as u64);
        if let Some(time) = pieces.named(4)
            && let Some(time) = time.first_chunk()
        {
            let time = u32::from_le_bytes(*time).to_string();
            place.text("pe.timestamp", time, at + TIME as u64);
        }
        pieces.pass((LENGTH - TIME - 4) as u64);
        let length = pieces.seen(2);
        let length =
            length.and_then(|bytes| bytes.first_chunk().map(|two| u16::from_le_bytes(*two)));
        let has_sum = length.is_some_and(|length| usize::from(length) >= CHECKSUM + 4);
        if has_sum {
            pieces.pass((OPTIONAL + CHECKSUM - LENGTH - 2) as u64);
        }
        if has_sum && let Some(sum) = pieces.named(4) {
            let at = at + (OPTIONAL + CHECKSUM) as u64;
            place.field(Field::new("pe.checksum"), binary(&sum), at);
        }
    }
    pieces.finish(place, FORMAT.name);
}
