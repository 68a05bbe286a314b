//! The session's directory on disk: locked while the session lives, removed at its end; what a
//! killed session left is recognised by its lock, which nobody holds, and removed by the next.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg, OFlag, open, openat};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use super::error::Error;
use super::host::sorted_names;

const PREFIX: &str = "reprobe-";
/// Characters behind it, as tempfile makes them.
const RANDOM: usize = 6;
const LOCK: &str = "lock";
/// The lock on its way to its name.
const FRESH: &str = "lock.new";

/// A directory of this session alone.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: PathBuf,
    // Released when the process ends, however it ends.
    _lock: Flock<File>,
}

impl Scratch {
    /// Makes one below `parent`, and removes those of sessions that were killed.
    pub(super) fn new(parent: &Path) -> Result<Self, Error> {
        fs::create_dir_all(parent).map_err(Error::file("make scratch directory", parent))?;
        let parent = parent
            .canonicalize()
            .map_err(Error::file("find scratch directory", parent))?;
        remove_stale(&parent);
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(RANDOM)
            .tempdir_in(&parent)
            .map_err(Error::file("make scratch directory in", &parent))?
            .keep();
        // Held before others can see it.
        let fresh = dir.join(FRESH);
        let lock = File::create_new(&fresh)
            .and_then(lock)
            .map_err(Error::file("lock", &dir))?;
        fs::rename(&fresh, dir.join(LOCK)).map_err(Error::file("lock", &dir))?;
        // The build's user must be able to pass on the way to its own upper layers, and nobody
        // else finds the name of a trial's directory by chance.
        fs::set_permissions(&dir, Permissions::from_mode(0o711))
            .map_err(Error::file("set mode of", &dir))?;
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes it; `Drop` does the same without a word.
    pub(super) fn close(&self) -> Result<(), Error> {
        remove_scratch(&self.dir).map_err(Error::file("remove", &self.dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next session removes what could not be removed.
        let _ = remove_scratch(&self.dir);
    }
}

fn lock(file: File) -> io::Result<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
}

/// A directory without a lock may be about to get one: it is left alone until it is old.
fn remove_stale(parent: &Path) {
    for name in sorted_names(parent).unwrap_or_default() {
        let dir = parent.join(&name);
        let ours = name.to_string_lossy().starts_with(PREFIX);
        if !ours {
            continue;
        }
        match open_lock(&dir, LOCK) {
            Ok(file) => {
                if let Ok(_lock) = lock(file) {
                    let _ = remove_scratch(&dir);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_old(&dir) => {
                if let Ok(_lock) = open_lock(&dir, FRESH).and_then(lock) {
                    let _ = remove_scratch(&dir);
                }
                // Killed before the first file, or behind the last.
                if name.len() == PREFIX.len() + RANDOM {
                    let _ = fs::remove_dir(&dir);
                }
            }
            Err(_) => {}
        }
    }
}

/// Whether nothing has been made in a directory for longer than a lock takes to get its name.
fn is_old(dir: &Path) -> bool {
    let made = dir.symlink_metadata().and_then(|found| found.modified());
    let age = made.ok().and_then(|made| made.elapsed().ok());
    age.is_some_and(|age| age > Duration::from_mins(1))
}

/// Opens the lock of a session's directory. In a shared directory anybody can give anything such a
/// name: only a real directory that belongs to us, and in which nobody else writes, is one. Then what
/// is in it is ours as well.
fn open_lock(dir: &Path, name: &str) -> io::Result<File> {
    let no_link = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let dir = open(dir, OFlag::O_DIRECTORY | no_link, Mode::empty())?;
    let status = fstat(&dir)?;
    let others = Mode::S_IWGRP | Mode::S_IWOTH;
    if status.st_uid != geteuid().as_raw()
        || Mode::from_bits_truncate(status.st_mode).intersects(others)
    {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // Never made here: a session that is just ending would find its directory not empty.
    let how = OFlag::O_WRONLY | OFlag::O_NONBLOCK | no_link;
    Ok(openat(&dir, name, how, Mode::empty())?.into())
}

/// Removes a session's directory, its lock last: whoever is killed over it leaves the rest to the
/// next.
fn remove_scratch(dir: &Path) -> io::Result<()> {
    for name in sorted_names(dir)? {
        let path = dir.join(&name);
        if name == LOCK {
            continue;
        }
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => remove_tree(&path)?,
            _ => fs::remove_file(&path)?,
        }
    }
    remove_tree(dir)
}

/// A disk with less room than this, in bytes, is full.
const LEAST_ROOM: u64 = 256 << 10;

/// Whether nothing more can be written to the disk on which a directory is.
pub(super) fn is_full(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|disk| {
        let free = disk.blocks_available() * disk.fragment_size();
        free < LEAST_ROOM || (disk.files() > 0 && disk.files_available() == 0)
    })
}

/// Removes a tree whose directories may be closed even to their owner: the work directories of an
/// ordinary user's overlays have mode 000.
pub(super) fn remove_tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_directories(dir);
            fs::remove_dir_all(dir)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes trees behind the session's back: on a busy disk each directory takes milliseconds.
#[derive(Debug)]
pub(super) struct Remover {
    pending: Arc<(Mutex<usize>, Condvar)>,
    queue: Option<Sender<PathBuf>>,
    thread: Option<JoinHandle<()>>,
}

impl Remover {
    pub(super) fn new() -> Self {
        let (queue, asked) = channel::<PathBuf>();
        let pending = Arc::new((Mutex::new(0_usize), Condvar::new()));
        let done = Arc::clone(&pending);
        let work = move || {
            for tree in asked {
                // What stays is removed with the scratch directory, whose removal reports.
                let _ = remove_tree(&tree);
                let mut count = done.0.lock().unwrap_or_else(PoisonError::into_inner);
                *count = count.saturating_sub(1);
                done.1.notify_all();
            }
        };
        let thread = std::thread::Builder::new().spawn(work).ok();
        Self {
            pending,
            queue: Some(queue),
            thread,
        }
    }

    /// Removes the tree soon.
    pub(super) fn remove(&self, tree: PathBuf) {
        if let (Some(queue), Some(_)) = (&self.queue, &self.thread) {
            let mut count = self
                .pending
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            if queue.send(tree).is_ok() {
                return;
            }
            *count -= 1;
        } else {
            // Without a thread it is removed at once; what stays goes with the scratch directory.
            let _ = remove_tree(&tree);
        }
    }

    /// Waits until everything is removed.
    pub(super) fn wait(&self) {
        let count = self
            .pending
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A poisoned lock means that the thread is gone, and with it the reason to wait.
        drop(self.pending.1.wait_while(count, |count| *count > 0));
    }

    /// Waits if the next trial could want for the space that is being freed.
    pub(super) fn make_room(&self, scratch: &Path) {
        let room = statvfs(scratch).map_or(0, |fs| {
            fs.blocks_available().saturating_mul(fs.fragment_size())
        });
        if room < ENOUGH {
            self.wait();
        }
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked leaves its work to the scratch directory.
            let _ = thread.join();
        }
    }
}

/// Free space, in bytes, with which no trial waits for the removal of the one before.
const ENOUGH: u64 = 8 << 30;

fn open_directories(dir: &Path) {
    // What stays closed makes the removal fail, which is reported.
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    for name in sorted_names(dir).unwrap_or_default() {
        let path = dir.join(name);
        if path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
        {
            open_directories(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_that_nobody_holds_are_stale() {
        let parent = tempfile::tempdir().unwrap();
        let killed = parent.path().join("reprobe-killed");
        fs::create_dir_all(killed.join("layers/work")).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        fs::set_permissions(killed.join("layers/work"), Permissions::from_mode(0o000)).unwrap();
        let living = Scratch::new(parent.path()).unwrap();
        assert!(!killed.exists());
        let other = Scratch::new(parent.path()).unwrap();
        assert!(living.dir().exists() && other.dir().exists());
        let dir = living.dir().to_owned();
        drop(living);
        assert!(!dir.exists());
    }

    #[test]
    fn what_was_killed_before_it_had_a_lock_goes_when_it_is_old() {
        let parent = tempfile::tempdir().unwrap();
        let made = |name: &str, file: Option<&str>, old: bool| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            if let Some(file) = file {
                fs::write(dir.join(file), "").unwrap();
            }
            if old {
                let then = std::time::UNIX_EPOCH + Duration::from_hours(1);
                File::open(&dir).unwrap().set_modified(then).unwrap();
            }
            dir
        };
        let gone = [
            made("reprobe-aaaaaa", Some(FRESH), true),
            made("reprobe-bbbbbb", None, true),
        ];
        let kept = [
            made("reprobe-cccccc", Some(FRESH), false),
            made("reprobe-dddddd", None, false),
            made("reprobe-eeeeee", Some("mine"), true),
            made("reprobe-own", None, true),
        ];
        drop(Scratch::new(parent.path()).unwrap());
        assert!(gone.iter().all(|dir| !dir.exists()));
        assert!(kept.iter().all(|dir| dir.exists()));
    }

    #[test]
    fn a_name_in_a_shared_directory_is_not_trusted() {
        use nix::unistd::{Uid, chown, mkfifo};
        use std::os::unix::fs::symlink;
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, mode: u32| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("precious"), "").unwrap();
            fs::write(dir.join(LOCK), "").unwrap();
            fs::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
            dir
        };
        // What it opens would wait for a reader.
        let waits = parent.path().join("reprobe-fifo");
        fs::create_dir(&waits).unwrap();
        mkfifo(&waits.join(LOCK), Mode::S_IRWXU).unwrap();
        let elsewhere = make("elsewhere", 0o711);
        symlink(&elsewhere, parent.path().join("reprobe-link")).unwrap();
        let inside = make("reprobe-inside", 0o711);
        fs::rename(inside.join(LOCK), inside.join("other")).unwrap();
        symlink(elsewhere.join(LOCK), inside.join(LOCK)).unwrap();
        let shared = make("reprobe-shared", 0o777);
        let other = make("reprobe-other", 0o711);
        let is_root = chown(&other, Some(Uid::from_raw(54321)), None).is_ok();
        let killed = make("reprobe-killed", 0o711);
        drop(Scratch::new(parent.path()).unwrap());
        assert!(waits.exists() && elsewhere.join("precious").exists());
        assert!(inside.join("precious").exists() && shared.join("precious").exists());
        assert_eq!(other.exists(), is_root);
        assert!(!killed.exists());
    }

    #[test]
    fn sessions_that_begin_and_end_at_the_same_time_leave_each_other_alone() {
        let parent = tempfile::tempdir().unwrap();
        let sessions = || {
            for _ in 0..400 {
                Scratch::new(parent.path()).unwrap().close().unwrap();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(sessions);
            }
        });
        assert!(sorted_names(parent.path()).unwrap().is_empty());
    }
}
