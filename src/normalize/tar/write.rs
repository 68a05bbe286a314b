//! Headers as GNU tar writes them: `--format=posix` with `exthdr.name=%d/PaxHeaders/%f`, and
//! `--format=gnu`, which is what dpkg reads.

use super::member::{Kind, Owner};
use super::read::padding;

/// In which form extended names and numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// ustar, with PAX records where a header cannot hold something.
    Posix,
    /// GNU's own, with `@LongLink`.
    Gnu,
}

/// What a header says.
pub(super) struct Entry<'m> {
    pub(super) kind: Kind,
    /// Of a directory, with a slash at its end.
    pub(super) name: &'m [u8],
    pub(super) link: &'m [u8],
    pub(super) mode: u64,
    pub(super) owner: &'m Owner,
    /// In seconds since 1970, from 0 to [`crate::normalize::LATEST`].
    pub(super) mtime: u64,
    pub(super) device: (u64, u64),
    pub(super) size: u64,
    /// Records that are content.
    pub(super) records: &'m [u8],
}

/// What fits into the field of a name, of an owner, of an id, of a size.
const NAME: usize = 100;
const OWNER: usize = 31;
const ID: u64 = 0o777_7777;
const SIZE: u64 = 0o777_7777_7777;

impl Entry<'_> {
    /// The header of the member, with those that must stand before it.
    pub(super) fn header(&self, form: Form) -> Vec<u8> {
        let mut bytes = match form {
            Form::Posix => self.posix_extension(),
            Form::Gnu => self.gnu_extension(),
        };
        let mut block = Block::new(form);
        block.text(0, NAME, self.name);
        block.octal(100, 8, self.mode);
        block.number(108, 8, self.owner.uid);
        block.number(116, 8, self.owner.gid);
        block.number(124, 12, self.size);
        block.octal(136, 12, self.mtime);
        block.text(156, 1, &[self.kind.flag()]);
        block.text(157, NAME, self.link);
        block.text(265, OWNER, &self.owner.user);
        block.text(297, OWNER, &self.owner.group);
        if form == Form::Posix || self.kind.is_device() {
            block.octal(329, 8, self.device.0);
            block.octal(337, 8, self.device.1);
        }
        bytes.extend_from_slice(&block.finish());
        bytes
    }

    /// The PAX header, where the member needs one.
    fn posix_extension(&self) -> Vec<u8> {
        let mut records = Vec::new();
        // Of a target GNU tar asks for its length alone.
        if self.link.len() > NAME {
            record(b"linkpath", self.link, &mut records);
        }
        let mut needs = |key: &str, value: &[u8], length: usize| {
            if value.len() > length || !value.is_ascii() {
                record(key.as_bytes(), value, &mut records);
            }
        };
        needs("path", self.name, NAME);
        needs("uname", &self.owner.user, OWNER);
        needs("gname", &self.owner.group, OWNER);
        for (key, value, most) in [
            ("uid", self.owner.uid, ID),
            ("gid", self.owner.gid, ID),
            ("size", self.size, SIZE),
        ] {
            if value > most {
                record(key.as_bytes(), value.to_string().as_bytes(), &mut records);
            }
        }
        records.extend_from_slice(self.records);
        if records.is_empty() {
            return records;
        }
        extended(b'x', &beside(self.name), self.mtime, &records)
    }

    /// Long names, where the member has some.
    fn gnu_extension(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (flag, text) in [(b'K', self.link), (b'L', self.name)] {
            if text.len() <= NAME {
                continue;
            }
            let size = text.len() as u64 + 1;
            let mut block = Block::new(Form::Gnu);
            block.text(0, NAME, b"././@LongLink");
            block.octal(100, 8, 0o644);
            block.octal(108, 8, 0);
            block.octal(116, 8, 0);
            block.octal(124, 12, size);
            block.octal(136, 12, 0);
            block.text(156, 1, &[flag]);
            block.text(265, OWNER, b"root");
            block.text(297, OWNER, b"root");
            bytes.extend_from_slice(&block.finish());
            bytes.extend_from_slice(text);
            bytes.push(0);
            pad(&mut bytes, size);
        }
        bytes
    }
}

