//! Where two contents part, all of it: the lines of texts, the sections of programs, the ranges of
//! any other bytes. What is not listed is counted.

use std::io;

use super::excerpt::text;
use super::ranges::partings;
use super::{lines, sections};
use crate::formats::{ReadAt, part};
use crate::model::difference::Evidence;

/// Longer contents are compared as bytes alone: lines and sections are looked for in memory.
const IN_MEMORY: u64 = 32 << 20;
/// What a content is, its first bytes show.
const FIRST: usize = 4 << 10;
/// So many ranges of bytes are listed, of about so much memory each.
const RANGES: usize = 1_000;
const RANGE: usize = 200;

/// Where two contents part; an error is one of reading them. What is listed takes about `room` bytes of
/// memory, and is one place at least.
pub fn evidence(first: &dyn ReadAt, second: &dyn ReadAt, room: usize) -> io::Result<Evidence> {
    if first.size().max(second.size()) <= IN_MEMORY {
        let [old, new] = [part(first, 0, FIRST)?, part(second, 0, FIRST)?];
        let telling = |bytes: &[u8]| bytes.starts_with(b"\x7fELF") || begins_as_text(bytes);
        if telling(&old) && telling(&new) {
            let length = usize::try_from(IN_MEMORY).unwrap_or(usize::MAX);
            let (old, new) = (part(first, 0, length)?, part(second, 0, length)?);
            if let (Some(old), Some(new)) = (text(&old), text(&new)) {
                return Ok(lines::lines(old, new, room));
            }
            if let Some(found) = sections::differing(&old, &new, room) {
                return Ok(found);
            }
        }
    }
    let partings = partings(first, second)?;
    let (ranges, more) = partings.shown(first, second, (room / RANGE).clamp(1, RANGES));
    Ok(Evidence::Bytes {
        ranges,
        more,
        differing: partings.differing(),
    })
}

/// Whether this may be the beginning of a text: a character may be cut at its end.
fn begins_as_text(bytes: &[u8]) -> bool {
    let whole = match std::str::from_utf8(bytes) {
        Ok(_) => bytes,
        Err(error) if error.error_len().is_none() => {
            bytes.get(..error.valid_up_to()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text(whole).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(first: &[u8], second: &[u8]) -> &'static str {
        match evidence(&first, &second, usize::MAX).unwrap() {
            Evidence::Lines { .. } => "lines",
            Evidence::Sections { .. } => "sections",
            Evidence::Bytes { .. } => "bytes",
        }
    }

    #[test]
    fn texts_are_compared_by_lines_and_what_is_none_by_bytes() {
        assert_eq!(kind(b"a\n", b"b\n"), "lines");
        assert_eq!(kind(b"a\n", b"\0\n"), "bytes");
        assert_eq!(kind(b"", b"b\n"), "lines");
        // The first bytes end within a character.
        let long = |end: &str| format!("{}é{end}", "a".repeat(FIRST - 1)).into_bytes();
        assert_eq!(kind(&long("x"), &long("y")), "lines");
        let late = [long("x"), vec![0]].concat();
        assert_eq!(kind(&long("x"), &late), "bytes");
        assert_eq!(kind(b"\x7fELF\x02\x01", b"\x7fELF\x01\x01"), "bytes");
    }
}
