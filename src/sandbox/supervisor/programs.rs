//! What happens when a program begins: its vDSO gets the clock hook, and the root of the build is
//! told from everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, OnceLock};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::blocked;
use super::clock::Clockwork;
use super::engine::{Answer, Event, Supervisor};
use super::processes::Start;
use super::randomness;
use super::steps::{End, Steps};
use super::tracee::{Memory, Tracees, lock, read_from_start};
use super::vdso::{self, Image, Mode};
use crate::sandbox::sys::hook::hook;

/// `AT_SYSINFO_EHDR`, getauxval(3).
const AT_SYSINFO_EHDR: u64 = 33;
/// `AT_SECURE`: a set-user-id program or its like.
const AT_SECURE: u64 = 23;
/// `AT_RANDOM`: the address of sixteen random bytes.
const AT_RANDOM: u64 = 25;
/// How far parents are followed.
const DEPTH: usize = 32;

/// The images of a trial, and its root.
#[derive(Debug)]
pub(super) struct Programs {
    native: Option<Image>,
    /// What of it differs from the kernel's own.
    native_change: Range<usize>,
    foreign: OnceLock<Option<Image>>,
    root: Mutex<Option<Root>>,
    /// By thread. What forks and begins no program is not here.
    begun: Mutex<BTreeMap<u32, Begun>>,
}

/// A program that has begun.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// Where a 64-bit one has its vDSO, once that is known.
    vdso: Option<u64>,
    /// How many of its calls may have been led to the hook.
    pub(super) calls: u32,
    /// It reads directories from a place that is led. Such a place goes on asking for what a
    /// directory holds.
    pub(super) is_led: bool,
}

/// Which hooks of a program find the pages of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageSlots {
    /// Those for its reads, and that for file times.
    All,
    /// That for file times alone.
    Files,
}

/// The first process of the build.
#[derive(Debug)]
struct Root {
    tid: u32,
    /// `/proc/TID/task/TID/children`, which every exit asks for.
    children: Option<OwnedFd>,
    /// It has become another program since: no longer the shell of the build.
    replaced: bool,
    steps: Steps,
}

impl Root {
    /// The processes that it has started and not waited for.
    fn commands(&self) -> Vec<u32> {
        let text = self.children.as_ref().map(read_from_start);
        let text = text.and_then(Result::ok).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let children = text.split_ascii_whitespace();
        children.filter_map(|word| word.parse().ok()).collect()
    }
}

impl Programs {
    /// Patches the vDSO image of this kernel. `stub` makes every clock read a system call that
    /// can be witnessed. Says what does not work.
    pub(super) fn new(
        tracees: &Tracees,
        clock: Option<&Clockwork>,
        stub: bool,
        random: bool,
    ) -> (Self, Option<String>) {
        let mode = match clock {
            None => Mode::Untouched,
            Some(_) if stub => Mode::Stub,
            Some(clock) if clock.is_held() => Mode::Held,
            // What is added is part of the image, which is the same for all.
            Some(clock) if clock.differs_by_reader() => Mode::Stub,
            Some(clock) => Mode::Running(clock.offset()),
        };
        let original = own_image(tracees).unwrap_or_default();
        let patched = vdso::patch(&original, mode, random, hook());
        let (native, problem) = match patched {
            Ok(image) => (Some(image), None),
            // Slower, and as right: every read becomes a call.
            Err(reason) => (
                vdso::patch(&original, Mode::Stub, random, hook()).ok(),
                Some(reason.to_string()),
            ),
        };
        let native_change = native
            .as_ref()
            .map_or(0..0, |image| changed(&original, &image.bytes));
        let programs = Self {
            native,
            native_change,
            foreign: OnceLock::new(),
            root: Mutex::default(),
            begun: Mutex::default(),
        };
        (programs, problem)
    }

    /// The processes that the shell of the build has started and not waited for; not that of this
    /// thread, where it is the shell's own. Nothing where the build has no shell, or no more.
    pub(super) fn commands(&self, tid: u32) -> Option<Vec<u32>> {
        let root = lock(&self.root);
        let root = root.as_ref().filter(|root| !root.replaced)?;
        if root.tid == tid {
            return None;
        }
        Some(root.commands())
    }

    /// Whether the shell of the build waits for its commands, and has started all that go together.
    pub(super) fn shell_waits(&self, tracees: &Tracees) -> bool {
        let root = lock(&self.root).as_ref().map(|root| root.tid);
        let line = root.and_then(|tid| tracees.read_proc(&format!("{tid}/syscall")).ok());
        line.is_none_or(|line| blocked::waits_for_others(&String::from_utf8_lossy(&line)))
    }

    /// A program begins that comes from the shell of the build, or from a subshell.
    fn begins_in_shell(&self, tracees: &Tracees, tid: u32, start: &Start) {
        let mut root = lock(&self.root);
        let Some(root) = root.as_mut().filter(|root| root.tid == start.leader) else {
            return;
        };
        let parent = |of: &u32| tracees.status(*of).ok()?.parent;
        let mut above = std::iter::successors(Some(tid), parent).take(DEPTH);
        if let Some(command) = above.find(|at| parent(at) == Some(root.tid)) {
            root.steps.begins(command, start.command);
        }
    }

