//! tar in the dialects v7, ustar, GNU and PAX: every field of every member, with its offset in the
//! tar stream. Sparse members are compared as they are stored, map and data; they are not expanded.

pub(crate) mod header;
pub(crate) mod pax;

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use super::format::{Format, Holds, Kind, Known};
use super::place::{Names, Place, raw, shortened};
use super::stream::{Hash, Stream};
use crate::model::{Field, escape_bytes};
use header::{BLOCK, Dialect, Header, Span};
use pax::{Applying, Records};

pub(super) const FORMAT: Format = Format {
    name: "tar",
    recognise: |prefix| {
        prefix
            .first_chunk()
            .is_some_and(|block| Header::parse(block).is_some())
    },
    read,
    holds: Holds::Members,
    fields: &[
        Known::within("order", Kind::Order),
        Known::within("format", Kind::Header),
        Known::within("trailer", Kind::Header),
        Known::within("global-name", Kind::Content),
        Known::within("global.mtime", Kind::Time),
        Known::within("global.atime", Kind::Time),
        Known::within("global.ctime", Kind::Time),
        Known::within("global", Kind::Content),
        Known::around("mtime", Kind::Time),
        Known::around("atime", Kind::Time),
        Known::around("ctime", Kind::Time),
        Known::around("pax-mtime", Kind::Time),
        Known::around("pax-name", Kind::Header),
        Known::around("pax.LIBARCHIVE.creationtime", Kind::Time),
        Known::around("pax.atime", Kind::Time),
        Known::around("pax.ctime", Kind::Time),
        Known::around("pax.hdrcharset", Kind::Header),
        Known::around("pax.SCHILY.dev", Kind::Header),
        Known::around("pax.SCHILY.ino", Kind::Header),
        Known::around("pax.SCHILY.nlink", Kind::Header),
        Known::around("padding", Kind::Header),
        Known::around("uid", Kind::Owner),
        Known::around("gid", Kind::Owner),
        Known::around("uname", Kind::Owner),
        Known::around("gname", Kind::Owner),
        Known::around("mode", Kind::Mode),
    ],
    normal: &[
        Kind::Time,
        Kind::Order,
        Kind::Owner,
        Kind::Mode,
        Kind::Header,
    ],
};

/// The most that an extended header or a long name may hold.
const EXTENSION: u64 = 1 << 20;

/// Longer keys of records are shortened.
const KEY: usize = 256;

/// What applies to the next member, from the headers before it.
#[derive(Default)]
struct Pending {
    name: Option<(Vec<u8>, u64)>,
    link: Option<(Vec<u8>, u64)>,
    records: Records,
    /// Name, mtime and offset of the extended header itself.
    extended: Option<(Vec<u8>, String, u64)>,
}

/// The state of one archive.
#[derive(Default)]
struct Archive {
    names: Names,
    dialects: BTreeSet<Dialect>,
    extended: bool,
    global: Records,
    pending: Pending,
}

/// What to do after a header.
enum Next {
    Header,
    Stop,
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut archive = Archive::default();
    loop {
        let offset = stream.offset();
        if stream.peek(1).is_empty() {
            place.text("tar.trailer", "no end mark", offset);
            break;
        }
        let Some(block) = stream.array() else {
            place.problem(format!("truncated in the header at offset {offset}"));
            break;
        };
        if block == [0; 512] {
            end(stream, place, offset);
            break;
        }
        let Some(header) = Header::parse(&block) else {
            place.problem(format!(
                "no valid header at offset {offset}; the rest is compared as a whole"
            ));
            break;
        };
        if let Next::Stop = archive.take(stream, place, &header, offset) {
            break;
        }
    }
    let dialects = archive.dialects.iter().map(|dialect| match dialect {
        Dialect::V7 => "v7",
        Dialect::Ustar if archive.extended => "pax",
        Dialect::Ustar => "ustar",
        Dialect::Gnu => "gnu",
    });
    place.text("tar.format", dialects.collect::<Vec<_>>().join(" "), 0);
    place.field(Field::new("tar.order"), archive.names.order(), None);
}

