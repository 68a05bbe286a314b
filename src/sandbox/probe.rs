//! What this host allows, found out by running a throw-away trial with everything in it, and again
//! without what failed: what is missing here fails in a real trial at the same step.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::answers::{Answers, FAR, OWNER, QUESTIONS, RELEASE};
use super::apply::MAP_STEP;
use super::error::{Error, SUPERVISE_STEP, StepError};
use super::host::{Host, refuses_uppers, sorted_names};
use super::init::TERMINAL_STEP;
use super::lacking::{missing, name_of, unanswered};
use super::namespaces::NAMESPACES_STEP;
use super::op::{Limits, SetupOp};
use super::protocol::Ending;
use super::scratch::Scratch;
use super::session::{Sandbox, SessionOptions};
use super::trial::TrialSpec;
use super::variables::Passed;
use crate::model::{
    Accounting, Build, Capabilities, Clock, Cpus, DirectoryOrder, Environment, Inodes, Kernel,
    Missing, Need, Network, OutputSelection, Randomness, Shell, SourceOwner, Terminal,
    UserIdentity,
};

/// Needs that only a trial in namespaces can meet.
const OF_NAMESPACES: [Need; 7] = [
    Need::Mounts,
    Need::OtherUser,
    Need::HostName,
    Need::Pids,
    Need::PrivateNetwork,
    Need::SecondShell,
    Need::MonotonicClocks,
];

/// Needs that only the supervisor of system calls can meet.
const OF_SUPERVISOR: [Need; 8] = [
    Need::Supervisor,
    Need::ClockHook,
    Need::FileTimes,
    Need::DirectoryEntries,
    Need::RandomBytes,
    Need::KernelNames,
    Need::InodeNumbers,
    Need::SourceOwners,
];

/// Looks what this host allows. `program` plays the roles of [`super::role`], `scratch` is where
/// sessions will keep their files.
pub fn probe(program: &Path, scratch: &Path) -> Result<Capabilities, Error> {
    let host = Host::read()?;
    let mut capabilities = facts(&host);
    let dir = Scratch::new(&std::env::temp_dir())?;
    let prober = Prober {
        program: program.to_owned(),
        scratch: dir.dir().join("scratch"),
        source: dir.dir().join("source"),
        host: &host,
    };
    let source = &prober.source;
    fs::create_dir(source).map_err(Error::file("make", source))?;
    for name in ["a", "b", "c"] {
        let path = source.join(name);
        fs::write(&path, "").map_err(Error::file("write", &path))?;
    }
    prober.find_missing(&mut capabilities)?;
    add_notes(&host, scratch, &mut capabilities);
    Ok(capabilities)
}

fn facts(host: &Host) -> Capabilities {
    let uname = nix::sys::utsname::uname();
    let kernel = uname.map_or_else(
        |_| "unknown".to_owned(),
        |name| {
            [name.sysname(), name.release(), name.machine()]
                .map(|part| part.to_string_lossy().into_owned())
                .join(" ")
        },
    );
    let mut capabilities = Capabilities {
        kernel,
        root: host.uid == 0,
        caller: (host.uid, host.gid),
        cpus: u32::try_from(host.cpus.len()).unwrap_or(u32::MAX),
        locales: installed_locales(),
        locale_sources: locale_sources(),
        shells: shells(),
        missing: BTreeMap::new(),
        notes: Vec::new(),
    };
    let shells = capabilities.shells.len();
    let zones = Path::new("/usr/share/zoneinfo").is_dir();
    let mut lack = |need, what: &str, reason: &str, hint: &str| {
        capabilities
            .missing
            .insert(need, missing(what, reason, hint));
    };
    if host.cpus.len() < 2 {
        let reason = "the caller may use one processor alone";
        lack(
            Need::Affinity,
            "a second processor",
            reason,
            "run it on a host with more",
        );
    }
    if shells < 2 {
        let reason = "none of dash, bash, mksh, ksh, yash, zsh is installed beside /bin/sh";
        lack(
            Need::SecondShell,
            "a second shell",
            reason,
            "install bash or dash",
        );
    }
    if !zones {
        let reason = "/usr/share/zoneinfo does not exist";
        lack(Need::TimeZones, "time zones", reason, "install tzdata");
    }
    capabilities
}

fn installed_locales() -> Vec<String> {
    let listed = Command::new("locale")
        .arg("-a")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = listed.map(|output| output.stdout).unwrap_or_default();
    let mut locales: Vec<String> = String::from_utf8_lossy(&text)
        .lines()
        .map(str::to_owned)
        .collect();
    locales.sort();
    locales
}

