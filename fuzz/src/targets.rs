//! What is fed with bytes, and what must hold for all of them. `tests/fuzz.rs` runs the same.

use std::io::{Cursor, Read};

use reprobe::cli::config;
use reprobe::diff::{self, Judged};
use reprobe::formats::{self, Budget, elf, hashed};
use reprobe::model::difference::{Both, Difference, Evidence, Range};
use reprobe::model::{Element, Field, Observed, Snapshot, Value};
use reprobe::normalize::{self, Class, Options, Spool, Spools};
use reprobe::store;

/// A name, and what is done with bytes.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets; what they begin with is in `corpus`, by name.
pub(crate) const TARGETS: &[Target] = &[
    ("formats", examine),
    ("elf", sections),
    ("excerpts", excerpts),
    ("evidence", evidence),
    ("pairs", pairs),
    ("names", names),
    ("journal", events),
    ("config", settings),
    ("normalize", canonical),
];

/// Hands out one to three bytes at a time.
struct Drops<'b>(&'b [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let few = 1 + self.0.len() % 3;
        let count = few.min(self.0.len()).min(buffer.len());
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

/// Little, so that one input cannot take long.
fn budget() -> Budget {
    Budget {
        members: 500,
        unpacked: 4 << 20,
    }
}

/// However broken, bytes are read to their end, and it does not matter in what pieces they come.
fn examine(bytes: &[u8]) {
    let whole = formats::examine_within("o", &mut &bytes[..], budget());
    assert_eq!(whole.digest, formats::digest(bytes));
    assert!(whole.error.is_none());
    if bytes.len() < 4096 {
        let drops = formats::examine_within("o", &mut Drops(bytes), budget());
        assert_eq!(whole.elements, drops.elements);
        assert_eq!(whole.problems, drops.problems);
    }
}

fn sections(bytes: &[u8]) {
    for section in elf::sections(bytes) {
        assert!(section.range.end <= bytes.len());
    }
}

/// Two halves around the first zero byte.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0);
    at.map_or((bytes, &[][..]), |at| (&bytes[..at], &bytes[at + 1..]))
}

fn excerpts(bytes: &[u8]) {
    let (one, other) = halves(bytes);
    let shown = diff::excerpt(one, other);
    assert_eq!(shown.is_none(), one == other);
    if let Some(text) = &shown {
        assert!(text.len() < 4096, "{text}");
    }
    if one.len() == other.len() {
        diff::may_hold_addresses(one, other);
    }
}

/// What is listed lies in the bytes, and where all is listed, it puts the one together from the other.
fn evidence(bytes: &[u8]) {
    let (one, other) = halves(bytes);
    let found = diff::evidence(&one, &other, usize::MAX).unwrap();
    let same = match &found {
        Evidence::Lines { hunks, .. } => hunks.is_empty(),
        Evidence::Sections { sections } => sections.is_empty(),
        Evidence::Bytes { ranges, more, .. } => {
            if *more == 0 {
                assert_eq!(patched(one, other, ranges), other);
            }
            ranges.is_empty()
        }
    };
    assert_eq!(same, one == other);
    let difference = Difference {
        element: "o".to_owned(),
        field: "content".to_owned(),
        offset: None,
        values: Both {
            first: Some(String::new()),
            second: Some(String::new()),
        },
        evidence: Some(found),
        removed_by: None,
        likely: Vec::new(),
    };
    reprobe::explain::likely(&difference);
}

/// The first, with the ranges of the second put in.
fn patched(one: &[u8], other: &[u8], ranges: &[Range]) -> Vec<u8> {
    let place = |at: u64| usize::try_from(at).unwrap();
    let mut made = Vec::new();
    let mut at = 0;
    for range in ranges {
        let (start, length) = (place(range.offset.first), place(range.length.first));
        made.extend_from_slice(&one[at..start]);
        at = start + length;
        let (start, length) = (place(range.offset.second), place(range.length.second));
        assert_eq!(made.len(), start);
        made.extend_from_slice(&other[start..start + length]);
    }
    made.extend_from_slice(&one[at..]);
    made
}

/// Files, a line each: path, space, content.
fn snapshot(lines: &[u8]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        let text = String::from_utf8_lossy(line);
        let (path, content) = text.split_once(' ').unwrap_or((&text, ""));
        for (field, value) in [
            (Field::PRESENCE, Value::Text(String::new())),
            (Field::CONTENT, formats::digest(content.as_bytes())),
        ] {
            let element = Element::new(path, field);
            snapshot.outputs.insert(element.output().to_owned(), true);
            snapshot.elements.insert(
                element,
                Observed {
                    value,
                    offset: None,
                },
            );
        }
    }
    snapshot
}

fn pairs(bytes: &[u8]) {
    let (one, other) = halves(bytes);
    let (one, other) = (snapshot(one), snapshot(other));
    let paired = diff::paired(&one, &other);
    let differs = one.elements != other.elements;
    let seen = diff::compare(&one, &paired, Judged::default());
    assert_eq!(seen.differing().next().is_some(), differs);
}

fn names(bytes: &[u8]) {
    let (one, other) = halves(bytes);
    let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
    for text in [&one, &other] {
        let masked = hashed::masked(text);
        assert!(masked.is_none() || hashed::may_hold(text), "{text}");
    }
    // It is asked of names that differ.
    if one == other {
        return;
    }
    for (old, new) in hashed::differing(&one, &other) {
        assert!(old != new && one.contains(&old) && other.contains(&new));
    }
}

fn events(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let _ = store::recorded(file.path());
}

fn settings(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = config::parse("reprobe.toml", text);
    }
}

struct InMemory;

impl Spools for InMemory {
    fn spool(&self) -> std::io::Result<Box<dyn Spool>> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }
}

/// What has a canonical form reads back as it was, or `rewrite` fails; and that form is its own.
fn canonical(bytes: &[u8]) {
    let options = Options {
        class: Some(Class::Exchange),
        time: Some(1_700_000_000),
        ..Options::default()
    };
    let form = |bytes: &[u8]| {
        let mut out = Cursor::new(Vec::new());
        let written =
            normalize::rewrite("x", &mut Cursor::new(bytes), &mut out, &options, &InMemory);
        let unverified = matches!(written, Err(normalize::Error::Unverified(_)));
        assert!(!unverified, "{written:?}");
        written.map(|_| out.into_inner())
    };
    if let Ok(once) = form(bytes) {
        assert!(form(&once).is_ok_and(|twice| twice == once));
    }
}
