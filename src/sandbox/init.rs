//! The first process of a trial (`pid 1` of its process namespace): carries out the set-up, starts
//! the build as its user, waits for it, ends what it left running, and looks at what it made.

use std::ffi::CString;
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _, stderr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, execve, isatty, pipe2, setsid};

use super::apply::{Stage, apply_to_build, c_strings};
use super::error::{StepError, errno_of};
use super::link::{Link, Word};
use super::protocol::{Ending, Reply, Request, Streams};
use super::snapshots;
use super::supervisor;
use super::sys::{self, Fork};

/// What the supervisor leaves to the first process when it forks it.
#[derive(Debug)]
pub(super) struct Legacy {
    /// To the supervisor.
    pub(super) link: Link,
    /// Where the reply goes.
    pub(super) reply: File,
    /// Where the build's output goes, unless it has a terminal.
    pub(super) output: Option<OwnedFd>,
    /// The user namespaces through which mapped layers are seen.
    pub(super) owner_maps: Vec<OwnedFd>,
    /// The directory that outputs are copied to.
    pub(super) keep: Option<OwnedFd>,
}

/// Why the build's process could not become the build, as it tells its parent.
type Refusal = Result<StepError, String>;

/// Lives the life of the first process.
pub(super) fn run(request: &Request, mut legacy: Legacy) {
    // Where the supervisor died before this call, the link is closed already.
    let armed = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
    if !armed || !matches!(legacy.link.hear(), Ok(Some((Word::Go, _)))) {
        return;
    }
    let reply = trial(request, &mut legacy);
    // The supervisor reports a reply that is missing or cut short.
    let mut writer = BufWriter::new(&mut legacy.reply);
    let _ = serde_json::to_writer(&mut writer, &reply).map(|()| writer.flush());
}

/// The step that needs pseudo-terminals.
pub(super) const TERMINAL_STEP: &str = "open a terminal";

fn refusal(op: Option<usize>, error: StepError, notes: Vec<String>) -> Reply {
    Reply {
        ending: Ending::Refused { op, error },
        snapshot: None,
        snapshot_error: None,
        full: false,
        seconds: 0.0,
        cpu_seconds: 0.0,
        supervisor: None,
        notes,
    }
}

fn trial(request: &Request, legacy: &mut Legacy) -> Reply {
    // Modes of what the set-up makes do not depend on the caller's.
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    let owned_by = (!request.namespaces.user).then_some(request.ids);
    let mut stage = Stage::new(
        request.root.clone(),
        owned_by,
        request.namespaces.user,
        std::mem::take(&mut legacy.owner_maps),
    );
    if !request.namespaces.mount_and_pid {
        // Orphans of the build become our children, so that they can be found and ended.
        if let Err(errno) = nix::sys::prctl::set_child_subreaper(true) {
            return refusal(None, StepError::new("adopt orphans", errno), stage.notes);
        }
    }
    for (number, op) in request.ops.iter().enumerate() {
        if op.is_of_build() {
            continue;
        }
        if let Err(error) = stage.apply(op) {
            return refusal(Some(number), error, stage.notes);
        }
    }
    let began = Instant::now();
    let ending = match start(request, legacy) {
        Ok(child) => wait_for(child),
        Err(Started::Refused(op, error)) => return refusal(op, error, stage.notes),
        Err(Started::Not(why)) => Ending::NotStarted { why },
    };
    let seconds = began.elapsed().as_secs_f64();
    end_all();
    // Hashing large outputs is not the build's time. Where the supervisor is gone, so are we soon.
    let _ = legacy.link.say(Word::Ended, None);
    let mut reply = Reply {
        ending,
        snapshot: None,
        snapshot_error: None,
        full: false,
        seconds,
        cpu_seconds: cpu_seconds(),
        supervisor: None,
        notes: std::mem::take(&mut stage.notes),
    };
    let succeeded = reply.ending == Ending::Exited { code: 0 };
    if succeeded || request.streams.are_callers() {
        snapshots::take(request, &stage.layers, legacy.keep.as_ref(), &mut reply);
    }
    reply
}

