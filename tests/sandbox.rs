//! Every level of every slot, observed from inside real trials; teardown; and that neither host nor
//! source changes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails; clippy takes helpers of tests for production code"
)]

mod ordinary;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use reprobe::model::{
    Accounting, Build, BuildPath, Capabilities, Clock, Cpus, DirectoryOrder, Environment, Inodes,
    Kernel, Locale, Need, Network, Outcome, OutputSelection, Randomness, Shell, Snapshot,
    SourceMode, SourceMtime, SourceOwner, Terminal, UserIdentity,
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
    let required = std::env::var("REPROBE_REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "{missing:?}");
    false
}

/// A source tree and a session over it.
struct Bench {
    sandbox: Sandbox,
    source: PathBuf,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::named("project")
    }

    fn named(name: &str) -> Self {
        Self::with(name, capabilities().clone())
    }

    /// A new session over the same source.
    fn again(self) -> Self {
        let scratch = self.dir.path().join("scratch");
        self.over(scratch)
    }

    fn over(self, scratch: PathBuf) -> Self {
        let sandbox = Sandbox::new(self.options(scratch)).unwrap();
        Self { sandbox, ..self }
    }

    fn options(&self, scratch: PathBuf) -> SessionOptions {
        SessionOptions {
            exposed: Vec::new(),
            scratch,
            source: self.source.clone(),
            capabilities: capabilities().clone(),
            program: program().to_owned(),
            limits: Limits::default(),
            interrupt: None,
            cache: None,
        }
    }

