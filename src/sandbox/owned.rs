//! Whose the files of a source tree are: what a user other than the caller must be given, so that
//! he can write whatever the caller could.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::Error;
use super::host::sorted_names;
use super::identity::Ids;

/// The owners of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owned {
    /// Of its top directory.
    pub(super) top: Ids,
    /// All of it has the owner and the group of the top.
    pub(super) alike: bool,
}

impl Owned {
    /// Looks at every entry.
    pub(super) fn of(tree: &Path) -> Result<Self, Error> {
        let top = ids(tree)?;
        let alike = all(tree, top)?;
        Ok(Self { top, alike })
    }

    /// Whether something belongs to others than these.
    pub(super) fn others(self, caller: Ids) -> bool {
        !self.alike || self.top != caller
    }
}

fn ids(path: &Path) -> Result<Ids, Error> {
    let metadata = path
        .symlink_metadata()
        .map_err(Error::file("look at", path))?;
    Ok(Ids {
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

fn all(path: &Path, top: Ids) -> Result<bool, Error> {
    if ids(path)? != top {
        return Ok(false);
    }
    if path.is_symlink() || !path.is_dir() {
        return Ok(true);
    }
    for name in sorted_names(path).map_err(Error::file("read directory", path))? {
        if !all(&path.join(name), top)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_of_somebody_else_makes_a_tree_of_several_owners() {
        let dir = tempfile::tempdir().unwrap();
        let (below, file) = (dir.path().join("d"), dir.path().join("d/f"));
        std::fs::create_dir(&below).unwrap();
        std::fs::write(&file, "").unwrap();
        let owned = Owned::of(dir.path()).unwrap();
        assert!(owned.alike && !owned.others(owned.top));
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::lchown(&file, Some(1000), None).unwrap();
            let owned = Owned::of(dir.path()).unwrap();
            assert!(!owned.alike && owned.others(owned.top));
        }
    }
}
