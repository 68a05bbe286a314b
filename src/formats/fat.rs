//! Images of the file system FAT: the identifier, which mkfs makes of the time, and the label.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::{Fixed, Form, Pieces};
use super::place::Place;
use super::stream::Stream;

pub(super) const FORMAT: Format = Format {
    name: "fat",
    recognise: |prefix| fields(prefix).is_some(),
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("volume-id", Kind::Content),
        Known::within("label", Kind::Content),
    ],
    normal: &[],
};

/// Places of the fields in the boot sector, with 12 or 16 bits and with 32 (the FAT specification, 3.2 and
/// 3.3).
const NARROW: [Fixed; 2] = fixed(39);
const WIDE: [Fixed; 2] = fixed(67);

const fn fixed(at: u64) -> [Fixed; 2] {
    [
        Fixed {
            name: "fat.volume-id",
            at,
            length: 4,
            form: Form::Binary,
        },
        Fixed {
            name: "fat.label",
            at: at + 4,
            length: 11,
            form: Form::Text,
        },
    ]
}

/// Which of the two it is, by the jump at its beginning, the name of the file system and the mark at the
/// end of the sector.
fn fields(prefix: &[u8]) -> Option<&'static [Fixed]> {
    let jumps = matches!(prefix, [0xeb, _, 0x90, ..] | [0xe9, ..]);
    let is_sector = prefix.get(510..512) == Some(&[0x55, 0xaa]);
    let named = |at: usize, name: &[u8]| prefix.get(at..).is_some_and(|at| at.starts_with(name));
    if !jumps || !is_sector {
        None
    } else if named(82, b"FAT32   ") {
        Some(&WIDE)
    } else if named(54, b"FAT12   ") || named(54, b"FAT16   ") {
        Some(&NARROW)
    } else {
        None
    }
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    if let Some(fields) = fields(pieces.peek(super::PREFIX)) {
        pieces.fixed(0, fields, place);
    }
    pieces.finish(place, FORMAT.name);
}
