//! tar: the bytes that GNU tar's own recipe writes, so that everybody can check them,
//!
//! ```text
//! tar --sort=name --mtime=@TIME --owner=0 --group=0 --numeric-owner
//!     --mode=a+rX,u+w,go-w,ug-s,o-t --format=posix
//!     --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime
//! ```
//!
//! and within a Debian package those of `tar --format=gnu` in dpkg's order. System images keep modes,
//! owners and devices. The members are indexed in one pass and written in a second one, from where
//! they stand in the source.

mod class;
mod links;
mod member;
mod read;
mod write;

use std::cmp::Ordering;
use std::io::{BufWriter, Read, Write};

use super::context::Context;
use super::error::{Error, shown};
use super::options::{Class, LATEST, MEMBERS, Pass};
use super::path;
use super::sorted::{Sorted, Sorter};
use super::spool::{BUFFER, Counted, Source, copy, seek};
use crate::formats::tar::header::Header;
use class::Signs;
use links::{Links, Role};
use member::{Kind, Member, Owner};
use read::Members;
use write::{Entry, Form};

/// GNU tar writes records of twenty blocks.
const RECORD: u64 = 10240;

/// For whom an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Any tar.
    Everybody,
    /// dpkg, which reads no PAX headers, and unpacks symlinks last.
    Dpkg,
}

/// Whether these bytes begin a tar.
pub(super) fn recognise(prefix: &[u8]) -> bool {
    prefix
        .first_chunk()
        .is_some_and(|block| Header::parse(block).is_some())
}

/// An archive that was read to its end, and may be written.
pub(super) struct Index {
    members: Sorted<Member>,
    links: Links,
    class: Class,
    form: Form,
    /// The records of its global header.
    global: Option<Vec<u8>>,
    rules: Rules,
}

/// What is decided for all members.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// `None` where each member keeps its own.
    time: Option<i64>,
    /// That of the global header.
    header_time: i64,
    keep_owner: bool,
    keep_mode: bool,
    order: Arrangement,
}

/// In which order members are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrangement {
    ByPath,
    /// By path, symlinks behind everything else.
    SymlinksLast,
    /// As they stand.
    Kept,
}

/// A member as it is written.
struct Written<'m> {
    kind: Kind,
    name: Vec<u8>,
    link: &'m [u8],
    mode: u64,
    owner: Owner,
    mtime: i64,
    /// Whose content, device numbers and records these are.
    from: &'m Member,
}

fn by_path(one: &Member, other: &Member) -> Ordering {
    path::compare(&one.name, &other.name).then(one.ordinal.cmp(&other.ordinal))
}

fn by_place(one: &Member, other: &Member) -> Ordering {
    one.ordinal.cmp(&other.ordinal)
}

impl Index {
    /// Reads an archive to its end.
    pub(super) fn read(
        stream: &mut dyn Read,
        reader: Reader,
        context: &mut Context<'_>,
    ) -> Result<Self, Error> {
        let large = context.options.large;
        let mut source = Members::new(stream, (!large).then_some(MEMBERS));
        let mut sorter = Sorter::new(by_path);
        let (mut links, mut signs, mut first) = (Links::default(), Signs::default(), None);
        while let Some(member) = source.next()? {
            first = first.or(Some(member.mtime));
            signs.see(&member);
            if member.kind == Kind::HardLink {
                links.add(&member, large)?;
            }
            sorter.push(member, context)?;
        }
        let class = match (reader, context.options.class) {
            (Reader::Dpkg, _) => Class::System,
            (Reader::Everybody, Some(class)) => class,
            (Reader::Everybody, None) if context.exchanged => Class::Exchange,
            (Reader::Everybody, None) => signs.class()?,
        };
        context.is("tar", Some(class));
        let first = first.unwrap_or_default();
        let time = (!context.keeps(Pass::Time)).then(|| context.time(first));
        let rules = Rules {
            time,
            header_time: time.unwrap_or(first),
            keep_owner: class == Class::System || context.keeps(Pass::Owner),
            keep_mode: class == Class::System || context.keeps(Pass::Mode),
            order: match reader {
                _ if context.keeps(Pass::Order) => Arrangement::Kept,
                Reader::Dpkg => Arrangement::SymlinksLast,
                Reader::Everybody => Arrangement::ByPath,
            },
        };
        let keep_order = rules.order == Arrangement::Kept;
        let mut members = sorter.finish(context)?;
        judge(&mut members, &mut links, keep_order, context)?;
        if keep_order {
            let mut sorter = Sorter::new(by_place);
            members.each(|member| sorter.push(member.clone(), context))?;
            members = sorter.finish(context)?;
        }
        Ok(Self {
            members,
            links,
            class,
            form: match reader {
                Reader::Everybody => Form::Posix,
                Reader::Dpkg => Form::Gnu,
            },
            global: source.comment,
            rules,
        })
    }

