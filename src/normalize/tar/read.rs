//! The members of a tar stream, one after the other, in all dialects. What has no canonical form is
//! refused here; nothing is repaired.

use std::io::{BufRead, BufReader, Read, sink};

use super::member::{Kind, Member, Owner};
use super::write::record;
use crate::formats::tar::header::{self, Dialect, Header, Span};
use crate::formats::tar::pax::{Applying, Records};
use crate::normalize::error::{Error, shown};
use crate::normalize::spool::{BUFFER, copy, only_zeros};

/// The most that an extended header or a long name may hold.
const EXTENSION: u64 = 1 << 20;

/// Records that are no content: they say when and where the archive was made, or repeat the header.
const DROPPED: [&[u8]; 6] = [
    b"atime",
    b"ctime",
    b"LIBARCHIVE.creationtime",
    b"SCHILY.dev",
    b"SCHILY.ino",
    b"SCHILY.nlink",
];

/// Records of attributes, access lists and labels, which belong to a system.
const ATTRIBUTES: [&[u8]; 5] = [
    b"SCHILY.xattr.",
    b"SCHILY.acl.",
    b"RHT.security.selinux",
    b"LIBARCHIVE.xattr.",
    b"MSWINDOWS.",
];

/// Members at the top that list, or sign, what else the archive holds.
const INDEXES: [&[u8]; 3] = [b".MTREE", b"oci-layout", b"stargz.index.json"];

const LISTED: &str = "make it anew with the tool that wrote it, with SOURCE_DATE_EPOCH set";
const REPACK: &str = "unpack it and pack it again with tar";

/// A tar stream.
pub(super) struct Members<'r> {
    source: BufReader<&'r mut dyn Read>,
    offset: u64,
    count: u64,
    limit: Option<u64>,
    global: Records,
    /// Whether a global header was read, and its records that are content.
    pub(super) comment: Option<Vec<u8>>,
}

/// What the headers before a member say of it.
#[derive(Default)]
struct Pending {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Option<Records>,
}

impl<'r> Members<'r> {
    /// The members of `source`, at most `limit` of them.
    pub(super) fn new(source: &'r mut dyn Read, limit: Option<u64>) -> Self {
        Self {
            source: BufReader::with_capacity(BUFFER, source),
            offset: 0,
            count: 0,
            limit,
            global: Records::default(),
            comment: None,
        }
    }

