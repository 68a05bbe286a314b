//! Where the bytes of two contents part: what they begin and end with is left out, places of one
//! offset are compared side by side, and where bytes were put in or left out, runs that both hold
//! bring the two together again. Memory does not grow with the contents.

use std::io;
use std::ops::Range;

use super::excerpt::common;
use crate::formats::{self, ReadAt, part};
use crate::model::difference::{self, Both};

/// So many bytes are read at once.
const CHUNK: usize = 64 << 10;
/// Differing bytes with fewer equal ones between are one range.
const GAP: u64 = 8;
/// So many ranges are listed.
const LISTED: usize = 10_000;
/// So many bytes of a range are shown.
const SHOWN: usize = 16;
/// Runs of so many bytes bring two contents together again.
const BLOCK: usize = 32;
/// The weight of a byte that leaves the hash of such a run.
const GONE: u64 = FACTOR.wrapping_pow(32);
/// So many bytes of each are looked at together: what has moved farther is not found again.
const WINDOW: u64 = 4 << 20;

/// Bytes of the second that stand in the place of some of the first; one of the two may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parting {
    pub(super) first: Range<u64>,
    pub(super) second: Range<u64>,
}

/// Where two contents part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Partings {
    /// In their order.
    pub(super) listed: Vec<Parting>,
    /// Further ones.
    pub(super) more: u64,
    /// Bytes that differ in the first and in the second, of all of them.
    pub(super) differing: [u64; 2],
}

impl Partings {
    /// Differing bytes in all.
    pub(super) fn differing(&self) -> Both<u64> {
        let [first, second] = self.differing;
        Both { first, second }
    }

    /// The first `most` ranges with their bytes, and how many further ones there are. Bytes that
    /// cannot be read any more are left out.
    pub(super) fn shown(
        &self,
        first: &(impl ReadAt + ?Sized),
        second: &(impl ReadAt + ?Sized),
        most: usize,
    ) -> (Vec<difference::Range>, u64) {
        let shown = self
            .listed
            .iter()
            .take(most)
            .map(|parting| difference::Range {
                offset: Both {
                    first: parting.first.start,
                    second: parting.second.start,
                },
                length: Both {
                    first: length(&parting.first),
                    second: length(&parting.second),
                },
                bytes: Both {
                    first: hexadecimal(first, &parting.first),
                    second: hexadecimal(second, &parting.second),
                },
            });
        let rest = self.listed.len().saturating_sub(most) as u64;
        (shown.collect(), self.more + rest)
    }

