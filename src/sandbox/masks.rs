//! Files of the system that say something else inside a trial: the user database, the host's name,
//! the processors, the shell.

use std::path::{Path, PathBuf};

use super::layout::{Inputs, MONOTONIC_START};
use super::op::SetupOp;
use super::{cpus, identity};
use crate::model::{Clock, Cpus, Environment, Kernel, Need, Network, Shell};

/// Appends the steps; returns the paths that root's own copy of the system has changed by them.
pub(super) fn ops(inputs: &Inputs<'_>, ops: &mut Vec<SetupOp>) -> Vec<PathBuf> {
    let environment = inputs.environment;
    let (passwd, group) = identity::databases(inputs.host, environment);
    let mut texts = vec![("/etc/passwd", passwd), ("/etc/group", group)];
    if !inputs.capabilities.missing.contains_key(&Need::HostName) {
        texts.push(("/etc/hosts", hosts(environment, &inputs.host.hosts)));
        texts.push(("/etc/hostname", format!("{}\n", environment.hostname)));
        texts.push(("/etc/mailname", format!("{}\n", full_name(environment))));
    }
    let mut ours = Vec::new();
    for (at, text) in texts {
        let at = PathBuf::from(at);
        // Where a mount covers the file, as containers have it, only a mount changes it.
        let mounted = inputs.host.mounts.iter().any(|mount| mount.at == at);
        if inputs.capabilities.root && !mounted {
            if at.exists() {
                ours.push(at.clone());
                ops.push(SetupOp::Rewrite { at, text });
            }
        } else {
            ops.push(SetupOp::Mask { at, text });
        }
    }
    if let Shell::Program { path } = &environment.shell
        && !inputs.capabilities.missing.contains_key(&Need::SecondShell)
    {
        shell_ops(path, ops);
    }
    if let Cpus::Count { count } = environment.cpus {
        cpu_ops(inputs, count, ops);
    }
    stat_op(inputs, ops);
    // Nobody needs the password for a registry who cannot reach it.
    if environment.network != Network::Host {
        ops.extend(inputs.passed.secrets().map(|at| SetupOp::Mask {
            at,
            text: String::new(),
        }));
    }
    ours
}

/// The files that repeat what `uname` says; below what keeps the kernel's own from being written.
pub(super) fn kernel_words(kernel: &Kernel) -> Vec<SetupOp> {
    let Kernel::Named { release, version } = kernel else {
        return Vec::new();
    };
    let whole = format!("Linux version {release} (build@reprobe) (gcc, ld) {version}\n");
    [
        ("/proc/version", whole),
        ("/proc/sys/kernel/osrelease", format!("{release}\n")),
        ("/proc/sys/kernel/version", format!("{version}\n")),
    ]
    .into_iter()
    .map(|(at, text)| SetupOp::Mask {
        at: at.into(),
        text,
    })
    .collect()
}

/// `/bin/sh` and `/usr/bin/sh`, which are the same where `/bin` is a link.
fn shell_ops(program: &Path, ops: &mut Vec<SetupOp>) {
    let mut places: Vec<PathBuf> = ["/bin", "/usr/bin"]
        .iter()
        .filter_map(|dir| Path::new(dir).canonicalize().ok())
        .map(|dir| dir.join("sh"))
        .filter(|sh| sh.symlink_metadata().is_ok())
        .collect();
    places.dedup();
    ops.extend(places.into_iter().map(|at| SetupOp::Replace {
        at,
        program: program.to_owned(),
    }));
}

fn cpu_ops(inputs: &Inputs<'_>, count: u32, ops: &mut Vec<SetupOp>) {
    let chosen = cpus::first(&inputs.host.cpus, count);
    let list = cpus::list(&chosen);
    let mut mask = |at: &str, text: String| {
        ops.push(SetupOp::Mask {
            at: at.into(),
            text,
        });
    };
    mask(
        "/proc/cpuinfo",
        cpus::of_cpuinfo(&read("/proc/cpuinfo"), &chosen),
    );
    for name in ["online", "possible", "present"] {
        mask(
            &format!("/sys/devices/system/cpu/{name}"),
            format!("{list}\n"),
        );
    }
}

/// `/proc/stat` tells of the processors, and by `btime` of the real-time clock.
fn stat_op(inputs: &Inputs<'_>, ops: &mut Vec<SetupOp>) {
    let environment = inputs.environment;
    let held = !inputs.capabilities.missing.contains_key(&Need::ClockHook);
    let start = match environment.clock {
        Clock::Stepped { start } | Clock::Creeping { start } | Clock::Running { start } if held => {
            Some(start)
        }
        _ => None,
    };
    let chosen = match environment.cpus {
        Cpus::Count { count } => Some(cpus::first(&inputs.host.cpus, count)),
        Cpus::All => None,
    };
    if start.is_none() && chosen.is_none() {
        return;
    }
    let mut text = read("/proc/stat");
    if let Some(chosen) = chosen {
        text = cpus::of_stat(&text, &chosen);
    }
    if let Some(start) = start {
        text = with_boot_time(&text, start.saturating_sub(MONOTONIC_START));
    }
    ops.push(SetupOp::Mask {
        at: "/proc/stat".into(),
        text,
    });
}

fn with_boot_time(text: &str, time: i64) -> String {
    text.lines()
        .map(|line| match line.strip_prefix("btime ") {
            Some(_) => format!("btime {time}\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

fn read(path: &str) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn has_domain(environment: &Environment) -> bool {
    !environment.domain.is_empty() && environment.domain != "(none)"
}

fn full_name(environment: &Environment) -> String {
    if has_domain(environment) {
        format!("{}.{}", environment.hostname, environment.domain)
    } else {
        environment.hostname.clone()
    }
}

fn hosts(environment: &Environment, of_host: &str) -> String {
    let name = &environment.hostname;
    let names = if has_domain(environment) {
        format!("{} {name}", full_name(environment))
    } else {
        name.clone()
    };
    let own = format!(
        "127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n"
    );
    if environment.network == Network::Host {
        // An open network may need the names that the host knows.
        own + of_host
    } else {
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_boot_time_is_changed() {
        assert_eq!(
            with_boot_time("cpu 1\nbtime 5\nx 6\n", 7),
            "cpu 1\nbtime 7\nx 6\n"
        );
    }

    #[test]
    fn the_full_name_comes_first_so_that_it_is_the_canonical_one() {
        let mut environment = Environment {
            hostname: "h".into(),
            domain: "d.example".into(),
            ..Environment::default()
        };
        assert!(hosts(&environment, "1.2.3.4 x\n").contains("127.0.1.1 h.d.example h\n"));
        assert!(!hosts(&environment, "1.2.3.4 x\n").contains("1.2.3.4"));
        environment.domain = "(none)".into();
        assert!(hosts(&environment, "").contains("127.0.1.1 h\n"));
    }
}
