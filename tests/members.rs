//! Archives of many members take little memory. A test binary of its own: it looks at all processes that
//! it ever started.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// An archive of 100 000 members, read in a trial and compared in the front end.
#[test]
fn archives_of_many_members_take_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("x"), archive()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let children = nix::sys::resource::UsageWho::RUSAGE_CHILDREN;
    let reprobe = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reprobe"));
        command
            .args(words)
            .current_dir(directory.path())
            .env("XDG_STATE_HOME", state.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let said = |child: Child| {
        let output = child.wait_with_output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    // The journal is looked at when a session is stopped, and read when it goes on.
    let check = [
        "check",
        "--only",
        "umask",
        "-o",
        "*.tar",
        "--",
        "cp x x.tar",
    ];
    let mut child = reprobe(&check);
    let journal = state.path().join("reprobe/1/journal");
    while !journal
        .metadata()
        .is_ok_and(|journal| journal.len() > 1 << 20)
    {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before");
        sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let stopped = said(child);
    assert!(stopped.contains("reprobe check --resume 1"), "{stopped}");
    let whole = said(reprobe(&["check", "--resume", "1"]));
    assert!(whole.contains("REPRODUCIBLE"), "{whole}");
    // Of the process that took most, in KiB: getrusage(2).
    let most = nix::sys::resource::getrusage(children).unwrap().max_rss();
    assert!(most < 200 << 10, "{most} KiB");
}

/// A tar(5) archive of 100 000 members.
fn archive() -> Vec<u8> {
    let mut archive = Vec::new();
    for number in 0..100_000 {
        let mut header = [0; 512];
        header[..8].copy_from_slice(format!("m/{number:06}").as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(b"00000000006");
        header[136..147].copy_from_slice(b"14000000000");
        header[148..156].fill(b' ');
        header[257..263].copy_from_slice(b"ustar\0");
        header[263..265].copy_from_slice(b"00");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        let mut content = [0; 512];
        content[..6].copy_from_slice(format!("{number:06}").as_bytes());
        archive.extend(header);
        archive.extend(content);
    }
    archive.extend([0; 1024]);
    archive
}
