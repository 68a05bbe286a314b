//! Every level of every slot, observed from inside real trials; teardown; and that neither host nor
//! source changes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails; clippy takes helpers of tests for production code"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use reprobe::model::{
    Build, BuildPath, Capabilities, Clock, Cpus, DirectoryOrder, Environment, Kernel, Locale, Need,
    Network, Outcome, OutputSelection, Shell, Snapshot, SourceMode, SourceMtime, Terminal,
    UserIdentity,
};
use reprobe::sandbox::{
    self, Limits, LowerSource, Sandbox, SessionOptions, TrialReport, TrialSpec,
};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_reprobe"))
}

/// What the host allows: probed once.
fn capabilities() -> &'static Capabilities {
    static FOUND: OnceLock<Capabilities> = OnceLock::new();
    FOUND.get_or_init(|| sandbox::probe(program(), &std::env::temp_dir()).unwrap())
}

/// Whether the host meets `needs`; says why a test skips, and fails where skipping is forbidden.
fn meets(needs: &[Need]) -> bool {
    let Some(missing) = capabilities().lacks(needs) else {
        return true;
    };
    println!(
        "skipped: {}: {} ({})",
        missing.what, missing.reason, missing.hint
    );
    assert_ne!(
        std::env::var("REPROBE_REQUIRE").as_deref(),
        Ok("all"),
        "{missing:?}"
    );
    false
}

/// A source tree and a session over it.
struct Bench {
    sandbox: Sandbox,
    source: PathBuf,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::named("project")
    }

    fn named(name: &str) -> Self {
        Self::with(name, capabilities().clone())
    }

    fn with(name: &str, capabilities: Capabilities) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join(name);
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("given"), "given\n").unwrap();
        let sandbox = Sandbox::new(SessionOptions {
            scratch: dir.path().join("scratch"),
            source: source.clone(),
            capabilities,
            program: program().to_owned(),
            limits: Limits::default(),
            interrupt: None,
        })
        .unwrap();
        Self {
            sandbox,
            source,
            _dir: dir,
        }
    }

    fn spec(&self, environment: &Environment, line: &str) -> TrialSpec {
        TrialSpec {
            environment: environment.clone(),
            build: Build {
                command: vec!["sh".into(), "-ec".into(), line.into()],
                source: self.source.clone(),
                outputs: OutputSelection::Tree,
                variables: BTreeMap::new(),
            },
            timeout: Duration::from_secs(20),
            keep_outputs: None,
            log: None,
        }
    }

    fn run(&self, environment: &Environment, line: &str) -> TrialReport {
        self.sandbox.run(&self.spec(environment, line)).unwrap()
    }
}

/// Changes one thing in the environment that nothing varies.
fn with(change: impl FnOnce(&mut Environment)) -> Environment {
    let mut environment = Environment::default();
    change(&mut environment);
    environment
}

/// What a command prints in an environment, line by line.
fn says(bench: &Bench, environment: &Environment, line: &str) -> Vec<String> {
    let report = bench.run(environment, line);
    built(&report);
    log(&report).lines().map(str::to_owned).collect()
}

fn built(report: &TrialReport) -> &Snapshot {
    match &report.outcome {
        Outcome::Built { snapshot } => snapshot,
        other => panic!("{other:?}: {}", log(report)),
    }
}

fn log(report: &TrialReport) -> String {
    std::fs::read_to_string(&report.log).unwrap()
}

#[test]
fn a_build_finds_its_source_and_what_it_makes_is_its_output_alone() {
    let bench = Bench::new();
    let report = bench.run(
        &Environment::default(),
        "cat given; echo new > made; echo more >> given; echo x > ../beside",
    );
    assert_eq!(log(&report), "given\n");
    let snapshot = built(&report);
    assert_eq!(
        snapshot.outputs.keys().collect::<Vec<_>>(),
        ["given", "made"]
    );
    assert!(!bench.source.join("made").exists());
    assert_eq!(
        std::fs::read(bench.source.join("given")).unwrap(),
        b"given\n"
    );
}

