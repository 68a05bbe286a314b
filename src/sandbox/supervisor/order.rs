//! The order in which a directory lists its names: positions from a keyed hash, laid out as the
//! kernel's `linux_dirent64` and `linux_dirent` records. Pure: a position depends on the key and
//! the name alone, so that a directory needs no state to be continued, rewound or shared.

use crate::model::DirectoryOrder;

/// Names begin at this position; `.` and `..` stand before it.
const FIRST: u64 = 16;
/// Offset of the name in `linux_dirent64`.
const NAME: usize = 19;

/// The layout of the records that a call wants, `getdents(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Records {
    /// `struct linux_dirent64`.
    Modern,
    /// `struct linux_dirent` with `unsigned long` of this many bytes.
    Legacy(usize),
}

/// How a key turns names into positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    key: u64,
    reverse: bool,
}

impl Order {
    /// The order that an environment asks for, if any.
    pub(super) fn of(order: DirectoryOrder) -> Option<Self> {
        match order {
            DirectoryOrder::Host => None,
            DirectoryOrder::Keyed { key, reverse } => Some(Self { key, reverse }),
        }
    }

    /// The position of a name, below `2^bits + FIRST`.
    fn position(self, name: &[u8], bits: u32) -> u64 {
        match name {
            b"." => 1,
            b".." => 2,
            _ => {
                let mask = (1_u64 << bits) - 1;
                let hash = keyed_hash(self.key, name) & mask;
                FIRST + if self.reverse { mask - hash } else { hash }
            }
        }
    }
}

/// FNV-1a under a key, finished so that every bit of the key and the name reaches every bit.
pub(super) fn keyed_hash(key: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(mix(hash))
}

fn mix(hash: u64) -> u64 {
    (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) ^ (hash >> 29)
}

/// Where a description stands when everything has been given out: behind every name. Whoever
/// finds one there need not look at the directory again.
pub(super) const fn end(bits: u32) -> u64 {
    (1 << bits) + 2 * FIRST
}

/// A directory as it was read once, in the order of positions.
#[derive(Debug)]
pub(super) struct Listing {
    records: Vec<u8>,
    /// Position, and where the record begins.
    entries: Vec<(u64, usize)>,
    bits: u32,
}

/// What one call gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slice {
    /// Bytes were laid out; the directory now stands at this position, which is [`end`] where
    /// nothing is left.
    Filled(u64),
    /// Nothing is left.
    End,
    /// The first entry does not fit: EINVAL.
    TooSmall,
}

impl Listing {
    /// Orders what `getdents64` returned. Malformed records end the listing.
    pub(super) fn new(records: Vec<u8>, order: Order, bits: u32) -> Self {
        let mut entries = Vec::new();
        let mut offset = 0;
        while let Some(entry) = Entry::at(&records, offset) {
            entries.push((order.position(entry.name, bits), offset));
            offset += entry.length;
        }
        // Equal positions (two names with one hash) are ordered by name, never by what the
        // file system happened to say first.
        entries.sort_by(|left, right| {
            let name = |at: usize| Entry::at(&records, at).map(|entry| entry.name);
            left.0
                .cmp(&right.0)
                .then_with(|| name(left.1).cmp(&name(right.1)))
        });
        Self {
            records,
            entries,
            bits,
        }
    }

    /// How much memory it holds, roughly.
    pub(super) fn size(&self) -> usize {
        self.records.len() + self.entries.len() * 16
    }

    /// How many bytes hold all of it, in either layout.
    pub(super) fn bytes(&self) -> usize {
        self.records.len() + self.entries.len() * 8
    }

    /// Lays out the entries from `position` on, as many as fit into `room` bytes. `renumber` maps
    /// inode numbers, by kind (`DT_*`) and name.
    pub(super) fn fill(
        &self,
        position: u64,
        records: Records,
        room: usize,
        out: &mut Vec<u8>,
        renumber: impl Fn(u64, u8, &[u8]) -> u64,
    ) -> Slice {
        out.clear();
        let start = self.entries.partition_point(|(at, _)| *at < position);
        let mut rest = self.entries.get(start..).unwrap_or_default();
        let mut reached = None;
        while let Some((at, _)) = rest.first() {
            // Names that share a position travel together: a position cannot stand between them.
            let count = rest.iter().take_while(|(other, _)| other == at).count();
            let (group, further) = rest.split_at(count);
            let before = out.len();
            for (_, offset) in group {
                if let Some(entry) = Entry::at(&self.records, *offset) {
                    let inode = renumber(entry.inode, entry.kind, entry.name);
                    let record = self.records.get(*offset..offset + entry.length);
                    match record.and_then(|record| record.get(16..)) {
                        // As the kernel laid it out, but for two numbers.
                        Some(rest) if records == Records::Modern => {
                            out.extend_from_slice(&inode.to_ne_bytes());
                            out.extend_from_slice(&(at + 1).to_ne_bytes());
                            out.extend_from_slice(rest);
                        }
                        _ => entry.lay_out(records, at + 1, inode, out),
                    }
                }
            }
            if out.len() > room {
                out.truncate(before);
                break;
            }
            reached = Some(at + 1);
            rest = further;
        }
        match reached {
            Some(_) if rest.is_empty() => Slice::Filled(end(self.bits)),
            Some(position) => Slice::Filled(position),
            None if rest.is_empty() => Slice::End,
            None => Slice::TooSmall,
        }
    }
}

