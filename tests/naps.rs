//! The held clock beside work: programs that poll with short sleeps, in a dozen ways, must leave it as
//! it is however long what they wait for takes, and sleeps must move it. Each way is repeated within
//! one trial, which writes the clock down after each; trials must agree, with and without load.
//!
//! What runs by default is a part. All of it, as it was measured (an hour or two on two processors):
//! `REPROBE_NAPS=200x10 cargo test --release --test naps -- --nocapture`, repeats by trials.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and say why they skip"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use reprobe::model::{Clock, Environment, Randomness};
use reprobe::sandbox::supervisor::Config;
use tempfile::TempDir;

/// Busy loops beside the trials: twice the two processors of a small machine.
const LOAD: usize = 4;

/// The ways that are tried, with the command each needs; the first ones by default as well. The last
/// two are known to part on a very busy machine: a sleep until a time that the supervisor sees late.
const WAYS: [(&str, &str); 30] = [
    ("python timeout", "python3"),
    ("python poll", "python3"),
    ("python file", "python3"),
    ("python poll-sleeper", "python3"),
    ("shell until", "sh"),
    ("shell sleep", "sh"),
    ("shell background", "sh"),
    ("perl", "perl"),
    ("shell index-lock", "git"),
    ("shell kill", "sh"),
    ("shell mkdir", "sh"),
    ("python timeout-git", "git"),
    ("python poll-idler", "python3"),
    ("python poll-long", "python3"),
    ("python listener", "python3"),
    ("python lock", "python3"),
    ("python thread", "python3"),
    ("python pipe", "python3"),
    ("python synced", "dd"),
    ("shell pair", "sh"),
    ("shell make", "make"),
    ("shell ninja", "ninja"),
    ("shell npm", "npm"),
    ("php", "php"),
    ("ruby", "ruby"),
    ("node", "node"),
    ("java", "javac"),
    ("go", "go"),
    ("python sleep", "python3"),
    ("python sleep-below", "python3"),
];
const BY_DEFAULT: usize = 11;

static ROOM: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());
/// Trials that are measured do not disturb each other.
static ALONE: Mutex<()> = Mutex::new(());

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

fn source(name: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/naps");
    directory.join(name).to_str().unwrap().to_owned()
}

/// The command of a way; `None` where this machine lacks what it needs.
fn command(way: &str, needs: &str, repeats: u32) -> Option<Vec<String>> {
    if Command::new(needs).arg("--version").output().is_err() {
        assert!(
            std::env::var_os("REPROBE_REQUIRE").is_none() || optional(needs),
            "cannot test: no {needs}"
        );
        eprintln!("skipped: {way}: no {needs}");
        return None;
    }
    let repeats = repeats.to_string();
    let (language, how) = way.split_once(' ').unwrap_or((way, ""));
    let words = match language {
        "python" => vec!["/usr/bin/python3", "-S", "poll.py", how],
        "shell" => vec!["sh", "poll.sh", how],
        "perl" => vec!["perl", "poll.pl"],
        "php" => vec!["php", "poll.php"],
        "ruby" => vec!["ruby", "poll.rb"],
        "node" => vec!["node", "poll.js"],
        "java" => vec!["java", "-cp", ROOM.path().to_str()?, "Poll"],
        _ => vec!["poll-go"],
    };
    let built = match language {
        "java" => Command::new("javac")
            .args(["-d", ROOM.path().to_str()?, &source("Poll.java")])
            .status(),
        "go" => Command::new("go")
            .args(["build", "-o", ROOM.path().join("poll-go").to_str()?])
            .arg(source("poll.go"))
            .status(),
        _ => Command::new("true").status(),
    };
    assert!(built.unwrap().success(), "{way}");
    let place = |word: &str| match word {
        "poll-go" => ROOM.path().join(word).to_str().unwrap().to_owned(),
        word if word.starts_with("poll.") => source(word),
        word => word.to_owned(),
    };
    let words = words.into_iter().filter(|word| !word.is_empty()).map(place);
    Some(words.chain([repeats]).collect())
}

/// What `tests/run` does not install.
fn optional(command: &str) -> bool {
    matches!(command, "ninja" | "php" | "ruby")
}

/// What a trial said.
fn trial(command: &[String]) -> String {
    // The shell of the build is another one: the end of each of its commands is a step.
    let shell = ["sh", "-c", "\"$@\"; exit", "sh"].map(str::to_owned);
    supervised(&[&shell, command].concat(), Path::new("."))
}

