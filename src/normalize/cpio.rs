//! cpio in the "new" ASCII form, as an initramfs is: sorted, one time, inodes counted from 1, no devices
//! of the disk that it was packed on. Owners, modes and the numbers of device files are content. The
//! content of a hard link stands, as in all such archives, with its last name.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Read, Write};

use super::context::Context;
use super::error::{Error, shown};
use super::options::{Class, MEMBERS, Pass};
use super::path;
use super::sorted::{Packer, Record, Sorted, Sorter, Unpacker};
use super::spool::{BUFFER, Digest, Source, copy, only_zeros, seek};
use crate::formats::cpio::{Header, MAGIC, NAME, TRAILER, padding};

const REPACK: &str = "unpack it and pack it again with cpio -H newc";
/// What an archive is padded to.
const BLOCK: u64 = 512;
/// What hard links may take in memory, counted in names.
const LINKS: u64 = 100_000;

/// The type of a file in its mode, and that of a directory and a symlink.
const TYPE: u64 = 0o170_000;
const DIRECTORY: u64 = 0o040_000;

// The numbers of a header, by their places.
const INODE: usize = 0;
const MODE: usize = 1;
const LINK_COUNT: usize = 4;
const MTIME: usize = 5;
const SIZE: usize = 6;
const DEVICE: [usize; 2] = [7, 8];
const NAME_LENGTH: usize = 11;
const CHECK: usize = 12;

pub(super) fn recognise(prefix: &[u8]) -> bool {
    MAGIC.iter().any(|magic| prefix.starts_with(magic))
}

/// A member, as in its header.
#[derive(Debug, Clone)]
struct Member {
    ordinal: u64,
    name: Vec<u8>,
    numbers: [u64; 13],
    offset: u64,
    digest: Digest,
}

/// A file with several names.
type Inode = (u64, u64, u64);

/// What has been read of one, and what is left to write.
struct Group {
    /// Where its content stands.
    content: Member,
    /// Names that are still to be written.
    names: u64,
    /// Its new number, once its first name was written.
    number: u64,
}

impl Member {
    fn get(&self, index: usize) -> u64 {
        self.numbers.get(index).copied().unwrap_or_default()
    }

    fn is_directory(&self) -> bool {
        self.get(MODE) & TYPE == DIRECTORY
    }

    /// The file that it is a name of, where it may have others.
    fn inode(&self) -> Option<Inode> {
        let [major, minor] = DEVICE.map(|index| self.get(index));
        let linked = self.get(LINK_COUNT) > 1 && !self.is_directory();
        linked.then(|| (major, minor, self.get(INODE)))
    }
}

