//! Which positions of some bytes hold memory addresses, by trial and not by their looks: those that
//! differ between two trials with random addresses and agree between two with fixed ones. Positions
//! are words of text, or aligned words of eight bytes of what is no text.

use serde::{Deserialize, Serialize};

use super::excerpt::text;

/// Positions whose values are addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addresses {
    /// Words of a text, by their number from its start.
    Words(Vec<usize>),
    /// Eight bytes each, by their number from the start, of so many bytes in all.
    Binary {
        /// The numbers.
        words: Vec<usize>,
        /// How long the whole is.
        length: usize,
    },
}

/// A pointer's size.
const POINTER: usize = 8;

/// The positions that differ between two trials with random addresses. `None` where the two do not
/// have the same shape, so that positions cannot be told, or where nothing differs.
pub fn addresses(random: [&[u8]; 2]) -> Option<Addresses> {
    let [first, second] = random;
    let differing = |(index, (a, b)): (usize, (&[u8], &[u8]))| (a != b).then_some(index);
    let found = if let (Some(first), Some(second)) = (text(first), text(second)) {
        let (first, second) = (words(first), words(second));
        let gaps = |split: &[(bool, &[u8])]| -> Vec<Option<Vec<u8>>> {
            split
                .iter()
                .map(|(word, bytes)| (!word).then(|| bytes.to_vec()))
                .collect()
        };
        if gaps(&first) != gaps(&second) {
            return None;
        }
        let only = |split: &[(bool, &'_ [u8])]| -> Vec<Vec<u8>> {
            split
                .iter()
                .filter(|(word, _)| *word)
                .map(|(_, bytes)| bytes.to_vec())
                .collect()
        };
        let (first, second) = (only(&first), only(&second));
        let pairs = first
            .iter()
            .map(Vec::as_slice)
            .zip(second.iter().map(Vec::as_slice));
        Addresses::Words(pairs.enumerate().filter_map(differing).collect())
    } else {
        if first.len() != second.len() {
            return None;
        }
        let pairs = first.chunks(POINTER).zip(second.chunks(POINTER));
        Addresses::Binary {
            words: pairs.enumerate().filter_map(differing).collect(),
            length: first.len(),
        }
    };
    let (Addresses::Words(positions)
    | Addresses::Binary {
        words: positions, ..
    }) = &found;
    (!positions.is_empty()).then_some(found)
}

impl Addresses {
    /// The bytes with a blank at every position: what is left of them when addresses do not count.
    /// Bytes of another shape come back as they are.
    pub fn blank(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Words(positions) => {
                let Some(text) = text(bytes) else {
                    return bytes.to_vec();
                };
                let mut number = 0;
                let mut blanked = Vec::with_capacity(bytes.len());
                for (word, part) in words(text) {
                    if word {
                        if positions.binary_search(&number).is_err() {
                            blanked.extend_from_slice(part);
                        } else {
                            blanked.push(0);
                        }
                        number += 1;
                    } else {
                        blanked.extend_from_slice(part);
                    }
                }
                blanked
            }
            Self::Binary { words, length } if *length == bytes.len() => {
                let chunks = bytes.chunks(POINTER).enumerate();
                chunks
                    .flat_map(|(number, chunk)| {
                        let blank = words.binary_search(&number).is_ok();
                        chunk.iter().map(move |byte| if blank { 0 } else { *byte })
                    })
                    .collect()
            }
            Self::Binary { .. } => bytes.to_vec(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Words(words) | Self::Binary { words, .. } => words.len(),
        }
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
        let one = b"at 0x7ffd1234 on alpha\nsize 8\n";
        let two = b"at 0x7ffeabcdef on alpha\nsize 8\n";
        let found = addresses([one, two]).unwrap();
        assert_eq!(found.count(), 1);
        let other_host = b"at 0x7ffd9999 on beta\nsize 8\n";
        assert_eq!(found.blank(one), found.blank(two));
        assert_ne!(found.blank(one), found.blank(other_host));
        let moved = b"at 0x7ffd0008 on alpha\nsize 8\n";
        assert_eq!(found.blank(one), found.blank(moved));
    }

    #[test]
    fn texts_of_other_shapes_have_no_positions_in_common() {
        assert_eq!(addresses([b"a 1", b"a\n1"]), None);
        assert_eq!(addresses([b"a 1", b"a 1 2"]), None);
        assert_eq!(addresses([b"same", b"same"]), None);
        assert_eq!(addresses([b"\x00\x01", b"\x00\x01\x02"]), None);
    }

    #[test]
    fn pointers_in_other_bytes_are_blanked_whole() {
        let bytes = |pointer: u64, tail: u8| {
            let mut bytes = b"\x7fELF\0\0\0\0".to_vec();
            bytes.extend(pointer.to_le_bytes());
            bytes.push(tail);
            bytes
        };
        let found = addresses([&bytes(0x7ffd_0000_1000, 1), &bytes(0x7ffd_0000_2000, 1)]).unwrap();
        assert_eq!(found.count(), 1);
        assert_eq!(found.blank(&bytes(1, 1)), found.blank(&bytes(2, 1)));
        assert_ne!(found.blank(&bytes(1, 1)), found.blank(&bytes(1, 2)));
        assert_eq!(found.blank(b"\0short"), b"\0short");
    }
}