/// What a build said whose first process is this one.
fn supervised(command: &[String], directory: &Path) -> String {
    let config = Config {
        clock: Clock::Stepped {
            start: 2_000_000_000,
        },
        randomness: Randomness::Seeded { seed: 3 },
        ..Config::new(&Environment::default())
    };
    let output = Command::new(&*SUPERVISE)
        .arg(serde_json::to_string(&config).unwrap())
        .arg("/dev/null")
        .args(command)
        .env("TMPDIR", ROOM.path())
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Keeps the processors busy while it lives.
struct Load(Vec<Child>);

impl Load {
    fn new(loops: usize) -> Self {
        let spin = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", "while :; do :; done"]);
            shell.stdin(Stdio::null()).spawn().unwrap()
        };
        Self((0..loops).map(|_| spin()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // What has ended needs no end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn seconds(said: &str) -> i64 {
    let last = said.lines().last().unwrap_or_default();
    let time = last.split(' ').nth(1).unwrap_or_default();
    time.split('.')
        .next()
        .unwrap_or_default()
        .parse()
        .unwrap_or(0)
}

#[test]
fn trials_agree_on_a_clock_however_long_what_is_polled_for_takes() {
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let full = std::env::var("REPROBE_NAPS").ok();
    let (repeats, trials) = full
        .as_deref()
        .and_then(|text| text.split_once('x'))
        .map_or((6, 2), |(repeats, trials)| {
            (repeats.parse().unwrap(), trials.parse().unwrap())
        });
    let ways = if full.is_some() {
        WAYS.as_slice()
    } else {
        &WAYS[..BY_DEFAULT]
    };
    let only = std::env::var("REPROBE_NAPS_ONLY").unwrap_or_default();
    let mut disagree = Vec::new();
    for (way, needs) in ways.iter().filter(|(way, _)| way.contains(&only)) {
        let Some(command) = command(way, needs, repeats) else {
            continue;
        };
        let began = Instant::now();
        let mut said: BTreeMap<String, u32> = BTreeMap::new();
        for loops in [0, LOAD] {
            let _load = Load::new(loops);
            for _ in 0..trials {
                *said.entry(trial(&command)).or_default() += 1;
            }
        }
        let times: Vec<u32> = said.values().copied().collect();
        let spent = began.elapsed().as_secs_f64();
        let last = said.keys().next().map_or(0, |said| seconds(said));
        eprintln!("{way}: {times:?} of the same clock, up to {last}, {spent:.1} s");
        if said.len() > 1 {
            disagree.push(*way);
        }
    }
    assert!(disagree.is_empty(), "{disagree:?}");
}

/// The small inputs from the field: a clock that counted the naps showed another time each.
#[test]
fn who_polls_for_a_child_finds_the_clock_where_it_was() {
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let polls = "import os, subprocess, tempfile, time
subprocess.run(['/usr/bin/env', 'true'], timeout=40, capture_output=True)
with tempfile.NamedTemporaryFile() as made:
    print('%.4f' % (os.stat(made.name).st_mtime % 1000))
p = subprocess.Popen(['sh', '-c', 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done'])
while p.poll() is None: time.sleep(.001)
print('%.4f' % (time.time() % 1000))";
    let said = trial(&["python3", "-c", polls].map(str::to_owned));
    assert_eq!(said, "0.0000\n0.0000\n");
}

#[test]
fn of_long_sleeps_beside_work_the_first_of_a_row_counts_and_one_after_something_new() {
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let clock = |script: &str| {
        let spin = "while :; do :; done & spin=$!;";
        let script = format!("{spin} {script}; kill $spin; date +%s");
        let said = trial(&["sh", "-c", &script].map(str::to_owned));
        seconds(&format!("x {}", said.trim())) - 2_000_000_000
    };
    assert_eq!(clock("for i in 1 2 3; do sleep 1; done"), 1);
    assert_eq!(clock("sleep 1; uname >/dev/null; sleep 1"), 2);
    assert_eq!(clock("sleep 1 & one=$!; sleep 2; wait $one"), 2);
    assert_eq!(clock("for i in 1 2 3; do sleep 0.3; done"), 0);
}

/// Milliseconds by which a script moved the clock, the ends of its commands included.
fn moved(script: &str) -> i64 {
    milliseconds(&trial(&dated(script)))
}

/// The same where the script's shell is that of the build, in a new directory.
fn moved_by_shell(script: &str) -> i64 {
    let directory = TempDir::new().unwrap();
    milliseconds(&supervised(&dated(script), directory.path()))
}

fn dated(script: &str) -> [String; 3] {
    ["sh", "-c", &format!("{script}\ndate +%s.%N; wait")].map(str::to_owned)
}

fn milliseconds(said: &str) -> i64 {
    let last = said.lines().last().unwrap_or_default();
    let nanoseconds: i64 = last.replace('.', "").parse().unwrap();
    (nanoseconds - 2_000_000_000_000_000_000) / 1_000_000
}

#[test]
fn a_short_sleep_counts_unless_work_in_the_background_came_before() {
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(moved("sleep 0.3"), 300);
    // Who waits for each of its commands has nothing in the background, nor has a pipeline.
    assert_eq!(
        moved("uname >/dev/null; (uname; uname) >/dev/null; sleep 0.3"),
        300
    );
    assert_eq!(
        moved("uname | cat | wc -l >/dev/null; x=$(uname | cat); sleep 0.3"),
        300
    );
    assert_eq!(moved("sh -c 'uname & wait' >/dev/null; sleep 0.3"), 300);
    // It may have ended before the sleep, during a command before it, or not yet.
    for work in [
        ":",
        "uname >/dev/null",
        "sh -c 'i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done'",
    ] {
        assert_eq!(moved(&format!("{work} & sleep 0.3; wait")), 0, "{work}");
        assert_eq!(
            moved(&format!("{work} & env true; sleep 0.3; wait")),
            0,
            "{work}"
        );
        assert_eq!(
            moved(&format!("{work} & env true; wait; sh -c 'sleep 0.3'")),
            0,
            "{work}"
        );
    }
    assert_eq!(moved(": & sleep 1; sleep 0.3"), 1000);
}

#[test]
fn who_looks_at_the_clock_between_sleeps_beside_work_comes_to_an_end() {
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let script = "while :; do :; done & spin=$!
         end=$(( $(date +%s) + 1 )); while [ $(date +%s) -lt $end ]; do sleep 0.01; done
         kill $spin; date +%s";
    let said = trial(&["sh", "-c", script].map(str::to_owned));
    assert_eq!(said.trim(), "2000000001");
}

/// How the shell of a build polls for its job, and by how much that moves the clock: where `WORK` ends
/// at once or later, and the job with it or after it.
const POLLS: [(&str, i64); 7] = [
    (
        "(WORK; echo done >log; TAIL) & until cat log 2>/dev/null | grep -q done; do sleep 0.05; done",
        1,
    ),
    (
        "(WORK; touch fin; TAIL) & while ! [ $(ls | grep -c fin) = 1 ]; do sleep 0.01; done",
        1,
    ),
    (
        "(WORK; touch fin; TAIL) & while ! ls | grep -q fin; do sleep 0.05; done",
        1,
    ),
    (
        "sh -c 'echo $$ >pid; WORK' & sleep 0.2; p=$(cat pid); while kill -0 $p 2>/dev/null; do sleep 0.01; done",
        1,
    ),
    (
        "(WORK; echo 1 >pid; TAIL) & while [ ! -s pid ]; do sleep 0.01; done",
        0,
    ),
    (
        "(WORK; : >fin; TAIL) & while [ -z \"$(ls fin 2>/dev/null)\" ]; do sleep 0.01; done",
        1,
    ),
    (
        "(WORK; touch fin; TAIL) & until ls fin >/dev/null 2>&1; do sleep 0.01; done",
        1,
    ),
];

#[test]
fn the_shell_of_a_build_that_polls_for_its_job_moves_the_clock_alike_whenever_that_ends() {
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let work = "n=0; while [ $n -lt 60000 ]; do n=$((n+1)); done";
    let long = [work; 5].join("; ");
    let (idle, late) = ("sleep 0.4", "sleep 0.2");
    let quiet = [(idle, ":"), (work, ":"), (work, late), (&long, ":")];
    let mut others = Vec::new();
    for (loops, jobs) in [(0, &quiet[..]), (LOAD, &[(idle, late), (work, ":")])] {
        let _load = Load::new(loops);
        for (poll, expected) in POLLS {
            for (work, tail) in jobs {
                let found = moved_by_shell(&poll.replace("WORK", work).replace("TAIL", tail));
                if found != expected {
                    others.push((loops, poll, *work, *tail, found));
                }
            }
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn beside_a_job_of_the_builds_shell_each_step_moves_the_clock_when_it_is_run_first() {
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(
        moved_by_shell("uname; uname; (uname; uname); x=$(uname)"),
        4
    );
    assert_eq!(moved_by_shell("(:) & (:) & wait"), 1);
    assert_eq!(
        moved_by_shell("uname | cat | wc -l; uname | cat | wc -l"),
        2
    );
    let beside = |steps: &str| moved_by_shell(&format!("sleep 9 & job=$!; {steps}; kill $job"));
    assert_eq!(beside("uname; ls; uname -s"), 3);
    assert_eq!(beside("uname | cat; ls | cat; ls | wc -l; (uname; ls)"), 4);
    assert_eq!(
        beside("uname | cat; (uname; ls); uname | cat; (uname; ls)"),
        2
    );
    assert_eq!(beside("touch a; touch b; [ b -nt a ] || exit"), 2);
}
