//! The process that watches over one trial from outside: makes its namespaces, writes its id maps,
//! collects what the build says, ends it in time, and dies with the front end, whereupon the
//! trial's first process and with it all others die.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getppid, pipe2};

use super::error::{StepError, errno_of};
use super::init::{self, Legacy, give_stream};
use super::link::{Link, Word};
use super::log::{Log, append_to};
use super::namespaces::{namespace_of, namespaces_refused, write_maps};
use super::protocol::{Ending, Reply, Request, Streams, files};
use super::relay::Relay;
use super::scratch::{is_full, remove_tree};
use super::supervisor;
use super::sys::{self, Fork};
use crate::snapshot::Keep;

/// The name under which the program runs this.
pub(super) const ROLE: &str = "__supervise";

/// Milliseconds after which a terminal that nobody had open is looked at again.
const REST: u8 = 50;

/// So many pieces of a build's output are moved before anything else is looked at.
const PIECES: usize = 16;

/// Lives the life of a supervisor: reads the request in `dir`, leaves the reply there. `parent` is
/// the front end that it dies with; a trial that is run again by hand has none.
pub(super) fn run(dir: &Path, parent: Option<Pid>) -> Result<(), String> {
    let text = fs::read(dir.join(files::REQUEST)).map_err(|error| error.to_string())?;
    let request: Request = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    // Without a process namespace it must survive the front end to end the build.
    let front_end = follow(parent, request.namespaces.mount_and_pid)
        .map_err(|errno| format!("follow the front end: {errno}"))?;
    let mut reply = Supervisor::start(&request, front_end)
        .and_then(Supervisor::watch)
        .unwrap_or_else(refusal);
    reply.full = is_full(dir);
    let partial = dir.join("reply.partial");
    let write = || {
        let mut writer = BufWriter::new(File::create(&partial)?);
        serde_json::to_writer(&mut writer, &reply)?;
        writer.flush()?;
        fs::rename(&partial, dir.join(files::REPLY))
    };
    write()
        .or_else(|_| {
            // On a full disk the build's own files make room.
            remove_tree(&dir.join("layers"))?;
            write()
        })
        .map_err(|error| format!("write the reply: {error}"))
}

