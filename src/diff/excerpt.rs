//! Two versions of some bytes -> the most telling place where they part, in a few words: the line
//! where both are text, the words of a program, else the bytes. A whole diff is not made here.

use super::program::{reordered, section, strings, word_at};
use crate::model::escape_bytes;

/// So many characters of a line are shown, and so many bytes of what is no text.
const WIDTH: usize = 60;
const BYTES: usize = 16;
/// Longer runs of hexadecimal digits are checksums (MD5 has the shortest).
const DIGEST: usize = 32;
/// What is shown of a line before the first difference.
const BEFORE: usize = 24;

/// Where `other` differs from `control`: `line 3: "a" -> "b"`, `.rodata: "a" -> "b"`, or
/// `byte 0x1f0: 61 62 -> 61 63`; `None` where they are the same. Checksums, which follow from other
/// content, are shown only where nothing else differs.
pub fn excerpt(control: &[u8], other: &[u8]) -> Option<String> {
    let at = first_difference(control, other)?;
    Some(match (text(control), text(other)) {
        (Some(control), Some(other)) => lines(control, other, at),
        _ => section(control, other)
            .or_else(|| strings(control, other))
            .or_else(|| reordered(control, other))
            .unwrap_or_else(|| bytes(control, other, at)),
    })
}

/// Where `other` differs from `control` around its byte `at`; `None` where nothing in the control
/// stands for it.
pub fn excerpt_at(control: &[u8], other: &[u8], at: usize) -> Option<String> {
    let (Some(old), Some(new)) = (text(control), text(other)) else {
        return word_at(control, other, at);
    };
    let before = other.get(..at)?;
    let number = before.split(|byte| *byte == b'\n').count() - 1;
    let start = before.iter().rposition(|byte| *byte == b'\n');
    let column = at - start.map_or(0, |start| start + 1);
    let (old, new) = (old.lines().nth(number)?, new.lines().nth(number)?);
    let (old_shown, new_shown) = (window(old, column), window(new, column));
    (old_shown != new_shown)
        .then(|| format!("line {}: \"{old_shown}\" -> \"{new_shown}\"", number + 1))
}

/// The offset of the first byte that is not the same.
fn first_difference(control: &[u8], other: &[u8]) -> Option<usize> {
    let common = common(control, other);
    (common < control.len().max(other.len())).then_some(common)
}

/// How many bytes two begin with that are the same.
pub(super) fn common(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> usize {
    let pairs = one.as_ref().iter().zip(other.as_ref());
    pairs.take_while(|(a, b)| a == b).count()
}

/// Bytes that a person can read.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}');
    (!text.contains(odd)).then_some(text)
}

fn lines(control: &str, other: &str, at: usize) -> String {
    let alike = control.as_bytes().get(..at).unwrap_or_default();
    let before = alike.split(|byte| *byte == b'\n').count() - 1;
    let mut pairs = control.lines().zip(other.lines()).enumerate().skip(before);
    // Where lines beside each other hold checksums, the first that says more.
    let says_more =
        |(_, (old, new)): &(usize, (&str, &str))| without_digests(old) != without_digests(new);
    let number = pairs.find(says_more).map_or(before, |(number, _)| number);
    let (old, new) = (control.lines().nth(number), other.lines().nth(number));
    let common = common(old.unwrap_or_default(), new.unwrap_or_default());
    let shown = |line: Option<&str>| match line {
        Some(line) => format!("\"{}\"", window(line, common)),
        None => "nothing".to_owned(),
    };
    let (mut old, mut new) = (shown(old), shown(new));
    if old == new {
        // They part in how the line ends.
        (old, new) = (
            format!("{old} and its end"),
            format!("{new} with another end"),
        );
    }
    format!("line {}: {old} -> {new}", number + 1)
}

/// A line with its checksums left out.
fn without_digests(line: &str) -> Vec<&str> {
    let runs = line.split(|c: char| !c.is_ascii_hexdigit());
    runs.filter(|run| !is_digest(run)).collect()
}

