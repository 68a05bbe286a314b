//! Where contents part, in lines: what stands in each other's place, and how much more there is.

use super::super::words::{count, printable};
use crate::model::difference::{Both, Evidence, Hunk, Range, Section};

/// So many hunks, sections or ranges are shown, ...
const SHOWN: usize = 6;
/// ... so many lines of a hunk, ...
const LINES: usize = 4;
/// ... so many ranges of a section, ...
const RANGES: usize = 2;
/// ... and so many characters of a line, from shortly before its first difference on.
const WIDTH: usize = 90;
const BEFORE: usize = 20;

/// The lines, the most telling first.
pub(super) fn lines(evidence: &Evidence) -> Vec<String> {
    match evidence {
        Evidence::Lines { hunks, more } => {
            let mut lines: Vec<String> = hunks.iter().take(SHOWN).flat_map(hunk).collect();
            lines.extend(rest(hunks.len(), *more, "hunk"));
            lines
        }
        Evidence::Sections { sections } => {
            let mut sections: Vec<&Section> = sections.iter().collect();
            // Words say more than bytes that they moved.
            sections.sort_by_key(|section| is_empty(&section.strings));
            let mut lines: Vec<String> = sections
                .iter()
                .take(SHOWN)
                .copied()
                .flat_map(section)
                .collect();
            lines.extend(others(sections.get(SHOWN..).unwrap_or_default()));
            lines
        }
        Evidence::Bytes {
            ranges,
            more,
            differing,
        } => {
            let mut lines = vec![extent(ranges.len() as u64 + more, *differing)];
            lines.extend(
                ranges
                    .iter()
                    .take(SHOWN)
                    .map(|range| format!("  {}", bytes(range))),
            );
            lines.extend(rest(ranges.len(), *more, "range").map(|rest| format!("  {rest}")));
            lines
        }
    }
}

/// What is not shown of a list that has `more` besides.
fn rest(listed: usize, more: u64, noun: &str) -> Option<String> {
    let rest = listed.saturating_sub(SHOWN) as u64 + more;
    (rest > 0).then(|| format!("… and {} more (--json lists them)", count(rest, noun)))
}

/// `line 3: "a" -> "b"`, or the lines below each other.
fn hunk(hunk: &Hunk) -> Vec<String> {
    let (old, new) = (&hunk.lines.first, &hunk.lines.second);
    if let ([one], [other]) = (old.as_slice(), new.as_slice()) {
        let at = shared(one, other);
        let [one, other] = [one, other].map(|line| printable(&window(line, at)));
        return if one.chars().count() + other.chars().count() <= WIDTH {
            vec![format!(
                "line {}: \"{one}\" -> \"{other}\"",
                hunk.line.first
            )]
        } else {
            vec![
                format!("line {}:", hunk.line.first),
                format!("  - {one}"),
                format!("  + {other}"),
            ]
        };
    }
    let mut lines = vec![match (hunk.line.first, hunk.line.second) {
        (first, second) if first == second => format!("line {first}:"),
        (first, second) => format!("line {first} (in the second: {second}):"),
    }];
    for (mark, own, other, more) in [
        ("-", old, new, hunk.more.first),
        ("+", new, old, hunk.more.second),
    ] {
        let shown = own.iter().take(LINES).enumerate().map(|(number, line)| {
            let at = other.get(number).map_or(0, |other| shared(line, other));
            format!("  {mark} {}", printable(&window(line, at)))
        });
        lines.extend(shown);
        let rest = own.len().saturating_sub(LINES) as u64 + more;
        if rest > 0 {
            lines.push(format!("  {mark} … and {} more", count(rest, "line")));
        }
    }
    lines
}

/// How many characters two lines have in common at their start.
fn shared(one: &str, other: &str) -> usize {
    let pairs = one.chars().zip(other.chars());
    pairs.take_while(|(one, other)| one == other).count()
}

fn window(line: &str, at: usize) -> String {
    let length = line.chars().count();
    let start = if length <= WIDTH {
        0
    } else {
        at.saturating_sub(BEFORE).min(length - WIDTH)
    };
    let part: String = line.chars().skip(start).take(WIDTH).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + WIDTH < length { "…" } else { "" };
    format!("{before}{part}{after}")
}

fn is_empty(strings: &Both<Vec<String>>) -> bool {
    strings.first.is_empty() && strings.second.is_empty()
}