    fn with(name: &str, capabilities: Capabilities) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join(name);
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("given"), "given\n").unwrap();
        let sandbox = Sandbox::new(SessionOptions {
            exposed: Vec::new(),
            scratch: dir.path().join("scratch"),
            source: source.clone(),
            capabilities,
            program: program().to_owned(),
            limits: Limits::default(),
            interrupt: None,
            cache: None,
        })
        .unwrap();
        Self {
            sandbox,
            source,
            dir,
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
            focus: None,
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
    let own = names
        .iter()
        .position(|line| line.starts_with("REPROBE_PADDING=-"));
    names.remove(own.unwrap());
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

/// Whether or not this user namespace has a name for the owner.
#[test]
fn a_file_cannot_be_given_away_by_who_is_not_root() {
    if !meets(&[Need::OtherUser]) {
        return;
    }
    if !capabilities().root && !meets(&[Need::Supervisor]) {
        return;
    }
    let script = "import os
def tells(call, *arguments, **names):
    try:
        print(call(*arguments, **names))
    except OSError as error:
        print(error.strerror)
file = os.open('given', os.O_RDONLY)
top = os.open('.', os.O_RDONLY)
os.symlink('nowhere', 'link')
for user, group in (5, 5), (-1, 5), (5, -1):
    tells(os.chown, 'given', user, group)
    tells(os.lchown, 'link', user, group)
    tells(os.fchown, file, user, group)
    tells(os.chown, 'given', user, group, dir_fd=top)
tells(os.chown, 'missing', 5, 5)
tells(os.chown, 'link', 5, 5)
tells(os.chown, 'given/x', 5, 5)
tells(os.chown, '', 5, 5)
tells(os.fchown, 99, 5, 5)
tells(os.chown, 'given', os.getuid(), os.getgid())
tells(os.lchown, 'link', -1, -1)
";
    let bench = Bench::new();
    std::fs::write(bench.source.join("script"), script).unwrap();
    let said = says(&bench, &with(|e| e.user = somebody()), "python3 script");
    assert_eq!(said[..12], ["Operation not permitted"; 12]);
    assert_eq!(
        said[12..],
        [
            "No such file or directory",
            "No such file or directory",
            "Not a directory",
            "No such file or directory",
            "Bad file descriptor",
            "None",
            "None"
        ]
    );
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
    let cache = tempfile::tempdir().unwrap();
    let again = |bench: Bench| {
        let options = SessionOptions {
            exposed: Vec::new(),
            cache: Some(cache.path().to_owned()),
            ..bench.options(bench.dir.path().join("scratch"))
        };
        let sandbox = Sandbox::new(options).unwrap();
        Bench { sandbox, ..bench }
    };
    let bench = again(bench);
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
    // The next session finds the same one.
    let kept = reprobe::snapshot::walk::sorted_entries(&cache.path().join("locales")).unwrap();
    assert_eq!(kept.len(), 1);
    std::fs::write(kept[0].path.join("mark"), "").unwrap();
    let bench = again(bench);
    let line = format!("{line}; ls $LOCPATH/et_EE.UTF-8/mark >&2");
    assert_eq!(says(&bench, &environment, &line).len(), 5);
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
fn a_terminal_that_nobody_has_open_any_more_does_not_hang_up_on_the_build() {
    if !meets(&[Need::Terminals]) {
        return;
    }
    let bench = Bench::new();
    let terminal = with(|e| {
        e.terminal = Terminal {
            term: "xterm".into(),
            columns: Some(80),
            tty: true,
        };
    });
    // As the programs of coreutils do before they exit, only slower.
    let line = "exec <&- >&- 2>&-; sleep 0.3; echo still here >made";
    assert_eq!(built(&bench.run(&terminal, line)).outputs.len(), 1);
    let line = "exec 3</dev/tty <&- >&- 2>&- 3<&-; sleep 0.3; echo back >/dev/tty";
    assert_eq!(log(&bench.run(&terminal, line)).trim(), "back");
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
fn the_kernel_has_the_name_that_was_asked_for_wherever_it_is_read() {
    if !meets(&[Need::KernelNames]) {
        return;
    }
    let bench = Bench::new();
    let named = with(|e| {
        e.kernel = Kernel::Named {
            release: "9.8.7-named".into(),
            version: "#5 SMP named".into(),
        };
    });
    let line = "uname -r; uname -v; uname -m; uname -n; cat /proc/sys/kernel/osrelease /proc/sys/kernel/version /proc/version";
    let machine = nix::sys::utsname::uname().unwrap();
    let machine = machine.machine().to_str().unwrap();
    let said = says(&bench, &named, line);
    assert_eq!(
        said[..6],
        [
            "9.8.7-named",
            "#5 SMP named",
            machine,
            "reprobe",
            "9.8.7-named",
            "#5 SMP named"
        ]
    );
    assert!(said[6].starts_with("Linux version 9.8.7-named ") && said[6].ends_with("#5 SMP named"));
    let own = says(&bench, &Environment::default(), "uname -r");
    assert_ne!(own, ["9.8.7-named"]);
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
    let hardware = || says(&bench, &isolated, "cat /sys/class/net/wan7*/address");
    assert!(hardware()[0].starts_with("02:"));
    assert_eq!(hardware(), hardware());
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

/// Seconds since 1970 at which the trials' clocks start.
const START: i64 = 2_000_000_000;

#[test]
fn a_stepped_clock_stands_still_but_for_sleeps_and_steps_and_files_follow_it() {
    if !meets(&[Need::ClockHook, Need::FileTimes]) {
        return;
    }
    let bench = Bench::new();
    let line = "date +%s.%N; touch new; stat -c %.9Y new; sleep 2; date +%s; touch -d @1000000000 set; \
        stat -c %Y set given; python3 -c 'import time; print(int(time.time()))'; \
        sed -n 's/^btime //p' /proc/stat";
    let given = 1_500_000_000;
    let times =
        std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + Duration::from_secs(given));
    let file = std::fs::File::options()
        .append(true)
        .open(bench.source.join("given"))
        .unwrap();
    file.set_times(times).unwrap();
    for clock in [
        Clock::Stepped { start: START },
        Clock::Stepped {
            start: START + 40_000_000,
        },
    ] {
        let Clock::Stepped { start } = clock else {
            return;
        };
        let environment = with(|e| e.clock = clock);
        let said = says(&bench, &environment, line);
        let again = says(&bench, &environment, line);
        assert_eq!(said, again);
        assert_eq!(said[0], format!("{start}.000000000"));
        assert_eq!(said[1], format!("{start}.001000000"));
        assert_eq!(
            said[2..],
            [
                format!("{}", start + 2),
                "1000000000".into(),
                given.to_string(),
                format!("{}", start + 2),
                format!("{}", start - 100_000)
            ]
        );
    }
}

#[test]
fn a_creeping_clock_lets_files_age_and_a_running_one_runs() {
    if !meets(&[Need::ClockHook, Need::FileTimes]) {
        return;
    }
    let bench = Bench::new();
    let line = "touch a; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; touch b; \
        test b -nt a && echo newer; date +%s; stat -c %Y b";
    for clock in [
        Clock::Creeping { start: START },
        Clock::Running { start: START },
    ] {
        let said = says(&bench, &with(|e| e.clock = clock), line);
        assert_eq!(said[0], "newer", "{clock:?}");
        for time in &said[1..] {
            let time: i64 = time.parse().unwrap();
            assert!((START..START + 60).contains(&time), "{clock:?} {time}");
        }
    }
}

#[test]
fn random_bytes_follow_the_seed_alone() {
    if !meets(&[Need::RandomBytes]) {
        return;
    }
    let bench = Bench::new();
    let line = "od -An -N8 -tx8 /dev/urandom; od -An -N8 -tx8 /dev/random; \
        python3 -c 'import uuid; print(uuid.uuid4(), hash(\"x\"))'; mktemp -u";
    let seeded = |seed| {
        let environment = with(|e| e.randomness = Randomness::Seeded { seed });
        says(&bench, &environment, line)
    };
    let (one, other) = (seeded(1), seeded(2));
    assert_eq!(one, seeded(1));
    for (one, other) in one.iter().zip(&other) {
        assert_ne!(one, other);
    }
}

#[test]
fn identifiers_of_the_kernel_follow_the_seed_and_each_reader_gets_another() {
    if !meets(&[Need::RandomBytes, Need::Mounts]) {
        return;
    }
    let bench = Bench::new();
    let line = "cd /proc/sys/kernel/random; cat boot_id; cat uuid; read a <uuid; read b <uuid; \
        echo $a; echo $b; head -c 8 uuid; echo; for i in 1 2 3 4 5 6 7 8 9; do cat uuid; done; \
        python3 -c 'print(*(open(\"uuid\").read() for _ in range(300)), sep=\"\", end=\"\")'; \
        cat boot_id; test -f uuid; stat -c '%a %F' uuid; wc -c <uuid";
    let seeded = |seed| {
        let environment = with(|e| e.randomness = Randomness::Seeded { seed });
        says(&bench, &environment, line)
    };
    let (one, other) = (seeded(1), seeded(2));
    assert_eq!(one, seeded(1));
    let (read, last) = one.split_last_chunk::<3>().unwrap();
    assert_eq!(*last, [one[0].as_str(), "444 regular file", "37"]);
    assert_eq!(
        read.iter().collect::<BTreeSet<_>>().len(),
        1 + 3 + 1 + 9 + 300
    );
    for (one, other) in read.iter().zip(&other) {
        assert_ne!(one, other);
    }
}

#[test]
fn inodes_and_devices_are_numbered_by_the_key_alone() {
    if !meets(&[Need::InodeNumbers]) {
        return;
    }
    let bench = Bench::new();
    let line = "touch a; ln a b; stat -c '%i %d' a given .; ls -i a; test a -ef b; \
        test \"$(stat -c %i a)\" = \"$(stat -c %i b)\"; \
        python3 -c 'import os; print([e.inode() for e in os.scandir(\".\") if e.name == \"given\"])'";
    let numbered = |key, path: &str, before: &str| {
        let environment = with(|e| {
            e.inodes = Inodes::Numbered {
                key,
                accounting: Accounting::default(),
            };
            e.clock = Clock::Stepped { start: START };
            e.directory_order = DirectoryOrder::Keyed {
                key: 0,
                reverse: false,
            };
            e.build_path.parent = path.into();
        });
        says(&bench, &environment, &format!("{before}; {line}"))
    };
    let one = numbered(1, "/reprobe/build", "true");
    assert_eq!(
        one,
        numbered(
            1,
            "/reprobe/elsewhere",
            "ls -lR /etc >/dev/null 2>&1 || true"
        )
    );
    let other = numbered(2, "/reprobe/build", "true");
    for (one, other) in one.iter().zip(&other) {
        assert_ne!(one, other);
    }
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

/// Does sixty random things to the tree, then says what a comparison with the tree as it was finds
/// created or changed.
const FUZZ: &str = r"
import os, random, shutil, stat, sys
random.seed(int(sys.argv[1]))
def walk():
    files, dirs = [], ['.']
    for base, names, others in os.walk('.'):
        dirs += [os.path.join(base, n) for n in names if not os.path.islink(os.path.join(base, n))]
        files += [os.path.join(base, n) for n in others]
    return sorted(files), sorted(dirs)
def signature(path):
    st = os.lstat(path)
    sig = (st.st_mode,)
    if stat.S_ISREG(st.st_mode): sig += (st.st_size, st.st_mtime_ns, open(path, 'rb').read())
    if stat.S_ISLNK(st.st_mode): sig += (os.readlink(path),)
    return sig
def tree():
    files, dirs = walk()
    return {os.path.normpath(p): signature(p) for p in files + dirs[1:]}
before = tree()
for i in range(60):
    files, dirs = walk()
    what = random.randrange(14)
    try:
        if what == 0: open(random.choice(dirs) + '/n%d' % i, 'w').write('n')
        elif what == 1: os.mkdir(random.choice(dirs) + '/m%d' % i)
        elif what == 2: open(random.choice(files), 'a').write('z')
        elif what == 3: os.unlink(random.choice(files))
        elif what == 4 and random.random() < .3: shutil.rmtree(random.choice(dirs[1:]))
        elif what == 5: os.rename(random.choice(files), random.choice(dirs) + '/' + random.choice(['f1', 'f2', 'r%d' % i]))
        elif what == 6: os.rename(random.choice(dirs[1:]), random.choice(dirs) + '/' + random.choice(['s1', 'd%d' % i]))
        elif what == 7: os.link(random.choice(files), random.choice(dirs) + '/l%d' % i)
        elif what == 8: os.chmod(random.choice(files), random.choice([0o644, 0o755, 0o700]))
        elif what == 13: os.chmod(random.choice(dirs[1:]), random.choice([0o755, 0o700]))
        elif what == 9 and random.random() < .4:
            path = random.choice(dirs[1:]); shutil.rmtree(path)
            os.mkdir(path) if random.random() < .6 else open(path, 'w').write('file now')
        elif what == 10: open(random.choice(files), 'r+b').close()
        elif what == 11: os.symlink(random.choice(['x', 'y']), random.choice(dirs) + '/k%d' % (i % 3))
        elif what == 12:
            path = random.choice(files); st = os.stat(path)
            data = open(path, 'rb').read(); os.unlink(path); open(path, 'wb').write(data)
            os.chmod(path, st.st_mode & 0o777); os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    except (OSError, IndexError): pass
after = tree()
for path in sorted(after):
    if before.get(path) != after[path]: print(path)
";

#[test]
fn what_counts_as_changed_agrees_with_a_comparison_of_the_trees() {
    let bench = Bench::new();
    for dir in ["s1", "s1/t", "s2", "s2/u/v"] {
        std::fs::create_dir_all(bench.source.join(dir)).unwrap();
        for name in ["f1", "f2", "f3"] {
            std::fs::write(bench.source.join(dir).join(name), dir).unwrap();
        }
    }
    std::os::unix::fs::symlink("f1", bench.source.join("s1/k0")).unwrap();
    std::fs::hard_link(bench.source.join("given"), bench.source.join("s2/hard")).unwrap();
    for seed in 0..40 {
        let mut spec = bench.spec(&Environment::default(), "");
        spec.build.command = ["python3", "-c", FUZZ, &seed.to_string()]
            .map(str::to_owned)
            .to_vec();
        let report = bench.sandbox.run(&spec).unwrap();
        let found: Vec<&str> = built(&report).outputs.keys().map(String::as_str).collect();
        let text = log(&report);
        let mut expected: Vec<&str> = text.lines().collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// Runs one of the tests below again where it may mount what it likes.
fn in_own_mounts(test: &str) -> bool {
    if std::env::var_os("REPROBE_TEST_MOUNTS").is_some() {
        return true;
    }
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can mount what this test needs");
        return false;
    }
    let output = std::process::Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("REPROBE_TEST_MOUNTS", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    false
}

fn mount(arguments: &[&str]) {
    let status = std::process::Command::new("mount").args(arguments).status();
    assert!(status.unwrap().success(), "mount {arguments:?}");
}

#[test]
fn mounts_inside_the_source_are_seen_and_may_be_written() {
    if !in_own_mounts("mounts_inside_the_source_are_seen_and_may_be_written") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bound"), "bound\n").unwrap();
    let bench = Bench::new();
    let inner = bench.source.join("inner dir");
    std::fs::create_dir(&inner).unwrap();
    mount(&[
        "--bind",
        dir.path().to_str().unwrap(),
        inner.to_str().unwrap(),
    ]);
    // The session looks at the mounts when it begins.
    let bench = bench.again();
    let report = bench.run(
        &Environment::default(),
        "cat 'inner dir/bound'; echo x > 'inner dir/made'; echo y >> 'inner dir/bound'",
    );
    assert_eq!(log(&report), "bound\n");
    let outputs: Vec<_> = built(&report).outputs.keys().collect();
    assert_eq!(outputs, ["inner dir/bound", "inner dir/made"]);
    assert_eq!(std::fs::read(dir.path().join("bound")).unwrap(), b"bound\n");
    let copy = with(|e| e.source_mtime = SourceMtime::Equal { at: 5 });
    assert_eq!(says(&bench, &copy, "cat 'inner dir/bound'"), ["bound"]);
}

#[test]
fn a_source_on_a_mount_of_its_own_is_no_trouble() {
    if !in_own_mounts("a_source_on_a_mount_of_its_own_is_no_trouble") {
        return;
    }
    let bench = Bench::new();
    mount(&["-t", "tmpfs", "none", bench.source.to_str().unwrap()]);
    std::fs::write(bench.source.join("given"), "other\n").unwrap();
    let bench = bench.again();
    for user in [UserIdentity::Caller, somebody()] {
        let environment = with(|e| e.user = user);
        assert_eq!(
            says(&bench, &environment, "cat given; echo >> given"),
            ["other"]
        );
    }
}

#[test]
fn a_home_on_a_mount_of_its_own_is_no_trouble() {
    if !in_own_mounts("a_home_on_a_mount_of_its_own_is_no_trouble") {
        return;
    }
    let bench = Bench::new();
    let home = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "none", home.path().to_str().unwrap()]);
    let toolchain = home.path().join(".cargo");
    std::fs::create_dir(&toolchain).unwrap();
    std::fs::write(toolchain.join("here"), "found\n").unwrap();
    for vary in ["umask", "user"] {
        let output = std::process::Command::new(program())
            .args(["exec", "--vary", vary, "--"])
            .arg("cat \"$CARGO_HOME/here\" && echo x >\"$CARGO_HOME/new\"; ls -A ~")
            .current_dir(&bench.source)
            .env("HOME", home.path())
            .env_remove("CARGO_HOME")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "found\n", "{said}");
        assert!(!toolchain.join("new").exists());
    }
}

#[test]
fn scratch_space_on_an_overlay_is_replaced_by_memory_and_said() {
    if !in_own_mounts("scratch_space_on_an_overlay_is_replaced_by_memory_and_said") {
        return;
    }
    let bench = Bench::new();
    let base = bench.dir.path().join("base");
    let at = |name: &str| base.join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(&base).unwrap();
    mount(&["-t", "tmpfs", "none", base.to_str().unwrap()]);
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(base.join(name)).unwrap();
    }
    let layers = format!(
        "lowerdir={},upperdir={},workdir={}",
        at("lower"),
        at("upper"),
        at("work")
    );
    mount(&["-t", "overlay", "overlay", "-o", &layers, &at("merged")]);
    let bench = bench.over(base.join("merged"));
    for user in [UserIdentity::Caller, somebody()] {
        let environment = with(|e| e.user = user);
        let report = bench.run(&environment, "cat given; echo x > made; echo y > ~/z");
        assert_eq!(log(&report), "given\n");
        assert_eq!(built(&report).outputs.keys().collect::<Vec<_>>(), ["made"]);
        assert!(
            report.notes.iter().any(|note| note.contains("overlayfs")),
            "{:?}",
            report.notes
        );
    }
}

#[test]
fn a_source_on_an_overlay_works_for_every_user() {
    if !in_own_mounts("a_source_on_an_overlay_works_for_every_user") {
        return;
    }
    let bench = Bench::new();
    let base = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "none", base.path().to_str().unwrap()]);
    for name in ["upper", "work"] {
        std::fs::create_dir(base.path().join(name)).unwrap();
    }
    let source = bench.source.to_str().unwrap();
    let layers = format!(
        "lowerdir={source},upperdir={0}/upper,workdir={0}/work",
        base.path().display()
    );
    mount(&["-t", "overlay", "overlay", "-o", &layers, source]);
    let bench = bench.again();
    for user in [UserIdentity::Caller, somebody()] {
        let environment = with(|e| e.user = user);
        let report = bench.run(&environment, "cat given; echo x > made; echo y >> given");
        assert_eq!(log(&report), "given\n");
        assert_eq!(
            built(&report).outputs.keys().collect::<Vec<_>>(),
            ["given", "made"]
        );
    }
}

