//! Classes of Java: the version of the format, which follows the compiler and what it was told to
//! compile for.

use super::format::{Format, Holds, Kind, Known};
use super::pieces::Pieces;
use super::place::Place;
use super::stream::Stream;

pub(super) const FORMAT: Format = Format {
    name: "class",
    recognise: |prefix| version(prefix).is_some(),
    read,
    holds: Holds::Nothing,
    fields: &[Known::within("version", Kind::Content)],
    normal: &[],
};

const MAGIC: [u8; 4] = [0xca, 0xfe, 0xba, 0xbe];
/// The first version that there was. Programs of macOS for several processors begin in the same way, with
/// the number of processors where this stands.
const FIRST: u16 = 45;

/// The version, minor and major (The Java Virtual Machine Specification, 4.1).
fn version(prefix: &[u8]) -> Option<[u16; 2]> {
    let &[m0, m1, v0, v1] = prefix.strip_prefix(&MAGIC)?.first_chunk()?;
    let (minor, major) = (u16::from_be_bytes([m0, m1]), u16::from_be_bytes([v0, v1]));
    (major >= FIRST).then_some([minor, major])
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    if let Some([minor, major]) = version(pieces.peek(8)) {
        let at = MAGIC.len() as u64;
        pieces.pass(at);
        if pieces.named(4).is_some() {
            place.text("class.version", format!("{major}.{minor}"), at);
        }
    }
    pieces.finish(place, FORMAT.name);
}
