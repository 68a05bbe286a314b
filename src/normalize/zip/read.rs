//! The directory of a zip archive and what it names, checked: each entry once, none over another,
//! nothing between them, headers that agree. What is ambiguous or signed is refused.

use std::io::{Read, Write, sink};

use super::entry::{self, Entry, rank};
use super::pack::pack;
use crate::formats::stream::Stream;
use crate::formats::zip::record::{self, Central, Local, Numbers};
use crate::normalize::context::Context;
use crate::normalize::error::{Error, shown};
use crate::normalize::options::{MEMBERS, Pass};
use crate::normalize::sorted::{Sorted, Sorter};
use crate::normalize::spool::{BUFFER, Digest, Source, copy, length, seek};

/// The end record without its comment, and the longest comment.
const END: u64 = 22;
const COMMENT: u64 = 0xffff;

const REPACK: &str = "unpack it and pack it again";
const SIGNED: &str = "sign it after it was normalized, not before";

/// Where the parts of an archive stand.
pub(super) struct Layout {
    /// Of the directory.
    start: u64,
    end: u64,
    /// Entries in it.
    count: u64,
    /// What must be added to the offsets that it tells: bytes that were put in front.
    shift: u64,
    /// The archive's comment.
    pub(super) comment: Vec<u8>,
}

/// Finds the end record; `None` where there is none.
pub(super) fn layout(source: &mut dyn Source) -> Result<Option<Layout>, Error> {
    let size = length(source)?;
    let from = size.saturating_sub(END + COMMENT + 20);
    seek(source, from)?;
    let mut tail = Vec::new();
    source
        .take(size - from)
        .read_to_end(&mut tail)
        .map_err(Error::reading)?;
    let found = tail
        .windows(4)
        .rposition(|window| window == record::END.as_slice());
    let Some(fixed) = found.and_then(|at| tail.get(at..)) else {
        return Ok(None);
    };
    let (fixed, comment) = fixed
        .split_at_checked(22)
        .ok_or_else(|| Error::broken("truncated in the end record of the zip"))?;
    let mut numbers = Numbers(fixed.get(4..).unwrap_or_default());
    let disks = [numbers.u16(), numbers.u16()];
    let (here, all) = (u64::from(numbers.u16()), u64::from(numbers.u16()));
    let (directory, offset) = (u64::from(numbers.u32()), u64::from(numbers.u32()));
    if usize::from(numbers.u16()) != comment.len() {
        return Err(Error::refused(
            "bytes behind the end record of the zip",
            REPACK,
        ));
    }
    let end = size - END - comment.len() as u64;
    let mut layout = Layout {
        start: 0,
        end,
        count: all,
        shift: 0,
        comment: comment.to_vec(),
    };
    let (mut directory, mut offset) = (directory, offset);
    let locator = end
        .checked_sub(20)
        .and_then(|at| tail.get(usize::try_from(at - from).ok()?..));
    let locator = locator.filter(|locator| locator.starts_with(&record::END64_LOCATOR));
    if let Some(locator) = locator {
        let mut numbers = Numbers(locator.get(8..).unwrap_or_default());
        let stated = numbers.u64();
        (layout.count, directory, offset, layout.end) = end64(source, stated, end - 20)?;
    } else if here != all || disks != [0, 0] {
        return Err(Error::refused("a part of a split zip", "join it first"));
    }
    let start = layout.end.checked_sub(directory);
    let shift = start.and_then(|start| start.checked_sub(offset));
    let (Some(start), Some(shift)) = (start, shift) else {
        return Err(Error::broken(
            "the end record names a directory that is not there",
        ));
    };
    (layout.start, layout.shift) = (start, shift);
    Ok(Some(layout))
}

/// Count, size and offset of the directory in the long end record, and where that begins.
fn end64(source: &mut dyn Source, stated: u64, before: u64) -> Result<(u64, u64, u64, u64), Error> {
    // Behind bytes that were put in front it stands where its usual length says.
    for at in [Some(stated), before.checked_sub(56)].into_iter().flatten() {
        if at.checked_add(56) != Some(before) {
            continue;
        }
        seek(source, at)?;
        let mut fixed = [0; 56];
        source.read_exact(&mut fixed).map_err(Error::reading)?;
        if fixed.starts_with(&record::END64) {
            let mut numbers = Numbers(fixed.get(32..).unwrap_or_default());
            return Ok((numbers.u64(), numbers.u64(), numbers.u64(), at));
        }
    }
    Err(Error::broken("no long end record where the zip says"))
}