    /// The next member; `None` behind the end mark, after which nothing but zeros may stand.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Error> {
        let mut pending = Pending::default();
        let mut begun = false;
        loop {
            let at = self.offset;
            let Some(block) = self.block()? else {
                return Err(Error::broken(format!(
                    "no end mark: truncated at offset {at}"
                )));
            };
            if block == [0; 512] {
                return if begun {
                    Err(Error::broken(format!(
                        "an extended header without a member before offset {at}"
                    )))
                } else {
                    self.end().map(|()| None)
                };
            }
            let header = Header::parse(&block).ok_or_else(|| {
                Error::broken(format!("no valid header at offset {at} of the tar"))
            })?;
            begun = true;
            match header.kind() {
                b'L' => once(&mut pending.name, until_nul(self.extension(&header)?), at)?,
                b'K' => once(&mut pending.link, until_nul(self.extension(&header)?), at)?,
                b'g' => {
                    self.global(&header)?;
                    begun = false;
                }
                b'x' | b'X' => {
                    let content = self.extension(&header)?;
                    let mut records = Records::default();
                    read_records(&mut records, &content, at)?;
                    once(&mut pending.records, records, at)?;
                }
                _ => return self.member(&header, &pending, at).map(Some),
            }
        }
    }

    fn block(&mut self) -> Result<Option<[u8; 512]>, Error> {
        if self.source.fill_buf().map_err(Error::reading)?.is_empty() {
            return Ok(None);
        }
        let mut block = [0; 512];
        self.source.read_exact(&mut block).map_err(Error::reading)?;
        self.offset += 512;
        Ok(Some(block))
    }

    fn end(&mut self) -> Result<(), Error> {
        if only_zeros(&mut self.source).map_err(Error::reading)? {
            return Ok(());
        }
        Err(Error::refused(
            "data behind the end mark of the tar (two archives in one file?)",
            REPACK,
        ))
    }

    /// The content of an extended header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let size = header.size().filter(|size| *size <= EXTENSION);
        let size = size.ok_or_else(|| {
            Error::broken(format!(
                "an extended header of more than a megabyte before offset {}",
                self.offset
            ))
        })?;
        let mut content = Vec::new();
        copy(&mut self.source, size, &mut content)?;
        self.skip_padding(size)?;
        self.offset += size;
        Ok(content)
    }

    fn skip_padding(&mut self, size: u64) -> Result<(), Error> {
        let padding = padding(size);
        copy(&mut self.source, padding, &mut sink())?;
        self.offset += padding;
        Ok(())
    }

    /// A header whose records are for all members after it.
    fn global(&mut self, header: &Header) -> Result<(), Error> {
        let at = self.offset - 512;
        let content = self.extension(header)?;
        if self.count > 0 {
            return Err(Error::refused(
                format!("a global header in the middle, at offset {at}"),
                REPACK,
            ));
        }
        let mut records = Records::default();
        read_records(&mut records, &content, at)?;
        for key in ["path", "linkpath", "size"] {
            if records.get(key).is_some() {
                return Err(Error::refused(
                    format!("the global header gives all members one {key}"),
                    REPACK,
                ));
            }
        }
        self.global.extend(records);
        if self.global.size() as u64 > EXTENSION {
            return Err(Error::broken("more than a megabyte of global records"));
        }
        let mut kept = Vec::new();
        for (key, value) in self.global.others() {
            if !DROPPED.contains(&key) {
                record(key, &value.value, &mut kept);
            }
        }
        self.comment = (!kept.is_empty()).then_some(kept);
        Ok(())
    }

    fn member(&mut self, header: &Header, pending: &Pending, at: u64) -> Result<Member, Error> {
        let none = Records::default();
        let own = pending.records.as_ref().unwrap_or(&none);
        let records = Applying {
            own,
            global: &self.global,
        };
        let name = text(records, "path", pending.name.as_ref(), at)?;
        let name = name.unwrap_or_else(|| header.name());
        check_name(&name)?;
        let kind = kind(header, &name)?;
        let mut member = Member {
            ordinal: self.count,
            kind,
            link: Vec::new(),
            mode: number(header, header::MODE, &name)?.cast_unsigned() & 0o7777,
            owner: owner(header, records, &name)?,
            mtime: 0,
            fraction: false,
            device: (0, 0),
            offset: self.offset,
            size: size(header, records, &name)?,
            digest: [0; 32],
            records: Vec::new(),
            attributes: false,
            extra: false,
            name,
        };
        (member.mtime, member.fraction) = mtime(header, records, &member.name)?;
        if matches!(kind, Kind::HardLink | Kind::Symlink) {
            let link = text(records, "linkpath", pending.link.as_ref(), at)?;
            member.link = link.unwrap_or_else(|| header.string(header::LINK).to_vec());
        }
        if kind.is_device() {
            let part = |span| number(header, span, &member.name).map(i64::cast_unsigned);
            member.device = (part(header::MAJOR)?, part(header::MINOR)?);
        }
        take_records(&mut member, own, header)?;
        member.digest =
            copy(&mut self.source, member.size, &mut sink()).map_err(|error| match error {
                Error::Broken(_) => Error::broken(format!(
                    "truncated: {} (at offset {at}) is not all there",
                    shown(&member.name)
                )),
                other => other,
            })?;
        self.offset += member.size;
        self.skip_padding(member.size)?;
        self.count += 1;
        if self.limit.is_some_and(|limit| self.count > limit) {
            return Err(Error::refused(
                "more than two million members",
                "if that is what you want: --large",
            ));
        }
        Ok(member)
    }
}

/// Keeps what an extended header says, of which a member has one of each kind.
fn once<T>(kept: &mut Option<T>, said: T, at: u64) -> Result<(), Error> {
    if kept.replace(said).is_none() {
        return Ok(());
    }
    Err(Error::refused(
        format!(
            "two extended headers of one kind for the member after offset {at}, which not all tools read alike"
        ),
        REPACK,
    ))
}

/// A text of a record, or else of a header before the member.
fn text(
    records: Applying<'_>,
    key: &str,
    long: Option<&Vec<u8>>,
    at: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let record = records.get(key).map(|record| record.value.clone());
    if long.is_some() && record.is_some() && long != record.as_ref() {
        return Err(Error::refused(
            format!(
                "a {key} in two ways for the member at offset {at}, which not all tools read alike"
            ),
            REPACK,
        ));
    }
    Ok(record.or_else(|| long.cloned()))
}

fn read_records(records: &mut Records, content: &[u8], at: u64) -> Result<(), Error> {
    if records.read(content, at) {
        return Ok(());
    }
    Err(Error::broken(format!(
        "a broken record in the extended header at offset {at}"
    )))
}

/// Names that mean nothing, or that say that something else lists the members.
fn check_name(name: &[u8]) -> Result<(), Error> {
    if name.is_empty() || name.contains(&0) {
        return Err(Error::broken(format!(
            "a member's name is no name: \"{}\"",
            shown(name)
        )));
    }
    let bare = name.strip_prefix(b"./").unwrap_or(name);
    if INDEXES.contains(&bare) || bare.starts_with(b".SIGN.") {
        return Err(Error::refused(
            format!("{} lists or signs what the archive holds", shown(name)),
            LISTED,
        ));
    }
    Ok(())
}

