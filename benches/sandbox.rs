//! What a trial costs beside the bare command: set-up and teardown with all namespaces and
//! overlays, with and without a supervisor, over a small source and over one of 20 000 files (wall
//! time); and a C build inside it (`make`: processor time of all processes, the supervisor's
//! included).

#![expect(clippy::unwrap_used, reason = "a benchmark says why it fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use reprobe::model::{
    Accounting, Build, Clock, DirectoryOrder, Environment, Inodes, Outcome, OutputSelection,
    Randomness,
};
use reprobe::sandbox::{self, Limits, Sandbox, SessionOptions, TrialSpec};

const PROGRAM: &str = env!("CARGO_BIN_EXE_reprobe");
/// Units of C that `make` compiles, of 60 ms each.
const UNITS: usize = 100;

fn sandbox(dir: &Path, source: &Path) -> Sandbox {
    Sandbox::new(SessionOptions {
        exposed: Vec::new(),
        scratch: dir.join("scratch"),
        source: source.to_owned(),
        capabilities: sandbox::probe(Path::new(PROGRAM), dir).unwrap(),
        program: PROGRAM.into(),
        limits: Limits::default(),
        interrupt: None,
        cache: None,
    })
    .unwrap()
}

fn spec(source: &Path, command: &[&str], environment: Environment) -> TrialSpec {
    TrialSpec {
        environment,
        build: Build {
            command: command.iter().map(ToString::to_string).collect(),
            source: source.to_owned(),
            outputs: OutputSelection::Tree,
            variables: BTreeMap::new(),
        },
        timeout: Duration::from_mins(5),
        keep_outputs: None,
        log: None,
        focus: None,
    }
}

/// Nothing varied, nothing held; and all that the supervisor holds.
fn environments() -> [(&'static str, Environment); 2] {
    let held = Environment {
        clock: Clock::Stepped {
            start: 2_000_000_000,
        },
        directory_order: DirectoryOrder::Keyed {
            key: 1,
            reverse: false,
        },
        randomness: Randomness::Seeded { seed: 1 },
        inodes: Inodes::Numbered {
            key: 1,
            accounting: Accounting::default(),
        },
        ..Environment::default()
    };
    [
        ("trial", Environment::default()),
        ("supervised trial", held),
    ]
}

fn set_up(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("sandbox");
    group.sample_size(50);
    group.measurement_time(Duration::from_secs(5));
    group.bench_function("bare", |bencher| {
        bencher.iter(|| Command::new("true").status().unwrap());
    });
    for files in [1, 20_000] {
        let source = dir.path().join(format!("source-{files}"));
        for number in 0..files {
            let parent = source.join(format!("{}", number / 100));
            std::fs::create_dir_all(&parent).unwrap();
            std::fs::write(parent.join(format!("{number}")), "content\n").unwrap();
        }
        let sandbox = sandbox(dir.path(), &source);
        for (name, environment) in environments() {
            let spec = spec(&source, &["true"], environment);
            group.bench_function(format!("{name} over {files} files"), |bencher| {
                bencher.iter(|| sandbox.run(&spec).unwrap());
            });
        }
    }
    group.finish();
}

fn c_project(source: &Path) {
    std::fs::create_dir_all(source).unwrap();
    for unit in 0..UNITS {
        let mut text = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n".to_owned();
        for function in 0..40 {
            writeln!(
                text,
                "int u{unit}_{function}(int x) {{ return printf(\"%d\", x * {function}); }}"
            )
            .unwrap();
        }
        std::fs::write(source.join(format!("u{unit}.c")), text).unwrap();
    }
    let makefile = "all: $(patsubst %.c,%.o,$(wildcard *.c))\n\
                    %.o: %.c\n\t$(CC) -O2 -c -o $@ $<\n";
    std::fs::write(source.join("Makefile"), makefile).unwrap();
}

/// Processor time of all processes that have ended below this one.
fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let time = |time: TimeVal| {
        Duration::new(
            time.tv_sec().unsigned_abs(),
            1000 * u32::try_from(time.tv_usec()).unwrap(),
        )
    };
    time(usage.user_time()) + time(usage.system_time())
}

fn spent_by(mut work: impl FnMut(), times: u64) -> Duration {
    let before = spent();
    for _ in 0..times {
        work();
    }
    spent().saturating_sub(before)
}

fn make(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("c");
    c_project(&source);
    let mut group = criterion.benchmark_group("make");
    group.sample_size(10);
    let command = ["make", "-s", "-j2"];
    let bare = || {
        let copy = dir.path().join("copy");
        let copied = Command::new("cp").arg("-a").args([&source, &copy]).status();
        assert!(copied.unwrap().success());
        let mut make = Command::new(command[0]);
        make.args(&command[1..])
            .current_dir(&copy)
            .stdout(Stdio::null());
        assert!(make.status().unwrap().success());
        std::fs::remove_dir_all(copy).unwrap();
    };
    group.bench_function("bare", |bencher| {
        bencher.iter_custom(|times| spent_by(bare, times));
    });
    let sandbox = sandbox(dir.path(), &source);
    for (name, environment) in environments() {
        let spec = spec(&source, &command, environment);
        let trial = || {
            let report = sandbox.run(&spec).unwrap();
            assert!(matches!(report.outcome, Outcome::Built { .. }));
        };
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| spent_by(trial, times));
        });
    }
    group.finish();
}

criterion_group!(benches, set_up, make);
criterion_main!(benches);