/// What was read of an archive.
pub(super) struct Entries {
    /// In the order in which they are written; their contents are in the spool.
    pub(super) sorted: Sorted<Entry>,
    /// Bytes in front of the first entry.
    pub(super) front: u64,
    /// Their digest.
    pub(super) front_digest: Digest,
}

/// Reads everything; contents go, compressed again, to `contents`.
pub(super) fn read(
    source: &mut dyn Source,
    layout: &Layout,
    is_wheel: bool,
    contents: &mut dyn Write,
    context: &mut Context<'_>,
) -> Result<Entries, Error> {
    let mut directory = directory(source, layout, is_wheel, context)?;
    let keep_order = context.keeps(Pass::Order);
    let order = if keep_order {
        entry::by_ordinal
    } else {
        entry::by_name
    };
    let mut sorter = Sorter::new(order);
    let mut names = Sorter::new(entry::by_name);
    let (mut front, mut end, mut written) = (None, 0, 0);
    let keep_packed = context.keeps(Pass::Compression);
    let keep_extra = context.keeps(Pass::Extra);
    directory.each(|found| {
        let mut entry = found.clone();
        let local = local(source, &entry)?;
        if front.is_none() {
            front = Some(entry.offset);
        } else {
            between(end, entry.offset, &entry.name)?;
        }
        context.changed(Pass::Extra, !keep_extra && entry::has_dropped(&local.extra));
        entry.local_extra = entry::kept(&local.extra, keep_extra);
        end = pack(source, &mut entry, local.content, keep_packed, contents)?;
        end += descriptor(source, &local, end)?;
        (entry.offset, written) = (written, written + entry.stored);
        if keep_order {
            names.push(entry.clone(), context)?;
        }
        sorter.push(entry, context)
    })?;
    if front.is_some() && end != layout.start {
        return Err(Error::refused(
            "bytes between the last entry and the directory (an APK signing block?)",
            SIGNED,
        ));
    }
    let front = front.unwrap_or(layout.start);
    seek(source, 0)?;
    let front_digest = copy(source, front, &mut sink())?;
    let mut entries = sorter.finish(context)?;
    if keep_order {
        no_duplicates(&mut names.finish(context)?)?;
    } else {
        no_duplicates(&mut entries)?;
    }
    Ok(Entries {
        sorted: entries,
        front,
        front_digest,
    })
}

fn no_duplicates(entries: &mut Sorted<Entry>) -> Result<(), Error> {
    let mut before: Option<Vec<u8>> = None;
    entries.each(|entry| {
        if before.as_ref() == Some(&entry.name) {
            return Err(Error::refused(
                format!("{} stands twice in the zip", shown(&entry.name)),
                REPACK,
            ));
        }
        before = Some(entry.name.clone());
        Ok(())
    })
}

/// All entries of the directory, sorted by where they stand.
fn directory(
    source: &mut dyn Source,
    layout: &Layout,
    is_wheel: bool,
    context: &mut Context<'_>,
) -> Result<Sorted<Entry>, Error> {
    if layout.count > MEMBERS && !context.options.large {
        return Err(Error::refused(
            "more than two million entries",
            "if that is what you want: --large",
        ));
    }
    let keep_extra = context.keeps(Pass::Extra);
    let mut sorter = Sorter::new(entry::by_offset);
    let mut unpacked = 0_u64;
    seek(source, layout.start)?;
    let mut region = source.take(layout.end - layout.start);
    let mut stream = Stream::new(&mut region, BUFFER);
    for ordinal in 0..layout.count {
        if stream.peek(4) != record::CENTRAL {
            return Err(Error::broken("the directory of the zip breaks off"));
        }
        let central = Central::read(&mut stream)
            .ok_or_else(|| Error::broken("truncated in the directory of the zip"))?;
        check(&central)?;
        let rank = rank(&central.name, is_wheel);
        let mut entry = Entry::new(&central, ordinal, rank, keep_extra);
        context.changed(
            Pass::Extra,
            !keep_extra && entry::has_dropped(&central.extra),
        );
        entry.offset = entry
            .offset
            .checked_add(layout.shift)
            .filter(|offset| *offset < layout.start)
            .ok_or_else(|| Error::broken(format!("{} is not in the file", shown(&entry.name))))?;
        unpacked = unpacked.saturating_add(entry.size);
        if unpacked > context.unpacked && !context.options.large {
            return Err(Error::refused(
                "it unpacks to more than a gigabyte and 200 times its size",
                "if you trust it: --large",
            ));
        }
        sorter.push(entry, context)?;
    }
    if !stream.peek(1).is_empty() {
        return Err(Error::refused(
            "bytes behind the directory (a signature, or more entries than it says?)",
            REPACK,
        ));
    }
    sorter.finish(context)
}

