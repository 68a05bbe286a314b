//! The program as its users meet it: command lines, messages, exit codes, files that it writes.
//! What the sandbox and the search do is tested where they are.

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail loudly, in its helpers as well"
)]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// `reprobe` in a directory, with an environment that changes nothing of its words.
fn reprobe(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprobe"));
    command
        .args(words)
        .current_dir(directory)
        .env_remove("CLICOLOR_FORCE")
        .env_remove("COLUMNS")
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null());
    command
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(directory: &Path, words: &[&str]) -> Ran {
    ran(reprobe(directory, words).output().unwrap())
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    #[track_caller]
    fn expect(self, code: i32, said: &str) -> Self {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{all}");
        let words = all.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(said), "{said:?} is not in:\n{all}");
        self
    }
}

/// A source tree with one file.
fn tree() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.txt"), "a\n").unwrap();
    directory
}

#[test]
fn a_wrong_command_line_exits_with_2_and_says_what_is_right() {
    let tree = tree();
    let wrong = |words: &[&str], said: &str| {
        run(tree.path(), words).expect(2, said);
    };
    wrong(&[], "Usage: reprobe <COMMAND>");
    wrong(&["chekc"], "check");
    wrong(
        &["check", "--only", "tiem", "--", "true"],
        "did you mean `time`?",
    );
    wrong(
        &["check", "--skip", "nothing-like-it", "--", "true"],
        "no variation is named",
    );
    wrong(&["check", "--only", "", "--", "true"], "empty name");
    wrong(&["check", "--only=-umask", "--", "true"], "--skip umask");
    wrong(
        &["check", "--only", "umask", "--skip", "umask", "--", "true"],
        "leaves nothing to vary",
    );
    wrong(
        &["check", "missing", "--", "true"],
        "find the source directory missing",
    );
    wrong(&["check", "a.txt", "--", "true"], "not a directory");
    wrong(
        &["check", "--json", "no/f.json", "--", "true"],
        "--json no/f.json",
    );
    wrong(&["check", "--keep", ".", "--", "true"], "not empty");
    wrong(
        &["check", "--timeout", "soon", "--", "true"],
        "90s, 10m or 1h30m",
    );
    wrong(&["check", "-o", "[", "--", "true"], "--output");
    wrong(&["exec"], "COMMAND");
    wrong(
        &["check", ".", "tar", "czf", "a b.tgz", "."],
        "reprobe check . -- tar czf 'a b.tgz' .",
    );
    wrong(
        &["exec", "--vary", "tiem", "--", "true"],
        "did you mean `time`?",
    );
}

#[test]
fn what_cannot_be_decided_exits_with_125() {
    let tree = tree();
    run(tree.path(), &["check"]).expect(125, "nothing says how to build");
    run(tree.path(), &["check", "--only", "umask", "--", "exit 3"]).expect(
        125,
        "COULD NOT DECIDE: the unvaried build failed (trial 0): exit code 3",
    );
    run(
        tree.path(),
        &["check", "--only", "umask", "--", "no-such-program-here"],
    )
    .expect(125, "no-such-program-here");
    run(tree.path(), &["check", "--only", "umask", "--", "true"])
        .expect(125, "created or changed nothing");
    run(
        tree.path(),
        &["check", "--only", "umask", "-o", "a.txt", "--", "true"],
    )
    .expect(125, "stood in the source already");
    run(
        tree.path(),
        &[
            "check",
            "--only",
            "umask",
            "--timeout",
            "1s",
            "--",
            "sleep 60",
        ],
    )
    .expect(125, "did not end within 1 s");
    fs::write(
        tree.path().join("reprobe.toml"),
        "[biuld]\ncommand = 'true'\n",
    )
    .unwrap();
    run(tree.path(), &["check"]).expect(125, "build");
}

#[test]
fn a_build_that_sleeps_as_runtimes_do_and_looks_at_the_clock_keeps_a_held_one() {
    let tree = tree();
    let doctor = run(tree.path(), &["doctor"]);
    if doctor.out.contains("\n  time ") || !Path::new("/usr/bin/python3").exists() {
        println!("skipped: no held clock, or no /usr/bin/python3");
        assert!(std::env::var_os("REPROBE_REQUIRE").is_none());
        return;
    }
    let script = "import threading, time; start = time.time(); threading.Event().wait(0.2); \
        assert time.time() - start >= 0.2; print(time.time())";
    fs::write(tree.path().join("test.py"), script).unwrap();
    let line = "/usr/bin/python3 -S test.py >out";
    let check = run(
        tree.path(),
        &["check", "--only", "umask", "-o", "out", "--", line],
    );
    check.expect(
        0,
        "a thread that has waited for a time finds that it has passed",
    );
}

#[test]
fn the_same_outputs_exit_with_0_and_different_ones_with_1() {
    let tree = tree();
    run(
        tree.path(),
        &["check", "--only", "umask,timezone", "--", "echo hi > x"],
    )
    .expect(0, "REPRODUCIBLE under 2 of ");
    let differing = run(
        tree.path(),
        &[
            "check",
            "--only",
            "umask,timezone",
            "--",
            "echo hi > x; umask > y",
        ],
    )
    .expect(1, "NOT REPRODUCIBLE: 1 of 2 outputs");
    assert!(
        differing.out.contains("y  differs: umask"),
        "{}",
        differing.out
    );
    assert!(
        differing.err.contains("varying timezone, umask"),
        "{}",
        differing.err
    );
    let left: Vec<_> = reprobe::snapshot::walk::sorted_entries(tree.path()).unwrap();
    assert_eq!(left.len(), 1, "the source tree was changed");
}

