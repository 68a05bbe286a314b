//! User namespaces and their id maps, from outside.

use std::fs::{self, File};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid};

use super::error::{StepError, errno_of};
use super::identity::{IdMaps, map_text};
use super::link::Link;
use super::protocol::Namespaces;
use super::sys::{self, Fork};

fn step(step: &'static str) -> impl FnOnce(Errno) -> StepError {
    move |errno| StepError::new(step, errno)
}

fn file_step(step: &'static str) -> impl FnOnce(std::io::Error) -> StepError {
    move |error| StepError::new(step, errno_of(&error))
}

pub(super) fn namespaces_refused(errno: Errno) -> StepError {
    let hint = match errno {
        Errno::ENOSPC => {
            "the limit of user namespaces is reached or 0: sysctl user.max_user_namespaces=10000"
        }
        Errno::EPERM => {
            "the host or its container forbids namespaces: in Docker, run with --security-opt seccomp=unconfined --cap-add SYS_ADMIN; on Debian, sysctl kernel.unprivileged_userns_clone=1; on Ubuntu, sysctl kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile"
        }
        Errno::EINVAL => "the kernel was built without some kind of namespace",
        _ => "",
    };
    let also = if errno == Errno::EPERM {
        or_as_root()
    } else {
        ""
    };
    StepError::new(NAMESPACES_STEP, errno).hint(format!("{hint}{also}"))
}

/// What helps an ordinary user as well.
fn or_as_root() -> &'static str {
    if geteuid().is_root() {
        ""
    } else {
        "; or run as root"
    }
}

/// The step that makes the namespaces.
pub(super) const NAMESPACES_STEP: &str = "new namespaces";

/// Writes the maps of a process in a new user namespace (`user_namespaces(7)`). An ordinary user
/// must give up setgroups(2) first.
pub(super) fn write_maps(pid: Pid, maps: &IdMaps, deny_groups: bool) -> Result<(), StepError> {
    let write = |name: &str, text: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::write(path, text).map_err(|error| {
            let hint = "a security module may forbid user namespaces: on Ubuntu, sysctl kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile";
            file_step("map ids")(error).hint(format!("{hint}{}", or_as_root()))
        })
    };
    if deny_groups {
        write("setgroups", "deny")?;
    }
    write("uid_map", &map_text(&maps.users))?;
    write("gid_map", &map_text(&maps.groups))
}

/// A user namespace that exists only for its maps: its one process ends as soon as it is held.
pub(super) fn namespace_of(maps: &IdMaps) -> Result<OwnedFd, StepError> {
    let (here, there) = Link::pair().map_err(step("socket pair"))?;
    let only_user = Namespaces {
        user: true,
        ..Namespaces::default()
    };
    match sys::fork_into(only_user.flags()).map_err(namespaces_refused)? {
        Fork::Child => {
            drop(here);
            // Ends when the other side does, with or without a word.
            let _ = there.hear();
            std::process::exit(0)
        }
        Fork::Parent(pid) => {
            drop(there);
            let held = write_maps(pid, maps, false).and_then(|()| {
                File::open(format!("/proc/{pid}/ns/user")).map_err(file_step("hold a namespace"))
            });
            drop(here);
            waitpid(pid, None).map_err(step("wait for a helper"))?;
            Ok(held?.into())
        }
    }
}