#[test]
fn a_full_scratch_disk_is_named_and_the_next_build_has_room() {
    if !in_own_mounts("a_full_scratch_disk_is_named_and_the_next_build_has_room") {
        return;
    }
    let bench = Bench::new();
    let small = tempfile::tempdir().unwrap();
    mount(&[
        "-t",
        "tmpfs",
        "-o",
        "size=2m",
        "none",
        small.path().to_str().unwrap(),
    ]);
    let bench = bench.over(small.path().to_owned());
    let outside = tempfile::tempdir().unwrap();
    let mut spec = bench.spec(&Environment::default(), "head -c 5000000 /dev/zero > big");
    spec.log = Some(outside.path().join("log"));
    let error = bench.sandbox.run(&spec).unwrap_err().to_string();
    assert!(
        error.contains("is full") && error.contains("set TMPDIR"),
        "{error}"
    );
    let said = std::fs::read_to_string(outside.path().join("log")).unwrap();
    assert!(said.contains("No space left on device"), "{said}");
    built(&bench.run(&Environment::default(), "echo x > made"));
}

#[test]
fn a_source_file_that_cannot_be_read_is_named_where_a_copy_is_needed() {
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let bench = Bench::new();
    let closed = bench.source.join("closed");
    std::fs::write(&closed, "").unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    built(&bench.run(&Environment::default(), "cat given"));
    let environment = with(|e| e.source_mtime = SourceMtime::Equal { at: 5 });
    let error = bench
        .sandbox
        .run(&bench.spec(&environment, "true"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("project/closed may not be read (Permission denied"),
        "{error}"
    );
}

#[test]
fn scratch_space_inside_the_source_is_refused_with_the_way_out() {
    let bench = Bench::new();
    let options = bench.options(bench.source.join("scratch"));
    let error = Sandbox::new(options).unwrap_err().to_string();
    assert!(
        error.contains("lies inside the source") && error.contains("TMPDIR"),
        "{error}"
    );
}

#[test]
fn an_interactive_command_has_the_streams_of_the_caller_and_leaves_nothing() {
    let bench = Bench::new();
    let spec = bench.spec(
        &Environment::default(),
        "test -e given; echo x > made; exit 7",
    );
    assert_eq!(bench.sandbox.exec(&spec).unwrap(), Some(7));
    assert!(!bench.source.join("made").exists());
    let spec = bench.spec(&Environment::default(), "kill -TERM $$");
    assert_eq!(bench.sandbox.exec(&spec).unwrap(), Some(143));
}

#[test]
fn every_step_of_the_set_up_can_be_printed() {
    let bench = Bench::new();
    let environment = with(|e| e.user = somebody());
    let steps = bench.sandbox.plan_ops(&environment).unwrap();
    assert!(steps.len() > 15);
    for step in steps {
        assert!(!step.to_string().is_empty(), "{step:?}");
    }
}

/// Runs all of this once more as somebody who is not root.
#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    ordinary::again();
}

