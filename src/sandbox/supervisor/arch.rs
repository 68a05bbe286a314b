//! What depends on the processor: which calls are trapped, under which numbers, for which
//! arguments. One table per ABI; another architecture is one more file beside this one.

use crate::sandbox::sys::notify::{AUDIT_ARCH_I386, AUDIT_ARCH_X86_64};

/// What `uname -m` says for each ABI.
pub(super) const MACHINES: [&str; 2] = ["x86_64", "i686"];

/// `CLOCK_REALTIME`, `CLOCK_REALTIME_COARSE`, `CLOCK_TAI`: the clocks that a trial moves.
pub(super) const REAL_CLOCKS: &[u32] = &[0, 5, 11];
/// `FUTEX_CLOCK_REALTIME`.
const FUTEX_REAL: u32 = 256;
/// `FUTEX_LOCK_PI`, shared and private: its deadline is always on the real-time clock.
const FUTEX_LOCK_PI: &[u32] = &[6, 6 | 128];
/// `FUTEX_WAIT` and `FUTEX_WAIT_BITSET`, shared and private.
const FUTEX_WAIT: &[u32] = &[0, 128, 9, 9 | 128];
/// An `int` that is not zero, but for its sign.
const NUMBER: u32 = 0x7fff_ffff;
/// `TIMER_ABSTIME`, `TFD_TIMER_ABSTIME`.
const ABSOLUTE: u32 = 1;

/// Not made by the stat hook, which does itself what the supervisor would.
const BARE: &[Test] = &[Lacks(5, HOOKED)];

/// `CLONE_NEWUSER`.
const NEW_USER: u32 = 0x1000_0000;

use super::calls::{Abi, Call, Form, IDS, OLD_IDS, Purpose, Test, Trap, trap};
use super::layout::Layout;
use super::times::Width;
use crate::sandbox::sys::hook::HOOKED;
use Call as C;
use Layout::{Large32, Native, Old32};
use Purpose as P;
use Test::{AnyBit, Given, Lacks, OneOf};
use Width::{Narrow, Wide};

