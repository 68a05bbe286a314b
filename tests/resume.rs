//! Sessions that are killed and go on, trials that are run again, journals that are damaged: through
//! the program, with real builds.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly, in its helpers as well"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reprobe::model::{Acting, TrialId};
use reprobe::store::{JOURNAL, Recorded, TrialEvent, recorded};
use serde_json::Value;
use tempfile::TempDir;

/// A source tree, and a place for sessions.
struct Place {
    source: TempDir,
    state: TempDir,
}

impl Place {
    fn new() -> Self {
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("a.txt"), "a\n").unwrap();
        Self {
            source,
            state: tempfile::tempdir().unwrap(),
        }
    }

    fn reprobe(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reprobe"));
        command
            .args(words)
            .current_dir(self.source.path())
            .env("NO_COLOR", "1")
            .env("XDG_STATE_HOME", self.state.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        said(&self.reprobe(words).output().unwrap())
    }

    fn session(&self, number: u32) -> PathBuf {
        self.state.path().join(format!("reprobe/{number}"))
    }

    fn recorded(&self, number: u32) -> Option<Recorded> {
        recorded(&self.session(number).join("journal")).ok()
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// A build whose outputs depend on the umask and on the user.
const BUILD: &str = "umask > mask; id -un > who; tar -cf all.tar mask who a.txt";
const CHECK: [&str; 7] = [
    "check",
    "--only",
    "umask,user,home,terminal",
    "-o",
    "mask",
    "-o",
    "who",
];

fn check(jobs: &'static str) -> Vec<&'static str> {
    let mut words = CHECK.to_vec();
    words.extend(["-j", jobs, "--seed", "5", "--", BUILD]);
    words
}

fn culprits(json: &Path) -> BTreeMap<String, Value> {
    let found: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let artifacts = found["artifacts"].as_array().unwrap().iter();
    artifacts
        .map(|one| {
            (
                one["path"].as_str().unwrap().to_owned(),
                one["culprits"].clone(),
            )
        })
        .collect()
}

#[test]
fn a_trial_is_not_run_again_with_another_path_of_the_caller() {
    let place = Place::new();
    let words = ["check", "--only", "umask", "-o", "y", "--", "echo $PATH >y"];
    assert_eq!(place.run(&words).0, Some(0));
    let number = place.recorded(0).map_or("1", |_| "0");
    assert_eq!(place.run(&["replay", number, "0"]).0, Some(0));
    let path = std::env::var("PATH").unwrap();
    let mut replay = place.reprobe(&["replay", number, "0"]);
    let (code, text) = said(
        &replay
            .env("PATH", format!("{path}:/elsewhere"))
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(125), "{text}");
    assert!(
        text.contains("not as it was when the session began: PATH"),
        "{text}"
    );
}

#[test]
fn a_session_killed_at_fifty_points_loses_no_trial_that_had_ended() {
    let mut random = 7_u64;
    let mut kills = 0;
    while kills < 50 {
        let place = Place::new();
        let scratch = place.state.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let json = place.state.path().join("found.json");
        let path = json.to_str().unwrap();
        let messages = place.state.path().join("messages");
        let mut known: BTreeMap<TrialId, TrialEvent> = BTreeMap::new();
        loop {
            let mut words = if known.is_empty() {
                check(if kills % 2 == 0 { "1" } else { "2" })
            } else {
                vec!["check", "--resume"]
            };
            let dashes = words.iter().position(|word| *word == "--");
            words.splice(
                dashes.unwrap_or(words.len())..dashes.unwrap_or(words.len()),
                ["--json", path],
            );
            let mut child = place
                .reprobe(&words)
                .env("TMPDIR", &scratch)
                .stdout(Stdio::null())
                .stderr(fs::File::create(&messages).unwrap())
                .spawn()
                .unwrap();
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let until = Instant::now() + Duration::from_millis(200 + (random >> 33) % 900);
            if let Some(status) = ended_before(&mut child, until) {
                let said = fs::read_to_string(&messages).unwrap();
                assert_eq!(status.code(), Some(1), "{words:?}: {said}");
                break;
            }
            ended_by(child, SIGNALS[kills % SIGNALS.len()]);
            kills += 1;
            nothing_runs_in(&scratch);
            let latest = (1..).take_while(|number| place.session(*number).exists());
            if let Some(now) = place.recorded(latest.last().unwrap_or_default()) {
                for (id, trial) in &known {
                    assert_eq!(now.trials.get(id), Some(trial), "trial {} is lost", id.0);
                }
                known = now.trials;
                if now.finished {
                    // Its findings were shown before.
                    break;
                }
            }
        }
        let found = culprits(&json);
        assert_eq!(found["mask"], serde_json::json!([["umask"]]));
        assert_eq!(found["who"], serde_json::json!([["user"]]));
        let left = reprobe::snapshot::walk::sorted_entries(&scratch).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Ways to end a session, the hardest more often.
const SIGNALS: [Signal; 5] = [
    Signal::SIGKILL,
    Signal::SIGTERM,
    Signal::SIGKILL,
    Signal::SIGINT,
    Signal::SIGHUP,
];

fn ended_before(child: &mut Child, until: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return Some(status),
            None if Instant::now() >= until => return None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn ended_by(mut child: Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    let code = child.wait().unwrap().code();
    let killed = code.unwrap_or(128 + Signal::SIGKILL as i32);
    // It may have been at its very end.
    assert!(
        killed == 128 + signal as i32 || killed == 1,
        "{signal}: {killed}"
    );
}

/// No process works in a directory any more, soon after the one that started them has been killed.
fn nothing_runs_in(scratch: &Path) {
    let runs = |process: &reprobe::snapshot::walk::Entry| {
        let words = fs::read(process.path.join("cmdline")).unwrap_or_default();
        let within = fs::read_link(process.path.join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(scratch.to_str().unwrap())
            || within.starts_with(scratch)
    };
    let began = Instant::now();
    loop {
        let processes = reprobe::snapshot::walk::sorted_entries(Path::new("/proc")).unwrap();
        let left: Vec<_> = processes.into_iter().filter(runs).collect();
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_trial_runs_again_with_the_same_outputs_and_a_changed_source_shows() {
    let place = Place::new();
    let (code, text) = place.run(&check("2"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("reprobe replay 1 "), "{text}");
    let trials = place.recorded(1).unwrap().trials;
    let varied = trials
        .values()
        .find(|trial| !trial.asked.row.is_control())
        .unwrap();
    let (code, text) = place.run(&["replay", "1", &varied.id.0.to_string()]);
    assert_eq!(code, Some(0), "{text}");
    // What was varied, and which outputs are the same.
    let head = format!("trial {}, ", varied.id.0);
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with(&head) && first.contains('='), "{text}");
    assert!(
        first.ends_with(": the same as when it was recorded"),
        "{text}"
    );
    assert!(
        lines.next().is_some_and(|line| line.starts_with("  ")),
        "{text}"
    );
    let (code, text) = place.run(&["replay", "1", "999"]);
    assert_eq!(code, Some(125), "{text}");
    assert!(text.contains("its last one is"), "{text}");
    let (code, text) = place.run(&["replay", "9", "0"]);
    assert_eq!(code, Some(125), "{text}");
    assert!(text.contains("there is no session 9"), "{text}");
    let (code, text) = place.run(&["check", "--resume", "1"]);
    assert_eq!(code, Some(125), "{text}");
    assert!(text.contains("is finished"), "{text}");
}

/// Ends a session after its first trials; its number is 1.
fn interrupted(place: &Place) {
    let (code, text) = place.run(&check("1"));
    assert_eq!(code, Some(1), "{text}");
    let journal = place.session(1).join("journal");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().take(4).collect();
    fs::write(&journal, lines.join("\n") + "\n{\"event\":\"tri").unwrap();
}

#[test]
fn a_torn_journal_goes_on_and_the_source_must_be_as_it_was() {
    let place = Place::new();
    interrupted(&place);
    let before = place.recorded(1).unwrap().trials;
    let (code, text) = place.run(&["check", "--resume", "1"]);
    assert_eq!(code, Some(1), "{text}");
    let after = place.recorded(1).unwrap();
    assert!(after.finished);
    for (id, trial) in &before {
        assert_eq!(after.trials.get(id), Some(trial));
    }
    let place = Place::new();
    interrupted(&place);
    fs::write(place.source.path().join("a.txt"), "changed\n").unwrap();
    let (code, text) = place.run(&["check", "--resume"]);
    assert_eq!(code, Some(125), "{text}");
    assert!(text.contains("was changed since session 1 began"), "{text}");
}

#[test]
fn without_a_number_the_latest_session_of_the_source_tree_goes_on() {
    let place = Place::new();
    interrupted(&place);
    let other = Place {
        state: place.state,
        ..Place::new()
    };
    let (code, text) = other.run(&["check", "--resume"]);
    assert_eq!(code, Some(125), "{text}");
    let elsewhere = format!(
        "no session of {} was interrupted that could go on; of {} number 1 was: reprobe check --resume 1",
        other.source.path().display(),
        place.source.path().display()
    );
    assert!(text.contains(&elsewhere), "{text}");
    let source = place.source.path().to_str().unwrap();
    let (code, text) = other.run(&["check", source, "--resume", "1"]);
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = other.run(&["check", source, "--resume"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("going on with session 1"), "{text}");
}

#[test]
fn a_journal_of_another_version_and_a_damaged_one_are_refused() {
    let place = Place::new();
    interrupted(&place);
    let journal = place.session(1).join("journal");
    let text = fs::read_to_string(&journal).unwrap();
    let own = format!("\"version\":{JOURNAL}");
    let older = text.replacen(&own, "\"version\":1", 1);
    assert_ne!(older, text);
    fs::write(&journal, older).unwrap();
    let (code, said) = place.run(&["check", "--resume", "1"]);
    assert_eq!(code, Some(125), "{said}");
    assert!(said.contains("format 1"), "{said}");
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "damage";
    fs::write(&journal, lines.join("\n")).unwrap();
    let (code, said) = place.run(&["replay", "1", "0"]);
    assert_eq!(code, Some(125), "{said}");
    assert!(said.contains("line 3"), "{said}");
}

#[test]
fn a_journal_that_cannot_grow_ends_the_session_with_125_and_it_goes_on_later() {
    let place = Place::new();
    // As on a full disk, but for the journal alone: other files stay below the limit.
    let limit = "trap '' XFSZ; ulimit -f 30; exec \"$@\"";
    let mut words = vec!["-c", limit, "sh", env!("CARGO_BIN_EXE_reprobe")];
    let check = check("1");
    words.extend(&check);
    let mut command = Command::new("sh");
    let output = command
        .args(words)
        .current_dir(place.source.path())
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", place.state.path())
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(125), "{text}");
    assert!(text.contains("is there room"), "{text}");
    assert!(text.contains("reprobe check --resume 1"), "{text}");
    let (code, text) = place.run(&["check", "--resume"]);
    assert_eq!(code, Some(1), "{text}");
}

/// A build of a while whose outputs depend on the umask and on the user.
const SLOW: &str = "sleep 0.3; umask > mask; id -un > who; echo > same";

fn slow(place: &Place, more: &[&str]) -> Command {
    let mut words = vec!["check", "--only", "umask,user,home,terminal", "-j", "1"];
    words.extend(["-o", "mask", "-o", "who", "-o", "same"]);
    words.extend(more);
    words.extend(["--seed", "5", "--", SLOW]);
    place.reprobe(&words)
}

fn read(json: &Path) -> Value {
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

fn statuses(found: &Value) -> Vec<&str> {
    let variations = found["variations"].as_array().unwrap().iter();
    let tried = variations.filter(|one| one["status"] != "not-tested");
    tried.map(|one| one["status"].as_str().unwrap()).collect()
}

/// Sends a signal to a check as soon as it is time, and says how it ends.
fn stopped(mut child: Child, signal: Signal, is_time: impl Fn() -> bool) -> (Option<i32>, String) {
    let began = Instant::now();
    while !is_time() && began.elapsed() < Duration::from_mins(1) {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    said(&child.wait_with_output().unwrap())
}

#[test]
fn a_session_that_is_stopped_says_what_it_knows_and_goes_on_to_the_same_findings() {
    let whole = {
        let place = Place::new();
        let json = place.state.path().join("found.json");
        let (code, text) = said(
            &slow(&place, &["--json", json.to_str().unwrap()])
                .output()
                .unwrap(),
        );
        assert_eq!(code, Some(1), "{text}");
        assert_eq!(read(&json)["complete"], true);
        culprits(&json)
    };
    for (signal, trials) in [(Signal::SIGINT, 2), (Signal::SIGTERM, 5)] {
        let place = Place::new();
        let json = place.state.path().join("found.json");
        let path = json.to_str().unwrap();
        let child = slow(&place, &["--json", path])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let ended = || place.recorded(1).map_or(0, |session| session.trials.len());
        let (code, text) = stopped(child, signal, || ended() >= trials);
        assert_eq!(code, Some(128 + signal as i32), "{text}");
        assert!(text.contains("mask, who differ"), "{text}");
        assert!(text.contains(&format!("stopped by {signal}")), "{text}");
        assert!(text.contains("reprobe check --resume 1"), "{text}");
        let found = read(&json);
        assert_eq!(found["complete"], false);
        assert_eq!(found["verdict"], "not-reproducible");
        let statuses = statuses(&found);
        assert!(!statuses.contains(&"cleared"), "{statuses:?}");

        let (code, text) = place.run(&["check", "--resume", "1", "--json", path]);
        assert_eq!(code, Some(1), "{text}");
        assert_eq!(culprits(&json), whole);
        assert_eq!(read(&json)["complete"], true);
    }
}

#[test]
fn a_session_that_is_stopped_while_it_looks_for_causes_says_that_some_may_be_missing() {
    let place = Place::new();
    let json = place.state.path().join("found.json");
    let only = ["--only", "file-order", "-j", "1", "-o", "same"];
    let session = ["--seed", "5", "--json", json.to_str().unwrap()];
    let build = ["--", "sleep 0.3; find . > same"];
    let errors = place.state.path().join("errors");
    let child = place
        .reprobe(&[&["check", "-v"], &only[..], &session, &build].concat())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    // What is looked for after the search stands in no journal.
    let locates = || fs::read_to_string(&errors).unwrap().contains(", locating");
    let (code, text) = stopped(child, Signal::SIGINT, locates);
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("the culprits are all found"), "{text}");
    assert_eq!(read(&json)["complete"], false);
}

#[test]
fn at_the_end_of_its_time_nothing_is_reproducible_and_nothing_cleared() {
    let place = Place::new();
    let json = place.state.path().join("found.json");
    let path = json.to_str().unwrap();
    let check = |build: &str, limit: &str| {
        let mut words = vec!["check", "--only", "umask,user", "-j", "1", "-o", "same"];
        words.extend(["--json", path, "--repeat", "100", "--time-limit", limit]);
        words.extend(["--", build]);
        place.run(&words)
    };
    for (build, limit, why) in [
        // In the middle of the control, and after some trials.
        ("sleep 60; echo > same", "2s", "before the unvaried build"),
        ("sleep 0.3; echo > same", "20s", "nothing differs so far"),
    ] {
        let (code, text) = check(build, limit);
        assert_eq!(code, Some(125), "{text}");
        let found = read(&json);
        assert_eq!(found["complete"], false);
        assert_eq!(found["verdict"], "inconclusive");
        assert!(found["why"].as_str().unwrap().contains(why), "{found}");
        let statuses = statuses(&found);
        assert!(!statuses.contains(&"cleared"), "{statuses:?}");
    }
    assert!(!place.recorded(2).unwrap().finished);
    let (code, text) = check("sleep 0.3; umask > same", "20s");
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(read(&json)["verdict"], "not-reproducible");
}

/// A build with a directory, a clock, random bytes and a locale behind its outputs, each by a process of
/// its own, for which causes are looked for, parts are tried, and a remedy.
const CAUSES: &str = "mkdir -p d; touch d/a d/b d/c d/d; ls -U d > order; \
    sh -c 'date > when; true'; sh -c 'head -c 4 /dev/urandom | od > rand; true'; \
    printf 'B\\na\\n' | sort > sorted";

fn causes<'w>(place: &Place, jobs: &'w str, json: &'w str) -> Command {
    let only = "file-order,time,randomness,locale";
    let mut words = vec!["check", "--only", only, "-j", jobs, "--json", json];
    for output in ["order", "when", "rand", "sorted"] {
        words.extend(["-o", output]);
    }
    words.extend(["--seed", "5", "--", CAUSES]);
    place.reprobe(&words)
}

/// What is found, without times: each session begins at another one.
fn findings(json: &Path) -> Value {
    let mut found = read(json);
    for finding in found["findings"].as_array_mut().unwrap() {
        finding["values"] = Value::Null;
        finding["evidence"] = Value::Null;
    }
    for trial in found["trials"].as_array_mut().unwrap() {
        trial["seconds"] = Value::Null;
    }
    serde_json::json!([found["findings"], found["trials"], found["verdict"]])
}

#[test]
fn wherever_a_session_is_killed_no_trial_is_run_again_and_the_findings_are_the_same() {
    for (jobs, cuts) in [("1", [2, 5, 0]), ("4", [3, 7, 1])] {
        let place = Place::new();
        let json = place.state.path().join("found.json");
        let path = json.to_str().unwrap();
        let (code, text) = said(&causes(&place, jobs, path).output().unwrap());
        assert_eq!(code, Some(1), "{text}");
        let whole = findings(&json);
        let trials = place.recorded(1).unwrap().trials;
        let kinds = |is: fn(&Acting) -> bool| {
            let asked = trials.values().filter(|trial| is(&trial.asked.acting));
            asked.count()
        };
        assert!(kinds(|acting| matches!(acting, Acting::Within { .. })) > 2);
        assert!(kinds(|acting| matches!(acting, Acting::Part { .. })) > 1);
        assert_eq!(kinds(|acting| matches!(acting, Acting::Remedied { .. })), 2);
        assert_eq!(whole[1].as_array().unwrap().len(), trials.len());
        let last = trials.len() - 1;
        // In the search, and among the trials that look for causes and try a remedy.
        for cut in [last / cuts[0], last - cuts[1], last - cuts[2]] {
            let place = Place::new();
            let command = causes(&place, jobs, path).stderr(Stdio::piped()).spawn();
            let journal = place.session(1).join("journal");
            let ended = || {
                let text = fs::read_to_string(&journal).unwrap_or_default();
                text.lines().count() > cut
            };
            stopped(command.unwrap(), Signal::SIGKILL, ended);
            let before = place.recorded(1).unwrap().trials;
            let (code, text) = place.run(&["check", "--resume", "1", "--json", path]);
            assert_eq!(code, Some(1), "{text}");
            let said = format!("{} trials had ended before", before.len());
            assert!(text.contains(&said), "{text}");
            assert_eq!(
                findings(&json),
                whole,
                "-j {jobs}, killed after {}",
                before.len()
            );
            let after = place.recorded(1).unwrap().trials;
            assert_eq!(after.len(), trials.len(), "-j {jobs}: {text}");
            for (id, trial) in &before {
                assert_eq!(after.get(id), Some(trial));
            }
        }
    }
}

#[test]
fn trials_that_look_for_causes_or_try_a_remedy_run_again_with_the_same_outputs() {
    let place = Place::new();
    let json = place.state.path().join("found.json");
    let (code, text) = said(
        &causes(&place, "2", json.to_str().unwrap())
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(1), "{text}");
    let trials = place.recorded(1).unwrap().trials;
    let mut tried = 0;
    for (words, is) in [
        (
            "alone): the same",
            (|acting| matches!(acting, Acting::Within { .. })) as fn(&_) -> bool,
        ),
        ("nothing varied: the same", |acting| {
            *acting == Acting::Witnessed
        }),
        ("(with SOURCE_DATE_EPOCH=", |acting| {
            matches!(acting, Acting::Remedied { .. })
        }),
        (", only ", |acting| matches!(acting, Acting::Part { .. })),
    ] {
        let trial = trials
            .values()
            .find(|trial| is(&trial.asked.acting))
            .unwrap();
        let (code, text) = place.run(&["replay", "1", &trial.id.0.to_string()]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(words), "{text}");
        tried += 1;
    }
    assert_eq!(tried, 4);
}