    /// Writes the canonical form, with the contents from `source`, the tar that was read.
    pub(super) fn write(
        &mut self,
        source: &mut dyn Source,
        out: &mut dyn Write,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let (form, rules, links, class) = (self.form, self.rules, &self.links, self.class);
        let mut out = Counted {
            out: BufWriter::with_capacity(BUFFER, out),
            count: 0,
        };
        if let Some(records) = &self.global {
            let time = tar_time(rules.header_time)?;
            out.write_all(&write::global(records, time))
                .map_err(Error::writing)?;
        }
        let mut position = 0;
        each(&mut self.members, links, rules, |member| {
            let written = written(member, links, rules);
            tell(member, &written, position, class, context);
            position += 1;
            put(&written, form, source, &mut out)
        })?;
        let end = (out.count + 2 * 512).next_multiple_of(RECORD);
        out.zeros(end - out.count)?;
        out.out.flush().map_err(Error::writing)
    }

    /// Reads back what was written: each member is what it was in the source.
    pub(super) fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        let (rules, links) = (self.rules, &self.links);
        let mut back = Members::new(back, None);
        each(&mut self.members, links, rules, |member| {
            let read = back.next().map_err(unreadable)?;
            let read = read.ok_or_else(|| Error::Unverified("members are missing".to_owned()))?;
            let expected = written(member, links, rules);
            let (digest, size) = match expected.kind {
                Kind::File => (expected.from.digest, expected.from.size),
                _ => (read.digest, 0),
            };
            let same = read.kind == expected.kind
                && read.name == expected.name
                && read.link == expected.link
                && read.mode == expected.mode
                && read.owner == expected.owner
                && (read.mtime, read.fraction) == (expected.mtime, false)
                && (!expected.kind.is_device() || read.device == expected.from.device)
                && (expected.kind == Kind::HardLink || read.records == expected.from.records)
                && (read.size, read.digest) == (size, digest);
            if same {
                return Ok(());
            }
            Err(Error::Unverified(shown(&read.name)))
        })?;
        match back.next().map_err(unreadable)? {
            None if back.comment == self.global => Ok(()),
            _ => Err(Error::Unverified("there is more than there was".to_owned())),
        }
    }
}

fn unreadable(error: Error) -> Error {
    match error {
        Error::Io { .. } => error,
        other => Error::Unverified(other.to_string()),
    }
}

/// Sees all members in the order of their paths: who stands in whose way, and which names are one file.
fn judge(
    members: &mut Sorted<Member>,
    links: &mut Links,
    keep_order: bool,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    const REPACK: &str = "unpack it and pack it again with tar";
    let mut before: Option<(Vec<u8>, Kind)> = None;
    let mut leaf: Option<(Vec<u8>, Kind)> = None;
    members.each(|member| {
        let name = &member.name;
        links.see(member, keep_order)?;
        if let Some((above, kind)) = &leaf
            && path::is_below(name, above)
        {
            let what = if *kind == Kind::Symlink {
                "a symlink"
            } else {
                "no directory"
            };
            return Err(Error::refused(
                format!(
                    "{} lies below {}, which is {what}",
                    shown(name),
                    shown(above)
                ),
                REPACK,
            ));
        }
        let is_directory = member.kind == Kind::Directory;
        if let Some((same, kind)) = &before
            && path::compare(same, name) == Ordering::Equal
        {
            if is_directory != (*kind == Kind::Directory) {
                return Err(Error::refused(
                    format!("{} is a directory and something else", shown(name)),
                    REPACK,
                ));
            }
            if links.concern(name) {
                return Err(Error::refused(
                    format!("{} stands twice, and has hard links", shown(name)),
                    REPACK,
                ));
            }
            context.note(format!(
                "{} stands twice; both are kept in their order",
                shown(name)
            ));
        }
        if name.starts_with(b"/") || path::steps(name).any(|step| step == b"..") {
            context.note(format!(
                "{} leads out of where it is unpacked; kept as it is",
                shown(name)
            ));
        }
        before = Some((name.clone(), member.kind));
        if !is_directory {
            leaf.clone_from(&before);
        }
        Ok(())
    })
}