#[test]
fn json_follows_the_schema_and_takes_standard_output_for_itself() {
    let tree = tree();
    let words = [
        "check",
        "--only",
        "umask",
        "--seed",
        "7",
        "--json",
        "-",
        "--",
        "umask > y",
    ];
    let ran = run(tree.path(), &words).expect(1, "NOT REPRODUCIBLE");
    let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let schema = include_str!("../schema/findings-1.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let errors: Vec<_> = schema
        .iter_errors(&findings)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(findings["seed"], "7");
    assert_eq!(
        findings["artifacts"][0]["culprits"],
        serde_json::json!([["umask"]])
    );
}

#[test]
fn a_difference_of_content_is_shown_where_it_begins() {
    let tree = tree();
    let command = "{ echo same; uname -n; } >y; gzip -n y";
    let shown = "y: line 2: \"ctrl-hostkivu\" -> \"vary-hostzoqa\"";
    run(
        tree.path(),
        &["check", "--only", "hostname", "-o", "y.gz", "--", command],
    )
    .expect(1, shown);
}

#[test]
fn what_is_unstable_is_shown_as_two_trials_of_one_environment_made_it() {
    // Two bits: the trial beside the control that shows it may well have the control's.
    let build =
        "echo $(umask) $(sha256sum </proc/vmstat | cut -c1-2 | tr 0-9a-f 0000000000000011) >o";
    let words = [
        "check", "--only", "umask", "-o", "o", "--json", "-", "--", build,
    ];
    let evidence = |tree: &TempDir| {
        let said = run(tree.path(), &words).out;
        let findings: serde_json::Value = serde_json::from_str(&said).unwrap();
        let finding = &findings["findings"][0];
        (finding["state"] == "unstable").then(|| finding["evidence"].as_str().unwrap().to_owned())
    };
    let tree = tree();
    let shown: Vec<_> = (0..12).filter_map(|_| evidence(&tree)).collect();
    assert!(!shown.is_empty());
    for evidence in shown {
        let (before, after) = evidence.split_once(" -> ").unwrap();
        let umask = |text: &str| ["0022", "0077"].map(|umask| text.contains(umask));
        assert_eq!(umask(before), umask(after), "{evidence}");
    }
}

#[test]
fn the_checkout_is_told_apart_from_the_machine_and_decides_where_it_is_to() {
    let tree = tree();
    let build = "stat -c %Y a.txt >times; umask >mask; cat mask times >both";
    let check = |more: &[&str]| {
        let only = ["check", "--only", "source-mtime,umask", "--json", "-"];
        let words = [&only[..], more, &["--", build]].concat();
        let ran = run(tree.path(), &words);
        let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        (ran.code.unwrap(), ran.err, findings)
    };
    let (code, page, findings) = check(&["--checkout", "apart", "-o", "times"]);
    assert_eq!(code, 0, "{page}");
    assert!(
        page.contains("\nREPRODUCIBLE under 2 of ")
            && page.contains(" variations: 1 output is identical, but for the checkout,"),
        "{page}"
    );
    assert!(page.contains("CHECKOUT: 1 of 1 output differs by the checkout alone (source-mtime)"));
    assert_eq!(findings["verdict"], "reproducible");
    assert_eq!(findings["artifacts"][0]["verdict"], "differs");
    assert_eq!(findings["artifacts"][0]["without_checkout"], "same");
    assert_eq!(findings["findings"][0]["by_checkout"], true);
    let (code, page, findings) = check(&["-o", "times"]);
    assert_eq!(code, 1, "{page}");
    assert!(page.contains("--checkout apart"), "{page}");
    assert_eq!(findings["without_checkout"], "reproducible");
    let (code, page, findings) = check(&["--checkout", "apart", "-o", "times", "-o", "both"]);
    assert_eq!(code, 1, "{page}");
    let why = "1 of 2 outputs differs because of umask";
    assert_eq!(findings["why"], why, "{page}");
    let both = &findings["artifacts"][0];
    assert_eq!(both["without_checkout"], "differs");
    let kind = |name: &str| {
        let variations = findings["variations"].as_array().unwrap();
        variations.iter().find(|v| v["name"] == name).unwrap()["varies"].clone()
    };
    assert_eq!(
        (kind("source-mtime"), kind("umask")),
        ("checkout".into(), "machine".into())
    );
}

/// A tree as root finds it who has unpacked an archive and kept its owners.
fn tree_of_others() -> Option<TempDir> {
    let tree = tree();
    let below = tree.path().join("pkg.egg-info");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("PKG-INFO"), "old\n").unwrap();
    let owned = [below.join("PKG-INFO"), below, tree.path().join("a.txt")];
    let mut owned = owned.iter();
    let given = owned.all(|path| std::os::unix::fs::chown(path, Some(1000), Some(1000)).is_ok());
    let required = std::env::var("REPROBE_REQUIRE").is_ok_and(|value| value == "all");
    assert!(given || !required, "only root can give files away");
    if !given {
        eprintln!("skipped: only root can give files away");
    }
    given.then_some(tree)
}

#[test]
fn another_user_can_write_sources_of_others_and_sees_whose_they_are() {
    let Some(tree) = tree_of_others() else {
        return;
    };
    let build = "touch -d @0 pkg.egg-info; echo new >pkg.egg-info/PKG-INFO; touch pkg.egg-info/x; \
                 chmod 640 a.txt; stat -c '%n %u %g' . a.txt pkg.egg-info/PKG-INFO pkg.egg-info/x";
    let shown = |vary: &str| {
        let ran = run(tree.path(), &["exec", "--vary", vary, "--", build]);
        assert_eq!(ran.code, Some(0), "{vary}: {}", ran.err);
        ran.out.replace('\n', "; ")
    };
    let user = ". 43217 54321; a.txt 1000 1000; pkg.egg-info/PKG-INFO 1000 1000; \
                pkg.egg-info/x 43217 54321; ";
    assert_eq!(shown("user"), user);
    assert_eq!(shown("user,source-mode"), user);
    let owner = ". 45673 56734; a.txt 45673 56734; pkg.egg-info/PKG-INFO 45673 56734; \
                 pkg.egg-info/x 43217 54321; ";
    assert_eq!(shown("user,source-owner"), owner);
}

