//! Builds and outputs as they go wrong: each has its exit code and a message that names the thing
//! and the way out, and leaves the source as it was.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail loudly, in its helpers as well"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use reprobe::snapshot::walk::sorted_entries;
use tempfile::TempDir;

/// A source tree with an old product.
fn tree() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("dist")).unwrap();
    fs::write(directory.path().join("dist/old.tar"), "old\n").unwrap();
    fs::write(directory.path().join("a.txt"), "a\n").unwrap();
    directory
}

/// Names, contents, modes and times of a tree.
fn state(directory: &Path) -> Vec<(String, Vec<u8>, u32, i64, i64)> {
    let mut all = Vec::new();
    for entry in sorted_entries(directory).unwrap() {
        let metadata = entry.path.symlink_metadata().unwrap();
        let content = if metadata.is_file() {
            fs::read(&entry.path).unwrap_or_default()
        } else {
            Vec::new()
        };
        let name = entry.path.display().to_string();
        let times = (metadata.mtime(), metadata.mtime_nsec());
        all.push((name, content, metadata.mode(), times.0, times.1));
        if metadata.is_dir() {
            all.extend(state(&entry.path));
        }
    }
    all
}

/// Runs a check of one variation; asserts the exit code and what was said, in one line.
#[track_caller]
fn check(source: &Path, options: &[&str], build: &str, code: i32, said: &[&str]) {
    let before = state(source);
    let state_of_sessions = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_reprobe"))
        .args(["check", "--only", "umask"])
        .args(options)
        .arg(source)
        .args(["--", build])
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", state_of_sessions.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8(all).unwrap();
    let line = all.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(code), "{all}");
    for said in said {
        assert!(line.contains(said), "{said:?} is not in:\n{all}");
    }
    assert_eq!(state(source), before, "the source was changed");
}

#[test]
fn sources_that_are_none_are_named() {
    let tree = tree();
    let missing = tree.path().join("nowhere");
    let file = tree.path().join("a.txt");
    let run = |source: &Path, said: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_reprobe"))
            .arg("check")
            .arg(source)
            .args(["--", "true"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{text}");
    };
    run(&missing, "nowhere: No such file or directory");
    run(&file, "a.txt is not a directory");
}

#[test]
fn a_build_that_makes_nothing_gets_no_verdict() {
    let tree = tree();
    let source = tree.path();
    check(
        source,
        &[],
        "true",
        125,
        &["created or changed nothing in the build tree"],
    );
    let old = "dist/old.tar stood in the source already";
    check(source, &["-o", "dist/*"], "true", 125, &[old, "--clean"]);
    let none = "nothing that matches x*, nor anything else";
    check(source, &["-o", "x*"], "true", 125, &[none]);
}

#[test]
fn outputs_that_no_pattern_matches_are_named_and_nothing_is_built_again() {
    let tree = tree();
    let build = "mkdir build; touch a.o build/1 build/2 build/3 build/4 ../up";
    let said = [
        "nothing that matches x*; it made ../up, build/1, build/2, build/3, build/4 and 1 more: \
         name what is to be judged with -o",
        "1 trial (1 control)",
    ];
    check(tree.path(), &["-o", "x*", "-j", "2"], build, 125, &said);
    // Files right beside the tree would be judged, but for a tree in /tmp itself.
    let said = ["nothing in the build tree", "it made ../up/x: name"];
    check(tree.path(), &[], "mkdir ../up; touch ../up/x", 125, &said);
    let said = [
        "dist/old.tar stood in the source already",
        "it made y: name",
    ];
    check(tree.path(), &["-o", "dist/*"], "touch y", 125, &said);
}

#[test]
fn a_control_that_fails_says_how_and_what_it_said_last() {
    let tree = tree();
    let source = tree.path();
    check(
        source,
        &[],
        "no-such-program",
        125,
        &["no-such-program: not found"],
    );
    let log = ["exit code 3", "first second Its log:"];
    check(source, &[], "echo first; echo second; exit 3", 125, &log);
    // It is told of once, and nothing else is tried.
    check(
        source,
        &[],
        "exit 3",
        125,
        &["1 trial (1 control); trial 0 failed"],
    );
    let late = ["did not end within 1 s"];
    check(source, &["--timeout", "1s"], "sleep 60", 125, &late);
    let closed = "python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 5)'";
    let said = [
        "Network is unreachable The network was closed to it",
        "--prepare",
        "--network",
    ];
    check(source, &[], closed, 125, &said);
}

#[test]
fn a_file_beside_the_source_that_a_build_misses_is_explained() {
    let parent = tempfile::tempdir().unwrap();
    let source = parent.path().join("app");
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(parent.path().join("shared"), "").unwrap();
    let said = [
        "the directory above the source holds nothing but the source, and ../../shared is not in it",
        "reprobe check -o 'app/PATTERN'",
        "'cd app && COMMAND'",
    ];
    check(&source, &[], "cd sub; cp ../../shared .", 125, &said);
    let build = "cd app && cp ../shared copy";
    let said = ["1 output is identical"];
    check(parent.path(), &["-o", "app/copy"], build, 0, &said);
}

#[test]
fn a_build_that_does_not_end_is_tried_with_a_running_clock_only_where_it_reads_the_clock() {
    let tree = tree();
    let sessions = tempfile::tempdir().unwrap();
    let again = |build: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_reprobe"))
            .args(["check", "--only", "umask", "--timeout", "2s"])
            .arg(tree.path())
            .args(["--", build])
            .env("XDG_STATE_HOME", sessions.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.contains("did not end within 2 s"), "{text}");
        line.contains("tried with a running one, too")
    };
    assert!(!again("date; sleep 60"));
    let doctor = Command::new(env!("CARGO_BIN_EXE_reprobe"))
        .arg("doctor")
        .output();
    if String::from_utf8_lossy(&doctor.unwrap().stdout).contains("\n  time ") {
        println!("skipped: no held clock");
        assert!(std::env::var_os("REPROBE_REQUIRE").is_none());
        return;
    }
    assert!(again("while :; do date; sleep 0.1; done"));
}

