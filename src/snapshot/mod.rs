//! Outputs on disk to a [`Snapshot`]: which of the files that a build created or changed are
//! outputs, and every element of them, hashed in parallel with fixed buffers. Runs inside the
//! trial's mount namespace. What the build changed is found out elsewhere, against the lower layers.

mod file;
mod intermediates;
mod made;
mod select;
pub mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, io, thread};

use serde::{Deserialize, Serialize};

use crate::formats::{Budget, Examined};
use crate::model::{OutputSelection, Snapshot};
use select::{Selected, Selection};

pub use file::ERROR;
pub use select::{kept_as, on_disk};

/// What to take a snapshot of. All paths are those of the trial's view.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the build ran.
    pub build_dir: PathBuf,
    /// Which of the changes are outputs.
    pub outputs: OutputSelection,
    /// Everything that the build created or changed, in any order.
    pub changes: Vec<Change>,
    /// Where copies of the outputs go.
    pub keep: Option<Keep>,
}

/// Copies of outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// A directory that gets them. One outside of the mount namespace is named by an open
    /// descriptor, `/proc/self/fd/N`.
    pub directory: PathBuf,
    /// Longer files, in bytes, are left out, and so is what cannot be copied. Without it, all are
    /// copied, and there is no snapshot if one cannot be.
    pub up_to: Option<u64>,
}

