//! Which positions of some bytes hold memory addresses: those that differ between two trials with
//! random addresses and agree between two with fixed ones, and are moved by whole pages, or on the
//! stack. What is computed from an address (a hash, a seed) is none: other variations may reach it,
//! too. Positions are words of text, or aligned words of eight bytes of what is no text.

use std::collections::BTreeSet;

use super::excerpt::text;

/// Positions whose values are addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    shape: Shape,
    /// By their number from the start: words of a text, or eight bytes each.
    positions: Vec<usize>,
    /// What stands there where addresses are fixed and nothing else varies.
    own: Vec<Vec<u8>>,
}

/// What must be alike for positions to mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// A text with this between its words.
    Text(Vec<Vec<u8>>),
    /// So many other bytes.
    Binary(usize),
}

/// A pointer's size.
const POINTER: usize = 8;

/// The positions that differ between two trials with random addresses and agree between two of one
/// environment with fixed ones, and hold numbers that are moved as addresses are. `None` where the
/// four do not have the same shape, so that positions cannot be told, where there are no such
/// positions, and where one of the random trials had the fixed ones' values at all of them:
/// addresses do not meet by chance, two-valued noise does.
///
/// `others` are of other environments with fixed addresses. What is no address in one of them (a
/// number that is mixed with one) is none; those of another shape say nothing.
pub fn addresses(random: [&[u8]; 2], fixed: [&[u8]; 2], others: &[Vec<u8>]) -> Option<Addresses> {
    let all = random.into_iter().chain(fixed).map(units);
    let [a, b, c, d] = <[_; 4]>::try_from(all.collect::<Vec<_>>()).ok()?;
    if [&a.0, &b.0, &d.0].into_iter().any(|shape| *shape != c.0) {
        return None;
    }
    let mut found = Addresses {
        positions: positions([&a.1, &b.1, &c.1, &d.1]),
        own: Vec::new(),
        shape: c.0,
    };
    for other in others {
        let refuted = found.refuted(fixed[0], other, Moves::PagesOrStack);
        found.positions.retain(|at| !refuted.contains(at));
    }
    let at = found.positions.iter();
    found.own = at.filter_map(|at| Some(c.1.get(*at)?.to_vec())).collect();
    let own = found.only(fixed[0]);
    let meets = random.iter().any(|random| found.only(random) == own);
    (!found.own.is_empty() && !meets).then_some(found)
}

/// The shape of some bytes, and what stands at each position.
fn units(bytes: &[u8]) -> (Shape, Vec<&[u8]>) {
    let Some(text) = text(bytes) else {
        return (Shape::Binary(bytes.len()), bytes.chunks(POINTER).collect());
    };
    let (words, gaps): (Vec<_>, Vec<_>) = words(text).into_iter().partition(|(word, _)| *word);
    let gaps = gaps.into_iter().map(|(_, gap)| gap.to_vec()).collect();
    (
        Shape::Text(gaps),
        words.into_iter().map(|(_, word)| word).collect(),
    )
}

fn all_equal<T: PartialEq>(mut of: impl Iterator<Item = T>) -> bool {
    let first = of.next();
    of.all(|other| Some(other) == first)
}

/// Where the first two differ and the last two agree, and all are one address that was moved.
fn positions([first, second, fixed, again]: [&[&[u8]]; 4]) -> Vec<usize> {
    let random = first.iter().zip(second);
    let fixed = fixed.iter().zip(again);
    let pairs = random.zip(fixed).enumerate();
    pairs
        .filter(|(_, ((a, b), (c, d)))| {
            a != b && c == d && is_moved(&[a, b, c], Moves::PagesOrStack)
        })
        .map(|(index, _)| index)
        .collect()
}

/// How addresses are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// By whole pages.
    Pages,
    /// By whole pages, or on a stack.
    PagesOrStack,
}

