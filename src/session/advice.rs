//! What to say of a trial that failed, and what a control may have lacked in the sandbox, by what it
//! said.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Options, keep};
use crate::model::{Outcome, TrialId};
use crate::sandbox::{Sandbox, TrialReport};

/// How programs say that they cannot reach a host, in lower case: the C library's resolver and
/// connect(2), curl, git, cargo, wget, pip, apt, npm, Go, Java.
const UNREACHABLE: &[&str] = &[
    "name resolution",
    "name or service not known",
    "no address associated with hostname",
    "network is unreachable",
    "network unreachable",
    "no route to host",
    "resolve host",
    "temporary failure resolving",
    "could not connect to",
    "couldn't connect to",
    "failed to connect to",
    "unable to connect to",
    "failed to fetch",
    "spurious network error",
    "eai_again",
    "enotfound",
    "enetunreach",
    "dial tcp",
    "unknownhostexception",
    "unknown host",
];

/// What is no other host: who cannot reach these lacks something on this one.
const LOCAL: &[&str] = &[
    "display",
    "x server",
    "bus",
    "dbus",
    "daemon",
    "socket '/",
    "socket /",
    ".sock",
    "mir server",
    "wayland",
];

/// What takes powers that no build has in a trial, and how its refusal reads, in lower case.
const POWERS: &[&str] = &[
    "mount",
    "umount",
    "unshare",
    "losetup",
    "nsenter",
    "/dev/loop",
];
const REFUSED: &[&str] = &[
    "permission denied",
    "operation not permitted",
    "must be superuser",
];
/// How sandboxes of a build's own say that they were refused a /proc or a namespace of control groups.
const SANDBOXES: &[&str] = &[
    "no permissions to create new namespace",
    "creating new namespace failed",
    "can't mount proc",
];
/// How those say so that map more than one id.
const SEVERAL_IDS: &[&str] = &["newuidmap", "newgidmap", "setgroups"];
/// How debootstrap does that may not open the devices that it makes.
const DEVICES: &[&str] = &["mounted with noexec or nodev"];

/// How programs say that a file is not there, in lower case.
const MISSING: &[&str] = &[
    "no such file",
    "not found",
    "cannot find",
    "can't find",
    "can't cd to",
    "cannot open",
    "can't open",
    "does not exist",
    "failed to read",
    "no rule to make target",
];

/// Lines of a failed build's log that are shown.
const TAIL: usize = 15;
/// The same, of a build that a variation broke.
const SHORT_TAIL: usize = 5;

/// What to say of a trial that failed: how, the end of its log, and where the rest is.
pub(super) fn failure(
    options: &Options,
    id: TrialId,
    varied: &BTreeMap<String, String>,
    how: &str,
    report: &TrialReport,
    log: Option<&Path>,
    sandbox: &Sandbox,
) -> String {
    let mut text = if varied.is_empty() {
        format!("the unvaried build failed (trial {}): {how}", id.0)
    } else {
        let levels: Vec<String> = varied
            .iter()
            .map(|(name, level)| format!("{name}={level}"))
            .collect();
        format!("trial {} failed with {}: {how}", id.0, levels.join(" "))
    };
    if report.outcome == Outcome::TimedOut {
        text.push_str("\nGive it more with --timeout.");
    }
    let lines = if varied.is_empty() { TAIL } else { SHORT_TAIL };
    let tail = keep::tail(&report.log, lines);
    if tail.is_empty() {
        text.push_str("\nIt printed nothing.");
    } else {
        text.push_str("\nThe last lines of its log:\n");
        text.push_str(&tail);
    }
    if varied.is_empty() {
        let said = keep::tail(&report.log, usize::MAX);
        let source = &options.origin.source;
        let network = options.request.network;
        let hides = |path: &Path| sandbox.hides(path);
        let is_root = options.host.root;
        for advice in on(&said, source, &report.directory, network, is_root, hides) {
            text = format!("{text}\n{advice}");
        }
    }
    if let Some(log) = log {
        text = format!("{text}\nIts log: {}", log.display());
    }
    text
}

/// The advice on a log, one line each. `source` is the tree that the user named, `directory` the one
/// that the build ran in; `hides` tells what of the host no build sees.
fn on(
    log: &str,
    source: &Path,
    directory: &Path,
    network: bool,
    is_root: bool,
    hides: impl Fn(&Path) -> bool,
) -> Vec<String> {
    let mut advice = Vec::new();
    if let Some(path) = hidden(log, hides) {
        advice.push(format!(
            "Builds see an empty directory in the place of your home, and {path} is not in it: \
             --expose {path} shows it to them."
        ));
    } else if let Some(path) = beside(log, source, directory) {
        advice.push(outside(&path, source));
    }
    let mut lines = log.lines();
    if !network && lines.any(|line| says(line, UNREACHABLE) && !says(line, LOCAL)) {
        advice.push(
            "The network was closed to it: let --prepare COMMAND fetch what the build needs \
             first, or open it with --network."
                .to_owned(),
        );
    }
    advice.extend(powers(log, is_root).map(str::to_owned));
    advice
}

