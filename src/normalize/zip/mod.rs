//! zip, and what is one: jars, wheels, EPUB, office documents. Entries sorted by name, but for those that
//! readers look for at the beginning or the end; dates in UTC; deflated entries compressed anew, stored
//! ones stored; no times or owners in extra fields, no descriptors, nothing that 32 bits can tell in 64.

mod entry;
mod pack;
mod read;
mod write;

use std::io::{self, BufReader, BufWriter, Read, Write};

use flate2::Crc;

use super::canonical::Canonical;
use super::context::Context;
use super::decoders::RawInflate;
use super::error::{Error, shown};
use super::options::{CONSTANT, Class, Pass};
use super::spool::{BUFFER, Source, Spool, copy, copy_all, seek};
use crate::formats::stream::Stream;
use crate::formats::zip::record::{self, Central, Local};
use entry::{Entry, STORED};
use read::{Entries, Layout};
use write::Written;

/// A zip archive that was read to its end.
pub(super) struct Zip<'s> {
    source: &'s mut dyn Source,
    layout: Layout,
    entries: Entries,
    /// Contents as they are written.
    contents: Box<dyn Spool>,
    rules: Rules,
}

/// What is decided for all entries.
#[derive(Clone, Copy)]
struct Rules {
    /// Date and time; `None` where each entry keeps its own.
    moment: Option<(u16, u16)>,
    keep_mode: bool,
}

impl Rules {
    fn written(self, entry: &Entry, offset: u64) -> Written<'_> {
        let (date, time) = self.moment.unwrap_or((entry.date, entry.time));
        Written {
            entry,
            date,
            time,
            external: write::external(entry, self.keep_mode),
            offset,
        }
    }
}

/// Whether a file ends as a zip archive does, whatever it begins with.
pub(super) fn recognise(source: &mut dyn Source) -> Result<bool, Error> {
    let found = read::layout(source)?.is_some();
    seek(source, 0)?;
    Ok(found)
}

/// Reads a zip archive called `name`; `None` where there is no end record.
pub(super) fn read<'s>(
    name: &str,
    source: &'s mut dyn Source,
    context: &mut Context<'_>,
) -> Result<Option<Zip<'s>>, Error> {
    let Some(layout) = read::layout(source)? else {
        return Ok(None);
    };
    let lower = name.to_ascii_lowercase();
    let ends = |ending: &str| lower.ends_with(ending);
    if ends(".apk") || ends(".aab") {
        return Err(Error::refused(
            "an Android package: its entries are aligned and signed",
            "build it again with SOURCE_DATE_EPOCH set",
        ));
    }
    let is_wheel = ends(".whl");
    let class = context.options.class.unwrap_or(Class::Exchange);
    context.is(if is_wheel { "wheel" } else { "zip" }, Some(class));
    let mut contents = context.spool()?;
    let mut out = BufWriter::with_capacity(BUFFER, &mut contents);
    let mut entries = read::read(source, &layout, is_wheel, &mut out, context)?;
    out.flush().map_err(Error::writing)?;
    drop(out);
    let rules = Rules {
        moment: moment(&mut entries, context)?,
        keep_mode: class == Class::System || context.keeps(Pass::Mode),
    };
    Ok(Some(Zip {
        source,
        layout,
        entries,
        contents,
        rules,
    }))
}

/// The date of all entries.
fn moment(entries: &mut Entries, context: &mut Context<'_>) -> Result<Option<(u16, u16)>, Error> {
    if context.keeps(Pass::Time) {
        return Ok(None);
    }
    let mut first = None;
    entries.sorted.each(|entry| {
        first = first.or(Some(write::seconds(entry.date, entry.time)));
        Ok(())
    })?;
    let mut time = context.time(first.flatten().unwrap_or(CONSTANT));
    if write::is_too_early(time) {
        context.note(format!(
            "zip files tell no time before 1980: {CONSTANT} instead of {time}"
        ));
        time = CONSTANT;
        context.report.time = Some(time);
    }
    match write::dos(time) {
        Some(moment) => Ok(Some(moment)),
        None => Err(Error::refused(
            format!("zip files tell no time after 2107, and {time} is later"),
            "choose one up to 4354819198: --mtime or SOURCE_DATE_EPOCH",
        )),
    }
}

