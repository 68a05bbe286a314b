//! One member of a tar archive, as it was read and as it is kept in the index.

use crate::normalize::sorted::{Packer, Record, Unpacker};
use crate::normalize::spool::Digest;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::File,
        Self::HardLink,
        Self::Symlink,
        Self::Character,
        Self::Block,
        Self::Directory,
        Self::Fifo,
    ];

    /// The type flag of POSIX.
    pub(super) const fn flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::HardLink => b'1',
            Self::Symlink => b'2',
            Self::Character => b'3',
            Self::Block => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
        }
    }

    /// The kind of a type flag; contiguous files and the flag of v7 are files.
    pub(super) fn of(flag: u8) -> Option<Self> {
        match flag {
            0 | b'7' => Some(Self::File),
            flag => Self::ALL.into_iter().find(|kind| kind.flag() == flag),
        }
    }

    pub(super) const fn is_device(self) -> bool {
        matches!(self, Self::Character | Self::Block)
    }
}

/// A member. Numbers are as in the header, or in the record that stands in its stead.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its place in the archive, counted from 0.
    pub(super) ordinal: u64,
    pub(super) kind: Kind,
    /// As stored.
    pub(super) name: Vec<u8>,
    /// The target of a link.
    pub(super) link: Vec<u8>,
    /// Permissions and special bits.
    pub(super) mode: u64,
    pub(super) owner: Owner,
    /// Whole seconds since 1970.
    pub(super) mtime: i64,
    /// Whether the time had a fraction.
    pub(super) fraction: bool,
    /// Numbers of a device.
    pub(super) device: (u64, u64),
    /// Where the content begins in the tar stream, and how long it is.
    pub(super) offset: u64,
    pub(super) size: u64,
    /// Of the content.
    pub(super) digest: Digest,
    /// PAX records that are content, as they are written.
    pub(super) records: Vec<u8>,
    /// Whether these hold attributes, access lists or labels of a system.
    pub(super) attributes: bool,
    /// Whether there are other times or numbers, which are no content.
    pub(super) extra: bool,
}

/// Whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) user: Vec<u8>,
    pub(super) group: Vec<u8>,
}

impl Record for Member {
    fn encode(&self, to: &mut Vec<u8>) {
        let mut packer = Packer(to);
        packer
            .number(self.ordinal)
            .number(u64::from(self.kind.flag()))
            .bytes(&self.name)
            .bytes(&self.link)
            .number(self.mode)
            .number(self.owner.uid)
            .number(self.owner.gid)
            .bytes(&self.owner.user)
            .bytes(&self.owner.group)
            .number(self.mtime.cast_unsigned())
            .number(u64::from(self.fraction))
            .number(self.device.0)
            .number(self.device.1)
            .number(self.offset)
            .number(self.size)
            .bytes(&self.digest)
            .bytes(&self.records)
            .number(u64::from(self.attributes))
            .number(u64::from(self.extra));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Unpacker(bytes);
        Some(Self {
            ordinal: from.number()?,
            kind: Kind::of(u8::try_from(from.number()?).ok()?)?,
            name: from.bytes()?,
            link: from.bytes()?,
            mode: from.number()?,
            owner: Owner {
                uid: from.number()?,
                gid: from.number()?,
                user: from.bytes()?,
                group: from.bytes()?,
            },
            mtime: from.number()?.cast_signed(),
            fraction: from.number()? != 0,
            device: (from.number()?, from.number()?),
            offset: from.number()?,
            size: from.number()?,
            digest: from.bytes()?.try_into().ok()?,
            records: from.bytes()?,
            attributes: from.number()? != 0,
            extra: from.number()? != 0,
        })
    }

    fn weight(&self) -> usize {
        let strings = [
            &self.name,
            &self.link,
            &self.owner.user,
            &self.owner.group,
            &self.records,
        ];
        // An allocation takes more than its bytes.
        let strings = strings.iter().filter(|bytes| !bytes.is_empty());
        size_of::<Self>() + strings.map(|bytes| bytes.len() + 16).sum::<usize>()
    }
}