#[test]
fn directories_list_their_entries_in_the_order_that_was_asked_for() {
    if !meets(&[Need::DirectoryEntries]) {
        return;
    }
    let bench = Bench::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        std::fs::write(bench.source.join(name), "").unwrap();
    }
    let listing = |reverse| {
        let environment = Environment {
            directory_order: DirectoryOrder::Keyed { key: 1, reverse },
            ..Environment::default()
        };
        let text = log(&bench.run(&environment, "ls -U"));
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (forward, mut backward) = (listing(false), listing(true));
    backward.reverse();
    assert_eq!(forward.len(), 7);
    assert_eq!(forward, backward);
}

#[test]
fn this_host_allows_everything_that_this_kernel_has() {
    let capabilities = capabilities();
    println!("{capabilities:#?}");
    assert_eq!(capabilities.root, nix::unistd::geteuid().is_root());
    assert!(meets(&[
        Need::Mounts,
        Need::HostName,
        Need::Pids,
        Need::PrivateNetwork,
    ]));
}

#[test]
fn variables_come_from_the_environment_alone() {
    let bench = Bench::new();
    let environment = with(|e| {
        e.timezone = "Pacific/Kiritimati".into();
        e.locale.lang = "C".into();
        e.locale.lc_all = String::new();
        e.variables.insert("CAPTURE".into(), "me".into());
        e.exec_path = vec!["/reprobe/more/bin".into()];
        e.home = "/reprobe/elsewhere".into();
        e.terminal.term = "vt100".into();
        e.terminal.columns = Some(99);
    });
    let mut names = says(
        &bench,
        &environment,
        "env | sort; test -d /reprobe/more/bin; test -z \"$(ls -A ~)\"; echo kept > ~/written",
    );
    let path = names.iter().find(|line| line.starts_with("PATH=")).unwrap();
    assert!(path.ends_with(":/reprobe/more/bin"), "{path}");
    names.retain(|line| {
        let name = line.split('=').next().unwrap();
        !name.ends_with("_HOME") && !["PATH", "PYENV_ROOT", "NVM_DIR", "GOPATH"].contains(&name)
    });
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap();
    let expected = [
        "CAPTURE=me".to_owned(),
        "COLUMNS=99".into(),
        "HOME=/reprobe/elsewhere".into(),
        "LANG=C".into(),
        format!("LOGNAME={}", user.name),
        format!("MAIL=/var/mail/{}", user.name),
        "PWD=/reprobe/build/project".into(),
        format!("SHELL={}", user.shell.display()),
        "TERM=vt100".into(),
        "TZ=Pacific/Kiritimati".into(),
        format!("USER={}", user.name),
    ];
    names.retain(|line| !line.starts_with("CCACHE_DISABLE="));
    assert_eq!(names, expected);
}

#[test]
fn the_umask_is_the_one_asked_for() {
    let bench = Bench::new();
    for mask in [0o022, 0o077, 0o002] {
        let environment = with(|e| e.umask = mask);
        assert_eq!(says(&bench, &environment, "umask"), [format!("{mask:04o}")]);
    }
}

#[test]
fn the_source_stands_at_the_build_path_and_a_build_may_write_beside_it() {
    let bench = Bench::new();
    let environment = with(|e| {
        e.build_path = BuildPath {
            parent: "/reprobe/a/much/longer/path".into(),
            leaf: Some("other-1.0".into()),
        };
    });
    let mut spec = bench.spec(&environment, "pwd; cat given; echo deb > ../x.deb; ls ..");
    spec.build.outputs = OutputSelection::Globs {
        patterns: vec!["../*.deb".into()],
    };
    let report = bench.sandbox.run(&spec).unwrap();
    assert_eq!(
        log(&report),
        "/reprobe/a/much/longer/path/other-1.0\ngiven\nother-1.0\nx.deb\n"
    );
    assert_eq!(
        built(&report).outputs.keys().collect::<Vec<_>>(),
        ["../x.deb"]
    );
}