    fn add(&mut self, first: Range<u64>, second: Range<u64>) {
        self.differing[0] += length(&first);
        self.differing[1] += length(&second);
        if self.listed.len() < LISTED {
            self.listed.push(Parting { first, second });
        } else {
            self.more += 1;
        }
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

/// The first bytes of a range.
fn hexadecimal(content: &(impl ReadAt + ?Sized), range: &Range<u64>) -> String {
    let length = usize::try_from(length(range)).map_or(SHOWN, |length| length.min(SHOWN));
    let bytes = part(content, range.start, length).unwrap_or_default();
    formats::hexadecimal(&bytes)
}

/// Compares two contents; an error is one of reading them.
pub(super) fn partings(
    first: &(impl ReadAt + ?Sized),
    second: &(impl ReadAt + ?Sized),
) -> io::Result<Partings> {
    let sizes = [first.size(), second.size()];
    let start = beginning(first, second)?;
    let rest = sizes.map(|size| size - start);
    let end = ending(first, second, rest[0].min(rest[1]))?;
    let middle = sizes.map(|size| start..size - end);
    let mut found = Partings::default();
    if sizes[0] == sizes[1] {
        found = side_by_side(first, second, middle[0].clone())?;
    }
    let length = rest.map(|rest| rest - end);
    let moved = sizes[0] != sizes[1] || found.differing[0] > length[0] / 4;
    if moved {
        let aligned = aligned(first, second, &middle)?;
        if sizes[0] != sizes[1] || aligned.differing < found.differing {
            return Ok(aligned);
        }
    }
    Ok(found)
}

/// A length, as far as memory goes.
fn as_length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

/// How many bytes both begin with.
fn beginning(first: &(impl ReadAt + ?Sized), second: &(impl ReadAt + ?Sized)) -> io::Result<u64> {
    let mut at = 0;
    loop {
        let (old, new) = (part(first, at, CHUNK)?, part(second, at, CHUNK)?);
        if old != new || old.is_empty() {
            return Ok(at + common(&old, &new) as u64);
        }
        at += old.len() as u64;
    }
}

/// How many bytes both end with, at most `most`.
fn ending(
    first: &(impl ReadAt + ?Sized),
    second: &(impl ReadAt + ?Sized),
    most: u64,
) -> io::Result<u64> {
    let mut same = 0;
    while same < most {
        let step = (most - same).min(CHUNK as u64);
        let length = usize::try_from(step).unwrap_or(CHUNK);
        let at = |size: u64| size - same - step;
        let old = part(first, at(first.size()), length)?;
        let new = part(second, at(second.size()), length)?;
        let pairs = old.iter().rev().zip(new.iter().rev());
        let alike = pairs.take_while(|(a, b)| a == b).count() as u64;
        same += alike;
        if alike < step {
            break;
        }
    }
    Ok(same)
}

/// The places within a range that are not the same in both.
fn side_by_side(
    first: &(impl ReadAt + ?Sized),
    second: &(impl ReadAt + ?Sized),
    range: Range<u64>,
) -> io::Result<Partings> {
    let mut found = Partings::default();
    let mut open: Option<Range<u64>> = None;
    let mut at = range.start;
    while at < range.end {
        let length = as_length(&(at..range.end)).min(CHUNK);
        let (old, new) = (part(first, at, length)?, part(second, at, length)?);
        if old.len().min(new.len()) < length {
            // It became shorter meanwhile.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if old != new {
            let pairs = old.iter().zip(&new).zip(at..);
            for (_, place) in pairs.filter(|((a, b), _)| a != b) {
                match &mut open {
                    Some(open) if place - open.end < GAP => open.end = place + 1,
                    _ => {
                        let ended = open.replace(place..place + 1);
                        if let Some(ended) = ended {
                            found.add(ended.clone(), ended);
                        }
                    }
                }
            }
        }
        at += length as u64;
    }
    if let Some(ended) = open {
        found.add(ended.clone(), ended);
    }
    Ok(found)
}

/// Compares two stretches where bytes may have been put in or left out.
fn aligned(
    first: &(impl ReadAt + ?Sized),
    second: &(impl ReadAt + ?Sized),
    middle: &[Range<u64>; 2],
) -> io::Result<Partings> {
    let mut found = Partings::default();
    let ends = middle.each_ref().map(|range| range.end);
    // What is before these is told.
    let mut told = middle.each_ref().map(|range| range.start);
    let mut at = told;
    loop {
        let windows = [0, 1].map(|side: usize| {
            let (at, end) = (at.get(side).copied(), ends.get(side).copied());
            let (at, end) = (at.unwrap_or_default(), end.unwrap_or_default());
            at..end.min(at + WINDOW)
        });
        let [one, other] = &windows;
        let old = part(first, one.start, as_length(one))?;
        let new = part(second, other.start, as_length(other))?;
        // Where all before is told, they may go on as they were.
        let begin = if at == told { common(&old, &new) } else { 0 };
        for [old, new] in runs(&old, &new, begin) {
            let (old, new) = (shifted(&old, one.start), shifted(&new, other.start));
            if old.is_empty() {
                continue;
            }
            if old.start > told[0] || new.start > told[1] {
                found.add(told[0]..old.start, told[1]..new.start);
            }
            told = [old.end, new.end];
        }
        if [one.end, other.end] == ends {
            break;
        }
        // On by half a window at least, as far as there is more, however little they have in common.
        let step = |window: &Range<u64>, end: u64, told: u64| {
            let half = if window.end < end { WINDOW / 2 } else { 0 };
            told.max(window.start + half)
        };
        at = [step(one, ends[0], told[0]), step(other, ends[1], told[1])];
    }
    if told != ends {
        found.add(told[0]..ends[0], told[1]..ends[1]);
    }
    Ok(found)
}

fn shifted(range: &Range<usize>, by: u64) -> Range<u64> {
    by + range.start as u64..by + range.end as u64
}

/// The runs that two windows have in common, in their order: blocks of the first are looked for at every
/// place of the second (Tridgell, "Efficient Algorithms for Sorting and Synchronization", 1999), and
/// taken where they stand in one order. So many bytes are known to be the same to begin with.
fn runs(old: &[u8], new: &[u8], begin: usize) -> Vec<[Range<usize>; 2]> {
    let blocks = Blocks::of(old);
    let (mut here, mut there, mut at) = (begin, begin, begin);
    let mut rolling = Rolling::default();
    let mut found = vec![[0..begin, 0..begin]];
    while let Some(window) = new.get(at..at + BLOCK) {
        let same = blocks.find(rolling.at(new, at), here);
        let same = same.filter(|place| old.get(*place..*place + BLOCK) == Some(window));
        let Some(place) = same else {
            at += 1;
            continue;
        };
        // As far back and forth as they are the same.
        let before = old.get(here..place).unwrap_or_default().iter().rev();
        let before = before.zip(new.get(there..at).unwrap_or_default().iter().rev());
        let back = before.take_while(|(a, b)| a == b).count();
        let (behind, theirs) = (old.get(place..), new.get(at..));
        let length = common(behind.unwrap_or_default(), theirs.unwrap_or_default());
        (here, there) = (place + length, at + length);
        found.push([place - back..here, at - back..there]);
        at = there;
    }
    found
}

/// The blocks of a content, by a hash of their bytes.
struct Blocks {
    /// Hash and place, sorted.
    known: Vec<(u64, usize)>,
    /// Which hashes there may be, by their first bits: most places of a content match none.
    may_be: Vec<bool>,
    /// So many bits are looked at.
    bits: u32,
}

/// The most bits that are looked at.
const BITS: u32 = 20;

impl Blocks {
    fn of(content: &[u8]) -> Self {
        let blocks = content.chunks_exact(BLOCK).enumerate();
        // A run of one byte stands in many places, and brings the wrong ones together.
        let telling =
            blocks.filter(|(_, block)| block.iter().any(|byte| Some(byte) != block.first()));
        let hashed = telling.map(|(number, block)| (hash(block), number * BLOCK));
        let mut known: Vec<(u64, usize)> = hashed.collect();
        known.sort_unstable();
        // Eight slots for each, so that contents of a few bytes take no more than these.
        let bits = (known.len().max(1).ilog2() + 3).min(BITS);
        let mut blocks = Self {
            may_be: vec![false; 1 << bits],
            bits,
            known: Vec::new(),
        };
        for (hash, _) in &known {
            let slot = blocks.slot(*hash);
            if let Some(slot) = blocks.may_be.get_mut(slot) {
                *slot = true;
            }
        }
        Self { known, ..blocks }
    }

    /// The first block with this hash from `from` on.
    fn find(&self, hash: u64, from: usize) -> Option<usize> {
        if self.may_be.get(self.slot(hash)) != Some(&true) {
            return None;
        }
        let at = self.known.partition_point(|known| *known < (hash, from));
        let (found, place) = self.known.get(at)?;
        (*found == hash).then_some(*place)
    }

    fn slot(&self, hash: u64) -> usize {
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mixed >> (u64::BITS - self.bits)).unwrap_or_default()
    }
}

/// An odd number: powers of it are odd as well, and no byte is lost.
const FACTOR: u64 = 0x0000_0100_0000_01b3;

fn hash(block: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| hash.wrapping_mul(FACTOR).wrapping_add(u64::from(*byte) + 1);
    block.iter().fold(0, step)
}

/// The hash of the block at a place, made from that of the place before.
#[derive(Default)]
struct Rolling {
    last: Option<(usize, u64)>,
}

impl Rolling {
    fn at(&mut self, content: &[u8], at: usize) -> u64 {
        let byte = |at: usize| content.get(at).map_or(0, |byte| u64::from(*byte) + 1);
        let hash = match self.last {
            Some((before, last)) if before + 1 == at => last
                .wrapping_mul(FACTOR)
                .wrapping_add(byte(before + BLOCK))
                .wrapping_sub(byte(before).wrapping_mul(GONE)),
            _ => hash(content.get(at..at + BLOCK).unwrap_or_default()),
        };
        self.last = Some((at, hash));
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(first: &[u8], second: &[u8]) -> Vec<[Range<u64>; 2]> {
        let found = partings(first, second).unwrap();
        let listed = found.listed.into_iter();
        listed.map(|part| [part.first, part.second]).collect()
    }

    /// Bytes without repetition.
    fn noise(length: usize, mut seed: u32) -> Vec<u8> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(seed >> 24).unwrap()
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn bytes_of_one_place_are_compared_side_by_side() {
        let first = noise(300_000, 1);
        let mut second = first.clone();
        for at in [70_000, 70_003, 200_000] {
            second[at] ^= 1;
        }
        let range = |range: Range<u64>| [range.clone(), range];
        assert_eq!(
            of(&first, &second),
            [range(70_000..70_004), range(200_000..200_001)]
        );
        assert!(of(&first, &first).is_empty());
    }

    #[test]
    fn what_was_put_in_or_left_out_moves_nothing_else() {
        let first = noise(100_000, 2);
        let mut second = first.clone();
        second.splice(50_000..50_000, noise(333, 3));
        second.drain(80_000..80_100);
        second[20_000] ^= 0xff;
        let found = of(&first, &second);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], [20_000..20_001, 20_000..20_001]);
        let lengths = |[first, second]: &[Range<u64>; 2]| {
            [first.end - first.start, second.end - second.start]
        };
        assert_eq!(lengths(&found[1]), [0, 333]);
        assert_eq!(lengths(&found[2]), [100, 0]);
    }

