//! The records of a zip archive as they stand: local headers, the central directory, extra fields
//! and DOS times. PKWARE's appnote names the fields; Info-ZIP's `extrafld.txt` the extra ones.

use crate::formats::stream::Stream;

pub(crate) const LOCAL: [u8; 4] = *b"PK\x03\x04";
pub(crate) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
pub(crate) const END: [u8; 4] = *b"PK\x05\x06";
pub(crate) const END64: [u8; 4] = *b"PK\x06\x06";
pub(crate) const END64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
pub(crate) const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

/// The id of the extra field with 64-bit sizes.
pub(crate) const ZIP64: u16 = 1;

/// A local file header.
pub(crate) struct Local {
    pub(crate) offset: u64,
    pub(crate) version: u16,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) time: u16,
    pub(crate) date: u16,
    pub(crate) crc: u32,
    pub(crate) compressed: u64,
    pub(crate) size: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) extra: Extra,
}

/// An entry of the central directory.
pub(crate) struct Central {
    pub(crate) offset: u64,
    pub(crate) made_by: u16,
    pub(crate) version: u16,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) time: u16,
    pub(crate) date: u16,
    pub(crate) crc: u32,
    pub(crate) compressed: u64,
    pub(crate) size: u64,
    pub(crate) disk: u16,
    pub(crate) internal: u16,
    pub(crate) external: u32,
    pub(crate) local: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) extra: Extra,
    pub(crate) comment: Vec<u8>,
    pub(crate) comment_offset: u64,
}

/// Extra fields: id, content, offset of the content.
pub(crate) type Extra = Vec<(u16, Vec<u8>, u64)>;

/// Takes numbers off the front of bytes; 0 where they end, which fixed records never reach.
pub(crate) struct Numbers<'b>(pub(crate) &'b [u8]);

impl Numbers<'_> {
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((bytes, rest)) = self.0.split_first_chunk() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *bytes
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

impl Local {
    /// Reads a header; `None` where the stream ends before.
    pub(crate) fn read(stream: &mut Stream<'_>) -> Option<Self> {
        let offset = stream.offset();
        let fixed = stream.array::<30>()?;
        let mut numbers = Numbers(&fixed);
        numbers.u32();
        let (version, flags, method) = (numbers.u16(), numbers.u16(), numbers.u16());
        let (time, date, crc) = (numbers.u16(), numbers.u16(), numbers.u32());
        let (compressed, size) = (numbers.u32(), numbers.u32());
        let (name_length, extra_length) = (numbers.u16(), numbers.u16());
        let name = stream.exactly(u64::from(name_length))?;
        let extra = extra(stream, extra_length)?;
        let mut local = Self {
            offset,
            version,
            flags,
            method,
            time,
            date,
            crc,
            compressed: u64::from(compressed),
            size: u64::from(size),
            name,
            extra,
        };
        if let Some((_, long, _)) = local.extra.iter().find(|(id, _, _)| *id == ZIP64) {
            let mut long = Numbers(long);
            if size == u32::MAX {
                local.size = long.u64();
            }
            if compressed == u32::MAX {
                local.compressed = long.u64();
            }
        }
        Some(local)
    }

    pub(crate) fn is_zip64(&self) -> bool {
        self.extra.iter().any(|(id, _, _)| *id == ZIP64)
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether sizes and checksum follow the content.
    pub(crate) fn has_descriptor(&self) -> bool {
        self.flags & 8 != 0
    }
}

impl Central {
    /// Reads an entry; `None` where the stream ends before.
    pub(crate) fn read(stream: &mut Stream<'_>) -> Option<Self> {
        let offset = stream.offset();
        let fixed = stream.array::<46>()?;
        let mut numbers = Numbers(&fixed);
        numbers.u32();
        let made_by = numbers.u16();
        let (version, flags, method) = (numbers.u16(), numbers.u16(), numbers.u16());
        let (time, date, crc) = (numbers.u16(), numbers.u16(), numbers.u32());
        let (compressed, size) = (numbers.u32(), numbers.u32());
        let (name, extras) = (numbers.u16(), numbers.u16());
        let (comment, disk) = (numbers.u16(), numbers.u16());
        let (internal, external, local) = (numbers.u16(), numbers.u32(), numbers.u32());
        let name = stream.exactly(u64::from(name))?;
        let extra = extra(stream, extras)?;
        let comment_offset = stream.offset();
        let comment = stream.exactly(u64::from(comment))?;
        let mut central = Self {
            offset,
            made_by,
            version,
            flags,
            method,
            time,
            date,
            crc,
            compressed: u64::from(compressed),
            size: u64::from(size),
            disk,
            internal,
            external,
            local: u64::from(local),
            name,
            extra,
            comment,
            comment_offset,
        };
        if let Some((_, long, _)) = central.extra.iter().find(|(id, _, _)| *id == ZIP64) {
            let mut long = Numbers(long);
            for (narrow, wide) in [
                (size, &mut central.size),
                (compressed, &mut central.compressed),
                (local, &mut central.local),
            ] {
                if narrow == u32::MAX {
                    *wide = long.u64();
                }
            }
        }
        Some(central)
    }
}

fn extra(stream: &mut Stream<'_>, length: u16) -> Option<Extra> {
    let offset = stream.offset();
    let bytes = stream.exactly(u64::from(length))?;
    let mut fields = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(([id0, id1, length0, length1], after)) = rest.split_first_chunk() {
        let at = offset + (bytes.len() - after.len()) as u64;
        let length = usize::from(u16::from_le_bytes([*length0, *length1])).min(after.len());
        let (content, after) = after.split_at(length);
        fields.push((u16::from_le_bytes([*id0, *id1]), content.to_vec(), at));
        rest = after;
    }
    Some(fields)
}

/// DOS date and time, which know no zone and count in steps of two seconds.
pub(crate) fn dos_time(date: u16, time: u16) -> String {
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        1980 + (date >> 9),
        (date >> 5) & 15,
        date & 31,
        time >> 11,
        (time >> 5) & 63,
        (time & 31) * 2
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_times_read_as_dates() {
        assert_eq!(dos_time(0x5a76, 0x8e25), "2025-03-22 17:49:10");
        assert_eq!(dos_time(0x21, 0), "1980-01-01 00:00:00");
    }
}
