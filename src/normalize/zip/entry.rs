//! One entry of a zip archive, as it was read and as it is kept in the index: what it holds, and which
//! place it has.

use std::cmp::Ordering;

use crate::formats::zip::record::Central;
use crate::normalize::sorted::{Packer, Record, Unpacker};
use crate::normalize::spool::Digest;

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// An entry. `offset` and `stored` are first those in the source, then those in the spool of contents.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its place in the directory, counted from 0.
    pub(super) ordinal: u64,
    /// Which entries must stand first or last; by the name.
    pub(super) rank: u64,
    pub(super) name: Vec<u8>,
    pub(super) made_by: u16,
    pub(super) version: u16,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) date: u16,
    pub(super) time: u16,
    pub(super) crc: u32,
    pub(super) size: u64,
    pub(super) stored: u64,
    pub(super) offset: u64,
    pub(super) internal: u16,
    pub(super) external: u32,
    /// Extra fields of the local header and of the directory that are content.
    pub(super) local_extra: Vec<u8>,
    pub(super) extra: Vec<u8>,
    pub(super) comment: Vec<u8>,
    /// Of the unpacked content; of the stored bytes where the method is not known here.
    pub(super) digest: Digest,
}

/// Extra fields with times, owners and sizes: no content, or written anew.
const DROPPED: [u16; 6] = [0x0001, 0x000a, 0x000d, 0x5455, 0x5855, 0x7875];
/// The extra field with sizes of 64 bits, which is there where it is needed.
const ZIP64: u16 = 0x0001;

impl Entry {
    pub(super) fn new(central: &Central, ordinal: u64, rank: u64, keep_extra: bool) -> Self {
        Self {
            ordinal,
            rank,
            name: central.name.clone(),
            made_by: central.made_by,
            version: central.version,
            flags: central.flags,
            method: central.method,
            date: central.date,
            time: central.time,
            crc: central.crc,
            size: central.size,
            stored: central.compressed,
            offset: central.local,
            internal: central.internal,
            external: central.external,
            local_extra: Vec::new(),
            extra: kept(&central.extra, keep_extra),
            comment: central.comment.clone(),
            digest: [0; 32],
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.name.ends_with(b"/")
    }

    /// Whether its content can be unpacked here.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.method, STORED | DEFLATED)
    }
}

/// The extra fields that stay.
pub(super) fn kept(extra: &[(u16, Vec<u8>, u64)], keep_all: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, content, _) in extra {
        if *id == ZIP64 || (!keep_all && DROPPED.contains(id)) {
            continue;
        }
        let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(content);
    }
    bytes
}

/// Whether extra fields tell what is not kept.
pub(super) fn has_dropped(extra: &[(u16, Vec<u8>, u64)]) -> bool {
    extra
        .iter()
        .any(|(id, _, _)| *id != ZIP64 && DROPPED.contains(id))
}

/// Which entries must stand first or last: the manifest of a jar, where `JarInputStream` looks for it;
/// the type of an EPUB or ODF file; the metadata of a wheel, which installers read from its end.
pub(super) fn rank(name: &[u8], is_wheel: bool) -> u64 {
    match name {
        b"META-INF/" | b"mimetype" | b"[Content_Types].xml" => 0,
        b"META-INF/MANIFEST.MF" => 1,
        _ if is_wheel => {
            let top = name.split(|byte| *byte == b'/').next().unwrap_or_default();
            match (
                top.ends_with(b".dist-info"),
                name.ends_with(b".dist-info/RECORD"),
            ) {
                (true, true) => 4,
                (true, false) => 3,
                (false, _) => 2,
            }
        }
        _ => 2,
    }
}

pub(super) fn by_offset(one: &Entry, other: &Entry) -> Ordering {
    (one.offset, one.ordinal).cmp(&(other.offset, other.ordinal))
}

pub(super) fn by_name(one: &Entry, other: &Entry) -> Ordering {
    (one.rank, &one.name, one.ordinal).cmp(&(other.rank, &other.name, other.ordinal))
}

pub(super) fn by_ordinal(one: &Entry, other: &Entry) -> Ordering {
    one.ordinal.cmp(&other.ordinal)
}

impl Record for Entry {
    fn encode(&self, to: &mut Vec<u8>) {
        let mut packer = Packer(to);
        packer
            .number(self.ordinal)
            .number(self.rank)
            .bytes(&self.name);
        for number in [
            self.made_by,
            self.version,
            self.flags,
            self.method,
            self.date,
            self.time,
            self.internal,
        ] {
            packer.number(u64::from(number));
        }
        packer
            .number(u64::from(self.crc))
            .number(self.size)
            .number(self.stored)
            .number(self.offset)
            .number(u64::from(self.external))
            .bytes(&self.local_extra)
            .bytes(&self.extra)
            .bytes(&self.comment)
            .bytes(&self.digest);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Unpacker(bytes);
        let (ordinal, rank, name) = (from.number()?, from.number()?, from.bytes()?);
        let mut short = || u16::try_from(from.number()?).ok();
        let (made_by, version, flags, method) = (short()?, short()?, short()?, short()?);
        let (date, time, internal) = (short()?, short()?, short()?);
        Some(Self {
            ordinal,
            rank,
            name,
            made_by,
            version,
            flags,
            method,
            date,
            time,
            internal,
            crc: u32::try_from(from.number()?).ok()?,
            size: from.number()?,
            stored: from.number()?,
            offset: from.number()?,
            external: u32::try_from(from.number()?).ok()?,
            local_extra: from.bytes()?,
            extra: from.bytes()?,
            comment: from.bytes()?,
            digest: from.bytes()?.try_into().ok()?,
        })
    }

    fn weight(&self) -> usize {
        let strings = [&self.name, &self.local_extra, &self.extra, &self.comment];
        let strings = strings.iter().filter(|bytes| !bytes.is_empty());
        size_of::<Self>() + strings.map(|bytes| bytes.len() + 16).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_stands_where_readers_look_for_it() {
        let mut names = [
            "x-1.dist-info/RECORD",
            "x-1.dist-info/METADATA",
            "x/__init__.py",
            "z.py",
        ];
        names.sort_by_key(|name| (rank(name.as_bytes(), true), *name));
        assert_eq!(names[0], "x/__init__.py");
        assert_eq!(names[3], "x-1.dist-info/RECORD");
        let mut names = [
            "A.class",
            "META-INF/INDEX.LIST",
            "META-INF/MANIFEST.MF",
            "META-INF/",
        ];
        names.sort_by_key(|name| (rank(name.as_bytes(), false), *name));
        assert_eq!(names[..2], ["META-INF/", "META-INF/MANIFEST.MF"]);
    }
}