/// The ABIs of this machine, the native one first.
pub(super) static ABIS: [Abi; 2] = [
    Abi {
        audit: AUDIT_ARCH_X86_64,
        word: 8,
        traps: &[
            trap(217, C::Getdents64, P::Directories, &[]),
            trap(78, C::Getdents, P::Directories, &[]),
            // arch_prctl(ARCH_SET_FS): once per exec, before any clock is read.
            trap(158, C::Begin, P::Programs, &[OneOf(0, &[0x1002])]),
            trap(
                228,
                C::ClockGettime(Wide),
                P::Clock,
                &[OneOf(0, REAL_CLOCKS)],
            ),
            trap(96, C::Gettimeofday, P::Clock, &[]),
            trap(201, C::Time, P::Clock, &[]),
            trap(35, C::Nanosleep(Wide), P::Sleeps, &[]),
            trap(230, C::ClockNanosleep(Wide), P::Sleeps, &[]),
            trap(
                230,
                C::ClockNanosleep(Wide),
                P::Deadlines,
                &[OneOf(0, REAL_CLOCKS), AnyBit(1, ABSOLUTE)],
            ),
            trap(23, C::Select, P::Sleeps, &[OneOf(0, &[0]), Given(4)]),
            trap(
                270,
                C::Pselect(Wide),
                P::Sleeps,
                &[OneOf(0, &[0]), Given(4)],
            ),
            trap(7, C::Poll, P::Sleeps, &[OneOf(1, &[0])]),
            trap(271, C::Ppoll(Wide), P::Sleeps, &[OneOf(1, &[0]), Given(2)]),
            trap(
                202,
                C::Futex(Wide),
                P::Deadlines,
                &[AnyBit(1, FUTEX_REAL), Given(3)],
            ),
            trap(
                202,
                C::Futex(Wide),
                P::Deadlines,
                &[OneOf(1, FUTEX_LOCK_PI), Given(3)],
            ),
            trap(
                449,
                C::FutexWaitv,
                P::Deadlines,
                &[Given(3), OneOf(4, &[0])],
            ),
            trap(
                286,
                C::TimerfdSettime(Wide),
                P::Deadlines,
                &[AnyBit(1, ABSOLUTE)],
            ),
            trap(
                223,
                C::TimerSettime(Wide),
                P::Deadlines,
                &[AnyBit(1, ABSOLUTE)],
            ),
            trap(242, C::MessageQueue(Wide), P::Deadlines, &[Given(4)]),
            trap(243, C::MessageQueue(Wide), P::Deadlines, &[Given(4)]),
            trap(
                202,
                C::Futex(Wide),
                P::TimedWaits,
                &[OneOf(1, FUTEX_WAIT), Given(3)],
            ),
            trap(23, C::Select, P::TimedWaits, &[Given(4)]),
            trap(270, C::Pselect(Wide), P::TimedWaits, &[Given(4)]),
            trap(7, C::Poll, P::TimedWaits, &[AnyBit(2, NUMBER)]),
            trap(271, C::Ppoll(Wide), P::TimedWaits, &[Given(2)]),
            trap(232, C::EpollWait, P::TimedWaits, &[AnyBit(3, NUMBER)]),
            trap(281, C::EpollWait, P::TimedWaits, &[AnyBit(3, NUMBER)]),
            trap(441, C::EpollPwait2, P::TimedWaits, &[Given(3)]),
            trap(231, C::Exit, P::Sleeps, &[]),
            trap(4, C::Stat(Native), P::Files, BARE),
            trap(5, C::Fstat(Native), P::Files, BARE),
            trap(6, C::Lstat(Native), P::Files, BARE),
            trap(262, C::Fstatat(Native), P::Files, BARE),
            trap(332, C::Statx, P::Files, BARE),
            // setuid, setgid, setreuid, setregid, setgroups, setresuid, setresgid, setfsuid,
            // setfsgid, capset.
            trap(105, C::BecomeUser(1), P::Files, &[]),
            trap(106, C::BecomeGroup(1), P::Files, &[]),
            trap(113, C::BecomeUser(2), P::Files, &[]),
            trap(114, C::BecomeGroup(2), P::Files, &[]),
            trap(116, C::Diverge, P::Files, &[]),
            trap(117, C::BecomeUser(3), P::Files, &[]),
            trap(119, C::BecomeGroup(3), P::Files, &[]),
            trap(122, C::BecomeUser(1), P::Files, &[]),
            trap(123, C::BecomeGroup(1), P::Files, &[]),
            trap(126, C::Diverge, P::Files, &[]),
            // pivot_root, chroot, mount, move_mount, setns; unshare and clone of a user namespace.
            trap(155, C::Diverge, P::Files, &[]),
            trap(161, C::Diverge, P::Files, &[]),
            trap(165, C::Mount(2), P::Files, &[]),
            trap(430, C::Mount(0), P::Files, &[]),
            trap(429, C::Diverge, P::Files, &[]),
            trap(308, C::Diverge, P::Files, &[]),
            trap(272, C::Diverge, P::Files, &[AnyBit(0, NEW_USER)]),
            trap(56, C::Diverge, P::Files, &[AnyBit(0, NEW_USER)]),
            trap(318, C::Getrandom, P::Random, &[]),
            trap(63, C::Uname, P::Words, &[]),
            trap(92, C::Own(Form::Path, IDS), P::Owners, &[]),
            trap(93, C::Own(Form::Descriptor, IDS), P::Owners, &[]),
            trap(94, C::Own(Form::Link, IDS), P::Owners, &[]),
            trap(260, C::Own(Form::At, IDS), P::Owners, &[]),
            trap(86, C::Link(Form::Path), P::Links, &[]),
            trap(265, C::Link(Form::At), P::Links, &[]),
            trap(82, C::Rename(Form::Path, false), P::Renames, &[]),
            trap(264, C::Rename(Form::At, false), P::Renames, &[]),
            trap(316, C::Rename(Form::At, true), P::Renames, &[]),
        ],
    },
    Abi {
        audit: AUDIT_ARCH_I386,
        word: 4,
        traps: &[
            trap(220, C::Getdents64, P::Directories, &[]),
            trap(141, C::Getdents, P::Directories, &[]),
            // set_thread_area.
            trap(243, C::Begin, P::Programs, &[]),
            trap(
                265,
                C::ClockGettime(Narrow),
                P::Clock,
                &[OneOf(0, REAL_CLOCKS)],
            ),
            trap(
                403,
                C::ClockGettime(Wide),
                P::Clock,
                &[OneOf(0, REAL_CLOCKS)],
            ),
            trap(78, C::Gettimeofday, P::Clock, &[]),
            trap(13, C::Time, P::Clock, &[]),
            trap(162, C::Nanosleep(Narrow), P::Sleeps, &[]),
            trap(267, C::ClockNanosleep(Narrow), P::Sleeps, &[]),
            trap(407, C::ClockNanosleep(Wide), P::Sleeps, &[]),
            trap(
                267,
                C::ClockNanosleep(Narrow),
                P::Deadlines,
                &[OneOf(0, REAL_CLOCKS), AnyBit(1, ABSOLUTE)],
            ),
            trap(
                407,
                C::ClockNanosleep(Wide),
                P::Deadlines,
                &[OneOf(0, REAL_CLOCKS), AnyBit(1, ABSOLUTE)],
            ),
            trap(142, C::Select, P::Sleeps, &[OneOf(0, &[0]), Given(4)]),
            trap(
                308,
                C::Pselect(Narrow),
                P::Sleeps,
                &[OneOf(0, &[0]), Given(4)],
            ),
            trap(
                413,
                C::Pselect(Wide),
                P::Sleeps,
                &[OneOf(0, &[0]), Given(4)],
            ),
            trap(168, C::Poll, P::Sleeps, &[OneOf(1, &[0])]),
            trap(
                309,
                C::Ppoll(Narrow),
                P::Sleeps,
                &[OneOf(1, &[0]), Given(2)],
            ),
            trap(414, C::Ppoll(Wide), P::Sleeps, &[OneOf(1, &[0]), Given(2)]),
            trap(
                240,
                C::Futex(Narrow),
                P::Deadlines,
                &[AnyBit(1, FUTEX_REAL), Given(3)],
            ),
            trap(
                240,
                C::Futex(Narrow),
                P::Deadlines,
                &[OneOf(1, FUTEX_LOCK_PI), Given(3)],
            ),
            trap(
                422,
                C::Futex(Wide),
                P::Deadlines,
                &[AnyBit(1, FUTEX_REAL), Given(3)],
            ),
            trap(
                422,
                C::Futex(Wide),
                P::Deadlines,
                &[OneOf(1, FUTEX_LOCK_PI), Given(3)],
            ),
            trap(
                449,
                C::FutexWaitv,
                P::Deadlines,
                &[Given(3), OneOf(4, &[0])],
            ),
            trap(
                325,
                C::TimerfdSettime(Narrow),
                P::Deadlines,
                &[AnyBit(1, ABSOLUTE)],
            ),
            trap(
                411,
                C::TimerfdSettime(Wide),
                P::Deadlines,
                &[AnyBit(1, ABSOLUTE)],
            ),
            trap(
                260,
                C::TimerSettime(Narrow),
                P::Deadlines,
                &[AnyBit(1, ABSOLUTE)],
            ),
            trap(
                409,
                C::TimerSettime(Wide),
                P::Deadlines,
                &[AnyBit(1, ABSOLUTE)],
            ),
            trap(279, C::MessageQueue(Narrow), P::Deadlines, &[Given(4)]),
            trap(280, C::MessageQueue(Narrow), P::Deadlines, &[Given(4)]),
            trap(418, C::MessageQueue(Wide), P::Deadlines, &[Given(4)]),
            trap(419, C::MessageQueue(Wide), P::Deadlines, &[Given(4)]),
            trap(
                240,
                C::Futex(Narrow),
                P::TimedWaits,
                &[OneOf(1, FUTEX_WAIT), Given(3)],
            ),
            trap(
                422,
                C::Futex(Wide),
                P::TimedWaits,
                &[OneOf(1, FUTEX_WAIT), Given(3)],
            ),
            trap(142, C::Select, P::TimedWaits, &[Given(4)]),
            trap(308, C::Pselect(Narrow), P::TimedWaits, &[Given(4)]),
            trap(413, C::Pselect(Wide), P::TimedWaits, &[Given(4)]),
            trap(168, C::Poll, P::TimedWaits, &[AnyBit(2, NUMBER)]),
            trap(309, C::Ppoll(Narrow), P::TimedWaits, &[Given(2)]),
            trap(414, C::Ppoll(Wide), P::TimedWaits, &[Given(2)]),
            trap(256, C::EpollWait, P::TimedWaits, &[AnyBit(3, NUMBER)]),
            trap(319, C::EpollWait, P::TimedWaits, &[AnyBit(3, NUMBER)]),
            trap(441, C::EpollPwait2, P::TimedWaits, &[Given(3)]),
            trap(252, C::Exit, P::Sleeps, &[]),
            trap(106, C::Stat(Old32), P::Files, &[]),
            trap(107, C::Lstat(Old32), P::Files, &[]),
            trap(108, C::Fstat(Old32), P::Files, &[]),
            trap(195, C::Stat(Large32), P::Files, &[]),
            trap(196, C::Lstat(Large32), P::Files, &[]),
            trap(197, C::Fstat(Large32), P::Files, &[]),
            trap(300, C::Fstatat(Large32), P::Files, &[]),
            trap(383, C::Statx, P::Files, &[]),
            // As above; the second of each pair takes 32-bit ids.
            trap(23, C::Diverge, P::Files, &[]),
            trap(213, C::BecomeUser(1), P::Files, &[]),
            trap(46, C::Diverge, P::Files, &[]),
            trap(214, C::BecomeGroup(1), P::Files, &[]),
            trap(70, C::Diverge, P::Files, &[]),
            trap(203, C::BecomeUser(2), P::Files, &[]),
            trap(71, C::Diverge, P::Files, &[]),
            trap(204, C::BecomeGroup(2), P::Files, &[]),
            trap(81, C::Diverge, P::Files, &[]),
            trap(206, C::Diverge, P::Files, &[]),
            trap(164, C::Diverge, P::Files, &[]),
            trap(208, C::BecomeUser(3), P::Files, &[]),
            trap(170, C::Diverge, P::Files, &[]),
            trap(210, C::BecomeGroup(3), P::Files, &[]),
            trap(138, C::Diverge, P::Files, &[]),
            trap(215, C::BecomeUser(1), P::Files, &[]),
            trap(139, C::Diverge, P::Files, &[]),
            trap(216, C::BecomeGroup(1), P::Files, &[]),
            trap(185, C::Diverge, P::Files, &[]),
            trap(217, C::Diverge, P::Files, &[]),
            trap(61, C::Diverge, P::Files, &[]),
            trap(21, C::Mount(2), P::Files, &[]),
            trap(430, C::Mount(0), P::Files, &[]),
            trap(429, C::Diverge, P::Files, &[]),
            trap(346, C::Diverge, P::Files, &[]),
            trap(310, C::Diverge, P::Files, &[AnyBit(0, NEW_USER)]),
            trap(120, C::Diverge, P::Files, &[AnyBit(0, NEW_USER)]),
            trap(355, C::Getrandom, P::Random, &[]),
            trap(122, C::Uname, P::Words, &[]),
            trap(109, C::OldUname, P::Words, &[]),
            trap(59, C::OldestUname, P::Words, &[]),
            trap(182, C::Own(Form::Path, OLD_IDS), P::Owners, &[]),
            trap(95, C::Own(Form::Descriptor, OLD_IDS), P::Owners, &[]),
            trap(16, C::Own(Form::Link, OLD_IDS), P::Owners, &[]),
            trap(212, C::Own(Form::Path, IDS), P::Owners, &[]),
            trap(207, C::Own(Form::Descriptor, IDS), P::Owners, &[]),
            trap(198, C::Own(Form::Link, IDS), P::Owners, &[]),
            trap(298, C::Own(Form::At, IDS), P::Owners, &[]),
            trap(9, C::Link(Form::Path), P::Links, &[]),
            trap(303, C::Link(Form::At), P::Links, &[]),
            trap(38, C::Rename(Form::Path, false), P::Renames, &[]),
            trap(302, C::Rename(Form::At, false), P::Renames, &[]),
            trap(353, C::Rename(Form::At, true), P::Renames, &[]),
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
