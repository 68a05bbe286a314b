//! The supervisor over real programs: each test runs something under the `supervise` example,
//! which is the supervisor without a sandbox.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and say why they skip"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use reprobe::model::DirectoryOrder;
use reprobe::sandbox::supervisor::Config;
use tempfile::TempDir;

/// Compiled test programs.
static PROGRAMS: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());
static COMPILING: Mutex<()> = Mutex::new(());
static HEAVY: Mutex<()> = Mutex::new(());

fn lock(mutex: &'static Mutex<()>) -> MutexGuard<'static, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The example, brought up to date where cargo runs us (`cargo test --test` builds no examples).
static SUPERVISE: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(2).unwrap();
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--example", "supervise"]);
        if target.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    }
    target.join("examples/supervise")
});

/// Compiles one of the C programs of `tests/supervisor`, or says why it cannot.
fn compile(compiler: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let _guard = lock(&COMPILING);
    let name = format!("{compiler}-{source}-{}", flags.concat()).replace(['/', '.'], "_");
    let program = PROGRAMS.path().join(name);
    if program.exists() {
        return Some(program);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/supervisor")
        .join(source);
    let output = Command::new(compiler)
        .args(["-O1", "-Wall", "-o"])
        .arg(&program)
        .arg(source)
        .args(flags)
        .output();
    match output {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => skip(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => skip(&format!("{compiler}: {error}")),
    }
}

/// Says why a test cannot run here; `REPROBE_REQUIRE=all` makes that a failure.
fn skip<T>(why: &str) -> Option<T> {
    assert!(
        std::env::var_os("REPROBE_REQUIRE").is_none(),
        "cannot test: {why}"
    );
    eprintln!("skipped: {why}");
    None
}

fn run(config: &Config, command: &[&str]) -> Output {
    Command::new(&*SUPERVISE)
        .arg(serde_json::to_string(config).unwrap())
        .arg("/dev/null")
        .args(command)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ordered(reverse: bool) -> Config {
    Config {
        order: DirectoryOrder::Keyed { key: 7, reverse },
    }
}

fn directory_in(parent: &Path, count: &str) {
    let Some(program) = compile("gcc", "directory.c", &["-pthread"]) else {
        return;
    };
    let _guard = lock(&HEAVY);
    for reverse in [false, true] {
        let program = program.to_str().unwrap();
        text(&run(
            &ordered(reverse),
            &[program, parent.to_str().unwrap(), count],
        ));
    }
}

#[test]
fn a_directory_on_disk_keeps_every_name_however_it_is_read() {
    let parent = TempDir::new_in("/var/tmp").unwrap();
    directory_in(parent.path(), "20000");
}

#[test]
fn a_directory_in_memory_keeps_every_name_however_it_is_read() {
    let parent = TempDir::new_in("/dev/shm").unwrap();
    directory_in(parent.path(), "20000");
}

#[test]
fn the_reverse_order_is_the_order_reversed_for_every_kind_of_program() {
    let parent = TempDir::new().unwrap();
    for number in 0..50 {
        std::fs::write(parent.path().join(format!("file{number}")), "").unwrap();
    }
    let path = parent.path().to_str().unwrap();
    let programs: [&[&str]; 4] = [
        &["ls", "-U", path],
        &["busybox", "find", path, "-name", "file*"],
        &[
            "perl",
            "-e",
            "opendir D, shift; print map {\"$_\\n\"} grep /file/, readdir D",
            path,
        ],
        &[
            "python3",
            "-c",
            "import os,sys\nfor n in os.listdir(sys.argv[1]): print(n)",
            path,
        ],
    ];
    for program in programs {
        if Command::new(program[0]).arg("--help").output().is_err() {
            skip::<()>(&format!("no {}", program[0]));
            continue;
        }
        let forward = text(&run(&ordered(false), program));
        let mut backward: Vec<_> = text(&run(&ordered(true), program))
            .lines()
            .map(str::to_owned)
            .collect();
        backward.reverse();
        let forward: Vec<_> = forward.lines().collect();
        assert_eq!(forward, backward, "{program:?}");
        assert_eq!(forward.len(), 50);
        assert!(!forward.is_sorted());
    }
}

#[test]
fn pseudo_file_systems_list_what_they_hold() {
    let listed = text(&run(&ordered(false), &["ls", "/proc/self/fd"]));
    assert_eq!(
        listed.lines().filter(|number| *number == "0").count(),
        1,
        "{listed}"
    );
    assert!(listed.lines().count() >= 4, "{listed}");
}