impl Record for Member {
    fn encode(&self, to: &mut Vec<u8>) {
        let mut packer = Packer(to);
        packer.number(self.ordinal).number(self.offset);
        packer.bytes(&self.name).bytes(&self.digest);
        for number in self.numbers {
            packer.number(number);
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Unpacker(bytes);
        let (ordinal, offset) = (from.number()?, from.number()?);
        let (name, digest) = (from.bytes()?, from.bytes()?.try_into().ok()?);
        let mut numbers = [0; 13];
        for number in &mut numbers {
            *number = from.number()?;
        }
        Some(Self {
            ordinal,
            name,
            numbers,
            offset,
            digest,
        })
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.name.len() + 16
    }
}

fn by_path(one: &Member, other: &Member) -> Ordering {
    path::compare(&one.name, &other.name).then(one.ordinal.cmp(&other.ordinal))
}

fn by_place(one: &Member, other: &Member) -> Ordering {
    one.ordinal.cmp(&other.ordinal)
}

/// An archive that was read to its end.
pub(super) struct Index {
    magic: &'static [u8],
    members: Sorted<Member>,
    contents: BTreeMap<Inode, (Member, u64)>,
    /// `None` where each keeps its own.
    time: Option<u64>,
}

impl Index {
    /// Reads an archive to its end.
    pub(super) fn read(stream: &mut dyn Read, context: &mut Context<'_>) -> Result<Self, Error> {
        context.is("cpio", Some(Class::System));
        let mut stream = Stream::new(stream);
        let mut sorter = Sorter::new(by_path);
        let mut contents: BTreeMap<Inode, (Member, u64)> = BTreeMap::new();
        let mut first = None;
        while let Some(member) = stream.next()? {
            first = first.or(Some(member.get(MTIME)));
            if let Some(inode) = member.inode() {
                let known = contents.entry(inode).or_insert((member.clone(), 0));
                known.1 += 1;
                join(&mut known.0, &member)?;
            }
            let many = contents.len() as u64 > LINKS || member.ordinal >= MEMBERS;
            if many && !context.options.large {
                return Err(Error::refused(
                    "more than two million members, or hard links of 100000 files",
                    "if that is what you want: --large",
                ));
            }
            sorter.push(member, context)?;
        }
        let magic = stream.magic;
        let mut members = sorter.finish(context)?;
        judge(&mut members)?;
        if context.keeps(Pass::Order) {
            let mut sorter = Sorter::new(by_place);
            members.each(|member| sorter.push(member.clone(), context))?;
            members = sorter.finish(context)?;
        }
        let met = i64::try_from(first.unwrap_or_default()).unwrap_or_default();
        let time = if context.keeps(Pass::Time) {
            None
        } else {
            Some(cpio_time(context.time(met))?)
        };
        Ok(Self {
            magic,
            members,
            contents,
            time,
        })
    }
}

/// Only one name of a file may have a content.
fn join(content: &mut Member, member: &Member) -> Result<(), Error> {
    if content.get(SIZE) > 0 && member.get(SIZE) > 0 && content.ordinal != member.ordinal {
        return Err(Error::refused(
            format!(
                "two names of one file have a content: {}",
                shown(&member.name)
            ),
            REPACK,
        ));
    }
    if member.get(SIZE) > 0 {
        *content = member.clone();
    }
    Ok(())
}

fn cpio_time(time: i64) -> Result<u64, Error> {
    let fits = u32::try_from(time).ok().map(u64::from);
    fits.ok_or_else(|| {
        Error::refused(
            format!("the time {time} does not fit into a cpio header"),
            "choose one from 0 to 4294967295: --mtime",
        )
    })
}

/// Each place once, and nothing below what is no directory.
fn judge(members: &mut Sorted<Member>) -> Result<(), Error> {
    let mut before: Option<Member> = None;
    let mut leaf: Option<Vec<u8>> = None;
    members.each(|member| {
        let same = |other: &Member| path::compare(&other.name, &member.name) == Ordering::Equal;
        if before.as_ref().is_some_and(same) {
            let reason = format!("{} stands twice in the cpio", shown(&member.name));
            return Err(Error::refused(reason, REPACK));
        }
        if leaf
            .as_ref()
            .is_some_and(|leaf| path::is_below(&member.name, leaf))
        {
            let reason = format!("{} lies below what is no directory", shown(&member.name));
            return Err(Error::refused(reason, REPACK));
        }
        if !member.is_directory() {
            leaf = Some(member.name.clone());
        }
        before = Some(member.clone());
        Ok(())
    })
}

/// Gives members their numbers in the order in which they are written.
struct Numbering<'c> {
    groups: BTreeMap<Inode, Group>,
    contents: &'c BTreeMap<Inode, (Member, u64)>,
    next: u64,
    time: Option<u64>,
}

impl<'c> Numbering<'c> {
    fn new(contents: &'c BTreeMap<Inode, (Member, u64)>, time: Option<u64>) -> Self {
        Self {
            groups: BTreeMap::new(),
            contents,
            next: 1,
            time,
        }
    }

    /// The member as it is written: its content may be that of another name, or stand with another.
    fn written(&mut self, member: &Member) -> Member {
        let mut written = member.clone();
        let mut number = self.next;
        if let Some(inode) = member.inode()
            && let Some((content, names)) = self.contents.get(&inode)
        {
            let group = self.groups.entry(inode).or_insert_with(|| Group {
                content: content.clone(),
                names: *names,
                number,
            });
            number = group.number;
            group.names -= 1;
            let is_last = group.names == 0;
            written.offset = group.content.offset;
            written.digest = group.content.digest;
            let size = if is_last { group.content.get(SIZE) } else { 0 };
            let check = if is_last { group.content.get(CHECK) } else { 0 };
            set(&mut written, SIZE, size);
            set(&mut written, CHECK, check);
            if is_last {
                self.groups.remove(&inode);
            }
        }
        if number == self.next {
            self.next += 1;
        }
        set(&mut written, INODE, number);
        for index in DEVICE {
            set(&mut written, index, 0);
        }
        if member.is_directory() {
            // File systems count the links of directories differently.
            set(&mut written, LINK_COUNT, 2);
        }
        if let Some(time) = self.time {
            set(&mut written, MTIME, time);
        }
        written
    }
}

fn set(member: &mut Member, index: usize, number: u64) {
    if let Some(place) = member.numbers.get_mut(index) {
        *place = number;
    }
}

/// A header, a name and their padding.
fn header(magic: &[u8], numbers: &[u64; 13], name: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    for number in numbers {
        bytes.extend_from_slice(format!("{number:08X}").as_bytes());
    }
    bytes.extend_from_slice(name);
    bytes.push(0);
    while !bytes.len().is_multiple_of(4) {
        bytes.push(0);
    }
    bytes
}

