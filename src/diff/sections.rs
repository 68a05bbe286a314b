//! The sections of two programs, libraries or objects that differ, each with the words that only one
//! of the two has and the ranges of its bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::program::words;
use super::ranges::partings;
use crate::formats::elf::{self, content, sections};
use crate::model::difference::{Both, Evidence, Section};

/// So many words of a section are listed that only one of the two has.
const WORDS: usize = 5;
/// So many ranges of a section are listed.
const RANGES: usize = 100;
/// What stands outside of all sections: the headers.
const OUTSIDE: &str = "outside of sections";

/// Where two ELF files differ; `None` where one of them is none.
pub(super) fn differing(first: &[u8], second: &[u8]) -> Option<Evidence> {
    let (old, new) = (sections(first), sections(second));
    if old.is_empty() || new.is_empty() {
        return None;
    }
    let mut theirs: BTreeMap<&str, Vec<&elf::Section>> = BTreeMap::new();
    for section in new.iter().rev() {
        theirs.entry(&section.name).or_default().push(section);
    }
    let mut found = Vec::new();
    for own in &old {
        let their = theirs.get_mut(own.name.as_str()).and_then(Vec::pop);
        let stored = their.and_then(|their| second.get(their.range.clone()));
        if stored.is_some() && stored == first.get(own.range.clone()) {
            continue;
        }
        let new = their.map(|their| content(second, their));
        let before = found.len();
        found.extend(section(
            &own.name,
            Some(&content(first, own)),
            new.as_deref(),
        ));
        if found.len() == before {
            found.push(recompressed(own, their));
        }
    }
    for their in theirs.values().flatten() {
        found.extend(section(&their.name, None, Some(&content(second, their))));
    }
    let (one, other) = (outside(first, &old), outside(second, &new));
    if one != other {
        found.push(Section {
            name: OUTSIDE.to_owned(),
            size: Both {
                first: Some(one.len() as u64),
                second: Some(other.len() as u64),
            },
            // Offsets of sections stand here, which move with everything.
            strings: Both::default(),
            ranges: Vec::new(),
            more: 0,
        });
    }
    Some(Evidence::Sections { sections: found })
}

/// A section of the same bytes, compressed otherwise.
fn recompressed(own: &elf::Section, their: Option<&elf::Section>) -> Section {
    Section {
        name: format!("{} (compressed otherwise)", own.name),
        size: Both {
            first: Some(own.range.len() as u64),
            second: their.map(|their| their.range.len() as u64),
        },
        strings: Both::default(),
        ranges: Vec::new(),
        more: 0,
    }
}

/// What differs in one section, if anything does.
fn section(name: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Option<Section> {
    if old == new {
        return None;
    }
    let size = |bytes: Option<&[u8]>| bytes.map(|bytes| bytes.len() as u64);
    let mut section = Section {
        name: name.to_owned(),
        size: Both {
            first: size(old),
            second: size(new),
        },
        strings: Both::default(),
        ranges: Vec::new(),
        more: 0,
    };
    if let (Some(old), Some(new)) = (old, new) {
        section.strings = only(old, new);
        // Bytes in memory can always be read.
        if let Ok(partings) = partings(old, new) {
            (section.ranges, section.more) = partings.shown(old, new, RANGES);
        }
    }
    Some(section)
}

/// Words that only one of the two has.
fn only(old: &[u8], new: &[u8]) -> Both<Vec<String>> {
    let (old, new) = (words(old), words(new));
    let only = |these: &[&str], those: &[&str]| {
        let those: BTreeSet<&str> = those.iter().copied().collect();
        let mut told = BTreeSet::new();
        let only = these
            .iter()
            .filter(|word| !those.contains(**word) && told.insert(**word));
        only.take(WORDS).map(|word| (*word).to_owned()).collect()
    };
    Both {
        first: only(&old, &new),
        second: only(&new, &old),
    }
}

/// The bytes that stand in no section.
fn outside(bytes: &[u8], sections: &[elf::Section]) -> Vec<u8> {
    let mut ranges: Vec<_> = sections
        .iter()
        .map(|section| section.range.clone())
        .collect();
    ranges.sort_by_key(|range| range.start);
    let mut outside = Vec::new();
    let mut at = 0;
    for range in ranges {
        outside.extend_from_slice(bytes.get(at..range.start).unwrap_or_default());
        at = at.max(range.end);
    }
    outside.extend_from_slice(bytes.get(at..).unwrap_or_default());
    outside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::elf::tests::program;

    #[test]
    fn each_section_is_told_with_its_words_and_bytes_and_so_is_what_is_outside() {
        let old = program(&[
            (".text", b"\x01\x02\x03"),
            (".rodata", b"/build/one\0"),
            (".old", b"x"),
        ]);
        let new = program(&[(".text", b"\x01\x07\x03"), (".rodata", b"/build/second\0")]);
        let Some(Evidence::Sections { sections }) = differing(&old, &new) else {
            panic!()
        };
        let names: Vec<_> = sections
            .iter()
            .map(|section| section.name.as_str())
            .collect();
        assert_eq!(names, [".text", ".rodata", ".old", "", OUTSIDE]);
        assert_eq!(sections[0].ranges[0].bytes.second, "07");
        assert_eq!(sections[1].strings.first, ["/build/one"]);
        assert_eq!(sections[2].size.second, None);
        assert_eq!(differing(b"GIF89a", &new), None);
        assert_eq!(
            differing(&new, &new),
            Some(Evidence::Sections { sections: vec![] })
        );
    }
}
