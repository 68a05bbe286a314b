//! `reprobe.toml`: what a project says about its own build, and the user's own variations beside
//! it. Read and checked as a whole, so that every mistake is named at once; what the command line
//! says wins over it, which is not decided here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use globset::{GlobBuilder, GlobMatcher};

use crate::catalog::{Invalid, Node, Problems, Table, Value, parse_toml};
use crate::model::{Checkout, Element};
use crate::snapshot::walk::sorted_entries;

use super::values;

/// The file's name.
pub const FILE: &str = "reprobe.toml";

/// What `reprobe.toml` says; what it leaves out is `None` or empty.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// There is such a file.
    pub found: bool,
    /// `build.command` as an argument vector; a string there is a shell line.
    pub command: Option<Vec<String>>,
    /// `build.outputs`.
    pub outputs: Option<Vec<String>>,
    /// `build.prepare`, a shell line.
    pub prepare: Option<String>,
    /// `build.network`.
    pub network: Option<bool>,
    /// `build.timeout`.
    pub timeout: Option<Duration>,
    /// `build.clean`.
    pub clean: Option<bool>,
    /// `build.checkout`: `decides` or `apart`.
    pub checkout: Option<Checkout>,
    /// `environment.set`.
    pub variables: BTreeMap<String, String>,
    /// `environment.pass`.
    pub pass: Vec<String>,
    /// `variations.only`.
    pub only: Option<Vec<String>>,
    /// `variations.skip`.
    pub skip: Vec<String>,
    /// `variations.require`; the word `all` stands for every one.
    pub require: Vec<String>,
    /// `[[known]]`, in the order of the file.
    pub known: Vec<KnownLimit>,
}

/// A difference that the project knows of and lives with.
#[derive(Debug, Clone)]
pub struct KnownLimit {
    /// The pattern of paths, as written: `dist/*.tar.gz!/**`.
    pub element: String,
    /// The field (`tar.mtime`); `None` for every one.
    pub field: Option<String>,
    /// Why it is so.
    pub reason: String,
    matcher: GlobMatcher,
}

