//! Debian packages (deb(5)): the parts in their order, each a tar as dpkg-deb writes it, that is in GNU's
//! form, sorted, symlinks last, and compressed by the same method as before. Owners and modes are content.

use std::io::{self, BufWriter, Read, Write};

use super::ar::{Columns, Members, header};
use super::canonical::Canonical;
use super::compressed::Codec;
use super::context::Context;
use super::error::{Error, shown};
use super::options::{Class, Pass};
use super::packed::Packed;
use super::spool::{BUFFER, Digest, Source, Spool, copy, length, seek};
use super::tar::Reader;
use crate::formats::ar::MAGIC;

const FIRST: &[u8] = b"debian-binary";
/// The longest part that is no tar.
const SMALL: u64 = 1 << 20;

const REBUILD: &str = "build it again with dpkg-deb";

/// Whether an ar archive that begins so is a package.
pub(super) fn recognise(prefix: &[u8]) -> bool {
    prefix
        .strip_prefix(MAGIC)
        .is_some_and(|rest| rest.starts_with(FIRST))
}

/// A package that was read to its end.
pub(super) struct Deb {
    parts: Vec<Part>,
    time: i64,
}

/// One part of it.
struct Part {
    name: Vec<u8>,
    mtime: Vec<u8>,
    content: Content,
    /// How long it is in the canonical form.
    written: u64,
}

enum Content {
    /// A few bytes that stay.
    Plain(Vec<u8>),
    /// A tar.
    Tar(Packed),
}

impl Deb {
    pub(super) fn read(source: &mut dyn Source, context: &mut Context<'_>) -> Result<Self, Error> {
        seek(source, 0)?;
        let mut source: &mut dyn Source = source;
        let mut members = Members::new(&mut source)?;
        let mut parts: Vec<Part> = Vec::new();
        while let Some(member) = members.next()? {
            let name = member.header.column(0, 16);
            let name = name.strip_suffix(b"/").unwrap_or(name).to_vec();
            let mtime = member.header.column(16, 12).to_vec();
            if parts.is_empty() {
                let met = member.header.decimal(16, 12).unwrap_or_default();
                context.time(i64::try_from(met).unwrap_or_default());
            }
            check(&name, &parts)?;
            let mut bytes = members.content(member.size);
            let found = match kind(&name)? {
                Kind::Tar(codec) => {
                    Content::Tar(Packed::read(codec, &mut bytes, Reader::Dpkg, context)?)
                }
                Kind::Plain => Content::Plain(plain(&name, member.size, &mut bytes)?),
            };
            if bytes.limit() > 0 {
                return Err(Error::refused(
                    format!("bytes behind the end of {}", shown(&name)),
                    REBUILD,
                ));
            }
            members.pad(member.size)?;
            parts.push(Part {
                name,
                mtime,
                content: found,
                written: 0,
            });
        }
        if parts.len() < 3 {
            return Err(Error::broken("a part of the package is missing"));
        }
        context.note("what names its hash (.changes, .buildinfo, a repository) must be made again");
        context.report.formats = vec!["deb"];
        context.report.class = Some(Class::System);
        let time = context.report.time.unwrap_or_default();
        Ok(Self { parts, time })
    }
}

/// Parts stand where deb(5) says, each once, and none of them is a signature.
fn check(name: &[u8], before: &[Part]) -> Result<(), Error> {
    if name.starts_with(b"_gpg") {
        return Err(Error::refused(
            format!("{} signs the package", shown(name)),
            "sign it after it was normalized, not before",
        ));
    }
    let begins = |part: &[u8], name: &[u8]| name.starts_with(part);
    let seen = |part: &[u8]| before.iter().any(|before| begins(part, &before.name));
    let fits = if begins(FIRST, name) {
        before.is_empty()
    } else if begins(b"control.tar", name) {
        seen(FIRST) && !seen(b"control.tar")
    } else if begins(b"data.tar", name) {
        seen(b"control.tar") && !seen(b"data.tar")
    } else {
        name.starts_with(b"_") || seen(b"data.tar")
    };
    if fits {
        return Ok(());
    }
    Err(Error::refused(
        format!("{} stands where deb(5) does not allow it", shown(name)),
        REBUILD,
    ))
}

