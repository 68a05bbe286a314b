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

use reprobe::model::{
    Accounting, Chosen, Clock, DirectoryOrder, Environment, Inodes, Randomness, Reading, Scope,
    Source, Within,
};
use reprobe::sandbox::supervisor::{Config, Report, Words};
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

fn host() -> Config {
    Config::new(&Environment::default())
}

fn ordered(reverse: bool) -> Config {
    Config {
        order: DirectoryOrder::Keyed { key: 7, reverse },
        ..host()
    }
}

/// Where the trials' clocks start.
const START: i64 = 2_000_000_000;
const YEAR: i64 = 365 * 86400;

fn stepped() -> Config {
    Config {
        clock: Clock::Stepped { start: START },
        ..host()
    }
}

fn running() -> Config {
    Config {
        clock: Clock::Running { start: START },
        ..host()
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

/// Who writes down what is read must see every read, so there all of them are asked for.
#[test]
fn a_program_that_knows_the_end_of_a_directory_lists_what_one_that_asks_does() {
    let parent = TempDir::new().unwrap();
    for number in 0..60 {
        let directory = parent.path().join(format!("d{}", number / 3));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("file{number}")), "").unwrap();
    }
    let list = |config: Config| {
        let report = parent.path().join("report");
        let _ = std::fs::remove_file(&report);
        let output = Command::new(&*SUPERVISE)
            .arg(serde_json::to_string(&config).unwrap())
            .arg(&report)
            .args(["find", parent.path().to_str().unwrap()])
            .output()
            .unwrap();
        let report: Report = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        (text(&output), report)
    };
    let held = |config: Config| Config {
        order: ordered(false).order,
        ..config
    };
    for config in [ordered(false), held(stepped()), held(running())] {
        let (asked, before) = list(Config {
            witness: true,
            ..config.clone()
        });
        let (told, after) = list(config);
        assert_eq!(asked, told);
        assert_eq!(told.lines().count(), 81);
        assert_eq!(before.led, 0);
        if after.led == 0 {
            skip::<()>("this kernel maps the vDSO too far from programs");
        } else {
            assert!(
                after.answered + 15 <= before.answered,
                "{before:?} {after:?}"
            );
        }
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

/// The clock program in every form that this machine can compile.
fn clock_programs() -> Vec<(&'static str, PathBuf)> {
    let forms = [
        ("gcc", "gcc", &["-pthread"][..]),
        ("static", "gcc", &["-pthread", "-static"]),
        ("musl", "musl-gcc", &["-pthread", "-static"]),
    ];
    forms
        .into_iter()
        .filter_map(|(name, compiler, flags)| Some((name, compile(compiler, "clock.c", flags)?)))
        .collect()
}

#[test]
fn every_read_of_the_clock_shows_the_trials_time() {
    for (name, program) in clock_programs() {
        for config in [
            stepped(),
            running(),
            all_ahead(&stepped()),
            all_ahead(&running()),
        ] {
            let read = text(&run(&config, &[program.to_str().unwrap(), "read"]));
            let times: Vec<i64> = read.lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(times.len(), 10);
            // A running clock may run for a while on a busy machine.
            assert!(
                times.iter().all(|time| (START..START + 20).contains(time)),
                "{name}: {times:?}"
            );
            if matches!(config.clock, Clock::Stepped { .. }) {
                assert_eq!(times, [START; 10], "{name}");
            }
        }
    }
}

#[test]
fn every_wait_takes_as_long_as_both_clocks_say() {
    for (name, program) in clock_programs() {
        for config in [stepped(), running(), all_ahead(&stepped())] {
            let said = text(&run(&config, &[program.to_str().unwrap(), "wait"]));
            // musl waits for conditions by a relative time, which moves no held clock.
            let bad = said.lines().filter(|line| {
                !(line.starts_with("ok") || (name == "musl" && line.contains("pthread")))
            });
            assert_eq!(
                bad.collect::<Vec<_>>(),
                Vec::<&str>::new(),
                "{name}, {:?}",
                config.clock
            );
        }
    }
}

#[test]
fn wrong_arguments_fail_as_they_do_without_a_supervisor() {
    for (name, program) in clock_programs() {
        for config in [host(), stepped(), running()] {
            let said = text(&run(&config, &[program.to_str().unwrap(), "errors"]));
            let bad = said.lines().filter(|line| !line.starts_with("ok"));
            assert_eq!(bad.collect::<Vec<_>>(), Vec::<&str>::new(), "{name}");
        }
    }
}

#[test]
fn interpreters_and_tools_show_the_trials_time() {
    let second = START.to_string();
    let programs: [&[&str]; 5] = [
        &["date", "+%s"],
        &["busybox", "date", "+%s"],
        &["perl", "-e", "print time, qq(\n)"],
        &[
            "python3",
            "-c",
            "import time\nfor i in range(100): t = time.time()\nprint(int(t))",
        ],
        &["sh", "-c", "true; date +%s"],
    ];
    for program in programs {
        if Command::new(program[0]).arg("--help").output().is_err() {
            skip::<()>(&format!("no {}", program[0]));
            continue;
        }
        assert_eq!(
            text(&run(&stepped(), program)).trim(),
            second,
            "{program:?}"
        );
    }
}

/// A shell script in a directory of its own.
fn shell(config: &Config, script: &str) -> String {
    let directory = TempDir::new().unwrap();
    let script = format!("cd {}; {script}", directory.path().display());
    text(&run(config, &["sh", "-ec", &script]))
}

#[test]
fn files_carry_the_trials_time_and_sources_their_own() {
    let shown = shell(
        &stepped(),
        "touch -d @1000000000 source; echo > made; ln -s made link; mkdir d; echo >> d/e
         touch -d @2100000000 explicit; cp -p source copy; touch now
         stat -c '%n %Y' source copy explicit now made d d/e; stat -L -c '%n %Y' link
         stat -c '%n %Z' made; stat -c '%Y' /proc/self/exe | wc -l; ls -l --time-style=+%s made | cut -d' ' -f6",
    );
    let shown: Vec<String> = shown.lines().map(str::to_owned).collect();
    let about = |line: &str, name: &str| {
        let (said, time) = line.split_once(' ').unwrap();
        let time: i64 = time.parse().unwrap();
        assert!(
            said == name && (START..=START + 1).contains(&time),
            "{line}"
        );
    };
    assert_eq!(shown[0], "source 1000000000");
    assert_eq!(shown[1], "copy 1000000000");
    assert_eq!(shown[2], "explicit 2100000000");
    for (line, name) in shown[3..9]
        .iter()
        .zip(["now", "made", "d", "d/e", "link", "made"])
    {
        about(line, name);
    }
    assert_eq!(shown[10], START.to_string());
}

/// stat(1) asks for no other time then, and kernels may leave out what nobody asks for.
#[test]
fn a_time_of_birth_that_alone_is_asked_for_is_the_trials() {
    let said = shell(&stepped(), "echo > made; stat -c %W made");
    let time: i64 = said.trim().parse().unwrap();
    assert!((START..=START + 1).contains(&time), "{said}");
}

/// Compares calls that a program answers itself with the same ones made in a way in which they are
/// asked for.
#[test]
fn a_program_that_answers_its_own_stat_calls_says_what_the_supervisor_says() {
    let forms = [
        ("gcc", &["-pthread"][..]),
        ("gcc", &["-pthread", "-static"]),
        ("musl-gcc", &["-pthread", "-static"]),
    ];
    let numbered = Config {
        inodes: Inodes::Numbered {
            key: 5,
            accounting: Accounting::default(),
        },
        ..stepped()
    };
    for (compiler, flags) in forms {
        let Some(program) = compile(compiler, "stat.c", flags) else {
            continue;
        };
        let otherwise = Config {
            inodes: Inodes::Numbered {
                key: 5,
                accounting: Accounting::Names,
            },
            ..stepped()
        };
        for config in [stepped(), numbered.clone(), otherwise] {
            let directory = TempDir::new().unwrap();
            let script = format!(
                "cd {}; mkdir own; cd own; echo s > source; touch -d @1000000000 source; echo m > made
                 ln -s source link; ln -s nowhere dangling; mkdir directory
                 echo i > directory/inner; ln made hard; touch -d @2100000000 future
                 touch -d @1 past; exec {}",
                directory.path().display(),
                program.display()
            );
            let report = directory.path().join("report");
            let output = Command::new(&*SUPERVISE)
                .arg(serde_json::to_string(&config).unwrap())
                .arg(&report)
                .args(["sh", "-ec", &script])
                .output()
                .unwrap();
            let said = text(&output);
            assert!(said.contains("wrong 0") && !said.contains("bad"), "{said}");
            let report: Report = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
            assert_eq!(report.problems, Vec::<String>::new());
            // Static programs stand at the other end of the address space, and go on asking.
            if report.led == 0 && !flags.contains(&"-static") {
                skip::<()>("this kernel maps the vDSO too far from programs");
            }
        }
    }
}

#[test]
fn short_naps_move_the_clock_only_where_no_other_thread_can_be_waited_for() {
    let naps = |other: &str| {
        let program = format!(
            "import select, threading, time\nend = threading.Event()\n{other}
for _ in range(20): select.select([], [], [], 0.002)\nprint(time.time_ns() // 1000000)\nend.set()"
        );
        let said = text(&run(&stepped(), &["python3", "-c", &program]));
        said.trim().parse::<i64>().unwrap() - START * 1000
    };
    assert_eq!(naps("threading.Thread(target=end.wait).start()"), 0);
    assert_eq!(naps(""), 40);
}

#[test]
fn a_later_step_of_the_build_makes_newer_files() {
    let shown = shell(
        &stepped(),
        "sh -c 'echo > a'; sh -c 'echo > b'; echo > c; sleep 1; echo > d
         for f in a b c; do echo $f; done; [ a -ot b ] && echo older; [ c -ot d ] && echo older
         stat -c %.Y a b d | cut -d. -f1; [ $(( $(stat -c %Y d) - $(stat -c %Y a) )) = 1 ] && echo second",
    );
    assert!(shown.ends_with("second\n"), "{shown}");
    assert_eq!(shown.matches("older").count(), 2, "{shown}");
}

/// Only where processes are told from each other is a loop of commands known.
fn seeded() -> Config {
    Config {
        randomness: Randomness::Seeded { seed: 3 },
        ..stepped()
    }
}

#[test]
fn a_shell_that_waits_by_starting_date_over_and_over_ends_alike() {
    let script = "end=$(( $(date +%s) + 2 )); count=0
         while [ \"$(date +%s)\" -lt \"$end\" ]; do count=$((count + 1)); done
         date +%s; echo $count";
    let python = |date: &str| {
        format!(
            "import os, subprocess
date = lambda: int({date})
end, count = date() + 2, 0
while date() < end: count += 1
print(end)
print(count)"
        )
    };
    let direct = python("subprocess.check_output(['date', '+%s'])");
    let by_shell = python("os.popen('date +%s').read()");
    for shell in [
        ["sh", "-c", script],
        ["bash", "-c", script],
        ["python3", "-c", &direct],
        ["python3", "-c", &by_shell],
    ] {
        let wait = || {
            // The shell of the build is another one: the end of each of its commands is a step.
            let outer = ["sh", "-c", "\"$@\"; exit", "sh"];
            text(&run(&seeded(), &[&outer[..], &shell[..]].concat()))
        };
        let said = wait();
        assert_eq!(said.lines().next(), Some((START + 2).to_string().as_str()));
        assert_eq!(said, wait(), "{}", shell[0]);
    }
}

#[test]
fn a_shell_that_has_a_use_for_each_date_moves_no_clock() {
    let scripts = [
        "for i in $(seq 500); do echo $(date +%s) >>log; done",
        "for i in $(seq 500); do x=\"$x$(date +%s)\"; expr 1 >>log; done",
        "for i in $(seq 500); do date +%N$i >>log; done",
        "for i in $(seq 500); do true $(uname); done",
    ];
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("log");
    for script in scripts {
        let script = script.replace("log", log.to_str().unwrap());
        let said = text(&run(
            &seeded(),
            &["sh", "-c", "sh -c \"$1\"; date +%s", "sh", &script],
        ));
        assert_eq!(said.trim(), START.to_string(), "{script}");
    }
}

#[test]
fn an_edit_between_two_makes_is_not_missed() {
    let shown = shell(
        &stepped(),
        "printf 'out: in\n\tcp in out\n' > Makefile; echo 1 > in
         make -s; make -s; echo 2 > in; make -s; cat out; make",
    );
    assert!(
        shown.starts_with('2') && shown.contains("up to date"),
        "{shown}"
    );
}

#[test]
fn two_trials_of_one_build_agree_to_the_nanosecond() {
    let script = "echo a > a; mkdir d; cp a d/b; sleep 0.3; tar --sort=name --format=pax --pax-option=exthdr.name=%d/%f -cf t.tar a d
         date +%s.%N >> t.tar; gzip -k a; cat t.tar a.gz | sha256sum; python3 -c '
import os, uuid
print(os.stat(\"a\").st_mtime_ns, os.stat(\"d\").st_ctime_ns, uuid.uuid4(), hash(\"x\"), {\"b\", \"a\", \"c\"})'
         mktemp -u; stat -c %i a d";
    let config = Config {
        order: DirectoryOrder::Keyed {
            key: 1,
            reverse: false,
        },
        randomness: Randomness::Seeded { seed: 3 },
        inodes: Inodes::Numbered {
            key: 4,
            accounting: Accounting::default(),
        },
        ..stepped()
    };
    // The default name of extended headers holds the pid, which is the sandbox's to fix.
    // The same directory: its name is an argument, and arguments are part of a process's name.
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("w");
    let script = format!("mkdir {0}; cd {0}; {script}", path.display());
    let trial = |config: &Config| {
        let said = text(&run(config, &["bash", "-ec", &script]));
        std::fs::remove_dir_all(&path).unwrap();
        said
    };
    let first = trial(&config);
    assert_eq!(first, trial(&config));
    let other = Config {
        randomness: Randomness::Seeded { seed: 4 },
        ..config.clone()
    };
    assert_ne!(first, trial(&other));
}

#[test]
fn bad_pointers_and_missing_files_fail_as_they_do_without_a_supervisor() {
    let program = "import ctypes, os, errno
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(256)
def call(*arguments):
    ctypes.set_errno(0)
    result = libc.syscall(*arguments)
    print(arguments[0], result, errno.errorcode.get(ctypes.get_errno()))
for number in (4, 6):
    call(number, b'/no/such', buffer)
    call(number, 8, buffer)
    call(number, b'/', 8)
    call(number, b'', buffer)
    call(number, b'/etc/passwd/', buffer)
    call(number, b'x' * 5000, buffer)
call(5, 999, buffer)
call(5, 0, 8)
call(262, 999, b'x', buffer, 0)
call(262, -100, b'', buffer, 0x1000)
call(262, -100, b'/', buffer, 0x4000000)
call(332, -100, b'/', 0, 0x7ff, 8)
call(332, -100, b'/', 0, 0x80000000, buffer)
call(318, 8, 16, 0)
call(318, buffer, 16, 0x100)
call(318, buffer, 0, 0)
call(63, 8)
";
    let everything = Config {
        order: DirectoryOrder::Keyed {
            key: 1,
            reverse: false,
        },
        randomness: Randomness::Seeded { seed: 3 },
        inodes: Inodes::Numbered {
            key: 4,
            accounting: Accounting::default(),
        },
        words: Some(words()),
        ..stepped()
    };
    let command = ["python3", "-c", program];
    assert_eq!(
        text(&run(&everything, &command)),
        text(&run(&host(), &command))
    );
}

fn words() -> Words {
    Words {
        hostname: "build-host".into(),
        release: "9.8.7-other".into(),
        version: "#1 elsewhere".into(),
        domain: "(none)".into(),
    }
}

#[test]
fn uname_says_what_the_trial_says_and_the_machine_stays() {
    let config = Config {
        words: Some(words()),
        ..host()
    };
    let said = text(&run(&config, &["uname", "-snrvm"]));
    assert_eq!(
        said.trim(),
        "Linux build-host 9.8.7-other #1 elsewhere x86_64"
    );
}

#[test]
fn hard_links_and_directories_keep_their_identity_under_another_numbering() {
    let config = |key| Config {
        inodes: Inodes::Numbered {
            key,
            accounting: Accounting::default(),
        },
        ..stepped()
    };
    let script = "echo > a; ln a b; mkdir d; stat -c %i a b d; cd d; stat -c %i .; cd ..
         find . -samefile a | wc -l; cp -a . ../copy$$; rm -r ../copy$$";
    let (one, other) = (shell(&config(1), script), shell(&config(2), script));
    for said in [&one, &other] {
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], lines[1]);
        assert_eq!(lines[2], lines[3]);
        assert_ne!(lines[0], lines[2]);
        assert_eq!(lines[4], "2");
    }
    assert_ne!(one, other);
}

#[test]
fn what_the_build_reads_is_written_down_with_the_process_that_reads_it() {
    let config = Config {
        witness: true,
        clock: Clock::Stepped { start: START },
        ..ordered(false)
    };
    let lines = witnessed(&config, &["sh", "-c", "ls -U /usr/share; date; true"]);
    let number = |name: &str| {
        lines.iter().find_map(|line| match line {
            Reading::Process(process) if process.arguments[0] == name => {
                Some((process.number, process.parent))
            }
            _ => None,
        })
    };
    let (ls, parent) = number("ls").unwrap();
    assert_eq!(parent, Some(number("sh").unwrap().0));
    assert!(lines.iter().any(|line| matches!(line,
        Reading::Read { process, source: Source::Directory, path: Some(path), .. }
            if *process == ls && path == "/usr/share")));
    let date = number("date").unwrap().0;
    assert!(lines.iter().any(|line| matches!(line,
        Reading::Read { process, source: Source::Clock, .. } if *process == date)));
}

#[test]
fn an_order_can_act_for_one_program_and_one_directory_alone() {
    let directory = TempDir::new().unwrap();
    for name in ["one", "other"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
        for number in 0..20 {
            std::fs::write(directory.path().join(name).join(format!("f{number}")), "").unwrap();
        }
    }
    let scope = Scope {
        programs: vec!["ls".into()],
        directories: vec![directory.path().join("one")],
        ..Scope::default()
    };
    let scoped = Config {
        within: Some(Within {
            order: DirectoryOrder::Keyed {
                key: 7,
                reverse: true,
            },
            ..acting(scope)
        }),
        ..ordered(false)
    };
    let list = |config: &Config, tool: &[&str], name: &str| {
        let path = directory.path().join(name);
        let path = path.to_str().unwrap();
        text(&run(config, &[tool, &[path]].concat()))
    };
    let (ls, find): (&[&str], &[&str]) = (&["ls", "-U"], &["find"]);
    assert_eq!(list(&scoped, ls, "one"), list(&ordered(true), ls, "one"));
    assert_eq!(
        list(&scoped, ls, "other"),
        list(&ordered(false), ls, "other")
    );
    assert_eq!(
        list(&scoped, find, "one"),
        list(&ordered(false), find, "one")
    );
}

/// The levels of the host, in a scope.
fn acting(scope: Scope) -> Within {
    Within::new(scope, &Environment::default())
}

/// What a build reads, by the log of its supervisor.
fn witnessed(config: &Config, command: &[&str]) -> Vec<Reading> {
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("log");
    let output = Command::new(&*SUPERVISE)
        .arg(serde_json::to_string(config).unwrap())
        .arg("/dev/null")
        .args(command)
        .env("SUPERVISE_LOG", &log)
        .output()
        .unwrap();
    text(&output);
    let lines = std::fs::read_to_string(&log).unwrap();
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The name of the process that runs a command line.
fn name_of(lines: &[Reading], arguments: &[&str]) -> u64 {
    let mut processes = lines.iter().filter_map(|line| match line {
        Reading::Process(process) if process.arguments == arguments => Some(process.name),
        _ => None,
    });
    processes.next().unwrap()
}

#[test]
fn randomness_can_act_for_one_process_alone_which_then_has_the_bytes_that_it_has_if_all_do() {
    let print = "import os; print(os.urandom(8).hex())";
    let python = ["/usr/bin/python3", "-S", "-c", print];
    let twice = format!(
        "for name in one two; do {} -S -c '{print}' $name; done",
        python[0]
    );
    let build = ["sh", "-c", &twice];
    let seeded = |seed| Config {
        randomness: Randomness::Seeded { seed },
        ..host()
    };
    let lines = witnessed(&seeded(1), &build);
    let one = name_of(&lines, &[&python[..], &["one"]].concat());
    let scoped = |processes| Config {
        within: Some(Within {
            randomness: Randomness::Seeded { seed: 2 },
            ..acting(Scope {
                processes,
                ..Scope::default()
            })
        }),
        ..seeded(1)
    };
    let said = |config: &Config| -> Vec<String> {
        let said = text(&run(config, &build));
        said.lines().map(str::to_owned).collect()
    };
    let (first, second) = (said(&seeded(1)), said(&seeded(2)));
    assert_ne!(first[0], second[0]);
    assert_ne!(first[1], second[1]);
    let only = said(&scoped(Chosen::Only([one].into())));
    assert_eq!(only, [second[0].clone(), first[1].clone()]);
    let others = said(&scoped(Chosen::But([one].into())));
    assert_eq!(others, [first[0].clone(), second[1].clone()]);
    assert_eq!(said(&scoped(Chosen::All)), second);
    assert_eq!(said(&scoped(Chosen::Only([].into()))), first);
}

/// The same clock for all processes, as one that is ahead of that of nobody.
fn all_ahead(config: &Config) -> Config {
    let earlier = match config.clock {
        Clock::Running { .. } => Clock::Running {
            start: START - YEAR,
        },
        _ => Clock::Stepped {
            start: START - YEAR,
        },
    };
    Config {
        clock: earlier,
        within: Some(Within {
            clock: config.clock,
            ..acting(Scope::default())
        }),
        ..config.clone()
    }
}

#[test]
fn a_clock_can_be_ahead_for_one_process_alone_and_for_some_of_its_readings() {
    let directory = TempDir::new().unwrap();
    // Often enough that the clock is read from its page.
    let print = "import os, time; now = [int(time.time()) for _ in range(99)][98]; \
                 print(now, int(os.stat(\"made\").st_mtime), int(os.stat(\"set\").st_mtime))";
    let script = format!(
        "cd {}; echo >made; touch -d @2100000000 set
         for name in one two; do /usr/bin/python3 -S -c '{print}' $name; done",
        directory.path().display()
    );
    let build = ["sh", "-ec", &script];
    let witness = Config {
        witness: true,
        ..stepped()
    };
    let lines = witnessed(&witness, &build);
    let one = name_of(&lines, &["/usr/bin/python3", "-S", "-c", print, "one"]);
    let later = START + YEAR;
    let said = |processes, sources: &[Source]| {
        let scope = Scope {
            processes,
            sources: sources.iter().copied().collect(),
            ..Scope::default()
        };
        let mut within = acting(scope);
        within.clock = Clock::Stepped { start: later };
        let config = Config {
            within: Some(within),
            ..stepped()
        };
        text(&run(&config, &build))
    };
    let expected = [
        (Chosen::All, &[][..], [(later, later), (later, later)]),
        (
            Chosen::Only([one].into()),
            &[],
            [(later, later), (START, START)],
        ),
        (
            Chosen::But([one].into()),
            &[],
            [(START, START), (later, later)],
        ),
        (
            Chosen::Only([one].into()),
            &[Source::Clock],
            [(later, START), (START, START)],
        ),
        (
            Chosen::Only([one].into()),
            &[Source::FileTime],
            [(START, later), (START, START)],
        ),
    ];
    for (processes, sources, times) in expected {
        let shown = times.map(|(now, made)| format!("{now} {made} 2100000000\n"));
        let shown = shown.concat();
        assert_eq!(said(processes, sources), shown, "{sources:?}");
    }
}

/// What a configuration with everything in it asks for.
fn everything() -> Config {
    Config {
        order: DirectoryOrder::Keyed {
            key: 1,
            reverse: true,
        },
        randomness: Randomness::Seeded { seed: 3 },
        inodes: Inodes::Numbered {
            key: 4,
            accounting: Accounting::default(),
        },
        words: Some(words()),
        ..stepped()
    }
}

/// Five seconds; `REPROBE_STRESS_SECONDS=60` for a minute.
#[test]
fn nothing_is_lost_under_signals_kills_and_many_threads() {
    let Some(program) = compile("gcc", "stress.c", &["-pthread"]) else {
        return;
    };
    let seconds = std::env::var("REPROBE_STRESS_SECONDS").unwrap_or_else(|_| "5".into());
    let directory = TempDir::new().unwrap();
    let _guard = lock(&HEAVY);
    let said = text(&run(
        &everything(),
        &[
            program.to_str().unwrap(),
            directory.path().to_str().unwrap(),
            &seconds,
        ],
    ));
    eprintln!("{}", said.trim());
    assert!(said.ends_with(" 0 failures\n"), "{said}");
}

#[test]
fn a_directory_of_an_overlay_keeps_every_name_however_it_is_read() {
    let Some(program) = compile("gcc", "directory.c", &["-pthread"]) else {
        return;
    };
    let _guard = lock(&HEAVY);
    let layers = TempDir::new().unwrap();
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(layers.path().join(name)).unwrap();
    }
    std::fs::create_dir(layers.path().join("lower/below")).unwrap();
    let script = "cd \"$1\" && mount -t tmpfs none upper && mkdir upper/u upper/w && \
        mount -t overlay -o lowerdir=lower,upperdir=upper/u,workdir=upper/w$2 none merged && \
        exec \"$3\" \"$4\" /dev/null \"$5\" \"$1/merged\" 3000";
    let root = nix::unistd::geteuid().is_root();
    let (namespaces, options) = if root {
        ("-m", "")
    } else {
        ("-rm", ",userxattr")
    };
    let output = Command::new("unshare")
        .args([namespaces, "sh", "-c", script, "sh"])
        .arg(layers.path())
        .arg(options)
        .arg(&*SUPERVISE)
        .arg(serde_json::to_string(&ordered(true)).unwrap())
        .arg(&program)
        .output();
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("mount") => {
            skip::<()>(&String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => drop(text(&output)),
        Err(error) => {
            skip::<()>(&format!("unshare: {error}"));
        }
    }
}

#[test]
fn an_argument_vector_of_a_megabyte_and_a_swarm_of_processes_pass_through() {
    let script = "x=$(head -c 100000 /dev/zero | tr '\\0' a); \
        /bin/echo $x $x $x $x $x $x $x $x $x $x | wc -c; \
        python3 - <<'E'
import os
children = []
for number in range(300):
    child = os.fork()
    if child == 0:
        os.execv('/bin/true', ['true', str(number)])
    children.append(child)
print(sum(os.waitpid(child, 0)[1] for child in children))
E";
    let said = text(&run(&everything(), &["sh", "-ec", script]));
    assert_eq!(said, "1000010\n0\n");
}

#[test]
fn a_descriptor_closed_in_mid_call_and_memory_that_cannot_be_written_end_as_without_a_supervisor() {
    let script = "import ctypes, mmap, os, threading
libc = ctypes.CDLL(None, use_errno=True)
stop = False
def churn():
    while not stop:
        fd = os.open('/usr/bin', os.O_RDONLY)
        os.close(fd)
thread = threading.Thread(target=churn); thread.start()
buffer = ctypes.create_string_buffer(4096)
seen = set()
for number in range(3000):
    for fd in (4, 5, 6):
        ctypes.set_errno(0)
        got = libc.syscall(217, fd, buffer, 4096)
        seen.add(ctypes.get_errno() if got < 0 else 0)
        ctypes.set_errno(0)
        got = libc.syscall(5, fd, buffer)
        seen.add(ctypes.get_errno() if got < 0 else 0)
stop = True; thread.join()
assert seen <= {0, 9, 20}, seen
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ)
libc.mmap.restype = ctypes.c_void_p
address = libc.mmap(None, ctypes.c_size_t(4096), 1, 0x22, -1, ctypes.c_long(0))
fd = os.open('/usr/bin', os.O_RDONLY)
for arguments in [(217, fd, ctypes.c_void_p(address), 4096), (228, 0, ctypes.c_void_p(address)),
                  (4, b'/', ctypes.c_void_p(address)), (318, ctypes.c_void_p(address), 64, 0),
                  (63, ctypes.c_void_p(address)), (96, ctypes.c_void_p(address), None)]:
    ctypes.set_errno(0)
    print(arguments[0], libc.syscall(*arguments), ctypes.get_errno())
for clock in (-1, 99, 3, -6):
    ctypes.set_errno(0)
    print(clock, libc.syscall(228, clock, buffer) < 0, ctypes.get_errno())";
    let bare = Command::new("python3")
        .args(["-c", script])
        .output()
        .unwrap();
    let said = text(&run(&everything(), &["python3", "-c", script]));
    assert_eq!(said, text(&bare));
}

#[test]
fn a_program_that_naps_by_other_means_until_the_clock_has_moved_comes_to_an_end() {
    let script = "import threading, time
event, start = threading.Event(), time.time()
while time.time() < start + 2:
    event.wait(0.1)
print(time.time() - start)";
    assert_eq!(text(&run(&stepped(), &["python3", "-c", script])), "2.0\n");
}

#[test]
fn a_creeping_clock_has_passed_for_who_looks_after_a_timed_wait_and_for_nobody_else() {
    let creeping = Config {
        clock: Clock::Creeping { start: START },
        ..host()
    };
    for (name, program) in clock_programs() {
        let said = text(&run(&creeping, &[program.to_str().unwrap(), "wait"]));
        assert!(!said.contains("BAD"), "{name}: {said}");
    }
    let script = "import asyncio, os, select, threading, time
event, start = threading.Event(), time.time()
background = threading.Thread(target=lambda: [event.wait(0.2) for _ in range(5)])
background.start()
# Woken: no time has passed.
waker = threading.Timer(0.5, lambda: os.write(pipe[1], b'x'))
pipe = os.pipe()
waker.start()
select.select([pipe[0]], [], [], 5)
print(round(time.time() - start, 2))
background.join()
print(round(time.time() - start, 2))
select.select([os.pipe()[0]], [], [], 0.3)
print(round(time.time() - start, 2))
asyncio.run(asyncio.sleep(0.3))
print(0.6 <= round(time.time() - start, 2) < 0.7)";
    let said = text(&run(&creeping, &["python3", "-c", script]));
    assert_eq!(said, "0.0\n0.0\n0.3\nTrue\n");
}

/// Runs `reprobe` where a system call fails, as on an older kernel or under a container's filter.
fn reprobe_without(call: libc::c_long, errno: i32, bits: u32, words: &[&str]) -> Option<Output> {
    let refuse = compile("cc", "refuse.c", &[])?;
    let source = TempDir::new().unwrap();
    std::fs::write(source.path().join("a"), "a\n").unwrap();
    let output = Command::new(refuse)
        .args([call.to_string(), errno.to_string(), bits.to_string()])
        .arg(env!("CARGO_BIN_EXE_reprobe"))
        .args(words)
        .current_dir(source.path())
        .output();
    Some(output.unwrap())
}

#[test]
fn what_an_outer_sandbox_or_an_older_kernel_lacks_is_named_and_what_it_serves_is_not_tested() {
    let killable = u32::try_from(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV).unwrap();
    let lacks = [
        (
            libc::SYS_seccomp,
            libc::EINVAL,
            killable,
            "Linux 5.19 or newer",
        ),
        (
            libc::SYS_seccomp,
            libc::EPERM,
            0,
            "an outer sandbox forbids seccomp",
        ),
        (libc::SYS_pidfd_getfd, libc::EPERM, 0, "forbid pidfd_getfd"),
        (
            libc::SYS_process_vm_readv,
            libc::EPERM,
            0,
            "process_vm_readv",
        ),
        (
            libc::SYS_process_vm_writev,
            libc::EPERM,
            0,
            "process_vm_writev",
        ),
        (libc::SYS_openat2, libc::ENOSYS, 0, "openat2"),
    ];
    for (call, errno, bits, said) in lacks {
        let Some(doctor) = reprobe_without(call, errno, bits, &["doctor"]) else {
            return;
        };
        let told = words_of(&doctor);
        assert!(
            told.contains("Missing") && told.contains(said),
            "{call}: {told}"
        );
        // The clock cannot be varied; the rest can, and the verdict is no guess.
        let check = ["check", "--only", "umask", "-o", "out", "--", "umask >out"];
        let check = reprobe_without(call, errno, bits, &check).unwrap();
        assert_eq!(check.status.code(), Some(1), "{call}: {}", words_of(&check));
        assert!(words_of(&check).contains("because of umask"));
    }
}

#[test]
fn without_the_descriptors_of_others_only_what_lists_directories_is_out_of_reach() {
    let Some(doctor) = reprobe_without(libc::SYS_pidfd_getfd, libc::EPERM, 0, &["doctor"]) else {
        return;
    };
    let told = words_of(&doctor);
    let not_tested = told.split_once("Not tested for that").unwrap().1;
    assert!(not_tested.contains("file-order"), "{told}");
    assert!(
        !not_tested.contains(" time ") && !told.contains("file times of its own"),
        "{told}"
    );
    let Some(refuse) = compile("cc", "refuse.c", &[]) else {
        return;
    };
    let without = |command: &[&str]| {
        let refused = [libc::SYS_pidfd_getfd, libc::EPERM.into(), 0];
        let output = Command::new(&refuse)
            .args(refused.map(|number| number.to_string()))
            .arg(&*SUPERVISE)
            .args([&serde_json::to_string(&stepped()).unwrap(), "/dev/null"])
            .args(command)
            .output();
        text(&output.unwrap())
    };
    let there = TempDir::new().unwrap();
    let script = format!(
        "import os; os.chdir({:?}); here = os.open('.', os.O_RDONLY)
a = os.open('a', os.O_CREAT | os.O_RDWR)
times = [s.st_mtime for s in (os.fstat(a), os.stat('a', dir_fd=here), os.stat(f'/dev/fd/{{a}}'))]
os.unlink('a')
print(times, os.fstat(a).st_mtime, os.fstat(os.pipe()[0]).st_mtime)",
        there.path()
    );
    let time = format!("{START}.0");
    let said = without(&["python3", "-c", &script]);
    assert_eq!(said, format!("[{time}, {time}, {time}] {time} {time}\n"));
    if let Some(clock) = compile("gcc", "clock.c", &["-pthread"]) {
        let said = without(&[clock.to_str().unwrap(), "wait"]);
        assert!(
            said.contains("ok timerfd") && !said.contains("BAD"),
            "{said}"
        );
    }
}

#[test]
fn a_sandbox_without_pidfds_is_refused_by_name() {
    let words = ["check", "--only", "umask", "-o", "out", "--", "umask >out"];
    let Some(check) = reprobe_without(libc::SYS_pidfd_open, libc::EPERM, 0, &words) else {
        return;
    };
    assert_eq!(check.status.code(), Some(125));
    let told = words_of(&check);
    assert!(
        told.contains("pidfd_open") && told.contains("seccomp=unconfined"),
        "{told}"
    );
}

/// All that was said, as one line.
fn words_of(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&all).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
