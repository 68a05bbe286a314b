//! Random bytes from one seed: a stream for every call, keyed by the lineage of the process and
//! the number of the call. Reaches `getrandom`, its vDSO form and `AT_RANDOM`, and, where the
//! trial has pipes in place of `/dev/random` and `/dev/urandom` and files in place of the kernel's
//! identifiers, those too (one stream for each, in the order of reads). Processor instructions and
//! what programs make of addresses stay out of reach.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::Pid;
use rand::SeedableRng;
use rand::rand_core::Rng as _;
use rand_chacha::ChaCha12Rng;

use super::Config;
use super::engine::{Answer, Event, Supervisor};
use super::identifiers::Identifiers;
use super::order::keyed_hash;
use super::processes::Caller;
use super::tracee::{Memory, lock};
use crate::model::{Randomness, Source};

/// `GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE`, getrandom(2).
const FLAGS: u64 = 7;
/// Bytes are made in pieces of this size.
const PIECE: usize = 1 << 16;
/// Milliseconds between two looks at the pipes.
const PAUSE: u8 = 2;
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

/// Where the thread that feeds random devices is told of the trial that has them.
#[derive(Debug, Default)]
pub(super) struct Devices {
    search: Mutex<Search>,
    over: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Search {
    #[default]
    NotYet,
    /// As this thread sees the file system.
    Wanted(u32),
    Over,
}

/// The build begins: has what stands for random devices and identifiers in its file system found
/// before it reads any. By a thread of its own, for the others look things up with other rights.
pub(super) fn find_devices(supervisor: &Supervisor, tid: u32) {
    if supervisor.seeds.is_none() {
        return;
    }
    let devices = &supervisor.devices;
    let mut search = lock(&devices.search);
    *search = Search::Wanted(tid);
    // Without it the thread looks a little later.
    let _ = kill(Pid::this(), Signal::SIGIO);
    let patience = Instant::now() + Duration::from_secs(2);
    while *search != Search::Over && Instant::now() < patience {
        let waited = devices.over.wait_timeout(search, Duration::from_secs(1));
        search = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Who opens an identifier is told of by this signal, which must end nobody: call before any
/// other thread begins.
pub(super) fn hold_signals() -> Result<(), Errno> {
    SigSet::from(Signal::SIGIO).thread_block()
}

/// Feeds the random devices of the trial until the supervisor is to stop.
pub(super) fn feed(supervisor: &Supervisor) {
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    // Without it readers of identifiers wait for the next look.
    let signals = SignalFd::with_flags(&SigSet::from(Signal::SIGIO), flags).ok();
    let mut found = Found::default();
    while !supervisor.stopped() {
        let mut search = lock(&supervisor.devices.search);
        if let (Search::Wanted(tid), Some(seeds)) = (*search, supervisor.seeds) {
            found = Found::of(supervisor, tid, seeds);
            *search = Search::Over;
            supervisor.devices.over.notify_all();
        }
        drop(search);
        found.admit(supervisor);
        if !found.fill_pipes() {
            let watched = signals.as_ref().map(AsFd::as_fd);
            let watched = watched.map(|signals| PollFd::new(signals, PollFlags::POLLIN));
            let mut watched: Vec<_> = watched.into_iter().collect();
            // If it fails there is no pause.
            let _ = poll(&mut watched, PollTimeout::from(PAUSE));
            let _ = signals.as_ref().map(SignalFd::read_signal);
        }
    }
}

/// What stands for random devices and identifiers in a trial.
#[derive(Debug, Default)]
struct Found {
    /// Pipes, each with its stream.
    pipes: Vec<(OwnedFd, ChaCha12Rng)>,
    identifiers: Option<Identifiers>,
}

impl Found {
    fn of(supervisor: &Supervisor, tid: u32, seeds: Seeds) -> Self {
        let mut pipes = Vec::new();
        for (number, name) in (0..).zip(["random", "urandom"]) {
            // Open for reading too, so that the pipe never ends.
            let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
            let path = format!("{tid}/root/dev/{name}");
            let Ok(pipe) = supervisor.tracees.open_proc(&path, flags) else {
                continue;
            };
            let kind = fstat(&pipe).map(|status| status.st_mode & SFlag::S_IFMT.bits());
            if kind == Ok(SFlag::S_IFIFO.bits()) {
                pipes.push((pipe, device(seeds, number)));
            }
        }
        let identifiers = Identifiers::take_over(&supervisor.tracees, tid, device(seeds, 2));
        Self {
            pipes,
            identifiers: identifiers.and_then(|taken| taken.map_err(same_for_all(supervisor)).ok()),
        }
    }

    /// Lets readers of identifiers in.
    fn admit(&mut self, supervisor: &Supervisor) {
        if let Some(Err(errno)) = self.identifiers.as_mut().map(Identifiers::admit) {
            same_for_all(supervisor)(errno);
            // Nobody is held back any more.
            self.identifiers = None;
        }
    }

    /// Whether any had room.
    fn fill_pipes(&mut self) -> bool {
        let mut piece = [0; 4096];
        let mut fed = false;
        for (pipe, random) in &mut self.pipes {
            let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
            let ready = poll(&mut watched, PollTimeout::ZERO).unwrap_or(0);
            // A pipe is ready when a whole page fits: pipe(7).
            if ready > 0 {
                random.fill_bytes(&mut piece);
                fed |= nix::unistd::write(&*pipe, &piece).is_ok();
            }
        }
        fed
    }
}

/// The stream of a device.
fn device(seeds: Seeds, number: u64) -> ChaCha12Rng {
    let caller = Caller {
        number: 0,
        chosen: false,
        lineage: number,
        calls: AT_START,
    };
    stream(seeds.devices, caller)
}

fn same_for_all(supervisor: &Supervisor) -> impl Fn(Errno) {
    |errno| {
        let why = errno.desc();
        supervisor.problem(format!(
            "/proc/sys/kernel/random/uuid stays the same for all readers: {why}"
        ));
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
