//! Sections of an ELF file (the System V ABI's "Object Files", chapter 4), so that a difference in a
//! program can be placed. Members it has none.

use std::borrow::Cow;
use std::io::Read as _;
use std::ops::Range;

use flate2::read::ZlibDecoder;
use ruzstd::decoding::StreamingDecoder;

/// One section that takes room in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub range: Range<usize>,
    /// Whether it holds code.
    pub code: bool,
    /// Whether it is compressed.
    pub compressed: bool,
}

const NOBITS: u64 = 8;
const EXECINSTR: u64 = 0x4;
const COMPRESSED: u64 = 0x800;
/// Ways of compressing a section.
const ZLIB: u64 = 1;
const ZSTD: u64 = 2;
/// Longer names of sections are cut.
const NAME: usize = 256;

/// How numbers stand in the file.
struct Layout<'b> {
    bytes: &'b [u8],
    wide: bool,
    big_endian: bool,
}

impl Layout<'_> {
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.big_endian {
            bytes.iter().fold(0, add)
        } else {
            bytes.iter().rev().fold(0, add)
        })
    }

    /// A number whose place and length follow the class of the file.
    fn word(&self, base: usize, narrow: usize, wide: usize) -> Option<u64> {
        let (at, length) = if self.wide { (wide, 8) } else { (narrow, 4) };
        self.number(base.checked_add(at)?, length)
    }

    fn place(&self, base: usize, narrow: usize, wide: usize) -> Option<usize> {
        self.word(base, narrow, wide)?.try_into().ok()
    }

    /// Where the header of a section is.
    fn header(&self, index: u64) -> Option<usize> {
        let size = self.number(if self.wide { 0x3a } else { 0x2e }, 2)?;
        let offset = usize::try_from(index.checked_mul(size)?).ok()?;
        self.place(0, 0x20, 0x28)?.checked_add(offset)
    }

    fn range(&self, header: usize) -> Option<Range<usize>> {
        let start = self.place(header, 0x10, 0x18)?;
        let end = start.checked_add(self.place(header, 0x14, 0x20)?)?;
        (end <= self.bytes.len()).then_some(start..end)
    }

    fn section(&self, index: u64, names: &[u8]) -> Option<Section> {
        let header = self.header(index)?;
        let kind = self.number(header + 4, 4)?;
        let range = self.range(header)?;
        if kind == NOBITS || range.is_empty() {
            return None;
        }
        let name = names.get(usize::try_from(self.number(header, 4)?).ok()?..)?;
        let name = name.get(..NAME).unwrap_or(name);
        let name = name.split(|byte| *byte == 0).next()?;
        let flags = self.word(header, 0x8, 0x8)?;
        Some(Section {
            name: String::from_utf8_lossy(name).into_owned(),
            range,
            code: flags & EXECINSTR != 0,
            compressed: flags & COMPRESSED != 0,
        })
    }

    fn sections(&self) -> Option<Vec<Section>> {
        let count = self.number(if self.wide { 0x3c } else { 0x30 }, 2)?;
        let names = self.number(if self.wide { 0x3e } else { 0x32 }, 2)?;
        let names = self.bytes.get(self.range(self.header(names)?)?)?;
        let all = (0..count).filter_map(|index| self.section(index, names));
        let all: Vec<Section> = all.collect();
        // Sections of real files hardly overlap: many that do would be read over and over.
        let sum = all.iter().map(|section| section.range.len()).sum::<usize>();
        (sum <= self.bytes.len().saturating_mul(2)).then_some(all)
    }
}

/// The bytes of a section, uncompressed; as they are stored where they are broken, or longer than the
/// limit.
pub fn content<'b>(bytes: &'b [u8], section: &Section, limit: usize) -> Cow<'b, [u8]> {
    let stored = bytes.get(section.range.clone()).unwrap_or_default();
    let unpacked = section
        .compressed
        .then(|| unpacked(bytes, stored, limit))
        .flatten();
    unpacked.map_or(Cow::Borrowed(stored), Cow::Owned)
}

