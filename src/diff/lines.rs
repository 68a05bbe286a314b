//! Lines that stand in the place of others in two versions of a text.

use imara_diff::{Algorithm, Diff, InternedInput};

use super::excerpt::common;
use crate::model::difference::{Both, Evidence, Hunk};

/// So many hunks are listed, ...
const HUNKS: usize = 1_000;
/// ... so many lines of each, ...
const LINES: usize = 50;
/// ... and so many characters of a line, from shortly before its first difference on.
const WIDTH: usize = 500;
/// What is shown of a longer line before the first difference.
const BEFORE: usize = 60;

/// Where the lines of two texts differ; the ends of lines count. Hunks are listed as long as there is
/// room for them, in bytes; the first always is.
pub(super) fn lines(first: &str, second: &str, room: usize) -> Evidence {
    let input = InternedInput::new(first, second);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let text = |tokens: &[imara_diff::Token], range: std::ops::Range<u32>| {
        let range = range.start as usize..range.end as usize;
        let tokens = tokens.get(range).unwrap_or_default();
        let lines = tokens.iter().map(|token| input.interner[*token]);
        lines.collect::<Vec<&str>>()
    };
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut left = room;
    let mut more = 0;
    for part in diff.hunks() {
        if hunks.len() == HUNKS || (left == 0 && !hunks.is_empty()) {
            more += 1;
            continue;
        }
        let starts = [part.before.start, part.after.start];
        let lines = [
            text(&input.before, part.before),
            text(&input.after, part.after),
        ];
        let hunk = hunk(starts, lines);
        left = left.saturating_sub(size(&hunk));
        hunks.push(hunk);
    }
    Evidence::Lines { hunks, more }
}

/// About how much memory a hunk takes.
fn size(hunk: &Hunk) -> usize {
    let lines = hunk.lines.first.iter().chain(&hunk.lines.second);
    lines
        .map(|line| line.len() + size_of::<String>())
        .sum::<usize>()
        + size_of::<Hunk>()
}

fn hunk([first, second]: [u32; 2], [old, new]: [Vec<&str>; 2]) -> Hunk {
    // Where only the ends of lines differ, these are shown.
    let ends = old.len() == new.len()
        && old
            .iter()
            .zip(&new)
            .all(|(old, new)| without_end(old) == without_end(new));
    let listed = |own: &[&str], other: &[&str]| {
        let own = own.iter().take(LINES).enumerate();
        let shown = own.map(|(number, line)| {
            let opposite = other.get(number).copied().unwrap_or_default();
            let line_shown = shown(without_end(line), common(line, opposite));
            if ends {
                format!("{line_shown}{}", end(line).escape_default())
            } else {
                line_shown
            }
        });
        shown.collect()
    };
    let rest = |lines: &[&str]| lines.len().saturating_sub(LINES) as u64;
    Hunk {
        line: Both {
            first: u64::from(first) + 1,
            second: u64::from(second) + 1,
        },
        lines: Both {
            first: listed(&old, &new),
            second: listed(&new, &old),
        },
        more: Both {
            first: rest(&old),
            second: rest(&new),
        },
    }
}

fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r'])
}

fn end(line: &str) -> &str {
    line.get(without_end(line).len()..).unwrap_or_default()
}

/// A line, or a part of it from shortly before the byte `at` on.
pub(super) fn shown(line: &str, at: usize) -> String {
    if line.len() <= WIDTH {
        return line.to_owned();
    }
    let start = if at <= BEFORE {
        0
    } else {
        line.floor_char_boundary(at - BEFORE)
    };
    let rest = line.get(start..).unwrap_or_default();
    let end = rest.floor_char_boundary(WIDTH);
    let before = if start > 0 { "…" } else { "" };
    let after = if end < rest.len() { "…" } else { "" };
    format!("{before}{}{after}", rest.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(first: &str, second: &str) -> Vec<Hunk> {
        let Evidence::Lines { hunks, more: 0 } = lines(first, second, usize::MAX) else {
            panic!()
        };
        hunks
    }

    #[test]
    fn lines_put_in_or_left_out_move_nothing_else() {
        let hunks = of("a\nb\nc\nd\n", "a\nx\nb\nc\ny\n");
        let said: Vec<_> = hunks
            .iter()
            .map(|hunk| {
                (
                    hunk.line.first,
                    hunk.line.second,
                    hunk.lines.first.join("|"),
                    hunk.lines.second.join("|"),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                (2, 2, String::new(), "x".to_owned()),
                (4, 5, "d".to_owned(), "y".to_owned()),
            ]
        );
    }

    #[test]
    fn ends_of_lines_are_shown_where_they_alone_differ() {
        let hunks = of("a\nb\n", "a\r\nb\n");
        assert_eq!(hunks[0].lines.first, ["a\\n"]);
        assert_eq!(hunks[0].lines.second, ["a\\r\\n"]);
        assert_eq!(of("a\nb\n", "a\nb")[0].lines.second, ["b"]);
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        let many = |word: &str| format!("{word}\n").repeat(60);
        let hunks = of(&many("a"), &many("b"));
        assert_eq!((hunks.len(), hunks[0].lines.first.len()), (1, LINES));
        assert_eq!(hunks[0].more.first, 10);
        let lines_of = |word: &str| {
            let pair = |number: usize| format!("{number}\nsame {number}\n").replace('9', word);
            (0..30_000).map(pair).collect::<String>()
        };
        let Evidence::Lines { hunks, more } = lines(&lines_of("x"), &lines_of("y"), usize::MAX)
        else {
            panic!()
        };
        assert_eq!(hunks.len(), HUNKS);
        assert!(more > 1000, "{more}");
    }

    #[test]
    fn hunks_are_listed_as_long_as_there_is_room_and_one_always_is() {
        let text = |word: &str| {
            let pair = |number: usize| format!("{word}{number}\nsame {number}\n");
            (0..20).map(pair).collect::<String>()
        };
        let of = |room| {
            let Evidence::Lines { hunks, more } = lines(&text("x"), &text("y"), room) else {
                panic!()
            };
            assert_eq!(hunks.len() as u64 + more, 20);
            hunks.len()
        };
        assert_eq!((of(0), of(usize::MAX)), (1, 20));
        assert!((2..20).contains(&of(1_000)), "{}", of(1_000));
    }

    #[test]
    fn of_a_long_line_the_part_that_differs_is_shown() {
        let long = |word: &str| format!("{}{word}{}\n", "é".repeat(9000), "z".repeat(9000));
        let hunks = of(&long("one"), &long("two"));
        let line = &hunks[0].lines.first[0];
        assert!(line.contains("éone") && line.len() < WIDTH + 20, "{line}");
    }
}
