//! What a build asks of the machine that no trial varies: the processor's own instructions, and what
//! the kernel tells of processor and memory.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use serde::{Deserialize, Serialize};

use super::engine::Event;
use super::tracee::{Memory, Tracees, lock};
use crate::model::Process;

/// Files below `/proc` that tell of the machine.
const TELLING: [&str; 2] = ["cpuinfo", "meminfo"];
/// Options that ask for the processor of the machine: gcc's and clang's, ...
const COMPILER: [&str; 3] = ["-march=native", "-mtune=native", "-mcpu=native"];
/// ... and rustc's, behind `-C` or by itself.
const RUSTC: &str = "target-cpu=native";

/// What no trial varies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Unvaried {
    /// A compiler was asked for code for the processor of this machine.
    NativeCode {
        /// The program's name.
        program: String,
        /// The option.
        option: String,
    },
    /// A file that tells of the machine was opened.
    Opened {
        /// Its path.
        path: String,
    },
    /// A `/proc` of its own was mounted: the trial's is told apart from the kernel's by what is
    /// mounted over it.
    OwnProc,
}

/// Who asks for code for the processor of this machine.
pub(super) fn native(processes: &[Process]) -> BTreeSet<Unvaried> {
    let asks = |process: &Process| {
        let (program, options) = process.arguments.split_first()?;
        let option = options.iter().find(|option| is_native(option))?;
        let name = program.rsplit('/').next().unwrap_or(program);
        Some(Unvaried::NativeCode {
            program: name.to_owned(),
            option: option.clone(),
        })
    };
    processes.iter().filter_map(asks).collect()
}

fn is_native(option: &str) -> bool {
    let of_rustc = option
        .trim_start_matches("-C")
        .trim_start_matches("--codegen=");
    COMPILER.contains(&option) || of_rustc == RUSTC
}

/// Notices who opens what tells of the machine: `inotify(7)`, which costs a build nothing.
#[derive(Debug, Default)]
pub(super) struct Watch {
    watched: Mutex<Option<Watched>>,
    own_proc: AtomicBool,
}

#[derive(Debug)]
struct Watched {
    inotify: Inotify,
    files: BTreeMap<WatchDescriptor, String>,
}

impl Watch {
    /// The build begins, with this thread; what was opened before was the sandbox's doing.
    pub(super) fn begin(&self, tracees: &Tracees, tid: u32) {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        // Without it nothing is noticed, and nothing else is lost.
        let Ok(inotify) = Inotify::init(flags) else {
            return;
        };
        let mut files = BTreeMap::new();
        for name in TELLING {
            let path = format!("/proc/{name}");
            let Ok(file) = tracees.open_proc(&format!("{tid}/root{path}"), OFlag::O_PATH) else {
                continue;
            };
            let link = format!("/proc/self/fd/{}", file.as_raw_fd());
            if let Ok(watch) = inotify.add_watch(link.as_str(), AddWatchFlags::IN_OPEN) {
                files.insert(watch, path);
            }
        }
        *lock(&self.watched) = Some(Watched { inotify, files });
    }

    /// A file system is about to be mounted; which argument names its kind.
    pub(super) fn mounts(&self, event: &Event, kind: usize) {
        let address = event.args.get(kind).copied().unwrap_or_default();
        // A call without a kind moves or binds what is there.
        let kind = Memory(event.tid).path(address);
        if kind.is_ok_and(|kind| kind.to_bytes() == b"proc") {
            self.own_proc.store(true, Ordering::Relaxed);
        }
    }

    /// What was opened and mounted since the build began.
    pub(super) fn seen(&self) -> BTreeSet<Unvaried> {
        let mut opened = BTreeSet::new();
        if self.own_proc.load(Ordering::Relaxed) {
            opened.insert(Unvaried::OwnProc);
        }
        let watched = lock(&self.watched);
        let Some(Watched { inotify, files }) = watched.as_ref() else {
            return opened;
        };
        // Until it says that there is no more.
        while let Ok(events) = inotify.read_events() {
            // The end of the trial's own `/proc` is told as well.
            let opens = events.iter();
            let opens = opens.filter(|event| event.mask.contains(AddWatchFlags::IN_OPEN));
            let paths = opens.filter_map(|event| files.get(&event.wd));
            opened.extend(paths.map(|path| Unvaried::Opened { path: path.clone() }));
        }
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_native_code_is_told_from_who_only_hands_it_on() {
        let asked = |arguments: &[&str]| {
            let process = Process {
                number: 0,
                parent: None,
                name: 0,
                executable: String::new(),
                arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
                stack: None,
            };
            let found = native(&[process]).pop_first();
            found.map(|found| match found {
                Unvaried::NativeCode { program, option } => format!("{program} {option}"),
                Unvaried::Opened { path } => path,
                Unvaried::OwnProc => String::new(),
            })
        };
        for (arguments, said) in [
            (
                &["/usr/bin/gcc", "-O2", "-march=native"][..],
                "gcc -march=native",
            ),
            (&["clang", "-mcpu=native", "x.c"], "clang -mcpu=native"),
            (
                &["rustc", "-C", "target-cpu=native"],
                "rustc target-cpu=native",
            ),
            (
                &["rustc", "-Ctarget-cpu=native"],
                "rustc -Ctarget-cpu=native",
            ),
        ] {
            assert_eq!(asked(arguments).as_deref(), Some(said));
        }
        for arguments in [
            &["sh", "-c", "gcc -march=native x.c"][..],
            &["make", "CFLAGS=-march=native"],
            &["gcc", "-march=x86-64"],
            &[],
        ] {
            assert_eq!(asked(arguments), None);
        }
    }
}
