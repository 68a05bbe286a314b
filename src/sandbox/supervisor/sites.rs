//! Calls that a program makes often: the place in its code from which it makes them is led to the
//! hook in its vDSO. Of the stat family that makes the call and shows the trial's times and numbers
//! without asking anybody; of a directory it tells that there is no more. What is not exactly
//! `mov eax, NUMBER; syscall` stays as it is, and so does everything in a process of several threads,
//! of which one could be just there.
//!
//! Only the `mov` is replaced, by a jump of the same length. The `syscall` behind it stays: whoever
//! comes to it in another way, or waits in it at the moment, does not notice.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

use super::calls::Call;
use super::engine::{Event, Supervisor};
use super::programs::{Programs, open_memory, read_at, write_at};
use super::tracee::Memory;
use super::vdso::{CallHook, JUMP, JUMP_LENGTH, WAY};

/// A program's calls before the first is looked at, which costs as much as two of them.
const BEFORE: u32 = 2;
/// So many of its calls are looked at, at most.
const LOOKS: u32 = 16;
/// `mov eax, NUMBER; syscall`.
const CALL: usize = JUMP_LENGTH + 2;
const MOVE: u8 = 0xb8;
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Which calls are led.
#[derive(Debug)]
pub(super) struct Sites {
    /// Whether the pages say all that calls of the stat family ask for.
    files: bool,
    led: AtomicU64,
}

impl Sites {
    /// With `files`, calls of the stat family are answered, too.
    pub(super) fn new(files: bool) -> Self {
        Self {
            files,
            led: AtomicU64::new(0),
        }
    }

    /// Whether programs answer calls of the stat family.
    pub(super) fn answers_files(&self) -> bool {
        self.files
    }

    /// How many places have been led to the hook.
    pub(super) fn led(&self) -> u64 {
        self.led.load(Ordering::Relaxed)
    }

    /// A program makes a call that waits for its answer.
    pub(super) fn see(&self, supervisor: &Supervisor, event: &Event) {
        let reads = event.trap.call == Call::Getdents64;
        if event.abi.word != 8 || !(reads || self.files) {
            return;
        }
        let Some(programs) = &supervisor.programs else {
            return;
        };
        // What forks and does not begin shares its parent's code, and is left alone.
        let is_due = programs.with_begun(event.tid, |program| {
            if reads && program.is_led {
                return false;
            }
            program.calls = program.calls.saturating_add(1);
            (BEFORE + 1..=BEFORE + LOOKS).contains(&program.calls)
        });
        if is_due != Some(true) {
            return;
        }
        let led = lead(supervisor, programs, event);
        if led == Ok(true) {
            self.led.fetch_add(1, Ordering::Relaxed);
        }
        programs.with_begun(event.tid, |program| match led {
            Ok(true) => program.is_led |= reads,
            // Another place of the same program may do.
            Ok(false) => {}
            Err(_) => program.calls = u32::MAX,
        });
    }
}

/// Leads the place of a call to the hook; an error says that no place of this program will do.
fn lead(supervisor: &Supervisor, programs: &Programs, event: &Event) -> Result<bool, Errno> {
    let image = programs.native().ok_or(Errno::ENOEXEC)?;
    let hook = image.calls.as_ref().ok_or(Errno::ENOEXEC)?;
    if supervisor.tracees.threads(event.tid)? != 1 {
        return Err(Errno::EBUSY);
    }
    let mut before = [0; 1 + CALL];
    let first = event.place.wrapping_sub(before.len() as u64);
    Memory(event.tid).read(first, &mut before)?;
    if !is_call(before, event.trap.nr) {
        return Ok(false);
    }
    let memory = open_memory(&supervisor.tracees, event.tid)?;
    let base = programs.vdso(&supervisor.tracees, event.tid, &memory);
    let base = base.ok_or(Errno::ENOEXEC)?;
    let ways = read_at(&memory, base + hook.ways.start as u64, hook.ways.len())?;
    let free = ways.chunks(WAY).position(|way| way.first() == Some(&0));
    let free = free.ok_or(Errno::ENOSPC)?;
    let way = base + (hook.ways.start + free * WAY) as u64;
    let call = event.place - CALL as u64;
    let code = way_to(hook, base, way, event).ok_or(Errno::ERANGE)?;
    let jump = relative(JUMP, call, way).ok_or(Errno::ERANGE)?;
    if !supervisor.is_valid(event) {
        return Err(Errno::ESRCH);
    }
    write_at(&memory, way, &code)?;
    write_at(&memory, call, &jump)?;
    Ok(true)
}

