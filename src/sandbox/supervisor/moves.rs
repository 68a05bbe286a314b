//! Renames directories that lie below an overlay. The kernel refuses it (`EXDEV`), since the upper
//! layer has no word for it that all may use; `mv` then makes copies, which are the build user's, and
//! who calls `rename` itself fails: no build outside sees either. So the directory is made anew in the
//! upper layer under its new name, with owner, mode, times and attributes, and what is in it moves.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{Mode, fchmod, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{AccessFlags, Gid, Uid, UnlinkatFlags, faccessat, fchown, unlinkat};
use xattr::FileExt as _;

use super::calls::Form;
use super::engine::{Answer, Event, Supervisor};
use super::guise::Guise;
use super::low;
use super::tracee::Memory;
use super::view::{self, Name, Status, file_of};
use crate::sandbox::sys::tracee as sys;

/// Renames a directory; everything else, and all that cannot be done, is the kernel's.
pub(super) fn answer(
    supervisor: &Supervisor,
    event: &Event,
    form: (Form, bool),
    guise: &mut Guise,
) -> Answer {
    attempt(supervisor, event, form, guise).unwrap_or(Answer::Continue)
}

fn attempt(
    supervisor: &Supervisor,
    event: &Event,
    (form, flags): (Form, bool),
    guise: &mut Guise,
) -> Result<Answer, Errno> {
    let memory = Memory(event.tid);
    let [first, second, third, fourth, fifth, _] = event.args;
    let here = libc::AT_FDCWD;
    let (from, old, to, new) = match form {
        Form::Path => (here, memory.path(first)?, here, memory.path(second)?),
        _ => (
            low(first),
            memory.path(second)?,
            low(third),
            memory.path(fourth)?,
        ),
    };
    let flags = RenameFlags::from_bits_retain(if flags { low(fifth).cast_unsigned() } else { 0 });
    if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let mut look = |directory, path: &CStr, follow| {
        let name = Name {
            directory,
            path,
            follow,
        };
        view::status(supervisor, event, guise, &name, MASK, 0)
    };
    let (before, _) = look(from, &old, false)?;
    if !is_directory(&before) && before.stx_nlink < 2 {
        return Ok(Answer::Continue);
    }
    let (above, name) = view::split(&old)?;
    let (_, from) = look(from, &above, true)?;
    let (above, new_name) = view::split(&new)?;
    let (_, to) = look(to, &above, true)?;
    if !supervisor.is_valid(event) {
        return Ok(Answer::Gone);
    }
    let (from, to) = (from.file(), to.file());
    let old = Place {
        directory: from,
        name: &name,
    };
    let new = Place {
        directory: to,
        name: &new_name,
    };
    // With the rights of the caller, which the kernel looks at before the layers.
    let done = match renameat2(from, &*name, to, &*new_name, flags) {
        Err(Errno::EXDEV) if is_directory(&before) => {
            supervisor.takes_long();
            guise.drop();
            rename(supervisor, old, new)
        }
        Ok(()) => {
            is_the_same(supervisor, &before, &new.status()?);
            Ok(())
        }
        other => other,
    };
    Ok(done.map_or_else(Answer::Errno, |()| Answer::Value(0)))
}

/// What is asked of every file: all that `stat` knows, and its mount.
const MASK: u32 = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;

/// A name in a directory.
#[derive(Clone, Copy)]
struct Place<'a> {
    directory: &'a OwnedFd,
    name: &'a CStr,
}

impl Place<'_> {
    fn status(self) -> Result<Status, Errno> {
        sys::statx(
            self.directory.as_fd(),
            self.name,
            libc::AT_SYMLINK_NOFOLLOW,
            MASK,
        )
    }

    /// The directory, to be listed and changed.
    fn open(self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(self.directory, self.name, flags, Mode::empty())
    }
}

fn mode(status: &Status) -> Mode {
    Mode::from_bits_truncate(u32::from(status.stx_mode))
}

fn is_directory(status: &Status) -> bool {
    u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFDIR
}

