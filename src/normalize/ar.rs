//! ar, as static libraries are: no times, owners or modes, as `ar D` writes it. The order of members
//! stays, for the linker's choice depends on it, and so do the tables of symbols and names.

use std::io::{self, BufReader, BufWriter, Read, Write};

use super::canonical::Canonical;
use super::context::Context;
use super::error::{Error, shown};
use super::options::{Class, Pass};
use super::spool::{BUFFER, Source, copy, seek};
use crate::formats::ar::{Header, MAGIC};

const THIN: &[u8] = b"!<thin>\n";
/// The table of names, whose header GNU ar leaves blank.
const NAMES: &[u8] = b"//";
/// Tables of symbols.
const SYMBOLS: [&[u8]; 2] = [b"/", b"/SYM64/"];

/// Whether these bytes begin an ar archive. Thin ones are refused: they hold no members.
pub(super) fn recognise(prefix: &[u8]) -> Result<bool, Error> {
    if prefix.starts_with(THIN) {
        return Err(Error::refused(
            "a thin archive: it names files elsewhere and holds none",
            "make a full one: ar without T",
        ));
    }
    Ok(prefix.starts_with(MAGIC))
}

/// The members of an archive, one after the other.
pub(super) struct Members<'r> {
    source: BufReader<&'r mut dyn Read>,
    offset: u64,
}

/// One of them, and what of its content is left to read.
pub(super) struct Member {
    pub(super) header: Header,
    pub(super) size: u64,
}

impl<'r> Members<'r> {
    /// `source` stands at its beginning.
    pub(super) fn new(source: &'r mut dyn Read) -> Result<Self, Error> {
        let mut source = BufReader::with_capacity(BUFFER, source);
        copy(&mut source, MAGIC.len() as u64, &mut io::sink())?;
        Ok(Self {
            source,
            offset: MAGIC.len() as u64,
        })
    }

    /// The next header.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Error> {
        let mut bytes = [0; 60];
        let begun = self.source.read(&mut bytes).map_err(Error::reading)?;
        if begun == 0 {
            return Ok(None);
        }
        let rest = bytes.get_mut(begun..).unwrap_or_default();
        self.source.read_exact(rest).map_err(Error::reading)?;
        let offset = self.offset;
        let header = Header { bytes, offset };
        let size = header
            .decimal(48, 10)
            .filter(|_| header.bytes.ends_with(b"`\n"));
        let size =
            size.ok_or_else(|| Error::broken(format!("no valid ar header at offset {offset}")))?;
        self.offset += 60;
        Ok(Some(Member { header, size }))
    }

    /// The content of a member, which is to be read to its end.
    pub(super) fn content(&mut self, size: u64) -> io::Take<&mut BufReader<&'r mut dyn Read>> {
        self.offset += size;
        self.source.by_ref().take(size)
    }

    /// Takes the byte behind a content of odd length; the last one is sometimes left out.
    pub(super) fn pad(&mut self, size: u64) -> Result<(), Error> {
        self.offset += size % 2;
        io::copy(&mut self.source.by_ref().take(size % 2), &mut io::sink())
            .map(drop)
            .map_err(Error::reading)
    }
}

/// What a header says of a member, but for its name and size.
pub(super) struct Columns<'c> {
    pub(super) mtime: &'c [u8],
    pub(super) uid: &'c [u8],
    pub(super) gid: &'c [u8],
    pub(super) mode: &'c [u8],
}

/// A header: columns of text, padded with blanks.
pub(super) fn header(name: &[u8], columns: &Columns<'_>, size: u64) -> [u8; 60] {
    let mut bytes = [b' '; 60];
    let size = size.to_string();
    for (at, length, text) in [
        (0, 16, name),
        (16, 12, columns.mtime),
        (28, 6, columns.uid),
        (34, 6, columns.gid),
        (40, 8, columns.mode),
        (48, 10, size.as_bytes()),
        (58, 2, b"`\n"),
    ] {
        let column = bytes.get_mut(at..at + length).unwrap_or_default();
        for (to, from) in column.iter_mut().zip(text) {
            *to = *from;
        }
    }
    bytes
}

/// A static library. It is read again when it is written, and once more when that is verified.
pub(super) struct Ar<'s> {
    source: &'s mut dyn Source,
    keep: [bool; 3],
}

impl<'s> Ar<'s> {
    /// Sees whether it can be read to its end.
    pub(super) fn read(
        source: &'s mut dyn Source,
        context: &mut Context<'_>,
    ) -> Result<Self, Error> {
        context.is("ar", Some(Class::Exchange));
        let keep = [Pass::Time, Pass::Owner, Pass::Mode].map(|pass| context.keeps(pass));
        let mut archive = Self { source, keep };
        archive.each(|_, _, content, size| copy(content, size, &mut io::sink()).map(drop))?;
        Ok(archive)
    }

    /// The canonical header of a member.
    fn canonical(keep: [bool; 3], member: &Member) -> [u8; 60] {
        let name = member.header.column(0, 16);
        let [time, owner, mode] = keep;
        let own = |at, length| member.header.column(at, length);
        let columns = if name == NAMES {
            let blank = b"".as_slice();
            Columns {
                mtime: blank,
                uid: blank,
                gid: blank,
                mode: blank,
            }
        } else {
            let is_table = SYMBOLS.contains(&name);
            Columns {
                mtime: if time { own(16, 12) } else { b"0" },
                uid: if owner { own(28, 6) } else { b"0" },
                gid: if owner { own(34, 6) } else { b"0" },
                mode: match (mode, is_table) {
                    (true, _) => own(40, 8),
                    (false, true) => b"0",
                    (false, false) => b"644",
                },
            }
        };
        header(name, &columns, member.size)
    }

    /// Goes through the members: header, canonical header, content, size.
    fn each(
        &mut self,
        mut visit: impl FnMut(&Header, [u8; 60], &mut dyn Read, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        seek(self.source, 0)?;
        let mut source: &mut dyn Source = self.source;
        let mut members = Members::new(&mut source)?;
        while let Some(member) = members.next()? {
            let canonical = Self::canonical(self.keep, &member);
            let mut content = members.content(member.size);
            visit(&member.header, canonical, &mut content, member.size)?;
            members.pad(member.size)?;
        }
        Ok(())
    }
}

impl Canonical for Ar<'_> {
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error> {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        out.write_all(MAGIC).map_err(Error::writing)?;
        self.each(|before, header, content, size| {
            for (pass, at, length) in [
                (Pass::Time, 16, 12),
                (Pass::Owner, 28, 12),
                (Pass::Mode, 40, 8),
            ] {
                let changed = before.bytes.get(at..at + length) != header.get(at..at + length);
                context.changed(pass, changed);
            }
            out.write_all(&header).map_err(Error::writing)?;
            copy(content, size, &mut out)?;
            let padding: &[u8] = if size % 2 == 1 { b"\n" } else { b"" };
            out.write_all(padding).map_err(Error::writing)
        })?;
        out.flush().map_err(Error::writing)
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        let mut back = Members::new(back)?;
        self.each(|_, header, content, size| {
            let digest = copy(content, size, &mut io::sink())?;
            let read = back.next()?.filter(|read| read.header.bytes == header);
            let same =
                read.is_some() && copy(&mut back.content(size), size, &mut io::sink())? == digest;
            back.pad(size)?;
            if same {
                return Ok(());
            }
            let name = header.get(..16).unwrap_or_default().trim_ascii_end();
            Err(Error::Unverified(shown(name)))
        })?;
        match back.next()? {
            None => Ok(()),
            Some(_) => Err(Error::Unverified("there is more than there was".to_owned())),
        }
    }
}
