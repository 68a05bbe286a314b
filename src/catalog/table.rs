//! A TOML document that remembers its lines and which keys were asked for, so that a wrong key is
//! named together with its place and the nearest right one, and so that one reading finds all
//! mistakes. It knows nothing of what the keys mean.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One mistake in a TOML file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as it was named by whoever read it.
    pub file: String,
    /// The line, counted from 1; `None` for what concerns the file as a whole.
    pub line: Option<usize>,
    /// What is wrong and what would be right: a lowercase fragment.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// The mistakes of one file, as they are found.
#[derive(Debug)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// None so far.
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            list: Vec::new(),
        }
    }

    /// Adds one, at a line.
    pub fn add(&mut self, line: usize, what: impl Into<String>) {
        self.list.push(Problem {
            file: self.file.clone(),
            line: Some(line),
            what: what.into(),
        });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, by line.
    pub fn into_list(mut self) -> Vec<Problem> {
        self.list.sort();
        self.list
    }
}

/// A value and its line.
#[derive(Debug, Clone)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// What stands there.
    pub value: Value,
}

/// A TOML value, reduced to what a configuration needs.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer, and the base in which it was written.
    Integer(i64, u32),
    /// `true` or `false`.
    Bool(bool),
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(Table),
    /// What no key takes: a float or a date.
    Other(&'static str),
}

/// A table whose keys are taken one by one; what is left in the end is unknown.
#[derive(Debug, Clone)]
pub struct Table {
    /// Where it begins, counted from 1.
    pub line: usize,
    entries: BTreeMap<String, (usize, Node)>,
    known: Vec<&'static str>,
}

/// Reads a document. Where it is no TOML, the one problem is what the parser says.
pub fn parse(text: &str, problems: &mut Problems) -> Option<Table> {
    match DeTable::parse(text) {
        Ok(table) => Some(convert_table(1, text, table.into_inner())),
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            problems.add(line, format!("not TOML: {}", error.message()));
            None
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

fn convert_table(line: usize, text: &str, table: DeTable<'_>) -> Table {
    let entries = table
        .into_iter()
        .map(|(key, value)| {
            let line = line_of(text, key.span().start);
            (key.into_inner().into_owned(), (line, convert(text, value)))
        })
        .collect();
    Table {
        line,
        entries,
        known: Vec::new(),
    }
}

fn convert(text: &str, value: Spanned<DeValue<'_>>) -> Node {
    let line = line_of(text, value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("integer out of range"), |value| {
                Value::Integer(value, number.radix())
            }),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Array(array) => {
            Value::List(array.into_iter().map(|item| convert(text, item)).collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(line, text, table)),
        other @ (DeValue::Float(_) | DeValue::Datetime(_)) => Value::Other(other.type_str()),
    };
    Node { line, value }
}

impl Value {
    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Integer(..) => "integer",
            Self::Bool(_) => "boolean",
            Self::List(_) => "array",
            Self::Table(_) => "table",
            Self::Other(kind) => kind,
        }
    }
}

impl Node {
    /// The text, or a problem that names `key`.
    pub fn text(self, key: &str, problems: &mut Problems) -> Option<String> {
        match self.value {
            Value::Text(text) => Some(text),
            other => wrong(self.line, key, "a string", &other, problems),
        }
    }

    /// `true` or `false`, or a problem that names `key`.
    pub fn boolean(self, key: &str, problems: &mut Problems) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            other => wrong(self.line, key, "true or false", &other, problems),
        }
    }

    /// An integer of the wanted width, or a problem that names `key`.
    pub fn integer<T: TryFrom<i64>>(self, key: &str, problems: &mut Problems) -> Option<T> {
        match self.value {
            Value::Integer(value, _) => {
                let value = T::try_from(value).ok();
                if value.is_none() {
                    problems.add(self.line, format!("`{key}` is out of range"));
                }
                value
            }
            other => wrong(self.line, key, "an integer", &other, problems),
        }
    }

    /// Permission bits written in octal: `0o022`; a decimal `22` would be another mask.
    pub fn octal(self, key: &str, problems: &mut Problems) -> Option<u32> {
        match self.value {
            Value::Integer(value @ 0..=0o777, 8) => u32::try_from(value).ok(),
            other => wrong(self.line, key, "octal, for example 0o022", &other, problems),
        }
    }

    /// The items, or a problem that names `key`.
    pub fn list(self, key: &str, problems: &mut Problems) -> Option<Vec<Node>> {
        match self.value {
            Value::List(items) => Some(items),
            other => wrong(self.line, key, "an array", &other, problems),
        }
    }

    /// An array of strings, or a problem that names `key`.
    pub fn texts(self, key: &str, problems: &mut Problems) -> Option<Vec<String>> {
        let items = self.list(key, problems)?;
        items
            .into_iter()
            .map(|item| item.text(key, problems))
            .collect()
    }

    /// The table, or a problem that names `key`.
    pub fn table(self, key: &str, problems: &mut Problems) -> Option<Table> {
        match self.value {
            Value::Table(table) => Some(table),
            other => wrong(self.line, key, "a table", &other, problems),
        }
    }

    /// An array of tables, or a problem that names `key`.
    pub fn tables(self, key: &str, problems: &mut Problems) -> Option<Vec<Table>> {
        let items = self.list(key, problems)?;
        items
            .into_iter()
            .map(|item| item.table(key, problems))
            .collect()
    }
}

