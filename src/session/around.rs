//! A remedy around a build: its command with what comes before and after it, in one shell.

use crate::model::{Build, Change, quoted};

/// The build with a remedy around it. `normalizer` is the program that normalises.
pub(super) fn around(change: &Change, build: &Build, normalizer: &str) -> Build {
    let mut changed = build.clone();
    changed.variables.extend(change.variables.clone());
    if change.before.is_empty() && change.normalized.is_empty() {
        return changed;
    }
    let mut script = change.before.join("\n");
    script.push_str("\n\"$@\"\n");
    if !change.normalized.is_empty() {
        let outputs = change.normalized.iter().map(|output| quoted(output));
        let outputs: Vec<String> = outputs.collect();
        let normalizer = quoted(normalizer);
        script.push_str(&[&normalizer, " normalize ", &outputs.join(" ")].concat());
    }
    let shell = ["sh", "-ec", &script, "sh"].map(str::to_owned);
    changed.command = shell.into_iter().chain(build.command.clone()).collect();
    changed
}
