//! Elements: the smallest things that can differ between two trials and have a name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::elements::Elements;

/// A file, a member of an archive, or a named field of one.
///
/// `path` is the output's path relative to the build directory (or as the glob left it), with `!/`
/// before each step into an archive: `dist/x.tar.gz!/x.tar!/x-1.0/setup.py`. Bytes that are not
/// UTF-8 are escaped (see [`escape_bytes`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Element {
    /// Where it is; shared by the elements of one path.
    pub path: Arc<str>,
    /// Which aspect of it.
    pub field: Field,
}

/// The name of an aspect: `content`, `presence`, `mode`, `link-target`, or one of a format,
/// `tar.mode`, `gzip.mtime`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Field(Cow<'static, str>);

/// What an element was in one trial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// SHA-256 of the bytes, and their number.
    Digest {
        /// In hexadecimal.
        sha256: String,
        /// Length in bytes.
        size: u64,
    },
    /// A number or a short text, as a person would write it.
    Text(String),
    /// Names in the order in which an archive holds them.
    Order(Vec<String>),
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The value.
    pub value: Value,
    /// Offset in bytes within the innermost stream that holds the field: the tar stream for
    /// `tar.mode`, the file for `gzip.mtime`.
    pub offset: Option<u64>,
}

/// What a build made: every element of its outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The outputs, by path: whether each decides the verdict.
    pub outputs: BTreeMap<String, bool>,
    /// Outputs that are sources of which the build changed the mode or the modification time alone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub touched: BTreeSet<String>,
    /// All elements, those of the outputs themselves and those inside them.
    pub elements: Elements,
    /// What contents have in common with others (the smallest hashes of what is in them), by path,
    /// where the name may hold a digest: contents whose names have changed are found again by it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sketches: BTreeMap<String, Vec<u32>>,
    /// Files and members that have other names than in the control, by their path there. What is
    /// written down of a trial has its own names, and none of these.
    #[serde(skip)]
    pub renamed: BTreeMap<String, Renamed>,
    /// What could not be read in full, in words, by the path it concerns.
    pub problems: BTreeSet<(String, String)>,
    /// Where there is no output at all: what the globs match among the files that the build left
    /// as they were, in the order of their paths, at most a handful.
    #[serde(default)]
    pub near_misses: BTreeSet<String>,
    /// Where there is no output at all: what the build created or changed instead.
    #[serde(default)]
    pub made: Made,
}

/// A file, member or directory that is called otherwise than in the control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// Its path under its own name.
    pub path: String,
    /// Its names, where these count: what is given to the content of a compressed file follows from
    /// the name of the file.
    pub names: Option<Names>,
}

/// Two names of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The path of the element whose field `name` this is: for a directory that is no element, the
    /// first one in it.
    pub element: String,
    /// In the control.
    pub control: String,
    /// In this snapshot.
    pub own: String,
}

/// What a build created or changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// A handful of paths: products before intermediates.
    pub first: Vec<String>,
    /// How many there are in all.
    pub count: usize,
}

/// Ends the name of a field that holds the memory addresses of another one.
const ADDRESSES: &str = ".addresses";

impl Field {
    /// Whether a path exists at all.
    pub const PRESENCE: Self = Self::new("presence");
    /// The bytes of a file or member.
    pub const CONTENT: Self = Self::new("content");
    /// Permission bits of an output on disk.
    pub const MODE: Self = Self::new("mode");
    /// Where a symbolic link of the output tree points.
    pub const LINK_TARGET: Self = Self::new("link-target");
    /// How something is called whose name holds a digest or a random part.
    pub const NAME: Self = Self::new("name");
    /// What kind of file an output is.
    pub const KIND: Self = Self::new("kind");

    /// A field whose name is known at compile time.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A field whose name is known only from the bytes, for example `tar.pax.SCHILY.dev`.
    pub fn named(name: String) -> Self {
        Self(Cow::Owned(name))
    }

    /// Whether it holds the memory addresses of another field.
    pub fn is_addresses(&self) -> bool {
        self.0.ends_with(ADDRESSES)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Modes, owners and times of the output files themselves: recorded, but only `--metadata`
    /// makes them count.
    pub fn is_metadata(&self) -> bool {
        *self == Self::MODE
    }
}

impl From<&str> for Field {
    fn from(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Element {
    /// The element `field` of `path`.
    pub fn new(path: impl Into<Arc<str>>, field: Field) -> Self {
        Self {
            path: path.into(),
            field,
        }
    }

    /// The memory addresses within it, where they are told apart from the rest.
    #[must_use]
    pub fn addresses(&self) -> Self {
        let field = Field::named(format!("{}{ADDRESSES}", self.field));
        Self::new(Arc::clone(&self.path), field)
    }

    /// The output that the element belongs to.
    pub fn output(&self) -> &str {
        output_of(&self.path)
    }
}

/// The output that a path belongs to: the path itself, or the outermost archive around it.
pub fn output_of(path: &str) -> &str {
    path.split_once("!/").map_or(path, |(output, _)| output)
}

/// What a trial calls the path that the control calls `path`, by [`Snapshot::renamed`].
pub fn own_path<'p>(renamed: &BTreeMap<String, Renamed>, path: &'p str) -> Cow<'p, str> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    let ends = ends
        .flat_map(|at| [at, at.saturating_sub(1)])
        .chain([path.len()]);
    let mut found: Vec<(usize, &Renamed)> = ends
        .filter_map(|end| Some((end, renamed.get(path.get(..end)?)?)))
        .collect();
    found.sort_by_key(|(end, _)| *end);
    match found.last() {
        Some((end, renamed)) => {
            let rest = path.get(*end..).unwrap_or_default();
            Cow::Owned(format!("{}{rest}", renamed.path))
        }
        None => Cow::Borrowed(path),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest { sha256, size } => write!(f, "sha256:{sha256} ({size} bytes)"),
            Self::Text(text) => f.write_str(text),
            Self::Order(names) => f.write_str(&names.join(" ")),
        }
    }
}

/// Bytes as text: what is not UTF-8 becomes `\xNN`, and so does a backslash that stands before an
/// `x`, so that two different names never look alike.
pub fn escape_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace("\\x", "\\x5cx"));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The name of a file or member as part of an element's path: escaped as [`escape_bytes`] does, and
/// so that it never holds the `!/` which marks a step into an archive.
pub fn escape_name(bytes: &[u8]) -> String {
    escape_bytes(bytes).replace("!/", "\\x21/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf8_are_escaped_without_collisions() {
        assert_eq!(escape_bytes(b"caf\xe9"), "caf\\xe9");
        assert_eq!(escape_bytes("café".as_bytes()), "café");
        assert_ne!(escape_bytes(b"a\xe9"), escape_bytes(b"a\\xe9"));
    }

    #[test]
    fn a_directory_whose_name_ends_in_an_exclamation_mark_is_no_archive() {
        let element = Element::new(escape_name(b"wow!/x"), Field::CONTENT);
        assert_eq!(element.output(), "wow\\x21/x");
    }

    #[test]
    fn an_element_inside_an_archive_belongs_to_the_outermost_file() {
        let element = Element::new("dist/x.tar.gz!/x.tar!/setup.py", Field::CONTENT);
        assert_eq!(element.output(), "dist/x.tar.gz");
    }
}