/// Everything from the first block of zeros on.
fn end(stream: &mut Stream<'_>, place: &mut Place<'_>, offset: u64) {
    let mut hash = Hash::default();
    hash.update(&[0; 512]);
    let mut zeros = true;
    while let Ok(bytes) = stream.fill_buf() {
        if bytes.is_empty() {
            break;
        }
        zeros &= bytes.iter().all(|byte| *byte == 0);
        hash.update(bytes);
        let length = bytes.len();
        stream.consume(length);
    }
    if zeros {
        let length = stream.offset() - offset;
        place.text("tar.trailer", format!("{length} zero bytes"), offset);
    } else {
        place.field(Field::new("tar.trailer"), hash.value(), offset);
        place.problem(format!(
            "bytes after the end mark at offset {offset}; compared as a whole"
        ));
    }
}

impl Archive {
    /// Reads what follows a header: an extension of the next member, or a member.
    fn take(
        &mut self,
        stream: &mut Stream<'_>,
        place: &mut Place<'_>,
        header: &Header,
        offset: u64,
    ) -> Next {
        self.dialects.insert(header.dialect());
        let kind = header.kind();
        if !matches!(kind, b'x' | b'g' | b'L' | b'K' | b'X') {
            return self.member(stream, place, header, offset);
        }
        let at = stream.offset();
        let Some(content) = extension(stream, header) else {
            place.problem(format!(
                "truncated or too large extended header at offset {offset}"
            ));
            return Next::Stop;
        };
        match kind {
            b'L' => self.pending.name = Some((without_nul(content), at)),
            b'K' => self.pending.link = Some((without_nul(content), at)),
            b'g' => return self.global(place, header, offset, &content),
            _ => {
                self.extended = true;
                if !self.pending.records.read(&content, at) {
                    place.problem(format!(
                        "broken record in the extended header at offset {offset}"
                    ));
                }
                let mtime = header.decimal(header::MTIME);
                self.pending.extended = Some((header.name(), mtime, offset));
            }
        }
        Next::Header
    }

    /// A header that applies to all members after it.
    fn global(
        &mut self,
        place: &mut Place<'_>,
        header: &Header,
        offset: u64,
        content: &[u8],
    ) -> Next {
        self.extended = true;
        let mut records = Records::default();
        if !records.read(content, offset + BLOCK) {
            place.problem(format!(
                "broken record in the global header at offset {offset}"
            ));
        }
        place.raw("tar.global-name", &header.name(), offset);
        for (key, record) in records.others() {
            place.field(named("tar.global", key), raw(&record.value), record.offset);
        }
        self.global.extend(records);
        if self.global.size() as u64 <= EXTENSION {
            return Next::Header;
        }
        place.problem(format!(
            "too many global records at offset {offset}; the rest is compared as a whole"
        ));
        Next::Stop
    }

    fn member(
        &mut self,
        stream: &mut Stream<'_>,
        place: &mut Place<'_>,
        header: &Header,
        offset: u64,
    ) -> Next {
        let pending = std::mem::take(&mut self.pending);
        let records = Applying {
            own: &pending.records,
            global: &self.global,
        };
        let name = match (
            records.get("GNU.sparse.name"),
            records.get("path"),
            &pending.name,
        ) {
            (Some(record), _, _) | (None, Some(record), _) => record.value.clone(),
            (None, None, Some((name, _))) => name.clone(),
            (None, None, None) => header.name(),
        };
        let Some(mut member) = place.member(&mut self.names, &name) else {
            return Next::Stop;
        };
        owners_and_times(&mut member, header, records, offset);
        kind(&mut member, header, records, &pending, offset);
        extended(&mut member, &pending, header);
        if header.kind() == b'S' && !sparse_map(stream, &mut member, header, offset) {
            return Next::Stop;
        }
        let size = match records.get("size") {
            Some(record) if !header.is_header_only() => record.number(),
            _ => header.size(),
        };
        let Some(size) = size else {
            member.problem(format!("no valid size in the header at offset {offset}"));
            return Next::Stop;
        };
        content(stream, &mut member, header, size)
    }
}

/// The content of an extended header, and the padding after it.
fn extension(stream: &mut Stream<'_>, header: &Header) -> Option<Vec<u8>> {
    let size = header.size().filter(|size| *size <= EXTENSION)?;
    let content = stream.exactly(size)?;
    stream.skip(padding(size)).then_some(content)
}