impl Canonical for Zip<'_> {
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error> {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        let mut directory = context.spool()?;
        let mut central = BufWriter::with_capacity(BUFFER, &mut directory);
        seek(self.source, 0)?;
        copy(self.source, self.entries.front, &mut out)?;
        let (rules, contents) = (self.rules, &mut self.contents);
        let (mut at, mut size, mut count) = (self.entries.front, 0, 0);
        self.entries.sorted.each(|entry| {
            let written = rules.written(entry, at);
            tell(&written, count, context);
            let local = written.local();
            out.write_all(&local).map_err(Error::writing)?;
            seek(contents, entry.offset)?;
            copy(contents, entry.stored, &mut out)?;
            let bytes = written.central();
            central.write_all(&bytes).map_err(Error::writing)?;
            at += local.len() as u64 + entry.stored;
            size += bytes.len() as u64;
            count += 1;
            Ok(())
        })?;
        central.flush().map_err(Error::writing)?;
        drop(central);
        seek(&mut directory, 0)?;
        copy(&mut directory, size, &mut out)?;
        let end = write::end(count, at, size, &self.layout.comment);
        out.write_all(&end).map_err(Error::writing)?;
        out.flush().map_err(Error::writing)
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        let front = copy(back, self.entries.front, &mut io::sink())?;
        if front != self.entries.front_digest {
            return Err(Error::Unverified("what stands in front".to_owned()));
        }
        let mut stream = Stream::new(back, BUFFER);
        let rules = self.rules;
        self.entries.sorted.each(|entry| {
            let local = Local::read(&mut stream).filter(|local| {
                (&local.name, local.method, local.crc) == (&entry.name, entry.method, entry.crc)
                    && (local.compressed, local.size) == (entry.stored, entry.size)
            });
            if local.is_none() || content_back(&mut stream, entry)? != entry.digest {
                return Err(Error::Unverified(shown(&entry.name)));
            }
            Ok(())
        })?;
        self.entries.sorted.each(|entry| {
            let external = rules.written(entry, 0).external;
            let central = Central::read(&mut stream).filter(|central| {
                (&central.name, central.external, &central.comment)
                    == (&entry.name, external, &entry.comment)
            });
            match central {
                Some(_) => Ok(()),
                None => Err(Error::Unverified(shown(&entry.name))),
            }
        })?;
        match stream.peek(4) {
            end if end == record::END || end == record::END64 => Ok(()),
            _ => Err(Error::Unverified("the end record".to_owned())),
        }
    }
}

/// The digest of a content that is read back, by another decoder than zlib.
fn content_back(stream: &mut Stream<'_>, entry: &Entry) -> Result<super::spool::Digest, Error> {
    let mut stored = stream.take(entry.stored);
    if !entry.is_known() || entry.method == STORED {
        return copy(&mut stored, entry.stored, &mut io::sink());
    }
    let mut inflate = RawInflate::new(BufReader::new(&mut stored));
    let mut crc = Summing(Crc::new());
    let (_, digest) = copy_all(&mut inflate, &mut crc)?;
    if crc.0.sum() == entry.crc {
        return Ok(digest);
    }
    Err(Error::Unverified(shown(&entry.name)))
}

/// Takes bytes for their CRC-32.
struct Summing(Crc);

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what changes for an entry.
fn tell(written: &Written<'_>, position: u64, context: &mut Context<'_>) {
    let entry = written.entry;
    let time = (entry.date, entry.time) != (written.date, written.time);
    context.changed(Pass::Time, time);
    context.changed(Pass::Order, entry.ordinal != position);
    context.changed(Pass::Mode, entry.external != written.external);
}