impl KnownLimit {
    /// Whether it speaks of this element. A pattern that matches an archive covers what is in it.
    pub fn covers(&self, element: &Element) -> bool {
        let field = self.field.as_deref();
        let inside = element.path.match_indices("!/").map(|(end, _)| end);
        let mut whole = inside.chain([element.path.len()]);
        field.is_none_or(|field| field == element.field.as_str())
            && whole.any(|end| {
                let path = element.path.get(..end);
                path.is_some_and(|path| self.matcher.is_match(path))
            })
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What it says is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Reads `reprobe.toml` in `directory`; `None` where there is none.
pub fn read(directory: &Path) -> Result<Option<Config>, Error> {
    let path = directory.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => {
            let text = text(&path, bytes)?;
            Ok(Some(Config {
                found: true,
                ..parse(&path.display().to_string(), &text)?
            }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Read { path, error }),
    }
}

/// The user's own variations: the name and the text of each `*.toml` in `directory`, sorted.
pub fn variation_files(directory: &Path) -> Result<Vec<(String, String)>, Error> {
    let fail = |path: &Path, error| Error::Read {
        path: path.to_owned(),
        error,
    };
    let entries = sorted_entries(directory).map_err(|error| fail(directory, error))?;
    let mut files = Vec::new();
    for entry in entries {
        if entry.path.extension().is_some_and(|kind| kind == "toml") {
            let bytes = fs::read(&entry.path).map_err(|error| fail(&entry.path, error))?;
            let text = text(&entry.path, bytes)?;
            files.push((entry.path.display().to_string(), text));
        }
    }
    Ok(files)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let error = io::Error::new(io::ErrorKind::InvalidData, error.utf8_error());
        Error::Read {
            path: path.to_owned(),
            error,
        }
    })
}

/// Reads the text of a configuration; `file` names it in messages.
pub fn parse(file: &str, text: &str) -> Result<Config, Invalid> {
    let mut problems = Problems::new(file);
    let mut config = Config::default();
    if let Some(mut document) = parse_toml(text, &mut problems) {
        section(&mut document, "build", &mut problems, |table, problems| {
            build(table, &mut config, problems);
        });
        section(
            &mut document,
            "environment",
            &mut problems,
            |table, problems| {
                environment(table, &mut config, problems);
            },
        );
        section(
            &mut document,
            "variations",
            &mut problems,
            |table, problems| {
                variations(table, &mut config, problems);
            },
        );
        if let Some(node) = document.take("known") {
            let tables = node.tables("known", &mut problems).unwrap_or_default();
            let limits = tables.into_iter();
            config.known = limits
                .filter_map(|table| known(table, &mut problems))
                .collect();
        }
        document.finish("", &mut problems);
    }
    if problems.is_empty() {
        return Ok(config);
    }
    Err(Invalid(problems.into_list()))
}

/// Reads the table `key`, where there is one, to its last key.
fn section(
    document: &mut Table,
    key: &'static str,
    problems: &mut Problems,
    read: impl FnOnce(&mut Table, &mut Problems),
) {
    let table = document
        .take(key)
        .and_then(|node| node.table(key, problems));
    if let Some(mut table) = table {
        read(&mut table, problems);
        table.finish(&format!("in `[{key}]`"), problems);
    }
}

fn build(table: &mut Table, config: &mut Config, problems: &mut Problems) {
    config.command = table
        .take("command")
        .and_then(|node| command(node, problems));
    config.outputs = table
        .take("outputs")
        .and_then(|node| patterns(node, problems));
    config.prepare = table
        .take("prepare")
        .and_then(|node| node.text("prepare", problems));
    config.network = table
        .take("network")
        .and_then(|node| node.boolean("network", problems));
    config.clean = table
        .take("clean")
        .and_then(|node| node.boolean("clean", problems));
    config.checkout = table.take("checkout").and_then(|node| {
        let line = node.line;
        let text = node.text("checkout", problems)?;
        accepted(line, "checkout", values::checkout(&text), problems)
    });
    config.timeout = table.take("timeout").and_then(|node| {
        let line = node.line;
        let text = node.text("timeout", problems)?;
        accepted(line, "timeout", values::duration(&text), problems)
    });
}

fn command(node: Node, problems: &mut Problems) -> Option<Vec<String>> {
    let line = node.line;
    let words = match node.value {
        Value::Text(shell_line) => vec!["sh".into(), "-ec".into(), shell_line],
        Value::List(_) => node.texts("command", problems)?,
        other => {
            let what = format!(
                "`command` must be a string (a shell line) or an array (a program and its \
                 arguments); this is {}",
                other.kind()
            );
            problems.add(line, what);
            return None;
        }
    };
    if words.first().is_none_or(String::is_empty) || words.iter().all(|word| word.trim().is_empty())
    {
        problems.add(line, "`command` is empty");
        return None;
    }
    Some(words)
}

fn patterns(node: Node, problems: &mut Problems) -> Option<Vec<String>> {
    let line = node.line;
    let patterns = match node.value {
        Value::Text(pattern) => vec![pattern],
        _ => node.texts("outputs", problems)?,
    };
    if patterns.is_empty() {
        problems.add(
            line,
            "`outputs` is empty: leave it out to judge everything built",
        );
        return None;
    }
    patterns
        .into_iter()
        .map(|pattern| accepted(line, "outputs", values::glob(&pattern), problems))
        .collect()
}

fn accepted<T>(
    line: usize,
    key: &str,
    value: Result<T, String>,
    problems: &mut Problems,
) -> Option<T> {
    value
        .map_err(|reason| problems.add(line, format!("`{key}`: {reason}")))
        .ok()
}

fn environment(table: &mut Table, config: &mut Config, problems: &mut Problems) {
    if let Some(set) = table
        .take("set")
        .and_then(|node| node.table("set", problems))
    {
        for (name, line, node) in set.into_entries() {
            let name = accepted(line, "set", values::variable_name(&name), problems);
            if let Some(name) = name
                && let Some(value) = node.text(&name, problems)
            {
                config.variables.insert(name, value);
            }
        }
    }
    config.pass = names(table, "pass", values::variable_name, problems).unwrap_or_default();
}

fn variations(table: &mut Table, config: &mut Config, problems: &mut Problems) {
    config.only = names(table, "only", values::name, problems);
    config.skip = names(table, "skip", values::name, problems).unwrap_or_default();
    config.require = names(table, "require", values::name, problems).unwrap_or_default();
}

/// A string or an array of strings, each checked; `None` where the key is absent.
fn names(
    table: &mut Table,
    key: &'static str,
    check: fn(&str) -> Result<String, String>,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let node = table.take(key)?;
    let line = node.line;
    let words = match node.value {
        Value::Text(word) => vec![word],
        _ => node.texts(key, problems)?,
    };
    words
        .iter()
        .map(|word| accepted(line, key, check(word), problems))
        .collect()
}

fn known(mut table: Table, problems: &mut Problems) -> Option<KnownLimit> {
    let line = table.line;
    let element = table.require_text("element", problems);
    let field = table
        .take("field")
        .and_then(|node| node.text("field", problems));
    let reason = table.require_text("reason", problems);
    table.finish("in `[[known]]`", problems);
    let element = element?;
    let glob = GlobBuilder::new(&element)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| error.kind().to_string());
    let matcher = accepted(line, "element", glob, problems)?.compile_matcher();
    Some(KnownLimit {
        element,
        field,
        reason: reason?,
        matcher,
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::model::Field;

    fn refused(text: &str) -> String {
        parse(FILE, text).unwrap_err().to_string()
    }

    #[test]
    fn everything_that_a_project_can_say_is_read() {
        let config = parse(
            FILE,
            r#"
            [build]
            command = ["make", "dist"]
            outputs = ["*.tar.gz", "../*.deb"]
            prepare = "cargo fetch"
            network = true
            clean = true
            timeout = "1h30m"

            [environment]
            set = { SOURCE_DATE_EPOCH = "1700000000" }
            pass = ["LD_LIBRARY_PATH"]

            [variations]
            only = ["umask", "time"]
            skip = "user_group"
            require = "all"

            [[known]]
            element = "dist/*.whl"
            field = "zip.date"
            reason = "the packer stores the time"
            "#,
        )
        .unwrap();
        assert_eq!(config.command.unwrap(), ["make", "dist"]);
        assert_eq!(config.outputs.unwrap(), ["*.tar.gz", "../*.deb"]);
        assert_eq!(config.prepare.unwrap(), "cargo fetch");
        assert_eq!((config.network, config.clean), (Some(true), Some(true)));
        assert_eq!(config.timeout, Some(Duration::from_mins(90)));
        assert_eq!(config.variables["SOURCE_DATE_EPOCH"], "1700000000");
        assert_eq!(config.pass, ["LD_LIBRARY_PATH"]);
        assert_eq!(config.only.unwrap(), ["umask", "time"]);
        assert_eq!(config.skip, ["user_group"]);
        assert_eq!(config.require, ["all"]);
        assert_eq!(config.known.len(), 1);
    }

    #[test]
    fn a_string_is_a_shell_line() {
        let config = parse(FILE, "build.command = 'make && make dist'").unwrap();
        assert_eq!(config.command.unwrap(), ["sh", "-ec", "make && make dist"]);
        assert!(parse(FILE, "").unwrap().command.is_none());
    }

    #[test]
    fn a_known_limit_covers_what_is_inside_an_archive() {
        let limits = "[[known]]\nelement = 'dist/*.gz'\nreason = 'r'\n\
                      [[known]]\nelement = 'x.zip!/*'\nfield = 'zip.date'\nreason = 'r'\n";
        let known = parse(FILE, limits).unwrap().known;
        let covers = |index: usize, path: &str, field: &'static str| {
            known[index].covers(&Element::new(path, Field::new(field)))
        };
        assert!(covers(0, "dist/x.tar.gz!/x.tar!/a/b", "tar.mode"));
        assert!(!covers(0, "x.tar.gz", "content"));
        assert!(covers(1, "x.zip!/a", "zip.date"));
        assert!(!covers(1, "x.zip!/a", "content"));
        assert!(!covers(1, "x.zip", "zip.date"));
    }

    #[test]
    fn all_mistakes_are_named_with_their_lines_and_the_nearest_right_key() {
        let text = "\
[biuld]
[build]
comand = 'make'
outputs = ['a[']
timeout = 'soon'
network = 'no'
[environment]
set = { A = 1 }
[variations]
only = ['-umask']
[[known]]
elements = 'x'
";
        assert_snapshot!(refused(text), @r"
        reprobe.toml:1: unknown key `biuld`; did you mean `build`?
        reprobe.toml:3: unknown key `comand` in `[build]`; did you mean `command`?
        reprobe.toml:4: `outputs`: unclosed character class; missing ']'
        reprobe.toml:5: `timeout`: expected a time such as 90s, 10m or 1h30m
        reprobe.toml:6: `network` must be true or false; this is string
        reprobe.toml:8: `A` must be a string; this is integer
        reprobe.toml:10: `only`: names have no sign: vary all but 'umask' with --skip umask
        reprobe.toml:11: `element` is missing
        reprobe.toml:11: `reason` is missing
        reprobe.toml:12: unknown key `elements` in `[[known]]`; did you mean `element`?
        ");
        assert_snapshot!(refused("build.command = []"), @"reprobe.toml:1: `command` is empty");
        assert_snapshot!(refused("build.command = 5"), @"reprobe.toml:1: `command` must be a string (a shell line) or an array (a program and its arguments); this is integer");
        assert_snapshot!(refused("[build\n"), @"reprobe.toml:1: not TOML: unclosed table, expected `]`");
    }

    #[test]
    fn a_directory_without_the_file_has_no_configuration() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).unwrap().is_none());
        fs::write(directory.path().join(FILE), "build.command = 'x'").unwrap();
        assert!(read(directory.path()).unwrap().is_some());
        fs::write(directory.path().join(FILE), b"\xff").unwrap();
        assert!(matches!(read(directory.path()), Err(Error::Read { .. })));
    }

    #[test]
    fn variation_files_are_the_toml_files_in_order() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "README.md"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let files = variation_files(directory.path()).unwrap();
        let texts: Vec<_> = files.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["a.toml", "b.toml"]);
        assert!(variation_files(&directory.path().join("none")).is_err());
    }
}