/// The words of a section, or else its bytes.
fn section(section: &Section) -> Vec<String> {
    let name = printable(&section.name);
    let head = match (section.size.first, section.size.second) {
        (Some(first), Some(second)) if first == second => format!("{name} ({first} bytes)"),
        (Some(first), Some(second)) => format!("{name} ({first} -> {second} bytes)"),
        (Some(first), None) => return vec![format!("{name}: only in the first ({first} bytes)")],
        (None, second) => {
            return vec![format!(
                "{name}: only in the second ({} bytes)",
                second.unwrap_or(0)
            )];
        }
    };
    if !is_empty(&section.strings) {
        let quoted = |words: &[String], others: &[String]| {
            let shown = words.iter().enumerate().map(|(number, word)| {
                let at = others.get(number).map_or(0, |other| shared(word, other));
                format!("\"{}\"", printable(&window(word, at)))
            });
            match shown.collect::<Vec<_>>().as_slice() {
                [] => "nothing".to_owned(),
                // One says what it is about, and the JSON has the others.
                [first, ..] => first.clone(),
            }
        };
        let (old, new) = (&section.strings.first, &section.strings.second);
        return vec![format!(
            "{head}: {} -> {}",
            quoted(old, new),
            quoted(new, old)
        )];
    }
    let number = section.ranges.len() as u64 + section.more;
    let shown: Vec<String> = section.ranges.iter().take(RANGES).map(bytes).collect();
    match (shown.as_slice(), number.saturating_sub(shown.len() as u64)) {
        ([], _) => vec![format!("{head}: differs")],
        (_, 0) => vec![format!("{head}: {}", shown.join("; "))],
        (_, more) => vec![format!(
            "{head}: {}; {} more",
            shown.join("; "),
            count(more, "range")
        )],
    }
}

/// The names of sections that are not shown.
fn others(sections: &[&Section]) -> Option<String> {
    let names: Vec<String> = sections
        .iter()
        .map(|section| printable(&section.name))
        .collect();
    (!names.is_empty()).then(|| format!("also: {}", names.join(", ")))
}

fn extent(ranges: u64, differing: Both<u64>) -> String {
    let bytes = match (differing.first, differing.second) {
        (first, second) if first == second => count(first, "byte"),
        (first, second) => format!("{} -> {}", count(first, "byte"), count(second, "byte")),
    };
    format!("{bytes} in {}", count(ranges, "range"))
}

/// `0x1f0: 01 02 -> 01 03`.
fn bytes(range: &Range) -> String {
    let place = match (range.offset.first, range.offset.second) {
        (first, second) if first == second => format!("{first:#x}"),
        (first, second) => format!("{first:#x} ({second:#x})"),
    };
    let text = range.bytes.as_ref().map(|digits| text(digits));
    let shown = |digits: &str, length: u64, text: &Option<String>, other: &Option<String>| {
        if length == 0 {
            return "nothing".to_owned();
        }
        let more = if length > digits.len() as u64 / 2 {
            format!("… ({length} bytes)")
        } else {
            String::new()
        };
        match (text, other) {
            (Some(text), Some(_)) => format!("\"{text}\"{more}"),
            _ => format!("{}{more}", spaced(digits)),
        }
    };
    format!(
        "{place}: {} -> {}",
        shown(
            &range.bytes.first,
            range.length.first,
            &text.first,
            &text.second
        ),
        shown(
            &range.bytes.second,
            range.length.second,
            &text.second,
            &text.first
        )
    )
}

/// The bytes as text, if they are a word: a few printable ones.
fn text(digits: &str) -> Option<String> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    let word = bytes.is_empty() || bytes.len() >= 4;
    let printed = bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    (word && printed).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn spaced(digits: &str) -> String {
    let pairs = digits.as_bytes().chunks(2);
    let pairs: Vec<_> = pairs.map(String::from_utf8_lossy).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(at: u64, bytes: [&str; 2]) -> Range {
        let [first, second] = bytes.map(str::to_owned);
        let length = Both {
            first: first.len() as u64 / 2,
            second: second.len() as u64 / 2,
        };
        Range {
            offset: Both {
                first: at,
                second: at,
            },
            length,
            bytes: Both { first, second },
        }
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let ranges: Vec<Range> = (0..10).map(|at| range(at * 100, ["01", "02"])).collect();
        let differing = Both {
            first: 17,
            second: 17,
        };
        let said = lines(&Evidence::Bytes {
            ranges,
            more: 7,
            differing,
        });
        assert_eq!(said[0], "17 bytes in 17 ranges");
        assert_eq!(said[1], "  0x0: 01 -> 02");
        assert_eq!(
            said.last().unwrap(),
            "  … and 11 ranges more (--json lists them)"
        );
    }

    #[test]
    fn bytes_that_are_words_in_both_are_shown_as_words() {
        assert_eq!(
            bytes(&range(16, ["61626364", "65666768"])),
            "0x10: \"abcd\" -> \"efgh\""
        );
        assert_eq!(
            bytes(&range(16, ["61626364", "00666768"])),
            "0x10: 61 62 63 64 -> 00 66 67 68"
        );
        assert_eq!(
            bytes(&range(16, ["61626364", ""])),
            "0x10: \"abcd\" -> nothing"
        );
    }

    #[test]
    fn one_line_in_the_place_of_one_stands_beside_it_and_several_below_each_other() {
        let of = |first: &[&str], second: &[&str]| {
            hunk(&Hunk {
                line: Both {
                    first: 3,
                    second: 3,
                },
                lines: Both {
                    first: first.iter().map(ToString::to_string).collect(),
                    second: second.iter().map(ToString::to_string).collect(),
                },
                more: Both::default(),
            })
        };
        assert_eq!(of(&["a"], &["b"]), ["line 3: \"a\" -> \"b\""]);
        assert_eq!(of(&["a\u{1b}"], &[]), ["line 3:", "  - a\\u{1b}"]);
        let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(of(&many, &[]).last().unwrap(), "  - … and 5 lines more");
    }
}