/// What a compressed section holds, behind the header that says how and how much.
fn unpacked(file: &[u8], stored: &[u8], limit: usize) -> Option<Vec<u8>> {
    let layout = Layout {
        bytes: stored,
        wide: file.get(4) == Some(&2),
        big_endian: file.get(5) == Some(&2),
    };
    let size = layout.word(0, 4, 8).filter(|size| *size <= limit as u64)?;
    let mut packed = stored.get(if layout.wide { 24 } else { 12 }..)?;
    let mut content = Vec::new();
    match layout.number(0, 4)? {
        ZLIB => ZlibDecoder::new(packed)
            .take(size)
            .read_to_end(&mut content),
        ZSTD => {
            let decoder = StreamingDecoder::new(&mut packed).ok()?;
            decoder.take(size).read_to_end(&mut content)
        }
        _ => return None,
    }
    .ok()?;
    (content.len() as u64 == size).then_some(content)
}

/// The sections of an ELF file that are not empty, in their order; none of what is no ELF file.
pub fn sections(bytes: &[u8]) -> Vec<Section> {
    let (Some([1 | 2, 1 | 2]), true) = (bytes.get(4..6), bytes.starts_with(b"\x7fELF")) else {
        return Vec::new();
    };
    let layout = Layout {
        bytes,
        wide: bytes.get(4) == Some(&2),
        big_endian: bytes.get(5) == Some(&2),
    };
    layout.sections().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A program of 64 bits with these sections and nothing else.
    pub(crate) fn program(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut names = vec![0];
        let mut bodies = Vec::new();
        let mut headers = vec![0; 64];
        let header = |name: usize, at: usize, length: usize| {
            let mut header = vec![0; 64];
            header[..4].copy_from_slice(&u32::try_from(name).unwrap().to_le_bytes());
            header[4] = 1;
            header[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(length as u64).to_le_bytes());
            header
        };
        for (name, body) in sections {
            headers.extend(header(names.len(), 64 + bodies.len(), body.len()));
            bodies.extend_from_slice(body);
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        headers.extend(header(0, 64 + bodies.len(), names.len()));
        bodies.extend(names);
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x28..0x30].copy_from_slice(&(64 + bodies.len() as u64).to_le_bytes());
        file[0x3a] = 64;
        file[0x3c] = u8::try_from(sections.len() + 2).unwrap();
        file[0x3e] = u8::try_from(sections.len() + 1).unwrap();
        file.extend(bodies);
        file.extend(headers);
        file
    }

    #[test]
    fn sections_are_found_by_name() {
        let bytes = program(&[(".text", b"abc"), (".empty", b""), (".rodata", b"hello")]);
        let found: Vec<_> = sections(&bytes)
            .into_iter()
            .map(|section| (section.name, bytes[section.range].to_vec()))
            .collect();
        assert_eq!(found[0], (".text".to_owned(), b"abc".to_vec()));
        assert_eq!(found[1], (".rodata".to_owned(), b"hello".to_vec()));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn sections_that_all_hold_the_same_bytes_are_none() {
        let body = [b'x'; 4096];
        let mut bytes = program(&[(".text", &body), (".a", b"a"), (".b", b"b"), (".c", b"c")]);
        let headers = usize::from_le_bytes(*bytes[0x28..].first_chunk().unwrap());
        let first = bytes[headers + 64..headers + 128].to_vec();
        for number in 2..5 {
            let at = headers + 64 * number + 0x18;
            bytes[at..at + 16].copy_from_slice(&first[0x18..0x28]);
        }
        assert!(sections(&bytes).is_empty());
    }

    #[test]
    fn foreign_and_broken_bytes_have_no_sections() {
        assert!(sections(b"#!/bin/sh").is_empty());
        let whole = program(&[(".text", b"abc")]);
        for length in 0..whole.len() {
            let part = &whole[..length];
            let inside = |section: Section| part.get(section.range).is_some();
            assert!(sections(part).into_iter().all(inside), "{length}");
        }
        for byte in 0x28..0x40 {
            let mut broken = whole.clone();
            broken[byte] = 0xff;
            sections(&broken);
        }
    }
}
