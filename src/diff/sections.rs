//! The sections of two programs, libraries or objects that differ, each with the words that only one
//! of the two has and the ranges of its bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::excerpt::common;
use super::lines::shown;
use super::program::words;
use super::ranges::partings;
use crate::formats::elf::{self, content, sections};
use crate::model::difference::{Both, Evidence, Section};

/// So many words of a section are listed that only one of the two has.
const WORDS: usize = 5;
/// So many ranges of a section are listed, of about so much memory each.
const RANGES: usize = 100;
const RANGE: usize = 200;
/// So many bytes of compressed sections are unpacked in all.
const UNPACKED: usize = 256 << 20;
/// What stands outside of all sections: the headers.
const OUTSIDE: &str = "outside of sections";

/// What is left of the limits.
struct Left {
    /// Bytes that may be unpacked.
    unpacked: usize,
    /// Bytes that evidence may take.
    room: usize,
}

/// Where two ELF files differ; `None` where one of them is none, or the sections do not show it. Words
/// and ranges are listed as long as there is room for them, in bytes.
pub(super) fn differing(first: &[u8], second: &[u8], room: usize) -> Option<Evidence> {
    let (old, new) = (sections(first), sections(second));
    if old.is_empty() || new.is_empty() {
        return None;
    }
    let mut left = Left {
        unpacked: UNPACKED,
        room,
    };
    let mut theirs: BTreeMap<&str, Vec<&elf::Section>> = BTreeMap::new();
    for section in new.iter().rev() {
        theirs.entry(&section.name).or_default().push(section);
    }
    let mut found = Vec::new();
    for own in &old {
        let their = theirs.get_mut(own.name.as_str()).and_then(Vec::pop);
        let stored = their.and_then(|their| second.get(their.range.clone()));
        if stored.is_none() || stored != first.get(own.range.clone()) {
            let (old, new) = (
                left.content(first, own),
                their.map(|their| left.content(second, their)),
            );
            found.push(left.section(&own.name, Some(&old), new.as_deref()));
        }
    }
    for their in theirs.values().flatten() {
        let new = left.content(second, their);
        found.push(left.section(&their.name, None, Some(&new)));
    }
    let (one, other) = (outside(first, &old), outside(second, &new));
    if one != other {
        // Offsets of sections stand here, which move with everything.
        found.push(named(
            OUTSIDE.to_owned(),
            [Some(one.len()), Some(other.len())],
        ));
    }
    (!found.is_empty() || first == second).then_some(Evidence::Sections { sections: found })
}

/// A section of which nothing is said yet but the sizes.
fn named(name: String, sizes: [Option<usize>; 2]) -> Section {
    let [first, second] = sizes.map(|size| size.map(|size| size as u64));
    Section {
        name,
        size: Both { first, second },
        strings: Both::default(),
        ranges: Vec::new(),
        more: 0,
    }
}

impl Left {
    /// The bytes of a section, unpacked as long as that is allowed.
    fn content<'b>(&mut self, file: &'b [u8], section: &elf::Section) -> Cow<'b, [u8]> {
        let content = content(file, section, self.unpacked);
        if let Cow::Owned(bytes) = &content {
            self.unpacked -= bytes.len().min(self.unpacked);
        }
        content
    }

    /// What differs in a section, which is not the same as it is stored.
    fn section(&mut self, name: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Section {
        let sizes = [old, new].map(|bytes| bytes.map(<[u8]>::len));
        let mut section = named(name.to_owned(), sizes);
        let (Some(old), Some(new)) = (old, new) else {
            return section;
        };
        if old == new {
            section.name.push_str(" (compressed otherwise)");
            return section;
        }
        // Bytes in memory can always be read.
        if let Ok(partings) = partings(old, new) {
            let most = (self.room / RANGE).min(RANGES);
            (section.ranges, section.more) = partings.shown(old, new, most);
        }
        if self.room > 0 {
            section.strings = only(old, new);
        }
        let words = section.strings.first.iter().chain(&section.strings.second);
        let words: usize = words.map(String::len).sum();
        self.room = self
            .room
            .saturating_sub(words + section.ranges.len() * RANGE);
        section
    }
}

/// Words that only one of the two has.
fn only(old: &[u8], new: &[u8]) -> Both<Vec<String>> {
    let (old, new) = (words(old), words(new));
    let only = |these: &[&'_ str], those: &[&'_ str]| {
        let those: BTreeSet<&str> = those.iter().copied().collect();
        let mut told = BTreeSet::new();
        let only = these
            .iter()
            .filter(|word| !those.contains(**word) && told.insert(**word));
        only.take(WORDS)
            .map(|word| (*word).to_owned())
            .collect::<Vec<String>>()
    };
    let (old, mut new) = (only(&old, &new), only(&new, &old));
    // Linkers sort words: those that are most alike stand in each other's place.
    for (number, word) in old.iter().enumerate() {
        let alike = (number..new.len()).rev();
        let alike = alike.max_by_key(|place| new.get(*place).map(|other| common(word, other)));
        if let Some(place) = alike {
            new.swap(number, place);
        }
    }
    let cut = |these: &[String], those: &[String]| {
        let cut = these.iter().enumerate().map(|(number, word)| {
            let opposite = those.get(number).map_or("", String::as_str);
            shown(word, common(word, opposite))
        });
        cut.collect()
    };
    Both {
        first: cut(&old, &new),
        second: cut(&new, &old),
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
    fn words_that_are_alike_stand_in_each_others_place() {
        let text = |words: [&str; 2]| words.join("\0").into_bytes();
        let found = only(
            &text(["/build/one/x.c", "made by me"]),
            &text(["made by you", "/build/two/x.c"]),
        );
        assert_eq!(found.first, ["/build/one/x.c", "made by me"]);
        assert_eq!(found.second, ["/build/two/x.c", "made by you"]);
    }

    #[test]
    fn each_section_is_told_with_its_words_and_bytes_and_so_is_what_is_outside() {
        let old = program(&[
            (".text", b"\x01\x02\x03"),
            (".rodata", b"/build/one\0"),
            (".old", b"x"),
        ]);
        let new = program(&[(".text", b"\x01\x07\x03"), (".rodata", b"/build/second\0")]);
        let Some(Evidence::Sections { sections }) = differing(&old, &new, usize::MAX) else {
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
        assert_eq!(differing(b"GIF89a", &new, 0), None);
        assert_eq!(
            differing(&new, &new, 0),
            Some(Evidence::Sections { sections: vec![] })
        );
    }
}
