//! The seccomp program: every ABI's traps as one piece of classic BPF. Pure; `sys` installs it.
//! Calls that no trap names cost nothing, because the kernel finds out once that they are always
//! allowed (5.11, `seccomp_cache_prepare`).

use std::mem::offset_of;

use super::calls::{Abi, Purpose, Test, Trap};
use crate::sandbox::sys::notify::{
    self, IF_BITS, IF_EQUAL, Instruction, RETURN, instruction, load,
};

const GO: u32 = libc::BPF_JMP | libc::BPF_JA | libc::BPF_K;

/// The program that traps what serves `purposes` and allows everything else.
pub(super) fn program(abis: &[Abi], purposes: &[Purpose]) -> Vec<Instruction> {
    let mut program = vec![load(offset_of!(libc::seccomp_data, arch))];
    for abi in abis {
        let body = section(abi, purposes);
        // JA has 32 bits to jump; conditional jumps have only eight.
        program.push(instruction(IF_EQUAL, 1, 0, abi.audit));
        program.push(instruction(GO, 0, 0, length(&body)));
        program.extend(body);
    }
    program.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program
}

fn section(abi: &Abi, purposes: &[Purpose]) -> Vec<Instruction> {
    let mut body = Vec::new();
    for trap in abi.traps {
        if purposes.contains(&trap.purpose) {
            body.extend(rule(trap));
        }
    }
    body.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    body
}

fn rule(trap: &Trap) -> Vec<Instruction> {
    // Built from the end: each test knows how far it must jump to leave the rule.
    let mut rule = vec![instruction(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF)];
    for test in trap.tests.iter().rev() {
        rule = [check(*test, short(&rule)), rule].concat();
    }
    let head = [
        load(offset_of!(libc::seccomp_data, nr)),
        instruction(IF_EQUAL, 0, short(&rule), trap.nr),
    ];
    [head.to_vec(), rule].concat()
}

/// Falls through if the test holds, else jumps over `rest` further instructions.
fn check(test: Test, rest: u8) -> Vec<Instruction> {
    match test {
        Test::OneOf(argument, values) => {
            let count = u8::try_from(values.len()).unwrap_or(u8::MAX);
            let mut code = vec![load(argument_low(argument))];
            for (value, left) in values.iter().zip((0..count).rev()) {
                let otherwise = if left == 0 { rest } else { 0 };
                code.push(instruction(IF_EQUAL, left, otherwise, *value));
            }
            code
        }
        Test::AnyBit(argument, bits) => vec![
            load(argument_low(argument)),
            instruction(IF_BITS, 0, rest, bits),
        ],
        Test::Given(argument) => vec![
            load(argument_low(argument)),
            instruction(IF_EQUAL, 0, 2, 0),
            load(argument_low(argument) + 4),
            instruction(IF_EQUAL, rest, 0, 0),
        ],
        Test::Lacks(argument, value) => vec![
            load(argument_low(argument)),
            instruction(IF_EQUAL, 0, 2, low_half(value)),
            load(argument_low(argument) + 4),
            instruction(IF_EQUAL, rest, 0, low_half(value >> 32)),
        ],
    }
}

fn low_half(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

fn argument_low(argument: u32) -> usize {
    notify::argument_low(usize::try_from(argument).unwrap_or(0))
}

fn length(code: &[Instruction]) -> u32 {
    u32::try_from(code.len()).unwrap_or(u32::MAX)
}

fn short(code: &[Instruction]) -> u8 {
    u8::try_from(code.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::supervisor::calls::Call;
    use crate::sandbox::sys::notify::LOAD;

    /// What the kernel would do: a few lines of `bpf(4)`.
    fn run(program: &[Instruction], arch: u32, nr: u32, args: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            0 => nr,
            4 => arch,
            _ => {
                let argument = args[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) {
                    (argument & 0xffff_ffff) as u32
                } else {
                    (argument >> 32) as u32
                }
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match u32::from(step.code) {
                LOAD => accumulator = word(step.k),
                IF_EQUAL => {
                    at += usize::from(if accumulator == step.k {
                        step.jt
                    } else {
                        step.jf
                    });
                }
                IF_BITS => {
                    at += usize::from(if accumulator & step.k != 0 {
                        step.jt
                    } else {
                        step.jf
                    });
                }
                GO => at += step.k as usize,
                RETURN => return step.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    static SOME: [Abi; 2] = [
        Abi {
            audit: 1,
            word: 8,
            traps: &[
                Trap {
                    nr: 5,
                    call: Call::Getdents64,
                    purpose: Purpose::Directories,
                    tests: &[Test::OneOf(0, &[7, 8, 9]), Test::Given(3)],
                },
                Trap {
                    nr: 5,
                    call: Call::Getdents,
                    purpose: Purpose::Directories,
                    tests: &[Test::AnyBit(1, 6)],
                },
                Trap {
                    nr: 7,
                    call: Call::Getdents,
                    purpose: Purpose::Directories,
                    tests: &[Test::Lacks(5, 3 << 32 | 4)],
                },
            ],
        },
        Abi {
            audit: 2,
            word: 4,
            traps: &[Trap {
                nr: 6,
                call: Call::Getdents,
                purpose: Purpose::Directories,
                tests: &[],
            }],
        },
    ];

    #[test]
    fn a_call_is_trapped_exactly_where_its_tests_hold() {
        let code = program(&SOME, &[Purpose::Directories]);
        let trapped = |arch, nr, args| run(&code, arch, nr, args) == libc::SECCOMP_RET_USER_NOTIF;
        assert!(trapped(1, 5, [7, 0, 0, 1, 0, 0]));
        assert!(trapped(1, 5, [9, 0, 0, 1 << 40, 0, 0]));
        assert!(!trapped(1, 5, [7, 0, 0, 0, 0, 0]));
        assert!(!trapped(1, 5, [6, 0, 0, 1, 0, 0]));
        assert!(trapped(1, 5, [6, 2, 0, 0, 0, 0]));
        assert!(!trapped(1, 6, [7, 2, 0, 1, 0, 0]));
        assert!(!trapped(1, 7, [0, 0, 0, 0, 0, 3 << 32 | 4]));
        for other in [0, 4, 3 << 32, u64::MAX] {
            assert!(trapped(1, 7, [0, 0, 0, 0, 0, other]));
        }
        assert!(trapped(2, 6, [0; 6]));
        assert!(!trapped(2, 5, [7, 2, 0, 1, 0, 0]));
        assert!(!trapped(3, 6, [0; 6]));
    }

    #[test]
    fn nothing_is_trapped_that_serves_no_purpose() {
        let code = program(&SOME, &[]);
        assert_eq!(
            run(&code, 1, 5, [7, 6, 0, 1, 0, 0]),
            libc::SECCOMP_RET_ALLOW
        );
    }
}
