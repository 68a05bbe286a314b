//! Settings in words, one line each, for whoever shows a plan.

use std::fmt::Write as _;

use crate::model::{
    Accounting, Clock, Cpus, DirectoryOrder, Inodes, Kernel, Level, Locale, Network, Randomness,
    Setting, Shell, SourceMode, SourceMtime, SourceOwner, Terminal, UserIdentity,
};

/// All settings of a level, with commas.
pub fn describe_level(level: &Level) -> String {
    let parts: Vec<_> = level.settings.iter().map(describe).collect();
    parts.join(", ")
}

/// One setting.
pub fn describe(setting: &Setting) -> String {
    match setting {
        Setting::Clock(clock) => describe_clock(*clock),
        Setting::Timezone(zone) => format!("TZ={zone}"),
        Setting::Locale(locale) => describe_locale(locale),
        Setting::Umask(umask) => format!("umask {umask:04o}"),
        Setting::BuildPath(path) => {
            let leaf = path.leaf.as_deref().unwrap_or("<its own name>");
            format!("{}/{leaf}", path.parent.display())
        }
        Setting::Hostname(name) => format!("host {name}"),
        Setting::Domain(name) => format!("domain {name}"),
        Setting::User(user) => describe_user(user),
        Setting::Home(path) => format!("HOME={}", path.display()),
        Setting::Variables(variables) if variables.is_empty() => "no extra variables".into(),
        Setting::Variables(variables) => {
            let parts: Vec<_> = variables.iter().map(|(k, v)| format!("{k}={v}")).collect();
            parts.join(" ")
        }
        Setting::ExecPath(paths) if paths.is_empty() => "PATH as given".into(),
        Setting::ExecPath(paths) => paths.iter().fold("PATH".into(), |mut text, path| {
            // Writing to a String cannot fail.
            let _ = write!(text, ":{}", path.display());
            text
        }),
        Setting::Shell(Shell::Host) => "/bin/sh as on the host".into(),
        Setting::Shell(Shell::Program { path }) => format!("/bin/sh is {}", path.display()),
        Setting::Terminal(terminal) => describe_terminal(terminal),
        Setting::DirectoryOrder(order) => describe_order(*order).into(),
        Setting::SourceMtime(mtime) => describe_mtime(*mtime),
        Setting::SourceMode(SourceMode::AsGiven) => "modes as given".into(),
        Setting::SourceMode(SourceMode::Checkout { umask }) => {
            format!("modes of a checkout under umask {umask:04o}")
        }
        Setting::SourceOwner(owner) => describe_owner(owner),
        Setting::Cpus(Cpus::All) => "all processors".into(),
        Setting::Cpus(Cpus::Count { count: 1 }) => "one processor".into(),
        Setting::Cpus(Cpus::Count { count }) => format!("{count} processors"),
        Setting::Kernel(kernel) => describe_kernel(kernel),
        Setting::RandomAddresses(true) => "random addresses".into(),
        Setting::RandomAddresses(false) => "fixed addresses".into(),
        Setting::LastPid(None) => "pids as the kernel counts".into(),
        Setting::LastPid(Some(pid)) => format!("pids after {pid}"),
        Setting::Randomness(Randomness::Host) => "the kernel's random bytes".into(),
        Setting::Randomness(Randomness::Seeded { seed }) => format!("random bytes of seed {seed}"),
        Setting::Inodes(Inodes::Host) => "inode numbers of the file system".into(),
        Setting::Inodes(Inodes::Numbered { key, accounting }) => {
            let counted = match accounting {
                Accounting::Blocks => "directories counted in blocks",
                Accounting::Names => "directories counted by names, a block more for each file",
            };
            format!("inode numbers of key {key}, {counted}")
        }
        Setting::Network(network) => describe_network(network),
    }
}

fn describe_clock(clock: Clock) -> String {
    let at = |start| {
        chrono::DateTime::from_timestamp(start, 0).map_or_else(
            || format!("@{start}"),
            |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
    };
    match clock {
        Clock::Host => "the host's clock".into(),
        Clock::Stepped { start } => format!("stepped from {}", at(start)),
        Clock::Creeping { start } => format!("creeping from {}", at(start)),
        Clock::Running { start } => format!("running from {}", at(start)),
    }
}

fn describe_locale(locale: &Locale) -> String {
    let mut text = format!("LANG={}", locale.lang);
    for (name, value) in [("LC_ALL", &locale.lc_all), ("LANGUAGE", &locale.language)] {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(text, " {name}={value}");
        }
    }
    if locale.compile.is_some() {
        text.push_str(" (compiled for the session)");
    }
    text
}

fn describe_user(user: &UserIdentity) -> String {
    match user {
        UserIdentity::Caller => "the caller".into(),
        UserIdentity::Other {
            uid,
            gid,
            name,
            group,
            ..
        } => format!("{name} ({uid}), group {group} ({gid})"),
    }
}

fn describe_terminal(terminal: &Terminal) -> String {
    let mut text = format!("TERM={}", terminal.term);
    if let Some(columns) = terminal.columns {
        // Writing to a String cannot fail.
        let _ = write!(text, " COLUMNS={columns}");
    }
    text.push_str(if terminal.tty {
        " on a terminal"
    } else {
        " without a terminal"
    });
    text
}

fn describe_order(order: DirectoryOrder) -> &'static str {
    match order {
        DirectoryOrder::Host => "the file system's order",
        DirectoryOrder::Keyed { reverse: false, .. } => "keyed order",
        DirectoryOrder::Keyed { reverse: true, .. } => "the reverse of that order",
    }
}

fn describe_mtime(mtime: SourceMtime) -> String {
    match mtime {
        SourceMtime::AsGiven => "source times as given".into(),
        SourceMtime::Shifted { seconds } => format!("source times shifted by {seconds} s"),
        SourceMtime::Equal { at } => format!("all source times @{at}"),
        SourceMtime::Reversed => "source times in reversed order".into(),
    }
}

fn describe_owner(owner: &SourceOwner) -> String {
    match owner {
        SourceOwner::AsGiven => "owners as given".into(),
        SourceOwner::Kept => "owners as given, whoever builds".into(),
        SourceOwner::Builder => "sources of who builds".into(),
        SourceOwner::Other {
            uid,
            gid,
            name,
            group,
        } => format!("sources of {name} ({uid}), group {group} ({gid})"),
    }
}

fn describe_kernel(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Host => "the host's kernel".into(),
        Kernel::Named { release, version } => format!("release {release}, version {version}"),
    }
}

fn describe_network(network: &Network) -> String {
    match network {
        Network::Loopback => "loopback alone".into(),
        Network::Host => "the host's network".into(),
        Network::Isolated {
            interface,
            addresses,
        } => format!("also {interface} with {}", addresses.join(" and ")),
    }
}