/// Where the kernel puts the stacks of 64- and 32-bit programs, in steps of ...
const STACKS: [std::ops::Range<u64>; 2] = [
    0x7ff0_0000_0000..0x8000_0000_0000,
    0xff00_0000..0x1_0000_0000,
];
/// ... so many bytes, and everything else in whole pages.
const STACK_STEP: u64 = 16;
const PAGE: u64 = 4096;

/// Whether these may be one address in several places: in whole pages from each other, or on stacks.
/// Numbers that have nothing in common do so once in 16 million.
fn is_moved(words: &[&[u8]], moves: Moves) -> bool {
    let alike = |read: fn(&[u8]) -> Option<u64>| {
        let numbers: Option<Vec<u64>> = words.iter().copied().map(read).collect();
        numbers.is_some_and(|numbers| {
            let by = |step| all_equal(numbers.iter().map(|number| number % step));
            let all = |range: &std::ops::Range<u64>| numbers.iter().all(|n| range.contains(n));
            let on_stacks = moves == Moves::PagesOrStack && STACKS.iter().any(all);
            all(&(PAGE..u64::MAX)) && by(PAGE) || on_stacks && by(STACK_STEP)
        })
    };
    // Eight bytes may be text as well as a number.
    alike(hexadecimal) || alike(decimal) || alike(binary)
}