/// A header whose content are records.
fn extended(flag: u8, name: &[u8], mtime: u64, records: &[u8]) -> Vec<u8> {
    let size = records.len() as u64;
    let mut block = Block::new(Form::Posix);
    block.text(0, NAME, name);
    block.octal(100, 8, 0o644);
    block.octal(108, 8, 0);
    block.octal(116, 8, 0);
    block.octal(124, 12, size);
    block.octal(136, 12, mtime);
    block.text(156, 1, &[flag]);
    let mut bytes = block.finish().to_vec();
    bytes.extend_from_slice(records);
    pad(&mut bytes, size);
    bytes
}

/// The global header, under the name that git gives it.
pub(super) fn global(records: &[u8], mtime: u64) -> Vec<u8> {
    extended(b'g', b"pax_global_header", mtime, records)
}

/// Zeros up to the next block.
fn pad(bytes: &mut Vec<u8>, size: u64) {
    let padding = usize::try_from(padding(size)).unwrap_or_default();
    bytes.resize(bytes.len() + padding, 0);
}

/// `DIR/PaxHeaders/FILE`.
fn beside(name: &[u8]) -> Vec<u8> {
    let mut name = name;
    while let Some(shorter) = name
        .strip_suffix(b"/")
        .filter(|shorter| !shorter.is_empty())
    {
        name = shorter;
    }
    let at = name.iter().rposition(|byte| *byte == b'/');
    let (directory, file) = match at {
        Some(0) => (b"/".as_slice(), name.get(1..).unwrap_or_default()),
        Some(at) => (
            name.get(..at).unwrap_or_default(),
            name.get(at + 1..).unwrap_or_default(),
        ),
        None => (b".".as_slice(), name),
    };
    [directory, b"/PaxHeaders/", file].concat()
}

/// Appends `length key=value`, whose length counts its own digits.
pub(super) fn record(key: &[u8], value: &[u8], to: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    to.extend_from_slice(length.to_string().as_bytes());
    to.push(b' ');
    to.extend_from_slice(key);
    to.push(b'=');
    to.extend_from_slice(value);
    to.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// One header block in the making.
struct Block {
    bytes: [u8; 512],
    form: Form,
}

impl Block {
    fn new(form: Form) -> Self {
        let mut block = Self {
            bytes: [0; 512],
            form,
        };
        let magic: &[u8] = match form {
            Form::Posix => b"ustar\x0000",
            Form::Gnu => b"ustar  \0",
        };
        block.text(257, 8, magic);
        block
    }

    /// As much of a text as fits.
    fn text(&mut self, at: usize, length: usize, text: &[u8]) {
        let field = self.bytes.get_mut(at..at + length).unwrap_or_default();
        for (to, from) in field.iter_mut().zip(text) {
            *to = *from;
        }
    }

    /// Octal digits and a NUL.
    fn octal(&mut self, at: usize, length: usize, number: u64) {
        let digits = length - 1;
        self.text(at, length, format!("{number:0digits$o}").as_bytes());
    }

    /// A number that may be too large: a record stands for it (zeros here), or GNU's base 256.
    fn number(&mut self, at: usize, length: usize, number: u64) {
        let most = if length == 8 { ID } else { SIZE };
        match self.form {
            _ if number <= most => self.octal(at, length, number),
            Form::Posix => self.octal(at, length, 0),
            Form::Gnu => {
                let wide = u128::from(number).to_be_bytes();
                let tail = wide.get(wide.len() - length..).unwrap_or_default();
                self.text(at, length, tail);
                self.text(at, 1, &[0x80]);
            }
        }
    }

    fn finish(mut self) -> [u8; 512] {
        self.text(148, 8, b"        ");
        let sum: u64 = self.bytes.iter().map(|byte| u64::from(*byte)).sum();
        self.text(148, 8, format!("{sum:06o}\0 ").as_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        for value in [0, 5, 90, 91, 92, 93, 987, 988, 989, 9985, 9986] {
            let mut bytes = Vec::new();
            record(b"k", &vec![b'v'; value], &mut bytes);
            let text = String::from_utf8(bytes).unwrap();
            let length: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(length, text.len());
        }
    }

    #[test]
    fn extended_headers_are_named_after_what_they_stand_before() {
        assert_eq!(beside(b"a/b/"), b"a/PaxHeaders/b");
        assert_eq!(beside(b"b"), b"./PaxHeaders/b");
        assert_eq!(beside(b"/b"), b"//PaxHeaders/b");
    }
}
