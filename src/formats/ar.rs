//! ar, as static libraries and Debian packages are: the fields of every member's header, with the
//! long names of GNU (a table) and BSD (in front of the content). Thin archives hold no content and
//! are not recognised.

use std::io::Read;

use super::format::{Format, Holds, Kind, Known};
use super::place::{Names, Place};
use super::stream::Stream;
use crate::model::{Field, escape_bytes};

pub(super) const FORMAT: Format = Format {
    name: "ar",
    recognise: |prefix| prefix.starts_with(MAGIC),
    read,
    holds: Holds::Members,
    fields: &[
        Known::within("order", Kind::Order),
        Known::around("mtime", Kind::Time),
        Known::around("uid", Kind::Owner),
        Known::around("gid", Kind::Owner),
        Known::around("mode", Kind::Mode),
    ],
    // Linkers go by the order of the members.
    normal: &[Kind::Time, Kind::Owner, Kind::Mode],
};

pub(crate) const MAGIC: &[u8] = b"!<arch>\n";
/// The most that a table of long names may hold.
const TABLE: u64 = 16 << 20;

/// A member's header: blank-padded text.
pub(crate) struct Header {
    pub(crate) bytes: [u8; 60],
    pub(crate) offset: u64,
}

impl Header {
    /// A column of the header, without the blanks behind it.
    pub(crate) fn column(&self, at: usize, length: usize) -> &[u8] {
        let column = self.bytes.get(at..at + length).unwrap_or_default();
        column.trim_ascii_end()
    }

    /// A column that is a decimal number.
    pub(crate) fn decimal(&self, at: usize, length: usize) -> Option<u64> {
        std::str::from_utf8(self.column(at, length))
            .ok()?
            .parse()
            .ok()
    }
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    stream.skip(MAGIC.len() as u64);
    let mut names = Names::default();
    let mut table = None;
    while !stream.peek(1).is_empty() {
        let offset = stream.offset();
        let header = stream.array().map(|bytes| Header { bytes, offset });
        let Some(header) = header.filter(|header| header.bytes.ends_with(b"`\n")) else {
            place.problem(format!(
                "no valid header at offset {offset}; the rest is compared as a whole"
            ));
            break;
        };
        if !member(stream, place, &mut names, &mut table, &header) {
            break;
        }
    }
    place.field(Field::new("ar.order"), names.order(), None);
}

/// Reads a member; false where the reading must stop.
fn member(
    stream: &mut Stream<'_>,
    place: &mut Place<'_>,
    names: &mut Names,
    table: &mut Option<Vec<u8>>,
    header: &Header,
) -> bool {
    let offset = header.offset;
    let Some(size) = header.decimal(48, 10) else {
        place.problem(format!("no valid size in the header at offset {offset}"));
        return false;
    };
    let stored = header.column(0, 16);
    if stored == b"//" && table.is_none() && size <= TABLE {
        *table = stream.exactly(size);
        if table.is_none() {
            place.problem("truncated in the table of names");
        }
        stream.skip(size % 2);
        return table.is_some();
    }
    let Some((name, taken)) = name(stream, stored, size, table.as_deref()) else {
        place.problem(format!("no valid name in the header at offset {offset}"));
        return false;
    };
    let Some(mut member) = place.member(names, &name) else {
        return false;
    };
    for (field, at, length) in [
        ("ar.mtime", 16, 12),
        ("ar.uid", 28, 6),
        ("ar.gid", 34, 6),
        ("ar.mode", 40, 8),
    ] {
        let text = escape_bytes(header.column(at, length));
        member.text(field, text, offset + at as u64);
    }
    let at = stream.offset();
    let size = size - taken;
    let whole = member.content(&mut stream.by_ref().take(size), at);
    if whole.size < size {
        member.problem(format!("truncated: {} of {size} bytes", whole.size));
        return false;
    }
    // Headers begin at even offsets; the last padding is sometimes left out.
    stream.skip((size + taken) % 2);
    true
}

/// The member's name, and how much of its content that took.
fn name(
    stream: &mut Stream<'_>,
    stored: &[u8],
    size: u64,
    table: Option<&[u8]>,
) -> Option<(Vec<u8>, u64)> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    if let Some(digits) = stored.strip_prefix(b"#1/") {
        let length = number(digits).filter(|length| *length <= size.min(TABLE))?;
        let mut name = stream.exactly(length)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        return Some((name, length));
    }
    if let Some(at) = stored.strip_prefix(b"/").and_then(number) {
        let name = table?.get(usize::try_from(at).ok()?..)?;
        let name = name.split(|byte| *byte == b'\n').next()?;
        return Some((name.strip_suffix(b"/").unwrap_or(name).to_vec(), 0));
    }
    let name = match stored {
        // The symbol table.
        b"/" | b"/SYM64/" => stored,
        _ => stored.strip_suffix(b"/").unwrap_or(stored),
    };
    Some((name.to_vec(), 0))
}