impl Index {
    /// Writes the canonical form, with the contents from `source`, the archive that was read.
    pub(super) fn write(
        &mut self,
        source: &mut dyn Source,
        out: &mut dyn Write,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        let mut numbering = Numbering::new(&self.contents, self.time);
        let magic = self.magic;
        let (mut position, mut length) = (0, 0);
        self.members.each(|member| {
            let written = numbering.written(member);
            let changed = |indices: &[usize]| {
                indices
                    .iter()
                    .any(|index| member.get(*index) != written.get(*index))
            };
            context.changed(Pass::Time, changed(&[MTIME]));
            context.changed(Pass::Order, member.ordinal != position);
            context.changed(Pass::Links, changed(&[SIZE]));
            let numbers = [&[INODE, LINK_COUNT], &DEVICE[..]].concat();
            context.changed(Pass::Extra, changed(&numbers));
            position += 1;
            let head = header(magic, &written.numbers, &written.name);
            out.write_all(&head).map_err(Error::writing)?;
            let size = written.get(SIZE);
            seek(source, written.offset)?;
            let digest = copy(source, size, &mut out)?;
            if size > 0 && digest != written.digest {
                let name = shown(&written.name);
                return Err(Error::broken(format!("{name} changed while it was read")));
            }
            zeros(padding(size), &mut out)?;
            length += head.len() as u64 + size + padding(size);
            Ok(())
        })?;
        let mut numbers = [0; 13];
        numbers[LINK_COUNT] = 1;
        numbers[NAME_LENGTH] = TRAILER.len() as u64 + 1;
        let trailer = header(magic, &numbers, TRAILER);
        out.write_all(&trailer).map_err(Error::writing)?;
        let length = length + trailer.len() as u64;
        zeros(length.next_multiple_of(BLOCK) - length, &mut out)?;
        out.flush().map_err(Error::writing)
    }

    /// Reads back what was written: each member is what it was in the source.
    pub(super) fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        let mut back = Stream::new(back);
        let mut numbering = Numbering::new(&self.contents, self.time);
        self.members.each(|member| {
            let written = numbering.written(member);
            let same = back.next()?.is_some_and(|read| {
                let content = written.get(SIZE) == 0 || read.digest == written.digest;
                read.name == written.name && read.numbers == written.numbers && content
            });
            if same {
                return Ok(());
            }
            Err(Error::Unverified(shown(&written.name)))
        })?;
        match back.next()? {
            None => Ok(()),
            Some(_) => Err(Error::Unverified("there is more than there was".to_owned())),
        }
    }
}

fn zeros(count: u64, out: &mut dyn Write) -> Result<(), Error> {
    io::copy(&mut io::repeat(0).take(count), out)
        .map(drop)
        .map_err(Error::writing)
}

/// The members of a stream.
struct Stream<'r> {
    source: BufReader<&'r mut dyn Read>,
    offset: u64,
    count: u64,
    magic: &'static [u8],
}

impl<'r> Stream<'r> {
    fn new(source: &'r mut dyn Read) -> Self {
        Self {
            source: BufReader::with_capacity(BUFFER, source),
            offset: 0,
            count: 0,
            magic: b"070701",
        }
    }

    /// The next member; `None` behind the trailer, after which nothing but zeros may stand.
    fn next(&mut self) -> Result<Option<Member>, Error> {
        let at = self.offset;
        let broken = || Error::broken(format!("no valid cpio header at offset {at}"));
        let mut bytes = [0; 110];
        self.source.read_exact(&mut bytes).map_err(Error::reading)?;
        let magic = MAGIC.iter().find(|magic| bytes.starts_with(magic));
        self.magic = magic.ok_or_else(broken)?;
        let header = Header { bytes, offset: at };
        let mut numbers = [0; 13];
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = header.number(index).ok_or_else(broken)?;
        }
        let length = numbers[NAME_LENGTH];
        if length == 0 || length > NAME {
            return Err(broken());
        }
        let mut name = Vec::new();
        copy(&mut self.source, length, &mut name)?;
        self.skip(padding(110 + length))?;
        let ended = name.pop() == Some(0) && !name.contains(&0) && !name.is_empty();
        if !ended {
            return Err(broken());
        }
        self.offset += 110 + length + padding(110 + length);
        if name == TRAILER {
            return self.end().map(|()| None);
        }
        let offset = self.offset;
        let size = numbers[SIZE];
        let digest = copy(&mut self.source, size, &mut io::sink())?;
        self.skip(padding(size))?;
        self.offset += size + padding(size);
        self.count += 1;
        Ok(Some(Member {
            ordinal: self.count - 1,
            name,
            numbers,
            offset,
            digest,
        }))
    }

    fn skip(&mut self, count: u64) -> Result<(), Error> {
        copy(&mut self.source, count, &mut io::sink()).map(drop)
    }

    fn end(&mut self) -> Result<(), Error> {
        if only_zeros(&mut self.source).map_err(Error::reading)? {
            return Ok(());
        }
        Err(Error::refused(
            "another archive behind the end of the cpio (early microcode and an initramfs?)",
            "take them apart and normalize each one",
        ))
    }
}
