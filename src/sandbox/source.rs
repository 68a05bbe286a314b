//! The source tree as a trial finds it: the host's own, or a copy made once per session and
//! combination of times, modes and owner; and whether somebody edited it meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, Whence, fchownat, lseek};

use super::error::Error;
use super::host::{names_if_allowed, sorted_names};
use super::identity::Ids;
use super::scratch::remove_tree;
use super::sys;
use crate::model::{SourceMode, SourceMtime};

/// What a tree looks like, cheaply: kind and mode, size, and the times of content and inode of
/// every entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFingerprint(BTreeMap<PathBuf, [i64; 6]>);

impl SourceFingerprint {
    /// Looks at every entry of the tree; reads no content.
    pub fn of(source: &Path) -> Result<Self, Error> {
        let mut entries = BTreeMap::new();
        stamp(source, &mut entries)?;
        Ok(Self(entries))
    }

    /// The same in short: equal for trees that look the same.
    pub fn digest(&self) -> String {
        let mut text = String::new();
        for (path, stamp) in &self.0 {
            // Writing to a String cannot fail.
            let path = crate::model::escape_bytes(path.as_os_str().as_encoded_bytes());
            let _ = writeln!(text, "{stamp:?} {path}");
        }
        super::variables::fingerprint(&text)
    }

    /// The first entry that differs from `later`, if the tree was changed meanwhile.
    pub fn first_change<'a>(&'a self, later: &'a Self) -> Option<&'a Path> {
        let here = self.0.iter();
        let here = here.filter(|(path, stamp)| later.0.get(*path) != Some(stamp));
        let there = later.0.keys().filter(|path| !self.0.contains_key(*path));
        let changed: BTreeSet<&Path> = here
            .map(|(path, _)| path)
            .chain(there)
            .map(PathBuf::as_path)
            .collect();
        let mut changed = changed.into_iter();
        // A directory changes with what comes into it: that is what is meant.
        let first = changed.next()?;
        let inside = changed.scan(first, |outer, path| {
            let inside = path.starts_with(*outer);
            *outer = path;
            inside.then_some(path)
        });
        Some(inside.last().unwrap_or(first))
    }
}

fn stamp(path: &Path, entries: &mut BTreeMap<PathBuf, [i64; 6]>) -> Result<(), Error> {
    let metadata = path
        .symlink_metadata()
        .map_err(Error::file("look at", path))?;
    let stamp = [
        i64::from(metadata.mode()),
        i64::try_from(metadata.len()).unwrap_or(i64::MAX),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ];
    entries.insert(path.to_owned(), stamp);
    if metadata.is_dir() {
        let names = names_if_allowed(path).map_err(Error::file("read directory", path))?;
        // What the caller cannot see, no build of his can.
        for name in names.unwrap_or_default() {
            self::stamp(&path.join(name), entries)?;
        }
    }
    Ok(())
}

/// How a copy differs from the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) mtime: SourceMtime,
    pub(super) mode: SourceMode,
    /// Whether the bits for all others stay as they are.
    pub(super) keeps_others: bool,
    /// Who owns all of it; `None` keeps the owners.
    pub(super) owner: Option<Ids>,
}

/// The copies of a session.
#[derive(Debug)]
pub(super) struct Copies {
    dir: PathBuf,
    made: Mutex<BTreeMap<String, PathBuf>>,
}

impl Copies {
    pub(super) fn new(scratch: &Path) -> Self {
        Self {
            dir: scratch.join("source"),
            made: Mutex::new(BTreeMap::new()),
        }
    }

    /// The copy of `source` with this variant; made when first asked for.
    pub(super) fn get(&self, source: &Path, variant: Variant) -> Result<PathBuf, Error> {
        let key = format!("{variant:?}");
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = made.get(&key) {
            return Ok(path.clone());
        }
        fs::create_dir_all(&self.dir).map_err(Error::file("make", &self.dir))?;
        let to = self.dir.join(made.len().to_string());
        let copied = copy(source, &to, variant);
        if copied.is_err() {
            // What is left of it is in the way of the next attempt.
            let _ = remove_tree(&to);
        }
        copied?;
        made.insert(key, to.clone());
        Ok(to)
    }
}