/// A build that fails for want of room is no build that fails, wherever it shows first.
#[test]
fn a_full_scratch_directory_is_named_with_the_way_out() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can mount");
        assert!(std::env::var_os("REPROBE_REQUIRE").is_none());
        return;
    }
    let (tree, small) = (tree(), tempfile::tempdir().unwrap());
    let program = env!("CARGO_BIN_EXE_reprobe");
    let place = small.path().display();
    for build in [
        "head -c 5000000 /dev/zero >big",
        "yes | head -c 20000000",
        "head -c 2500000 /dev/zero >big; yes | head -c 3000000",
    ] {
        let script = format!(
            "mount -t tmpfs -o size=3m none {place}; TMPDIR={place} {program} check -- '{build}'"
        );
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .current_dir(tree.path())
            .env("XDG_STATE_HOME", tree.path().join("state"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(125), "{build}: {said}");
        assert!(
            line.contains("set TMPDIR to a directory with more room"),
            "{build}: {said}"
        );
    }
}

#[test]
fn broken_archives_are_compared_as_a_whole_and_said_to_be() {
    let tree = tree();
    let cut = "seq 9999 | gzip -n | head -c 500 >x.gz";
    let said = ["REPRODUCIBLE", ": 1 output is identical", "x.gz: "];
    check(tree.path(), &["-o", "x.gz"], cut, 0, &said);
    let cut = "(umask; seq 9999) | gzip -n | head -c 500 >x.gz";
    let said = ["NOT REPRODUCIBLE: 1 of 1 output differs because of umask"];
    check(tree.path(), &["-o", "x.gz"], cut, 1, &said);
    let cut = "tar -cf - a.txt | head -c 700 >x.tar; head -c 90 x.tar >x.zip";
    check(
        tree.path(),
        &["-o", "x.*"],
        cut,
        0,
        &["2 outputs are identical", "x.tar!/a.txt: truncated"],
    );
}

#[test]
fn odd_outputs_are_compared_without_being_opened_or_filling_memory() {
    let tree = tree();
    let build = "truncate -s 3G sparse; mkfifo fifo; ln -s nowhere link; echo >\"$(printf 'a\\351')\"; \
                 python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'";
    let said = [
        "5 outputs are identical",
        "a\\xe9 same",
        "fifo same",
        "socket same",
        "sparse same",
    ];
    check(tree.path(), &["-o", "*"], build, 0, &said);
}

#[test]
fn a_file_that_may_not_be_read_stops_only_builds_that_read_it() {
    let tree = tree();
    let source = tree.path();
    let closed = source.join("closed");
    fs::write(&closed, "secret\n").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    check(
        source,
        &["-o", "y"],
        "echo >y",
        0,
        &["1 output is identical"],
    );
    if !nix::unistd::geteuid().is_root() {
        let said = ["closed: Permission denied"];
        check(source, &["-o", "y"], "cat closed >y", 125, &said);
    }
}