/// Refuses what is signed, encrypted or split, and what an Android package is.
fn check(central: &Central) -> Result<(), Error> {
    let name = &central.name;
    let upper = name.to_ascii_uppercase();
    let in_meta = upper
        .strip_prefix(b"META-INF/")
        .is_some_and(|rest| !rest.contains(&b'/'));
    let signature = [&b".SF"[..], b".RSA", b".DSA", b".EC"]
        .iter()
        .any(|ending| upper.ends_with(ending))
        || upper.starts_with(b"META-INF/SIG-");
    let other =
        name == b".signature.p7s" || name.starts_with(b"package/services/digital-signature/");
    if (in_meta && signature) || other {
        return Err(Error::refused(format!("{} signs it", shown(name)), SIGNED));
    }
    if name == b"AndroidManifest.xml" || name == b"base/manifest/AndroidManifest.xml" {
        return Err(Error::refused(
            "an Android package: its entries are aligned and signed",
            "build it again with SOURCE_DATE_EPOCH set",
        ));
    }
    if name.is_empty() || name.contains(&0) {
        return Err(Error::broken("an entry of the zip has no name"));
    }
    if central.flags & 0x2041 != 0 {
        return Err(Error::refused(
            format!("{} is encrypted", shown(name)),
            "decrypt it first: encryption is random",
        ));
    }
    if central.disk != 0 {
        return Err(Error::refused("a part of a split zip", "join it first"));
    }
    let kind = central.external >> 28;
    if !matches!(kind, 0 | 0o4 | 0o10 | 0o12) {
        return Err(Error::refused(
            format!("{} is no file, directory or symlink", shown(name)),
            REPACK,
        ));
    }
    Ok(())
}

/// A local header that was compared with the directory.
struct Found {
    content: u64,
    extra: record::Extra,
    has_descriptor: bool,
}

fn local(source: &mut dyn Source, entry: &Entry) -> Result<Found, Error> {
    seek(source, entry.offset)?;
    let mut region = source.take(30 + 2 * 0xffff);
    let mut stream = Stream::new(&mut region, 4096);
    let begins = stream.peek(4) == record::LOCAL;
    let local = Local::read(&mut stream).filter(|_| begins);
    let local =
        local.ok_or_else(|| Error::broken(format!("no local header of {}", shown(&entry.name))))?;
    let has_descriptor = local.has_descriptor();
    let sizes = (local.crc, local.compressed, local.size);
    let told = (entry.crc, entry.stored, entry.size);
    let agrees = local.name == entry.name
        && local.method == entry.method
        && !local.is_encrypted()
        && (sizes == told || (has_descriptor && (sizes == (0, 0, 0) || local.crc == 0)));
    if !agrees {
        return Err(Error::refused(
            format!(
                "the directory and the local header say different things of {}",
                shown(&entry.name)
            ),
            REPACK,
        ));
    }
    Ok(Found {
        content: entry.offset + stream.offset(),
        extra: local.extra,
        has_descriptor,
    })
}

/// How many bytes a data descriptor takes at `at`: with or without signature, short or long.
fn descriptor(source: &mut dyn Source, local: &Found, at: u64) -> Result<u64, Error> {
    if !local.has_descriptor {
        return Ok(0);
    }
    seek(source, at)?;
    let mut bytes = Vec::new();
    source
        .take(28)
        .read_to_end(&mut bytes)
        .map_err(Error::reading)?;
    let next = |length: usize| {
        let after = bytes.get(length..length + 4);
        after.is_some_and(|after| after == record::LOCAL || after == record::CENTRAL)
    };
    let lengths = if bytes.starts_with(&record::DESCRIPTOR) {
        [16, 24]
    } else {
        [12, 20]
    };
    let length = lengths.into_iter().find(|length| next(*length));
    length
        .map(|length| length as u64)
        .ok_or_else(|| Error::refused("bytes behind an entry that are no data descriptor", REPACK))
}

/// Nothing may stand between two things, and they may not overlap.
fn between(end: u64, next: u64, name: &[u8]) -> Result<(), Error> {
    let what = match end.cmp(&next) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Less => "bytes of no entry stand before",
        std::cmp::Ordering::Greater => "another entry reaches into",
    };
    Err(Error::refused(format!("{what} {}", shown(name)), REPACK))
}
