//! Images of the file system ISO 9660: times and texts of the volume descriptors. Times of the files in
//! it are the rest.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::{Fixed, Form, Pieces};
use super::place::Place;
use super::stream::Stream;

pub(super) const FORMAT: Format = Format {
    name: "iso",
    recognise: |prefix| prefix.get(START..).is_some_and(|at| kind(at).is_some()),
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("creation", Kind::Time),
        Known::within("modification", Kind::Time),
        Known::within("expiration", Kind::Time),
        Known::within("effective", Kind::Time),
        Known::within("joliet.creation", Kind::Time),
        Known::within("joliet.modification", Kind::Time),
        Known::within("joliet.expiration", Kind::Time),
        Known::within("joliet.effective", Kind::Time),
        Known::within("system", Kind::Content),
        Known::within("volume", Kind::Content),
        Known::within("volume-set", Kind::Content),
        Known::within("publisher", Kind::Content),
        Known::within("preparer", Kind::Content),
        Known::within("application", Kind::Content),
    ],
    normal: &[],
};

/// Where the descriptors begin, and how long each is (ECMA-119, 6.2 and 8).
const START: usize = 16 * SECTOR;
const SECTOR: usize = 2048;
/// So many are read.
const DESCRIPTORS: u64 = 64;
/// Kinds of descriptors.
const PRIMARY: u8 = 1;
const SUPPLEMENTARY: u8 = 2;
const END: u8 = 255;

/// Places of the fields in the primary descriptor (ECMA-119, 8.4).
const TEXTS_AND_TIMES: [Fixed; 10] = [
    Fixed::new("iso.system", 8, 32, Form::Text),
    Fixed::new("iso.volume", 40, 32, Form::Text),
    Fixed::new("iso.volume-set", 190, 128, Form::Text),
    Fixed::new("iso.publisher", 318, 128, Form::Text),
    Fixed::new("iso.preparer", 446, 128, Form::Text),
    Fixed::new("iso.application", 574, 128, Form::Text),
    Fixed::new("iso.creation", 813, 17, Form::Text),
    Fixed::new("iso.modification", 830, 17, Form::Text),
    Fixed::new("iso.expiration", 847, 17, Form::Text),
    Fixed::new("iso.effective", 864, 17, Form::Text),
];

/// Those in the supplementary one, whose texts have two bytes a letter and are the rest.
const TIMES: [Fixed; 4] = [
    Fixed::new("iso.joliet.creation", 813, 17, Form::Text),
    Fixed::new("iso.joliet.modification", 830, 17, Form::Text),
    Fixed::new("iso.joliet.expiration", 847, 17, Form::Text),
    Fixed::new("iso.joliet.effective", 864, 17, Form::Text),
];

/// The kind of the descriptor that begins here.
fn kind(bytes: &[u8]) -> Option<u8> {
    let (kind, rest) = bytes.split_first()?;
    rest.starts_with(b"CD001").then_some(*kind)
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    let mut seen = [false; 2];
    for number in 0..DESCRIPTORS {
        let start = START as u64 + number * SECTOR as u64;
        pieces.pass(start - pieces.offset());
        let fields: &[Fixed] = match (kind(pieces.peek(SECTOR)), &mut seen) {
            (Some(PRIMARY), [first, _]) if !*first => {
                *first = true;
                &TEXTS_AND_TIMES
            }
            (Some(SUPPLEMENTARY), [_, first]) if !*first => {
                *first = true;
                &TIMES
            }
            (None | Some(END), _) => break,
            _ => &[],
        };
        pieces.fixed(start, fields, place);
    }
    pieces.finish(place, FORMAT.name);
}