/// Dies when the front end dies. The descriptor closes the gap: the front end may be dead already.
fn follow(parent: Option<Pid>, dies_with_it: bool) -> Result<Option<OwnedFd>, Errno> {
    let Some(parent) = parent else {
        return Ok(None);
    };
    if dies_with_it {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    }
    if getppid() != parent {
        return Err(Errno::ESRCH);
    }
    match sys::pidfd_open(parent) {
        Ok(fd) => Ok(Some(fd)),
        // Before Linux 5.3 the signal alone must do.
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn refusal(error: StepError) -> Reply {
    Reply {
        ending: Ending::Refused { op: None, error },
        snapshot: None,
        snapshot_error: None,
        full: false,
        seconds: 0.0,
        cpu_seconds: 0.0,
        supervisor: None,
        notes: Vec::new(),
    }
}

struct Supervisor {
    front_end: Option<OwnedFd>,
    /// Somebody asks for an end.
    signals: SignalFd,
    /// Without a process namespace, ending the first process does not end the others.
    alone: bool,
    link: Link,
    link_closed: bool,
    init: Pid,
    init_fd: OwnedFd,
    /// Where the build's output comes from: a pipe or a terminal.
    output: Option<OwnedFd>,
    /// A terminal that nobody has open at the moment. To close it would hang up on the build, which
    /// may only be closing its streams before it exits, as rm(1) does.
    resting: Option<OwnedFd>,
    log: Log,
    /// Between the caller's terminal and that of the build, which the caller is at.
    relay: Option<Relay>,
    /// What the first process says; it shares the file.
    inside: File,
    began: Instant,
    deadline: Option<Instant>,
    config: supervisor::Config,
    /// Where readings are written down.
    events: Option<File>,
    /// Answers the system calls of the build.
    answering: Option<supervisor::Running>,
    /// Why nobody does.
    mute: Option<StepError>,
}

fn step(step: &'static str) -> impl FnOnce(Errno) -> StepError {
    move |errno| StepError::new(step, errno)
}

fn file_step(step: &'static str) -> impl FnOnce(std::io::Error) -> StepError {
    move |error| StepError::new(step, errno_of(&error))
}

impl Supervisor {
    fn start(request: &Request, front_end: Option<OwnedFd>) -> Result<Self, StepError> {
        let signals = hold_signals()?;
        let relay = Relay::of(request.streams).map_err(step("follow the size of the terminal"))?;
        if !request.namespaces.mount_and_pid {
            nix::sys::prctl::set_child_subreaper(true).map_err(step("adopt orphans"))?;
        }
        let owner_maps = request.owner_maps.iter().map(namespace_of);
        let owner_maps = owner_maps.collect::<Result<Vec<_>, _>>()?;
        let (link, far_link) = Link::pair().map_err(step("socket pair"))?;
        let log = Log::open(&request.log)?;
        let events = open_events(request)?;
        // In memory, for the build may have filled the disk.
        let reply =
            memfd_create(c"reply", MFdFlags::MFD_CLOEXEC).map_err(step("memory for the reply"))?;
        let reply = File::from(reply);
        let (output, far_output) = output_pipe(request)?;
        let keep = request.keep.as_ref().map(open_directory).transpose()?;
        match sys::fork_into(request.namespaces.flags()).map_err(namespaces_refused)? {
            Fork::Child => {
                drop((link, output, log, front_end, signals, relay));
                init::run(
                    request,
                    Legacy {
                        link: far_link,
                        reply,
                        output: far_output,
                        owner_maps,
                        keep,
                    },
                );
                std::process::exit(0)
            }
            Fork::Parent(init) => {
                drop((far_link, far_output));
                let init_fd = sys::pidfd_open(init).map_err(step("pidfd of the trial"))?;
                let began = Instant::now();
                let timeout = Duration::try_from_secs_f64(request.timeout).ok();
                let supervisor = Self {
                    front_end,
                    signals,
                    alone: !request.namespaces.mount_and_pid,
                    link,
                    link_closed: false,
                    init,
                    init_fd,
                    output,
                    resting: None,
                    log,
                    relay,
                    inside: reply,
                    began,
                    deadline: timeout.and_then(|timeout| began.checked_add(timeout)),
                    config: request.supervisor(),
                    events,
                    answering: None,
                    mute: None,
                };
                supervisor.release(request)?;
                Ok(supervisor)
            }
        }
    }

    /// Maps the ids of the trial and lets it begin; ends it where that fails.
    fn release(&self, request: &Request) -> Result<(), StepError> {
        let released = match &request.user_map {
            Some(maps) => write_maps(self.init, maps, true),
            None => Ok(()),
        };
        let released = released.and_then(|()| {
            self.link
                .say(Word::Go, None)
                .map_err(step("let the trial begin"))
        });
        if released.is_err() {
            let _ = sys::pidfd_kill(&self.init_fd);
            let _ = waitpid(self.init, None);
        }
        released
    }

    /// Watches until the trial's first process has ended.
    fn watch(mut self) -> Result<Reply, StepError> {
        let mut timed_out = false;
        loop {
            let ready = self.poll()?;
            if ready.end {
                self.end_unheard();
            }
            if ready.output || self.resting.is_some() {
                self.pump();
            }
            self.hand_on(&ready);
            if ready.link {
                self.listen();
            }
            if ready.init {
                break;
            }
            if self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
            {
                timed_out = true;
                sys::pidfd_kill(&self.init_fd).map_err(step("kill the trial"))?;
                self.deadline = None;
            }
        }
        waitpid(self.init, None).map_err(step("wait for the trial"))?;
        if self.alone {
            init::end_children();
        }
        while self.pump() {}
        let report = self.answering.take().map(supervisor::Running::finish);
        if let Some(error) = self.mute.take() {
            return Err(error);
        }
        let mut reply = self.reply(timed_out)?;
        if let Some(report) = &report {
            reply.notes.extend(report.problems.iter().cloned());
        }
        reply.supervisor = report;
        Ok(reply)
    }

    /// Nobody waits for an answer any more.
    fn end_unheard(&self) -> ! {
        // If it is gone already, so much the better.
        let _ = sys::pidfd_kill(&self.init_fd);
        let _ = waitpid(self.init, None);
        if self.alone {
            init::end_children();
        }
        std::process::exit(1)
    }

    /// Without answers the build would wait for ever.
    fn answer(&mut self, listener: OwnedFd) {
        match supervisor::start(listener, &self.config, self.events.take()) {
            Ok(running) => self.answering = Some(running),
            Err(error) => {
                self.mute = Some(error.into());
                // If it is gone already, so much the better.
                let _ = sys::pidfd_kill(&self.init_fd);
            }
        }
    }

    fn reply(&self, timed_out: bool) -> Result<Reply, StepError> {
        (&self.inside)
            .seek(SeekFrom::Start(0))
            .map_err(file_step("read the reply"))?;
        // It may tell of millions of elements.
        match serde_json::from_reader(BufReader::new(&self.inside)) {
            Ok(reply) => Ok(reply),
            Err(_) if timed_out => Ok(Reply {
                ending: Ending::TimedOut,
                snapshot: None,
                snapshot_error: None,
                full: false,
                seconds: self.began.elapsed().as_secs_f64(),
                cpu_seconds: 0.0,
                supervisor: None,
                notes: Vec::new(),
            }),
            Err(_) => Err(StepError::new("reply of the trial", Errno::EPIPE)
                .hint("its first process was killed: is there enough memory?")),
        }
    }

    fn poll(&self) -> Result<Ready, StepError> {
        let wait = match self.deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Rounded up, so that the deadline has passed when it ends.
                let left = left.saturating_add(Duration::from_millis(1));
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        // Somebody may open the terminal again.
        let wait = match self.resting {
            Some(_) => wait.min(PollTimeout::from(REST)),
            None => wait,
        };
        let relay = self.relay.as_ref();
        let keys = relay.and_then(Relay::keys);
        let watched: [Option<BorrowedFd<'_>>; 7] = [
            self.front_end.as_ref().map(AsFd::as_fd),
            Some(self.signals.as_fd()),
            self.output.as_ref().map(AsFd::as_fd),
            Some(self.link.as_fd()).filter(|_| !self.link_closed),
            Some(self.init_fd.as_fd()),
            keys,
            relay.map(Relay::resized),
        ];
        let mut fds: Vec<PollFd<'_>> = watched
            .iter()
            .flatten()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        // Others than the terminal never hold what is written to them.
        if relay.is_some_and(Relay::waits) {
            let output = self.output.iter();
            fds.extend(output.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLOUT)));
        }
        match poll(&mut fds, wait) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(StepError::new("poll", errno)),
        }
        let mut states = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let mut next = |present: bool| present && states.next().unwrap_or(false);
        Ok(Ready {
            end: next(self.front_end.is_some()) | next(true),
            output: next(self.output.is_some()),
            link: next(!self.link_closed),
            init: next(true),
            keys: next(keys.is_some()),
            resized: next(relay.is_some()),
        })
    }

    /// Moves what the build has said into the log. Whether there may be more: who never stops talking
    /// must not keep us from all else.
    fn pump(&mut self) -> bool {
        let Some(output) = self.output.take().or_else(|| self.resting.take()) else {
            return false;
        };
        let mut output = File::from(output);
        let mut buffer = vec![0; 1 << 16];
        for _ in 0..PIECES {
            match output.read(&mut buffer) {
                // All writers are gone.
                Ok(0) => return false,
                Ok(count) => self.write_log(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.output = Some(output.into());
                    return false;
                }
                // EIO is what a terminal says then.
                Err(_) => {
                    self.resting = Some(output.into());
                    return false;
                }
            }
        }
        self.output = Some(output.into());
        true
    }

    /// From the caller's terminal to the build's.
    fn hand_on(&mut self, ready: &Ready) {
        let Some(relay) = &mut self.relay else {
            return;
        };
        if ready.keys {
            relay.take();
        }
        if let Some(terminal) = self.output.as_ref().or(self.resting.as_ref()) {
            if ready.resized {
                relay.resize(terminal);
            }
            if relay.waits() {
                relay.send(terminal);
            }
        }
    }

    fn write_log(&mut self, bytes: &[u8]) {
        match self.relay {
            Some(_) => Relay::show(bytes),
            None => self.log.write(bytes),
        }
    }

    fn listen(&mut self) {
        match self.link.hear() {
            Ok(Some((Word::Listener, Some(listener)))) => self.answer(listener),
            Ok(Some((Word::Ended, _))) => self.deadline = None,
            Ok(Some((Word::Terminal, Some(master)))) => {
                let _ = fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
                self.output = Some(master);
            }
            Ok(Some(_)) | Err(_) => {}
            // Closed: the trial is about to end, which the pidfd tells.
            Ok(None) => self.link_closed = true,
        }
    }
}

