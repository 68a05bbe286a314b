//! Times as they stand in the memory of processes: `timespec`, `timeval`, of 64 and of 32 bits.

use nix::errno::Errno;

use super::timeline::SECOND;
use super::tracee::Memory;

/// Bytes of `time_t` and its fraction in a call's structures: 8, or 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// `struct __kernel_timespec`.
    Wide,
    /// `struct old_timespec32`.
    Narrow,
}

/// Two numbers as a structure of two words.
pub(super) fn pair(first: i64, second: i64, word: usize) -> Vec<u8> {
    let [first, second] = [first, second].map(i64::to_le_bytes);
    let low = |bytes: [u8; 8]| bytes.into_iter().take(word);
    low(first).chain(low(second)).collect()
}

/// Bytes of a number in a time structure.
pub(super) fn word_of(width: Width) -> usize {
    match width {
        Width::Wide => 8,
        Width::Narrow => 4,
    }
}

/// A time as a `timespec`.
pub(super) fn encode(time: i64, width: Width) -> Vec<u8> {
    pair(
        time.div_euclid(SECOND),
        time.rem_euclid(SECOND),
        word_of(width),
    )
}

/// Writes a time as a `timespec`.
pub(super) fn write_time(
    memory: Memory,
    address: u64,
    time: i64,
    width: Width,
) -> Result<(), Errno> {
    memory.write(address, &encode(time, width))
}

/// Reads two numbers, for example a `timespec`.
pub(super) fn read_pair(memory: Memory, address: u64, word: usize) -> Result<(i64, i64), Errno> {
    let mut bytes = [0; 16];
    let bytes = bytes.get_mut(..2 * word).ok_or(Errno::EINVAL)?;
    memory.read(address, bytes)?;
    let number = |at: usize| match word {
        4 => bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map(|chunk| i64::from(i32::from_le_bytes(*chunk))),
        _ => bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map(|chunk| i64::from_le_bytes(*chunk)),
    };
    number(0).zip(number(word)).ok_or(Errno::EFAULT)
}

/// Reads a `timespec` as nanoseconds; `EINVAL` where the kernel would say so.
pub(super) fn read_time(memory: Memory, address: u64, width: Width) -> Result<i64, Errno> {
    let (seconds, nanoseconds) = read_pair(memory, address, word_of(width))?;
    if seconds < 0 || !(0..SECOND).contains(&nanoseconds) {
        return Err(Errno::EINVAL);
    }
    Ok(seconds.saturating_mul(SECOND).saturating_add(nanoseconds))
}
