//! Two files or directories on disk to everything in which they differ, without running anything:
//! bytes are compared first, and only what is not the same is looked into.

mod contents;
mod normalised;
mod sides;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::diff::{self, Judged};
use crate::explain::likely;
use crate::model::difference::{DIFFERENCES_SCHEMA, Difference, Differences, Sameness, Side};
use crate::model::{Element, Field, Snapshot, Value, escape_bytes, output_of};
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
    let unread: BTreeSet<String> = snapshots.iter().flat_map(unread).collect();
    let mut differences = compared.differences;
    // Nothing is known of what could be read of one of the two alone.
    differences.retain(|difference| !unread.contains(output_of(&difference.element)));
    let mut problems = compared.problems;
    let contents = Contents::new(&sides, &compared.renamed);
    contents.add_evidence(&mut differences, &mut problems);
    for difference in &mut differences {
        difference.likely = likely(difference);
    }
    if !sides.devices.is_empty() {
        differences.extend(sides.devices.iter().cloned());
        differences
            .sort_by(|one, other| (&one.element, &one.field).cmp(&(&other.element, &other.field)));
    }
    // A file that changes meanwhile: not the same, and nothing to show.
    let unexplained = differences.is_empty() && sides.identical < sides.files;
    let incomplete = !sides.problems.is_empty() || !unread.is_empty() || unexplained;
    problems.extend(sides.problems.iter().cloned());
    let (passes, not_normalised) = match compared.passes {
        passes if passes.is_empty() || incomplete || !sides.devices.is_empty() => {
            (Vec::new(), None)
        }
        passes => match normalised::prove(&sides) {
            Ok(()) => (passes, None),
            Err(why) => (Vec::new(), Some(why)),
        },
    };
    let verdict = verdict(&differences, &passes, incomplete);
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
        passes,
        not_normalised,
        differences,
        members: compared.members,
        problems,
    })
}

fn verdict(differences: &[Difference], passes: &[String], incomplete: bool) -> Sameness {
    match (differences, passes) {
        ([], _) if incomplete => Sameness::Inconclusive,
        ([], _) => Sameness::Identical,
        (_, [_, ..]) if !incomplete => Sameness::EqualWhenNormalised,
        _ => Sameness::Different,
    }
}

/// The files that could not be read.
fn unread(snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let items = snapshot.elements.iter();
    let errors = items.filter(|item| *item.field == snapshot::ERROR);
    errors.map(|item| item.path.to_string())
}

fn side(path: &Path, snapshot: &Snapshot, sides: &Sides) -> Side {
    let content = sides.name().map(|name| Element::new(name, Field::CONTENT));
    let sha256 = match content.and_then(|content| snapshot.elements.get(&content)) {
        Some(Value::Digest { sha256, .. }) => Some(sha256.clone()),
        _ => None,
    };
    Side {
        path: escape_bytes(path.as_os_str().as_bytes()),
        size: sides.name().and_then(|_| Some(path.metadata().ok()?.len())),
        sha256,
    }
}
