//! What a thread that does not run waits for, by `/proc/TID/syscall`. Pure.

use super::arch::ABIS;
use super::calls::{Abi, Call};

/// `FUTEX_WAIT`, `FUTEX_LOCK_PI`, `FUTEX_WAIT_BITSET`, `FUTEX_WAIT_REQUEUE_PI`, `FUTEX_LOCK_PI2`:
/// operations whose fourth argument is a time, and the bits of an operation.
const FUTEX_TIMED: [u64; 5] = [0, 6, 9, 11, 13];
const FUTEX_COMMAND: u64 = 127;
/// `restart_syscall` of x86-64 and i386: a sleep that a signal stopped for a moment.
const RESTART: [u32; 2] = [219, 0];
/// `clone`, `fork`, `vfork` and `clone3` of x86-64.
const STARTS: [u32; 4] = [56, 57, 58, 435];
/// `rt_sigtimedwait`, `semtimedop` of x86-64, with the places of their times.
const OTHERS: [(u32, usize); 2] = [(128, 2), (220, 3)];

/// What a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    /// A time, and nothing else.
    Sleeps,
    /// Something, until a time.
    Timed,
    /// Something that another thread does.
    Untimed,
    /// An answer of the supervisor, or of the kernel, which works for it.
    Asks,
}

/// Reads a line of `/proc/TID/syscall` (`proc_pid_syscall(5)`); `None` where the thread runs.
pub(super) fn parse(line: &str) -> Option<Blocked> {
    let mut words = line.split_ascii_whitespace();
    let Ok(number) = words.next()?.parse::<i64>() else {
        return None;
    };
    let values: Vec<u64> = words
        .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
        .collect();
    // Outside of any call: stopped, or in a page fault.
    let Ok(number) = u32::try_from(number) else {
        return Some(Blocked::Untimed);
    };
    let [args @ .., stack, _] = values.as_slice() else {
        return Some(Blocked::Untimed);
    };
    let [native, narrow] = &ABIS;
    let is_narrow = u32::try_from(*stack).is_ok();
    let abi = if is_narrow { narrow } else { native };
    Some(of_call(abi, number, args))
}

/// Whether a line of `/proc/TID/syscall` is that of a thread which waits for others to end or to write,
/// and starts nobody.
pub(super) fn waits_for_others(line: &str) -> bool {
    let number = line.split_ascii_whitespace().next();
    let number = number.and_then(|word| word.parse::<u32>().ok());
    number.is_some_and(|number| !STARTS.contains(&number)) && parse(line) == Some(Blocked::Untimed)
}

fn of_call(abi: &Abi, number: u32, args: &[u64]) -> Blocked {
    let arg = |place: usize| args.get(place).copied().unwrap_or(0);
    let timed = |is_timed: bool| {
        if is_timed {
            Blocked::Timed
        } else {
            Blocked::Untimed
        }
    };
    let none = |place: usize| super::low(arg(place)) == 0;
    let is_native = abi.word == 8;
    let Some(trap) = abi.traps.iter().find(|trap| trap.nr == number) else {
        let [modern, old] = RESTART;
        if number == if is_native { modern } else { old } {
            return Blocked::Sleeps;
        }
        let others = OTHERS.iter().filter(|_| is_native);
        let mut found = others.filter(|(other, _)| *other == number);
        return timed(found.any(|(_, place)| arg(*place) != 0));
    };
    match trap.call {
        Call::Nanosleep(_) | Call::ClockNanosleep(_) => Blocked::Sleeps,
        Call::Select | Call::Pselect(_) if none(0) && arg(4) != 0 => Blocked::Sleeps,
        Call::Select | Call::Pselect(_) | Call::MessageQueue(_) => timed(arg(4) != 0),
        Call::Poll if none(1) && super::low(arg(2)) >= 0 => Blocked::Sleeps,
        Call::Poll => timed(super::low(arg(2)) >= 0),
        Call::Ppoll(_) if none(1) && arg(2) != 0 => Blocked::Sleeps,
        Call::Ppoll(_) => timed(arg(2) != 0),
        Call::EpollWait => timed(super::low(arg(3)) >= 0),
        Call::EpollPwait2 | Call::FutexWaitv => timed(arg(3) != 0),
        Call::Futex(_) => timed(FUTEX_TIMED.contains(&(arg(1) & FUTEX_COMMAND)) && arg(3) != 0),
        _ => Blocked::Asks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(call: &str) -> Option<Blocked> {
        parse(&format!("{call} 0x7ffd063d9550 0x7f00063d9550\n"))
    }

    #[test]
    fn a_call_tells_what_its_thread_waits_for() {
        let (sleeps, timed) = (Some(Blocked::Sleeps), Some(Blocked::Timed));
        let untimed = Some(Blocked::Untimed);
        assert_eq!(parse("running\n"), None);
        assert_eq!(blocked("-1"), untimed);
        assert_eq!(blocked("230 0x1 0x0 0x7 0x0 0x0 0x0"), sleeps);
        assert_eq!(blocked("23 0x0 0x0 0x0 0x0 0x7 0x0"), sleeps);
        assert_eq!(blocked("23 0x5 0x7 0x0 0x0 0x7 0x0"), timed);
        assert_eq!(blocked("23 0x5 0x7 0x0 0x0 0x0 0x0"), untimed);
        assert_eq!(blocked("7 0x7 0x1 0xffffffff 0x0 0x0 0x0"), untimed);
        assert_eq!(blocked("7 0x7 0x1 0x1f4 0x0 0x0 0x0"), timed);
        assert_eq!(
            blocked("232 0x7 0x1 0x1 0xffffffffffffffff 0x0 0x0"),
            untimed
        );
        assert_eq!(blocked("202 0x7 0x189 0x0 0x0 0x0 0xffffffff"), untimed);
        assert_eq!(blocked("202 0x7 0x189 0x0 0x7 0x0 0xffffffff"), timed);
        assert_eq!(blocked("61 0xffffffff 0x7 0x0 0x0 0x0 0x0"), untimed);
        assert_eq!(blocked("0 0x5 0x7 0x1000 0x0 0x0 0x0"), untimed);
        assert_eq!(blocked("231 0x0 0x0 0x0 0x0 0x0 0x0"), Some(Blocked::Asks));
        // The stack of a 32-bit program; 162 is its nanosleep, and a 64-bit sync.
        let narrow = "162 0x1 0x2 0x3 0x0 0x0 0x0 0xffd063d0 0xf7f063d0";
        assert_eq!(parse(narrow), sleeps);
        assert_eq!(blocked("162 0x1 0x2 0x3 0x0 0x0 0x0"), untimed);
    }

    #[test]
    fn a_shell_that_starts_the_next_command_waits_for_nobody_yet() {
        let waits =
            |call: &str| waits_for_others(&format!("{call} 0x7ffd063d9550 0x7f00063d9550\n"));
        assert!(waits("61 0xffffffff 0x7 0x0 0x0 0x0 0x0"));
        assert!(waits("0 0x5 0x7 0x1000 0x0 0x0 0x0"));
        assert!(waits("130 0x7 0x8 0x0 0x0 0x0 0x0"));
        assert!(!waits("58 0x0 0x0 0x0 0x0 0x0 0x0"));
        assert!(!waits("-1"));
        assert!(!waits_for_others("running\n"));
    }
}