/// `localedef` needs the sources and the character maps.
fn locale_sources() -> Vec<String> {
    let works = Command::new("localedef")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let maps = Path::new("/usr/share/i18n/charmaps");
    let map = ["UTF-8", "UTF-8.gz"]
        .iter()
        .any(|name| maps.join(name).exists());
    if !works || !map {
        return Vec::new();
    }
    sorted_names(Path::new("/usr/share/i18n/locales"))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.contains('_'))
        .collect()
}

/// What /bin/sh is now, then the others.
fn shells() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in [
        "/bin/sh",
        "/bin/dash",
        "/bin/bash",
        "/bin/mksh",
        "/bin/ksh",
        "/usr/bin/yash",
        "/bin/zsh",
    ] {
        if let Ok(path) = Path::new(path).canonicalize()
            && !found.contains(&path)
        {
            found.push(path);
        }
    }
    found
}

fn add_notes(host: &Host, scratch: &Path, capabilities: &mut Capabilities) {
    let existing = scratch.ancestors().find(|dir| dir.is_dir());
    if let Some(kind) = existing.and_then(refuses_uppers) {
        capabilities.notes.push(missing(
            "scratch space on a disk",
            &format!(
                "{} is on {kind}, so what builds write goes into memory",
                scratch.display()
            ),
            "set TMPDIR to a directory on ext4, xfs, btrfs or tmpfs",
        ));
    }
    let passed = Passed::collect(host);
    for note in &passed.notes {
        capabilities.notes.push(missing("a cold cache", note, ""));
    }
    if let Some(note) = passed.hidden(capabilities) {
        let note = missing("the programs of PATH", note, "");
        capabilities.notes.push(note);
    }
}

struct Prober<'a> {
    program: PathBuf,
    scratch: PathBuf,
    source: PathBuf,
    host: &'a Host,
}

