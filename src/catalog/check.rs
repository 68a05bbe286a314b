//! What must hold between the levels of a variation and between variations, so that applying any
//! subset of them is commutative.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Setting, Slot};

use super::entry::{Entry, LevelEntry, normal};
use super::settings::Choice;
use super::table::Problem;

/// A part of the environment that one variation alone may fill: a slot, or one variable of the
/// slot that holds a set of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Slot(Slot),
    Variable(String),
}

/// All violations.
pub(super) fn check(entries: &[Entry]) -> Vec<Problem> {
    let mut problems = names(entries);
    problems.extend(owners(entries));
    for entry in entries {
        problems.extend(levels(entry));
    }
    problems
}

fn problem(entry: &Entry, line: Option<usize>, what: String) -> Problem {
    Problem {
        file: entry.file.clone(),
        line,
        what,
    }
}

fn names(entries: &[Entry]) -> Vec<Problem> {
    let mut seen: BTreeMap<String, &Entry> = BTreeMap::new();
    let mut problems = Vec::new();
    for entry in entries {
        let names: BTreeSet<_> = entry.names().map(normal).collect();
        for name in names {
            let what = if name == "all" {
                "the name `all` is reserved: it stands for every variation".to_owned()
            } else if name.is_empty() || !name.bytes().all(is_name_byte) {
                format!("the name `{name}` may hold letters, digits and `-` alone")
            } else if let Some(other) = seen.insert(name.clone(), entry) {
                format!("the name `{name}` is taken by {}", other.file)
            } else {
                continue;
            };
            problems.push(problem(entry, None, what));
        }
    }
    problems
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn owners(entries: &[Entry]) -> Vec<Problem> {
    let mut owner: BTreeMap<Part, &Entry> = BTreeMap::new();
    let mut problems = Vec::new();
    for entry in entries {
        let parts: BTreeSet<_> = entry.levels().flat_map(parts).collect();
        for part in parts {
            if let Some(other) = owner.insert(part.clone(), entry) {
                let part = match part {
                    Part::Slot(slot) => slot_name(slot),
                    Part::Variable(name) => format!("variable {name}"),
                };
                let what = format!(
                    "`{}` and `{}` both set the {part}: a variation of the name `{}` would take \
                     its place",
                    entry.name, other.name, other.name
                );
                problems.push(problem(entry, None, what));
            }
        }
    }
    problems
}

fn slot_name(slot: Slot) -> String {
    let name = serde_json::to_value(slot).ok();
    let name = name.as_ref().and_then(serde_json::Value::as_str);
    name.unwrap_or_default().replace('-', " ")
}

fn parts(level: &LevelEntry) -> Vec<Part> {
    let mut parts = Vec::new();
    for choice in &level.settings {
        match choice {
            Choice::Fixed(Setting::Variables(variables)) => {
                parts.extend(variables.keys().cloned().map(Part::Variable));
            }
            other => parts.push(Part::Slot(other.slot())),
        }
    }
    parts
}

fn levels(entry: &Entry) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |line, what| problems.push(problem(entry, line, what));
    if entry.varied.is_empty() {
        add(None, "no `[[varied]]` level: nothing would vary".to_owned());
    }
    if entry.weight == 0 {
        add(None, "`weight` must be at least 1".to_owned());
    }
    if let Some(opening) = &entry.opening
        && !entry.varied.iter().any(|level| level.name == *opening)
    {
        add(
            None,
            format!("`opening` names no varied level: `{opening}`"),
        );
    }
    let wanted = entry.control.slots();
    if wanted.is_empty() {
        add(
            Some(entry.control.line),
            "the control level sets nothing".to_owned(),
        );
    }
    // The control's, which is not, stands before the first.
    let pairs = entry.levels().zip(&entry.varied);
    let mut early = pairs.filter(|(before, level)| before.apart && !level.apart);
    if early.next().is_some() || entry.varied.first().is_some_and(|level| level.apart) {
        add(
            None,
            "levels with `apart` come last, after one without it".to_owned(),
        );
    }
    let mut names = BTreeSet::new();
    for level in entry.levels() {
        if !names.insert(level.name.as_str()) {
            let what = format!("two levels are named `{}`", level.name);
            add(Some(level.line), what);
        }
        if level.slots() != wanted {
            let what = format!(
                "level `{}` does not fill the slots that the control fills",
                level.name
            );
            add(Some(level.line), what);
        }
    }
    problems
}
