//! What a difference is likely due to, guessed from its bytes alone: nothing was built, and so
//! nothing is proven. `reprobe check` finds out.

use crate::formats::{self, Kind};
use crate::model::Field;
use crate::model::difference::{Difference, Evidence, Hunk, Likely, Range};

/// The likely variations of a difference, the likeliest first.
pub fn likely(difference: &Difference) -> Vec<Likely> {
    let field = Field::from(difference.field.as_str());
    let values = [&difference.values.first, &difference.values.second];
    let [Some(first), Some(second)] = values.map(Option::as_deref) else {
        return Vec::new();
    };
    match formats::kind(&field) {
        Kind::Time => times(first, second),
        Kind::Order => said(
            &["file-order"],
            "the order in which a directory lists its files",
        ),
        Kind::Owner => said(
            &["user", "source-owner"],
            "who built, or whose the files were",
        ),
        Kind::Mode if takes_more(first, second) => Vec::new(),
        Kind::Mode => said(
            &["umask", "source-mode"],
            "modes of files as they were packed",
        ),
        Kind::Compression => said(
            &["cpus"],
            "the same bytes, compressed otherwise: threads, level or version",
        ),
        Kind::Header => Vec::new(),
        Kind::Content if field == Field::MODE => said(
            &["umask", "source-mode"],
            "modes of files as they were made",
        ),
        Kind::Content if field == Field::CONTENT => content(difference.evidence.as_ref()),
        Kind::Content => words(first, second),
    }
}

fn said(variations: &[&str], because: &str) -> Vec<Likely> {
    let each = variations.iter().map(|variation| Likely {
        variation: (*variation).to_owned(),
        because: because.to_owned(),
    });
    each.collect()
}

/// Whether two modes differ in what no mask of modes takes away: set-user-ID, set-group-ID, sticky.
fn takes_more(first: &str, second: &str) -> bool {
    let mode = |text: &str| u32::from_str_radix(text.split(' ').next()?, 8).ok();
    let modes = mode(first).zip(mode(second));
    modes.is_some_and(|(first, second)| (first ^ second) & 0o7000 != 0)
}

/// Two times: what parts them by whole quarters of an hour, and by less than two days, may be the
/// zone alone, where local time is stored (zip).
fn times(first: &str, second: &str) -> Vec<Likely> {
    let date = |text: &str| chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok();
    let apart = date(first).zip(date(second));
    let apart = apart.map(|(first, second)| (second - first).num_seconds().abs());
    let by_zone = apart
        .is_some_and(|apart| apart % QUARTER == 0 && apart % DAY != 0 && apart <= 26 * 4 * QUARTER);
    let mut likely = Vec::new();
    if by_zone {
        likely = said(
            &["timezone"],
            "local times that are whole quarters of an hour apart",
        );
    }
    likely.extend(said(
        &["time", "source-mtime"],
        "the time of the build, or of the files",
    ));
    likely
}

/// A quarter of an hour, in seconds: what zones differ by.
const QUARTER: i64 = 900;
/// A day: what times that others chose often differ by.
const DAY: i64 = 96 * QUARTER;

/// What the words say that stand in each other's place.
fn content(evidence: Option<&Evidence>) -> Vec<Likely> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let mut decoded = Vec::new();
    match evidence {
        None => {}
        Some(Evidence::Lines { hunks, .. }) => {
            let lines =
                |of: fn(&Hunk) -> &Vec<String>| hunks.iter().flat_map(of).map(String::as_str);
            let (old, new) = (
                lines(|hunk| &hunk.lines.first),
                lines(|hunk| &hunk.lines.second),
            );
            let (mut left, mut right): (Vec<&str>, Vec<&str>) = (old.collect(), new.collect());
            for hunk in hunks {
                let lines = hunk.lines.first.iter().zip(&hunk.lines.second);
                pairs.extend(lines.map(|(old, new)| (old.as_str(), new.as_str())));
            }
            left.sort_unstable();
            right.sort_unstable();
            if left == right && !left.is_empty() {
                return said(
                    &["file-order", "locale", "randomness"],
                    "the same lines in another order",
                );
            }
        }
        Some(Evidence::Sections { sections }) => {
            for section in sections {
                let words = section.strings.first.iter().zip(&section.strings.second);
                pairs.extend(words.map(|(old, new)| (old.as_str(), new.as_str())));
            }
        }
        Some(Evidence::Bytes { ranges, .. }) => {
            let pair =
                |range: &Range| Some((text(&range.bytes.first)?, text(&range.bytes.second)?));
            decoded.extend(ranges.iter().take(PAIRS).filter_map(pair));
            pairs.extend(
                decoded
                    .iter()
                    .map(|(old, new)| (old.as_str(), new.as_str())),
            );
        }
    }
    let mut likely: Vec<Likely> = Vec::new();
    for (old, new) in pairs.into_iter().take(PAIRS) {
        for guess in words(old, new) {
            if likely
                .iter()
                .all(|known| known.variation != guess.variation)
            {
                likely.push(guess);
            }
        }
    }
    likely
}