#[test]
fn a_build_path_below_a_directory_of_the_system_can_be_made() {
    let bench = Bench::new();
    let environment = with(|e| {
        e.build_path = BuildPath {
            parent: "/usr/src/reprobe-test".into(),
            leaf: Some("pkg-1".into()),
        };
    });
    let said = says(
        &bench,
        &environment,
        "pwd; cat given; echo x > ../o.deb; cat ../o.deb",
    );
    assert_eq!(said, ["/usr/src/reprobe-test/pkg-1", "given", "x"]);
    assert!(!Path::new("/usr/src/reprobe-test").exists());
}

#[test]
fn host_and_domain_name_are_those_asked_for_everywhere() {
    if !meets(&[Need::HostName]) {
        return;
    }
    let bench = Bench::new();
    let environment = with(|e| {
        e.hostname = "kestrel".into();
        e.domain = "nest.example".into();
    });
    let line =
        "uname -n; cat /etc/hostname; cat /proc/sys/kernel/domainname; grep kestrel /etc/hosts";
    assert_eq!(
        says(&bench, &environment, line),
        [
            "kestrel",
            "kestrel",
            "nest.example",
            "127.0.1.1 kestrel.nest.example kestrel"
        ]
    );
}

fn somebody() -> UserIdentity {
    UserIdentity::Other {
        uid: 4242,
        gid: 4343,
        name: "wren".into(),
        group: "birds".into(),
        gecos: "Jenny Wren".into(),
        login_shell: "/bin/bash".into(),
    }
}

#[test]
fn another_user_owns_the_source_and_may_write_it_and_nothing_of_the_system() {
    if !meets(&[Need::OtherUser]) {
        return;
    }
    let bench = Bench::new();
    let environment = with(|e| e.user = somebody());
    let line = "id -u; id -g; id -un; id -gn; getent passwd wren; echo $USER $LOGNAME $SHELL
        stat -c '%U:%G' . given ~ /tmp | tr '\\n' ' '; echo
        echo more >> given; echo new > made; stat -c '%u %g' made; echo x > ../y; echo h > ~/h
        touch /etc/x 2>/dev/null || echo refused; grep CapEff /proc/self/status";
    let said = says(&bench, &environment, line);
    assert_eq!(
        said[..6],
        [
            "4242",
            "4343",
            "wren",
            "birds",
            "wren:x:4242:4343:Jenny Wren:/reprobe/home:/bin/bash",
            "wren wren /bin/bash"
        ]
    );
    assert!(
        said[6].starts_with("wren:birds wren:birds wren:birds "),
        "{said:?}"
    );
    assert_eq!(
        said[7..],
        ["4242 4343", "refused", "CapEff:\t0000000000000000"]
    );
    let metadata = bench.source.join("given").metadata().unwrap();
    assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw());
    assert_eq!(metadata.len(), 6);
}

#[test]
fn the_caller_is_himself_with_another_home() {
    let bench = Bench::new();
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap();
    let line = "id -u; id -un; getent passwd $(id -u) | cut -d: -f6";
    assert_eq!(
        says(&bench, &Environment::default(), line),
        [user.uid.to_string(), user.name, "/reprobe/home".into()]
    );
}

#[test]
fn a_locale_that_only_has_a_source_is_compiled_for_the_trial() {
    if !capabilities()
        .locale_sources
        .iter()
        .any(|name| name == "et_EE")
    {
        println!("skipped: localedef or the source of et_EE is not installed");
        return;
    }
    let bench = Bench::new();
    let environment = with(|e| {
        e.locale = Locale {
            lang: "et_EE.UTF-8".into(),
            lc_all: "et_EE.UTF-8".into(),
            language: "et".into(),
            compile: Some(("et_EE".into(), "UTF-8".into())),
        };
    });
    // In Estonian z comes before t.
    let line = "printf 'z\\nt\\n' | sort; locale charmap; echo $LANG $LC_ALL $LANGUAGE";
    assert_eq!(
        says(&bench, &environment, line),
        ["z", "t", "UTF-8", "et_EE.UTF-8 et_EE.UTF-8 et"]
    );
    assert_eq!(
        says(&bench, &Environment::default(), "printf 'z\\nt\\n' | sort"),
        ["t", "z"]
    );
}

