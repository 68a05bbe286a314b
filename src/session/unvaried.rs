//! Notes on what the control asked of the machine that no trial varies: "reproducible" says nothing of
//! it.

use crate::sandbox::TrialReport;
use crate::sandbox::supervisor::Unvaried;

/// What a reader should know, a sentence each.
pub(super) fn notes(control: &TrialReport, is_root: bool) -> Vec<String> {
    let found = control.supervisor.iter().flat_map(|found| &found.unvaried);
    let mut native: Vec<String> = Vec::new();
    let mut opened: Vec<&str> = Vec::new();
    let mut own_proc = false;
    for one in found {
        match one {
            Unvaried::NativeCode { program, option } => {
                native.push(format!("`{program} {option}`"));
            }
            Unvaried::Opened { path } => opened.push(path),
            Unvaried::OwnProc => own_proc = true,
        }
    }
    let mut notes = Vec::new();
    if !native.is_empty() {
        notes.push(format!(
            "the build asks for code for the processor of this machine ({}), which is not varied here: \
             on another one the outputs may differ; name a processor instead, as -march=x86-64-v2",
            native.join(", ")
        ));
    }
    if !opened.is_empty() {
        notes.push(format!(
            "the build reads {}: what kind of processor it has and how much memory is not varied here, \
             and nothing is known about outputs that depend on it",
            opened.join(" and ")
        ));
    }
    // Root's builds are refused one.
    if own_proc && !is_root {
        notes.push(
            "the build mounts a /proc of its own (a sandbox in the sandbox): what it shows of processors, \
             of the kernel and of the time of the boot is this machine's in every build, so that `cpus`, \
             `kernel` and `time` are not tested there"
                .into(),
        );
    }
    notes
}
