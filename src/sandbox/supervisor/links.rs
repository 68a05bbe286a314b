//! Notes under which names hard links are made. In an ordinary user's overlay a source and a link to
//! it have two inodes: overlayfs tells where a file was copied up from only to who has
//! `CAP_DAC_READ_SEARCH` on the host. Who archives or copies them would make two files of one. Whatever
//! the overlay: before the first link, files of the source need not be looked at when they are listed.

use std::ffi::CStr;

use nix::errno::Errno;

use super::calls::Form;
use super::engine::{Answer, Event, Supervisor};
use super::guise::Guise;
use super::low;
use super::tracee::Memory;
use super::view::{self, Name};

/// Looks at what is linked, and where; the link is the kernel's to make.
pub(super) fn answer(
    supervisor: &Supervisor,
    event: &Event,
    form: Form,
    guise: &mut Guise,
) -> Answer {
    // What cannot be found the kernel does not find either.
    let _ = note(supervisor, event, form, guise);
    Answer::Continue
}

fn note(
    supervisor: &Supervisor,
    event: &Event,
    form: Form,
    guise: &mut Guise,
) -> Result<(), Errno> {
    let Some(numbers) = &supervisor.numbers else {
        return Ok(());
    };
    let memory = Memory(event.tid);
    let [first, second, third, fourth, fifth, _] = event.args;
    let here = libc::AT_FDCWD;
    let (from, old, to, new, flags) = match form {
        Form::Path => (here, memory.path(first)?, here, memory.path(second)?, 0),
        _ => (
            low(first),
            memory.path(second)?,
            low(third),
            memory.path(fourth)?,
            low(fifth),
        ),
    };
    let mut look = |directory, path: &CStr, follow| {
        let name = Name {
            directory,
            path,
            follow,
        };
        view::status(supervisor, event, guise, &name, libc::STATX_BASIC_STATS, 0)
    };
    if look(to, &new, false).is_ok() {
        return Ok(());
    }
    let (above, name) = view::split(&new)?;
    let (_, above) = look(to, &above, true)?;
    let (mut status, found) = look(from, &old, flags & libc::AT_SYMLINK_FOLLOW != 0)?;
    let file = view::file_of(&status);
    // Whatever has a link has a number.
    supervisor.translate(event, &mut status, &found);
    let mut path = above.path(&supervisor.tracees);
    path.push(b'/');
    path.extend(name.to_bytes());
    numbers.link(path, file);
    Ok(())
}
