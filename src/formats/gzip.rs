//! gzip (RFC 1952): the header's fields, and the payload of all its members as one stream, as
//! `gunzip` sees it.

use std::io::{self, BufRead, Read};

use flate2::Crc;

use super::format::{Format, Holds, Kind, Known};
use super::inflate::{Inflate, invalid};
use super::place::{Place, binary, raw};
use super::stream::{Hash, Stream};
use crate::model::{Field, Value};

pub(super) const FORMAT: Format = Format {
    name: "gzip",
    recognise: |prefix| prefix.starts_with(&MAGIC),
    read,
    holds: Holds::Payload(&[
        (".gz", ""),
        (".tgz", ".tar"),
        (".svgz", ".svg"),
        (".crate", ".tar"),
        (".apk", ".tar"),
    ]),
    fields: &[
        Known::within("mtime", Kind::Time),
        Known::within("compression", Kind::Compression),
        Known::within("comment", Kind::Header),
        // May be an index of what is compressed.
        Known::within("extra", Kind::Content),
        Known::within("extra-flags", Kind::Header),
        Known::within("name", Kind::Header),
        Known::within("os", Kind::Header),
    ],
    normal: &[Kind::Time, Kind::Header, Kind::Compression],
};

/// The two bytes of the format, and deflate as the method.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Members whose headers are recorded: a block-wise gzip has one per 64 KiB.
const HEADERS: usize = 64;
/// Longer names and comments are not read.
const STRING: u64 = 64 << 10;

/// The header of one member.
#[derive(Default)]
struct Header {
    offset: u64,
    mtime: u32,
    extra_flags: u8,
    os: u8,
    extra: Option<(Vec<u8>, u64)>,
    name: Option<(Vec<u8>, u64)>,
    comment: Option<(Vec<u8>, u64)>,
}

/// The payload of all members, inflated.
struct Members<'s, 'a> {
    stream: &'s mut Stream<'a>,
    body: Option<(Inflate, Crc)>,
    headers: Vec<Header>,
    count: usize,
    compressed: Hash,
    problems: Vec<String>,
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut members = Members {
        stream,
        body: None,
        headers: Vec::new(),
        count: 0,
        compressed: Hash::default(),
        problems: Vec::new(),
    };
    let whole = place.payload(&FORMAT).content(&mut members, 0);
    let Members {
        headers,
        count,
        compressed,
        problems,
        ..
    } = members;
    for (index, header) in headers.iter().enumerate() {
        record(place, header, index + 1);
    }
    if count > headers.len() {
        place.problem(format!(
            "{count} members; only the headers of the first {HEADERS} are compared by field"
        ));
    }
    if let Some(first) = headers.first() {
        let field = Field::new("gzip.compression");
        place.field(field, compressed.value(), first.offset);
    }
    for problem in problems {
        place.problem(problem);
    }
    if let Some(error) = whole.error {
        place.problem(error.to_string());
    }
}

/// Records the fields of member `number`, counted from 1.
fn record(place: &mut Place<'_>, header: &Header, number: usize) {
    let mut field = |name: &'static str, value: Value, offset: u64| {
        let field = if number == 1 {
            Field::new(name)
        } else {
            Field::named(format!("{name}#{number}"))
        };
        place.field(field, value, offset);
    };
    let at = header.offset;
    field("gzip.mtime", Value::Text(header.mtime.to_string()), at + 4);
    let extra_flags = Value::Text(header.extra_flags.to_string());
    field("gzip.extra-flags", extra_flags, at + 8);
    field("gzip.os", Value::Text(header.os.to_string()), at + 9);
    if let Some((extra, at)) = &header.extra {
        field("gzip.extra", binary(extra), *at);
    }
    if let Some((name, at)) = &header.name {
        field("gzip.name", raw(name), *at);
    }
    if let Some((comment, at)) = &header.comment {
        field("gzip.comment", raw(comment), *at);
    }
}

impl Members<'_, '_> {
    /// Begins the next member; false at the end of the last one.
    fn begin(&mut self) -> io::Result<bool> {
        let peeked = self.stream.peek(MAGIC.len());
        if !peeked.starts_with(&MAGIC) {
            if self.count > 0 && peeked.iter().any(|byte| *byte != 0) {
                let at = self.stream.offset();
                self.problems
                    .push(format!("bytes after the last member, at offset {at}"));
            }
            return Ok(false);
        }
        let header = header(self.stream).ok_or_else(|| invalid("truncated gzip header"))?;
        self.count += 1;
        if self.headers.len() < HEADERS {
            self.headers.push(header);
        }
        self.body = Some((Inflate::new(), Crc::new()));
        Ok(true)
    }

    /// Compares the trailer of a member with what was inflated.
    fn end(&mut self, crc: &Crc) -> io::Result<()> {
        let trailer = self
            .stream
            .array::<8>()
            .ok_or_else(|| invalid("truncated gzip trailer"))?;
        let (expected, amount) = (crc.sum().to_le_bytes(), crc.amount().to_le_bytes());
        if !trailer.starts_with(&expected) || !trailer.ends_with(&amount) {
            let problem = format!(
                "wrong checksum or length in the trailer of member {}",
                self.count
            );
            if self.problems.len() < HEADERS {
                self.problems.push(problem);
            }
        }
        Ok(())
    }
}

impl Read for Members<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some((inflate, crc)) = &mut self.body else {
                if self.begin()? {
                    continue;
                }
                return Ok(0);
            };
            let count = inflate.step(self.stream, &mut self.compressed, out)?;
            crc.update(out.get(..count).unwrap_or_default());
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            if let Some((_, crc)) = self.body.take() {
                self.end(&crc)?;
            }
        }
    }
}

/// Reads the header of a member, whose magic bytes are known to be there.
fn header(stream: &mut Stream<'_>) -> Option<Header> {
    let offset = stream.offset();
    let [_, _, _, flags, m0, m1, m2, m3, extra_flags, os] = stream.array::<10>()?;
    let mut header = Header {
        offset,
        mtime: u32::from_le_bytes([m0, m1, m2, m3]),
        extra_flags,
        os,
        ..Header::default()
    };
    if flags & 4 != 0 {
        let length = u16::from_le_bytes(stream.array()?);
        let at = stream.offset();
        header.extra = Some((stream.exactly(u64::from(length))?, at));
    }
    if flags & 8 != 0 {
        header.name = Some(string(stream)?);
    }
    if flags & 16 != 0 {
        header.comment = Some(string(stream)?);
    }
    if flags & 2 != 0 {
        stream.array::<2>()?;
    }
    Some(header)
}

/// Bytes up to a NUL, and their offset.
fn string(stream: &mut Stream<'_>) -> Option<(Vec<u8>, u64)> {
    let at = stream.offset();
    let mut bytes = Vec::new();
    stream.take(STRING).read_until(0, &mut bytes).ok()?;
    (bytes.pop() == Some(0)).then_some((bytes, at))
}
