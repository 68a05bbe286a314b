//! The fuzz targets without a fuzzer: the corpus, and inputs made from it by chance. `fuzz/run` looks
//! for more, guided by what inputs reach.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says why it fails"
)]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use targets::TARGETS;

/// Made from each input of the corpus.
const INPUTS: u32 = 1000;
/// Numbers that lengths and counts are afraid of.
const NUMBERS: [u64; 8] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX.cast_unsigned(),
    u64::MAX,
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let entries = reprobe::snapshot::walk::sorted_entries(&directory.join(target)).unwrap();
    let files = entries.iter().map(|entry| fs::read(&entry.path).unwrap());
    files.collect()
}

/// One change: of bits, of numbers, of order, of length, or with a piece of another input.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut impl Rng) {
    let at = random.random_range(0..=bytes.len());
    let length = random.random_range(0..=(bytes.len() - at).min(64));
    match random.random_range(0..7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = random.random(),
        2 => {
            let number = NUMBERS[random.random_range(0..NUMBERS.len())];
            let width = 1 << random.random_range(0..4);
            let number = &number.to_le_bytes()[..width];
            for (place, byte) in bytes[at..].iter_mut().zip(number) {
                *place = *byte;
            }
        }
        3 => bytes.truncate(at),
        4 => {
            bytes.drain(at..at + length);
        }
        5 => {
            let piece = bytes[at..at + length].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => {
            let from = random.random_range(0..=other.len());
            let to = random.random_range(from..=other.len().min(from + 600));
            bytes.splice(at..at, other[from..to].iter().copied());
        }
    }
}

#[test]
fn no_input_made_from_the_corpus_breaks_a_reader() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for (number, input) in (0..).zip(&corpus) {
            target(input);
            let mut random = ChaCha8Rng::seed_from_u64(number);
            for _ in 0..INPUTS {
                let mut bytes = input.clone();
                for _ in 0..random.random_range(1..6) {
                    let other = &corpus[random.random_range(0..corpus.len())];
                    change(&mut bytes, other, &mut random);
                }
                let kept = std::panic::catch_unwind(|| target(&bytes));
                if kept.is_err() {
                    let at = std::env::temp_dir().join(format!("reprobe-fuzz-{name}"));
                    fs::write(&at, &bytes).unwrap();
                    panic!("{name} fails on {}", at.display());
                }
            }
        }
    }
}