/// What a part is, by its name.
enum Kind {
    /// A tar, compressed or not.
    Tar(Option<Codec>),
    Plain,
}

fn kind(name: &[u8]) -> Result<Kind, Error> {
    let ending = name
        .strip_prefix(b"control.tar")
        .or_else(|| name.strip_prefix(b"data.tar"));
    Ok(match ending {
        None => Kind::Plain,
        Some(b"") => Kind::Tar(None),
        Some(b".gz") => Kind::Tar(Some(Codec::Gzip)),
        Some(b".xz") => Kind::Tar(Some(Codec::Xz)),
        Some(b".zst") => Kind::Tar(Some(Codec::Zstd)),
        Some(b".bz2") => Kind::Tar(Some(Codec::Bzip2)),
        Some(_) => {
            return Err(Error::refused(
                format!("the compression of {} is not known here", shown(name)),
                REBUILD,
            ));
        }
    })
}

fn plain(name: &[u8], size: u64, content: &mut dyn Read) -> Result<Vec<u8>, Error> {
    if size > SMALL {
        return Err(Error::refused(
            format!("{} has more than a megabyte and is no tar", shown(name)),
            REBUILD,
        ));
    }
    let mut bytes = Vec::new();
    copy(content, size, &mut bytes)?;
    Ok(bytes)
}

impl Part {
    fn header(&self, time: &[u8]) -> [u8; 60] {
        let columns = Columns {
            mtime: time,
            uid: b"0",
            gid: b"0",
            mode: b"100644",
        };
        header(&self.name, &columns, self.written)
    }
}

impl Canonical for Deb {
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error> {
        let time = self.time.to_string().into_bytes();
        let keep_time = context.keeps(Pass::Time);
        let mut out = BufWriter::with_capacity(BUFFER, out);
        out.write_all(MAGIC).map_err(Error::writing)?;
        for part in &mut self.parts {
            let mut packed: Box<dyn Spool> = context.spool()?;
            match &mut part.content {
                Content::Plain(bytes) => packed.write_all(bytes).map_err(Error::writing)?,
                Content::Tar(tar) => tar.write(&mut packed, context)?,
            }
            part.written = length(&mut packed)?;
            if !keep_time {
                context.changed(Pass::Time, part.mtime != time);
                part.mtime.clone_from(&time);
            }
            let header = part.header(&part.mtime);
            out.write_all(&header).map_err(Error::writing)?;
            copy(&mut packed, part.written, &mut out)?;
            let padding: &[u8] = if part.written % 2 == 1 { b"\n" } else { b"" };
            out.write_all(padding).map_err(Error::writing)?;
        }
        out.flush().map_err(Error::writing)
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        let mut back = Members::new(back)?;
        for part in &mut self.parts {
            let wrong = || Error::Unverified(shown(&part.name));
            let header = part.header(&part.mtime);
            let read = back.next()?.filter(|read| read.header.bytes == header);
            read.ok_or_else(wrong)?;
            let mut content = back.content(part.written);
            match &mut part.content {
                Content::Plain(bytes) => {
                    let digest: Digest =
                        copy(&mut bytes.as_slice(), part.written, &mut io::sink())?;
                    if copy(&mut content, part.written, &mut io::sink())? != digest {
                        return Err(Error::Unverified(shown(&part.name)));
                    }
                }
                Content::Tar(tar) => tar.verify(&mut content)?,
            }
            back.pad(part.written)?;
        }
        match back.next()? {
            None => Ok(()),
            Some(_) => Err(Error::Unverified("there is more than there was".to_owned())),
        }
    }
}