#[test]
fn in_a_tree_of_others_the_user_is_blamed_for_what_he_makes_alone() {
    let Some(tree) = tree_of_others() else {
        return;
    };
    let build = "echo new >pkg.egg-info/PKG-INFO; echo >made; \
                 find a.txt pkg.egg-info -printf '%u %m\\n' >o; stat -c %u made >p";
    let only = "user,source-owner,source-mode";
    let words = [
        "check", "--only", only, "-o", "o", "-o", "p", "--json", "-", "--", build,
    ];
    let findings = run(tree.path(), &words);
    let findings: serde_json::Value = serde_json::from_str(&findings.out).unwrap();
    let culprits: Vec<_> = findings["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|artifact| artifact["culprits"].to_string())
        .collect();
    let expected = [r#"[["source-mode"],["source-owner"]]"#, r#"[["user"]]"#];
    assert_eq!(culprits, expected, "{}", findings["why"]);
}

#[test]
fn in_a_tree_of_several_owners_no_file_hides_behind_the_owner_of_the_directory() {
    let Some(tree) = tree_of_others() else {
        return;
    };
    let owned = |build: &str| {
        let only = ["check", "--only", "source-owner", "-o", "o", "--json", "-"];
        let ran = run(tree.path(), &[&only[..], &["--", build]].concat());
        let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        findings["artifacts"][0]["culprits"].to_string()
    };
    let asks = |file: &str| format!("if [ -O {file} ]; then echo mine; else echo other; fi >o");
    let expected = r#"[["source-owner"]]"#;
    // The directory is the caller's, and `a.txt` somebody else's; then the other way round.
    assert_eq!(owned(&asks("a.txt")), expected);
    let own = Some(nix::unistd::geteuid());
    let path = tree.path().join("a.txt");
    nix::unistd::chown(&path, own, None).unwrap();
    nix::unistd::chown(tree.path(), Some(1000.into()), None).unwrap();
    assert_eq!(owned(&asks("a.txt")), expected);
    assert_eq!(owned(&asks(".")), expected);
    assert_eq!(owned("echo >o"), "[]");
}

/// Whoever builds, whose the sources are is looked at by the caller: another user may not even pass the
/// directories above them.
#[test]
fn sources_below_a_closed_directory_keep_their_owners_for_another_user() {
    let closed = tempfile::tempdir().unwrap();
    let mode = PermissionsExt::from_mode(0o700);
    fs::set_permissions(closed.path(), mode).unwrap();
    let source = closed.path().join("src");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a.txt"), "a\n").unwrap();
    let words = [
        "check",
        "--only",
        "user,source-owner",
        "-o",
        "o",
        "--json",
        "-",
        "--",
        "stat -c %u a.txt >o",
    ];
    let ran = run(&source, &words);
    let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let culprits = findings["artifacts"][0]["culprits"].to_string();
    assert_eq!(culprits, r#"[["source-owner"]]"#, "{}", findings["why"]);
}

/// Other times and modes need a copy, and an ordinary user's copy is his own: beside the tree as it
/// is, both would be blamed for what the owner does.
#[test]
fn an_ordinary_users_sources_of_others_are_alike_whatever_varies() {
    let Some(tree) = tree_of_others() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let user = Some(1001);
    for path in [home.path(), tree.path()] {
        std::os::unix::fs::chown(path, user, user).unwrap();
    }
    let build = "stat -c '%u %n' . a.txt pkg.egg-info >o; [ ! -w pkg.egg-info ] || echo may >>o; \
                 touch pkg.egg-info/new 2>/dev/null || true; ls pkg.egg-info >>o";
    let only = "source-mtime,source-mode,source-owner,user";
    let ids = ["--reuid=1001", "--regid=1001", "--clear-groups"];
    let reprobe = reprobe(
        tree.path(),
        &[
            "check", "--only", only, "-o", "o", "--json", "-", "--", build,
        ],
    );
    let output = Command::new("setpriv")
        .args(ids)
        .arg(reprobe.get_program())
        .args(reprobe.get_args())
        .current_dir(tree.path())
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("XDG_STATE_HOME", home.path())
        .output();
    let ran = ran(output.unwrap());
    let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let culprits = findings["artifacts"][0]["culprits"].to_string();
    assert_eq!(culprits, r#"[["source-owner"]]"#, "{}", findings["why"]);
    let notes = findings["notes"].to_string();
    assert!(notes.contains("the tree holds files of others"), "{notes}");
}

/// And only where it does: content is nothing that is set.
#[test]
fn where_packing_alone_differs_normalizing_is_named_and_proves_it() {
    let tree = tree();
    let check = |build: &str| {
        let words = [
            "check",
            "--only",
            "source-mtime",
            "-o",
            "o.tar",
            "--",
            build,
        ];
        run(tree.path(), &words)
    };
    let names = "`reprobe normalize o.tar`";
    check("tar cf o.tar a.txt")
        .expect(1, "how it was packed (tar-time)")
        .expect(1, names);
    let other = check("stat -c %Y a.txt >b; tar cf o.tar a.txt b");
    assert!(!other.out.contains(names), "{}", other.out);
    let normalized = format!(
        "tar cf o.tar a.txt; {} normalize o.tar",
        env!("CARGO_BIN_EXE_reprobe")
    );
    let expose = Path::new(env!("CARGO_BIN_EXE_reprobe")).parent().unwrap();
    let words = [
        "check",
        "--only",
        "source-mtime",
        "-o",
        "o.tar",
        "--expose",
        expose.to_str().unwrap(),
        "--",
        &normalized,
    ];
    run(tree.path(), &words).expect(0, "REPRODUCIBLE");
}

/// An overlay has no word for a directory that was renamed: `mv` copied it, and the copies were the
/// build user's.
#[test]
fn a_directory_of_sources_that_is_renamed_keeps_its_owner() {
    let tree = tree();
    fs::create_dir_all(tree.path().join("s/t")).unwrap();
    fs::write(tree.path().join("s/t/f"), "x").unwrap();
    let only = "umask,user,source-owner";
    let build = "mv s d; ls -lnR d >o";
    let words = [
        "check", "--only", only, "-o", "o", "--json", "-", "--", build,
    ];
    let said = run(tree.path(), &words);
    let findings: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let culprits = findings["artifacts"][0]["culprits"].to_string();
    assert_eq!(culprits, r#"[["source-owner"]]"#, "{}", findings["why"]);
}

#[test]
fn other_modes_of_sources_of_others_change_nothing_for_all_others() {
    let tree = tree();
    fs::set_permissions(tree.path().join("a.txt"), PermissionsExt::from_mode(0o644)).unwrap();
    for (level, mode) in [("group-writable", "664"), ("private", "604")] {
        let vary = format!("user,source-owner,source-mode={level}");
        let words = ["exec", "--vary", &vary, "--", "stat -c %a a.txt; cat a.txt"];
        run(tree.path(), &words).expect(0, &format!("{mode} a"));
    }
}

#[test]
fn a_build_that_fails_for_sources_of_others_is_named_and_that_is_not_cleared() {
    let tree = tree();
    let build = "[ -O a.txt ] || exit 1; echo x > o";
    let said = run(tree.path(), &["check", "-o", "o", "--", build]);
    let said = said.expect(0, "THE BUILD FAILS under source-owner (other)");
    assert!(said.out.contains("REPRODUCIBLE under"), "{}", said.out);
}

#[test]
fn a_tree_with_links_of_its_own_is_told_how_they_are_here() {
    let tree = tree();
    fs::hard_link(tree.path().join("a.txt"), tree.path().join("b.txt")).unwrap();
    let words = ["check", "--only", "umask", "-o", "o", "--", "cp b.txt o"];
    run(tree.path(), &words).expect(0, "hard links of each other");
}

/// In an ordinary user's overlay the two names of a linked source have two inodes, and the first
/// listing of the directory changes it; GNU tar gives up on a directory that changes as it is read.
#[test]
fn a_link_to_a_source_is_the_source_and_its_directory_does_not_change_as_it_is_listed() {
    let tree = tree();
    let script = "import os
os.mkdir('o')
os.link('a.txt', 'o/l')
numbers = {os.stat(name).st_ino for name in ('a.txt', 'o/l')} | {entry.inode() for entry in os.scandir('o')}
print(len(numbers), {os.stat('o').st_ctime_ns - os.stat('o').st_mtime_ns for _ in range(9)}, flush=True)
os.system('true')
os.system('tar cf o.tar o a.txt && tar tvf o.tar | grep -c link && rm o/l && echo b >o/l && cat a.txt')";
    fs::write(tree.path().join("links.py"), script).unwrap();
    run(tree.path(), &["exec", "--", "python3", "links.py"]).expect(0, "1 {0} 1 a");
}

/// The end of a pipeline moves the held clock once, whichever of its commands ends first or is killed; a
/// subshell that runs no program moves nothing.
#[test]
fn a_pipeline_is_one_step_however_its_commands_end() {
    let tree = tree();
    let script = "for i in 1 2 3; do echo b | grep b >/dev/null; date +%N; done
seq 9 | sort | tail -1 >/dev/null; date +%N
yes | head -1 >/dev/null; date +%N
(:) & (:) & wait; date +%N";
    let expected: String = [1, 3, 5, 7, 9, 10]
        .map(|steps| format!("{steps:03}000000\n"))
        .concat();
    for _ in 0..6 {
        let ran = run(tree.path(), &["exec", "--", script]);
        assert_eq!(ran.out, expected, "{}", ran.err);
    }
}

/// A tree with nothing but other trees beside it.
fn tree_with_room_beside() -> (TempDir, PathBuf) {
    let around = tree();
    let source = around.path().join("src");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a.txt"), "a\n").unwrap();
    (around, source)
}

#[test]
fn files_that_the_build_makes_beside_its_tree_are_judged_where_no_output_is_named() {
    let (_around, source) = tree_with_room_beside();
    let build = "echo x >a; umask >../out.txt; umask >../x_amd64.buildinfo; umask >../.settings";
    let ran = run(&source, &["check", "--only", "umask", "--", build]);
    ran.expect(1, "../out.txt")
        .expect(1, "1 of 2 outputs differs because of umask");
}

#[test]
fn a_source_that_only_one_of_two_builds_touches_is_no_difference_unless_modes_count() {
    let (_around, source) = tree_with_room_beside();
    let build =
        "[ $(umask) = 0022 ] || chmod 600 a.txt; [ $(umask) = 0022 ] || touch .; echo x >out";
    let words = ["check", "--only", "umask", "--", build];
    run(&source, &words).expect(0, "REPRODUCIBLE");
    let words = ["check", "--only", "umask", "--metadata", "--", build];
    run(&source, &words).expect(1, "a.txt");
    let build = "[ $(umask) = 0022 ] || echo b >a.txt; echo x >out";
    let words = ["check", "--only", "umask", "--", build];
    run(&source, &words).expect(1, "a.txt");
}

#[test]
fn a_check_that_stops_early_decides_nothing_where_the_checkout_may_be_all_of_it() {
    let (_around, source) = tree_with_room_beside();
    let build = "stat -c %Y a.txt >out";
    let apart = ["check", "--checkout", "apart", "-o", "out"];
    let stopped = [&apart[..], &["--budget", "3", "--", build]].concat();
    run(&source, &stopped).expect(125, "whether by more than the checkout");
    run(&source, &[&apart[..], &["--", build]].concat()).expect(0, "REPRODUCIBLE");
    let decides = ["check", "-o", "out", "--budget", "3", "--", build];
    run(&source, &decides).expect(1, "NOT REPRODUCIBLE");
}

#[test]
fn a_preparation_that_gives_a_file_of_the_system_another_mode_is_told_that_no_trial_sees_it() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root may change files of the system");
        return;
    }
    let tree = tree();
    let only = ["check", "--only", "umask", "-o", "out"];
    let prepare = ["--prepare", "chmod 640 /etc/profile", "--", "echo x >out"];
    let ran = run(tree.path(), &[&only[..], &prepare[..]].concat());
    ran.expect(0, "the preparation changed /etc/profile");
}

#[test]
fn a_package_is_to_be_unpacked_first() {
    let tree = tree();
    fs::write(tree.path().join("x_1.dsc"), "").unwrap();
    run(tree.path(), &["check", "x_1.dsc"]).expect(2, "dpkg-source -x x_1.dsc DIR");
}

#[test]
fn what_the_build_gives_away_is_no_longer_shown_as_anybody_elses() {
    let tree = tree();
    let ran = run(
        tree.path(),
        &[
            "exec",
            "--vary",
            "source-owner",
            "--",
            "stat -c %u .; chown $(id -u) a.txt; mv a.txt b; \
          stat -c %u b; ln b c; stat -c %u c .",
        ],
    );
    let own = nix::unistd::geteuid();
    assert_eq!(
        ran.out,
        format!("45673\n{own}\n{own}\n45673\n"),
        "{}",
        ran.err
    );
}

#[test]
fn beside_something_unstable_nothing_is_cleared_and_its_two_trials_are_kept() {
    let tree = tree();
    let out = tempfile::tempdir().unwrap();
    let keep = out.path().join("kept");
    let keep_words = ["--keep", keep.to_str().unwrap(), "--json", "-"];
    let build = "sha256sum </proc/vmstat >o";
    let words = [
        &["check", "--only", "time,umask"][..],
        &keep_words,
        &["--", build],
    ];
    let ran = run(tree.path(), &words.concat());
    let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let [one, other] = [0, 1].map(|trial| {
        let trial = &findings["findings"][0]["rate"]["between"][trial];
        fs::read_to_string(keep.join(trial.to_string()).join("o")).unwrap()
    });
    assert_ne!(one, other);
    let variations = findings["variations"].as_array().unwrap();
    for name in ["time", "umask"] {
        let record = variations.iter().find(|record| record["name"] == name);
        assert_eq!(record.unwrap()["status"], "unsettled");
    }
    assert!(!ran.err.contains("cleared"), "{}", ran.err);
    assert!(ran.err.contains("time since boot"), "{}", ran.err);
    assert!(ran.err.contains("what is unstable would"), "{}", ran.err);
}

#[test]
fn outputs_are_kept_by_trial_and_findings_written_to_their_file() {
    let tree = tree();
    let out = tempfile::tempdir().unwrap();
    let keep = out.path().join("kept");
    let json = out.path().join("f.json");
    let words = [
        "check",
        "--only",
        "umask",
        "--keep",
        keep.to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
        "--",
        "umask > y",
    ];
    run(tree.path(), &words).expect(1, "reprobe diff ");
    assert_eq!(fs::read_to_string(keep.join("0/y")).unwrap(), "0022\n");
    let findings: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let certificate = findings["findings"][0]["culprits"][0]["certificate"]
        .as_array()
        .unwrap();
    let differs = certificate
        .iter()
        .find(|step| step["expect"] == "differs")
        .unwrap();
    let varied = keep.join(differs["trial"].to_string()).join("y");
    assert_eq!(fs::read_to_string(varied).unwrap(), "0077\n");
}

#[test]
fn what_the_build_asks_of_the_machine_and_no_trial_varies_is_noted() {
    let tree = tree();
    let notes = |build: &str| {
        let words = [
            "check", "--only", "umask", "--json", "-", "-o", "x", "--", build,
        ];
        let ran = run(tree.path(), &words).expect(0, "REPRODUCIBLE under 1 of ");
        let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        found["notes"].to_string()
    };
    let none = notes("echo >x");
    assert!(!none.contains("processor"), "{none}");
    let reads = notes("cat /proc/meminfo >/dev/null; echo >x");
    assert!(reads.contains("reads /proc/meminfo:"), "{reads}");
    let native = notes("ln -s /bin/true cc; ./cc -march=native; echo >x");
    assert!(native.contains("(`cc -march=native`)"), "{native}");
}

#[test]
fn intermediate_files_that_differ_are_listed_and_do_not_decide() {
    let tree = tree();
    let words = ["check", "--only", "umask", "--", "umask >x.o; echo >x"];
    let ran = run(tree.path(), &words).expect(0, "REPRODUCIBLE under 1 of ");
    assert!(
        ran.out.contains("variations: 1 output is identical"),
        "{}",
        ran.out
    );
    let said = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("were left out"), "{said}");
    assert!(said.contains("(-o '**' judges all) x.o"), "{said}");
}

#[test]
fn every_culprit_of_one_file_is_shown_at_its_own_place() {
    let tree = tree();
    let command = "uname -n >y; umask >>y";
    let shown = "hostname: line 1: \"ctrl-hostkivu\" -> \"vary-hostzoqa\"; umask: line 2: \"0022\" -> \"0077\"";
    let words = [
        "check",
        "--only",
        "umask,hostname",
        "-o",
        "y",
        "--",
        command,
    ];
    let ran = run(tree.path(), &words).expect(1, "NOT REPRODUCIBLE");
    let said = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let (one, other) = shown.split_once("; ").unwrap();
    assert!(said.contains(one) && said.contains(other), "{said}");
}

#[test]
fn of_processes_that_run_beside_each_other_nothing_is_said_that_they_do_not_do() {
    let tree = tree();
    let build = "for i in 1 2 3 4 5 6; do date +%s >o$i & done; wait";
    for _ in 0..2 {
        let words = ["check", "--only", "time", "-o", "o*", "--", build];
        let ran = run(tree.path(), &words).expect(1, "time");
        assert!(!ran.out.contains("times of files"), "{}", ran.out);
    }
}

#[test]
fn a_budget_is_kept_whatever_is_looked_for() {
    let tree = tree();
    for name in ["b", "c", "d"] {
        fs::create_dir_all(tree.path().join(name)).unwrap();
        fs::write(tree.path().join(name).join("x"), "").unwrap();
    }
    for budget in ["4", "6", "9"] {
        let words = ["check", "--json", "-", "--budget", budget, "-o", "y", "--"];
        let ran = run(
            tree.path(),
            &[&words[..], &["find . -type f >y; umask >>y"]].concat(),
        );
        let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let trials = findings["trials"].as_array().unwrap().len();
        assert!(
            trials <= budget.parse().unwrap(),
            "{trials} trials of {budget}"
        );
    }
}

#[test]
fn nothing_is_cleared_where_nothing_was_compared() {
    let tree = tree();
    let ran = run(tree.path(), &["check", "-o", "none*", "--", "echo >other"])
        .expect(125, "nothing that matches none*");
    assert!(!ran.out.contains("cleared"), "{}", ran.out);
}

#[test]
fn exec_keeps_outputs_where_the_caller_stands() {
    let tree = tree();
    let out = tempfile::tempdir().unwrap();
    let source = tree.path().to_str().unwrap();
    let words = ["exec", "--keep", "kept", source, "--", "echo made >new"];
    let ran = run(out.path(), &words);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(
        fs::read_to_string(out.path().join("kept/new")).unwrap(),
        "made\n"
    );
}

#[test]
fn reprobe_toml_says_what_to_build() {
    let tree = tree();
    let config = "[build]\ncommand = 'umask > y; date > z'\noutputs = 'y'\n\
                  [variations]\nonly = ['timezone']\n";
    fs::write(tree.path().join("reprobe.toml"), config).unwrap();
    run(tree.path(), &["check"]).expect(0, "(from reprobe.toml)");
}

#[test]
fn a_dry_run_shows_the_plan_and_builds_nothing() {
    let tree = tree();
    let witness = tempfile::tempdir().unwrap();
    let line = format!("touch {}/built", witness.path().display());
    let ran = run(
        tree.path(),
        &["check", "--dry-run", "--only", "umask", "--", &line],
    )
    .expect(0, "umask umask 0022 -> umask 0077");
    assert!(ran.out.contains("Set-up of the control"), "{}", ran.out);
    assert!(!witness.path().join("built").exists());
}

#[test]
fn exec_passes_the_exit_code_on_and_varies_what_it_is_told() {
    let tree = tree();
    run(tree.path(), &["exec", "--", "umask; pwd; exit 7"]).expect(7, "0022");
    run(
        tree.path(),
        &[
            "exec",
            "--vary",
            "umask=002,timezone",
            "--",
            "umask; echo $TZ",
        ],
    )
    .expect(0, "0002");
    run(tree.path(), &["exec", "--", "cat", "a.txt"]).expect(0, "a");
    run(
        tree.path(),
        &["exec", "--env", "A=b c", "--", "echo \"<$A>\""],
    )
    .expect(0, "<b c>");
    run(tree.path(), &["exec", "--", "echo x > new; kill -9 $$"]).expect(137, "");
    run(tree.path(), &["exec", "--timeout", "1s", "--", "sleep 60"])
        .expect(124, "did not end within 1 s");
    assert!(
        !tree.path().join("new").exists(),
        "the source tree was changed"
    );
}

#[test]
fn list_and_doctor_speak_of_every_variation() {
    let tree = tree();
    let list = run(tree.path(), &["list", "--json"]).expect(0, "umask");
    let rows: serde_json::Value = serde_json::from_str(&list.out).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() > 20, "{}", rows.len());
    let text = run(tree.path(), &["list"]).expect(0, "can be tested here");
    let doctor = run(tree.path(), &["doctor"]).expect(0, "variations can be tested here");
    for row in rows {
        let name = row["name"].as_str().unwrap();
        assert!(text.out.contains(name), "{name} is not listed");
        assert!(doctor.out.contains(name), "{name} is not diagnosed");
        assert!(
            row["available"] == true || row["reason"].is_string(),
            "{row}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let tree = tree();
    let mut child = reprobe(tree.path(), &["list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert_eq!(said, "");
}

/// Starts a check whose build never ends, and waits until it runs.
fn endless(tree: &Path, mark: &Path) -> std::process::Child {
    let line = "echo started; sleep 1000";
    let child = reprobe(tree, &["check", "-v", "--only", "umask", "--", line])
        .env("TMPDIR", mark)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    // What the build said: trials that only look at the host have logs and supervisors, too.
    let begun = || {
        let mut all = Command::new("grep");
        all.args(["-rqsx", "--include=*log*", "started"]).arg(mark);
        all.status().unwrap().success()
    };
    while !begun() {
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "the build does not start"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn what_a_killed_program_leaves_the_next_one_removes() {
    let tree = tree();
    let scratch = tempfile::tempdir().unwrap();
    let words = ["check", "--only", "umask,home", "--", "umask >y"];
    let reprobe = || {
        let mut command = reprobe(tree.path(), &words);
        command.env("TMPDIR", scratch.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    for delay in (5..400).step_by(23) {
        let mut child = reprobe().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // What the killed ones started dies a moment later.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(reprobe().status().unwrap().code(), Some(1));
    let left = reprobe::snapshot::walk::sorted_entries(scratch.path()).unwrap();
    let names: Vec<_> = left.iter().map(|entry| &entry.name).collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_signal_ends_the_build_leaves_nothing_and_gives_its_exit_code() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let tree = tree();
        let scratch = tempfile::tempdir().unwrap();
        let mut child = endless(tree.path(), scratch.path());
        let pid = child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", signal, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
        let asked = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(asked.elapsed() < Duration::from_secs(10), "slow to end");
        let left = reprobe::snapshot::walk::sorted_entries(scratch.path()).unwrap();
        let names: Vec<_> = left.iter().map(|entry| &entry.name).collect();
        assert!(left.is_empty(), "left behind: {names:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(
            !mounts.contains(scratch.path().to_str().unwrap()),
            "{mounts}"
        );
    }
}

#[test]
fn a_supervisor_that_is_killed_is_said_to_have_died_of_that() {
    let tree = tree();
    let scratch = tempfile::tempdir().unwrap();
    let child = endless(tree.path(), scratch.path());
    let role = format!("__supervise\0{}", scratch.path().display());
    let processes = reprobe::snapshot::walk::sorted_entries(Path::new("/proc")).unwrap();
    let supervisor = processes.iter().find(|process| {
        let words = fs::read(process.path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&role)
    });
    let mut kill = Command::new("kill");
    kill.arg("-9").arg(&supervisor.unwrap().name);
    assert!(kill.status().unwrap().success());
    let died = "the trial's supervisor died: signal: 9 (SIGKILL); if nobody sent that";
    ran(child.wait_with_output().unwrap()).expect(125, died);
}

#[test]
fn a_directory_that_stands_twice_on_the_path_is_named_once() {
    let tree = tree();
    let path = "/opt/tools:/usr/bin:/opt/tools:/bin:/usr/bin";
    let mut exec = reprobe(tree.path(), &["exec", "--", "no-such-program", "x"]);
    let ran = ran(exec.env("PATH", path).output().unwrap());
    let once = "command not found: no-such-program (PATH of the trial: /opt/tools:/usr/bin:/bin)";
    ran.expect(125, once);
}

/// Starts a command in the sandbox that says `up` and then does not end by itself for long.
fn interactive(command: &mut Command) -> std::process::Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let mut said = [0; 2];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut said)
        .unwrap();
    assert_eq!(&said, b"up");
    child
}

#[test]
fn a_signal_that_is_sent_to_exec_alone_ends_its_trial() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let tree = tree();
        let scratch = tempfile::tempdir().unwrap();
        let mut exec = reprobe(tree.path(), &["exec", "--", "echo up; sleep 60"]);
        let mut child = interactive(exec.env("TMPDIR", scratch.path()));
        let pid = child.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args(["-s", signal, &pid]).status().unwrap().success());
        let asked = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(code), "SIG{signal}");
        assert!(asked.elapsed() < Duration::from_secs(10), "slow to end");
        let left = reprobe::snapshot::walk::sorted_entries(scratch.path()).unwrap();
        assert!(left.is_empty(), "left behind: {}", left.len());
    }
}

#[test]
fn ctrl_c_at_a_terminal_is_for_the_command_that_exec_runs() {
    let tree = tree();
    let line = format!(
        // No shell between, which would have the Ctrl-C as well.
        "exec {} exec -- 'trap \"exit 9\" INT; echo up; while :; do sleep 0.1; done'",
        env!("CARGO_BIN_EXE_reprobe")
    );
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    let script = script.current_dir(tree.path()).stdin(Stdio::piped());
    let mut child = interactive(script);
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\x03").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

/// As nohup does, or a shell's `&` in a script: `trap` cannot take that back.
#[test]
fn builds_ignore_no_signal_that_the_caller_ignores() {
    let tree = tree();
    let line = format!(
        "trap '' INT HUP QUIT TERM USR1; exec {} exec -- grep SigIgn /proc/self/status",
        env!("CARGO_BIN_EXE_reprobe")
    );
    let mut sh = Command::new("sh");
    let said = sh.args(["-c", &line]).current_dir(tree.path()).output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    // Two beyond the 31 standard ones are the C library's own.
    let ignored = said.trim().rsplit('\t').next().unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(ignored & 0x7fff_ffff, 0, "{said}");
}

/// Whoever leaves it in another mode, or reads what is typed later, does so to a terminal that ends.
#[test]
fn a_command_that_exec_runs_at_a_terminal_has_one_of_its_own() {
    let tree = tree();
    let line = format!(
        "stty rows 33 cols 77; {} exec -- 'tty; stty size -echo; read word; echo \"<$word>\"; echo /dev/pts/*'; stty -a",
        env!("CARGO_BIN_EXE_reprobe")
    );
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    let script = script.current_dir(tree.path()).stdin(Stdio::piped());
    let mut child = script.stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"typed\n").unwrap();
    let said = child.wait_with_output().unwrap().stdout;
    let said = String::from_utf8_lossy(&said).replace("\r\n", " ");
    for part in [
        "/dev/pts/0 33 77",
        "<typed>",
        "/dev/pts/0 /dev/pts/ptmx",
        " icanon",
        " echo ",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let tree = tree();
    for words in [&["--help"][..], &["check", "--help"], &["exec", "--help"]] {
        let help = run(tree.path(), words).expect(0, "Examples:");
        assert!(help.out.contains("Exit codes"), "{}", help.out);
        for code in ["125", "129", "130", "143"] {
            assert!(help.out.contains(code), "{code} is not in:\n{}", help.out);
        }
    }
}

#[test]
fn the_part_of_a_locale_and_of_the_variables_that_suffices_is_named() {
    let tree = tree();
    let build = "printf 'z\ns\ni\ny\n' | sort > sorted; echo \"$EMAIL\" > mail; env | sort > all";
    let json = tree.path().join("../parts.json");
    let words = [
        "check",
        "--only",
        "locale,environment",
        "-o",
        "sorted",
        "-o",
        "mail",
    ];
    let words = [
        &words[..],
        &["-o", "all", "--json", json.to_str().unwrap(), "--", build],
    ];
    let ran = run(tree.path(), &words.concat());
    let ran = ran.expect(1, "part: EMAIL suffices");
    let found: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    fs::remove_file(&json).unwrap();
    let part = |path: &str| {
        let findings = found["findings"].as_array().unwrap().iter();
        let mut of = findings.filter(|finding| finding["element"] == path);
        of.next()
            .map(|finding| finding["culprits"][0]["part"]["name"].clone())
    };
    assert_eq!(part("mail"), Some("EMAIL".into()));
    assert_eq!(part("all"), Some(serde_json::Value::Null));
    match part("sorted") {
        Some(name) => assert_eq!(name, "LC_COLLATE"),
        None => assert!(ran.out.contains("collation"), "{}", ran.out),
    }
}

#[test]
fn the_permissions_of_a_umask_that_suffice_are_named() {
    let tree = tree();
    let build = "touch f; mkdir d; stat -c %a f > plain; stat -c %a d > both";
    let json = tree.path().join("../permissions.json");
    let words = ["check", "--only", "umask", "-o", "plain", "-o", "both"];
    let words = [&words[..], &["--json", json.to_str().unwrap(), "--", build]];
    let ran = run(tree.path(), &words.concat());
    ran.expect(1, "part: 044 (read) suffices");
    let found: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    fs::remove_file(&json).unwrap();
    for (path, part) in [
        ("plain", "044 (read)".into()),
        ("both", serde_json::Value::Null),
    ] {
        let mut findings = found["findings"].as_array().unwrap().iter();
        let of = findings.find(|finding| finding["element"] == path).unwrap();
        assert_eq!(of["culprits"][0]["part"]["name"], part);
    }
}

/// The findings of `check --json -`.
fn findings(directory: &Path, words: &[&str], build: &str) -> serde_json::Value {
    let words = [&["check", "--json", "-"], words, &["--", build]].concat();
    serde_json::from_str(&run(directory, &words).out).unwrap()
}

fn of_kind(findings: &serde_json::Value, kind: &str) -> usize {
    let trials = findings["trials"].as_array().unwrap();
    trials.iter().filter(|trial| trial["kind"] == kind).count()
}

#[test]
fn source_date_epoch_is_tried_once_and_what_it_leaves_is_said() {
    let build = "echo ${SOURCE_DATE_EPOCH:-$(date +%s)} >takes; date +%s >ignores; umask >beside";
    let tree = tree();
    let only = [
        "--only",
        "time,umask",
        "--no-locate",
        "-o",
        "takes",
        "-o",
        "ignores",
        "-o",
        "beside",
        "--seed",
        "5",
    ];
    let found = findings(tree.path(), &only, build);
    assert_eq!(of_kind(&found, "remedy"), 2, "{found:#}");
    let without = found["trials"].as_array().unwrap().len() - 2;
    let remedies = |element: &str| {
        let all = found["findings"].as_array().unwrap();
        let one = all.iter().find(|one| one["element"] == element).unwrap();
        one["remedies"].as_array().unwrap().clone()
    };
    let takes = remedies("takes");
    assert_eq!(takes.len(), 1, "{takes:?}");
    assert_eq!(takes[0]["verified"], true);
    assert!(
        takes[0]["text"]
            .as_str()
            .unwrap()
            .starts_with("set SOURCE_DATE_EPOCH")
    );
    for element in ["ignores", "beside"] {
        let others = remedies(element);
        assert!(!others.is_empty());
        for remedy in others {
            assert_eq!(remedy["verified"], false);
            assert!(
                !remedy["text"]
                    .as_str()
                    .unwrap()
                    .contains("set SOURCE_DATE_EPOCH")
            );
        }
    }
    let notes = found["notes"].to_string();
    let said = "1 of 2 elements that differ because of time are the same; left: content of ignores";
    assert!(notes.contains(said), "{notes}");

    // What is set already is not tried, and not advised.
    let set = [&only[..], &["--env", "SOURCE_DATE_EPOCH=1"]].concat();
    let found = findings(tree.path(), &set, build);
    assert_eq!(of_kind(&found, "remedy"), 0);
    assert!(!found.to_string().contains("set SOURCE_DATE_EPOCH"));

    // Nor is half of it tried where the budget has no room for both builds.
    let trials = without + 1;
    let most = trials.to_string();
    let budget = [&only[..], &["--budget", &most]].concat();
    let found = findings(tree.path(), &budget, build);
    assert_ne!(of_kind(&found, "remedy"), 1);
    assert!(found["trials"].as_array().unwrap().len() <= trials);
}

#[test]
fn the_command_that_compares_kept_outputs_names_files_that_exist() {
    let tree = tree();
    let keep = tree.path().join("it's kept");
    fs::create_dir(&keep).unwrap();
    let source = tree.path().join("source");
    fs::create_dir(&source).unwrap();
    let options = [
        "--only",
        "umask",
        "--keep",
        keep.to_str().unwrap(),
        "-o",
        "../x*",
    ];
    let build = ["--", "umask >'../x .deb'"];
    let ran = run(&source, &[&["check"], &options[..], &build].concat());
    let words = ran
        .out
        .split_once("reprobe diff ")
        .map(|(_, rest)| rest.lines().next().unwrap());
    let line = format!("ls -- {}", words.unwrap());
    let ls = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(ls.status.success(), "{line}\n{}", ran.out);
}

#[test]
fn a_backslash_in_the_path_of_the_source_hides_no_output() {
    let tree = tree();
    for name in ["back\\slash", "[a]{b}*"] {
        let source = tree.path().join(name);
        fs::create_dir(&source).unwrap();
        let words = [
            "check",
            "--only",
            "umask",
            "-o",
            "out/*",
            "--",
            "mkdir out; umask >out/x",
        ];
        run(&source, &words).expect(1, "because of umask");
    }
}
