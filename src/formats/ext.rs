//! Images of the file systems ext2, ext3 and ext4: times, identifiers and counters of the superblock.
//! Times of the files in it, and copies of the superblock, are the rest.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::{Fixed, Form, Pieces, little};
use super::place::Place;
use super::stream::Stream;

pub(super) const FORMAT: Format = Format {
    name: "ext",
    recognise,
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("mount-time", Kind::Time),
        Known::within("write-time", Kind::Time),
        Known::within("check-time", Kind::Time),
        Known::within("creation-time", Kind::Time),
        Known::within("uuid", Kind::Content),
        Known::within("hash-seed", Kind::Content),
        Known::within("label", Kind::Content),
        Known::within("kbytes-written", Kind::Header),
        Known::within("checksum", Kind::Content),
    ],
    normal: &[],
};

/// Where the superblock is.
const START: usize = 1024;

/// Places of the fields in it (docs.kernel.org/filesystems/ext4, "Super Block").
const FIELDS: [Fixed; 9] = [
    Fixed::new("ext.mount-time", 0x2c, 4, Form::Little),
    Fixed::new("ext.write-time", 0x30, 4, Form::Little),
    Fixed::new("ext.check-time", 0x40, 4, Form::Little),
    Fixed::new("ext.uuid", 0x68, 16, Form::Binary),
    Fixed::new("ext.label", 0x78, 16, Form::Text),
    Fixed::new("ext.hash-seed", 0xec, 16, Form::Binary),
    Fixed::new("ext.creation-time", 0x108, 4, Form::Little),
    Fixed::new("ext.kbytes-written", 0x178, 8, Form::Little),
    Fixed::new("ext.checksum", 0x3fc, 4, Form::Binary),
];

/// The magic number alone has two bytes: the size of blocks, the revision and the state are looked at.
fn recognise(prefix: &[u8]) -> bool {
    let number = |at: usize, length: usize| prefix.get(START + at..START + at + length).map(little);
    number(0x38, 2) == Some(0xef53)
        && number(0x18, 4).is_some_and(|size| size <= 6)
        && number(0x4c, 4).is_some_and(|revision| revision <= 1)
        && number(0x3a, 2).is_some_and(|state| state < 8)
        && number(0, 4).is_some_and(|inodes| inodes > 0)
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    pieces.fixed(START as u64, &FIELDS, place);
    pieces.finish(place, FORMAT.name);
}
