//! Random bytes from one seed: a stream for every call, keyed by the lineage of the process and
//! the number of the call. Reaches `getrandom`, its vDSO form and `AT_RANDOM`, and, where the
//! trial has pipes in place of `/dev/random` and `/dev/urandom`, those too (one stream for each, in
//! the order of reads). Processor instructions and what programs make of addresses stay out of
//! reach.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use rand::SeedableRng;
use rand::rand_core::Rng as _;
use rand_chacha::ChaCha12Rng;

use super::Config;
use super::engine::{Answer, Event, Supervisor};
use super::order::keyed_hash;
use super::processes::Caller;
use super::tracee::{Memory, lock};
use super::witness::Source;
use crate::model::Randomness;

/// `GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE`, getrandom(2).
const FLAGS: u64 = 7;
/// Bytes are made in pieces of this size.
const PIECE: usize = 1 << 16;
/// The call number of the bytes that a program finds at its start.
const AT_START: u64 = u64::MAX;

fn stream(seed: u64, caller: Caller) -> ChaCha12Rng {
    let mut key = [0; 32];
    for (number, chunk) in (0_u64..).zip(key.chunks_exact_mut(8)) {
        let words = [caller.lineage, caller.calls, number].map(u64::to_le_bytes);
        chunk.copy_from_slice(&keyed_hash(seed, words.as_flattened()).to_le_bytes());
    }
    ChaCha12Rng::from_seed(key)
}

/// The seeds of a trial.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeds {
    /// Of everybody for whom no other level acts.
    common: u64,
    /// Of those for whom one does.
    chosen: u64,
    /// Of the random devices.
    devices: u64,
}

impl Seeds {
    /// Nothing where random bytes are the kernel's.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let Randomness::Seeded { seed: common } = config.randomness else {
            return None;
        };
        let within = config.within.as_ref();
        let acts = within.filter(|within| within.scope.holds_for(Source::Random));
        let chosen = match acts.map(|within| within.randomness) {
            Some(Randomness::Seeded { seed }) => seed,
            _ => common,
        };
        let devices = within.is_some_and(|within| within.scope.devices);
        Some(Self {
            common,
            chosen,
            devices: if devices { chosen } else { common },
        })
    }

    fn stream(self, caller: Caller) -> ChaCha12Rng {
        stream(
            if caller.chosen {
                self.chosen
            } else {
                self.common
            },
            caller,
        )
    }
}

/// The pipes that stand for random devices, each with its stream.
#[derive(Debug, Default)]
pub(super) struct Devices(Mutex<Vec<(OwnedFd, ChaCha12Rng)>>);

/// Looks for pipes in place of the random devices of the trial.
pub(super) fn find_devices(supervisor: &Supervisor, tid: u32) {
    let Some(seeds) = supervisor.seeds else {
        return;
    };
    for (number, name) in (0..).zip(["random", "urandom"]) {
        // Open for reading too, so that the pipe never ends.
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
        let path = format!("{tid}/root/dev/{name}");
        let Ok(pipe) = supervisor.tracees.open_proc(&path, flags) else {
            continue;
        };
        let kind = fstat(&pipe).map(|status| status.st_mode & SFlag::S_IFMT.bits());
        if kind == Ok(SFlag::S_IFIFO.bits()) {
            let device = Caller {
                number: 0,
                chosen: false,
                lineage: number,
                calls: AT_START,
            };
            lock(&supervisor.devices.0).push((pipe, stream(seeds.devices, device)));
        }
    }
}

impl Devices {
    /// Keeps the pipes full until told to stop.
    pub(super) fn feed(&self, stopped: impl Fn() -> bool) {
        let mut piece = [0; 4096];
        while !stopped() {
            let mut devices = lock(&self.0);
            let mut fed = false;
            for (pipe, random) in devices.iter_mut() {
                let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
                let ready = poll(&mut watched, PollTimeout::ZERO).unwrap_or(0);
                // A pipe is ready when a whole page fits: pipe(7).
                if ready > 0 {
                    random.fill_bytes(&mut piece);
                    fed |= nix::unistd::write(&*pipe, &piece).is_ok();
                }
            }
            drop(devices);
            if !fed {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}

/// The sixteen bytes at `AT_RANDOM`.
pub(super) fn at_start(seeds: Seeds, caller: Caller) -> [u8; 16] {
    let mut bytes = [0; 16];
    let caller = Caller {
        calls: AT_START,
        ..caller
    };
    seeds.stream(caller).fill_bytes(&mut bytes);
    bytes
}

/// Answers `getrandom(2)`.
pub(super) fn answer(supervisor: &Supervisor, event: &Event) -> Answer {
    let [address, length, flags, ..] = event.args;
    let Some(seeds) = supervisor.seeds else {
        return Answer::Continue;
    };
    let caller = supervisor.processes.count(&supervisor.tracees, event.tid);
    // Unknown flags are the kernel's to refuse.
    let (Some(caller), true) = (caller, flags & 0xffff_ffff & !FLAGS == 0) else {
        return Answer::Continue;
    };
    supervisor.witness(event, Source::Random, || None);
    if !supervisor.is_valid(event) {
        return Answer::Gone;
    }
    let mut random = seeds.stream(caller);
    let length = length.min(i32::MAX.unsigned_abs().into());
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    while done < length {
        let count = usize::try_from(length - done).unwrap_or(PIECE).min(PIECE);
        let bytes = piece.get_mut(..count).unwrap_or_default();
        random.fill_bytes(bytes);
        if let Err(errno) = Memory(event.tid).write(address.wrapping_add(done), bytes) {
            if done > 0 {
                break;
            }
            return Answer::Errno(errno);
        }
        done += count as u64;
    }
    Answer::Value(done.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Caller = Caller {
        number: 0,
        chosen: false,
        lineage: 5,
        calls: 0,
    };

    fn seeds(common: u64, chosen: u64) -> Seeds {
        Seeds {
            common,
            chosen,
            devices: common,
        }
    }

    #[test]
    fn bytes_follow_seed_lineage_and_call() {
        let bytes = at_start(seeds(1, 1), CALLER);
        assert_eq!(at_start(seeds(1, 1), CALLER), bytes);
        assert_ne!(at_start(seeds(2, 2), CALLER), bytes);
        let other = Caller {
            lineage: 6,
            ..CALLER
        };
        assert_ne!(at_start(seeds(1, 1), other), bytes);
        let mut first = [0; 16];
        stream(1, CALLER).fill_bytes(&mut first);
        let mut second = [0; 16];
        stream(1, Caller { calls: 1, ..CALLER }).fill_bytes(&mut second);
        assert_ne!(first, second);
    }

    #[test]
    fn a_chosen_process_has_the_bytes_that_it_has_where_its_seed_is_everybodys() {
        let chosen = Caller {
            chosen: true,
            ..CALLER
        };
        let seeds_of_both = seeds(1, 2);
        assert_eq!(
            at_start(seeds_of_both, chosen),
            at_start(seeds(2, 2), CALLER)
        );
        assert_eq!(
            at_start(seeds_of_both, CALLER),
            at_start(seeds(1, 1), CALLER)
        );
    }
}
