//! Where two versions of a program part: the section and the words in it. Offsets move for many
//! reasons, and identifiers that are computed from the rest change with everything; the words say
//! more.

use std::collections::{BTreeMap, BTreeSet};

use super::excerpt::{bytes, common, is_digest, window};
use crate::formats::elf::{Section, sections};

/// Shorter runs of printable bytes are chance.
const WORD: usize = 6;
/// Sections that follow from the content of others.
const FOLLOWING: [&str; 3] = [".note.gnu.build-id", ".note.go.buildid", ".gnu_debuglink"];

/// Says what differs, in one way of looking at it.
type Look = fn(&[u8], &[u8]) -> Option<String>;
/// What of two sections is compared.
type Pair<'b> = (Section, [&'b [u8]; 2]);

/// The most telling place: words that only one of the two has, then words in another order, then
/// other bytes; data before code, and what follows from other content only where nothing else
/// differs. `None` where they are not both ELF files, or differ outside of sections alone.
pub(super) fn section(control: &[u8], other: &[u8]) -> Option<String> {
    let mut pairs = differing(control, other);
    pairs.sort_by_key(|(section, _)| section.code);
    let (following, own): (Vec<_>, Vec<_>) = pairs
        .into_iter()
        .partition(|(section, _)| FOLLOWING.contains(&section.name.as_str()));
    let words = own.iter().filter(|(section, _)| !section.compressed);
    for look in [strings as Look, reordered] {
        let mut found = words.clone().filter_map(|(section, [old, new])| {
            Some(format!("{}: {}", section.name, look(old, new)?))
        });
        if let Some(found) = found.next() {
            return Some(found);
        }
    }
    let (section, [old, new]) = own.first().or(following.first())?;
    Some(format!(
        "{} {}",
        section.name,
        bytes(old, new, common(old, new))
    ))
}

/// The sections of one name that are not the same in both.
fn differing<'b>(control: &'b [u8], other: &'b [u8]) -> Vec<Pair<'b>> {
    let mut theirs: BTreeMap<String, Vec<Section>> = BTreeMap::new();
    for section in sections(other).into_iter().rev() {
        theirs
            .entry(section.name.clone())
            .or_default()
            .push(section);
    }
    let pairs = sections(control).into_iter().filter_map(|own| {
        let their = theirs.get_mut(&own.name)?.pop()?;
        let (old, new) = (control.get(own.range.clone())?, other.get(their.range)?);
        (old != new).then_some((own, [old, new]))
    });
    pairs.collect()
}

/// The first words that only one of the two has: `"alpha" -> "beta"`. Checksums only where there
/// are no others.
pub(super) fn strings(control: &[u8], other: &[u8]) -> Option<String> {
    let (old, new) = (words(control), words(other));
    let only = |these: &[&str], those: &[&str]| {
        let those: BTreeSet<&str> = those.iter().copied().collect();
        let mut only = these.iter().filter(|word| !those.contains(**word));
        let first = only.clone().next();
        only.find(|word| !is_digest(word))
            .or(first)
            .map(|word| (*word).to_owned())
    };
    Some(parting(&only(&old, &new)?, &only(&new, &old)?))
}

/// The word around the byte `at` of the second, and the word that only the first has and that is most
/// like it; with the section of a program that it stands in.
pub(super) fn word_at(control: &[u8], other: &[u8], at: usize) -> Option<String> {
    let printable = |byte: &u8| (0x20..0x7f).contains(byte);
    let start = other
        .get(..at)?
        .iter()
        .rev()
        .take_while(|byte| printable(byte));
    let start = at - start.count();
    let word = other.get(start..)?;
    let word = word.get(..word.iter().take_while(|byte| printable(byte)).count())?;
    let word = std::str::from_utf8(word).ok()?;
    let theirs: BTreeSet<&str> = words(other).into_iter().collect();
    let own = words(control).into_iter().rev();
    let own = own.filter(|word| !theirs.contains(word));
    let old = own.max_by_key(|own| common(own, word))?;
    let sections = sections(other);
    let section = sections.iter().find(|section| section.range.contains(&at));
    let section = section.map_or(String::new(), |section| format!("{}: ", section.name));
    Some(format!("{section}{}", parting(old, word)))
}

/// The first words that stand in another order.
pub(super) fn reordered(control: &[u8], other: &[u8]) -> Option<String> {
    let (old, new) = (words(control), words(other));
    let (left, right) = old.iter().zip(&new).find(|(left, right)| left != right)?;
    Some(format!("words in another order: {}", parting(left, right)))
}

fn parting(old: &str, new: &str) -> String {
    let common = common(old, new);
    let (old, new) = (window(old, common), window(new, common));
    format!("\"{old}\" -> \"{new}\"")
}

/// Runs of text that are long enough to be meant, in their order.
pub(super) fn words(bytes: &[u8]) -> Vec<&str> {
    bytes
        .split(|byte| !(0x20..0x7f).contains(byte))
        .filter(|run| run.len() >= WORD)
        .filter_map(|run| std::str::from_utf8(run).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::elf::tests::program;

    const SAME: &[u8] = b"\0the same words\0";

    #[test]
    fn of_a_program_words_are_shown_before_the_build_id_that_follows_from_them() {
        let built = |id: &[u8; 4], path: &str, order: [&str; 2]| {
            program(&[
                (".note.gnu.build-id", id),
                (".text", b"\x90codewords\0"),
                (".rodata", order.join("\0").as_bytes()),
                (".debug_str", path.as_bytes()),
            ])
        };
        let control = built(b"\x01\x02\x03\x04", "/build/a", ["word-a", "word-b"]);
        let said = |other: &[u8]| section(&control, other).unwrap();
        assert_eq!(
            said(&built(
                b"\x05\x06\x07\x08",
                "/build/b",
                ["word-a", "word-b"]
            )),
            ".debug_str: \"/build/a\" -> \"/build/b\""
        );
        assert_eq!(
            said(&built(
                b"\x05\x06\x07\x08",
                "/build/a",
                ["word-b", "word-a"]
            )),
            ".rodata: words in another order: \"word-a\" -> \"word-b\""
        );
        assert_eq!(
            said(&built(
                b"\x05\x06\x07\x08",
                "/build/a",
                ["word-a", "word-b"]
            )),
            ".note.gnu.build-id byte 0x0: 01 02 03 04 -> 05 06 07 08"
        );
    }

    #[test]
    fn data_is_shown_before_code_and_bytes_with_their_section() {
        let with = |data: u8| program(&[(".eh_frame", SAME), (".data", &[0, data])]);
        assert_eq!(
            section(&with(1), &with(2)).unwrap(),
            ".data byte 0x1: 01 -> 02"
        );
        assert_eq!(section(b"GIF89a", b"GIF89b"), None);
    }

    #[test]
    fn a_checksum_is_shown_only_where_nothing_else_differs() {
        let text = |digit: &str, word: &str| format!("\0{}\0{word}\0\x01", digit.repeat(40));
        let said = |a: &str, b: &str| strings(a.as_bytes(), b.as_bytes()).unwrap();
        assert_eq!(
            said(&text("a", "one host"), &text("b", "two hosts")),
            "\"one host\" -> \"two hosts\""
        );
        assert!(said(&text("a", "one host"), &text("b", "one host")).starts_with("\"aaaa"));
    }
}