    /// A command of the shell is about to end; whether a step of the build ends with it. `piped` says with
    /// which others it shares a pipe.
    pub(super) fn ends_step(
        &self,
        tracees: &Tracees,
        end: End,
        piped: impl FnOnce() -> BTreeSet<u32>,
    ) -> bool {
        let mut root = lock(&self.root);
        let Some(root) = root.as_mut() else {
            return false;
        };
        let started = root.commands();
        let runs = |command| !tracees.is_zombie(command);
        root.steps.ends(end, &started, runs, piped)
    }

    /// Whether the thread has begun a program, and so is the first of its process.
    pub(super) fn has_begun(&self, tid: u32) -> bool {
        lock(&self.begun).contains_key(&tid)
    }

    /// What is known of the program of a thread, to be read or changed.
    pub(super) fn with_begun<T>(&self, tid: u32, look: impl FnOnce(&mut Begun) -> T) -> Option<T> {
        lock(&self.begun).get_mut(&tid).map(look)
    }

    /// A process ends.
    pub(super) fn forget(&self, tid: u32) {
        lock(&self.begun).remove(&tid);
    }

    /// Where the 64-bit program of a thread has its vDSO, if that is ours: no other process may be
    /// written to.
    pub(super) fn vdso(&self, tracees: &Tracees, tid: u32, memory: &OwnedFd) -> Option<u64> {
        let image = self.native.as_ref()?;
        let own = image.own.clone();
        let known = self.with_begun(tid, |program| program.vdso).flatten();
        let asked = || {
            Auxiliary::of(tracees, &tid.to_string(), 8)
                .ok()?
                .get(AT_SYSINFO_EHDR)
        };
        let base = known.or_else(asked)?;
        let there = read_at(memory, base + own.start as u64, own.len()).ok()?;
        (!own.is_empty() && image.bytes.get(own) == Some(&there)).then_some(base)
    }

    /// The image of 64-bit programs.
    pub(super) fn native(&self) -> Option<&Image> {
        self.native.as_ref()
    }

    /// Whether this is the first program of all.
    fn note_root(&self, tracees: &Tracees, tid: u32) -> bool {
        let mut root = lock(&self.root);
        if let Some(root) = root.as_mut() {
            root.replaced |= root.tid == tid;
            return false;
        }
        let children = format!("{tid}/task/{tid}/children");
        *root = Some(Root {
            tid,
            children: tracees.open_proc(&children, OFlag::O_RDONLY).ok(),
            replaced: false,
            steps: Steps::default(),
        });
        true
    }

    fn image(&self, event: &Event, base: u64) -> Option<&Image> {
        if event.abi.word == 8 {
            return self.native.as_ref();
        }
        let read = || {
            let mut start = vec![0; 64];
            Memory(event.tid).read(base, &mut start).ok()?;
            let mut bytes = vec![0; vdso::length(&start)?.min(1 << 16)];
            Memory(event.tid).read(base, &mut bytes).ok()?;
            vdso::patch32(&bytes).ok()
        };
        self.foreign.get_or_init(read).as_ref()
    }
}

/// The vDSO of this process, which is that of every 64-bit process of this kernel.
fn own_image(tracees: &Tracees) -> Option<Vec<u8>> {
    let memory = tracees.open_proc("self/mem", OFlag::O_RDONLY).ok()?;
    let vector = Auxiliary::of(tracees, "self", size_of::<usize>()).ok()?;
    let base = vector.get(AT_SYSINFO_EHDR)?;
    let start = read_at(&memory, base, 64).ok()?;
    read_at(&memory, base, vdso::length(&start)?).ok()
}

/// The auxiliary vector of a process.
struct Auxiliary {
    vector: Vec<u8>,
    word: usize,
}

impl Auxiliary {
    fn of(tracees: &Tracees, process: &str, word: usize) -> Result<Self, Errno> {
        let vector = tracees.read_proc(&format!("{process}/auxv"))?;
        Ok(Self { vector, word })
    }

    fn get(&self, wanted: u64) -> Option<u64> {
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
        };
        self.vector
            .chunks_exact(2 * self.word)
            .map(|entry| entry.split_at(self.word))
            .find(|(kind, _)| number(kind) == wanted)
            .map(|(_, value)| number(value))
    }
}

