//! What a build changed, computed from an upper layer and what stood below it. Presence in an
//! upper layer is not change: opening a file for writing, or a chmod to the same mode, leaves an
//! entry there. Owners are not looked at, for they may be mapped.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::host::sorted_names;

/// What a build did below one mount point; paths relative to it, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// What did not exist before.
    pub created: Vec<PathBuf>,
    /// What has another kind, content or link target than before.
    pub changed: Vec<PathBuf>,
    /// What has another mode or modification time than before, and is the same otherwise.
    pub touched: Vec<PathBuf>,
    /// What exists no more.
    pub removed: Vec<PathBuf>,
}

/// Compares the upper layer of an overlay, or a fresh directory, with what stood there before.
/// `merged` is what the build saw; it tells a removed entry from one that only was not copied up.
pub(super) fn changes(upper: &Path, lower: Option<&Path>, merged: &Path) -> io::Result<Changes> {
    let mut changes = Changes::default();
    let mut walk = Walk {
        upper,
        lower,
        merged,
        changes: &mut changes,
    };
    walk.directory(Path::new(""), lower.is_some())?;
    changes.created.sort();
    changes.changed.sort();
    changes.touched.sort();
    changes.removed.sort();
    Ok(changes)
}

struct Walk<'a> {
    upper: &'a Path,
    lower: Option<&'a Path>,
    merged: &'a Path,
    changes: &'a mut Changes,
}

impl Walk<'_> {
    /// `in_lower`: the same path below is a directory as well, reached through directories alone.
    fn directory(&mut self, relative: &Path, in_lower: bool) -> io::Result<()> {
        for name in sorted_names(&self.upper.join(relative))? {
            let path = relative.join(name);
            let metadata = self.upper.join(&path).symlink_metadata()?;
            if is_whiteout(&metadata) {
                continue;
            }
            let before = match self.lower {
                Some(lower) if in_lower => lower.join(&path).symlink_metadata().ok(),
                _ => None,
            };
            let was_directory = before.as_ref().is_some_and(Metadata::is_dir);
            match &before {
                None => self.changes.created.push(path.clone()),
                Some(before) => {
                    if self.differs(&path, before, &metadata)? {
                        self.changes.changed.push(path.clone());
                    } else if is_touched(before, &metadata) {
                        self.changes.touched.push(path.clone());
                    }
                }
            }
            if metadata.is_dir() {
                self.directory(&path, was_directory)?;
            } else if was_directory {
                self.remove_below(&path)?;
            }
        }
        if in_lower {
            self.removed(relative)?;
        }
        Ok(())
    }

    /// Entries of a lower directory that the build does not see any more.
    fn removed(&mut self, relative: &Path) -> io::Result<()> {
        let Some(lower) = self.lower else {
            return Ok(());
        };
        let seen = sorted_names(&self.merged.join(relative))?;
        for name in sorted_names(&lower.join(relative))? {
            // A look-up of every name would cost more than the rest of a short trial.
            if seen.binary_search(&name).is_ok() {
                continue;
            }
            let path = relative.join(name);
            self.changes.removed.push(path.clone());
            self.remove_below(&path)?;
        }
        Ok(())
    }

    /// All that a lower directory holds is gone.
    fn remove_below(&mut self, relative: &Path) -> io::Result<()> {
        let Some(dir) = self.lower.map(|lower| lower.join(relative)) else {
            return Ok(());
        };
        if !dir
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
        {
            return Ok(());
        }
        for name in sorted_names(&dir)? {
            let path = relative.join(name);
            self.changes.removed.push(path.clone());
            self.remove_below(&path)?;
        }
        Ok(())
    }

    fn differs(&self, path: &Path, before: &Metadata, after: &Metadata) -> io::Result<bool> {
        if before.file_type() != after.file_type() {
            return Ok(true);
        }
        if after.is_dir() {
            return Ok(false);
        }
        let Some(lower) = self.lower else {
            return Ok(true);
        };
        if after.is_symlink() {
            let target = |base: &Path| fs::read_link(base.join(path));
            return Ok(target(lower)? != target(self.upper)?);
        }
        if before.len() != after.len() {
            return Ok(true);
        }
        if after.is_file() {
            return other_bytes(&lower.join(path), &self.upper.join(path));
        }
        Ok(before.rdev() != after.rdev())
    }
}

/// Whether a mode or, but for directories and links, a modification time is another one.
fn is_touched(before: &Metadata, after: &Metadata) -> bool {
    let stamp = |metadata: &Metadata| (metadata.mtime(), metadata.mtime_nsec());
    let timed = !after.is_dir() && !after.is_symlink();
    before.mode() != after.mode() || timed && stamp(before) != stamp(after)
}

/// A removed entry of the lower layer: a character device 0:0.
fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn other_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let mut buffers = [vec![0; 1 << 16], vec![0; 1 << 16]];
    let [left, right] = &mut buffers;
    loop {
        let (here, there) = (fill(&mut one, left)?, fill(&mut other, right)?);
        if left.get(..here) != right.get(..there) {
            return Ok(true);
        }
        if here == 0 {
            return Ok(false);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