impl Prober<'_> {
    fn find_missing(&self, capabilities: &mut Capabilities) -> Result<(), Error> {
        // Each round learns of one more thing, so there are no more rounds than needs.
        for _ in 0..20 {
            let environment = self.environment(capabilities);
            match self.attempt(capabilities, environment)? {
                Attempt::Refused(op, error) => Self::learn(op.as_ref(), &error, capabilities),
                Attempt::Ran(_) => break,
            }
        }
        if !capabilities.missing.contains_key(&Need::Supervisor) {
            self.look_at_answers(capabilities)?;
        }
        Ok(())
    }

    /// Whether the supervisor's answers arrive in a build: two builds are asked that differ in
    /// their inode numbers and the order of directories, but not in clock, kernel and random bytes.
    fn look_at_answers(&self, capabilities: &mut Capabilities) -> Result<(), Error> {
        let mut said = Vec::new();
        for reverse in [false, true] {
            let mut environment = self.environment(capabilities);
            environment.terminal.tty = false;
            environment.clock = Clock::Stepped { start: FAR };
            environment.randomness = Randomness::Seeded { seed: 1 };
            environment.directory_order = DirectoryOrder::Keyed { key: 0, reverse };
            environment.source_owner = SourceOwner::Other {
                uid: OWNER,
                gid: OWNER,
                name: "probe-owner".into(),
                group: "probe-owner".into(),
            };
            environment.inodes = Inodes::Numbered {
                key: u64::from(reverse),
                accounting: Accounting::default(),
            };
            environment.kernel = Kernel::Named {
                release: RELEASE.into(),
                version: "#1 probe".into(),
            };
            match self.attempt(capabilities, environment)? {
                Attempt::Ran(text) => said.push(Answers::new(&text)),
                Attempt::Refused(op, error) => {
                    Self::learn(op.as_ref(), &error, capabilities);
                    return Ok(());
                }
            }
        }
        if let [one, other] = said.as_slice() {
            for (need, works) in one.arrived(other) {
                if !works {
                    let missing = unanswered(need, capabilities);
                    capabilities.missing.insert(need, missing);
                }
            }
        }
        Ok(())
    }

    fn attempt(
        &self,
        capabilities: &Capabilities,
        environment: Environment,
    ) -> Result<Attempt, Error> {
        let sandbox = Sandbox::new(SessionOptions {
            exposed: Vec::new(),
            scratch: self.scratch.clone(),
            source: self.source.clone(),
            capabilities: capabilities.clone(),
            program: self.program.clone(),
            limits: Limits::default(),
            interrupt: None,
            cache: None,
        })?;
        let spec = TrialSpec {
            environment,
            build: Build {
                command: ["sh", "-c", QUESTIONS].map(str::to_owned).to_vec(),
                source: self.source.clone(),
                outputs: OutputSelection::Tree,
                variables: BTreeMap::new(),
            },
            timeout: Duration::from_secs(20),
            keep_outputs: None,
            log: None,
            focus: None,
        };
        let (reply, request) = sandbox.attempt(&spec)?;
        Ok(if let Ending::Refused { op, error } = reply.ending {
            let op = op.and_then(|number| request.ops.get(number).cloned());
            Attempt::Refused(op, error)
        } else {
            let text = fs::read(&request.log).unwrap_or_default();
            Attempt::Ran(String::from_utf8_lossy(&text).into_owned())
        })
    }

    /// Everything that a variation may ask for and that is not known to be missing.
    fn environment(&self, capabilities: &Capabilities) -> Environment {
        let has = |need: Need| !capabilities.missing.contains_key(&need);
        let mut environment = Environment {
            random_addresses: false,
            cpus: Cpus::Count { count: 1 },
            last_pid: Some(4000),
            network: Network::Isolated {
                interface: "probe0".into(),
                addresses: vec!["10.99.0.1/24".into()],
            },
            terminal: Terminal {
                term: "dumb".into(),
                columns: Some(80),
                tty: has(Need::Terminals),
            },
            directory_order: DirectoryOrder::Keyed {
                key: 0,
                reverse: false,
            },
            ..Environment::default()
        };
        if has(Need::OtherUser) {
            let id = if self.host.uid == 4242 { 4243 } else { 4242 };
            environment.user = UserIdentity::Other {
                uid: id,
                gid: id,
                name: "probe".into(),
                group: "probe".into(),
                gecos: String::new(),
                login_shell: "/bin/sh".into(),
            };
        }
        if let (true, Some(path)) = (has(Need::SecondShell), capabilities.shells.get(1)) {
            environment.shell = Shell::Program { path: path.clone() };
        }
        environment
    }

    /// Writes down what a refused step means.
    fn learn(op: Option<&SetupOp>, error: &StepError, capabilities: &mut Capabilities) {
        let lacks = |need: Need| capabilities.missing.contains_key(&need);
        let need = match op {
            Some(SetupOp::Names { .. }) => Need::HostName,
            Some(SetupOp::Loopback | SetupOp::Interface { .. }) => Need::PrivateNetwork,
            Some(SetupOp::MonotonicClocks { .. }) => Need::MonotonicClocks,
            Some(SetupOp::LastPid { .. }) => Need::Pids,
            Some(SetupOp::Affinity { .. }) => Need::Affinity,
            Some(SetupOp::FixedAddresses) => Need::FixedAddresses,
            Some(SetupOp::Replace { .. }) => Need::SecondShell,
            _ if error.step == SUPERVISE_STEP => Need::Supervisor,
            _ if error.step == TERMINAL_STEP => Need::Terminals,
            _ if error.step.starts_with(MAP_STEP) => Need::OtherUser,
            // Some kinds of namespaces may be forbidden alone.
            _ if error.step == NAMESPACES_STEP && !lacks(Need::PrivateNetwork) => {
                Need::PrivateNetwork
            }
            _ if error.step == NAMESPACES_STEP && !lacks(Need::HostName) => Need::HostName,
            _ => Need::Mounts,
        };
        if need == Need::Mounts && capabilities.root {
            // Root without the power to mount may still make a user namespace.
            capabilities.root = false;
            capabilities
                .missing
                .retain(|need, _| !OF_NAMESPACES.contains(need));
            return;
        }
        let reason = Missing {
            what: name_of(need).to_owned(),
            reason: format!("{}: {}", error.step, error.errno().desc()),
            hint: error.hint.clone(),
        };
        if need == Need::Mounts {
            for need in OF_NAMESPACES {
                capabilities.missing.insert(need, reason.clone());
            }
            capabilities.root = nix::unistd::geteuid().is_root();
        } else if need == Need::Supervisor {
            for need in OF_SUPERVISOR {
                capabilities.missing.insert(need, reason.clone());
            }
        } else {
            capabilities.missing.insert(need, reason);
        }
    }
}

enum Attempt {
    /// And this is what it said.
    Ran(String),
    /// By this step.
    Refused(Option<SetupOp>, StepError),
}