/// A program begins.
pub(super) fn begin(supervisor: &Supervisor, event: &Event) -> Answer {
    let Some(programs) = &supervisor.programs else {
        return Answer::Continue;
    };
    let root = programs.note_root(&supervisor.tracees, event.tid);
    if root {
        supervisor.views.begin();
        supervisor.watch.begin(&supervisor.tracees, event.tid);
        if let Some(owners) = &supervisor.owners {
            let views = &supervisor.views;
            owners.meet(supervisor, event.tid, |owner| {
                views.inside(&supervisor.tracees, event.tid, owner)
            });
        }
        randomness::find_devices(supervisor, event.tid);
    }
    let tracees = &supervisor.tracees;
    let start = supervisor
        .names_processes()
        .then(|| supervisor.processes.begin(tracees, event.tid, root))
        .flatten();
    if let Some(clock) = &supervisor.clock {
        if let Some(start) = start.filter(|_| clock.is_held()) {
            programs.begins_in_shell(tracees, event.tid, &start);
        }
        clock.begin(tracees, event.tid, start);
    }
    lock(&programs.begun).insert(event.tid, Begun::default());
    if let Err(errno) = patch(supervisor, programs, event) {
        supervisor.problem(format!("patching the vDSO of a program: {errno}"));
    }
    Answer::Continue
}

fn patch(supervisor: &Supervisor, programs: &Programs, event: &Event) -> Result<(), Errno> {
    let asked = supervisor.clock.is_some() || supervisor.seeds.is_some();
    if !asked && supervisor.directories.is_none() {
        return Ok(());
    }
    let tid = event.tid.to_string();
    let vector = Auxiliary::of(&supervisor.tracees, &tid, event.abi.word)?;
    if vector.get(AT_SECURE) == Some(1) {
        // The program runs with other rights than its caller.
        supervisor.views.diverge();
    }
    let memory = open_memory(&supervisor.tracees, event.tid)?;
    // A program without a vDSO makes plain calls.
    if let Some(base) = vector.get(AT_SYSINFO_EHDR) {
        let image = programs.image(event, base).ok_or(Errno::ENOEXEC)?;
        if !supervisor.is_valid(event) {
            return Ok(());
        }
        let range = if event.abi.word == 8 {
            programs.native_change.clone()
        } else {
            0..image.bytes.len()
        };
        let place = base + u64::try_from(range.start).unwrap_or(0);
        let bytes = image.bytes.get(range).unwrap_or_default();
        write_at(&memory, place, bytes)?;
        if event.abi.word == 8 {
            programs.with_begun(event.tid, |program| program.vdso = Some(base));
        }
    }
    if let Some((seeds, place)) = supervisor.seeds.zip(vector.get(AT_RANDOM))
        && let Some(caller) = supervisor.processes.caller(&supervisor.tracees, event.tid)
    {
        write_at(&memory, place, &randomness::at_start(seeds, caller))?;
    }
    Ok(())
}

/// The bytes that differ; all of them where the images are not of one kind.
fn changed(original: &[u8], patched: &[u8]) -> Range<usize> {
    if original.len() != patched.len() {
        return 0..patched.len();
    }
    let differs = |(left, right): (&u8, &u8)| left != right;
    let mut pairs = original.iter().zip(patched);
    let first = pairs.position(differs).unwrap_or(patched.len());
    let last = original.iter().zip(patched).rposition(differs);
    first..last.map_or(first, |last| last + 1)
}

pub(super) fn open_memory(tracees: &Tracees, tid: u32) -> Result<OwnedFd, Errno> {
    tracees.open_proc(&format!("{tid}/mem"), OFlag::O_RDWR)
}

/// Reads through `/proc/TID/mem`: all of it, or `EFAULT`.
pub(super) fn read_at(memory: &OwnedFd, place: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; length];
    let place = i64::try_from(place).map_err(|_| Errno::EFAULT)?;
    let count = nix::sys::uio::pread(memory, &mut bytes, place)?;
    if count == length {
        Ok(bytes)
    } else {
        Err(Errno::EFAULT)
    }
}

/// Writes through `/proc/TID/mem`, which makes read-only pages private copies (`FOLL_FORCE`).
pub(super) fn write_at(memory: &OwnedFd, place: u64, bytes: &[u8]) -> Result<(), Errno> {
    let place = i64::try_from(place).map_err(|_| Errno::EFAULT)?;
    let count = nix::sys::uio::pwrite(memory, bytes, place)?;
    if count == bytes.len() {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

impl Supervisor {
    /// Writes into a thread's memory, read-only pages included.
    pub(super) fn write_anywhere(&self, tid: u32, place: u64, bytes: &[u8]) -> Result<(), Errno> {
        Memory(tid).write(place, bytes).or_else(|_| {
            let memory = open_memory(&self.tracees, tid)?;
            write_at(&memory, place, bytes)
        })
    }

    /// Tells hooks of a program where it has mapped the pages of the clock.
    pub(super) fn set_pages(&self, tid: u32, address: u64, which: PageSlots) {
        let Some(programs) = &self.programs else {
            return;
        };
        let slots = programs.native().and_then(|image| image.page_slots);
        if let Ok(memory) = open_memory(&self.tracees, tid)
            && let Some((slots, base)) = slots.zip(programs.vdso(&self.tracees, tid, &memory))
        {
            let [_, files] = slots;
            let slots = match which {
                PageSlots::All => slots.to_vec(),
                PageSlots::Files => vec![files],
            };
            for slot in slots {
                let place = base + u64::try_from(slot).unwrap_or(0);
                // If this fails, the program goes on asking.
                let _ = write_at(&memory, place, &address.to_le_bytes());
            }
        }
    }
}