/// What to say where a build was refused a power that none has in a trial.
fn powers(log: &str, is_root: bool) -> Option<&'static str> {
    let any = |of: &[&str]| log.lines().any(|line| says(line, of));
    let refused = log
        .lines()
        .any(|line| says(line, POWERS) && says(line, REFUSED));
    if is_root && (any(SANDBOXES) || refused && any(&["proc"])) {
        Some(
            "As root, no build can mount a /proc in a trial, nor have a namespace of control groups, \
             in a sandbox of its own either (bwrap --proc, bwrap --unshare-all, unshare --mount-proc): \
             an ordinary user's can. Run reprobe as an ordinary user.",
        )
    } else if !is_root && any(SEVERAL_IDS) {
        Some(
            "A trial of an ordinary user has one user and one group: its builds cannot map several ids \
             (newuidmap, setgroups), as rootless containers do. Run reprobe as root.",
        )
    } else if any(DEVICES) {
        Some(
            "Devices that a build makes cannot be opened in a trial, as root neither: debootstrap \
             needs them, mmdebstrap --mode=root does not.",
        )
    } else if refused {
        Some(
            "No build can mount in a trial, nor can root: what has to can do so in a user namespace \
             of its own (unshare --user --map-root-user --mount COMMAND); docs/security.md lists what \
             else is refused.",
        )
    } else {
        None
    }
}

/// Whether a text says any of these; a word that only ends so (`FileNotFoundError`) says something
/// else.
fn says(text: &str, any: &[&str]) -> bool {
    let text = text.to_lowercase();
    let begins = |at: usize| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(char::is_alphanumeric)
    };
    any.iter()
        .any(|words| text.match_indices(words).any(|(at, _)| begins(at)))
}

/// A path that was missed, and is there on the host.
fn hidden(log: &str, hides: impl Fn(&Path) -> bool) -> Option<String> {
    let missed = log.lines().filter(|line| says(line, MISSING));
    let mut words = missed.flat_map(|line| line.split(ends_path));
    let found = words.find(|word| {
        let path = Path::new(word);
        path.is_absolute() && path.exists() && hides(path)
    });
    found.map(str::to_owned)
}

/// A path that was missed, and whose place is a directory above the source on the host.
fn beside(log: &str, source: &Path, directory: &Path) -> Option<String> {
    let missed = log.lines().filter(|line| says(line, MISSING));
    let words = missed.flat_map(|line| line.split(ends_path));
    let mut paths = words.filter(|word| word.contains('/'));
    let found = paths.find(|word| stands_outside(Path::new(word), source, directory));
    found.map(str::to_owned)
}

/// What may stand before or behind a path in a message.
fn ends_path(letter: char) -> bool {
    letter.is_whitespace() || "'\"`‘’“”:;,()[]<>=*".contains(letter)
}

/// Whether it leads out of the source, to what is there on the host.
fn stands_outside(path: &Path, source: &Path, directory: &Path) -> bool {
    let above: Vec<&Path> = source.ancestors().skip(1).collect();
    let exists = |above: &[&Path], below: &Path| {
        let first = below.components().next();
        let places = first.map(|first| above.iter().map(move |dir| dir.join(first)));
        let mut places = places.into_iter().flatten();
        places.any(|place| place.exists() && !source.starts_with(&place))
    };
    if path.is_absolute() {
        let path = without_dots(path);
        let below = directory
            .parent()
            .and_then(|dir| path.strip_prefix(dir).ok());
        let below = below.filter(|_| !path.starts_with(directory));
        return below.is_some_and(|below| exists(above.get(..1).unwrap_or_default(), below));
    }
    // The directory of whoever says it may lie below the source.
    let steps = path.components();
    let up = steps
        .take_while(|step| *step == Component::ParentDir)
        .count();
    let below: PathBuf = path.components().skip(up).collect();
    up > 0 && exists(above.get(..up.min(above.len())).unwrap_or_default(), &below)
}

/// The path with each `..` taken back.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for step in path.components() {
        match step {
            Component::ParentDir => drop(plain.pop()),
            step => plain.push(step),
        }
    }
    plain
}