/// Whether these are a byte, `mov eax, number` and `syscall`. The byte must not make another
/// instruction of the `mov`: neither as a prefix (`mov r8d`), nor as what says that its first byte
/// is a displacement (`mov dword [rbp - 72]`, `mov dword [rsp - 72]`).
fn is_call(bytes: [u8; 1 + CALL], number: u32) -> bool {
    let [before, opcode, a, b, c, d, syscall @ ..] = bytes;
    let changes_it = matches!(before, 0x40..=0x4f | 0x24 | 0x64..=0x67);
    !changes_it
        && opcode == MOVE
        && u32::from_le_bytes([a, b, c, d]) == number
        && syscall == SYSCALL
}

/// From the call to the hook and back behind the call, with the red zone of the stack left alone
/// (System V ABI, 3.2.2).
fn way_to(hook: &CallHook, base: u64, way: u64, event: &Event) -> Option<Vec<u8>> {
    // lea rsp, [rsp - 128]; mov eax, NUMBER
    let mut code = vec![0x48, 0x8d, 0x64, 0x24, 0x80, MOVE];
    code.extend(event.trap.nr.to_le_bytes());
    // call HOOK
    let target = base + u64::try_from(hook.code).ok()?;
    code.extend(relative(0xe8, way + code.len() as u64, target)?);
    // lea rsp, [rsp + 128]
    code.extend([0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0]);
    code.extend(relative(JUMP, way + code.len() as u64, event.place)?);
    (code.len() <= WAY).then_some(code)
}

/// An instruction of five bytes at `from` that goes to `to`, if that is near enough.
fn relative(opcode: u8, from: u64, to: u64) -> Option<[u8; JUMP_LENGTH]> {
    let next = from.checked_add(JUMP_LENGTH as u64)?;
    let distance = to.cast_signed().checked_sub(next.cast_signed())?;
    let distance = i32::try_from(distance).ok()?;
    let [a, b, c, d] = distance.to_le_bytes();
    Some([opcode, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_move_of_the_number_right_before_the_call_is_replaced() {
        let call = |before, bytes: [u8; CALL]| {
            let mut all = [before; 1 + CALL];
            all[1..].copy_from_slice(&bytes);
            is_call(all, 262)
        };
        let plain = [0xb8, 6, 1, 0, 0, 0x0f, 5];
        assert!(call(0xca, plain));
        for before in [0x41, 0x45, 0x48, 0x24, 0x66] {
            assert!(!call(before, plain));
        }
        assert!(!call(0xca, [0xb8, 5, 0, 0, 0, 0x0f, 5]));
        assert!(!call(0xca, [0xbf, 6, 1, 0, 0, 0x0f, 5]));
        assert!(!call(0xca, [0xb8, 6, 1, 0, 0, 0xcd, 0x80]));
    }

    #[test]
    fn a_jump_reaches_two_gigabytes_and_no_farther() {
        assert_eq!(relative(JUMP, 100, 105), Some([JUMP, 0, 0, 0, 0]));
        assert_eq!(relative(JUMP, 100, 0), Some([JUMP, 151, 255, 255, 255]));
        assert_eq!(relative(JUMP, 0, 1 << 31), Some([JUMP, 251, 255, 255, 127]));
        assert_eq!(relative(JUMP, 0, (1 << 31) + 5), None);
        assert_eq!(relative(JUMP, 1 << 40, 0), None);
    }
}