#[test]
fn every_installed_shell_can_be_bin_sh() {
    if !meets(&[Need::SecondShell]) {
        return;
    }
    let bench = Bench::new();
    for path in &capabilities().shells {
        let environment = with(|e| e.shell = Shell::Program { path: path.clone() });
        let mut spec = bench.spec(&environment, "");
        spec.build.command = ["/bin/sh", "-c", "cat /proc/$$/exe | cksum; true"]
            .map(str::to_owned)
            .to_vec();
        let said = log(&bench.sandbox.run(&spec).unwrap());
        let expected = says(
            &bench,
            &Environment::default(),
            &format!("cksum < {}", path.display()),
        );
        assert_eq!(said.trim(), expected[0]);
    }
    let dash = says(&bench, &Environment::default(), "cksum < /usr/bin/dash");
    let bash = with(|e| {
        e.shell = Shell::Program {
            path: "/usr/bin/bash".into(),
        }
    });
    assert_eq!(says(&bench, &bash, "cksum < /usr/bin/dash"), dash);
}

#[test]
fn a_terminal_is_one_and_of_the_size_asked_for() {
    if !meets(&[Need::Terminals]) {
        return;
    }
    let bench = Bench::new();
    let line = "test -t 0 && test -t 1 && test -t 2 && tty && stty size; true";
    assert_eq!(says(&bench, &Environment::default(), line), [""; 0]);
    let environment = with(|e| {
        e.terminal = Terminal {
            term: "xterm".into(),
            columns: Some(132),
            tty: true,
        };
    });
    assert_eq!(says(&bench, &environment, line), ["/dev/pts/0", "24 132"]);
}

#[test]
fn standard_streams_lead_nowhere_else_and_can_be_opened_again() {
    let bench = Bench::new();
    let line = "cat; echo out > /dev/stdout; echo err > /dev/stderr; ls /proc/self/fd | wc -l";
    for user in [UserIdentity::Caller, somebody()] {
        let environment = with(|e| e.user = user);
        assert_eq!(says(&bench, &environment, line), ["out", "err", "4"]);
    }
}

#[test]
fn source_times_and_modes_are_varied_in_copies() {
    let bench = Bench::new();
    let given = bench.source.join("given").metadata().unwrap();
    let line = "stat -c '%Y %a' given; test -w given; echo more >> given";
    let shifted = with(|e| e.source_mtime = SourceMtime::Shifted { seconds: -86_400 });
    let mode = given.mode() & 0o7777;
    assert_eq!(
        says(&bench, &shifted, line),
        [format!("{} {mode:o}", given.mtime() - 86_400)]
    );
    let equal = with(|e| {
        e.source_mtime = SourceMtime::Equal { at: 1_000_000 };
        e.source_mode = SourceMode::Checkout { umask: 0o077 };
        e.user = somebody();
    });
    assert_eq!(says(&bench, &equal, line), ["1000000 600"]);
    let report = bench.run(&equal, "true");
    assert!(built(&report).outputs.is_empty());
}

#[test]
fn one_processor_is_all_that_the_build_sees() {
    if !meets(&[Need::Affinity]) {
        return;
    }
    let bench = Bench::new();
    let line = "nproc; grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat; getconf _NPROCESSORS_ONLN; nproc --all";
    let one = with(|e| e.cpus = Cpus::Count { count: 1 });
    assert_eq!(says(&bench, &one, line), ["1"; 5]);
    assert_ne!(says(&bench, &Environment::default(), "nproc"), ["1"]);
}

