//! What depends on the processor: which calls are trapped, under which numbers, for which
//! arguments. One table per ABI; another architecture is one more file beside this one.
#![cfg_attr(not(test), expect(dead_code, reason = "the clock hook needs the rest"))]

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`: the ELF machine, 64 bits, little endian.
const AUDIT_ARCH_X86_64: u32 = libc::EM_X86_64 as u32 | 0x8000_0000 | 0x4000_0000;
/// `AUDIT_ARCH_I386`.
const AUDIT_ARCH_I386: u32 = libc::EM_386 as u32 | 0x4000_0000;

/// What a trapped call is, whatever its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Reads a directory: `getdents64`.
    Getdents64,
    /// Reads a directory into the old records: `getdents`.
    Getdents,
}

/// Why a call is trapped; a configuration asks for some of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// Directory order, directory witnesses, inode numbers.
    Directories,
}

/// A condition on an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// The low half of the argument is one of these.
    OneOf(u32, &'static [u32]),
    /// The low half has one of these bits.
    AnyBit(u32, u32),
    /// The argument is not a null pointer.
    Given(u32),
}

/// One trapped call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trap {
    /// The number within the ABI.
    pub(super) nr: u32,
    /// What it is.
    pub(super) call: Call,
    /// What it serves.
    pub(super) purpose: Purpose,
    /// All of these must hold.
    pub(super) tests: &'static [Test],
}

/// One way of calling the kernel.
#[derive(Debug)]
pub(super) struct Abi {
    /// `AUDIT_ARCH_*`.
    pub(super) audit: u32,
    /// Bytes of a `long` and of a pointer.
    pub(super) word: usize,
    /// What is trapped.
    pub(super) traps: &'static [Trap],
}

const fn trap(nr: u32, call: Call, purpose: Purpose, tests: &'static [Test]) -> Trap {
    Trap {
        nr,
        call,
        purpose,
        tests,
    }
}

/// The ABIs of this machine, the native one first.
pub(super) static ABIS: [Abi; 2] = [
    Abi {
        audit: AUDIT_ARCH_X86_64,
        word: 8,
        traps: &[
            trap(217, Call::Getdents64, Purpose::Directories, &[]),
            trap(78, Call::Getdents, Purpose::Directories, &[]),
        ],
    },
    Abi {
        audit: AUDIT_ARCH_I386,
        word: 4,
        traps: &[
            trap(220, Call::Getdents64, Purpose::Directories, &[]),
            trap(141, Call::Getdents, Purpose::Directories, &[]),
        ],
    },
];

/// The ABI and the trap of a notification.
pub(super) fn identify(audit: u32, nr: i32) -> Option<(&'static Abi, &'static Trap)> {
    let abi = ABIS.iter().find(|abi| abi.audit == audit)?;
    let nr = u32::try_from(nr).ok()?;
    let trap = abi.traps.iter().find(|trap| trap.nr == nr)?;
    Some((abi, trap))
}