/// Something that the build created or changed, and did not remove.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Absolute in the trial's view. What is in a new directory is listed too. A directory itself
    /// is listed where it is new, not where only its entries changed.
    pub path: PathBuf,
    /// Only its mode or its modification time is another one.
    pub touched: bool,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A glob is malformed.
    #[error("output pattern `{pattern}`: {reason}")]
    Pattern {
        /// As the user wrote it.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// Globs are text, and the build path of a trial is always chosen as text.
    #[error("build directory {} is not UTF-8, which output patterns relative to it need", path.display())]
    BuildDir {
        /// The directory.
        path: PathBuf,
    },
    /// An output could not be copied.
    #[error("cannot keep {} as {}: {error}; is there room, and may you write there?", from.display(), to.display())]
    Keep {
        /// The output.
        from: PathBuf,
        /// Its copy.
        to: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Reads every output. Where there is none, the snapshot's outputs are empty, `near_misses` says what
/// the globs would match among untouched files, and `made` what the build made instead. What cannot be read is a problem and an
/// `error` element, never left out.
pub fn take(request: &Request) -> Result<Snapshot, Error> {
    let selection = Selection::new(&request.outputs, &request.build_dir)?;
    let mut outputs: Vec<Selected> = request
        .changes
        .iter()
        .filter_map(|change| selection.select(&change.path, &request.build_dir))
        .collect();
    outputs.sort();
    outputs.dedup();

    let mut snapshot = elements(&outputs);
    let touched: BTreeSet<&PathBuf> = request
        .changes
        .iter()
        .filter(|change| change.touched)
        .map(|change| &change.path)
        .collect();
    for output in &outputs {
        if touched.contains(&output.path) {
            snapshot.touched.insert(output.name.clone());
        }
        snapshot.outputs.insert(output.name.clone(), output.decides);
        match &request.keep {
            Some(Keep {
                directory,
                up_to: Some(limit),
            }) => file::keep_if_possible(output, directory, *limit),
            Some(keep) => file::keep(output, &keep.directory)?,
            None => {}
        }
    }
    if outputs.is_empty() {
        snapshot.near_misses = selection
            .near_misses(&request.build_dir)
            .into_iter()
            .collect();
        snapshot.made = made::made(&request.changes, &request.build_dir)?;
    } else {
        for pattern in selection.idle(&outputs, &request.build_dir) {
            let text = "matches nothing that the build created or changed".to_owned();
            snapshot.problems.insert((pattern.to_owned(), text));
        }
    }
    Ok(snapshot)
}

/// Reads files by the names that they have in the snapshot. What cannot be read is a problem and an
/// `error` element.
pub fn read(files: &BTreeMap<String, PathBuf>) -> Snapshot {
    let outputs = files.iter().map(|(name, path)| Selected {
        name: name.clone(),
        path: path.clone(),
        kept: PathBuf::new(),
        decides: true,
    });
    let outputs: Vec<Selected> = outputs.collect();
    let names = outputs
        .iter()
        .map(|output| (output.name.clone(), output.decides));
    Snapshot {
        outputs: names.collect(),
        ..elements(&outputs)
    }
}

/// What is in the outputs, and what could not be read.
fn elements(outputs: &[Selected]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for examined in examine_all(outputs) {
        snapshot.elements.append(examined.elements);
        snapshot.sketches.extend(examined.sketches);
        snapshot.problems.extend(examined.problems);
    }
    snapshot
}

/// All outputs together are given so many members and unpacked bytes, by their size, ...
const ALL: Budget = Budget {
    members: 1_000_000,
    unpacked: 256 << 30,
};
/// ... and each one at least this.
const LEAST: Budget = Budget {
    members: 2_000,
    unpacked: 256 << 20,
};

/// The budget of an output of this size among outputs of `all` bytes. Shared out beforehand: readers
/// that work at the same time must not depend on each other.
fn share(size: u64, all: u64) -> Budget {
    let most = Budget::default();
    if all == 0 {
        // Where blocks are counted late, all is as large as it is.
        return most;
    }
    let part = |of: u64| {
        let part = u128::from(of) * u128::from(size) / u128::from(all.max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    };
    let members = u32::try_from(part(ALL.members.into())).unwrap_or(u32::MAX);
    Budget {
        members: members.clamp(LEAST.members, most.members),
        unpacked: part(ALL.unpacked).clamp(LEAST.unpacked, most.unpacked),
    }
}

/// Reads the outputs on all cores that may be used; the largest first, so that none ends late.
fn examine_all(outputs: &[Selected]) -> Vec<Examined> {
    let size = |output: &Selected| fs::symlink_metadata(&output.path).map_or(0, |data| data.len());
    // What is a hole holds nothing to look into.
    let held = |output: &Selected| {
        fs::symlink_metadata(&output.path).map_or(0, |data| data.len().min(512 * data.blocks()))
    };
    let mut by_size: Vec<&Selected> = outputs.iter().collect();
    by_size.sort_by_cached_key(|output| std::cmp::Reverse(size(output)));
    let all = outputs.iter().map(held).sum();

    let next = AtomicUsize::new(0);
    let work = || {
        let mut examined = Vec::new();
        while let Some(output) = by_size.get(next.fetch_add(1, Ordering::Relaxed)) {
            examined.push(file::examine(output, share(held(output), all)));
        }
        examined
    };
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let helpers = cores.min(by_size.len()).saturating_sub(1);
    thread::scope(|scope| {
        // Where a limit on threads forbids a helper, this thread does its share.
        let spawned: Vec<_> = (0..helpers)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut all = work();
        for helper in spawned {
            match helper.join() {
                Ok(examined) => all.extend(examined),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::model::{Element, Field, Value};

    fn request(directory: &Path, outputs: &[&str], changes: &[&str]) -> Request {
        Request {
            build_dir: directory.to_owned(),
            outputs: if outputs.is_empty() {
                OutputSelection::Tree
            } else {
                OutputSelection::Globs {
                    patterns: outputs.iter().map(ToString::to_string).collect(),
                }
            },
            changes: changes
                .iter()
                .map(|path| Change {
                    path: directory.join(path),
                    touched: false,
                })
                .collect(),
            keep: None,
        }
    }

    fn value<'s>(snapshot: &'s Snapshot, path: &str, field: Field) -> Option<&'s Value> {
        snapshot.elements.get(&Element::new(path, field))
    }

    #[test]
    fn the_budget_of_a_snapshot_is_shared_out_by_size() {
        assert_eq!(share(7, 7), Budget::default());
        assert_eq!(share(1, 100), share(2, 200));
        assert_eq!(share(1, 100).members, 10_000);
        assert_eq!(share(0, 1 << 30), LEAST);
        assert_eq!(share(0, 0), Budget::default());
        assert_eq!(share(u64::MAX, u64::MAX), Budget::default());
    }

    #[test]
    fn a_tree_without_globs_is_judged_without_its_intermediates() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.o"), "object").unwrap();
        fs::write(directory.path().join("a"), "program").unwrap();
        symlink("a", directory.path().join("link")).unwrap();
        let request = request(directory.path(), &[], &["link", "a", "a.o"]);
        let snapshot = take(&request).unwrap();
        let outputs: Vec<_> = snapshot
            .outputs
            .iter()
            .map(|(path, decides)| (path.as_str(), *decides))
            .collect();
        assert_eq!(outputs, [("a", true), ("a.o", false), ("link", true)]);
        let target = value(&snapshot, "link", Field::LINK_TARGET).unwrap();
        assert_eq!(target, &Value::Text("a".to_owned()));
        assert!(matches!(
            value(&snapshot, "a", Field::CONTENT),
            Some(Value::Digest { size: 7, .. })
        ));
    }

    #[test]
    fn only_changes_are_outputs_and_untouched_matches_are_near_misses() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("dist")).unwrap();
        fs::write(directory.path().join("dist/old.tar"), "").unwrap();
        let snapshot = take(&request(directory.path(), &["dist/*"], &["other"])).unwrap();
        assert!(snapshot.outputs.is_empty());
        assert_eq!(Vec::from_iter(snapshot.near_misses), ["dist/old.tar"]);
    }

    #[test]
    fn a_glob_that_matches_nothing_beside_others_is_a_problem() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "").unwrap();
        let snapshot = take(&request(directory.path(), &["a", "*.deb"], &["a"])).unwrap();
        let problems: Vec<_> = snapshot.problems.iter().map(|(path, _)| path).collect();
        assert_eq!(problems, ["*.deb"]);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_special_files_are_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let snapshot = take(&request(directory.path(), &[], &["fifo", "gone"])).unwrap();
        let kind = value(&snapshot, "fifo", Field::KIND).unwrap();
        assert_eq!(kind, &Value::Text("fifo".to_owned()));
        assert!(value(&snapshot, "gone", Field::new("error")).is_some());
        let problems: Vec<_> = snapshot.problems.iter().map(|(path, _)| path).collect();
        assert_eq!(problems, ["gone"]);
    }

    #[test]
    fn holes_are_zeros() {
        let directory = tempfile::tempdir().unwrap();
        let sparse = fs::File::create(directory.path().join("sparse")).unwrap();
        std::os::unix::fs::FileExt::write_at(&sparse, b"middle", 5 << 20).unwrap();
        sparse.set_len(9 << 20).unwrap();
        let mut dense = vec![0; 9 << 20];
        dense[5 << 20..][..6].copy_from_slice(b"middle");
        fs::write(directory.path().join("dense"), dense).unwrap();
        let snapshot = take(&request(directory.path(), &[], &["sparse", "dense"])).unwrap();
        let digests = ["sparse", "dense"].map(|path| value(&snapshot, path, Field::CONTENT));
        assert!(digests[0].is_some() && digests[0] == digests[1]);
    }

    #[test]
    fn copies_are_kept_under_their_own_names() {
        let directory = tempfile::tempdir().unwrap();
        let build = directory.path().join("tree");
        fs::create_dir_all(build.join("out")).unwrap();
        fs::write(build.join("out/a"), "one").unwrap();
        fs::write(directory.path().join("b.deb"), "two").unwrap();
        let mut request = request(&build, &["out/*", "../*.deb"], &["out/a", "../b.deb"]);
        request.changes = vec![
            Change {
                touched: false,
                path: build.join("out/a"),
            },
            Change {
                touched: false,
                path: directory.path().join("b.deb"),
            },
        ];
        let kept = tempfile::tempdir().unwrap();
        request.keep = Some(Keep {
            directory: kept.path().to_owned(),
            up_to: None,
        });
        take(&request).unwrap();
        assert_eq!(fs::read(kept.path().join("out/a")).unwrap(), b"one");
        assert_eq!(fs::read(kept.path().join("__up__/b.deb")).unwrap(), b"two");
    }
}
