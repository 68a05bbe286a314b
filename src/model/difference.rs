//! What `reprobe diff` says of two files or directories: the object that its `--json` writes, schema
//! `reprobe.differences/1`.
//!
//! Within `/1` fields may be added; none changes its meaning. `schema/differences-1.json` is the JSON
//! Schema of the same object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The schema's name and version.
pub const DIFFERENCES_SCHEMA: &str = "reprobe.differences/1";

/// Everything in which two files or directories differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// [`DIFFERENCES_SCHEMA`].
    pub schema: String,
    /// The version of reprobe.
    pub tool_version: String,
    /// The answer.
    pub verdict: Sameness,
    /// What was compared.
    pub first: Side,
    /// With what.
    pub second: Side,
    /// How many files and links were compared, those of one name in both as one; directories are not
    /// counted.
    pub files: u64,
    /// How many of these are the same byte for byte.
    pub identical: u64,
    /// The passes of a normaliser that remove everything that differs, by name: both were normalised,
    /// and became one. Empty elsewhere.
    pub passes: Vec<String>,
    /// Why `reprobe normalize` does not make them one, though all that differs is what a normaliser
    /// sets; null elsewhere.
    pub not_normalised: Option<String>,
    /// All differing elements, by path and field.
    pub differences: Vec<Difference>,
    /// How many members each archive has in the first, by the archive's path, where something in it
    /// differs.
    pub members: BTreeMap<String, u64>,
    /// What could not be read in full.
    pub problems: Vec<Problem>,
}

/// How much two things are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sameness {
    /// Byte for byte.
    Identical,
    /// All that differs is what a normaliser sets: times, order, owners, encoding.
    EqualWhenNormalised,
    /// Something else differs.
    Different,
    /// Nothing differs in what could be read, and something could not be read.
    Inconclusive,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// As it was named on the command line.
    pub path: String,
    /// Bytes of a file; null for a directory.
    pub size: Option<u64>,
    /// SHA-256 of a file in hexadecimal; null for a directory, and where both are the same, which
    /// are compared without it.
    pub sha256: Option<String>,
}

/// One element that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The element's path, with `!/` before each step into an archive.
    pub element: String,
    /// Its field.
    pub field: String,
    /// Where the field stands in the innermost stream of the first, in bytes.
    pub offset: Option<u64>,
    /// The two values.
    pub values: Both<Option<String>>,
    /// Where contents part; null where the values say it all, or the contents were not looked into.
    pub evidence: Option<Evidence>,
    /// The pass of a normaliser that removes this difference.
    pub removed_by: Option<String>,
    /// What it is likely due to, the likeliest first. Guessed from the bytes: nothing was built.
    pub likely: Vec<Likely>,
}

/// What is so in the first, and in the second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Both<T> {
    /// In the first.
    pub first: T,
    /// In the second.
    pub second: T,
}

/// A variation that makes such differences.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Likely {
    /// Its name, as `reprobe check --only` takes it.
    pub variation: String,
    /// What in the bytes points to it.
    pub because: String,
}

/// Something that could not be read in full.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The element's path.
    pub element: String,
    /// In words.
    pub text: String,
    /// In which of the two.
    pub side: Which,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The first.
    First,
    /// The second.
    Second,
    /// Both alike.
    Both,
}

/// Where two contents part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evidence {
    /// Both are text.
    Lines {
        /// Where lines differ, in their order.
        hunks: Vec<Hunk>,
        /// Further hunks, which are not listed.
        more: u64,
    },
    /// Both are programs, libraries or objects.
    Sections {
        /// The sections that differ, in the order of the first.
        sections: Vec<Section>,
    },
    /// Anything else.
    Bytes {
        /// Where bytes differ, in their order.
        ranges: Vec<Range>,
        /// Further ranges, which are not listed.
        more: u64,
        /// Differing bytes in all, of the listed ranges and the others.
        differing: Both<u64>,
    },
}

/// Lines that stand in the place of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// The number of the first of these lines, from 1; where there is none, of the line behind.
    pub line: Both<u64>,
    /// The lines, without their ends.
    pub lines: Both<Vec<String>>,
    /// How many lines there are besides those that are listed.
    pub more: Both<u64>,
}

/// A section of a program that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its name; `outside of sections` for the rest of the file.
    pub name: String,
    /// Its bytes; null where there is no such section.
    pub size: Both<Option<u64>>,
    /// Strings that only one of the two has, at most a handful.
    pub strings: Both<Vec<String>>,
    /// Where its bytes differ, counted from its start.
    pub ranges: Vec<Range>,
    /// Further ranges, which are not listed.
    pub more: u64,
}

/// Bytes that stand in the place of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Where they begin.
    pub offset: Both<u64>,
    /// How many there are.
    pub length: Both<u64>,
    /// The first of them, in hexadecimal.
    pub bytes: Both<String>,
}

impl<T> Both<T> {
    /// The same, made of each.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Both<U> {
        Both {
            first: make(self.first),
            second: make(self.second),
        }
    }

    /// The two together.
    pub fn as_ref(&self) -> Both<&T> {
        Both {
            first: &self.first,
            second: &self.second,
        }
    }
}
