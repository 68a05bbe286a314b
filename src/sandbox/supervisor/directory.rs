//! Answers directory reads. The position lives in the kernel's own file description, where
//! `lseek`, `dup` and `fork` find it; what was read is only cached.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::fstatfs;
use nix::unistd::{Whence, lseek};

use super::engine::{Answer, Event, Supervisor};
use super::numbers::shared_by_links;
use super::order::{Listing, Order, Records, Slice, end};
use super::tracee::{Memory, lock};
use crate::model::{DirectoryOrder, Source, Within};
use crate::sandbox::sys::{hook::END, tracee as sys};

/// Widths of a position, best first: ext4, tmpfs and overlayfs take 42 bits; 32-bit descriptions
/// and a few file systems only 31.
const WIDTHS: [u32; 2] = [42, 30];
const _: () = assert!(end(WIDTHS[0]) == END);
/// Directories that are cached together hold at most this many bytes.
const CACHE: usize = 64 << 20;
/// Locks, chosen by directory.
const LOCKS: usize = 64;
/// The largest piece that one call fills, as much as any program asks for.
const ROOM: usize = 4 << 20;

/// Device and inode.
type Identity = (u64, u64);

/// A directory, the width of its positions, and its order.
type Key = (Identity, u32, Order);

/// What directory reads share.
#[derive(Debug)]
pub(super) struct Directories {
    /// The file system's own where there is none.
    order: Option<Order>,
    /// Where levels act in a scope alone, the order there.
    within: Option<(Within, Option<Order>)>,
    locks: Vec<Mutex<()>>,
    cache: Mutex<Cache>,
    /// Whether a device holds directories that are ours to order.
    devices: Mutex<BTreeMap<u64, bool>>,
    /// Devices whose directories take the widest positions.
    wide: Mutex<BTreeSet<u64>>,
}

#[derive(Debug, Default)]
struct Cache {
    listings: BTreeMap<Key, (u64, Arc<Listing>)>,
    size: usize,
    clock: u64,
}

impl Cache {
    fn get(&mut self, key: Key) -> Option<Arc<Listing>> {
        self.clock += 1;
        let (used, listing) = self.listings.get_mut(&key)?;
        *used = self.clock;
        Some(Arc::clone(listing))
    }

    fn put(&mut self, key: Key, listing: &Arc<Listing>) {
        self.clock += 1;
        self.size += listing.size();
        let entry = (self.clock, Arc::clone(listing));
        if let Some((_, old)) = self.listings.insert(key, entry) {
            self.size -= old.size();
        }
        while self.size > CACHE && self.listings.len() > 1 {
            let oldest = self.listings.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                return;
            };
            if let Some((_, old)) = self.listings.remove(&oldest) {
                self.size -= old.size();
            }
        }
    }
}

impl Directories {
    /// Nothing where every order is the file system's own.
    pub(super) fn new(order: DirectoryOrder, within: Option<Within>) -> Option<Self> {
        let order = Order::of(order);
        let acts = |within: &Within| within.scope.holds_for(Source::Directory);
        let within = within.filter(acts).map(|within| {
            let order = Order::of(within.order);
            (within, order)
        });
        let inside = within.as_ref().and_then(|(_, order)| *order);
        order.or(inside).is_some().then(|| Self {
            order,
            within,
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
            cache: Mutex::default(),
            devices: Mutex::default(),
            wide: Mutex::default(),
        })
    }

    /// The order that acts for this caller in this directory, if any.
    fn order_here(
        &self,
        supervisor: &Supervisor,
        event: &Event,
        directory: &OwnedFd,
    ) -> Option<Order> {
        match &self.within {
            Some((within, order))
                if supervisor.is_chosen(event.tid)
                    && within.scope.holds_in(|| path_of(supervisor, directory)) =>
            {
                *order
            }
            _ => self.order,
        }
    }

    fn is_ours(&self, device: u64, directory: &OwnedFd) -> bool {
        if let Some(known) = lock(&self.devices).get(&device) {
            return *known;
        }
        let ours = fstatfs(directory).is_ok_and(|kind| !is_synthetic(kind.filesystem_type().0));
        lock(&self.devices).insert(device, ours);
        ours
    }
}

fn path_of(supervisor: &Supervisor, directory: &OwnedFd) -> Option<PathBuf> {
    let path = format!("thread-self/fd/{}", directory.as_raw_fd());
    supervisor.tracees.link(&path).ok().map(PathBuf::from)
}