fn outside(path: &str, source: &Path) -> String {
    let explained = format!(
        "In a trial, the directory above the source holds nothing but the source, and {path} is not \
         in it:"
    );
    let parent = source.parent().filter(|dir| dir.parent().is_some());
    match (parent, source.file_name()) {
        (Some(parent), Some(name)) => {
            let (parent, name) = (parent.display(), name.display());
            format!(
                "{explained} check that directory (reprobe check -o '{name}/PATTERN' {parent} -- \
                 'cd {name} && COMMAND')."
            )
        }
        _ => format!("{explained} bring it into the source tree."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wanted_to_mount_is_told_that_no_build_can() {
        for root in [true, false] {
            let on = |log| on(log, Path::new("/p"), Path::new("/b"), true, root, |_| false);
            let log = "mount: /b/x: permission denied.\n";
            assert!(on(log).concat().contains("unshare --user"));
            assert!(on("unshare: unshare failed: Operation not permitted\n").len() == 1);
            assert!(on("amounts: permission denied\n").is_empty());
            assert!(on("cp: permission denied\n").is_empty());
        }
    }

    #[test]
    fn what_a_sandbox_in_the_sandbox_cannot_have_is_told_with_the_way_out() {
        let said = |log, root| on(log, Path::new("/p"), Path::new("/b"), true, root, |_| false);
        let (root, other) = ("as an ordinary user.", "Run reprobe as root.");
        for (log, is_root, way) in [
            (
                "bwrap: No permissions to create new namespace, likely because\n",
                true,
                root,
            ),
            (
                "bwrap: Can't mount proc on /newroot/proc: Operation not permitted\n",
                true,
                root,
            ),
            (
                "unshare: mount /proc failed: Operation not permitted\n",
                true,
                root,
            ),
            (
                "newuidmap: write to uid_map failed: Operation not permitted\n",
                false,
                other,
            ),
            (
                "error writing \"allow\" to /proc/7/setgroups: operation not permitted\n",
                false,
                other,
            ),
            (
                "E: Cannot install into target '/b/t' mounted with noexec or nodev\n",
                true,
                "mmdebstrap",
            ),
        ] {
            assert!(said(log, is_root).concat().contains(way), "{log}");
        }
    }

    #[test]
    fn who_missed_a_file_of_the_home_is_told_how_to_show_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        let log = format!("cat: {path}: No such file or directory\n");
        let source = Path::new("/no/such");
        let on = |hides: bool| on(&log, source, Path::new("/b/such"), true, false, |_| hides);
        assert!(on(true).concat().contains(&format!("--expose {path} ")));
        assert!(on(false).is_empty());
    }

    #[test]
    fn the_network_is_spoken_of_where_the_build_missed_it() {
        let closed = |log: &str| {
            !on(
                log,
                Path::new("/s"),
                Path::new("/b/s"),
                false,
                false,
                |_| false,
            )
            .is_empty()
        };
        for log in [
            "curl: (6) Could not resolve host: example.org",
            "wget: unable to resolve host address 'example.org'",
            "fatal: unable to access 'https://x/': Could not resolve host: x",
            "warning: spurious network error (3 tries remaining): [6] Couldn't resolve host name",
            "npm ERR! request to https://x failed, reason: getaddrinfo EAI_AGAIN x",
            "go: x: Get \"https://x\": dial tcp: lookup x: no such host",
            "E: Failed to fetch http://x  Temporary failure resolving 'x'",
            "OSError: [Errno 101] Network is unreachable",
            "Caused by: java.net.UnknownHostException: x",
            "npm ERR! code ENOTFOUND",
            "ssh: Could not resolve hostname x: Name or service not known",
        ] {
            assert!(closed(log), "{log}");
        }
        for log in [
            "make: *** [x] Error 1",
            "network.c:1: error",
            "",
            "FileNotFoundError: [Errno 2] No such file or directory: 'x'",
            "ModuleNotFoundError: No module named 'x'",
            "_tkinter.TclError: couldn't connect to display \":0\"",
            "Failed to connect to bus: No such file or directory",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock",
        ] {
            assert!(!closed(log), "{log}");
        }
    }

    #[test]
    fn what_is_missed_above_the_source_is_named() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("app");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::create_dir_all(root.path().join("lib")).unwrap();
        let named = |log: &str| beside(log, &source, Path::new("/build/x"));
        for (log, path) in [
            (
                "a.c:1:10: fatal error: ../lib/a.h: No such file or directory",
                "../lib/a.h",
            ),
            (
                "cp: cannot stat '../../lib/*': No such file or directory",
                "../../lib/",
            ),
            (
                "make: *** No rule to make target '../lib/a', needed by 'x'.",
                "../lib/a",
            ),
            (
                "error: failed to read `/build/lib/Cargo.toml`",
                "/build/lib/Cargo.toml",
            ),
            (
                "No such file or directory: '/build/x/../lib/a'",
                "/build/x/../lib/a",
            ),
        ] {
            assert_eq!(named(log).as_deref(), Some(path), "{log}");
        }
        for log in [
            "cc -I../lib",
            "../nowhere/a: No such file or directory",
            "../app/a: No such file or directory",
            "lib/a: No such file or directory",
            "/build/x/lib/a: No such file or directory",
        ] {
            assert_eq!(named(log), None, "{log}");
        }
    }
}
