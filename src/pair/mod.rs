//! Two files or directories on disk to everything in which they differ, without running anything:
//! bytes are compared first, and only what is not the same is looked into.

mod contents;
mod sides;

use std::path::{Path, PathBuf};

use crate::diff::{self, Judged};
use crate::explain::likely;
use crate::model::difference::{DIFFERENCES_SCHEMA, Difference, Differences, Sameness, Side};
use crate::model::{Element, Field, Snapshot, Value};
use crate::snapshot;
use contents::Contents;
use sides::Sides;

/// Why two things cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of them cannot be looked at.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// As it was named.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is neither a file nor a directory.
    #[error("{}: neither a file nor a directory; write what it gives into a file, and name that", path.display())]
    Special {
        /// As it was named.
        path: PathBuf,
    },
    /// One is a file, the other a directory.
    #[error("{} is a file and {} is a directory; name two of a kind", file.display(), directory.display())]
    Kinds {
        /// The file.
        file: PathBuf,
        /// The directory.
        directory: PathBuf,
    },
}

/// Compares two files or two directories; links to them are followed, links in them are not.
pub fn differences(first: &Path, second: &Path, judged: Judged) -> Result<Differences, Error> {
    let sides = Sides::new(first, second, judged)?;
    let snapshots = sides.unlike().map(snapshot::read);
    let [one, other] = &snapshots;
    let compared = diff::differences(one, other, judged);
    let mut differences = compared.differences;
    let mut problems = compared.problems;
    let contents = Contents::new(&sides, &compared.renamed);
    contents.add_evidence(&mut differences, &mut problems);
    for difference in &mut differences {
        difference.likely = likely(difference);
    }
    let unread = !sides.problems.is_empty() || snapshots.iter().any(has_errors);
    problems.extend(sides.problems.iter().cloned());
    let verdict = verdict(&differences, &compared.passes, unread);
    let [first, second] =
        [(first, one), (second, other)].map(|(path, snapshot)| side(path, snapshot, &sides));
    Ok(Differences {
        schema: DIFFERENCES_SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        verdict,
        first,
        second,
        files: sides.files,
        identical: sides.identical,
        passes: compared.passes,
        differences,
        members: compared.members,
        problems,
    })
}

fn verdict(differences: &[Difference], passes: &[String], unread: bool) -> Sameness {
    match (differences, passes) {
        ([], _) if unread => Sameness::Inconclusive,
        ([], _) => Sameness::Identical,
        (_, [_, ..]) if !unread => Sameness::EqualWhenNormalised,
        _ => Sameness::Different,
    }
}

fn has_errors(snapshot: &Snapshot) -> bool {
    let mut items = snapshot.elements.iter();
    items.any(|item| *item.field == snapshot::ERROR)
}

fn side(path: &Path, snapshot: &Snapshot, sides: &Sides) -> Side {
    let content = sides.name().map(|name| Element::new(name, Field::CONTENT));
    let sha256 = match content.and_then(|content| snapshot.elements.get(&content)) {
        Some(Value::Digest { sha256, .. }) => Some(sha256.clone()),
        _ => None,
    };
    Side {
        path: path.display().to_string(),
        size: sides.name().and_then(|_| Some(path.metadata().ok()?.len())),
        sha256,
    }
}