/// File systems that the kernel makes up on reading: their order depends on nothing that a copy
/// or a checkout would change, and some refuse our positions.
fn is_synthetic(magic: libc::c_long) -> bool {
    [
        libc::PROC_SUPER_MAGIC,
        libc::SYSFS_MAGIC,
        libc::DEVPTS_SUPER_MAGIC,
        libc::CGROUP_SUPER_MAGIC,
        libc::CGROUP2_SUPER_MAGIC,
        libc::DEBUGFS_MAGIC,
        libc::TRACEFS_MAGIC,
    ]
    .contains(&magic)
}

/// Answers `getdents64(2)` and `getdents(2)`.
pub(super) fn answer(supervisor: &Supervisor, event: &Event, records: Records) -> Answer {
    let Some(directories) = &supervisor.directories else {
        return Answer::Continue;
    };
    if let Some(sites) = &supervisor.sites {
        sites.see(supervisor, event);
    }
    let [number, address, room, ..] = event.args;
    let Ok(directory) = supervisor.tracees.descriptor(event.tid, super::low(number)) else {
        // A bad descriptor is the kernel's to refuse.
        return Answer::Continue;
    };
    if lseek(&directory, 0, Whence::SeekCur).map(i64::cast_unsigned) == Ok(END) {
        return Answer::Value(0);
    }
    let Ok(status) = sys::statx(
        directory.as_fd(),
        c"",
        libc::AT_EMPTY_PATH,
        libc::STATX_TYPE | libc::STATX_INO,
    ) else {
        return Answer::Continue;
    };
    let device = libc::makedev(status.stx_dev_major, status.stx_dev_minor);
    let is_directory = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
    if !is_directory || !directories.is_ours(device, &directory) {
        return Answer::Continue;
    }
    let Some(order) = directories.order_here(supervisor, event, &directory) else {
        return Answer::Continue;
    };
    supervisor.witness(event, Source::Directory, || {
        path_of(supervisor, &directory).map(|path| path.to_string_lossy().into_owned())
    });
    let reading = Reading {
        directories,
        order,
        supervisor,
        event,
        directory,
        identity: (device, status.stx_ino),
        address,
        room: usize::try_from(room & 0xffff_ffff)
            .unwrap_or(ROOM)
            .min(ROOM),
        records,
    };
    reading.run().unwrap_or_else(Answer::Errno)
}

struct Reading<'a> {
    directories: &'a Directories,
    order: Order,
    supervisor: &'a Supervisor,
    event: &'a Event,
    directory: OwnedFd,
    identity: Identity,
    address: u64,
    room: usize,
    records: Records,
}