/// Copies a tree: contents (shared where the file system can), kinds, links, hard links, modes,
/// owners where the caller may give files away, and times.
pub(super) fn copy(from: &Path, to: &Path, variant: Variant) -> Result<(), Error> {
    let mut copier = Copier {
        variant,
        span: match variant.mtime {
            SourceMtime::Reversed => span(from)?,
            _ => (0, 0),
        },
        linked: BTreeMap::new(),
    };
    copier.entry(from, to)?;
    settle();
    Ok(())
}

/// Waits until stamps of what was just made are clearly older than the trial that comes next: the
/// kernel's stamps lag by a tick, and a trial knows when it began to a tick (10 ms at HZ=100). Else
/// the first trial would take for its own what to all others was given.
pub(super) fn settle() {
    std::thread::sleep(Duration::from_millis(30));
}

/// The oldest and the newest time in a tree, in nanoseconds since 1970.
fn span(source: &Path) -> Result<(i128, i128), Error> {
    let SourceFingerprint(entries) = SourceFingerprint::of(source)?;
    let times = || {
        entries
            .values()
            .map(|[_, _, seconds, nanoseconds, ..]| time(*seconds, *nanoseconds))
    };
    Ok((
        times().min().unwrap_or_default(),
        times().max().unwrap_or_default(),
    ))
}

/// Nanoseconds since 1970.
fn time(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * SECOND + i128::from(nanoseconds)
}

/// One second, in nanoseconds.
const SECOND: i128 = 1_000_000_000;

struct Copier {
    variant: Variant,
    /// The oldest and the newest time of the source, where the order is to be reversed.
    span: (i128, i128),
    /// Copies of files with several names, by device and inode.
    linked: BTreeMap<(u64, u64), PathBuf>,
}

impl Copier {
    /// Copies one entry, with what is in it.
    fn entry(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        let metadata = from
            .symlink_metadata()
            .map_err(Error::file("look at", from))?;
        let identity = (metadata.dev(), metadata.ino());
        if metadata.is_dir() {
            fs::create_dir(to).map_err(Error::file("make", to))?;
            for name in sorted_names(from).map_err(|error| unreadable(from, error))? {
                self.entry(&from.join(&name), &to.join(&name))?;
            }
        } else if let Some(first) = self.linked.get(&identity) {
            return fs::hard_link(first, to).map_err(Error::file("link", to));
        } else {
            copy_one(from, to, &metadata)?;
            if metadata.nlink() > 1 {
                self.linked.insert(identity, to.to_owned());
            }
        }
        self.dress(from, to, &metadata)
            .map_err(Error::file("set metadata of", to))
    }

    fn dress(&self, from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
        let here = nix::fcntl::AT_FDCWD;
        let owner = self.variant.owner.unwrap_or(Ids {
            uid: metadata.uid(),
            gid: metadata.gid(),
        });
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        let no_follow = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
        // An ordinary user keeps what he copies.
        let _ = fchownat(here, to, Some(uid), Some(gid), no_follow);
        // Who gives a file away takes capabilities from it, and modes limit access lists: in between.
        copy_attributes(from, to)?;
        if !metadata.is_symlink() {
            let mode = self.mode(metadata);
            fs::set_permissions(to, Permissions::from_mode(mode))?;
        }
        let (seconds, nanoseconds) = match self.variant.mtime {
            SourceMtime::AsGiven => (metadata.mtime(), metadata.mtime_nsec()),
            SourceMtime::Shifted { seconds } => (
                metadata.mtime().saturating_add(seconds),
                metadata.mtime_nsec(),
            ),
            SourceMtime::Equal { at } => (at, 0),
            SourceMtime::Reversed => {
                let (oldest, newest) = self.span;
                let own = time(metadata.mtime(), metadata.mtime_nsec());
                let mirrored = oldest + newest - own;
                let seconds = i64::try_from(mirrored.div_euclid(SECOND)).unwrap_or(i64::MAX);
                let rest = i64::try_from(mirrored.rem_euclid(SECOND)).unwrap_or_default();
                (seconds, rest)
            }
        };
        let time = TimeSpec::new(seconds, nanoseconds);
        utimensat(here, to, &time, &time, UtimensatFlags::NoFollowSymlink)?;
        Ok(())
    }