/// The build's standard streams.
enum Ends {
    Log {
        input: OwnedFd,
        output: OwnedFd,
    },
    Terminal {
        terminal: OwnedFd,
        /// Standard error leads there as well; else it stays the caller's.
        errors: bool,
    },
    Caller,
}

/// Why the build did not start.
enum Started {
    Refused(Option<usize>, StepError),
    Not(String),
}

fn start(request: &Request, legacy: &mut Legacy) -> Result<Pid, Started> {
    let refuse = |step: &str| {
        let step = step.to_owned();
        move |errno| Started::Refused(None, StepError::new(step, errno))
    };
    let ends = streams(request, legacy).map_err(|error| Started::Refused(None, error))?;
    let (told, tell) = pipe2(OFlag::O_CLOEXEC).map_err(refuse("pipe"))?;
    match sys::fork().map_err(refuse("fork"))? {
        Fork::Child => {
            drop(told);
            let refused = become_build(request, &legacy.link, &ends);
            let mut tell = File::from(tell);
            let told = serde_json::to_vec(&refused).unwrap_or_default();
            // The parent takes silence for a start; its child's code then says otherwise.
            let _ = tell.write_all(&told);
            drop(tell);
            std::process::exit(127)
        }
        Fork::Parent(child) => {
            drop((tell, ends));
            legacy.output = None;
            let mut words = Vec::new();
            File::from(told)
                .read_to_end(&mut words)
                .map_err(|error| refuse("start the build")(errno_of(&error)))?;
            match serde_json::from_slice::<(Option<usize>, Refusal)>(&words) {
                Err(_) => Ok(child),
                Ok((op, Ok(error))) => Err(Started::Refused(op, error)),
                Ok((_, Err(why))) => Err(Started::Not(why)),
            }
        }
    }
}

fn streams(request: &Request, legacy: &mut Legacy) -> Result<Ends, StepError> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let step = |step: &'static str| move |errno| StepError::new(step, errno);
    Ok(match request.streams {
        Streams::Log => Ends::Log {
            input: open("/dev/null", flags, Mode::empty()).map_err(step("open /dev/null"))?,
            output: legacy
                .output
                .take()
                .ok_or_else(|| StepError::new("open the log", Errno::EBADF))?,
        },
        Streams::Terminal { rows, columns } | Streams::Relayed { rows, columns } => {
            let master = open("/dev/ptmx", flags, Mode::empty()).map_err(step(TERMINAL_STEP))?;
            let terminal = sys::open_terminal(&master).map_err(step(TERMINAL_STEP))?;
            sys::set_terminal_size(&master, rows, columns).map_err(step("size the terminal"))?;
            give_stream(&terminal, request);
            legacy
                .link
                .say(Word::Terminal, Some(master.as_fd()))
                .map_err(step("hand over the terminal"))?;
            let errors = !request.streams.are_callers() || isatty(stderr()).unwrap_or(false);
            Ends::Terminal { terminal, errors }
        }
        Streams::Caller => Ends::Caller,
    })
}

/// A build may open its own /dev/stdout again, which asks for permission anew.
pub(super) fn give_stream(stream: impl AsFd, request: &Request) {
    let ids = request.ids;
    let (uid, gid) = (ids.uid.into(), ids.gid.into());
    // Where it is refused (one mapped id), the stream is the build's already.
    let _ = nix::unistd::fchown(stream, Some(uid), Some(gid));
}

/// Turns this process into the build. Returns only if that fails.
fn become_build(request: &Request, link: &Link, ends: &Ends) -> (Option<usize>, Refusal) {
    let step = |step: &str, errno| (None, Ok(StepError::new(step, errno)));
    if let Err(errno) = connect(ends) {
        return step("connect the standard streams", errno);
    }
    if let Err(errno) = sys::forget_inheritance() {
        return step("close inherited descriptors", errno);
    }
    if let Err(error) = trap_calls(request, link) {
        return (None, Ok(error));
    }
    for (number, op) in request.ops.iter().enumerate() {
        if op.is_of_build()
            && let Err(error) = apply_to_build(op)
        {
            return (Some(number), Ok(error));
        }
    }
    (None, Err(execute(request)))
}

