//! cpio in the "new" ASCII form, as in an initramfs or an RPM: the fields of every member's header.
//! The older forms are not recognised.

use std::io::Read;

use super::format::{Format, Holds, Kind, Known};
use super::place::{Names, Place, until_nul};
use super::stream::Stream;
use crate::model::Field;

pub(super) const FORMAT: Format = Format {
    name: "cpio",
    recognise: |prefix| MAGIC.iter().any(|magic| prefix.starts_with(magic)),
    read,
    holds: Holds::Members,
    fields: &[
        Known::within("order", Kind::Order),
        Known::around("mtime", Kind::Time),
        Known::around("ino", Kind::Header),
        Known::around("dev", Kind::Header),
    ],
    normal: &[Kind::Time, Kind::Order, Kind::Header],
};

/// Without and with a checksum.
pub(crate) const MAGIC: [&[u8]; 2] = [b"070701", b"070702"];
/// The longest name that is read.
pub(crate) const NAME: u64 = 64 << 10;
/// The name of the last member.
pub(crate) const TRAILER: &[u8] = b"TRAILER!!!";

/// What to do after a member.
enum Next {
    Member,
    Trailer,
    Stop,
}

/// A member's header: thirteen numbers of eight hexadecimal digits.
pub(crate) struct Header {
    pub(crate) bytes: [u8; 110],
    pub(crate) offset: u64,
}

impl Header {
    /// One of the numbers, counted from 0.
    pub(crate) fn number(&self, index: usize) -> Option<u64> {
        let digits = self.bytes.get(6 + 8 * index..14 + 8 * index)?;
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut names = Names::default();
    loop {
        let offset = stream.offset();
        let header = stream.array().map(|bytes| Header { bytes, offset });
        let Some(header) = header.filter(|header| (FORMAT.recognise)(&header.bytes)) else {
            place.problem(format!(
                "no valid header at offset {offset}; the rest is compared as a whole"
            ));
            break;
        };
        match member(stream, place, &mut names, &header) {
            Next::Member => {}
            Next::Trailer => {
                behind(stream, place);
                break;
            }
            Next::Stop => break,
        }
    }
    place.field(Field::new("cpio.order"), names.order(), None);
}

/// What follows the last member after its padding: in an initramfs often another archive, for
/// example a compressed one behind the microcode.
fn behind(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    while stream.peek(1) == [0] {
        let zeros = stream
            .peek(512)
            .iter()
            .take_while(|byte| **byte == 0)
            .count();
        stream.skip(zeros as u64);
    }
    let at = stream.offset();
    if !stream.peek(1).is_empty() {
        let whole = place.payload(&FORMAT).content(stream, at);
        if let Some(error) = whole.error {
            place.problem(error.to_string());
        }
    }
}

/// Reads a member.
fn member(
    stream: &mut Stream<'_>,
    place: &mut Place<'_>,
    names: &mut Names,
    header: &Header,
) -> Next {
    let offset = header.offset;
    let lengths = header.number(6).zip(header.number(11));
    let Some((size, name_length)) = lengths.filter(|(_, length)| *length <= NAME) else {
        place.problem(format!("no valid lengths in the header at offset {offset}"));
        return Next::Stop;
    };
    let name = stream.exactly(name_length);
    let Some(name) = name.filter(|_| stream.skip(padding(110 + name_length))) else {
        place.problem(format!("truncated in the header at offset {offset}"));
        return Next::Stop;
    };
    let name = until_nul(&name);
    if name == TRAILER {
        return Next::Trailer;
    }
    let Some(mut member) = place.member(names, name) else {
        return Next::Stop;
    };
    fields(&mut member, header);
    let at = stream.offset();
    let whole = member.content(&mut stream.by_ref().take(size), at);
    if whole.size < size {
        member.problem(format!("truncated: {} of {size} bytes", whole.size));
        return Next::Stop;
    }
    if stream.skip(padding(size)) {
        Next::Member
    } else {
        Next::Stop
    }
}

fn fields(member: &mut Place<'_>, header: &Header) {
    for (index, field) in [
        "cpio.ino",
        "cpio.mode",
        "cpio.uid",
        "cpio.gid",
        "cpio.nlink",
        "cpio.mtime",
    ]
    .into_iter()
    .enumerate()
    {
        let at = header.offset + 6 + 8 * index as u64;
        let text = match header.number(index) {
            Some(mode) if field == "cpio.mode" => format!("{mode:o}"),
            Some(number) => number.to_string(),
            None => "not a number".to_owned(),
        };
        member.text(field, text, at);
    }
    for (field, first) in [("cpio.dev", 7), ("cpio.rdev", 9)] {
        let at = header.offset + 6 + 8 * first as u64;
        let [major, minor] = [first, first + 1].map(|index| header.number(index).unwrap_or(0));
        if (major, minor) != (0, 0) {
            member.text(field, format!("{major}:{minor}"), at);
        }
    }
}

/// Names and contents are padded to four bytes.
pub(crate) fn padding(length: u64) -> u64 {
    length.wrapping_neg() % 4
}
