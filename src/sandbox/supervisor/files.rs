//! Answers the stat family: what the trial made or changed carries the trial's times, and inodes
//! the trial's numbers.

use std::ffi::CString;

use nix::errno::Errno;

use super::calls::Call;
use super::engine::{Answer, Event, Supervisor};
use super::guise::Guise;
use super::layout::{Layout, device, encode};
use super::numbers::shared_by_links;
use super::timeline::{SECOND, Sight};
use super::tracee::Memory;
use super::view::{self, Found, Name, Status};
use crate::model::Source;

/// What `vfs_statx` knows; the kernel refuses anything else.
const KNOWN_FLAGS: i32 = libc::AT_SYMLINK_NOFOLLOW
    | libc::AT_NO_AUTOMOUNT
    | libc::AT_EMPTY_PATH
    | libc::AT_STATX_FORCE_SYNC
    | libc::AT_STATX_DONT_SYNC;

/// Answers one call of the stat family; whatever fails is left to the kernel to refuse.
pub(super) fn answer(supervisor: &Supervisor, event: &Event, guise: &mut Guise) -> Answer {
    if let Some(sites) = &supervisor.sites {
        sites.see(supervisor, event);
    }
    attempt(supervisor, event, guise).unwrap_or(Answer::Continue)
}

/// A call of the stat family, whatever its form.
struct Request {
    directory: i32,
    path: CString,
    flags: i32,
    mask: u32,
    layout: Layout,
    buffer: u64,
}

fn request(event: &Event) -> Result<Request, Errno> {
    let memory = Memory(event.tid);
    let args = event.args;
    let here = libc::AT_FDCWD;
    let basic = libc::STATX_BASIC_STATS;
    Ok(match event.trap.call {
        Call::Stat(layout) => Request {
            directory: here,
            path: memory.path(args[0])?,
            flags: 0,
            mask: basic,
            layout,
            buffer: args[1],
        },
        Call::Lstat(layout) => Request {
            directory: here,
            path: memory.path(args[0])?,
            flags: libc::AT_SYMLINK_NOFOLLOW,
            mask: basic,
            layout,
            buffer: args[1],
        },
        Call::Fstat(layout) => Request {
            directory: super::low(args[0]),
            path: CString::default(),
            flags: libc::AT_EMPTY_PATH,
            mask: basic,
            layout,
            buffer: args[1],
        },
        Call::Fstatat(layout) => Request {
            directory: super::low(args[0]),
            path: memory.path(args[1])?,
            flags: super::low(args[3]),
            mask: basic,
            layout,
            buffer: args[2],
        },
        _ => Request {
            directory: super::low(args[0]),
            path: memory.path(args[1])?,
            flags: super::low(args[2]),
            // Some kernels leave out the times that nobody asks for, and by these it is known whose
            // file it is.
            mask: super::low(args[3]).cast_unsigned() | basic,
            layout: Layout::Statx,
            buffer: args[4],
        },
    })
}

fn attempt(supervisor: &Supervisor, event: &Event, guise: &mut Guise) -> Result<Answer, Errno> {
    let request = request(event)?;
    let name = Name::new(request.directory, &request.path, request.flags, KNOWN_FLAGS)?;
    let (mut status, found) =
        view::status(supervisor, event, guise, &name, request.mask, request.flags)?;
    let stored = status;
    let given = supervisor.show_owner(&mut status, &found);
    supervisor.translate(event, &mut status, &found);
    if supervisor.keeps_log() && supervisor.follows_clock(&stored) {
        supervisor.witness(event, Source::FileTime, || None);
    }
    if supervisor.numbers.is_none() && !given && times(&status) == times(&stored) {
        // A source: the kernel says the same, at less cost than two writes into its memory.
        return Ok(Answer::Continue);
    }
    let Some(bytes) = encode(&status, request.layout) else {
        return Err(Errno::EOVERFLOW);
    };
    if !supervisor.is_valid(event) {
        return Ok(Answer::Gone);
    }
    Memory(event.tid).write(request.buffer, &bytes)?;
    Ok(Answer::Value(0))
}

/// Seconds and nanoseconds of all times.
fn times(status: &Status) -> [(i64, u32); 4] {
    [
        status.stx_atime,
        status.stx_mtime,
        status.stx_ctime,
        status.stx_btime,
    ]
    .map(|time| (time.tv_sec, time.tv_nsec))
}

