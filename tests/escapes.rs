//! Builds do not reach the host: known ways out of a sandbox, each tried by a build, as root and as an
//! ordinary user, and where the user is varied as well.
//!
//! Every probe reaches something where nothing holds it: 37 of them did for root before its builds lost
//! the powers that `src/sandbox/apply/powers.rs` lists (the others were held already).

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod ordinary;

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

const PROBES: usize = 78;

/// Runs the probes as one build; what they say, line by line.
fn probe(words: &[&str]) -> Vec<String> {
    // No trial sees the host's /tmp.
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(dir.path().join("beside")).unwrap();
    fs::create_dir(&source).unwrap();
    let secret = dir.path().join("beside/secret");
    fs::write(&secret, "secret\n").unwrap();
    let probes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escapes/probes.py");
    fs::copy(probes, source.join("probes.py")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_reprobe"))
        .arg("exec")
        .args(words)
        .arg(&source)
        .args(["--", "/usr/bin/python3", "probes.py"])
        .arg(&secret)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said.lines().map(str::to_owned).collect()
}

fn held(words: &[&str]) {
    let said = probe(words);
    assert!(said.len() >= PROBES, "{said:#?}");
    let out: Vec<&String> = said.iter().filter(|line| !line.contains(" held")).collect();
    assert!(out.is_empty(), "{out:#?}");
}

#[test]
fn no_known_way_leads_a_build_to_the_host() {
    held(&[]);
}

/// Runs all of this once more as somebody who is not root.
#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    ordinary::again();
}

#[test]
fn nor_one_of_another_user() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can vary the user");
        return;
    }
    held(&["--vary", "user,source-owner"]);
}