fn hexadecimal(word: &[u8]) -> Option<u64> {
    let word = std::str::from_utf8(word).ok()?;
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

fn decimal(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn binary(word: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

/// Whether something that looks like an address stands in each of the two and not in the other. A
/// hint that trials with random addresses are worth running, and nothing more.
pub fn may_hold_addresses(control: &[u8], other: &[u8]) -> bool {
    let (here, there) = (candidates(control), candidates(other));
    here.difference(&there).next().is_some() && there.difference(&here).next().is_some()
}

/// Where Linux puts programs, libraries and stacks of 64 bits.
const USUAL: std::ops::Range<u64> = 0x5500_0000_0000..0x8000_0000_0000;

fn candidates(bytes: &[u8]) -> BTreeSet<u64> {
    let found: Vec<u64> = if let Some(text) = text(bytes) {
        let words = words(text).into_iter().filter(|(word, _)| *word);
        words.filter_map(|(_, word)| number(word)).collect()
    } else {
        bytes.chunks_exact(POINTER).filter_map(binary).collect()
    };
    found
        .into_iter()
        .filter(|number| USUAL.contains(number))
        .collect()
}

/// A word as a number: hexadecimal, else decimal.
fn number(word: &[u8]) -> Option<u64> {
    hexadecimal(word)
        .filter(|number| USUAL.contains(number))
        .or_else(|| decimal(word))
}

impl Addresses {
    /// The bytes with a blank at every address: what is left of them when addresses do not count.
    pub fn blank(&self, bytes: &[u8]) -> Vec<u8> {
        let Some(text) = text(bytes) else {
            let mut blanked = bytes.to_vec();
            let chunks = blanked.chunks_mut(POINTER).enumerate();
            let same = self.shape == Shape::Binary(bytes.len());
            for (_, chunk) in chunks.filter(|(number, _)| same && self.has(*number)) {
                chunk.fill(0);
            }
            return blanked;
        };
        let at = self.at(bytes);
        let mut number = 0;
        let mut blanked = Vec::with_capacity(bytes.len());
        for (word, part) in words(text) {
            if word && at.binary_search(&number).is_ok() {
                blanked.push(b'*');
            } else {
                blanked.extend_from_slice(part);
            }
            number += usize::from(word);
        }
        blanked
    }

    /// The addresses, with blanks between; `None` where they cannot be told from the rest.
    pub fn only(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (_, units) = units(bytes);
        let at = self.at(bytes).into_iter();
        let at: Vec<&[u8]> = at.filter_map(|at| units.get(at).copied()).collect();
        (at.len() == self.own.len()).then(|| at.join(&b' '))
    }

    /// Whether all that differs between two trials with fixed addresses may be addresses that were
    /// moved in one of these ways.
    pub fn explain(&self, own: &[u8], other: &[u8], moves: Moves) -> bool {
        self.refuted(own, other, moves).is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.positions.len()
    }

    fn has(&self, position: usize) -> bool {
        self.positions.binary_search(&position).is_ok()
    }

    /// Where the addresses stand. In a text with more or fewer words: whatever one of them may have
    /// become.
    fn at(&self, bytes: &[u8]) -> Vec<usize> {
        let (shape, units) = units(bytes);
        if shape == self.shape {
            return self.positions.clone();
        }
        if let Shape::Binary(_) = shape {
            return Vec::new();
        }
        let is_one = |word: &[u8]| {
            self.own
                .iter()
                .any(|own| is_moved(&[own, word], Moves::PagesOrStack))
        };
        let units = units.into_iter().enumerate();
        units
            .filter(|(_, word)| is_one(word))
            .map(|(at, _)| at)
            .collect()
    }

    /// Where something else stands in another trial with fixed addresses, and that is no address
    /// which was moved: the layout of memory does not explain it.
    fn refuted(&self, own: &[u8], other: &[u8], moves: Moves) -> BTreeSet<usize> {
        let (own, other) = (units(own), units(other));
        if own.0 != other.0 {
            return BTreeSet::new();
        }
        let pairs = own.1.into_iter().zip(other.1).enumerate();
        pairs
            .filter(|(at, (own, other))| {
                self.has(*at) && own != other && !is_moved(&[own, other], moves)
            })
            .map(|(at, _)| at)
            .collect()
    }
}

/// A text as words and what stands between them, in turn.
fn words(text: &str) -> Vec<(bool, &[u8])> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.as_bytes()
        .chunk_by(|a, b| is_word(a) == is_word(b))
        .map(|part| (part.first().is_some_and(is_word), part))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_text_that_only_random_addresses_move_are_blanked() {
        let one = b"at 0x55aa11234010 on alpha\nsize 8\n";
        let two = b"at 0x5622abcde010 on alpha\nsize 8\n";
        let fixed = b"at 0x555555559010 on alpha\nsize 8\n";
        let found = addresses([one, two], [fixed, fixed], &[]).unwrap();
        assert_eq!(found.count(), 1);
        assert_eq!(found.only(one).unwrap(), b"0x55aa11234010");
        let other_host = b"at 0x7ffd9999 on beta\nsize 8\n";
        assert_eq!(found.blank(one), found.blank(two));
        assert_ne!(found.blank(one), found.blank(other_host));
        let moved = b"at 0x7ffd0008 on alpha\nsize 8\n";
        assert_eq!(found.blank(one), found.blank(moved));
        let longer = b"now at 0x5622abcde010 on alpha\nsize 8\n";
        assert_eq!(found.blank(longer), b"now at * on alpha\nsize 8\n");
        assert_eq!(found.only(longer).unwrap(), b"0x5622abcde010");
        assert_eq!(found.only(b"gone"), None);
    }

    #[test]
    fn only_what_looks_like_an_address_and_changes_is_a_hint() {
        let hint = may_hold_addresses;
        assert!(hint(
            b"at 0x7fffffffe000\n",
            b"other text, at 7ffc12345678\n"
        ));
        assert!(hint(b"140737488347136", b"140721234567890"));
        assert!(!hint(
            b"at 0x7fffffffe000, alpha",
            b"at 0x7fffffffe000, beta"
        ));
        assert!(!hint(
            b"deadbeef 1234567890 2026",
            b"deadbeee 1234567891 2027"
        ));
        let bytes = |pointer: u64| [&b"\0\x01234567"[..8], &pointer.to_le_bytes()].concat();
        assert!(hint(&bytes(0x7fff_ffff_e000), &bytes(0x7ffc_1234_5678)));
        assert!(!hint(&bytes(1), &bytes(2)));
    }

    #[test]
    fn texts_of_other_shapes_have_no_positions_in_common() {
        let fixed: [&[u8]; 2] = [b"a 3010"; 2];
        assert!(addresses([b"a 1010", b"a 2010"], fixed, &[]).is_some());
        assert_eq!(addresses([b"a 1010", b"a\n1010"], fixed, &[]), None);
        assert_eq!(addresses([b"a 1010", b"a 1010 2010"], fixed, &[]), None);
        let others: [&[u8]; 2] = [b"a 3010", b"a-3010"];
        assert_eq!(addresses([b"a 1010", b"a 2010"], others, &[]), None);
        assert_eq!(addresses([b"a 1010", b"a 1010"], fixed, &[]), None);
        assert_eq!(addresses([b"\x00\x01", b"\x00\x01\x02"], fixed, &[]), None);
    }

    #[test]
    fn what_differs_in_every_trial_is_no_address_nor_is_what_has_but_two_values() {
        let words = |words: [&[u8]; 4]| {
            let [a, b, c, d] = words;
            addresses([a, b], [c, d], &[])
        };
        assert_eq!(words([b"n 1010", b"n 2010", b"n 3010", b"n 4010"]), None);
        assert_eq!(words([b"n 1010", b"n 2010", b"n 2010", b"n 2010"]), None);
        let beside = words([b"7f0100 5", b"7f1100 6", b"7f2100 7", b"7f2100 8"]);
        assert_eq!(beside.unwrap().positions, [0]);
    }

    #[test]
    fn what_is_computed_from_an_address_is_none() {
        for [one, two, fixed] in [
            ["9e107d9d372bb682", "e4d909c290d0fb1c", "8f434346648f6b96"],
            ["23942", "2647", "17403"],
            ["140222911234", "140737488347136", "94036712345600"],
        ] {
            let [one, two, fixed] = [one, two, fixed].map(str::as_bytes);
            assert_eq!(addresses([one, two], [fixed, fixed], &[]), None);
        }
        let stack = ["7ffd12345ab0", "7ffe9a8b7c10", "7fffffffe3d0"].map(str::as_bytes);
        let [one, two, fixed] = stack;
        assert!(addresses([one, two], [fixed, fixed], &[]).is_some());
    }

    #[test]
    fn what_another_variation_does_to_a_number_must_be_what_the_layout_does_to_an_address() {
        let random: [&[u8]; 2] = [b"7f0000001010 94f312a6", b"7f0000002010 a1e202a6"];
        let fixed: [&[u8]; 2] = [b"7f0000003010 77f302a6"; 2];
        let both = addresses(random, fixed, &[]).unwrap();
        assert_eq!(both.count(), 2);
        let moved = b"7f0000004010 77f302a6".to_vec();
        assert_eq!(addresses(random, fixed, &[moved]).unwrap().count(), 2);
        // A time that is mixed with an address.
        let later = b"7f0000003010 71e3e59b".to_vec();
        assert!(!both.explain(fixed[0], &later, Moves::PagesOrStack));
        let one = addresses(random, fixed, std::slice::from_ref(&later)).unwrap();
        assert_eq!(one.positions, [0]);
        let shorter = b"7f0000003010".to_vec();
        assert_eq!(addresses(random, fixed, &[shorter]), Some(both));
        let neither = b"7f0000003018 71e3e59b".to_vec();
        assert_eq!(addresses(random, fixed, &[neither]), None);
    }

    #[test]
    fn pointers_in_other_bytes_are_blanked_whole() {
        let bytes = |pointer: u64, tail: u8| {
            let mut bytes = b"\x7fELF\0\0\0\0".to_vec();
            bytes.extend(pointer.to_le_bytes());
            bytes.push(tail);
            bytes
        };
        let random = [0x7ffd_0000_1000, 0x7ffd_0000_2000].map(|pointer| bytes(pointer, 1));
        let fixed = bytes(0x7fff_ffff_e000, 1);
        let found = addresses([&random[0], &random[1]], [&fixed, &fixed], &[]).unwrap();
        assert_eq!(found.count(), 1);
        assert_eq!(found.blank(&bytes(1, 1)), found.blank(&bytes(2, 1)));
        assert_ne!(found.blank(&bytes(1, 1)), found.blank(&bytes(1, 2)));
        assert_eq!(found.blank(b"\0short"), b"\0short");
    }
}
