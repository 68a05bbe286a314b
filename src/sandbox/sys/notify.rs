//! Seccomp user notification, `seccomp_unotify(2)`: installing a filter with a listener, and the
//! operations on that listener.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// One instruction of classic BPF, as `seccomp(2)` takes them.
pub(in crate::sandbox) type Instruction = libc::sock_filter;

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`: the ELF machine, 64 bits, little endian.
pub(in crate::sandbox) const AUDIT_ARCH_X86_64: u32 =
    libc::EM_X86_64 as u32 | 0x8000_0000 | 0x4000_0000;
/// `AUDIT_ARCH_I386`.
pub(in crate::sandbox) const AUDIT_ARCH_I386: u32 = libc::EM_386 as u32 | 0x4000_0000;

/// Codes of instructions that filters are made of.
pub(in crate::sandbox) const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
pub(in crate::sandbox) const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
pub(in crate::sandbox) const IF_BITS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
pub(in crate::sandbox) const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// An instruction; where it compares, it leaves out `jt` others if that is true and `jf` if not.
pub(in crate::sandbox) fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction {
        code: u16::try_from(code).unwrap_or(0),
        jt,
        jf,
        k,
    }
}

/// Loads a word of `seccomp_data`.
pub(in crate::sandbox) fn load(offset: usize) -> Instruction {
    instruction(LOAD, 0, 0, u32::try_from(offset).unwrap_or(0))
}

/// Where the low half of an argument stands in `seccomp_data`.
pub(in crate::sandbox) fn argument_low(argument: usize) -> usize {
    std::mem::offset_of!(libc::seccomp_data, args) + 8 * argument
}

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Notification {
    /// Names the notification in answers.
    pub(in crate::sandbox) id: u64,
    /// Thread id in the pid namespace of the receiver; 0 where that cannot see the thread.
    pub(in crate::sandbox) tid: u32,
    /// The number of the call within its ABI.
    pub(in crate::sandbox) nr: i32,
    /// `AUDIT_ARCH_*` of the ABI.
    pub(in crate::sandbox) arch: u32,
    /// The arguments.
    pub(in crate::sandbox) args: [u64; 6],
    /// The address of the instruction behind the call.
    pub(in crate::sandbox) place: u64,
}

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of `linux/seccomp.h` (6.6), which the crate lacks.
const SYNC_WAKE_UP: u64 = 1;

/// `seccomp(SECCOMP_SET_MODE_FILTER)` with a new listener. `flags` are added to
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
pub(in crate::sandbox) fn install(program: &[Instruction], flags: u64) -> Result<OwnedFd, Errno> {
    let fd = set_filter(program, flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The same for a filter that asks nobody.
pub(in crate::sandbox) fn forbid(program: &[Instruction]) -> Result<(), Errno> {
    set_filter(program, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW).map(drop)
}

fn set_filter(program: &[Instruction], flags: u64) -> Result<libc::c_int, Errno> {
    let fprog = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `fprog` points to `len` instructions that outlive the call; the kernel copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const fprog,
        )
    };
    Errno::result(libc::c_int::try_from(result).map_err(|_| Errno::EBADF)?)
}

/// Waits for the next notification. `EINTR` and `ENOENT` are normal.
pub(in crate::sandbox) fn receive(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    // SAFETY: all-zero is a valid value of this plain structure, and the kernel demands it.
    let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills a structure of the size encoded in the request.
    Errno::result(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut raw,
        )
    })?;
    Ok(Notification {
        id: raw.id,
        tid: raw.pid,
        nr: raw.data.nr,
        arch: raw.data.arch,
        args: raw.data.args,
        place: raw.data.instruction_pointer,
    })
}

/// Ends a notification: with a value or an errno, or by letting the kernel run the call.
pub(in crate::sandbox) fn send(
    listener: BorrowedFd<'_>,
    id: u64,
    value: i64,
    errno: i32,
    run_it: bool,
) -> Result<(), Errno> {
    let mut raw = libc::seccomp_notif_resp {
        id,
        val: value,
        error: -errno,
        flags: u32::from(run_it),
    };
    // SAFETY: the kernel reads a structure of the size encoded in the request.
    Errno::result(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw mut raw,
        )
    })?;
    Ok(())
}

/// Whether the notification still waits: its thread id cannot have been given to another since.
pub(in crate::sandbox) fn is_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one u64.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            &raw const id,
        )
    };
    result == 0
}

/// Puts a copy of `file` into the descriptors of the waiting thread, closed on exec; the call
/// still waits for its answer. Returns the number.
pub(in crate::sandbox) fn add_descriptor(
    listener: BorrowedFd<'_>,
    id: u64,
    file: BorrowedFd<'_>,
) -> Result<i32, Errno> {
    let raw = libc::seccomp_notif_addfd {
        id,
        flags: 0,
        srcfd: u32::try_from(file.as_raw_fd()).map_err(|_| Errno::EBADF)?,
        newfd: 0,
        newfd_flags: libc::O_CLOEXEC.cast_unsigned(),
    };
    // SAFETY: the kernel reads a structure of the size encoded in the request.
    Errno::result(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ADDFD,
            &raw const raw,
        )
    })
}

/// Wakes the receiver on the caller's own processor (6.6); an older kernel refuses.
pub(in crate::sandbox) fn wake_synchronously(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the request takes its flags by value.
    Errno::result(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            SYNC_WAKE_UP,
        )
    })?;
    Ok(())
}