#[test]
fn a_session_asked_to_end_leaves_no_process_and_no_scratch_space() {
    let dir = tempfile::tempdir().unwrap();
    let (source, scratch) = (dir.path().join("project"), dir.path().join("scratch"));
    std::fs::create_dir(&source).unwrap();
    std::fs::create_dir(&scratch).unwrap();
    let mut session = std::process::Command::new(program())
        .args(["check", "--", "setsid sleep 4144 & sleep 4144"])
        .current_dir(&source)
        .env("TMPDIR", &scratch)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..3000 {
        if processes_with("4144").len() >= 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(processes_with("4144").len() >= 2);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(session.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(session.wait().unwrap().code(), Some(143));
    assert_eq!(sleepers("4144"), 0);
    let names: Vec<_> = reprobe::snapshot::walk::sorted_entries(&scratch)
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

/// A source with a directory that nobody may write, old times, and a hard link.
fn with_a_directory_to_rename() -> Bench {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.source.join("s/closed")).unwrap();
    for name in ["s/f", "s/closed/g"] {
        std::fs::write(bench.source.join(name), name).unwrap();
    }
    std::fs::hard_link(bench.source.join("s/f"), bench.source.join("s/h")).unwrap();
    std::fs::create_dir_all(bench.source.join("full/x")).unwrap();
    let closed = std::fs::Permissions::from_mode(0o555);
    std::fs::set_permissions(bench.source.join("s/closed"), closed).unwrap();
    for name in ["s/closed", "s"] {
        let directory = std::fs::File::open(bench.source.join(name)).unwrap();
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        directory.set_modified(old).unwrap();
    }
    bench
}

/// The kernel renames no directory that lies below an overlay.
#[test]
fn directories_of_the_source_are_renamed_as_outside_and_stay_what_they_are() {
    if !meets(&[Need::InodeNumbers]) {
        return;
    }
    let bench = with_a_directory_to_rename();
    let environment = with(|e| {
        e.inodes = Inodes::Numbered {
            key: 1,
            accounting: Accounting::default(),
        };
        e.clock = Clock::Stepped { start: START };
        e.source_owner = SourceOwner::Other {
            uid: 45673,
            gid: 56734,
            name: "owner".into(),
            group: "group".into(),
        };
    });
    let rename = |from: &str, to: &str| {
        format!("perl -e 'rename \"{from}\", \"{to}\" or print \"$!\\n\"' | sed 's|^|{to}: |'")
    };
    let look = |dir: &str| format!("(cd {dir}; stat -c '%n %a %i %u %s %Y' . f h closed closed/g)");
    let line = [
        look("s"),
        rename("s", "full"),
        rename("full", "s"),
        rename("s", "/tmp/s"),
        rename("s", "given"),
        rename("s", "s/in"),
        "mkdir empty".into(),
        rename("s", "empty"),
        "echo moved; ls; cat empty/f empty/closed/g; echo".into(),
        look("empty"),
    ]
    .join("; ");
    let said = says(&bench, &environment, &line);
    let (before, rest) = said.split_at(5);
    let refused = [
        "full: Directory not empty",
        "s: Directory not empty",
        "/tmp/s: Invalid cross-device link",
        "given: Not a directory",
        "s/in: Invalid argument",
        "moved",
        "empty",
        "full",
        "given",
        "s/fs/closed/g",
    ];
    assert_eq!(rest.get(..10).unwrap(), refused);
    assert_eq!(rest.get(10..).unwrap(), before);
    let is_the_owners = |line: &String| line.contains(" 45673 ");
    assert!(before.iter().all(is_the_owners), "{before:?}");
    let kept = std::fs::read(bench.source.join("s/closed/g")).unwrap();
    assert_eq!(kept, b"s/closed/g");
}