impl Supervisor {
    /// Shows the owner of a source, under the name of a link as well; whether that is another one than
    /// the kernel says.
    fn show_owner(&self, status: &mut Status, found: &Found) -> bool {
        let Some(owners) = &self.owners else {
            return false;
        };
        let is_file = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFREG;
        if let Some(numbers) = self
            .numbers
            .as_ref()
            .filter(|_| is_file && status.stx_nlink > 1)
            && let Some(source) = numbers.link_of(|| found.path(&self.tracees))
        {
            owners.is_also(view::file_of(status), source);
        }
        owners.show(status)
    }

    /// Whether a file is as the trial found it.
    pub(super) fn is_source(&self, status: &Status) -> bool {
        self.clock.as_ref().is_none_or(|clock| {
            clock.with(&self.tracees, 0, |sight, _| {
                sight.is_given(stored(status.stx_ctime))
            })
        })
    }

    /// Whether the times that the trial sees of a file would be others if its clock were. When the
    /// sources were checked out does not count: everybody who looks at a source is told.
    fn follows_clock(&self, stored: &Status) -> bool {
        let made_here = !self.is_source(stored);
        self.clock
            .as_ref()
            .filter(|_| made_here)
            .is_some_and(|clock| {
                let seen = |ahead| {
                    clock.with(&self.tracees, ahead, |sight, now| {
                        times(&show_times(sight, *stored, now))
                    })
                };
                seen(0) != seen(SECOND)
            })
    }

    /// What the trial sees in place of the kernel's times and numbers.
    pub(super) fn translate(&self, event: &Event, status: &mut Status, found: &Found) {
        let stored = *status;
        if let Some(clock) = &self.clock {
            let ahead = self.ahead(event.tid).files;
            *status = clock.with(&self.tracees, ahead, |sight, now| {
                show_times(sight, *status, now)
            });
        }
        if let Some(numbers) = &self.numbers {
            let device = |status: &Status| device(status.stx_dev_major, status.stx_dev_minor);
            let file = (device(status), status.stx_ino);
            let links = || {
                let is_source = self.is_source(&stored);
                shared_by_links(&stored, is_source, || found.open(&self.tracees))
            };
            numbers.translate(status, links, || found.path(&self.tracees));
            let sites = self.sites.as_ref().filter(|sites| sites.answers_files());
            if let Some((clock, _)) = self.clock.as_ref().zip(sites) {
                let shown = (status.stx_dev_minor, device(status));
                clock.pages().number(file, status.stx_ino, shown);
            }
        }
    }
}

/// When a file was last read, and when its inode was last touched, depend on who looked at the
/// sources before and on how this trial came by them. What the build did not touch was checked out
/// and read shortly before the trial's clock started; its content has the time that it was given.
/// A directory was touched when its content was: an overlay touches it at its first listing, for
/// itself.
fn show_times(sight: Sight<'_>, mut status: Status, now: i64) -> Status {
    let given = |time: libc::statx_timestamp| sight.is_given(stored(time));
    let untouched = given(status.stx_ctime);
    let unread = given(status.stx_atime) && given(status.stx_mtime);
    status.stx_mtime = shown(sight, status.stx_mtime, now);
    if untouched {
        for time in [
            &mut status.stx_atime,
            &mut status.stx_ctime,
            &mut status.stx_btime,
        ] {
            set(time, sight.checkout());
        }
        return status;
    }
    status.stx_atime = if unread {
        status.stx_mtime
    } else {
        shown(sight, status.stx_atime, now)
    };
    // Sockets and block devices have that bit as well.
    let is_directory = u32::from(status.stx_mode) & libc::S_IFDIR != 0;
    status.stx_ctime = if is_directory {
        status.stx_mtime
    } else {
        shown(sight, status.stx_ctime, now)
    };
    // Nobody can set it.
    if given(status.stx_btime) {
        set(&mut status.stx_btime, sight.checkout());
    } else {
        status.stx_btime = shown(sight, status.stx_btime, now);
    }
    status
}

fn stored(time: libc::statx_timestamp) -> i64 {
    let seconds = time.tv_sec.saturating_mul(SECOND);
    seconds.saturating_add(i64::from(time.tv_nsec))
}

fn shown(sight: Sight<'_>, mut time: libc::statx_timestamp, now: i64) -> libc::statx_timestamp {
    let shown = sight.file(stored(time), now);
    set(&mut time, shown);
    time
}

fn set(time: &mut libc::statx_timestamp, to: i64) {
    time.tv_sec = to.div_euclid(SECOND);
    time.tv_nsec = u32::try_from(to.rem_euclid(SECOND)).unwrap_or(0);
}