/// One `linux_dirent64`.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    inode: u64,
    kind: u8,
    name: &'a [u8],
    length: usize,
}

impl<'a> Entry<'a> {
    fn at(records: &'a [u8], offset: usize) -> Option<Self> {
        let record = records.get(offset..)?;
        let inode = u64::from_ne_bytes(*record.first_chunk()?);
        let length = usize::from(u16::from_ne_bytes(*record.get(16..)?.first_chunk()?));
        let kind = *record.get(18)?;
        let name = record.get(NAME..length)?;
        // Only the last eight bytes can hold what fills the record up.
        let from = name.len().saturating_sub(8);
        let fill = name.get(from..)?.iter().position(|byte| *byte == 0)?;
        Some(Self {
            inode,
            kind,
            name: name.get(..from + fill)?,
            length,
        })
    }

    fn lay_out(self, records: Records, next: u64, inode: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let (fixed, word) = match records {
            Records::Modern => (NAME, 8),
            Records::Legacy(word) => (2 * word + 2, word),
        };
        // Legacy records hide the kind of the entry in their last byte.
        let tail = match records {
            Records::Modern => 1,
            Records::Legacy(_) => 2,
        };
        let length = (fixed + self.name.len() + tail).next_multiple_of(word);
        out.extend(inode.to_ne_bytes().iter().take(word));
        out.extend(next.to_ne_bytes().iter().take(word));
        out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        if records == Records::Modern {
            out.push(self.kind);
        }
        out.extend(self.name);
        out.resize(start + length, 0);
        if let (Records::Legacy(_), Some(last)) = (records, out.last_mut()) {
            *last = self.kind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(names: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for (inode, name) in names.iter().enumerate() {
            let entry = Entry {
                inode: inode as u64 + 1,
                kind: 8,
                name: name.as_bytes(),
                length: 0,
            };
            entry.lay_out(Records::Modern, 0, entry.inode, &mut out);
        }
        out
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        let mut offset = 0;
        let mut names = Vec::new();
        while let Some(entry) = Entry::at(bytes, offset) {
            names.push(String::from_utf8_lossy(entry.name).into_owned());
            offset += entry.length;
        }
        names
    }

    fn all(listing: &Listing, room: usize) -> Vec<String> {
        let (mut position, mut out, mut found) = (0, Vec::new(), Vec::new());
        while let Slice::Filled(next) =
            listing.fill(position, Records::Modern, room, &mut out, |inode, _, _| {
                inode
            })
        {
            assert!(out.len() <= room);
            found.extend(names(&out));
            position = next;
        }
        assert!(found.is_empty() || position == end(listing.bits));
        found
    }

    const NAMES: [&str; 6] = [".", "alpha", "..", "beta", "gamma", "delta"];

    #[test]
    fn the_reverse_order_flips_every_pair_of_names() {
        let listed = |reverse| {
            let order = Order { key: 7, reverse };
            all(&Listing::new(records(&NAMES), order, 42), 4096)
        };
        let (forward, mut backward) = (listed(false), listed(true));
        assert_eq!(forward[..2], [".", ".."]);
        backward[2..].reverse();
        assert_eq!(forward, backward);
    }

    #[test]
    fn small_buffers_lose_and_repeat_nothing() {
        let many: Vec<String> = (0..500).map(|number| format!("x{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let order = Order {
            key: 1,
            reverse: false,
        };
        // Nine bits force names onto the same position.
        for bits in [9, 30, 42] {
            let mut found = all(&Listing::new(records(&many), order, bits), 300);
            found.sort();
            let mut wanted = many.clone();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{bits} bits");
        }
    }

    #[test]
    fn a_buffer_too_small_for_the_first_entry_says_so() {
        let listing = Listing::new(
            records(&NAMES),
            Order {
                key: 1,
                reverse: false,
            },
            42,
        );
        let mut out = Vec::new();
        let slice = listing.fill(0, Records::Modern, 10, &mut out, |inode, _, _| inode);
        assert_eq!(slice, Slice::TooSmall);
        let slice = listing.fill(end(42), Records::Modern, 10, &mut out, |inode, _, _| inode);
        assert_eq!(slice, Slice::End);
    }

    #[test]
    fn legacy_records_keep_the_kind_in_the_last_byte() {
        let listing = Listing::new(
            records(&["name"]),
            Order {
                key: 1,
                reverse: false,
            },
            30,
        );
        let mut out = Vec::new();
        listing.fill(0, Records::Legacy(8), 4096, &mut out, |inode, _, _| {
            inode + 5
        });
        assert_eq!(out.len(), 24);
        assert_eq!(out[0], 6);
        assert_eq!(&out[18..23], b"name\0");
        assert_eq!(out[23], 8);
        listing.fill(0, Records::Legacy(4), 4096, &mut out, |inode, _, _| inode);
        assert_eq!(out.len(), 16);
        assert_eq!(&out[10..15], b"name\0");
    }

    #[test]
    fn foreign_bytes_end_the_listing() {
        let mut bytes = records(&NAMES);
        bytes.extend([1, 2, 3]);
        let order = Order {
            key: 1,
            reverse: false,
        };
        assert_eq!(
            all(&Listing::new(bytes, order, 42), 4096).len(),
            NAMES.len()
        );
    }
}
