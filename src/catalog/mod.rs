//! What can vary: variations read from TOML, one file each, and checked against each other so that
//! no two own the same slot. Values that depend on host, moment or seed stay picks here; the plan
//! resolves them. Files are read by whoever calls: this module sees text alone.

mod builtin;
mod check;
mod entry;
mod settings;
mod table;

use std::fmt;

pub use builtin::FILES;
pub use entry::{Entry, LevelEntry};
pub use settings::{Choice, Moment, Pick};
pub use table::{Node, Problem, Problems, Table, Value, nearest, parse as parse_toml, quoted};

/// All variations, in the order in which they are shown and planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    entries: Vec<Entry>,
}

/// The files that were read cannot make a catalogue: every mistake that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// A name that no variation has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct UnknownName {
    /// As it was given.
    pub name: String,
    /// The variation that was most likely meant.
    pub suggestion: Option<String>,
    /// All names there are.
    pub known: Vec<String>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no variation is named `{}`; ", self.name)?;
        match &self.suggestion {
            Some(name) => write!(f, "did you mean `{name}`?"),
            None => write!(f, "known are {}", quoted(&self.known)),
        }
    }
}

impl Catalog {
    /// The variations that reprobe ships.
    pub fn builtin() -> Result<Self, Invalid> {
        Self::parse(FILES)
    }

    /// The shipped variations and the user's own files, each a name for messages and its text. A
    /// file whose variation has the name of a shipped one takes its place.
    pub fn with_own<S: AsRef<str>>(files: &[(S, S)]) -> Result<Self, Invalid> {
        let mut problems = Vec::new();
        let own = read_all(files, &mut problems);
        let mut entries = Self::builtin()?.entries;
        for entry in &own {
            entries.retain(|shipped| shipped.name != entry.name);
        }
        entries.extend(own);
        Self::checked(entries, problems)
    }

    /// A catalogue of these files alone, in their order: a name for messages and the text of each.
    pub fn parse<S: AsRef<str>>(files: &[(S, S)]) -> Result<Self, Invalid> {
        let mut problems = Vec::new();
        let entries = read_all(files, &mut problems);
        Self::checked(entries, problems)
    }

    fn checked(entries: Vec<Entry>, mut problems: Vec<Problem>) -> Result<Self, Invalid> {
        problems.extend(check::check(&entries));
        if problems.is_empty() {
            return Ok(Self { entries });
        }
        problems.sort();
        problems.dedup();
        Err(Invalid(problems))
    }

    /// All variations, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The variation of this name or alias; `_` and `-` are the same.
    pub fn find(&self, name: &str) -> Result<&Entry, UnknownName> {
        let wanted = entry::normal(name);
        let found = self
            .entries
            .iter()
            .find(|entry| entry.names().any(|known| entry::normal(known) == wanted));
        found.ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> UnknownName {
        let names = self.entries.iter().flat_map(Entry::names);
        let near = nearest(name.trim_start_matches(['+', '-', '@']), names);
        let suggestion = near.and_then(|near| {
            let entry = self.entries.iter().find(|e| e.names().any(|n| n == near))?;
            Some(entry.name.clone())
        });
        UnknownName {
            name: name.to_owned(),
            suggestion,
            known: self.entries.iter().map(|e| e.name.clone()).collect(),
        }
    }
}

fn read_all<S: AsRef<str>>(files: &[(S, S)], problems: &mut Vec<Problem>) -> Vec<Entry> {
    files
        .iter()
        .filter_map(|(file, text)| entry::read(file.as_ref(), text.as_ref(), problems))
        .collect()
}