impl Reading<'_> {
    fn run(&self) -> Result<Answer, Errno> {
        let (device, inode) = self.identity;
        // Descriptions shared by threads and forks would repeat entries without this lock.
        let chosen = usize::try_from(device.wrapping_mul(31).wrapping_add(inode)).unwrap_or(0);
        let _guard = self.directories.locks.get(chosen % LOCKS).map(lock);
        let position = lseek(&self.directory, 0, Whence::SeekCur)?;
        let Some(bits) = self.width(position)? else {
            return Ok(Answer::Continue);
        };
        let Ok(listing) = self.listing(position, bits) else {
            // The kernel says why.
            return Ok(Answer::Continue);
        };
        let mut out = Vec::with_capacity(self.room.min(listing.bytes()));
        let start = u64::try_from(position).unwrap_or(0);
        let above = OnceCell::new();
        let path = |name: &[u8]| {
            let above = above.get_or_init(|| path_of(self.supervisor, &self.directory));
            let mut path = above.clone().unwrap_or_default();
            match name {
                b"." => {}
                b".." => {
                    path.pop();
                }
                _ => path.push(OsStr::from_bytes(name)),
            }
            path.into_os_string().into_vec()
        };
        let known = OnceCell::new();
        let known = || *known.get_or_init(|| self.is_without_links(&path(b".")));
        let number = |inode, kind, name: &[u8]| match &self.supervisor.numbers {
            Some(numbers) => {
                let may_have_links = matches!(kind, libc::DT_REG | libc::DT_UNKNOWN);
                let links = || {
                    let looks = may_have_links && !known();
                    looks.then(|| self.shared_by_links(name)).flatten()
                };
                numbers.inode(device, inode, links, || path(name))
            }
            None => inode,
        };
        match listing.fill(start, self.records, self.room, &mut out, number) {
            Slice::End => self.stay(position, Ok(Answer::Value(0))),
            Slice::TooSmall => self.stay(position, Err(Errno::EINVAL)),
            Slice::Filled(next) => self.deliver(position, next, &out),
        }
    }

    /// Whether it is known that no file in this directory has several names: to look at each costs
    /// more than all the rest.
    fn is_without_links(&self, path: &[u8]) -> bool {
        let numbers = self.supervisor.numbers.as_ref();
        numbers.is_some_and(|numbers| numbers.are_single(Path::new(OsStr::from_bytes(path))))
    }

    /// What the entry is numbered by, if it is a file with hard links.
    fn shared_by_links(&self, name: &[u8]) -> Option<Vec<u8>> {
        let name = CString::new(name).ok()?;
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        let mask = libc::STATX_BASIC_STATS;
        let status = sys::statx(self.directory.as_fd(), &name, flags, mask).ok()?;
        shared_by_links(&status, self.supervisor.is_source(&status), || {
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(&self.directory, name.as_c_str(), flags, Mode::empty())
        })
    }

    /// Puts the description back where it was.
    fn stay(&self, position: i64, answer: Result<Answer, Errno>) -> Result<Answer, Errno> {
        lseek(&self.directory, position, Whence::SeekSet)?;
        answer
    }

    /// Moves the description first: a file system that refuses the position must never have given
    /// entries out, or the program would read them for ever.
    fn deliver(&self, position: i64, next: u64, out: &[u8]) -> Result<Answer, Errno> {
        if !self.supervisor.is_valid(self.event) {
            return Ok(Answer::Gone);
        }
        let next = i64::try_from(next).unwrap_or(i64::MAX);
        if lseek(&self.directory, next, Whence::SeekSet).is_err() {
            return self.stay(position, Ok(Answer::Continue));
        }
        if let Err(errno) = Memory(self.event.tid).write(self.address, out) {
            lseek(&self.directory, position, Whence::SeekSet)?;
            return Err(errno);
        }
        Ok(Answer::Value(i64::try_from(out.len()).unwrap_or(0)))
    }

    /// The widest position that this description takes: one that says no is 32-bit, or on a file
    /// system of its own kind.
    fn width(&self, position: i64) -> Result<Option<u32>, Errno> {
        let (device, _) = self.identity;
        let wide = position > 1 << 32 && self.records != Records::Legacy(4);
        // What a 32-bit program has opened may take less than others of the same device.
        let known = || self.event.abi.word == 8 && lock(&self.directories.wide).contains(&device);
        if wide || known() {
            return Ok(WIDTHS.first().copied());
        }
        for bits in WIDTHS {
            if self.records == Records::Legacy(4) && bits > 31 {
                continue;
            }
            let farthest = (1_i64 << bits) + 64;
            if lseek(&self.directory, farthest, Whence::SeekSet).is_ok() {
                lseek(&self.directory, position, Whence::SeekSet)?;
                if Some(&bits) == WIDTHS.first() {
                    lock(&self.directories.wide).insert(device);
                }
                return Ok(Some(bits));
            }
        }
        Ok(None)
    }

    fn listing(&self, position: i64, bits: u32) -> Result<Arc<Listing>, Errno> {
        let key = (self.identity, bits, self.order);
        if position > 0
            && let Some(listing) = lock(&self.directories.cache).get(key)
        {
            return Ok(listing);
        }
        if position > 0 {
            lseek(&self.directory, 0, Whence::SeekSet)?;
        }
        match self.read_all() {
            Ok(records) => {
                let listing = Arc::new(Listing::new(records, self.order, bits));
                // What is given out at once is not asked for again.
                if listing.bytes() > self.room {
                    lock(&self.directories.cache).put(key, &listing);
                }
                Ok(listing)
            }
            Err(errno) => {
                lseek(&self.directory, position, Whence::SeekSet)?;
                Err(errno)
            }
        }
    }

    /// Reads the whole directory, through the description of the program itself: what that may
    /// read, it may. Leaves it at the end.
    fn read_all(&self) -> Result<Vec<u8>, Errno> {
        let mut records = Vec::new();
        let mut buffer = vec![0; 1 << 14];
        loop {
            let count = sys::getdents64(self.directory.as_fd(), &mut buffer)?;
            if count == 0 {
                return Ok(records);
            }
            if !records.is_empty() {
                self.supervisor.takes_long();
            }
            records.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }
}
