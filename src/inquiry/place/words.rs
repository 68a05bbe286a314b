//! What a witness saw, in words.

use std::collections::BTreeMap;

use crate::model::{Process, Reading};

/// So many callers of a process are named.
const CALLERS: usize = 3;
/// Longer options are left out where a command line is too long: `-cf` tells what is done.
const OPTION: usize = 3;
/// Steps of a path that are shown.
const PATH: usize = 2;
/// Characters of a command line that are shown.
const LONGEST: usize = 60;

/// The processes of a log, by their number in it.
pub(super) fn processes(lines: &[Reading]) -> BTreeMap<usize, &Process> {
    let all = lines.iter().filter_map(|line| match line {
        Reading::Process(process) => Some((process.number, process)),
        Reading::Read { .. } => None,
    });
    all.collect()
}

/// A process and those that called it, nearest first, without the root, which is the build itself.
fn callers<'p>(
    process: &'p Process,
    processes: &BTreeMap<usize, &'p Process>,
) -> impl Iterator<Item = &'p Process> {
    let above = |process: &&'p Process| processes.get(&process.parent?).copied();
    let all = std::iter::successors(Some(process), above);
    let own = process.number;
    all.take_while(move |caller| caller.parent.is_some() || caller.number == own)
}

/// The arguments of a process and of those that called it, nearest first.
pub(super) fn chain(process: &Process, processes: &BTreeMap<usize, &Process>) -> Vec<Vec<String>> {
    let all = callers(process, processes);
    all.map(|process| process.arguments.clone()).collect()
}

/// A process with those that called it, nearest first, as far as they tell something.
pub(super) fn with_callers(process: &Process, processes: &BTreeMap<usize, &Process>) -> String {
    let line = command(process);
    let mut below = process;
    let mut told = Vec::new();
    for caller in callers(process, processes).skip(1) {
        if told.len() == CALLERS {
            break;
        }
        if !only_starts(caller, below) {
            told.push(command(caller));
            below = caller;
        }
    }
    match told.as_slice() {
        [] => format!("`{line}`"),
        callers => format!("`{line}`, called by `{}`,", callers.join("`, by `")),
    }
}

/// Whether a command line is that of another process with something before it, as those of shims and
/// wrappers are (`env bash .../pyenv-exec python3 setup.py`).
fn only_starts(caller: &Process, other: &Process) -> bool {
    let (arguments, others) = (&caller.arguments, &other.arguments);
    let Some(from) = arguments.len().checked_sub(others.len()) else {
        return false;
    };
    let mut pairs = arguments.iter().skip(from).zip(others).enumerate();
    !others.is_empty() && pairs.all(|(index, (a, b))| a == b || (index == 0 && last(a) == last(b)))
}

/// A command line short enough to be read: long paths by their last step, and where that is not
/// enough, without options.
fn command(process: &Process) -> String {
    let mut words: Vec<&str> = process
        .arguments
        .iter()
        .flat_map(|word| word.split_whitespace())
        .collect();
    match words.first_mut() {
        Some(first) => *first = last(first),
        None => words.push(last(&process.executable)),
    }
    let words: Vec<String> = words.into_iter().map(short).collect();
    let line = words.join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    // What find looks for, and what it does with it, stands in words that look like options.
    let all = process
        .arguments
        .first()
        .is_some_and(|first| last(first) == "find");
    let telling = |word: &str| all || !word.starts_with('-') || word.len() <= OPTION;
    let words = words
        .iter()
        .map(|word| Some(word.as_str()).filter(|word| telling(word)));
    let mut words: Vec<&str> = words.map(|word| word.unwrap_or("…")).collect();
    words.dedup_by(|word, before| *word == "…" && *before == "…");
    let line = words.join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST).collect();
    short.push('…');
    short
}

/// A word; of an absolute path of several steps, the last one.
fn short(word: &str) -> String {
    let path = word.starts_with('/') && word.matches('/').count() > PATH;
    match last(word) {
        name if path && !name.is_empty() => format!("…/{name}"),
        _ => word.to_owned(),
    }
}

/// The last step of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line about a process; its name is its number.
    pub(in super::super) fn process(
        number: usize,
        parent: Option<usize>,
        arguments: &[&str],
    ) -> Reading {
        Reading::Process(Process {
            number,
            parent,
            name: number as u64,
            executable: format!("/usr/bin/{}", arguments[0]),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            stack: None,
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

    #[test]
    fn shims_and_long_paths_are_told_by_what_they_start() {
        let script = ["setup.py", "sdist"];
        let with = |before: &[&'static str]| [before, &script].concat();
        let shim = "/home/ada/.pyenv/libexec/pyenv-exec";
        let lines = [
            process(0, None, &["sh", "-ec", "make"]),
            process(1, Some(0), &["make"]),
            process(
                2,
                Some(1),
                &with(&["bash", "/home/ada/.pyenv/shims/python3"]),
            ),
            process(3, Some(2), &with(&["env", "bash", shim, "python3"])),
            process(4, Some(3), &with(&["python3"])),
            process(5, Some(1), &["gcc", "-o", "a", "/build/of/a.c"]),
            process(
                6,
                Some(5),
                &[
                    "cc1",
                    "-quiet",
                    "/build/of/a.c",
                    "-dumpbase",
                    &"x".repeat(99),
                ],
            ),
        ];
        let all = processes(&lines);
        assert_eq!(
            with_callers(all[&4], &all),
            "`python3 setup.py sdist`, called by `make`,"
        );
        assert_eq!(chain(all[&4], &all).len(), 4);
        let find = [
            "find",
            ".",
            "-path",
            "./.git",
            "-prune",
            "-o",
            "-type",
            "f",
            "-exec",
            "sha256sum",
            "{}",
            "+",
        ];
        let Reading::Process(find) = process(0, None, &find) else {
            panic!()
        };
        assert_eq!(
            command(&find),
            "find . -path ./.git -prune -o -type f -exec sha256sum {} +"
        );
        let long = format!("cc1 … …/a.c … {}…", "x".repeat(46));
        assert_eq!(
            with_callers(all[&6], &all),
            format!("`{long}`, called by `gcc -o a …/a.c`, by `make`,")
        );
    }
}
