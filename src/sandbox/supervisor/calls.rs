//! What a trapped call is, why it is trapped, and in which cases; which calls of a processor these
//! are stands in `arch`.

use super::layout::Layout;
use super::times::Width;

/// What a trapped call is, whatever its number. `Wide` says that its times have 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Reads a directory: `getdents64`.
    Getdents64,
    /// Reads a directory into the old records: `getdents`.
    Getdents,
    /// A program has just begun: its C library, or runtime, asks for thread-local storage.
    Begin,
    /// `clock_gettime`.
    ClockGettime(Width),
    /// `gettimeofday`.
    Gettimeofday,
    /// `time`.
    Time,
    /// `nanosleep`.
    Nanosleep(Width),
    /// `clock_nanosleep`.
    ClockNanosleep(Width),
    /// `select`.
    Select,
    /// `pselect6`.
    Pselect(Width),
    /// `poll`.
    Poll,
    /// `ppoll`.
    Ppoll(Width),
    /// `epoll_wait`, `epoll_pwait`.
    EpollWait,
    /// `epoll_pwait2`.
    EpollPwait2,
    /// `futex` with a time.
    Futex(Width),
    /// `futex_waitv` with one.
    FutexWaitv,
    /// `timerfd_settime` with one.
    TimerfdSettime(Width),
    /// `timer_settime` with one.
    TimerSettime(Width),
    /// `mq_timedsend` and `mq_timedreceive`.
    MessageQueue(Width),
    /// `exit_group`.
    Exit,
    /// `stat`.
    Stat(Layout),
    /// `lstat`.
    Lstat(Layout),
    /// `fstat`.
    Fstat(Layout),
    /// `newfstatat`, `fstatat64`.
    Fstatat(Layout),
    /// `statx`.
    Statx,
    /// `getrandom`.
    Getrandom,
    /// `uname`.
    Uname,
    /// The older `uname` without a domain.
    OldUname,
    /// The oldest `uname`, with short fields.
    OldestUname,
    /// `mount`, or `fsopen`: which of its arguments is the kind of file system.
    Mount(usize),
    /// Changes root, mounts, user namespace or credentials of the caller.
    Diverge,
    /// Changes the user of the caller: how many of its arguments are users.
    BecomeUser(usize),
    /// Changes the group of the caller: how many of its arguments are groups.
    BecomeGroup(usize),
    /// Makes a hard link.
    Link(Form),
    /// Gives a file another name: by paths alone, or beside descriptors; and whether with flags.
    Rename(Form, bool),
    /// Gives a file to somebody: by what name, and which bits of an id count.
    Own(Form, u32),
}

/// Why a call is trapped; a configuration asks for some of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// Directory order, directory witnesses, inode numbers.
    Directories,
    /// The start of every program.
    Programs,
    /// Reads of the real-time clock.
    Clock,
    /// Absolute deadlines on the real-time clock.
    Deadlines,
    /// Waits that move a held clock.
    Sleeps,
    /// Timed waits for something else, by which runtimes sleep as well.
    TimedWaits,
    /// The stat family.
    Files,
    /// Random bytes.
    Random,
    /// Words about the kernel.
    Words,
    /// Owners without a name.
    Owners,
    /// Hard links.
    Links,
    /// Directories that get another name.
    Renames,
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
    /// All 64 bits of the argument are something else.
    Lacks(u32, u64),
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

/// One row of a table.
pub(super) const fn trap(nr: u32, call: Call, purpose: Purpose, tests: &'static [Test]) -> Trap {
    Trap {
        nr,
        call,
        purpose,
        tests,
    }
}

/// How a call of the family names its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `chown`.
    Path,
    /// `lchown`.
    Link,
    /// `fchown`.
    Descriptor,
    /// `fchownat`.
    At,
}

/// The bits of an id in a call, which all of them set is "as it is".
pub(super) const IDS: u32 = u32::MAX;
/// Those of the first calls of i386.
pub(super) const OLD_IDS: u32 = 0xffff;
