//! What can be chosen, and what is told about a file: classes, passes, times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The number of the canonical form: another encoder, or another rule, is another form.
pub const FORM: u32 = 1;

/// The time that members get where nobody says one: 1980-01-01 12:01:00 UTC, which is that day in every
/// time zone, and not before what zip files can tell. strip-nondeterminism takes the same.
pub const CONSTANT: i64 = 315_576_060;

/// The latest time that a tar header tells without a record.
pub const LATEST: i64 = 8_589_934_591;

/// What an archive is for, which decides what is content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Goes from hand to hand (release tarballs, sdists, wheels, jars): owners are nobody's, modes tell
    /// what is executable.
    Exchange,
    /// Becomes a system (packages, images, initramfs): owners and modes are content.
    System,
}

/// One kind of thing that is made canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// When members were changed: all at one time.
    Time,
    /// In which order they stand.
    Order,
    /// Whose they are: nobody's (exchange archives).
    Owner,
    /// What may be done with them: 755 or 644 (exchange archives).
    Mode,
    /// Records and extra fields that tell other times, numbers of files and their like.
    Extra,
    /// Which name of a hard link holds the content: the first.
    Links,
    /// What else is written in one of several ways: headers, padding, numbers.
    Form,
    /// How content is compressed.
    Compression,
}

impl Pass {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 8] = [
        Self::Time,
        Self::Order,
        Self::Owner,
        Self::Mode,
        Self::Extra,
        Self::Links,
        Self::Form,
        Self::Compression,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Order => "order",
            Self::Owner => "owner",
            Self::Mode => "mode",
            Self::Extra => "extra",
            Self::Links => "links",
            Self::Form => "form",
            Self::Compression => "compression",
        }
    }

    /// Whether `--keep` can leave it out.
    pub const fn can_be_kept(self) -> bool {
        !matches!(self, Self::Links | Self::Form)
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Exchange => "exchange archive",
            Self::System => "system image",
        })
    }
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the archive is for; where nobody says it, what it holds does.
    pub class: Option<Class>,
    /// The time of all members, in seconds since 1970. Without one, that of the first member that is
    /// read, so that an archive is canonical with any one time.
    pub time: Option<i64>,
    /// Passes that are left out.
    pub keep: BTreeSet<Pass>,
    /// Whether more than [`MEMBERS`], or what looks like a bomb, is worked on.
    pub large: bool,
}

impl Options {
    /// Whether a pass is left out.
    pub(super) fn keeps(&self, pass: Pass) -> bool {
        self.keep.contains(&pass)
    }
}

/// More members need to be asked for.
pub const MEMBERS: u64 = 2_000_000;

/// How many things each pass changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<Pass, u64>);

impl Changes {
    /// Counts one where something changed.
    pub(super) fn count(&mut self, pass: Pass, changed: bool) {
        if changed {
            *self.0.entry(pass).or_default() += 1;
        }
    }

    /// Passes that changed something, and how many things.
    pub fn iter(&self) -> impl Iterator<Item = (Pass, u64)> {
        self.0.iter().map(|(pass, count)| (*pass, *count))
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What was done with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What it is, outermost first: `gzip, tar`.
    pub formats: Vec<&'static str>,
    /// What it is for, where that decides anything.
    pub class: Option<Class>,
    /// The time of its members, in seconds since 1970, where they have one.
    pub time: Option<i64>,
    /// What changed.
    pub changes: Changes,
    /// What should be known about it.
    pub notes: Vec<String>,
}