/// Fields that the header always has, or a PAX record in their stead.
fn owners_and_times(member: &mut Place<'_>, header: &Header, records: Applying<'_>, offset: u64) {
    let at = |span: Span| offset + span.at as u64;
    member.text("tar.mode", header.mode(), at(header::MODE));
    let mut number = |name: &'static str, key: &str, span: Span| match records.get(key) {
        Some(record) => member.raw(name, &record.value, record.offset),
        None => member.text(name, header.decimal(span), at(span)),
    };
    number("tar.uid", "uid", header::UID);
    number("tar.gid", "gid", header::GID);
    number("tar.mtime", "mtime", header::MTIME);
    if header.dialect() == Dialect::V7 {
        return;
    }
    let mut owner = |name: &'static str, key: &str, span: Span| match records.get(key) {
        Some(record) => member.raw(name, &record.value, record.offset),
        None => member.raw(name, header.string(span), at(span)),
    };
    owner("tar.uname", "uname", header::USER);
    owner("tar.gname", "gname", header::GROUP);
}

/// The type, and what only some types have.
fn kind(
    member: &mut Place<'_>,
    header: &Header,
    records: Applying<'_>,
    pending: &Pending,
    offset: u64,
) {
    let at = |span: Span| offset + span.at as u64;
    member.text("tar.type", header.kind_in_words(), at(header::TYPE));
    if matches!(header.kind(), b'1' | b'2') {
        match (records.get("linkpath"), &pending.link) {
            (Some(record), _) => member.raw("tar.link-target", &record.value, record.offset),
            (None, Some((link, at))) => member.raw("tar.link-target", link, *at),
            (None, None) => {
                member.raw(
                    "tar.link-target",
                    header.string(header::LINK),
                    at(header::LINK),
                );
            }
        }
    }
    if matches!(header.kind(), b'3' | b'4') {
        member.text(
            "tar.devmajor",
            header.decimal(header::MAJOR),
            at(header::MAJOR),
        );
        member.text(
            "tar.devminor",
            header.decimal(header::MINOR),
            at(header::MINOR),
        );
    }
    if header.dialect() == Dialect::Gnu {
        for (name, span) in [("tar.atime", header::ATIME), ("tar.ctime", header::CTIME)] {
            if header.number(span) != Some(0) {
                member.text(name, header.decimal(span), at(span));
            }
        }
    }
}

/// The member's own PAX header: its name, its time where that says something new, and the records
/// that stand for no field of the header.
fn extended(member: &mut Place<'_>, pending: &Pending, header: &Header) {
    let Some((name, mtime, offset)) = &pending.extended else {
        return;
    };
    member.raw("tar.pax-name", name, *offset);
    if *mtime != header.decimal(header::MTIME) {
        member.text("tar.pax-mtime", mtime, offset + header::MTIME.at as u64);
    }
    for (key, record) in pending.records.others() {
        member.field(named("tar.pax", key), raw(&record.value), record.offset);
    }
}

/// The field of a record, by its key.
fn named(kind: &str, key: &[u8]) -> Field {
    Field::named(format!("{kind}.{}", shortened(escape_bytes(key), KEY)))
}

/// The map of a GNU sparse member, which can go on in further blocks; false where it breaks off.
fn sparse_map(
    stream: &mut Stream<'_>,
    member: &mut Place<'_>,
    header: &Header,
    offset: u64,
) -> bool {
    let mut hash = Hash::default();
    hash.update(header.bytes(header::SPARSE));
    let mut continues = header.sparse_continues();
    while continues {
        let Some(block) = stream.array::<512>() else {
            member.problem(format!("truncated sparse map after offset {offset}"));
            return false;
        };
        hash.update(&block);
        continues = block.get(504).is_some_and(|flag| *flag != 0);
    }
    let at = offset + header::SPARSE.at as u64;
    member.field(Field::new("tar.sparse-map"), hash.value(), at);
    true
}

/// The content of a member and its padding.
fn content(stream: &mut Stream<'_>, member: &mut Place<'_>, header: &Header, size: u64) -> Next {
    let at = stream.offset();
    if !header.is_header_only() {
        let whole = member.content(&mut stream.by_ref().take(size), at);
        if whole.size < size && stream.peek(1).is_empty() {
            member.problem(format!("truncated: {} of {size} bytes", whole.size));
            return Next::Stop;
        }
        if whole.size < size {
            // A limit was reached, which is a problem said already.
            return Next::Stop;
        }
    }
    let at = stream.offset();
    match stream.exactly(padding(size)) {
        None => {
            member.problem("truncated in the padding");
            Next::Stop
        }
        Some(bytes) => {
            if bytes.iter().any(|byte| *byte != 0) {
                member.field(Field::new("tar.padding"), Hash::of(&bytes), at);
            }
            Next::Header
        }
    }
}

/// Bytes between a content of `size` bytes and the next block.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}
