//! `struct stat` in its several layouts, made of what `statx(2)` said. Pure: bytes out.

use super::view::Status;

/// Which structure a call fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `struct stat` of x86-64.
    Native,
    /// `struct stat` of i386.
    Old32,
    /// `struct stat64` of i386.
    Large32,
    /// `struct statx`.
    Statx,
}

/// A device number as the `stat` family packs it (`new_encode_dev`).
pub(super) fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The bytes of the structure; `None` where a number does not fit and the kernel must refuse.
pub(super) fn encode(status: &Status, layout: Layout) -> Option<Vec<u8>> {
    match layout {
        Layout::Native => Some(native(status)),
        Layout::Old32 => old32(status),
        Layout::Large32 => large32(status),
        Layout::Statx => Some(statx(status)),
    }
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn two(mut self, value: impl Into<u64>) -> Option<Self> {
        self.0
            .extend(u16::try_from(value.into()).ok()?.to_ne_bytes());
        Some(self)
    }

    fn four(mut self, value: impl Into<u64>) -> Option<Self> {
        self.0
            .extend(u32::try_from(value.into()).ok()?.to_ne_bytes());
        Some(self)
    }

    fn word(mut self, value: u32) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn eight(mut self, value: u64) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn times(self, status: &Status) -> Self {
        [status.stx_atime, status.stx_mtime, status.stx_ctime]
            .iter()
            .fold(self, |bytes, time| {
                bytes
                    .eight(time.tv_sec.cast_unsigned())
                    .eight(u64::from(time.tv_nsec))
            })
    }

    fn times32(self, status: &Status) -> Option<Self> {
        [status.stx_atime, status.stx_mtime, status.stx_ctime]
            .iter()
            .try_fold(self, |bytes, time| {
                let seconds = i32::try_from(time.tv_sec).ok()?;
                Some(bytes.word(seconds.cast_unsigned()).word(time.tv_nsec))
            })
    }
}

fn native(status: &Status) -> Vec<u8> {
    Bytes::default()
        .eight(device(status.stx_dev_major, status.stx_dev_minor).into())
        .eight(status.stx_ino)
        .eight(u64::from(status.stx_nlink))
        .word(u32::from(status.stx_mode))
        .word(status.stx_uid)
        .word(status.stx_gid)
        .word(0)
        .eight(device(status.stx_rdev_major, status.stx_rdev_minor).into())
        .eight(status.stx_size)
        .eight(u64::from(status.stx_blksize))
        .eight(status.stx_blocks)
        .times(status)
        .eight(0)
        .eight(0)
        .eight(0)
        .0
}

fn old32(status: &Status) -> Option<Vec<u8>> {
    // Ids of more than 16 bits become overflowuid (`SET_UID`).
    let short = |id: u32| u16::try_from(id).unwrap_or(65534);
    let bytes = Bytes::default()
        .four(device(status.stx_dev_major, status.stx_dev_minor))?
        .four(status.stx_ino)?
        .two(status.stx_mode)?
        .two(status.stx_nlink)?
        .two(short(status.stx_uid))?
        .two(short(status.stx_gid))?
        .four(device(status.stx_rdev_major, status.stx_rdev_minor))?
        .word(u32::try_from(i32::try_from(status.stx_size).ok()?).ok()?)
        .word(status.stx_blksize)
        .four(status.stx_blocks)?
        .times32(status)?
        .eight(0);
    Some(bytes.0)
}

fn large32(status: &Status) -> Option<Vec<u8>> {
    let [a, b, c, d, ..] = status.stx_ino.to_le_bytes();
    let bytes = Bytes::default()
        .eight(device(status.stx_dev_major, status.stx_dev_minor).into())
        .word(0)
        .word(u32::from_le_bytes([a, b, c, d]))
        .word(u32::from(status.stx_mode))
        .word(status.stx_nlink)
        .word(status.stx_uid)
        .word(status.stx_gid)
        .eight(device(status.stx_rdev_major, status.stx_rdev_minor).into())
        .word(0)
        .eight(status.stx_size)
        .word(status.stx_blksize)
        .eight(status.stx_blocks)
        .times32(status)?
        .eight(status.stx_ino);
    Some(bytes.0)
}

/// `linux/stat.h`: fixed offsets, 256 bytes.
fn statx(status: &Status) -> Vec<u8> {
    let time = |bytes: Bytes, time: libc::statx_timestamp| {
        bytes
            .eight(time.tv_sec.cast_unsigned())
            .word(time.tv_nsec)
            .word(0)
    };
    let bytes = Bytes::default()
        .word(status.stx_mask)
        .word(status.stx_blksize)
        .eight(status.stx_attributes)
        .word(status.stx_nlink)
        .word(status.stx_uid)
        .word(status.stx_gid)
        .word(u32::from(status.stx_mode))
        .eight(status.stx_ino)
        .eight(status.stx_size)
        .eight(status.stx_blocks)
        .eight(status.stx_attributes_mask);
    let bytes = time(bytes, status.stx_atime);
    let bytes = time(bytes, status.stx_btime);
    let bytes = time(bytes, status.stx_ctime);
    let bytes = time(bytes, status.stx_mtime);
    let mut bytes = bytes
        .word(status.stx_rdev_major)
        .word(status.stx_rdev_minor)
        .word(status.stx_dev_major)
        .word(status.stx_dev_minor)
        .eight(status.stx_mnt_id)
        .word(status.stx_dio_mem_align)
        .word(status.stx_dio_offset_align)
        .0;
    bytes.resize(256, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn structures_have_the_sizes_and_fields_that_the_abi_says() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let status = crate::sandbox::sys::tracee::statx(file.as_fd(), c"", 0x1000, 0x17ff).unwrap();
        let native = encode(&status, Layout::Native).unwrap();
        assert_eq!(native.len(), size_of::<libc::stat>());
        let metadata = file.metadata().unwrap();
        let word = |at: usize| u64::from_ne_bytes(*native[at..].first_chunk().unwrap());
        assert_eq!(
            [word(0), word(8), word(48)],
            [metadata.dev(), metadata.ino(), metadata.size()]
        );
        assert_eq!(word(88), metadata.mtime().cast_unsigned());
        assert_eq!(encode(&status, Layout::Old32).unwrap().len(), 64);
        assert_eq!(encode(&status, Layout::Large32).unwrap().len(), 96);
        let extended = encode(&status, Layout::Statx).unwrap();
        assert_eq!(extended.len(), size_of::<libc::statx>());
        assert_eq!(extended[112..120], metadata.mtime().to_ne_bytes());
    }

    #[test]
    fn numbers_that_do_not_fit_are_the_kernels_to_refuse() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let mut status =
            crate::sandbox::sys::tracee::statx(file.as_fd(), c"", 0x1000, 0x17ff).unwrap();
        status.stx_size = 1 << 40;
        assert_eq!(encode(&status, Layout::Old32), None);
        assert!(encode(&status, Layout::Large32).is_some());
    }
}
