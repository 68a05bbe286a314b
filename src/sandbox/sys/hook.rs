//! The code that stands in for the clock functions of a vDSO, for calls of the stat family, and for
//! the last read of a directory, as bytes that are copied into the image of another process. It
//! never runs here.
//!
//! The layout is one block: displaced prologue, clock functions, data, and the call hook, which may
//! be left out. Every reference inside it is relative to the instruction, so that it runs wherever
//! it is put. Data: the address of the pages that hold the clock (0 until there are any; what stands
//! where is `page`'s), whether the clock runs, what a running clock adds, and the address of the
//! pages once more: a program that asks for file times alone goes on being seen when it reads the
//! clock.

use super::page::{self, LENGTH, STEPS, TABLE};

/// Room for the displaced instructions of the original and the jump back.
pub(in crate::sandbox) const PROLOGUE: usize = 48;
/// Third argument of a clock read from here: tell apart from any other caller's.
pub(in crate::sandbox) const READ: u64 = 0x7265_7072_6f62_6501;
/// Third argument when the pages have been mapped; the fourth is their address.
pub(in crate::sandbox) const MAPPED: u64 = 0x7265_7072_6f62_6502;
/// The same where the call hook has mapped them for itself.
pub(in crate::sandbox) const MAPPED_FOR_FILES: u64 = 0x7265_7072_6f62_6505;
/// Third argument of a clock read by which the call hook asks for the pages.
pub(in crate::sandbox) const WANTED: u64 = 0x7265_7072_6f62_6503;
/// Where a directory stands that has been given out whole; no file system has such a place.
pub(in crate::sandbox) const END: u64 = (1 << 42) + 32;
/// Sixth argument of a call that the call hook makes: the kernel is to run it, the hook does the
/// rest. No call of the stat family has a sixth argument.
pub(in crate::sandbox) const HOOKED: u64 = 0x7265_7072_6f62_6504;

core::arch::global_asm!(
    include_str!("hook.s"),
    prologue = const PROLOGUE,
    length = const LENGTH,
    read = const READ,
    mapped = const MAPPED,
    mapped_for_files = const MAPPED_FOR_FILES,
    wanted = const WANTED,
    hooked = const HOOKED,
    getdents64 = const libc::SYS_getdents64,
    lseek = const libc::SYS_lseek,
    current = const libc::SEEK_CUR,
    end = const END,
    statx = const libc::SYS_statx,
    basic = const libc::STATX_BASIC_STATS,
    fstatat = const libc::SYS_newfstatat,
    flags = const page::FLAGS,
    times = const page::SHOWS_TIMES,
    numbers = const page::SHOWS_NUMBERS,
    sequence = const page::SEQUENCE,
    since = const page::SINCE,
    began = const page::BEGAN,
    start = const page::START,
    count = const page::COUNT,
    checkout = const page::CHECKOUT,
    directory_size = const page::DIRECTORY_SIZE,
    directory_blocks = const page::DIRECTORY_BLOCKS,
    uncounted_links = const page::UNCOUNTED_LINKS,
    more_blocks = const page::MORE_BLOCKS,
    steps = const STEPS,
    table = const TABLE,
    multiplier = const page::MULTIPLIER,
    shift = const page::SHIFT,
    mask = const page::ENTRIES - 1,
    probes = const page::PROBES,
);

unsafe extern "C" {
    static reprobe_hook_start: u8;
    static reprobe_hook_layout: [u64; 6];
}

/// The block and where its parts begin.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Hook {
    /// Everything, the data and the call hook included.
    pub(in crate::sandbox) bytes: &'static [u8],
    pub(in crate::sandbox) clock_gettime: usize,
    pub(in crate::sandbox) gettimeofday: usize,
    pub(in crate::sandbox) time: usize,
    /// Five words: page, runs, seconds, nanoseconds, and the pages once more, for the call hook.
    pub(in crate::sandbox) data: usize,
    /// The call hook, to which the end may be left out.
    pub(in crate::sandbox) call: usize,
}

/// The block as the assembler left it.
pub(in crate::sandbox) fn hook() -> Hook {
    // SAFETY: the assembler wrote six words there, which nothing changes.
    let layout = unsafe { reprobe_hook_layout };
    let [clock_gettime, gettimeofday, time, data, call, length] =
        layout.map(|offset| usize::try_from(offset).unwrap_or(0));
    // SAFETY: the block is `length` bytes long, read-only, and lives as long as the program.
    let bytes = unsafe { std::slice::from_raw_parts(&raw const reprobe_hook_start, length) };
    Hook {
        bytes,
        clock_gettime,
        gettimeofday,
        time,
        data,
        call,
    }
}
