//! What builds may do: those of root what root may in a container of Docker by its defaults (its list
//! of capabilities), so that most builds that run as root know it. Without a user namespace of its
//! own, more than that reaches the host. Those of others have no capabilities in any case.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::unistd::{AccessFlags, access, getuid};

use super::super::error::StepError;
use super::super::sys;
use super::super::sys::notify::{
    self, AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, IF_BITS, IF_EQUAL, Instruction, RETURN, argument_low,
    instruction, load,
};
use super::{Step, refused};

/// Numbers of capabilities(7) that root keeps: `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `KILL`,
/// `SETGID`, `SETUID`, `SETPCAP`, `NET_BIND_SERVICE`, `NET_RAW`, `SYS_CHROOT`, `MKNOD` (no mount of a
/// trial lets devices be opened but those of its /dev), `AUDIT_WRITE`, `SETFCAP`.
///
/// Not among them: `DAC_READ_SEARCH` (`open_by_handle_at(2)` leads out of every root directory),
/// `SYS_PTRACE` (the first process of the trial has descriptors of the host), `SYS_ADMIN` (a new
/// /proc or control group can be written to).
const KEPT: [u32; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
/// As many as a kernel can have.
const ALL: u32 = 64;

/// Calls that capabilities do not cover, by ABI.
struct Calls {
    /// `AUDIT_ARCH_*`.
    audit: u32,
    /// `add_key`, `request_key` and `keyctl`: the keyring of a user is one for the whole host.
    keyrings: [u32; 3],
    /// `clone` and `unshare`: who has a namespace of control groups mounts the host's, and may
    /// write where the caller may.
    namespaces: [u32; 2],
    /// `ioctl`.
    device: u32,
}

const CALLS: [Calls; 2] = [
    Calls {
        audit: AUDIT_ARCH_X86_64,
        keyrings: [248, 249, 250],
        namespaces: [56, 272],
        device: 16,
    },
    Calls {
        audit: AUDIT_ARCH_I386,
        keyrings: [286, 287, 288],
        namespaces: [120, 310],
        device: 54,
    },
];
/// `clone3` of both, whose flags no filter sees: the C library takes `clone` where it is missing.
const CLONE3: u32 = 435;
/// `TIOCSTI` and `TIOCLINUX`: they type into a terminal, which of `exec` is the caller's.
const TYPING: [u32; 2] = [0x5412, 0x541c];
/// What tells the calls of x32 from those of x86-64.
const X32: u32 = 0x4000_0000;

const WITHOUT: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;

/// Leaves the next program of this process without the powers over the host that builds do not need.
pub(super) fn drop_powers() -> Step {
    let flags = if host_groups_are_closed() {
        0
    } else {
        libc::CLONE_NEWCGROUP.cast_unsigned()
    };
    notify::forbid(&refusals(flags)).map_err(refused("forbid calls that reach the host"))?;
    for capability in (0..ALL).filter(|number| !KEPT.contains(number)) {
        match sys::drop_capability(capability) {
            // An older kernel has fewer.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(StepError::new("drop capabilities", errno)),
        }
    }
    sys::inherit_no_capability().map_err(refused("drop capabilities"))
}

/// Whether nobody in the trial could write to the control groups of the host through a namespace of
/// his own: tried in that of the trial, for an ordinary user may own those of his session.
fn host_groups_are_closed() -> bool {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let closed = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let kinds = fields.next()?;
        // cgroups(7): version 2 has no kinds.
        let (kind, options) = match kinds.strip_prefix("name=") {
            _ if kinds.is_empty() => ("cgroup2", None),
            Some(_) => ("cgroup", Some(format!("none,{kinds}"))),
            None => ("cgroup", Some(kinds.to_owned())),
        };
        is_closed(kind, options.as_deref()).ok()
    };
    !getuid().is_root() && groups.lines().all(|line| closed(line) == Some(true))
}

fn is_closed(kind: &str, options: Option<&str>) -> Result<bool, Errno> {
    let at = Path::new("/dev/shm");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(kind), at, Some(kind), flags, options)?;
    let closed = [at.to_owned(), at.join("cgroup.procs")]
        .iter()
        .all(|path| access(path, AccessFlags::W_OK).is_err());
    umount(at)?;
    Ok(closed)
}

/// Refuses those of [`CALLS`], namespaces with any of these flags among them, and allows all others.
fn refusals(flags: u32) -> Vec<Instruction> {
    let mut program = Vec::new();
    for calls in CALLS {
        let [add, request, control] = calls.keyrings;
        let [clone, unshare] = calls.namespaces;
        let [type_one, paste] = TYPING;
        // Jumps count the instructions that they leave out.
        let body = [
            load(offset_of!(libc::seccomp_data, nr)),
            instruction(WITHOUT, 0, 0, !X32),
            if_equal(add, 12, 0),
            if_equal(request, 11, 0),
            if_equal(control, 10, 0),
            if_equal(CLONE3, 10, 0),
            if_equal(calls.device, 4, 0),
            if_equal(clone, 1, 0),
            if_equal(unshare, 0, 5),
            load(argument_low(0)),
            instruction(IF_BITS, 4, 3, flags),
            load(argument_low(1)),
            if_equal(type_one, 2, 0),
            if_equal(paste, 1, 0),
            end(libc::SECCOMP_RET_ALLOW),
            end(libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
            end(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
        ];
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
        program.push(load(offset_of!(libc::seccomp_data, arch)));
        program.push(if_equal(calls.audit, 0, length));
        program.extend(body);
    }
    program.push(end(libc::SECCOMP_RET_ALLOW));
    program
}

fn if_equal(value: u32, yes: u8, no: u8) -> Instruction {
    instruction(IF_EQUAL, yes, no, value)
}

fn end(what: u32) -> Instruction {
    instruction(RETURN, 0, 0, what)
}
