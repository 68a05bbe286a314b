//! zip in one streaming pass: members by their local headers, then the central directory, whose
//! entries are matched to them by offset. Encrypted members and methods other than stored and
//! deflate are compared as they are stored. Archives behind a foreign prefix (self-extracting ones)
//! are not recognised.

pub(crate) mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read};

use flate2::Crc;

use super::format::{Format, Holds, Kind, Known};
use super::inflate::{Checked, Inflate, Inflated};
use super::place::{Names, Place, binary, raw};
use super::stream::{Hash, Stream, Whole};
use crate::model::{Field, Value, escape_bytes};
use record::{Central, Local, Numbers, dos_time};

pub(super) const FORMAT: Format = Format {
    name: "zip",
    recognise: |prefix| prefix.starts_with(&record::LOCAL) || prefix.starts_with(&record::END),
    read,
    holds: Holds::Members,
    fields: &[
        Known::within("order", Kind::Order),
        Known::within("directory-order", Kind::Order),
        Known::within("archive-comment", Kind::Content),
        Known::around("date", Kind::Time),
        Known::around("directory-date", Kind::Time),
        Known::around("extra.UT", Kind::Time),
        Known::around("compression", Kind::Compression),
        Known::around("extra.ux", Kind::Owner),
        Known::around("attributes", Kind::Mode),
        Known::around("version", Kind::Header),
        Known::around("create-version", Kind::Header),
    ],
    normal: &[
        Kind::Time,
        Kind::Order,
        Kind::Owner,
        Kind::Mode,
        Kind::Header,
        Kind::Compression,
    ],
};

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// The host system whose external attributes hold a Unix mode.
const UNIX: u16 = 3;

/// A member that was read, for the central directory to add to.
struct Seen {
    path: String,
    name: Vec<u8>,
    time: String,
    extra: BTreeSet<u16>,
}

/// The state of one archive.
#[derive(Default)]
struct Archive {
    names: Names,
    /// By the offset of their local headers.
    seen: BTreeMap<u64, Seen>,
    /// Offsets in the order of the central directory.
    directory: Vec<u64>,
}

/// What was learnt by reading a member's content.
struct Content {
    whole: Whole,
    /// How many stored bytes there were.
    stored: u64,
    crc: u32,
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut archive = Archive::default();
    loop {
        let offset = stream.offset();
        let Ok(signature) = <[u8; 4]>::try_from(stream.peek(4)) else {
            place.problem(format!(
                "truncated before the end record, at offset {offset}"
            ));
            break;
        };
        let more = match signature {
            record::LOCAL => archive.member(stream, place),
            record::CENTRAL => archive.central(stream, place),
            record::END64 => skip_end64(stream),
            record::END64_LOCATOR => stream.skip(20),
            record::END => {
                end(stream, place);
                break;
            }
            _ => {
                place.problem(format!(
                    "no zip record at offset {offset}; the rest is compared as a whole"
                ));
                break;
            }
        };
        if !more {
            break;
        }
    }
    archive.finish(place);
}

/// The end record: the archive's comment, and what stands behind it.
fn end(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let comment = stream.array::<22>().and_then(|fixed| {
        let length = Numbers(fixed.get(20..).unwrap_or_default()).u16();
        let offset = stream.offset();
        Some((stream.exactly(u64::from(length))?, offset))
    });
    let Some((comment, offset)) = comment else {
        place.problem("truncated in the end record");
        return;
    };
    if !comment.is_empty() {
        place.raw("zip.archive-comment", &comment, offset);
    }
    let offset = stream.offset();
    if !stream.peek(1).is_empty() {
        place.problem(format!("bytes after the end record, at offset {offset}"));
    }
}

fn skip_end64(stream: &mut Stream<'_>) -> bool {
    stream
        .array::<12>()
        .is_some_and(|fixed| stream.skip(Numbers(fixed.get(4..).unwrap_or_default()).u64()))
}

impl Archive {
    /// A local header and the content that follows it; false where the reading must stop.
    fn member(&mut self, stream: &mut Stream<'_>, place: &mut Place<'_>) -> bool {
        let offset = stream.offset();
        let Some(local) = Local::read(stream) else {
            place.problem(format!("truncated in the local header at offset {offset}"));
            return false;
        };
        let Some(mut member) = place.member(&mut self.names, &local.name) else {
            return false;
        };
        let seen = Seen {
            path: member.path().to_owned(),
            name: local.name.clone(),
            time: dos_time(local.date, local.time),
            extra: local.extra.iter().map(|(id, _, _)| *id).collect(),
        };
        local_fields(&mut member, &local, &seen.time);
        self.seen.insert(offset, seen);
        let Some(content) = content(stream, &mut member, &local) else {
            return false;
        };
        if let Some(error) = &content.whole.error {
            member.problem(error.to_string());
        }
        descriptor(stream, &mut member, &local, &content)
    }

