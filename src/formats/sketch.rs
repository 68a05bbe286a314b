//! What contents have in common, without keeping them: the smallest hashes of all runs of eight
//! bytes (a bottom-k sketch; Broder, "On the resemblance and containment of documents", 1997). Two
//! contents share about as many of them as they share of their bytes.

/// How many hashes are kept.
const KEPT: usize = 8;

/// A sketch under way.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    window: u64,
    seen: u64,
    /// Rising, at most [`KEPT`].
    smallest: Vec<u32>,
}

impl Sketch {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let full = self.smallest.len() == KEPT;
        let mut bound = self.smallest.last().copied().filter(|_| full);
        for byte in bytes {
            self.window = self.window << 8 | u64::from(*byte);
            self.seen += 1;
            if self.seen < 8 {
                continue;
            }
            let hash = mix(self.window);
            if bound.is_none_or(|bound| hash < bound) {
                keep(&mut self.smallest, hash);
                let full = self.smallest.len() == KEPT;
                bound = self.smallest.last().copied().filter(|_| full);
            }
        }
    }

    /// The hashes, rising; few or none for short contents.
    pub(super) fn hashes(self) -> Vec<u32> {
        self.smallest
    }
}

/// Adds a hash to the smallest ones.
pub fn keep(smallest: &mut Vec<u32>, hash: u32) {
    if let Err(at) = smallest.binary_search(&hash)
        && at < KEPT
    {
        smallest.insert(at, hash);
        smallest.truncate(KEPT);
    }
}

/// Bytes to a hash, by the last step of `MurmurHash3`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is a hash as well"
)]
fn mix(mut word: u64) -> u32 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (word ^ (word >> 33)) as u32
}

/// The hash of a text.
pub fn hash(text: &str) -> u32 {
    let word = text.bytes().fold(0_u64, |word, byte| {
        (word.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95)
    });
    mix(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&[u8]]) -> Vec<u32> {
        let mut sketch = Sketch::default();
        for part in parts {
            sketch.update(part);
        }
        sketch.hashes()
    }

    #[test]
    fn contents_that_are_alike_share_hashes_however_they_arrive() {
        let lines = |word: &str| {
            let lines = (0..200).map(|number| format!("{word} is line {number}\n"));
            lines.collect::<String>()
        };
        let (one, other) = (lines("this"), lines("that"));
        let changed = one.replace("line 77\n", "line 78\n");
        let shared = |a: &[u32], b: &[u32]| a.iter().filter(|hash| b.contains(hash)).count();
        let whole = of(&[one.as_bytes()]);
        assert_eq!(whole.len(), KEPT);
        assert_eq!(whole, of(&[&one.as_bytes()[..9], &one.as_bytes()[9..]]));
        assert!(shared(&whole, &of(&[changed.as_bytes()])) >= 6);
        assert!(shared(&whole, &of(&[other.as_bytes()])) <= 5);
    }
}
