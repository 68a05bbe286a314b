//! The records of PAX extended headers (POSIX.1-2001 pax): `length key=value\n`, as raw bytes with
//! their offsets.

use std::collections::BTreeMap;

/// Records by key; a later one of the same key replaces an earlier one.
#[derive(Clone, Default)]
pub(crate) struct Records(BTreeMap<Vec<u8>, Record>);

/// One value and where it stands in the tar stream.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) value: Vec<u8>,
    pub(crate) offset: u64,
}

impl Record {
    /// The value as a number; `None` where it is none.
    pub(crate) fn number(&self) -> Option<u64> {
        std::str::from_utf8(&self.value).ok()?.parse().ok()
    }
}

/// Keys that replace a field of the header, or say how to read the content, and so have a name of
/// their own.
const REPLACING: [&[u8]; 8] = [
    b"path",
    b"linkpath",
    b"size",
    b"uid",
    b"gid",
    b"uname",
    b"gname",
    b"mtime",
];

impl Records {
    /// Reads the content of an extended header that begins at `offset`; false where it breaks off.
    pub(crate) fn read(&mut self, content: &[u8], offset: u64) -> bool {
        let mut rest = content;
        while !rest.is_empty() {
            let at = offset + (content.len() - rest.len()) as u64;
            let Some((line, after)) = split(rest) else {
                return false;
            };
            let record = Record {
                value: line.value.to_vec(),
                offset: at + line.value_at,
            };
            self.0.insert(line.key.to_vec(), record);
            rest = after;
        }
        true
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Record> {
        self.0.get(key.as_bytes())
    }

    /// The records that no field of the header stands for.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&[u8], &Record)> {
        self.0
            .iter()
            .map(|(key, record)| (key.as_slice(), record))
            .filter(|(key, _)| !REPLACING.contains(key))
    }

    /// Takes over those of a later header.
    pub(crate) fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// How many bytes they hold.
    pub(crate) fn size(&self) -> usize {
        let sizes = self
            .0
            .iter()
            .map(|(key, record)| key.len() + record.value.len());
        sizes.sum()
    }
}

/// What applies to one member: its own records before those of all members after a global header.
#[derive(Clone, Copy)]
pub(crate) struct Applying<'r> {
    pub(crate) own: &'r Records,
    pub(crate) global: &'r Records,
}

impl<'r> Applying<'r> {
    pub(crate) fn get(self, key: &str) -> Option<&'r Record> {
        self.own.get(key).or_else(|| self.global.get(key))
    }
}

/// A record as it stands.
struct Line<'b> {
    key: &'b [u8],
    value: &'b [u8],
    /// The offset of the value within the record.
    value_at: u64,
}

/// Splits the first record off.
fn split(bytes: &[u8]) -> Option<(Line<'_>, &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(bytes.get(..blank)?).ok()?;
    let (record, rest) = bytes.split_at_checked(length.parse().ok()?)?;
    let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    let line = Line {
        key: body.get(..equals)?,
        value: body.get(equals + 1..)?,
        value_at: (blank + 1 + equals + 1) as u64,
    };
    Some((line, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_values_and_offsets() {
        let mut records = Records::default();
        assert!(records.read(b"9 mtime=1\n".get(..0).unwrap(), 0));
        assert!(records.read(b"11 mtime=1\n13 comment=x\n", 1024));
        let mtime = records.get("mtime").unwrap();
        assert_eq!(
            (mtime.value.as_slice(), mtime.offset),
            (b"1".as_slice(), 1033)
        );
        let others: Vec<_> = records.others().map(|(key, _)| key.to_vec()).collect();
        assert_eq!(others, [b"comment"]);
    }

    #[test]
    fn a_members_own_records_come_before_the_global_ones() {
        let (mut own, mut global) = (Records::default(), Records::default());
        assert!(global.read(b"11 mtime=1\n8 uid=7\n", 0));
        assert!(own.read(b"11 mtime=2\n", 0));
        let applying = Applying {
            own: &own,
            global: &global,
        };
        let value = |key| applying.get(key).map(|record| record.value.clone());
        assert_eq!(value("mtime").unwrap(), b"2");
        assert_eq!(value("uid").unwrap(), b"7");
        assert_eq!(value("gid"), None);
        assert_eq!(global.size(), "mtime1uid7".len());
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for bytes in [
            b"99 mtime=1\n".as_slice(),
            b"3 mtime=1\n",
            b"0 a=b\n",
            b"18446744073709551615 a=b\n",
            b"nonsense",
            b"5 ab\n",
        ] {
            assert!(!Records::default().read(bytes, 0), "{bytes:?}");
        }
    }
}
