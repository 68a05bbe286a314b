//! The supervisor at work: threads that take notifications, find who answers them, and send the
//! answer. What the answers are is decided by the modules beside this one.

use std::collections::BTreeSet;
use std::fs::File;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::arch::identify;
use super::calls::{Abi, Call, Purpose, Trap};
use super::clock::{Ahead, Clockwork, host_now};
use super::deadlines::{self, Loans};
use super::directory::{self, Directories};
use super::guise::Guise;
use super::numbers::Numbers;
use super::order::Records;
use super::places::Places;
use super::processes::Processes;
use super::programs::{self, Programs};
use super::sites::Sites;
use super::sources::Owners;
use super::timeline::{SECOND, Timeline};
use super::tracee::{Tracees, lock};
use super::turn::Turn;
use super::unvaried::{self, Watch};
use super::view::Views;
use super::witness::Log;
use super::{Config, Error, Report};
use super::{files, links, moves, names, names::Words, owners, randomness, reads, waits};
use crate::model::Source;
use crate::sandbox::sys::{notify, tracee::clock};

/// A trapped call of one thread.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: u64,
    pub(super) tid: u32,
    pub(super) abi: &'static Abi,
    pub(super) trap: &'static Trap,
    pub(super) args: [u64; 6],
    /// The address of the instruction behind the call.
    pub(super) place: u64,
}

/// How a trapped call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel runs it as it stands.
    Continue,
    /// It returns this.
    Value(i64),
    /// It fails with this.
    Errno(Errno),
    /// It has been answered already.
    Sent,
    /// Nobody waits for an answer any more.
    Gone,
}

/// What all threads of a supervisor share.
#[derive(Debug)]
pub(super) struct Supervisor {
    listener: OwnedFd,
    turn: Turn,
    /// Another thread helps while somebody waits: where two processors are all there is, waking it
    /// costs more than it saves (22 µs a call against 13, both processors calling).
    shares: bool,
    /// Who called last.
    latest: AtomicU32,
    pub(super) tracees: Tracees,
    pub(super) directories: Option<Directories>,
    pub(super) clock: Option<Clockwork>,
    pub(super) programs: Option<Programs>,
    /// Where programs answer calls themselves: only if all are answered alike, and nobody writes
    /// down who asks.
    pub(super) sites: Option<Sites>,
    pub(super) loans: Loans,
    pub(super) views: Views,
    pub(super) processes: Processes,
    pub(super) numbers: Option<Numbers>,
    /// Whose the sources are shown to be.
    pub(super) owners: Option<Owners>,
    pub(super) words: Option<Words>,
    /// Of the random streams.
    pub(super) seeds: Option<randomness::Seeds>,
    pub(super) devices: randomness::Devices,
    log: Option<Log>,
    /// Processes must be told from each other.
    names_processes: bool,
    problems: Mutex<BTreeSet<String>>,
    /// Who opens what tells of the machine.
    pub(super) watch: Watch,
    /// Calls answered by us.
    answered: AtomicU64,
    /// Calls left to the kernel.
    continued: AtomicU64,
    stop: AtomicBool,
}