    /// An entry of the central directory; false where the stream ends within.
    fn central(&mut self, stream: &mut Stream<'_>, place: &mut Place<'_>) -> bool {
        let Some(central) = Central::read(stream) else {
            place.problem("truncated in the central directory");
            return false;
        };
        let Some(seen) = self.seen.get(&central.local) else {
            place.problem(format!(
                "the central directory names a member at offset {}, where none is",
                central.local
            ));
            return true;
        };
        self.directory.push(central.local);
        central_fields(place, &central, seen);
        true
    }

    fn finish(self, place: &mut Place<'_>) {
        if !self.directory.is_sorted() {
            let paths = self
                .directory
                .iter()
                .filter_map(|offset| self.seen.get(offset));
            let inside = place.path().len() + 2;
            let names = paths.filter_map(|seen| Some(seen.path.get(inside..)?.to_owned()));
            let order = Value::Order(names.collect());
            place.field(Field::new("zip.directory-order"), order, None);
        }
        place.field(Field::new("zip.order"), self.names.order(), None);
    }
}

fn local_fields(member: &mut Place<'_>, local: &Local, time: &str) {
    let at = local.offset;
    member.text("zip.version", local.version.to_string(), at + 4);
    member.text("zip.flags", format!("{:#06x}", local.flags), at + 6);
    member.text("zip.method", local.method.to_string(), at + 8);
    member.text("zip.date", time, at + 10);
    for (id, content, at) in &local.extra {
        for (field, value) in extra_fields(*id, content) {
            member.field(field, value, *at);
        }
    }
}

fn central_fields(place: &mut Place<'_>, central: &Central, seen: &Seen) {
    let at = central.offset;
    let system = central.made_by >> 8;
    let mut text = |name: &'static str, text: String, offset: u64| {
        place.field_of(&seen.path, Field::new(name), Value::Text(text), offset);
    };
    text("zip.create-system", system.to_string(), at + 5);
    text(
        "zip.create-version",
        (central.made_by & 0xff).to_string(),
        at + 4,
    );
    text(
        "zip.internal-attributes",
        central.internal.to_string(),
        at + 36,
    );
    text(
        "zip.attributes",
        attributes(system, central.external),
        at + 38,
    );
    let time = dos_time(central.date, central.time);
    if time != seen.time {
        text("zip.directory-date", time, at + 12);
    }
    if central.name != seen.name {
        text("zip.directory-name", escape_bytes(&central.name), at + 46);
    }
    if !central.comment.is_empty() {
        let value = raw(&central.comment);
        let field = Field::new("zip.comment");
        place.field_of(&seen.path, field, value, central.comment_offset);
    }
    for (id, content, at) in central
        .extra
        .iter()
        .filter(|(id, _, _)| !seen.extra.contains(id))
    {
        for (field, value) in extra_fields(*id, content) {
            place.field_of(&seen.path, field, value, *at);
        }
    }
}

/// External attributes: a Unix mode in octal, with the DOS bits where there are any; else the whole
/// in hexadecimal.
fn attributes(system: u16, external: u32) -> String {
    match (external >> 16, external & 0xffff) {
        (mode, 0) if system == UNIX => format!("{mode:o}"),
        (mode, dos) if system == UNIX => format!("{mode:o} dos {dos:#04x}"),
        _ => format!("{external:#010x}"),
    }
}

/// The fields of an extra field: times of `UT`, ids of `ux`; sizes of zip64 are none.
fn extra_fields(id: u16, content: &[u8]) -> Vec<(Field, Value)> {
    let mut numbers = Numbers(content);
    match id {
        0x0001 => Vec::new(),
        0x5455 => {
            let flags = numbers.u8();
            let names = [(1, "mtime"), (2, "atime"), (4, "ctime")];
            let present = names.into_iter().filter(|(bit, _)| flags & bit != 0);
            present
                .map_while(|(_, name)| {
                    // The central directory repeats the flags, but holds only the first time.
                    let time = (numbers.left() >= 4).then(|| numbers.u32().cast_signed())?;
                    let field = Field::named(format!("zip.extra.UT.{name}"));
                    Some((field, Value::Text(time.to_string())))
                })
                .collect()
        }
        0x7875 if numbers.u8() == 1 => ["uid", "gid"]
            .into_iter()
            .map(|name| {
                let length = numbers.u8();
                let id = (0..length.min(8)).fold(0u64, |id, byte| {
                    id | u64::from(numbers.u8()) << (8 * u32::from(byte))
                });
                let field = Field::named(format!("zip.extra.ux.{name}"));
                (field, Value::Text(id.to_string()))
            })
            .collect(),
        _ => vec![(
            Field::named(format!("zip.extra.{id:#06x}")),
            binary(content),
        )],
    }
}

