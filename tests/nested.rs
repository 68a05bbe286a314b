//! Builds that make sandboxes of their own: what works in a trial as it does outside.
#![expect(clippy::unwrap_used, reason = "a test says why it fails")]

mod ordinary;

use std::fs;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A build in a namespace of processes of its own, as Bazel, flatpak-builder and mkosi have them.
const SANDBOX: &str = "bwrap --ro-bind / / --bind \"$PWD\" \"$PWD\" --proc /proc --dev /dev \
                       --tmpfs /tmp --unshare-all sh -c 'echo /proc/[0-9]* >o'";

fn reprobe(tree: &TempDir, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reprobe"))
        .args(words)
        .current_dir(tree.path().join("tree"))
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", tree.path().join("state"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A source tree, and beside it a place for sessions.
fn tree() -> TempDir {
    let tree = TempDir::new().unwrap();
    fs::create_dir(tree.path().join("tree")).unwrap();
    fs::write(tree.path().join("tree/a"), "a\n").unwrap();
    tree
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_sandbox_in_the_sandbox_has_a_proc_of_its_own_and_that_is_said() {
    // As root it would open the settings of the host's kernel: `docs/security.md`.
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let output = reprobe(&tree(), &["check", "-o", "o", "--", SANDBOX]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("mounts a /proc of its own"), "{said}");
    let shows = "unshare --user --map-root-user --mount --pid --fork --mount-proc sh -c 'echo $$; uname -r'";
    let output = reprobe(&tree(), &["exec", "--vary", "kernel", "--", shows]);
    assert!(output.stdout.starts_with(b"1\n"), "{output:?}");
}

#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    ordinary::again();
}