#[test]
fn the_kernel_release_can_read_2_6() {
    if !meets(&[Need::Uname26]) {
        return;
    }
    let bench = Bench::new();
    let old = with(|e| e.kernel = Kernel::Uname26);
    assert!(says(&bench, &old, "uname -r")[0].starts_with("2.6."));
}

#[test]
fn fixed_addresses_are_the_same_in_every_trial() {
    if !meets(&[Need::FixedAddresses]) {
        return;
    }
    let bench = Bench::new();
    let stack = |random| {
        let environment = with(|e| e.random_addresses = random);
        says(
            &bench,
            &environment,
            "grep -o '^[0-9a-f]*.*stack' /proc/self/maps | cut -d- -f1",
        )
    };
    assert_eq!(stack(false), stack(false));
    assert_ne!(stack(true), stack(true));
}

#[test]
fn the_first_pid_is_the_one_asked_for() {
    if !meets(&[Need::Pids]) {
        return;
    }
    let bench = Bench::new();
    assert_eq!(says(&bench, &Environment::default(), "echo $$"), ["2"]);
    let later = with(|e| e.last_pid = Some(20_000));
    assert_eq!(says(&bench, &later, "echo $$"), ["20001"]);
}

#[test]
fn the_network_is_the_loopback_or_one_more_interface() {
    if !meets(&[Need::PrivateNetwork]) {
        return;
    }
    let bench = Bench::new();
    let line = "ls /sys/class/net; python3 -c \"
import socket
for address in ['127.0.0.1', '10.99.0.7', 'fd99::7']:
    try:
        s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
        s.bind((address, 0)); print(address)
    except OSError: pass
try: socket.create_connection(('192.0.2.1', 9), 1)
except OSError as e: print(e.errno)\"";
    let loopback = says(&bench, &Environment::default(), line);
    assert_eq!(loopback, ["lo", "127.0.0.1", "101"]);
    let isolated = with(|e| {
        e.network = Network::Isolated {
            interface: "wan7".into(),
            addresses: vec!["10.99.0.7/24".into(), "fd99::7/64".into()],
        };
    });
    let said = says(&bench, &isolated, line);
    assert!(said.contains(&"wan7".to_owned()), "{said:?}");
    assert!(
        said.ends_with(&["127.0.0.1", "10.99.0.7", "fd99::7", "101"].map(str::to_owned)),
        "{said:?}"
    );
}

#[test]
fn monotonic_clocks_start_at_the_same_value() {
    if !meets(&[Need::MonotonicClocks]) {
        return;
    }
    let bench = Bench::new();
    let uptime = says(&bench, &Environment::default(), "cut -d. -f1 /proc/uptime");
    let uptime: i64 = uptime[0].parse().unwrap();
    assert!((100_000..100_010).contains(&uptime), "{uptime}");
}

#[test]
fn the_clock_can_stand_elsewhere() {
    if !meets(&[Need::ClockHook, Need::FileTimes]) {
        return;
    }
    let bench = Bench::new();
    let environment = with(|e| {
        e.clock = Clock::Stepped {
            start: 2_000_000_000,
        }
    });
    let said = says(&bench, &environment, "date +%s; touch new; stat -c %Y new");
    assert!(
        said.iter().all(|time| time.starts_with("20000000")),
        "{said:?}"
    );
}

#[test]
fn a_build_sees_nothing_of_the_host_processes_and_temporary_files() {
    let bench = Bench::new();
    let line = "ps -e -o pid= | wc -l; ls -A /tmp /run /dev/shm | tr '\\n' ' '; echo; echo x > /tmp/x; echo x > /dev/shm/x";
    let said = says(&bench, &Environment::default(), line);
    assert!(said[0].trim().parse::<u32>().unwrap() < 6);
    assert_eq!(said[1], "/dev/shm:  /run: lock  /tmp: ");
}

