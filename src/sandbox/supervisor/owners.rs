//! Answers the chown family where the trial's user namespace has a name for few ids: an ordinary
//! user may not give files away, which the kernel calls `EPERM`, but `EINVAL` where the new owner
//! has no name there. fakeroot, for one, goes on after the former alone. A source that is given to
//! somebody is no longer shown as anybody else's.

use std::ffi::CString;

use nix::errno::Errno;

use super::calls::{Call, Form};
use super::engine::{Answer, Event, Supervisor};
use super::guise::{Guise, IdMap};
use super::low;
use super::tracee::Memory;
use super::view::{self, Name, Status};

/// What `fchownat` knows; the kernel refuses anything else.
const KNOWN_FLAGS: i32 = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;

/// Refuses to give a file to somebody without a name; everything else is the kernel's.
pub(super) fn answer(supervisor: &Supervisor, event: &Event, guise: &mut Guise) -> Answer {
    let Call::Own(form, bits) = event.trap.call else {
        return Answer::Continue;
    };
    let [_, first, second, third, ..] = event.args;
    let (user, group) = match form {
        Form::At => (second, third),
        _ => (first, second),
    };
    let lacks = |map: &str, id: u64| {
        let id = low(id).cast_unsigned() & bits;
        // Each caller's own map: nothing need be known of the namespaces that a build makes.
        let path = format!("{}/{map}", event.tid);
        let text = || supervisor.tracees.read_proc(&path).ok();
        id != bits
            && text().is_some_and(|text| !IdMap::parse(&String::from_utf8_lossy(&text)).names(id))
    };
    let refused = lacks("uid_map", user) || lacks("gid_map", group);
    if !refused && supervisor.owners.is_none() {
        return Answer::Continue;
    }
    let found = find(supervisor, event, guise, form);
    if !refused {
        if let (Some(owners), Ok(status)) = (&supervisor.owners, found) {
            let as_it_is = |id: u64| low(id).cast_unsigned() & bits == bits;
            owners.give(view::file_of(&status), !as_it_is(user), !as_it_is(group));
        }
        return Answer::Continue;
    }
    match found {
        Err(errno) if comes_first(errno) => Answer::Continue,
        // A file system that is read-only would come first, too: not worth another look.
        _ => Answer::Errno(Errno::EPERM),
    }
}

/// Errors about the file itself, which the kernel finds before it looks at the ids.
fn comes_first(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EACCES
            | Errno::EBADF
            | Errno::EFAULT
            | Errno::EINVAL
            | Errno::ELOOP
            | Errno::ENAMETOOLONG
            | Errno::ENOENT
            | Errno::ENOTDIR
    )
}

/// Looks for the file of a call.
fn find(
    supervisor: &Supervisor,
    event: &Event,
    guise: &mut Guise,
    form: Form,
) -> Result<Status, Errno> {
    let memory = Memory(event.tid);
    let [first, second, .., fifth, _] = event.args;
    let (directory, path, flags) = match form {
        Form::Path => (libc::AT_FDCWD, memory.path(first)?, 0),
        Form::Link => (
            libc::AT_FDCWD,
            memory.path(first)?,
            libc::AT_SYMLINK_NOFOLLOW,
        ),
        Form::Descriptor => (low(first), CString::default(), libc::AT_EMPTY_PATH),
        Form::At => (low(first), memory.path(second)?, low(fifth)),
    };
    let name = Name::new(directory, &path, flags, KNOWN_FLAGS)?;
    view::status(supervisor, event, guise, &name, libc::STATX_BASIC_STATS, 0)
        .map(|(status, _)| status)
}