/// Whether this is nothing but a checksum.
pub(super) fn is_digest(word: &str) -> bool {
    word.len() >= DIGEST && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A part of a line around the byte `at`.
pub(super) fn window(line: &str, at: usize) -> String {
    let before = line
        .char_indices()
        .take_while(|(index, _)| *index < at)
        .count();
    let skipped = if line.chars().count() <= WIDTH {
        0
    } else {
        before.saturating_sub(BEFORE)
    };
    let mut shown: String = line.chars().skip(skipped).take(WIDTH).collect();
    if skipped > 0 {
        shown.insert(0, '…');
    }
    if line.chars().count() > skipped + WIDTH {
        shown.push('…');
    }
    shown
}

pub(super) fn bytes(control: &[u8], other: &[u8], at: usize) -> String {
    let part = |bytes: &'_ [u8]| {
        let part = bytes.get(at..).unwrap_or_default();
        part.get(..BYTES).unwrap_or(part).to_vec()
    };
    let parts = [part(control), part(other)];
    // A few printable bytes are a word, unless what stands in its place is none.
    let printable = |part: &[u8]| {
        let rest = part.iter().position(|byte| !(0x20..0x7f).contains(byte));
        rest.unwrap_or(part.len())
    };
    let words = parts
        .iter()
        .all(|part| part.is_empty() || printable(part) >= 4);
    let shown = |part: &[u8]| {
        if part.is_empty() {
            return "the end".to_owned();
        }
        if words {
            let word = part.get(..printable(part)).unwrap_or_default();
            return format!("\"{}\"", escape_bytes(word));
        }
        let hex: Vec<String> = part.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.join(" ")
    };
    let [control, other] = parts;
    format!("byte {at:#x}: {} -> {}", shown(&control), shown(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_differs_in_a_line_and_other_bytes_at_an_offset() {
        let said = |a: &[u8], b: &[u8]| excerpt(a, b).unwrap();
        assert_eq!(
            said(b"one\nhost alpha\nend\n", b"one\nhost beta\nend\n"),
            "line 2: \"host alpha\" -> \"host beta\""
        );
        assert_eq!(said(b"a\n", b"a\nb\n"), "line 2: nothing -> \"b\"");
        assert_eq!(said(b"\x00\x01\x02", b"\x00\x01\x03"), "byte 0x2: 02 -> 03");
        assert_eq!(
            said(b"a", b"a\r\n"),
            "line 1: \"a\" and its end -> \"a\" with another end"
        );
        assert_eq!(excerpt(b"same", b"same"), None);
    }

    #[test]
    fn words_and_hexadecimal_do_not_stand_side_by_side() {
        assert_eq!(
            bytes(b"\0word\x01", b"\0tale\x02", 1),
            "byte 0x1: \"word\" -> \"tale\""
        );
        assert_eq!(
            bytes(b"\0word\x01", b"\0\x93\x01", 1),
            "byte 0x1: 77 6f 72 64 01 -> 93 01"
        );
    }

    #[test]
    fn of_a_program_the_words_are_shown_and_not_what_they_moved() {
        let said = |a: &[u8], b: &[u8]| excerpt(a, b).unwrap();
        assert_eq!(
            said(
                b"\x7fELF\x01\0/build/alpha/x\0rest of it\0",
                b"\x7fELF\x02\0/build/be/x\0rest of it\0"
            ),
            "\"/build/alpha/x\" -> \"/build/be/x\""
        );
        assert_eq!(
            said(b"\0same words\0\x01", b"\0same words\0\x02"),
            "byte 0xc: 01 -> 02"
        );
    }

    #[test]
    fn of_lines_with_checksums_the_first_that_says_more_is_shown() {
        let of =
            |digit: &str, day: &str| format!("start\nid {}\nday {day}\nend\n", digit.repeat(40));
        let said = |a: &str, b: &str| excerpt(a.as_bytes(), b.as_bytes()).unwrap();
        assert_eq!(
            said(&of("a", "one"), &of("b", "two")),
            "line 3: \"day one\" -> \"day two\""
        );
        assert!(said(&of("a", "one"), &of("b", "one")).starts_with("line 2: \"id aaaa"));
    }

    #[test]
    fn around_a_place_the_line_or_the_word_there_is_shown() {
        let text = |length: u8, host: &str| format!("/Length {length}\nsum 1{length} on {host}\n");
        let (old, new) = (text(1, "alpha"), text(2, "beta"));
        let at = new.find("beta").unwrap();
        assert_eq!(
            excerpt_at(old.as_bytes(), new.as_bytes(), at).unwrap(),
            "line 2: \"sum 11 on alpha\" -> \"sum 12 on beta\""
        );
        let bytes = |sum: &str, host: &str| format!("\x01{sum}\0name\0host-{host}\0\u{1}");
        let (old, new) = (bytes("0a1b2c3d", "alpha"), bytes("9f8e7d6c", "beta"));
        let at = new.find("beta").unwrap();
        assert_eq!(
            excerpt_at(old.as_bytes(), new.as_bytes(), at).unwrap(),
            "\"host-alpha\" -> \"host-beta\""
        );
        assert_eq!(excerpt_at(b"\0host-a\0", b"\0host-a\0", 3), None);
    }

    #[test]
    fn a_long_line_is_shown_around_its_first_difference() {
        let long = format!("{}X{}", "é".repeat(200), "b".repeat(200));
        let other = long.replace('X', "Y");
        let said = excerpt(long.as_bytes(), other.as_bytes()).unwrap();
        assert!(said.contains("éXb") && said.contains("éYb"), "{said}");
        assert!(said.chars().count() < 160, "{said}");
    }
}