    fn mode(&self, metadata: &Metadata) -> u32 {
        let given = metadata.mode() & 0o7777;
        let regular = metadata.is_file() || metadata.is_dir();
        match self.variant.mode {
            SourceMode::Checkout { umask } if regular => {
                let runs = metadata.is_dir() || given & 0o100 != 0;
                let mode = (if runs { 0o777 } else { 0o666 }) & !umask;
                if self.variant.keeps_others {
                    mode & !0o007 | given & 0o007
                } else {
                    mode
                }
            }
            _ => given,
        }
    }
}

/// Extended attributes and access lists. What only root may set is left to root.
fn copy_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let names = match xattr::list(from) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in names {
        let text = name.to_string_lossy();
        let of_overlays = text.contains(".overlay.");
        let everybodys = text.starts_with("user.") || text.starts_with("system.posix_acl_");
        let Some(value) = xattr::get(from, &name)?.filter(|_| !of_overlays) else {
            continue;
        };
        match xattr::set(to, &name, &value) {
            Err(error) if everybodys => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Error::Unusable(format!(
            "{} may not be read ({error}), and source-mtime and source-mode need a copy of the source: make it readable, or --skip source-mtime,source-mode",
            path.display()
        ));
    }
    Error::file("read", path)(error)
}

/// Copies what is not a hole: `du` and whoever looks for holes must see the same in a copy.
fn copy_content(source: &mut File, target: &mut File, metadata: &Metadata) -> io::Result<()> {
    let length = offset(metadata.len())?;
    target.set_len(metadata.len())?;
    let mut hole = 0;
    let mut has_holes = false;
    while hole < length {
        let data = match lseek(&*source, hole, Whence::SeekData) {
            Err(Errno::ENXIO) => length,
            // No file system has to tell holes; lseek(2).
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => hole,
            other => other?,
        };
        has_holes |= data > hole;
        if data > hole && metadata.blocks() >= metadata.len().div_ceil(512) {
            // No hole: room that was allocated and never written. The rest of it need not be found.
            let _ = fallocate(&*target, FallocateFlags::empty(), hole, length - hole);
        }
        if data >= length {
            break;
        }
        hole = match lseek(&*source, data, Whence::SeekHole) {
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => length,
            other => other?.min(length),
        };
        for file in [&*source, &*target] {
            lseek(file, data, Whence::SeekSet)?;
        }
        let range = u64::try_from(hole - data).unwrap_or(0);
        io::copy(&mut (&*source).take(range), target)?;
    }
    // Some file systems give more than the size that they tell.
    for file in [&*source, &*target] {
        lseek(file, length, Whence::SeekSet)?;
    }
    io::copy(source, target)?;
    if has_holes {
        // What the map of many extents takes is counted once they are on the disk.
        target.sync_data()?;
    }
    Ok(())
}