impl Supervisor {
    pub(super) fn new(
        listener: OwnedFd,
        config: &Config,
        log: Option<File>,
    ) -> Result<Self, Error> {
        // An older kernel refuses; the flag only saves time.
        let _ = notify::wake_synchronously(listener.as_fd());
        let tracees = Tracees::new().map_err(Error::Proc)?;
        // Coarse, as the stamps of files are: none of the trial's is earlier.
        let began = clock(libc::CLOCK_REALTIME_COARSE).min(host_now());
        let since = config
            .since
            .map_or_else(|| own_start(&tracees), |since| since.saturating_mul(SECOND));
        let timeline = Timeline::new(config.clock, began, since);
        let clock = timeline.map(|timeline| Clockwork::new(timeline, Ahead::of(config)));
        let clock = clock.transpose()?;
        let seeds = randomness::Seeds::of(config);
        let (programs, problem) = if config.purposes().contains(&Purpose::Programs) {
            let (programs, problem) =
                Programs::new(&tracees, clock.as_ref(), config.witness, seeds.is_some());
            (Some(programs), problem)
        } else {
            (None, None)
        };
        let within = config.within.clone();
        let scope = within.as_ref().map(|within| within.scope.clone());
        let places = Places::new(&config.places);
        let numbers = Numbers::of(config.inodes, &places, config.single.clone());
        let alike = log.is_none() && !config.witness;
        let told = clock
            .as_ref()
            .filter(|clock| config.file_times && clock.is_stepped() && !clock.differs_by_reader());
        let sites = alike.then(|| {
            if let (Some(clock), Some(numbers)) = (told, &numbers) {
                clock.pages().show_numbers(numbers.counts());
            }
            // The pages do not tell owners.
            Sites::new(told.is_some() && config.sources.is_none())
        });
        Ok(Self {
            listener,
            turn: Turn::default(),
            shares: processors() > 2,
            latest: AtomicU32::new(0),
            tracees,
            names_processes: seeds.is_some() || log.is_some() || scope.is_some(),
            directories: Directories::new(config.order, within),
            clock,
            programs,
            sites,
            loans: Loans::default(),
            views: Views::default(),
            processes: Processes::new(places.clone(), scope, log.is_some()),
            numbers,
            owners: config.sources.clone().map(Owners::new),
            words: config.words.clone(),
            seeds,
            devices: randomness::Devices::default(),
            log: log.map(Log::new),
            problems: Mutex::new(problem.into_iter().collect()),
            watch: Watch::default(),
            answered: AtomicU64::new(0),
            continued: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Whether anything needs to know which process is which.
    pub(super) fn names_processes(&self) -> bool {
        self.names_processes
    }

    /// Whether levels that act in a scope alone act for this caller.
    pub(super) fn is_chosen(&self, tid: u32) -> bool {
        let caller = self.processes.caller(&self.tracees, tid);
        caller.is_some_and(|caller| caller.chosen)
    }

    /// Whether readings are written down.
    pub(super) fn keeps_log(&self) -> bool {
        self.log.is_some()
    }

    /// Writes down that the caller has read something, where a log is kept.
    pub(super) fn witness(&self, event: &Event, source: Source, path: impl Fn() -> Option<String>) {
        if let Some(log) = &self.log
            && let Some(caller) = self.processes.caller(&self.tracees, event.tid)
        {
            log.record(caller.number, source, path());
        }
    }

    /// Whether the thread still waits for its answer: only then is its id its own.
    pub(super) fn is_valid(&self, event: &Event) -> bool {
        notify::is_valid(self.listener.as_fd(), event.id)
    }

    /// Gives the waiting thread a descriptor; its number there.
    pub(super) fn add_descriptor(&self, event: &Event, file: BorrowedFd<'_>) -> Result<i32, Errno> {
        notify::add_descriptor(self.listener.as_fd(), event.id, file)
    }

    /// Remembers what went wrong, once.
    pub(super) fn problem(&self, what: String) {
        lock(&self.problems).insert(what);
    }

    /// Takes notifications until the last process of the trial is gone.
    fn work(&self) {
        let mut guise = Guise::default();
        while !self.stopped() {
            self.turn.take();
            match notify::receive(self.listener.as_fd()) {
                Ok(notification) => {
                    // While one thread alone calls, nobody else can be waiting.
                    let before = self.latest.swap(notification.tid, Ordering::Relaxed);
                    let other = self.shares && before != notification.tid;
                    if other && self.state().contains(PollFlags::POLLIN) {
                        self.turn.give();
                    }
                    self.take(&notification, &mut guise);
                }
                Err(Errno::ENOENT) if self.state().contains(PollFlags::POLLHUP) => break,
                Err(_) => {}
            }
        }
        self.turn.give();
    }

    /// What the calling thread does next takes long: another one takes notifications meanwhile.
    pub(super) fn takes_long(&self) {
        self.turn.give();
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether more notifications wait, and whether there will never be one again.
    fn state(&self) -> PollFlags {
        let mut watched = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        // If it fails, nothing is known.
        let _ = poll(&mut watched, PollTimeout::ZERO);
        let [watched] = watched;
        watched.revents().unwrap_or(PollFlags::empty())
    }

    fn take(&self, notification: &notify::Notification, guise: &mut Guise) {
        let answer = match identify(notification.arch, notification.nr) {
            // A thread that our pid namespace cannot see has no id here.
            Some((abi, trap)) if notification.tid != 0 => {
                let event = Event {
                    id: notification.id,
                    tid: notification.tid,
                    abi,
                    trap,
                    args: notification.args,
                    place: notification.place,
                };
                self.answer(&event, guise)
            }
            _ => Answer::Continue,
        };
        self.send(notification.id, answer);
    }

    /// Sends an answer, unless there is nobody to have it.
    pub(super) fn send(&self, id: u64, answer: Answer) {
        let (value, errno, run_it) = match answer {
            Answer::Continue => (0, 0, true),
            Answer::Value(value) => (value, 0, false),
            Answer::Errno(errno) => (0, errno as i32, false),
            Answer::Sent | Answer::Gone => return,
        };
        let counter = if run_it {
            &self.continued
        } else {
            &self.answered
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // ENOENT: the thread was killed meanwhile.
        let _ = notify::send(self.listener.as_fd(), id, value, errno, run_it);
    }

    fn answer(&self, event: &Event, guise: &mut Guise) -> Answer {
        match event.trap.call {
            Call::Getdents64 => directory::answer(self, event, Records::Modern),
            Call::Getdents => directory::answer(self, event, Records::Legacy(event.abi.word)),
            Call::Begin => programs::begin(self, event),
            Call::ClockGettime(_) | Call::Gettimeofday | Call::Time => reads::answer(self, event),
            Call::ClockNanosleep(_) if waits::is_deadline(event) => deadlines::answer(self, event),
            Call::Nanosleep(_)
            | Call::ClockNanosleep(_)
            | Call::Select
            | Call::Pselect(_)
            | Call::Poll
            | Call::Ppoll(_)
            | Call::EpollWait
            | Call::EpollPwait2 => waits::sleep(self, event),
            Call::Futex(_) if waits::is_relative(event) => waits::sleep(self, event),
            Call::Futex(_)
            | Call::FutexWaitv
            | Call::TimerfdSettime(_)
            | Call::TimerSettime(_)
            | Call::MessageQueue(_) => deadlines::answer(self, event),
            Call::Exit => waits::exit(self, event),
            Call::Stat(_) | Call::Lstat(_) | Call::Fstat(_) | Call::Fstatat(_) | Call::Statx => {
                if let Some(clock) = &self.clock {
                    clock.look(&self.tracees, event.tid);
                }
                files::answer(self, event, guise)
            }
            Call::Getrandom => randomness::answer(self, event),
            Call::Uname | Call::OldUname | Call::OldestUname => names::answer(self, event),
            Call::Mount(kind) => {
                self.watch.mounts(event, kind);
                self.views.diverge();
                Answer::Continue
            }
            Call::Diverge => {
                self.views.diverge();
                Answer::Continue
            }
            Call::BecomeUser(count) => self.views.become_user(&self.tracees, event, count),
            Call::BecomeGroup(count) => self.views.become_group(&self.tracees, event, count),
            Call::Link(form) => links::answer(self, event, form, guise),
            Call::Rename(form, flags) => moves::answer(self, event, (form, flags), guise),
            Call::Own(..) => owners::answer(self, event, guise),
        }
    }
}

/// How many processors there are for the trial and its supervisor.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, NonZero::get)
}

/// The host's time when this process began: a trial is set up from then on.
fn own_start(tracees: &Tracees) -> i64 {
    let text = tracees.read_proc("self/stat").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // Field 22 of proc_pid_stat(5), in ticks of 10 ms; the second may hold anything in parentheses.
    let ticks = text
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19))
        .and_then(|word| word.parse::<i64>().ok());
    let age = ticks.map_or(0, |ticks| {
        clock(libc::CLOCK_BOOTTIME) - ticks.saturating_mul(SECOND / 100)
    });
    host_now() - age.max(0)
}

/// A supervisor whose threads run.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Supervisor>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(supervisor: Supervisor, workers: usize) -> Result<Self, Error> {
        let shared = Arc::new(supervisor);
        let mut threads = Vec::new();
        if shared.seeds.is_some() {
            randomness::hold_signals().map_err(|errno| Error::Thread(errno.into()))?;
        }
        for _ in 0..workers {
            threads.push(spawn(&shared, Supervisor::work)?);
        }
        if shared.seeds.is_some() {
            threads.push(spawn(&shared, randomness::feed)?);
        }
        if let Some(clock) = &shared.clock {
            if clock.is_held() {
                threads.push(spawn(&shared, |all| {
                    if let Some(clock) = &all.clock {
                        clock.keep(&all.tracees, || all.stopped());
                    }
                })?);
            }
            threads.push(spawn(&shared, |all| {
                all.loans.keep(&all.tracees, || all.stopped());
            })?);
        }
        Ok(Self { shared, threads })
    }

