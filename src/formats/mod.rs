//! Bytes to members and named fields: archives and compressed files are read in one pass, through
//! any depth, with memory that does not grow with their content. Own readers of the headers, so
//! that a field has a name and an offset. A new format is one file and one line in [`FORMATS`].
//!
//! Nothing here fails on foreign bytes: what could be read is returned, with problems that say
//! what could not.

pub(crate) mod ar;
mod bzip2;
mod class;
pub(crate) mod cpio;
pub mod digits;
pub mod elf;
mod ext;
mod fat;
mod format;
mod git;
mod gzip;
pub mod hashed;
mod inflate;
mod iso;
mod mo;
mod pdf;
mod pe;
mod pieces;
mod place;
mod png;
mod pyc;
mod read_at;
pub mod sketch;
mod sqlite;
mod squashfs;
pub(crate) mod stream;
pub(crate) mod tar;
mod xz;
pub(crate) mod zip;
mod zstd;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::ops::Range;

use crate::model::{Elements, Field, Value};
pub use format::Kind;
use format::{Format, Holds, Known};
pub use place::Budget;
use place::{Findings, Place, Wanted};
pub use read_at::{ReadAt, part};
pub use stream::hexadecimal;

/// All formats; the first that recognises a prefix reads it.
const FORMATS: &[Format] = &[
    gzip::FORMAT,
    git::FORMAT,
    xz::FORMAT,
    zstd::FORMAT,
    bzip2::FORMAT,
    zip::FORMAT,
    ar::FORMAT,
    cpio::FORMAT,
    png::FORMAT,
    pdf::FORMAT,
    pyc::FORMAT,
    mo::FORMAT,
    pe::FORMAT,
    sqlite::FORMAT,
    class::FORMAT,
    squashfs::FORMAT,
    // Known by a checksum alone.
    tar::FORMAT,
    // Known by what stands behind room for anything.
    fat::FORMAT,
    ext::FORMAT,
    iso::FORMAT,
];

/// How many bytes a format is recognised by: the mark of ISO 9660 stands behind 32 KiB.
const PREFIX: usize = (32 << 10) + 8;

/// The field of a format that stands for all bytes which its fields do not tell: `png.rest`.
const REST: &str = "rest";

/// Buffer for whole outputs.
const BUFFER: usize = 256 << 10;

/// What one output holds.
#[derive(Debug)]
pub struct Examined {
    /// SHA-256 and length of the whole; of what came before the error, if there was one.
    pub digest: Value,
    /// The error of the source, as opposed to bytes that break their format.
    pub error: Option<io::Error>,
    /// Every element inside; the output's own are the caller's to record.
    pub elements: Elements,
    /// What contents have in common with others, by path, where the name may hold a digest.
    pub sketches: Vec<(String, Vec<u32>)>,
    /// What could not be read in full, by the path it concerns.
    pub problems: Vec<(String, String)>,
}

impl Default for Examined {
    fn default() -> Self {
        Self {
            digest: stream::Hash::default().value(),
            error: None,
            elements: Elements::default(),
            sketches: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// Reads an output named `path` to its end: its digest, and every element inside it.
pub fn examine(path: &str, source: &mut dyn Read) -> Examined {
    examine_within(path, source, Budget::default())
}

/// The same, looking into no more than the budget allows.
pub fn examine_within(path: &str, source: &mut dyn Read, budget: Budget) -> Examined {
    let mut findings = Findings::default();
    findings.budget = budget;
    let whole = Place::new(&mut findings, path).look_inside(source, BUFFER);
    Examined {
        digest: whole.digest,
        error: whole.error,
        ..findings.examined
    }
}

/// Writes the bytes of the members at `wanted`, elements' paths inside the output `path` that
/// `source` holds, one behind the other, in one pass that ends with the last of them. Where each
/// one stands in what was written; those that are not there, cannot be read in full or are longer
/// than `limit` are left out.
pub fn contents(
    path: &str,
    source: &mut dyn Read,
    wanted: BTreeSet<String>,
    limit: usize,
    into: Box<dyn Write>,
) -> BTreeMap<String, Range<u64>> {
    let wanted = Wanted::new(wanted, limit, into);
    let mut source = wanted.of(source);
    let mut findings = Findings::that_want(wanted);
    Place::new(&mut findings, path).look_inside(&mut source, BUFFER);
    findings.into_places()
}

/// The SHA-256 and the length of bytes.
pub fn digest(bytes: &[u8]) -> Value {
    stream::Hash::of(bytes)
}

/// Bytes of any length as a value: text, or their digest where they are long.
pub fn short(bytes: &[u8]) -> Value {
    place::raw(bytes)
}

/// What a field tells; [`Kind::Content`] where no format knows it.
pub fn kind(field: &Field) -> Kind {
    known(field).map_or(Kind::Content, |known| known.kind)
}

/// Whether the field is the compressed form of a payload.
pub fn is_compression(field: &Field) -> bool {
    kind(field) == Kind::Compression
}

/// Whether the field is one that only a compressed file has, which holds one thing: what that is
/// called follows from the file's own name.
pub fn is_compressed_file(field: &Field) -> bool {
    let found = format_of(field);
    found.is_some_and(|(format, _)| matches!(format.holds, Holds::Payload(_)))
}

/// Whether `inner` is what a compressed file of the path `outer` calls the one thing it holds.
pub fn is_payload(outer: &str, inner: &str) -> bool {
    let mut names = FORMATS
        .iter()
        .filter_map(|format| format.payload_name(outer));
    names.any(|name| name == inner)
}

/// Whether the field stands within the bytes at its own path (`gzip.mtime`, `tar.order`) and so
/// explains a difference of them; a member's header (`tar.mode`) stands in the archive around it.
pub fn is_within(field: &Field) -> bool {
    known(field).is_some_and(|known| known.within)
}

/// Whether the field stands for all bytes at its path that no other field tells: where these differ,
/// the other fields do not explain the content.
pub fn is_rest(field: &Field) -> bool {
    format_of(field).is_some_and(|(_, name)| name == REST)
}

/// The pass of a normaliser that removes a difference of this field, `tar-time`; none for what is
/// content, and where a normaliser leaves it alone.
pub fn pass(field: &Field) -> Option<String> {
    let (format, name) = format_of(field)?;
    let kind = format.known(name)?.kind;
    let removed = format.normal.contains(&kind);
    removed.then(|| format!("{}-{}", format.name, kind.word()))
}

/// The pass that compresses anew a file of the path `outer`, which calls the one thing it holds
/// `inner`.
pub fn compression_pass(outer: &str, inner: &str) -> Option<String> {
    let mut formats = FORMATS.iter();
    let format = formats.find(|format| format.payload_name(outer).as_deref() == Some(inner))?;
    let removed = format.normal.contains(&Kind::Compression);
    removed.then(|| format!("{}-{}", format.name, Kind::Compression.word()))
}

/// The format of a field, and the field's name in it.
fn format_of(field: &Field) -> Option<(&'static Format, &str)> {
    let (format, name) = field.as_str().split_once('.')?;
    let format = FORMATS.iter().find(|known| known.name == format)?;
    Some((format, name))
}

fn known(field: &Field) -> Option<&'static Known> {
    let (format, name) = format_of(field)?;
    format.known(name)
}

fn recognise(prefix: &[u8]) -> Option<&'static Format> {
    FORMATS.iter().find(|format| (format.recognise)(prefix))
}
