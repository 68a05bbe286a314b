//! Images of the file system squashfs, version 4: the time and the sizes of the superblock, and the times
//! of the files.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use super::format::{Format, Holds, Kind, Known};
use super::pieces::{Fixed, Form, Pieces, little};
use super::place::Place;
use super::stream::{Hash, Stream};
use crate::model::{Field, Value};

pub(super) const FORMAT: Format = Format {
    name: "squashfs",
    recognise: |prefix| {
        prefix.starts_with(b"hsqs") && prefix.get(28..32) == Some([4, 0, 0, 0].as_slice())
    },
    read,
    holds: Holds::Nothing,
    fields: &[
        Known::within("creation-time", Kind::Time),
        Known::within("inode-times", Kind::Time),
        Known::within("inodes", Kind::Content),
        Known::within("block-size", Kind::Content),
        Known::within("compression", Kind::Content),
    ],
    normal: &[],
};

/// Places of the fields in the superblock (docs.kernel.org/filesystems/squashfs, and what mksquashfs
/// writes).
const FIELDS: [Fixed; 4] = [
    Fixed::new("squashfs.inodes", 4, 4, Form::Little),
    Fixed::new("squashfs.creation-time", 8, 4, Form::Little),
    Fixed::new("squashfs.block-size", 12, 4, Form::Little),
    Fixed::new("squashfs.compression", 20, 2, Form::Little),
];

const SUPERBLOCK: usize = 96;
/// What a block of metadata holds at most, and the bit of its length that says it is stored.
const BLOCK: usize = 8 << 10;
const STORED: u16 = 0x8000;
/// So many bytes of inodes are unpacked.
const INODES: usize = 64 << 20;
/// So many blocks of one file are believed.
const BLOCKS: u64 = 1 << 24;
/// Memory that a dictionary may take, in KiB.
const MEMORY: u32 = 16 << 10;
/// Kinds of compression.
const GZIP: u64 = 1;
const XZ: u64 = 4;
const ZSTD: u64 = 6;

/// What the superblock says of the inodes.
struct Table {
    count: u64,
    block_size: u64,
    compression: u64,
    start: u64,
    end: u64,
}

impl Table {
    fn new(superblock: &[u8]) -> Option<Self> {
        let of = |at: usize, length: usize| number(superblock, at, length);
        let table = Self {
            count: of(4, 4)?,
            block_size: of(12, 4)?,
            compression: of(20, 2)?,
            start: of(64, 8)?,
            end: of(72, 8)?,
        };
        let sane = table.start >= SUPERBLOCK as u64
            && table.end > table.start
            && table.block_size.is_power_of_two();
        sane.then_some(table)
    }
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut pieces = Pieces::new(stream);
    let table = Table::new(pieces.peek(SUPERBLOCK));
    pieces.fixed(0, &FIELDS, place);
    if let Some(table) = table
        && pieces.pass(table.start.saturating_sub(pieces.offset()))
    {
        let read = inodes(&mut pieces, &table);
        match read.and_then(|inodes| times(&inodes, &table).ok_or_else(broken)) {
            Ok(times) => place.field(Field::new("squashfs.inode-times"), times, table.start),
            Err(error) => place.problem(format!("times of the files were not read: {error}")),
        }
    }
    pieces.finish(place, FORMAT.name);
}

/// The inodes, unpacked.
fn inodes(pieces: &mut Pieces<'_, '_>, table: &Table) -> io::Result<Vec<u8>> {
    let mut inodes = Vec::new();
    while pieces.offset() < table.end {
        let header = pieces.seen(2).ok_or_else(broken)?;
        let header = header.first_chunk().map(|two| u16::from_le_bytes(*two));
        let header = header.ok_or_else(broken)?;
        let block = pieces.seen(u64::from(header & !STORED));
        let block = block.ok_or_else(broken)?;
        if header & STORED != 0 {
            inodes.extend_from_slice(&block);
        } else {
            unpack(&block, table.compression, &mut inodes)?;
        }
        if inodes.len() > INODES {
            return Err(io::Error::other(format!("more than {} MiB", INODES >> 20)));
        }
    }
    Ok(inodes)
}

fn unpack(block: &[u8], compression: u64, into: &mut Vec<u8>) -> io::Result<()> {
    let most = BLOCK as u64;
    match compression {
        GZIP => ZlibDecoder::new(block).take(most).read_to_end(into),
        XZ => XzReader::new_mem_limit(block, false, MEMORY)
            .take(most)
            .read_to_end(into),
        ZSTD => StreamingDecoder::new(block)
            .map_err(io::Error::other)?
            .take(most)
            .read_to_end(into),
        other => {
            return Err(io::Error::other(format!(
                "compression {other} is not known"
            )));
        }
    }
    .map(drop)
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

/// The times of all inodes by their numbers: the one that they share, or the first and the last, how
/// many there are, and a digest of all.
fn times(inodes: &[u8], table: &Table) -> Option<Value> {
    let mut times: Vec<[u64; 2]> = Vec::new();
    let mut at = 0;
    while (times.len() as u64) < table.count {
        let rest = inodes.get(at..)?;
        times.push([number(rest, 12, 4)?, number(rest, 8, 4)?]);
        at = at.checked_add(length(rest, table.block_size)?)?;
    }
    times.sort_unstable();
    let mut all: Vec<u64> = times.iter().map(|[_, time]| *time).collect();
    all.sort_unstable();
    all.dedup();
    let (first, last) = (all.first()?, all.last()?);
    if first == last {
        return Some(Value::Text(first.to_string()));
    }
    let bytes: Vec<u8> = times
        .iter()
        .flatten()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    let digest = Hash::of(&bytes);
    let count = all.len();
    Some(Value::Text(format!(
        "{count} times from {first} to {last}, {digest}"
    )))
}

/// How long the first of these inodes is.
fn length(inode: &[u8], block_size: u64) -> Option<usize> {
    let word = |at: usize| number(inode, at, 4);
    let blocks = |size: u64, fragment: u64| {
        let none = fragment == u64::from(u32::MAX);
        let blocks = if none {
            size.div_ceil(block_size)
        } else {
            size / block_size
        };
        (blocks <= BLOCKS).then_some(blocks * 4)
    };
    let length = match number(inode, 0, 2)? {
        // Directories, short ones and those with an index.
        1 => 32,
        8 => {
            let mut at = 40;
            for _ in 0..number(inode, 32, 2)? {
                let name = usize::try_from(word(at + 8)?).ok()?;
                at = at.checked_add(13)?.checked_add(name)?;
            }
            at as u64
        }
        // Files.
        2 => 32 + blocks(word(28)?, word(20)?)?,
        9 => 56 + blocks(number(inode, 24, 8)?, word(44)?)?,
        // Links.
        3 => 24 + word(20)?,
        10 => 28 + word(20)?,
        // Devices, pipes and sockets.
        4 | 5 | 13 | 14 => 24,
        11 | 12 => 28,
        6 | 7 => 20,
        _ => return None,
    };
    usize::try_from(length).ok()
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(length)?).map(little)
}