/// A terminal's interrupt is meant for the build, if it has the terminal, or for the front end,
/// which ends us: by the signals that the descriptor tells of.
fn hold_signals() -> Result<SignalFd, StepError> {
    let mut blocked = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]);
    let end = SigSet::from_iter([Signal::SIGTERM, Signal::SIGHUP]);
    blocked.extend(&end);
    blocked.thread_set_mask().map_err(step("block signals"))?;
    SignalFd::with_flags(&end, SfdFlags::SFD_CLOEXEC).map_err(step("signals"))
}

/// The build's output where it has no terminal; our end does not block.
fn output_pipe(request: &Request) -> Result<(Option<OwnedFd>, Option<OwnedFd>), StepError> {
    if request.streams != Streams::Log {
        return Ok((None, None));
    }
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(step("pipe"))?;
    fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(step("pipe"))?;
    give_stream(&write, request);
    Ok((Some(read), Some(write)))
}

/// Who has something to say.
#[expect(clippy::struct_excessive_bools, reason = "one for each descriptor")]
struct Ready {
    end: bool,
    output: bool,
    link: bool,
    init: bool,
    keys: bool,
    resized: bool,
}

fn open_events(request: &Request) -> Result<Option<File>, StepError> {
    let Some(_) = &request.focus else {
        return Ok(None);
    };
    append_to(&request.log.with_file_name(files::EVENTS)).map(Some)
}

fn open_directory(keep: &Keep) -> Result<OwnedFd, StepError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY)
        .open(&keep.directory)
        .map_err(file_step("open the directory for outputs"))?;
    Ok(file.into())
}

/// Says why there is no reply; the front end finds it in the trial's directory.
pub(super) fn complain(message: &str) {
    // Where standard error is closed, nobody listens.
    let _ = writeln!(std::io::stderr(), "{message}");
}
