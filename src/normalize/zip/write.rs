//! The records of a zip archive as they are written: by PKWARE's appnote, with fields of 64 bits only
//! where a number needs them.

use chrono::{DateTime, Datelike as _, Timelike as _};

use super::entry::Entry;
use crate::formats::zip::record;

/// "Made by" and "needed to extract": 2.0, which is deflate and directories; 4.5 is zip64.
const VERSION: u16 = 20;
const VERSION64: u16 = 45;
/// Systems whose attributes are Unix modes: Unix and macOS.
const UNIX: u16 = 3;
const MACOS: u16 = 19;
/// The flag of names that are UTF-8, and those that a method other than deflate needs.
const UTF8: u16 = 0x0800;
const METHOD: u16 = 0x0006;
/// The bit of a directory in DOS's attributes.
const DIRECTORY: u32 = 0x10;

/// The times that a DOS date can tell, in steps of two seconds: 1980 to 2107.
const EARLIEST: i64 = 315_532_800;
const LATEST: i64 = 4_354_819_198;

/// A date and a time of day, which know no zone; UTC is meant.
pub(super) fn dos(time: i64) -> Option<(u16, u16)> {
    let time = DateTime::from_timestamp(time, 0).filter(|_| (EARLIEST..=LATEST).contains(&time))?;
    let year = u32::try_from(time.year() - 1980).ok()?;
    let date = year << 9 | time.month() << 5 | time.day();
    let of_day = time.hour() << 11 | time.minute() << 5 | (time.second() / 2);
    Some((u16::try_from(date).ok()?, u16::try_from(of_day).ok()?))
}

/// Whether the time lies before the first that can be told.
pub(super) fn is_too_early(time: i64) -> bool {
    time < EARLIEST
}

/// The seconds since 1970 of a date and a time of day, where they are some.
pub(super) fn seconds(date: u16, time: u16) -> Option<i64> {
    let (date, time) = (u32::from(date), u32::from(time));
    let year = i32::try_from(1980 + (date >> 9)).ok()?;
    let day = chrono::NaiveDate::from_ymd_opt(year, date >> 5 & 15, date & 31)?;
    let moment = day.and_hms_opt(time >> 11, time >> 5 & 63, (time & 31) * 2)?;
    Some(moment.and_utc().timestamp())
}

/// How an entry is written.
pub(super) struct Written<'e> {
    pub(super) entry: &'e Entry,
    pub(super) date: u16,
    pub(super) time: u16,
    pub(super) external: u32,
    /// Where its local header stands.
    pub(super) offset: u64,
}

impl Written<'_> {
    fn is_long(&self) -> bool {
        let most = u64::from(u32::MAX);
        self.entry.size >= most || self.entry.stored >= most
    }

    fn needed(&self, long: bool) -> u16 {
        let version = if long { VERSION64 } else { VERSION };
        if self.entry.is_known() {
            return version;
        }
        version.max(self.entry.version & 0xff)
    }

    pub(super) fn flags(&self) -> u16 {
        let kept = if self.entry.is_known() {
            UTF8
        } else {
            UTF8 | METHOD
        };
        self.entry.flags & kept
    }

    /// Unix, but where the entry was made elsewhere and has no mode: unzip would then take 0 for one.
    pub(super) fn made_by(&self) -> u16 {
        let system = self.entry.made_by >> 8;
        let has_mode = self.external >> 16 != 0 || matches!(system, UNIX | MACOS);
        VERSION | if has_mode { UNIX << 8 } else { 0 }
    }

    /// What both headers have in common, from the version on.
    fn common(&self, long: bool, sizes: bool, to: &mut Numbers) {
        let entry = self.entry;
        to.u16(self.needed(long));
        to.u16(self.flags());
        to.u16(entry.method);
        to.u16(self.time);
        to.u16(self.date);
        to.u32(entry.crc);
        to.narrow(entry.stored, sizes);
        to.narrow(entry.size, sizes);
        to.length(entry.name.len());
    }

    /// The local header.
    pub(super) fn local(&self) -> Vec<u8> {
        let long = self.is_long();
        let mut extra = Numbers::default();
        if long {
            extra.u16(record::ZIP64);
            extra.u16(16);
            extra.u64(self.entry.size);
            extra.u64(self.entry.stored);
        }
        extra.bytes(&self.entry.local_extra);
        let mut to = Numbers::default();
        to.bytes(&record::LOCAL);
        self.common(long, long, &mut to);
        to.length(extra.0.len());
        to.bytes(&self.entry.name);
        to.bytes(&extra.0);
        to.0
    }

    /// The entry of the directory.
    pub(super) fn central(&self) -> Vec<u8> {
        let entry = self.entry;
        let long = self.is_long();
        let far = self.offset >= u64::from(u32::MAX);
        let mut extra = Numbers::default();
        if long || far {
            extra.u16(record::ZIP64);
            extra.u16(if long { 16 } else { 0 } + if far { 8 } else { 0 });
            if long {
                extra.u64(entry.size);
                extra.u64(entry.stored);
            }
            if far {
                extra.u64(self.offset);
            }
        }
        extra.bytes(&entry.extra);
        let mut to = Numbers::default();
        to.bytes(&record::CENTRAL);
        to.u16(self.made_by());
        self.common(long || far, long, &mut to);
        to.length(extra.0.len());
        to.length(entry.comment.len());
        to.u16(0);
        to.u16(entry.internal);
        to.u32(self.external);
        to.narrow(self.offset, far);
        to.bytes(&entry.name);
        to.bytes(&extra.0);
        to.bytes(&entry.comment);
        to.0
    }
}