/// Puts the build under the filter of the supervisor of system calls, if it has any to answer,
/// while this process still has the power to do so without `no_new_privs`.
fn trap_calls(request: &Request, link: &Link) -> Result<(), StepError> {
    let config = request.supervisor();
    if !request.supervised || !config.needed() {
        return Ok(());
    }
    let listener = supervisor::install_filter(&config)?;
    link.say(Word::Listener, Some(listener.as_fd()))
        .map_err(|errno| StepError::new("hand over the listener of system calls", errno))
}

fn connect(ends: &Ends) -> Result<(), Errno> {
    match ends {
        Ends::Caller => Ok(()),
        Ends::Log { input, output } => {
            setsid()?;
            dup2_stdin(input)?;
            dup2_stdout(output)?;
            dup2_stderr(output)
        }
        Ends::Terminal { terminal, errors } => {
            setsid()?;
            sys::take_terminal(terminal)?;
            dup2_stdin(terminal)?;
            dup2_stdout(terminal)?;
            if *errors {
                dup2_stderr(terminal)?;
            }
            Ok(())
        }
    }
}

/// execve(2) along the build's own `PATH`; returns why it failed.
fn execute(request: &Request) -> String {
    let variables = request
        .variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let (Ok(arguments), Ok(variables)) = (
        c_strings(request.command.iter().cloned()),
        c_strings(variables),
    ) else {
        return "an argument or a variable holds a NUL byte".into();
    };
    let Some(program) = request.command.first() else {
        return "the command is empty".into();
    };
    let path = request.variables.get("PATH").map_or("", String::as_str);
    let mut worst = Errno::ENOENT;
    for candidate in candidates(program, path) {
        let Ok(file) = CString::new(candidate.into_os_string().into_encoded_bytes()) else {
            continue;
        };
        let Err(errno) = execve(&file, &arguments, &variables);
        if errno != Errno::ENOENT && errno != Errno::ENOTDIR {
            worst = errno;
        }
    }
    match worst {
        Errno::ENOENT if !program.contains('/') => {
            let path = once_each(path);
            format!("command not found: {program} (PATH of the trial: {path})")
        }
        errno => format!("cannot run {program}: {}", errno.desc()),
    }
}

/// A list of directories without those that have come before.
fn once_each(path: &str) -> String {
    let mut directories: Vec<&str> = Vec::new();
    for directory in path.split(':') {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories.join(":")
}

fn candidates(program: &str, path: &str) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![PathBuf::from(program)];
    }
    path.split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| Path::new(dir).join(program))
        .collect()
}

/// Waits for the build, and buries orphans meanwhile.
fn wait_for(child: Pid) -> Ending {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ending::Exited { code },
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ending::Killed {
                    signal: signal as i32,
                };
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                let error = StepError::new("wait for the build", errno);
                return Ending::Refused { op: None, error };
            }
        }
    }
}

/// Whatever the build left running ends with it, or it would write while we read.
fn end_all() {
    // Outside of a process namespace "all" would be the host's.
    if nix::unistd::getpid() != Pid::from_raw(1) {
        return end_children();
    }
    // Without processes to kill there is nothing to do.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while !matches!(waitpid(None, None), Err(Errno::ECHILD)) {}
}

/// Kills one generation after the other: whose parent dies becomes our child.
pub(super) fn end_children() {
    loop {
        for child in children() {
            // It may have ended meanwhile.
            let _ = kill(child, Signal::SIGKILL);
        }
        if matches!(waitpid(None, None), Err(Errno::ECHILD)) {
            return;
        }
    }
}

fn children() -> Vec<Pid> {
    let path = format!("/proc/self/task/{}/children", nix::unistd::gettid());
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// All descendants have been waited for: their times add up here.
fn cpu_seconds() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0.0, |usage| {
        [usage.user_time(), usage.system_time()]
            .into_iter()
            .map(|time| {
                let whole = std::time::Duration::from_micros(
                    u64::try_from(time.tv_usec()).unwrap_or_default(),
                );
                whole.as_secs_f64() + u32::try_from(time.tv_sec()).map_or(0.0, f64::from)
            })
            .sum()
    })
}