/// So many pairs of words are looked at.
const PAIRS: usize = 200;

/// Bytes in hexadecimal as printable text.
fn text(hexadecimal: &str) -> Option<String> {
    let digits = hexadecimal.as_bytes().chunks_exact(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Option<Vec<u8>> = bytes.collect();
    let printable = |byte: &u8| (0x20..0x7f).contains(byte);
    let bytes = bytes.filter(|bytes| bytes.iter().all(printable))?;
    String::from_utf8(bytes).ok()
}

/// What two texts say of which one stands in the place of the other.
fn words(first: &str, second: &str) -> Vec<Likely> {
    let (old, new) = (parts(first), parts(second));
    let changed: Vec<(&str, &str)> = if old.len() == new.len() {
        let pairs = old.iter().copied().zip(new.iter().copied());
        pairs.filter(|(old, new)| old != new).collect()
    } else {
        vec![(first, second)]
    };
    if first.is_ascii() != second.is_ascii() {
        return said(&["locale"], "other letters, in one of the two only ASCII");
    }
    let both = [first, second];
    let known = NAMED
        .iter()
        .find(|(key, _)| both.iter().all(|line| line.contains(key)));
    if let Some((_, variation)) = known {
        return said(&[variation], "what the line is called");
    }
    let changed = changed.into_iter();
    changed.flat_map(|(old, new)| word(old, new)).collect()
}

/// What lines are called that hold one thing only: a manifest's, and the kernel's own words.
const NAMED: [(&str, &str); 5] = [
    ("Built-By: ", "user"),
    ("Build-Host: ", "hostname"),
    ("Bnd-LastModified: ", "time"),
    ("Build-Date: ", "time"),
    ("Linux version ", "kernel"),
];

/// What two words are, both of them.
fn word(old: &str, new: &str) -> Vec<Likely> {
    type Is = fn(&str) -> bool;
    let known: [(Is, &[&str], &str); 7] = [
        (
            is_temporary,
            &["randomness", "pid"],
            "names of temporary files",
        ),
        (is_path, &["build-path"], "absolute paths"),
        (is_zone, &["timezone"], "time zones"),
        (is_time, &["time"], "times or dates"),
        (is_uuid, &["randomness"], "random identifiers"),
        (is_address, &["aslr"], "addresses in memory"),
        (is_account, &["user", "hostname"], "a user at a host"),
    ];
    let found = known.into_iter().find(|(is, ..)| is(old) && is(new));
    found.map_or_else(Vec::new, |(_, variations, because)| {
        said(variations, because)
    })
}

/// The words of a line, apart at blanks, quotes and the like.
fn parts(line: &str) -> Vec<&str> {
    let apart = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '\'' | '`' | '(' | ')' | '<' | '>' | ',' | ';' | '=' | '[' | ']' | '{' | '}'
            )
    };
    line.split(apart).filter(|part| !part.is_empty()).collect()
}

fn digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn hexadecimal(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// At least two steps from the root, as far as a flag before it (`-I/build/x`).
fn is_path(word: &str) -> bool {
    let path = word
        .find('/')
        .and_then(|at| word.get(at..))
        .unwrap_or_default();
    let flag = word.len() - path.len();
    path.matches('/').count() >= 2 && flag <= 24 && !word.contains("://") && !is_time(word)
}

/// `+0100`, `CET`.
fn is_zone(word: &str) -> bool {
    let offset = word.strip_prefix(['+', '-']);
    offset.is_some_and(|offset| offset.len() == 4 && digits(offset))
        || [
            "UTC", "GMT", "CET", "CEST", "EST", "EDT", "PST", "PDT", "JST", "IST",
        ]
        .contains(&word)
}

/// Seconds since 1970 from 2001 on, a date, a time of day, a month or a day of the week.
fn is_time(word: &str) -> bool {
    let runs = |mark: char, lengths: &[usize]| {
        let date = word.split(['T', 'Z', '.', '+']).next().unwrap_or_default();
        let parts: Vec<&str> = date.split(mark).collect();
        parts.len() == lengths.len()
            && parts
                .iter()
                .zip(lengths)
                .all(|(part, length)| digits(part) && part.len() == *length)
    };
    let seconds = word.split('.').next().unwrap_or_default();
    let named = |names: &[&str]| {
        names
            .iter()
            .any(|name| word.starts_with(name) && word.len() <= 9)
    };
    (digits(seconds) && seconds.len() == 10 && seconds.starts_with(['1', '2']))
        || runs('-', &[4, 2, 2])
        || runs('/', &[4, 2, 2])
        || runs(':', &[2, 2, 2])
        || runs(':', &[2, 2])
        || (word.starts_with("D:") && word.len() >= 10)
        || named(&[
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ])
        || ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&word)
}