/// Reads the content; `None` where its end cannot be found, which is said.
fn content(stream: &mut Stream<'_>, member: &mut Place<'_>, local: &Local) -> Option<Content> {
    let readable = !local.is_encrypted() && matches!(local.method, STORED | DEFLATED);
    let sized = !local.has_descriptor() || local.compressed != 0;
    if !readable {
        member.problem(if local.is_encrypted() {
            "encrypted; compared as it is stored".to_owned()
        } else {
            format!(
                "compression method {}; compared as it is stored",
                local.method
            )
        });
    }
    let at = stream.offset();
    if sized {
        let mut limited = stream.by_ref().take(local.compressed);
        let mut content = if readable && local.method == DEFLATED {
            inflated(&mut limited, member, at)
        } else {
            stored(&mut limited, member, at)
        };
        let left = limited.limit();
        if left > 0 && content.whole.error.is_none() && local.method == STORED {
            member.problem(format!("truncated: {left} bytes are missing"));
            return None;
        }
        if !stream.skip(left) {
            member.problem(format!(
                "truncated: {} bytes are missing",
                at + local.compressed - stream.offset()
            ));
            return None;
        }
        content.stored = local.compressed;
        return Some(content);
    }
    if readable && local.method == DEFLATED {
        let content = inflated(stream, member, at);
        if let Some(error) = content.whole.error {
            member.problem(error.to_string());
            return None;
        }
        return Some(content);
    }
    // Directories and empty files on their way to a pipe: the descriptor stands right here.
    if local.method == STORED && stream.peek(16) == [&record::DESCRIPTOR[..], &[0; 12]].concat() {
        return Some(stored(&mut io::empty(), member, at));
    }
    member.problem("its size stands only behind it; the rest is compared as a whole");
    None
}

fn inflated(source: &mut dyn BufRead, member: &mut Place<'_>, at: u64) -> Content {
    let mut checked = Checked {
        inner: Inflated {
            source,
            inflate: Inflate::new(),
            hash: Hash::default(),
        },
        crc: Crc::new(),
    };
    let whole = member.content(&mut checked, at);
    let Inflated { inflate, hash, .. } = checked.inner;
    member.field(Field::new("zip.compression"), hash.value(), at);
    Content {
        whole,
        stored: inflate.compressed(),
        crc: checked.crc.sum(),
    }
}

fn stored(source: &mut dyn Read, member: &mut Place<'_>, at: u64) -> Content {
    let mut checked = Checked {
        inner: source,
        crc: Crc::new(),
    };
    let whole = member.content(&mut checked, at);
    Content {
        stored: whole.size,
        whole,
        crc: checked.crc.sum(),
    }
}

/// Checks the content against the checksum, which can stand behind it; false where no descriptor
/// is found.
fn descriptor(
    stream: &mut Stream<'_>,
    member: &mut Place<'_>,
    local: &Local,
    content: &Content,
) -> bool {
    let opaque = local.is_encrypted() || !matches!(local.method, STORED | DEFLATED);
    let mut crc = local.crc;
    if local.has_descriptor() {
        let Some((length, found)) = find_descriptor(stream.peek(24), local, content, opaque) else {
            member.problem("no data descriptor behind it; the rest is compared as a whole");
            return false;
        };
        stream.skip(length);
        crc = found;
    }
    if !opaque && content.whole.error.is_none() && crc != content.crc {
        member.problem("wrong checksum");
    }
    true
}

/// The length and checksum of the descriptor that says the sizes which were read: its signature is
/// optional, and its sizes have 32 or 64 bits.
fn find_descriptor(
    bytes: &[u8],
    local: &Local,
    content: &Content,
    opaque: bool,
) -> Option<(u64, u32)> {
    let sizes = |wide: bool, numbers: &mut Numbers<'_>| {
        if wide {
            (numbers.u64(), numbers.u64())
        } else {
            (u64::from(numbers.u32()), u64::from(numbers.u32()))
        }
    };
    let signed = bytes.strip_prefix(&record::DESCRIPTOR);
    for (body, skipped) in [(signed, 4), (Some(bytes), 0)] {
        for wide in [local.is_zip64(), !local.is_zip64()] {
            let length = if wide { 20 } else { 12 };
            let Some(body) = body.filter(|body| body.len() >= length) else {
                continue;
            };
            let mut numbers = Numbers(body);
            let crc = numbers.u32();
            let (stored, size) = sizes(wide, &mut numbers);
            if stored == content.stored && (opaque || size == content.whole.size) {
                return Some((skipped + length as u64, crc));
            }
        }
    }
    None
}