/// External attributes in their canonical form: a file's mode is 644 or 755, a symlink stays one, and
/// what has no mode gets none.
pub(super) fn external(entry: &Entry, keep_mode: bool) -> u32 {
    let mode = entry.external >> 16;
    let dos = if entry.is_directory() { DIRECTORY } else { 0 };
    let mode = match mode >> 12 {
        _ if keep_mode => mode,
        0 if mode == 0 => 0,
        0o12 => 0o120_777,
        _ if entry.is_directory() || mode >> 12 == 0o4 => 0o040_755,
        _ if mode & 0o111 != 0 => 0o100_755,
        _ => 0o100_644,
    };
    mode << 16 | dos
}

/// The end of an archive: the long end record where something needs it, and the end record.
pub(super) fn end(count: u64, start: u64, size: u64, comment: &[u8]) -> Vec<u8> {
    let mut to = Numbers::default();
    let most = u64::from(u32::MAX);
    let long = count >= u64::from(u16::MAX) || start >= most || size >= most;
    if long {
        to.bytes(&record::END64);
        to.u64(44);
        to.u16(UNIX << 8 | VERSION64);
        to.u16(VERSION64);
        to.u32(0);
        to.u32(0);
        to.u64(count);
        to.u64(count);
        to.u64(size);
        to.u64(start);
        to.bytes(&record::END64_LOCATOR);
        to.u32(0);
        to.u64(start + size);
        to.u32(1);
    }
    let few = u16::try_from(count).unwrap_or(u16::MAX);
    to.bytes(&record::END);
    to.u32(0);
    to.u16(few);
    to.u16(few);
    to.narrow(size, false);
    to.narrow(start, false);
    to.length(comment.len());
    to.bytes(comment);
    to.0
}

/// Little-endian numbers, one behind the other.
#[derive(Default)]
struct Numbers(Vec<u8>);

impl Numbers {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u16(&mut self, number: u16) {
        self.bytes(&number.to_le_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.bytes(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// The length of a field that came from one of the same width.
    fn length(&mut self, length: usize) {
        self.u16(u16::try_from(length).unwrap_or(u16::MAX));
    }

    /// A number of 32 bits; all ones where a longer field holds it.
    fn narrow(&mut self, number: u64, elsewhere: bool) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.u32(if elsewhere { u32::MAX } else { number });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_utc_rounded_down_and_within_their_range() {
        assert_eq!(dos(315_532_800), Some((0x21, 0)));
        assert_eq!(dos(315_532_801), Some((0x21, 0)));
        assert_eq!(dos(1_742_665_751), dos(1_742_665_750));
        assert_eq!(dos(315_532_799), None);
        assert_eq!(dos(4_354_819_199), None);
        for time in [315_576_060, 1_700_000_000, 4_354_819_198] {
            let (date, of_day) = dos(time).unwrap();
            assert_eq!(seconds(date, of_day), Some(time));
        }
        assert_eq!(seconds(0, 0), None);
    }
}