fn is_uuid(word: &str) -> bool {
    let word = word.strip_prefix("urn:uuid:").unwrap_or(word);
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = word.split('-').collect();
    parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| hexadecimal(part) && part.len() == length)
}

/// `0x7f12…`: what starts lower is a number.
fn is_address(word: &str) -> bool {
    let number = word
        .strip_prefix("0x")
        .map(|number| number.trim_start_matches('0'));
    number.is_some_and(|number| number.len() >= 8 && hexadecimal(number))
}

/// A random name below a directory for such files: `/tmp/ccX3Yz12.o`.
fn is_temporary(word: &str) -> bool {
    let name = ["/tmp/", "/var/tmp/"]
        .iter()
        .find_map(|place| word.strip_prefix(place));
    name.is_some_and(|name| {
        let name = name.split(['.', '-']).find(|part| part.len() >= 6);
        name.is_some_and(|name| {
            let has = |is: fn(&char) -> bool| name.chars().any(|c| is(&c));
            has(char::is_ascii_digit) && has(char::is_ascii_lowercase) && !name.contains('/')
        })
    })
}

fn is_account(word: &str) -> bool {
    let split = word.split_once('@');
    split.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::difference::Both;

    fn names(likely: Vec<Likely>) -> Vec<String> {
        likely.into_iter().map(|likely| likely.variation).collect()
    }

    #[test]
    fn words_in_each_others_place_say_what_they_are() {
        let of = |first: &str, second: &str| names(words(first, second)).join(" ");
        assert_eq!(
            of("built in /build/a/src", "built in /tmp/x/b/src"),
            "build-path"
        );
        assert_eq!(of("-I/build/a/src", "-I/home/b/src"), "build-path");
        assert_eq!(of("date = 2024-01-02", "date = 2025-01-02"), "time");
        assert_eq!(of("at 1700000000", "at 1700000001"), "time");
        assert_eq!(of("Mon Jan 01 2024", "Tue Jan 02 2024"), "time");
        assert_eq!(of("10:00:00 +0000", "10:00:00 +0100"), "timezone");
        assert_eq!(of("<f at 0x7f1234567890>", "<f at 0x7f9934567890>"), "aslr");
        assert_eq!(
            of(
                "id 123e4567-e89b-12d3-a456-426614174000",
                "id 123e4567-e89b-12d3-a456-426614174001"
            ),
            "randomness"
        );
        assert_eq!(of("by root@alpha", "by me@beta"), "user hostname");
        assert_eq!(of("naïve", "naive"), "locale");
        assert_eq!(
            of("cc /tmp/ccX3Yz12.o", "cc /tmp/ccAb3d5f.o"),
            "randomness pid"
        );
        assert_eq!(
            of("at 1700000000 in /a/b/c", "at 1700000009 in /a/d/c"),
            "time build-path"
        );
        assert_eq!(of("Built-By: root", "Built-By: me"), "user");
        assert_eq!(of("version 1", "version 2"), "");
        assert_eq!(of("https://a.example/x/y", "https://b.example/x/y"), "");
    }

    #[test]
    fn local_times_whole_quarters_of_an_hour_apart_may_be_the_zones() {
        let of = |first: &str, second: &str| names(times(first, second)).join(" ");
        assert_eq!(
            of("2024-01-01 10:00:00", "2024-01-01 15:30:00"),
            "timezone time source-mtime"
        );
        assert_eq!(
            of("2024-01-01 10:00:00", "2024-01-01 10:00:02"),
            "time source-mtime"
        );
        assert_eq!(of("0", "3600"), "time source-mtime");
    }

    #[test]
    fn the_same_lines_in_another_order_are_an_order() {
        let hunk = |first: &[&str], second: &[&str]| Hunk {
            line: Both::default(),
            lines: Both {
                first: first.iter().map(ToString::to_string).collect(),
                second: second.iter().map(ToString::to_string).collect(),
            },
            more: Both::default(),
        };
        let of = |hunks: Vec<Hunk>| names(content(Some(&Evidence::Lines { hunks, more: 0 })));
        assert_eq!(
            of(vec![hunk(&["a"], &[]), hunk(&[], &["a"])])[0],
            "file-order"
        );
        assert_eq!(
            of(vec![hunk(&["on /a/b/c"], &["on /d/e/f"])]),
            ["build-path"]
        );
        assert!(of(vec![hunk(&["a"], &["b"])]).is_empty());
    }

    #[test]
    fn bytes_are_read_as_text_where_they_are_printable() {
        assert_eq!(text("2f622f63").unwrap(), "/b/c");
        assert_eq!(text("0061"), None);
    }
}