/// Goes through the members in the order in which they are written.
fn each(
    members: &mut Sorted<Member>,
    links: &Links,
    rules: Rules,
    mut visit: impl FnMut(&Member) -> Result<(), Error>,
) -> Result<(), Error> {
    if rules.order != Arrangement::SymlinksLast {
        return members.each(visit);
    }
    let is_symlink = |member: &Member| match links.role(member) {
        Role::Link { root, .. } | Role::Carrier { root } => root.kind == Kind::Symlink,
        Role::Alone | Role::Outside => member.kind == Kind::Symlink,
    };
    for symlinks in [false, true] {
        members.each(|member| {
            if is_symlink(member) == symlinks {
                visit(member)
            } else {
                Ok(())
            }
        })?;
    }
    Ok(())
}

/// What is written for a member.
fn written<'m>(member: &'m Member, links: &'m Links, rules: Rules) -> Written<'m> {
    let (kind, link, from) = match links.role(member) {
        Role::Alone | Role::Outside => (member.kind, member.link.as_slice(), member),
        Role::Carrier { root } => (root.kind, root.link.as_slice(), root),
        Role::Link { root, first } => (Kind::HardLink, first, root),
    };
    let mut name = member.name.clone();
    if kind == Kind::Directory {
        while name.len() > 1 && name.ends_with(b"/") {
            name.pop();
        }
        if !name.ends_with(b"/") {
            name.push(b'/');
        }
    }
    Written {
        kind,
        name,
        link,
        mode: if rules.keep_mode {
            from.mode
        } else if kind == Kind::Directory || from.mode & 0o111 != 0 {
            0o755
        } else {
            0o644
        },
        owner: if rules.keep_owner {
            from.owner.clone()
        } else {
            Owner::default()
        },
        mtime: rules.time.unwrap_or(from.mtime),
        from,
    }
}

/// Counts what changes for a member.
fn tell(
    member: &Member,
    written: &Written<'_>,
    position: u64,
    class: Class,
    context: &mut Context<'_>,
) {
    let time = member.mtime != written.mtime || member.fraction;
    context.changed(Pass::Time, time);
    context.changed(Pass::Order, member.ordinal != position);
    context.changed(Pass::Owner, member.owner != written.owner);
    context.changed(Pass::Mode, member.mode != written.mode);
    context.changed(Pass::Extra, member.extra);
    let link = member.kind != written.kind || member.link != written.link;
    context.changed(Pass::Links, link);
    if member.kind == Kind::HardLink && written.kind == Kind::HardLink && !link {
        let target = shown(&member.link);
        if written.from.ordinal == member.ordinal {
            context.note(format!(
                "{} is a hard link to {target}, which is not in the archive; kept",
                shown(&member.name)
            ));
        }
    }
    if class == Class::Exchange && member.attributes {
        context.note("extended attributes of members are kept: they are content");
    }
}

/// Writes a header and what follows it.
fn put(
    written: &Written<'_>,
    form: Form,
    source: &mut dyn Source,
    out: &mut Counted<impl Write>,
) -> Result<(), Error> {
    let is_link = written.kind == Kind::HardLink;
    let has_content = written.kind == Kind::File;
    if form == Form::Gnu && !written.from.records.is_empty() {
        return Err(Error::refused(
            format!(
                "{} has PAX records, which dpkg does not read",
                shown(&written.name)
            ),
            "build the package again with dpkg-deb",
        ));
    }
    let entry = Entry {
        kind: written.kind,
        name: &written.name,
        link: written.link,
        mode: written.mode,
        owner: &written.owner,
        mtime: tar_time(written.mtime)?,
        device: written.from.device,
        size: if has_content { written.from.size } else { 0 },
        records: if is_link { &[] } else { &written.from.records },
    };
    out.write_all(&entry.header(form)).map_err(Error::writing)?;
    if has_content {
        let size = written.from.size;
        seek(source, written.from.offset)?;
        let digest = copy(source, size, out)?;
        if digest != written.from.digest {
            return Err(Error::broken(format!(
                "{} changed while it was read",
                shown(&written.name)
            )));
        }
        out.zeros(read::padding(size))?;
    }
    Ok(())
}

/// A time that fits into a header.
fn tar_time(time: i64) -> Result<u64, Error> {
    u64::try_from(time)
        .ok()
        .filter(|_| time <= LATEST)
        .ok_or_else(|| {
            Error::refused(
                format!("the time {time} does not fit into a tar header"),
                "choose one from 0 to 8589934591: --mtime",
            )
        })
}
