//! Runs one command under the supervisor alone, without a sandbox: what the tests and benchmarks
//! of the supervisor drive.
//!
//! `supervise CONFIG-JSON REPORT-FILE COMMAND [ARGUMENT..]`

use std::error::Error;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv,
    recvmsg, send, sendmsg, socketpair,
};
use reprobe::sandbox::supervisor::{self, Config};
use reprobe::sandbox::sys;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [inside, socket, config, command @ ..] if inside == "--inside" => {
            Err(under_filter(socket.parse()?, &serde_json::from_str(config)?, command)?.into())
        }
        [config, report, command @ ..] if !command.is_empty() => supervise(config, report, command),
        _ => Err("usage: supervise CONFIG-JSON REPORT-FILE COMMAND [ARGUMENT..]".into()),
    }
}

/// Installs the filter, hands the listener over, and becomes the command.
fn under_filter(
    socket: RawFd,
    config: &Config,
    command: &[String],
) -> Result<std::io::Error, Box<dyn Error>> {
    if config.needed() {
        let listener = supervisor::install_filter(config)?;
        let rights = [listener.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&rights)];
        sendmsg::<()>(
            socket,
            &[IoSlice::new(b"l")],
            &message,
            MsgFlags::empty(),
            None,
        )?;
    } else {
        send(socket, b"n", MsgFlags::empty())?;
    }
    recv(socket, &mut [0], MsgFlags::empty())?;
    nix::unistd::close(socket)?;
    let (program, arguments) = command.split_first().ok_or("no command")?;
    Ok(Command::new(program).args(arguments).exec())
}

fn supervise(config: &str, report: &str, command: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    // Whoever is left behind stays below the supervisor, as in a trial.
    nix::sys::prctl::set_child_subreaper(true)?;
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::empty(),
    )?;
    nix::fcntl::fcntl(
        &ours,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
    )?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--inside", &theirs.as_raw_fd().to_string(), config])
        .args(command)
        .spawn()?;
    drop(theirs);
    let running = match receive(&ours)? {
        None => None,
        Some(listener) => {
            let log = std::env::var_os("SUPERVISE_LOG")
                .map(std::fs::File::create)
                .transpose()?;
            Some(supervisor::start(
                listener,
                &serde_json::from_str(config)?,
                log,
            )?)
        }
    };
    send(ours.as_raw_fd(), b"g", MsgFlags::empty())?;
    let status = child.wait()?;
    if let Some(running) = running {
        std::fs::write(report, serde_json::to_vec(&running.finish())?)?;
    }
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(u8::try_from(code.unwrap_or(125))?))
}

fn receive(socket: &OwnedFd) -> Result<Option<OwnedFd>, Box<dyn Error>> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!(RawFd);
    let mut slices = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    if message.bytes == 0 {
        return Err("the command ended before it was supervised".into());
    }
    let mut received = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            received.extend(sys::adopt_received(&numbers));
        }
    }
    Ok(received.pop())
}