    /// Ends the supervision of a trial whose processes are gone, and says what happened.
    pub fn finish(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.loans.wake();
        let clock = self.shared.clock.as_ref();
        let unread = clock.and_then(Clockwork::unread);
        let course = clock.and_then(Clockwork::course);
        if let Some(clock) = clock {
            clock.wake();
        }
        // Threads notice the end by themselves (6.11: a waiting RECV returns); one that an older
        // kernel keeps waiting ends with this process.
        let patience = Instant::now() + Duration::from_millis(500);
        while Instant::now() < patience && self.threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_micros(100));
        }
        if let Some(log) = &self.shared.log
            && let Err(error) = log.write(self.shared.processes.all())
        {
            self.shared
                .problem(format!("writing the event log: {error}"));
        }
        let mut unvaried = unvaried::native(&self.shared.processes.all());
        unvaried.extend(self.shared.watch.seen());
        Report {
            problems: lock(&self.shared.problems).iter().cloned().collect(),
            answered: self.shared.answered.load(Ordering::Relaxed),
            continued: self.shared.continued.load(Ordering::Relaxed),
            led: self.shared.sites.as_ref().map_or(0, Sites::led),
            unread,
            course,
            unvaried,
        }
    }
}

fn spawn(shared: &Arc<Supervisor>, work: fn(&Supervisor)) -> Result<JoinHandle<()>, Error> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("supervisor".into())
        .spawn(move || work(&shared))
        .map_err(Error::Thread)
}