fn kind(header: &Header, name: &[u8]) -> Result<Kind, Error> {
    let refuse = |what: &str| Err(Error::refused(format!("{} is {what}", shown(name)), REPACK));
    match header.kind() {
        // Before POSIX a directory was a file with such a name; GNU tar still reads it so.
        0 | b'0' if name.ends_with(b"/") && header.size() == Some(0) => Ok(Kind::Directory),
        0 | b'0' if name.ends_with(b"/") => refuse("a directory with content"),
        b'7' if name.ends_with(b"/") => refuse("a file with the name of a directory"),
        b'S' => refuse("a sparse file, which not all tools read alike"),
        b'V' => refuse("a volume label"),
        b'M' => refuse("a part of a file that begins in another archive"),
        b'D' => refuse("a listing of an incremental backup"),
        flag => match Kind::of(flag) {
            Some(kind) => Ok(kind),
            None => refuse("of a type that is not known"),
        },
    }
}

/// A number of the header.
fn number(header: &Header, span: Span, name: &[u8]) -> Result<i64, Error> {
    let number = header
        .number(span)
        .filter(|_| is_number(header.bytes(span)));
    number.ok_or_else(|| {
        Error::broken(format!(
            "no number in the header of {}: \"{}\"",
            shown(name),
            shown(header.bytes(span))
        ))
    })
}

/// Whether a field holds a number and nothing else: in base 256, or octal digits between blanks and NULs.
fn is_number(field: &[u8]) -> bool {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        return true;
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().take_while(|byte| blank(byte)).count();
    let field = field.get(start..).unwrap_or_default();
    let digits = field.iter().take_while(|byte| (b'0'..=b'7').contains(byte));
    field.iter().skip(digits.count()).all(blank)
}

fn owner(header: &Header, records: Applying<'_>, name: &[u8]) -> Result<Owner, Error> {
    let id = |key: &str, span| {
        match records.get(key) {
            Some(record) => record.number(),
            None => number(header, span, name)?.try_into().ok(),
        }
        .map_or_else(
            || {
                Err(Error::broken(format!(
                    "{} has a {key} that is no number",
                    shown(name)
                )))
            },
            Ok,
        )
    };
    let text = |key: &str, span| match records.get(key) {
        Some(record) => record.value.clone(),
        None if header.dialect() == Dialect::V7 => Vec::new(),
        None => header.string(span).to_vec(),
    };
    Ok(Owner {
        uid: id("uid", header::UID)?,
        gid: id("gid", header::GID)?,
        user: text("uname", header::USER),
        group: text("gname", header::GROUP),
    })
}

fn size(header: &Header, records: Applying<'_>, name: &[u8]) -> Result<u64, Error> {
    let size = match records.own.get("size") {
        Some(record) if !header.is_header_only() => record.number(),
        _ => header
            .size()
            .filter(|_| is_number(header.bytes(header::SIZE))),
    };
    size.ok_or_else(|| Error::broken(format!("{} has no valid size", shown(name))))
}

/// Whole seconds, and whether there was a fraction.
fn mtime(header: &Header, records: Applying<'_>, name: &[u8]) -> Result<(i64, bool), Error> {
    let Some(record) = records.get("mtime") else {
        return Ok((number(header, header::MTIME, name)?, false));
    };
    let text = std::str::from_utf8(&record.value).unwrap_or_default();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.bytes().any(|digit| digit != b'0');
    let seconds: Option<i64> = whole.parse().ok();
    let seconds = seconds.and_then(|seconds| {
        // Times before 1970 are rounded down, too.
        let down = i64::from(fraction && whole.starts_with('-'));
        seconds.checked_sub(down)
    });
    let seconds = seconds
        .ok_or_else(|| Error::broken(format!("{} has an mtime that is none", shown(name))))?;
    Ok((seconds, fraction))
}

/// What a member's own records say that no field of the header does.
fn take_records(member: &mut Member, records: &Records, header: &Header) -> Result<(), Error> {
    for (key, value) in records.others() {
        if key.starts_with(b"GNU.sparse.") {
            return Err(Error::refused(
                format!(
                    "{} is a sparse file, which not all tools read alike",
                    shown(&member.name)
                ),
                REPACK,
            ));
        }
        if DROPPED.contains(&key) || is_raw(key, &value.value) {
            member.extra = true;
            continue;
        }
        member.attributes |= ATTRIBUTES.iter().any(|known| key.starts_with(known));
        record(key, &value.value, &mut member.records);
    }
    if header.dialect() == Dialect::Gnu {
        let times = [header::ATIME, header::CTIME];
        member.extra |= times.iter().any(|span| header.number(*span) != Some(0));
    }
    Ok(())
}

/// Whether a record says that names are bytes, or UTF-8: GNU tar writes them as they are without it.
fn is_raw(key: &[u8], value: &[u8]) -> bool {
    key == b"hdrcharset" && matches!(value, b"BINARY" | b"ISO-IR 10646 2000 UTF-8")
}

/// Bytes between a content and the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % header::BLOCK
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(at) = text.iter().position(|byte| *byte == 0) {
        text.truncate(at);
    }
    text
}
