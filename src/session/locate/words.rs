//! What a witness saw, in words.

use std::collections::BTreeMap;

use crate::sandbox::supervisor::{Line, Process};

/// So many callers of a process are named.
const CALLERS: usize = 3;
/// Characters of a command line that are shown.
const LONGEST: usize = 60;

/// The processes of a log, by their number in it.
pub(super) fn processes(lines: &[Line]) -> BTreeMap<usize, &Process> {
    let all = lines.iter().filter_map(|line| match line {
        Line::Process(process) => Some((process.number, process)),
        Line::Read { .. } => None,
    });
    all.collect()
}

/// A process with those that called it, nearest first.
pub(super) fn with_callers(process: &Process, processes: &BTreeMap<usize, &Process>) -> String {
    let mut callers = Vec::new();
    let mut above = process.parent.and_then(|parent| processes.get(&parent));
    // The root is the build itself.
    while let Some((caller, parent)) = above.and_then(|caller| Some((caller, caller.parent?))) {
        if callers.len() == CALLERS {
            break;
        }
        callers.push(command(caller));
        above = processes.get(&parent);
    }
    let line = command(process);
    match callers.as_slice() {
        [] => format!("`{line}`"),
        callers => format!("`{line}`, called by `{}`,", callers.join("`, by `")),
    }
}

/// A command line short enough to be read.
fn command(process: &Process) -> String {
    let program = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut words: Vec<String> = process.arguments.clone();
    match words.first_mut() {
        Some(first) => *first = program(first),
        None => words.push(program(&process.executable)),
    }
    let line = words
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST).collect();
    short.push('…');
    short
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line about a process; its name is its number.
    pub(in super::super) fn process(
        number: usize,
        parent: Option<usize>,
        arguments: &[&str],
    ) -> Line {
        Line::Process(Process {
            number,
            parent,
            name: number as u64,
            executable: format!("/usr/bin/{}", arguments[0]),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        })
    }

    #[test]
    fn a_process_is_told_with_its_callers_and_without_the_build_itself() {
        let lines = [
            process(0, None, &["sh", "-ec", "make"]),
            process(1, Some(0), &["/usr/bin/make"]),
            process(2, Some(1), &["cc", "-c", "a.c"]),
            process(3, Some(2), &["cc1", &"x".repeat(99)]),
        ];
        let all = processes(&lines);
        let said: Vec<String> = all.values().map(|p| with_callers(p, &all)).collect();
        let long = format!("cc1 {}…", "x".repeat(56));
        assert_eq!(
            said,
            [
                "`sh -ec make`".to_owned(),
                "`make`".to_owned(),
                "`cc -c a.c`, called by `make`,".to_owned(),
                format!("`{long}`, called by `cc -c a.c`, by `make`,"),
            ]
        );
    }
}