    #[test]
    fn what_has_moved_is_found_again_in_contents_of_many_windows() {
        let size = usize::try_from(3 * WINDOW).unwrap();
        let first = noise(size, 4);
        let mut second = first.clone();
        second.splice(100..100, noise(1000, 5));
        second.drain(size / 2..size / 2 + 10);
        second[size - 5] ^= 1;
        // More than a window is another one.
        let middle = size / 3..size / 3 + usize::try_from(WINDOW).unwrap() / 4;
        let others = noise(middle.len(), 6);
        second[middle].copy_from_slice(&others);
        let found = of(&first, &second);
        assert_eq!(found.len(), 4, "{found:?}");
        let lengths = found.iter().map(|[_, second]| length(second));
        let lengths: Vec<u64> = lengths.collect();
        assert_eq!((lengths[0], lengths[2], lengths[3]), (1000, 0, 1));
    }

    #[test]
    fn what_has_nothing_in_common_is_one_range() {
        assert_eq!(of(b"abc", b"xyzw"), [[0..3, 0..4]]);
        assert_eq!(of(b"", b"x"), [[0..0, 0..1]]);
        assert_eq!(of(b"aa", b"aaa"), [[2..2, 2..3]]);
    }

    #[test]
    fn the_ranges_account_for_all_that_differs() {
        for seed in 0..200 {
            let first = noise(700, seed);
            let mut second = first.clone();
            for (step, at) in noise(4, seed + 1000).into_iter().enumerate() {
                let at = usize::from(at) * 2;
                match step % 3 {
                    0 => drop(second.splice(at..at, noise(at % 70, seed + 1))),
                    1 => drop(second.drain(at..(at + 40).min(second.len()))),
                    _ => second[at] ^= 1,
                }
            }
            let mut made = Vec::new();
            let (mut here, mut there) = (0, 0);
            for [old, new] in of(&first, &second) {
                let place = |at: u64| usize::try_from(at).unwrap();
                made.extend_from_slice(&first[here..place(old.start)]);
                assert_eq!(old.start - here as u64, new.start - there as u64);
                made.extend_from_slice(&second[place(new.start)..place(new.end)]);
                (here, there) = (place(old.end), place(new.end));
            }
            made.extend_from_slice(&first[here..]);
            assert_eq!(made, second, "{seed}");
        }
    }
}
