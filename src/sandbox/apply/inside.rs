//! Steps that follow the change of root: files that say something else, names, network, clocks.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::super::host::sorted_names;
use super::super::op::SetupOp;
use super::super::{network, sys};
use super::{Step, failed, refused};

/// Binds a file over another. The text lives on in memory after its name is gone.
fn mask(at: &Path, text: &str) -> Step {
    if !at.exists() {
        return Ok(());
    }
    let step = || format!("mask {}", at.display());
    let place = Path::new("/dev/shm/.mask");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(place)
        .map_err(failed(step()))?;
    file.write_all(text.as_bytes()).map_err(failed(step()))?;
    fs::set_permissions(place, Permissions::from_mode(0o644)).map_err(failed(step()))?;
    let copy = sys::clone_mount(place, false, true).map_err(refused(step()))?;
    sys::make_read_only(&copy, false).map_err(refused(step()))?;
    let target = at.canonicalize().map_err(failed(step()))?;
    sys::attach_mount(copy, &target).map_err(refused(step()))?;
    fs::remove_file(place).map_err(failed(step()))
}

fn rewrite(at: &Path, text: &str) -> Step {
    let step = || format!("rewrite {}", at.display());
    let before = at.metadata().ok();
    fs::write(at, text).map_err(failed(step()))?;
    if let Some(before) = before {
        let times = fs::FileTimes::new();
        let times = before
            .modified()
            .map_or(times, |time| times.set_modified(time));
        let file = OpenOptions::new()
            .write(true)
            .open(at)
            .map_err(failed(step()))?;
        file.set_times(times).map_err(failed(step()))?;
    }
    Ok(())
}

/// Steps that follow [`SetupOp::EnterRoot`].
pub(super) fn apply_inside(op: &SetupOp) -> Step {
    match op {
        SetupOp::Mask { at, text } => mask(at, text),
        SetupOp::Rewrite { at, text } => rewrite(at, text),
        SetupOp::Replace { at, program } => {
            let step = || format!("{} in the place of {}", program.display(), at.display());
            let copy = sys::clone_mount(program, false, true).map_err(refused(step()))?;
            sys::attach_mount(copy, at).map_err(refused(step()))
        }
        SetupOp::ProtectKernel => protect_kernel(),
        SetupOp::Identifiers => identifiers(),
        SetupOp::Names { host, domain } => {
            nix::unistd::sethostname(host).map_err(refused("set host name"))?;
            sys::set_domain_name(domain).map_err(refused("set domain name"))
        }
        SetupOp::Loopback => network::loopback_up().map_err(refused("loopback interface up")),
        SetupOp::Interface { name, addresses } => network::add_interface(name, addresses)
            .map_err(refused(format!("network interface {name}"))),
        SetupOp::MonotonicClocks { start } => monotonic_clocks(*start),
        SetupOp::LastPid { pid } => fs::write("/proc/sys/kernel/ns_last_pid", pid.to_string())
            .map_err(failed("choose the first pid")),
        _ => Ok(()),
    }
}

/// A build that runs as root could set the host's sysctls through its own /proc.
fn protect_kernel() -> Step {
    for path in [
        "/proc/sys",
        "/proc/sysrq-trigger",
        "/proc/irq",
        "/proc/bus",
        "/proc/fs",
    ] {
        let path = Path::new(path);
        if !path.exists() {
            continue;
        }
        let step = || format!("read-only {}", path.display());
        let copy = sys::clone_mount(path, false, true).map_err(refused(step()))?;
        sys::make_read_only(&copy, false).map_err(refused(step()))?;
        sys::attach_mount(copy, path).map_err(refused(step()))?;
    }
    Ok(())
}

/// What the kernel says there stays, until the supervisor puts its own in the place of identifiers.
fn identifiers() -> Step {
    let at = Path::new("/proc/sys/kernel/random");
    if !at.is_dir() {
        return Ok(());
    }
    let step = || format!("identifiers in {}", at.display());
    let mut said = Vec::new();
    for name in sorted_names(at).map_err(failed(step()))? {
        let path = at.join(name);
        said.push((fs::read(&path).unwrap_or_default(), path));
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = Some("mode=755,size=64k");
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, options).map_err(refused(step()))?;
    for (text, path) in said {
        fs::write(&path, text).map_err(failed(step()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o444)).map_err(failed(step()))?;
    }
    Ok(())
}

/// Offsets can be set once, before the first process enters the namespace: the next child does
/// (`time_namespaces(7)`).
fn monotonic_clocks(start: i64) -> Step {
    let step = "monotonic clocks of its own";
    sys::unshare(libc::CLONE_NEWTIME).map_err(refused(step))?;
    let [monotonic, boot] = sys::monotonic_clocks().map(|(seconds, nanoseconds)| {
        // start - (seconds + nanoseconds), with nanoseconds that are not negative.
        if nanoseconds == 0 {
            (start - seconds, 0)
        } else {
            (start - seconds - 1, 1_000_000_000 - nanoseconds)
        }
    });
    let text = format!(
        "monotonic {} {}\nboottime {} {}\n",
        monotonic.0, monotonic.1, boot.0, boot.1
    );
    fs::write("/proc/self/timens_offsets", text).map_err(failed(step))
}
