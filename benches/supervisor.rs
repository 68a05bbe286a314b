//! What one system call costs under the supervisor, beside the same call without it: what it
//! answers, what it sees and leaves to the kernel, and what it never sees. Each sample is a process
//! of its own that makes one call over and over and says how long
//! that took; at the end come the medians and their ratios.

#![expect(clippy::unwrap_used, reason = "a benchmark says why it fails")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use criterion::Criterion;
use reprobe::model::{Accounting, Clock, DirectoryOrder, Environment, Inodes, Kernel, Randomness};
use reprobe::sandbox::supervisor::Config;

/// What is called: the word for `tests/supervisor/calls.c`, and its meaning.
const CALLS: [(&str, &str); 14] = [
    ("p", "getppid, not trapped"),
    ("v", "clock_gettime by vDSO"),
    ("c", "clock_gettime as a call"),
    ("s", "stat of a source"),
    ("f", "fstat of a source"),
    ("a", "fstatat of a source"),
    ("A", "fstatat of a source, asked each time"),
    ("sm", "stat of a made file"),
    ("fm", "fstat of a made file"),
    ("Am", "fstatat of a made file, asked each time"),
    ("d", "getdents64 of 10 entries, to the end, and rewind"),
    ("r", "getrandom of 16 bytes"),
    ("u", "uname"),
    ("x", "spawn of /bin/true"),
];

/// Picoseconds of one call in each sample, by call and way.
type Samples = RefCell<BTreeMap<(&'static str, &'static str), Vec<u128>>>;

/// The ways of calling; the last knows no numbers of inodes, so that the kernel answers for sources.
const WAYS: [&str; 3] = ["bare", "supervised", "without inodes"];

/// So many calls that the first ones, which are slower, hardly count: a program gets the page with
/// the clock after sixteen.
fn enough(call: &str) -> u64 {
    match call {
        "x" => 200,
        "v" => 1_000_000,
        _ => 1000,
    }
}

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn print(line: &str) {
    println!("{line}");
}

/// The program that makes the calls.
fn caller(dir: &Path) -> PathBuf {
    let program = dir.join("calls");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/supervisor/calls.c");
    let mut compile = Command::new("cc");
    compile.arg("-O2").arg("-o").arg(&program).arg(source);
    assert!(compile.status().unwrap().success());
    program
}

/// The example that supervises a command; `cargo bench` builds none.
fn supervise() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--quiet", "--release", "--example", "supervise"];
    assert!(Command::new(cargo).args(build).status().unwrap().success());
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join("examples/supervise")
}

/// All that a supervisor holds; and the same but for the numbers of inodes.
fn configs() -> [(&'static str, Config); 2] {
    let environment = Environment {
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
        kernel: Kernel::Named {
            release: "9.9.9".into(),
            version: "#1".into(),
        },
        ..Environment::default()
    };
    let without = Environment {
        inodes: Inodes::Host,
        ..environment.clone()
    };
    [
        (WAYS[1], Config::new(&environment)),
        (WAYS[2], Config::new(&without)),
    ]
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let samples = Samples::default();
    let dir = tempfile::tempdir().unwrap();
    let entries = dir.path().join("entries");
    std::fs::create_dir(&entries).unwrap();
    for number in 0..10 {
        std::fs::write(entries.join(number.to_string()), "").unwrap();
    }
    std::fs::write(dir.path().join("source"), "source").unwrap();
    // What the supervisor finds from before its own start, in ticks, is a source.
    std::thread::sleep(Duration::from_millis(50));
    let (supervise, caller) = (supervise(), caller(dir.path()));
    for (call, meaning) in CALLS {
        let mut group = criterion.benchmark_group(meaning);
        group.sample_size(10);
        group.warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        let mut measure = |name, config: Option<&Config>| {
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    let made = times.max(enough(call));
                    let spent = sample(&supervise, &caller, config, call, made);
                    let mut samples = samples.borrow_mut();
                    let each = spent.as_nanos() * 1000 / u128::from(made);
                    samples.entry((call, name)).or_default().push(each);
                    let spent = spent.as_nanos() * u128::from(times) / u128::from(made);
                    Duration::from_nanos(spent.try_into().unwrap())
                });
            });
        };
        measure(WAYS[0], None);
        for (name, config) in &configs() {
            measure(name, Some(config));
        }
        group.finish();
    }
    criterion.final_summary();
    table(samples.into_inner());
}

/// How long a process takes for so many calls.
fn sample(
    supervise: &Path,
    caller: &Path,
    config: Option<&Config>,
    call: &str,
    times: u64,
) -> Duration {
    let mut command = match config {
        None => Command::new(caller),
        Some(config) => {
            let mut command = Command::new(supervise);
            let config = serde_json::to_string(config).unwrap();
            // The end of a command of the build's own shell is held: this is not such a shell.
            let shell = ["sh", "-c", "\"$@\"; true", "sh"];
            command.args([config.as_str(), "/dev/null"]).args(shell);
            command.arg(caller);
            command
        }
    };
    let dir = caller.parent().unwrap();
    let command = command.args([call, &times.to_string()]).arg(dir);
    // Cargo's directories of libraries make every program look at dozens of files more.
    let output = command.env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert!(output.status.success(), "{call}: {output:?}");
    let spent = String::from_utf8(output.stdout).unwrap();
    Duration::from_nanos(spent.trim().parse().unwrap())
}

fn table(mut samples: BTreeMap<(&'static str, &'static str), Vec<u128>>) {
    let mut median = |call, way| -> Option<u128> {
        let some = samples.get_mut(&(call, way))?;
        some.sort_unstable();
        some.get(some.len() / 2).copied()
    };
    for (call, meaning) in CALLS {
        let Some(bare) = median(call, WAYS[0]) else {
            // Not among those that were asked for.
            continue;
        };
        let mut line = format!("{meaning:50} {:9.3} us", micros(bare));
        for way in &WAYS[1..] {
            if let Some(time) = median(call, way) {
                let ratio = micros(time) / micros(bare);
                write!(line, "  {way} {:9.3} us, {ratio:6.2}", micros(time)).unwrap();
            }
        }
        print(&line);
    }
}

fn micros(picoseconds: u128) -> f64 {
    Duration::from_nanos(picoseconds.try_into().unwrap()).as_secs_f64() * 1000.0
}