fn offset(length: u64) -> io::Result<i64> {
    i64::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn copy_one(from: &Path, to: &Path, metadata: &Metadata) -> Result<(), Error> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(from).map_err(Error::file("read link", from))?;
        return std::os::unix::fs::symlink(target, to).map_err(Error::file("link", to));
    }
    if kind.is_file() {
        let mut source = File::open(from).map_err(|error| unreadable(from, error))?;
        let mut target = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(Error::file("write", to))?;
        if sys::share_extents(&source, &target).is_err() {
            copy_content(&mut source, &mut target, metadata).map_err(Error::file("copy", from))?;
        }
        return Ok(());
    }
    let flag = if kind.is_fifo() {
        SFlag::S_IFIFO
    } else if kind.is_socket() {
        SFlag::S_IFSOCK
    } else if kind.is_char_device() {
        SFlag::S_IFCHR
    } else {
        SFlag::S_IFBLK
    };
    mknod(to, flag, Mode::from_bits_truncate(0o600), metadata.rdev())
        .map_err(|errno| Error::file("make the special file", to)(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn a_copy_keeps_links_and_order_of_times_and_takes_the_modes_of_a_checkout() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("tree");
        fs::create_dir(&source).unwrap();
        for name in ["a", "b"] {
            fs::write(source.join(name), name).unwrap();
        }
        fs::set_permissions(source.join("b"), Permissions::from_mode(0o700)).unwrap();
        fs::hard_link(source.join("a"), source.join("c")).unwrap();
        std::os::unix::fs::symlink("nowhere", source.join("d")).unwrap();
        xattr::set(source.join("a"), "user.why", b"because").unwrap();
        let copies = Copies::new(dir.path());
        let variant = Variant {
            mtime: SourceMtime::Shifted { seconds: -1000 },
            mode: SourceMode::Checkout { umask: 0o027 },
            keeps_others: false,
            owner: None,
        };
        let copy = copies.get(&source, variant).unwrap();
        assert_eq!(copies.get(&source, variant).unwrap(), copy);
        let of = |base: &Path, name: &str| base.join(name).symlink_metadata().unwrap();
        assert_eq!(of(&copy, "a").ino(), of(&copy, "c").ino());
        let kept = xattr::get(copy.join("a"), "user.why").unwrap();
        assert_eq!(kept.as_deref(), Some(&b"because"[..]));
        assert_eq!(of(&copy, "a").mode() & 0o7777, 0o640);
        assert_eq!(of(&copy, "b").mode() & 0o7777, 0o750);
        assert_eq!(of(&copy, ".").mode() & 0o7777, 0o750);
        for name in ["a", "b", "d", "."] {
            let (given, after) = (of(&source, name), of(&copy, name));
            assert_eq!(given.mtime() - 1000, after.mtime());
            assert_eq!(given.mtime_nsec(), after.mtime_nsec());
        }
    }

    #[test]
    fn a_copy_has_the_holes_of_the_source_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        fs::create_dir(&from).unwrap();
        let make = |name: &str| File::create_new(from.join(name)).unwrap();
        make("hole").set_len(10 << 20).unwrap();
        make("dense").write_all(&vec![0; 1 << 20]).unwrap();
        make("room").write_all(b"begins").unwrap();
        let room = OpenOptions::new().write(true).open(from.join("room"));
        fallocate(room.unwrap(), FallocateFlags::empty(), 0, 1 << 20).unwrap();
        let islands = make("islands");
        for at in 1..9 {
            islands.write_all_at(b"land", at << 20).unwrap();
        }
        islands.set_len(10 << 20).unwrap();
        islands.sync_all().unwrap();
        let variant = Variant {
            mtime: SourceMtime::AsGiven,
            mode: SourceMode::Checkout { umask: 0o022 },
            keeps_others: false,
            owner: None,
        };
        copy(&from, &to, variant).unwrap();
        for name in ["hole", "dense", "room", "islands"] {
            let [given, copied] = [&from, &to].map(|base| base.join(name));
            assert!(fs::read(&given).unwrap() == fs::read(&copied).unwrap());
            let blocks = [given, copied].map(|path| path.metadata().unwrap().blocks());
            assert_eq!(blocks[0], blocks[1], "{name}");
        }
    }

    #[test]
    fn an_edit_of_the_source_is_noticed_and_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "one").unwrap();
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o100)).unwrap();
        let before = SourceFingerprint::of(dir.path()).unwrap();
        assert_eq!(before.first_change(&before), None);
        fs::write(dir.path().join("a"), "two!").unwrap();
        let after = SourceFingerprint::of(dir.path()).unwrap();
        assert_eq!(before.first_change(&after), Some(&*dir.path().join("a")));
        // The directory's own times change as well.
        fs::write(dir.path().join("new"), "").unwrap();
        let later = SourceFingerprint::of(dir.path()).unwrap();
        assert_eq!(after.first_change(&later), Some(&*dir.path().join("new")));
    }
}