#[test]
fn a_failing_build_says_how_it_failed() {
    let bench = Bench::new();
    let fails = |command: &[&str]| {
        let mut spec = bench.spec(&Environment::default(), "");
        spec.build.command = command.iter().map(ToString::to_string).collect();
        match bench.sandbox.run(&spec).unwrap().outcome {
            Outcome::Failed { how } => how,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fails(&["sh", "-c", "exit 3"]), "exit code 3");
    assert_eq!(fails(&["sh", "-c", "kill -SEGV $$"]), "killed by SIGSEGV");
    assert!(fails(&["no-such-program"]).starts_with("command not found: no-such-program"));
    assert!(fails(&["./given"]).starts_with("cannot run ./given: Permission denied"));
}

#[test]
fn a_build_that_does_not_end_is_killed_with_all_its_children() {
    let bench = Bench::new();
    let mut spec = bench.spec(&Environment::default(), "setsid sleep 4177 & sleep 4177");
    spec.timeout = Duration::from_millis(300);
    let report = bench.sandbox.run(&spec).unwrap();
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert_eq!(sleepers("4177"), 0);
}

#[test]
fn what_a_build_leaves_running_ends_with_it() {
    let bench = Bench::new();
    bench.run(
        &Environment::default(),
        "setsid sleep 4188 >/dev/null 2>&1 & true",
    );
    assert_eq!(sleepers("4188"), 0);
}

/// How many processes have this word among their arguments, after a moment to end.
fn sleepers(word: &str) -> usize {
    for _ in 0..100 {
        if processes_with(word).is_empty() {
            return 0;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    processes_with(word).len()
}

fn processes_with(word: &str) -> Vec<i32> {
    #[expect(clippy::disallowed_methods, reason = "the order does not matter here")]
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                line.split(|byte| *byte == 0)
                    .any(|part| part == word.as_bytes())
            })
        })
        .collect()
}

/// The other half of the next test: a front end that is killed.
#[test]
fn a_front_end_to_be_killed() {
    if std::env::var_os("REPROBE_TEST_VICTIM").is_none() {
        return;
    }
    let bench = Bench::new();
    bench.run(&Environment::default(), "setsid sleep 4199 & sleep 4199");
}

#[test]
fn a_killed_front_end_leaves_no_process_and_no_mount() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_front_end_to_be_killed"])
        .env("REPROBE_TEST_VICTIM", "1")
        .env("TMPDIR", scratch.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..500 {
        if processes_with("4199").len() >= 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(processes_with("4199").len() >= 2);
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(sleepers("4199"), 0);
    let here = scratch.path().to_str().unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(here));
    for _ in 0..100 {
        if processes_with("__supervise").is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let left = processes_with("__supervise");
    let ours = |pid: &&i32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains(here))
    };
    assert_eq!(left.iter().filter(ours).count(), 0);
}

#[test]
fn the_source_stays_as_it_is_whatever_a_build_does_to_it() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.source.join("sub/deep")).unwrap();
    std::fs::write(bench.source.join("sub/file"), "x").unwrap();
    std::fs::write(bench.source.join("read-only"), "x").unwrap();
    let closed = std::fs::Permissions::from_mode(0o444);
    std::fs::set_permissions(bench.source.join("read-only"), closed).unwrap();
    let before = bench.sandbox.source_fingerprint().unwrap();
    for user in [UserIdentity::Caller, somebody()] {
        let environment = with(|e| e.user = user);
        bench.run(
            &environment,
            "echo >> given; chmod 777 given; rm -rf sub; mkdir sub; rm -f read-only; touch . ; ln given hard; ls -la",
        );
    }
    let after = bench.sandbox.source_fingerprint().unwrap();
    assert_eq!(before.first_change(&after), None);
}

#[test]
fn odd_names_of_the_source_are_no_trouble() {
    for name in ["a:b", "a,b", "back\\slash", "with blank", "ünï"] {
        let bench = Bench::named(name);
        let said = says(
            &bench,
            &Environment::default(),
            "cat given; basename \"$PWD\"; echo >> given",
        );
        assert_eq!(said, ["given", name]);
    }
}

