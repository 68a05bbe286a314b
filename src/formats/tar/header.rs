//! One block of a tar header, in the dialects v7, ustar and GNU: the fields as they stand, and
//! their offsets within the block.

use crate::formats::place::until_nul;
use crate::model::escape_bytes;

/// The unit in which tar counts.
pub(crate) const BLOCK: u64 = 512;

/// A header block whose checksum is right.
pub(crate) struct Header {
    block: [u8; 512],
}

/// Where a field stands within the block.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// The first byte.
    pub(crate) at: usize,
    /// How many there are.
    length: usize,
}

/// Which of the historic dialects a header speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dialect {
    V7,
    Ustar,
    Gnu,
}

const fn span(at: usize, length: usize) -> Span {
    Span { at, length }
}

pub(crate) const NAME: Span = span(0, 100);
pub(crate) const MODE: Span = span(100, 8);
pub(crate) const UID: Span = span(108, 8);
pub(crate) const GID: Span = span(116, 8);
pub(crate) const SIZE: Span = span(124, 12);
pub(crate) const MTIME: Span = span(136, 12);
const CHECKSUM: Span = span(148, 8);
pub(crate) const TYPE: Span = span(156, 1);
pub(crate) const LINK: Span = span(157, 100);
const MAGIC: Span = span(257, 8);
pub(crate) const USER: Span = span(265, 32);
pub(crate) const GROUP: Span = span(297, 32);
pub(crate) const MAJOR: Span = span(329, 8);
pub(crate) const MINOR: Span = span(337, 8);
const PREFIX: Span = span(345, 155);
// Of GNU headers only, in the place of the prefix.
pub(crate) const ATIME: Span = span(345, 12);
pub(crate) const CTIME: Span = span(357, 12);
pub(crate) const SPARSE: Span = span(386, 109);
/// Within a GNU header: whether blocks with more of the sparse map follow.
const SPARSE_CONTINUES: Span = span(482, 1);

impl Header {
    /// A header, if the checksum says that this is one.
    pub(crate) fn parse(block: &[u8; 512]) -> Option<Self> {
        let header = Self { block: *block };
        let stored = number(header.bytes(CHECKSUM))?;
        (header.sums().contains(&stored) && block.iter().any(|byte| *byte != 0)).then_some(header)
    }

    /// The sums of the block's bytes, the checksum's own counted as blanks; some old writers took
    /// them as signed.
    fn sums(&self) -> [i64; 2] {
        let checksum = CHECKSUM.at..CHECKSUM.at + CHECKSUM.length;
        let bytes =
            self.block.iter().enumerate().map(
                |(at, byte)| {
                    if checksum.contains(&at) { b' ' } else { *byte }
                },
            );
        bytes.fold([0, 0], |[unsigned, signed], byte| {
            [
                unsigned + i64::from(byte),
                signed + i64::from(byte.cast_signed()),
            ]
        })
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.bytes(MAGIC) {
            b"ustar  \0" => Dialect::Gnu,
            magic if magic.starts_with(b"ustar") => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    /// The bytes of a field.
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        let end = span.at + span.length;
        self.block.get(span.at..end).unwrap_or_default()
    }

    /// A field of text: what stands before the first NUL.
    pub(crate) fn string(&self, span: Span) -> &[u8] {
        until_nul(self.bytes(span))
    }

    /// A numeric field; `None` where no number stands there.
    pub(crate) fn number(&self, span: Span) -> Option<i64> {
        number(self.bytes(span))
    }

    /// A numeric field in decimal; as it stands where it is no number.
    pub(crate) fn decimal(&self, span: Span) -> String {
        self.number(span).map_or_else(
            || escape_bytes(self.bytes(span)),
            |number| number.to_string(),
        )
    }

    /// The mode in octal; as it stands where it is no number.
    pub(crate) fn mode(&self) -> String {
        self.number(MODE).map_or_else(
            || escape_bytes(self.bytes(MODE)),
            |mode| format!("{mode:04o}"),
        )
    }

    pub(crate) fn kind(&self) -> u8 {
        self.bytes(TYPE).first().copied().unwrap_or_default()
    }

    /// The name, with the prefix that ustar keeps apart.
    pub(crate) fn name(&self) -> Vec<u8> {
        let (prefix, name) = (self.string(PREFIX), self.string(NAME));
        if self.dialect() == Dialect::Ustar && !prefix.is_empty() {
            return [prefix, b"/", name].concat();
        }
        name.to_vec()
    }

    /// Whether more blocks of a sparse map follow a GNU header.
    pub(crate) fn sparse_continues(&self) -> bool {
        self.bytes(SPARSE_CONTINUES) != [0]
    }

    /// Whether no content follows, whatever the size says: links, devices, directories.
    pub(crate) fn is_header_only(&self) -> bool {
        (b'1'..=b'6').contains(&self.kind())
    }

    /// How many bytes of content follow.
    pub(crate) fn size(&self) -> Option<u64> {
        if self.is_header_only() {
            return Some(0);
        }
        self.number(SIZE)?.try_into().ok()
    }

    /// What the type flag means, in words.
    pub(crate) fn kind_in_words(&self) -> String {
        let word = match self.kind() {
            b'0' => "file",
            0 => "file (old flag)",
            b'1' => "hard link",
            b'2' => "symlink",
            b'3' => "character device",
            b'4' => "block device",
            b'5' => "directory",
            b'6' => "fifo",
            b'7' => "contiguous file",
            b'S' => "sparse file",
            b'V' => "volume label",
            b'M' => "continued file",
            b'D' => "directory listing",
            other => return format!("flag {}", escape_bytes(&[other])),
        };
        word.to_owned()
    }
}

/// A number of a header: octal digits among blanks, or base 256 where the first bit is set (GNU).
fn number(bytes: &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first()?;
    if first & 0x80 != 0 {
        // The second bit is the sign: 0xff begins a negative number, 0x80 one that is not.
        let start = i64::from(first & 0x7f) - if first & 0x40 == 0 { 0 } else { 0x80 };
        return rest.iter().try_fold(start, |value, byte| {
            value.checked_mul(256)?.checked_add(i64::from(*byte))
        });
    }
    let text = std::str::from_utf8(until_nul(bytes)).ok()?;
    match text.trim_matches(' ') {
        "" => Some(0),
        digits if digits.starts_with(['+', '-']) => None,
        digits => i64::from_str_radix(digits, 8).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
        assert_eq!(
            number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            None
        );
        assert_eq!(number(b"00abc\0\0\0"), None);
    }
}