fn wrong<T>(
    line: usize,
    key: &str,
    wanted: &str,
    found: &Value,
    problems: &mut Problems,
) -> Option<T> {
    let found = match found {
        Value::Integer(..) if wanted.starts_with("octal") => "not octal, or above 0o777",
        other => other.kind(),
    };
    problems.add(line, format!("`{key}` must be {wanted}; this is {found}"));
    None
}

impl Table {
    /// Takes the value of `key`, which is thereby known.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        self.entries.remove(key).map(|(_, node)| node)
    }

    /// Takes the value of `key`; its absence is a problem.
    pub fn require(&mut self, key: &'static str, problems: &mut Problems) -> Option<Node> {
        let node = self.take(key);
        if node.is_none() {
            problems.add(self.line, format!("`{key}` is missing"));
        }
        node
    }

    /// Takes a string that must be there.
    pub fn require_text(&mut self, key: &'static str, problems: &mut Problems) -> Option<String> {
        self.require(key, problems)?.text(key, problems)
    }

    /// Takes an array of strings; absent means empty.
    pub fn texts(&mut self, key: &'static str, problems: &mut Problems) -> Vec<String> {
        self.take(key)
            .and_then(|node| node.texts(key, problems))
            .unwrap_or_default()
    }

    /// All remaining entries with their lines: for tables whose keys are free.
    pub fn into_entries(self) -> impl Iterator<Item = (String, usize, Node)> {
        self.entries
            .into_iter()
            .map(|(key, (line, node))| (key, line, node))
    }

    /// Ends the reading: every key that nobody asked for is a problem. `place` says where the
    /// table stands, for example "in `[control]`", or nothing.
    pub fn finish(self, place: &str, problems: &mut Problems) {
        let Self { entries, known, .. } = self;
        for (key, (line, _)) in entries {
            let space = if place.is_empty() { "" } else { " " };
            let hint = match nearest(&key, known.iter().copied()) {
                Some(right) => format!("; did you mean `{right}`?"),
                None => format!("; known are {}", quoted(&known)),
            };
            problems.add(line, format!("unknown key `{key}`{space}{place}{hint}"));
        }
    }
}

/// The names in backquotes, with commas.
pub fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The candidate that somebody who wrote `word` most likely meant; none when nothing is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('_', "-");
    let limit = (word.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let extends =
            word.len() >= 3 && (candidate.starts_with(&word) || word.starts_with(candidate));
        let distance = if extends {
            1
        } else {
            strsim::osa_distance(&word, &candidate.replace('_', "-"))
        };
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_across_typos_underscores_and_abbreviations() {
        let names = ["umask", "build-path", "timezone", "time"];
        assert_eq!(nearest("umsk", names), Some("umask"));
        assert_eq!(nearest("Build_Pat", names), Some("build-path"));
        assert_eq!(nearest("buildpath", names), Some("build-path"));
        assert_eq!(nearest("tz", names), None);
        assert_eq!(nearest("xylophone", names), None);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_right_one() {
        let mut problems = Problems::new("a.toml");
        let mut table = parse("name = 'x'\n\nsumary = 'y'\nzzz = 1\n", &mut problems).unwrap();
        table.take("name");
        table.take("summary");
        table.finish("", &mut problems);
        let text: Vec<_> = problems
            .into_list()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            text,
            [
                "a.toml:3: unknown key `sumary`; did you mean `summary`?",
                "a.toml:4: unknown key `zzz`; known are `name`, `summary`",
            ]
        );
    }

    #[test]
    fn text_that_is_no_toml_is_one_problem_at_its_line() {
        let mut problems = Problems::new("a.toml");
        assert!(parse("a = 1\nb =\n", &mut problems).is_none());
        let list = problems.into_list();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].line, Some(2));
    }
}