#[test]
fn places_that_exclude_each_other_are_named() {
    let bench = Bench::new();
    for home in [
        "/reprobe/build/project/home",
        "/reprobe/build/project",
        "/reprobe",
    ] {
        let environment = with(|e| e.home = home.into());
        let error = bench
            .sandbox
            .run(&bench.spec(&environment, "true"))
            .unwrap_err();
        assert!(error.to_string().contains(home), "{error}");
    }
}

#[test]
fn a_copy_of_the_source_works_as_the_source_does() {
    let bench = Bench::new();
    bench.sandbox.set_lower_source(LowerSource::Copy);
    let report = bench.run(&Environment::default(), "cat given; echo x > made");
    assert_eq!(log(&report), "given\n");
    assert_eq!(built(&report).outputs.keys().collect::<Vec<_>>(), ["made"]);
}

#[test]
fn what_a_preparation_leaves_is_found_by_all_and_is_no_output() {
    let bench = Bench::new();
    let prepare = with(|e| e.network = Network::Host);
    let line = "mkdir vendor; echo dep > vendor/dep; echo cfg > ~/.config; echo edited > given";
    bench.sandbox.prepare(&bench.spec(&prepare, line)).unwrap();
    for user in [UserIdentity::Caller, somebody()] {
        let environment = with(|e| {
            e.user = user;
            e.home = "/reprobe/other-home".into();
            e.build_path.parent = "/reprobe/other".into();
        });
        let report = bench.run(
            &environment,
            "cat vendor/dep ~/.config given; ls ..; rm -r vendor; echo x > made; echo y >> ~/.config",
        );
        assert_eq!(log(&report), "dep\ncfg\nedited\nproject\n");
        assert_eq!(built(&report).outputs.keys().collect::<Vec<_>>(), ["made"]);
    }
    assert!(!bench.source.join("vendor").exists());
}

#[test]
fn a_build_runs_without_a_sandbox_where_namespaces_are_forbidden() {
    let mut forbidden = capabilities().clone();
    let missing = reprobe::model::Missing {
        what: "namespaces and mounts".into(),
        reason: "asked for by a test".into(),
        hint: String::new(),
    };
    for need in [
        Need::Mounts,
        Need::OtherUser,
        Need::HostName,
        Need::Pids,
        Need::PrivateNetwork,
        Need::SecondShell,
        Need::MonotonicClocks,
    ] {
        forbidden.missing.insert(need, missing.clone());
    }
    let bench = Bench::with("project", forbidden);
    let environment = with(|e| {
        e.umask = 0o077;
        e.timezone = "Asia/Tokyo".into();
    });
    let report = bench.run(
        &environment,
        "umask; echo $TZ; cat given; ls -A ~; echo new > made; echo more >> given; setsid sleep 4166 >/dev/null 2>&1 &",
    );
    assert_eq!(log(&report), "0077\nAsia/Tokyo\ngiven\n");
    assert_eq!(
        built(&report).outputs.keys().collect::<Vec<_>>(),
        ["given", "made"]
    );
    assert_eq!(sleepers("4166"), 0);
    assert_eq!(
        std::fs::read(bench.source.join("given")).unwrap(),
        b"given\n"
    );
    let mut spec = bench.spec(&environment, "setsid sleep 4155 & sleep 4155");
    spec.timeout = Duration::from_millis(300);
    assert_eq!(bench.sandbox.run(&spec).unwrap().outcome, Outcome::TimedOut);
    assert_eq!(sleepers("4155"), 0);
}

/// Runs all of this once more as somebody who is not root.
#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    if !nix::unistd::geteuid().is_root() || std::env::var_os("REPROBE_TEST_VICTIM").is_some() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(1000), Some(1000)).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=1000", "--regid=1000", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env_remove("CARGO_HOME")
        .env_remove("RUSTUP_HOME")
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