/// The names in a directory, all of them before anything in it changes.
fn names(directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    let own = Place {
        directory,
        name: c".",
    };
    for entry in Dir::from_fd(own.open()?)?.iter() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Renames a directory which the kernel would have renamed but for its layers.
fn rename(supervisor: &Supervisor, from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    let mount = from.status()?.stx_mnt_id;
    let above = sys::statx(to.directory.as_fd(), c"", libc::AT_EMPTY_PATH, MASK)?;
    if above.stx_mnt_id != mount {
        return Err(Errno::EXDEV);
    }
    survey(from, mount)?;
    // What is there the kernel found to be a directory: an empty one gives way.
    match unlinkat(to.directory, to.name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    make_anew(supervisor, from, to)
}

/// Whether everything below a directory can be moved: nothing is begun that cannot be ended.
fn survey(place: Place<'_>, mount: u64) -> Result<(), Errno> {
    let status = place.status()?;
    if status.stx_mnt_id != mount {
        return Err(Errno::EBUSY);
    }
    if !is_directory(&status) {
        return Ok(());
    }
    let may = |rights| faccessat(place.directory, place.name, rights, AtFlags::AT_EACCESS).is_ok();
    // Its owner can let himself write it.
    let writes = may(AccessFlags::W_OK) || status.stx_uid == Uid::effective().as_raw();
    if !writes || !may(AccessFlags::R_OK | AccessFlags::X_OK) {
        return Err(Errno::EXDEV);
    }
    let directory = &place.open()?;
    for name in &names(directory)? {
        survey(Place { directory, name }, mount)?;
    }
    Ok(())
}

fn make_anew(supervisor: &Supervisor, from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    let before = from.status()?;
    let old = &from.open()?;
    // Who may not write it fails below, and nobody who passed the survey does.
    let _ = fchmod(old, mode(&before) | Mode::S_IRWXU);
    mkdirat(to.directory, to.name, Mode::S_IRWXU)?;
    let new = &to.open()?;
    for name in &names(old)? {
        let [from, to] = [old, new].map(|directory| Place { directory, name });
        match move_entry(supervisor, from, to) {
            // A directory of a lower layer, or one that says nobody may write it.
            Err(Errno::EXDEV | Errno::EACCES) => make_anew(supervisor, from, to)?,
            other => other?,
        }
    }
    dress(old, new, &before)?;
    unlinkat(from.directory, from.name, UnlinkatFlags::RemoveDir)?;
    is_the_same(supervisor, &before, &to.status()?);
    Ok(())
}

fn move_entry(supervisor: &Supervisor, from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    let before = from.status()?;
    let none = RenameFlags::empty();
    renameat2(from.directory, from.name, to.directory, to.name, none)?;
    is_the_same(supervisor, &before, &to.status()?);
    Ok(())
}

/// What is known of a file holds for what it became: a file with several names below the overlay
/// has another inode as soon as it is moved, too.
fn is_the_same(supervisor: &Supervisor, before: &Status, now: &Status) {
    let (before, now) = (file_of(before), file_of(now));
    if before == now {
        return;
    }
    if let Some(numbers) = &supervisor.numbers {
        numbers.is_made_anew(before, now);
    }
    if let Some(owners) = &supervisor.owners {
        owners.is_also(now, before);
    }
}

/// Gives a directory what another one has beside its entries.
fn dress(old: &OwnedFd, new: &OwnedFd, before: &Status) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(before.stx_uid), Gid::from_raw(before.stx_gid));
    // Who may not give files away owns both.
    let _ = fchown(new, Some(uid), Some(gid));
    fchmod(new, mode(before))?;
    let (from, to) = (
        File::from(old.try_clone().map_err(errno)?),
        File::from(new.try_clone().map_err(errno)?),
    );
    // Where a file system has none, there is nothing to keep.
    for name in from.list_xattr().into_iter().flatten() {
        if let Ok(Some(value)) = from.get_xattr(&name) {
            let _ = to.set_xattr(&name, &value);
        }
    }
    let time = |time: libc::statx_timestamp| TimeSpec::new(time.tv_sec, i64::from(time.tv_nsec));
    futimens(new, &time(before.stx_atime), &time(before.stx_mtime))
}

fn errno(error: std::io::Error) -> Errno {
    Errno::try_from(error).unwrap_or(Errno::EIO)
}
