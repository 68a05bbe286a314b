//! Whose the files of a source tree are: what a user other than the caller must be given, so that
//! he can write whatever the caller could.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::error::Error;
use super::host::names_if_allowed;
use super::identity::Ids;

/// The owners of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owned {
    /// Of its top directory.
    pub(super) top: Ids,
    /// All of it has the owner and the group of the top.
    pub(super) alike: bool,
    /// The caller may read all of it.
    pub(super) readable: bool,
    /// Which hard links there are.
    pub(super) links: Links,
}

/// Hard links of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Links {
    /// Each file has one name.
    None,
    /// Some files have further names elsewhere.
    Outward,
    /// Some names in the tree are one file.
    Within,
}

impl Owned {
    /// Looks at every entry.
    pub(super) fn of(tree: &Path) -> Result<Self, Error> {
        let mut owned = Self {
            top: ids(&look(tree)?),
            alike: true,
            readable: true,
            links: Links::None,
        };
        owned.take_in(tree, &mut BTreeSet::new())?;
        Ok(owned)
    }

    /// `seen` are devices and inodes with several links.
    fn take_in(&mut self, path: &Path, seen: &mut BTreeSet<(u64, u64)>) -> Result<(), Error> {
        let metadata = look(path)?;
        self.alike &= ids(&metadata) == self.top;
        if metadata.is_dir() {
            let names = names_if_allowed(path).map_err(Error::file("read directory", path))?;
            self.readable &= names.is_some();
            for name in names.unwrap_or_default() {
                self.take_in(&path.join(name), seen)?;
            }
        } else if !metadata.is_symlink() {
            let id = (metadata.dev(), metadata.ino());
            if metadata.nlink() > 1 {
                let links = if seen.insert(id) {
                    Links::Outward
                } else {
                    Links::Within
                };
                self.links = self.links.max(links);
            }
            self.readable &= access(path, AccessFlags::R_OK).is_ok();
        }
        Ok(())
    }

    /// Whether something belongs to others than these.
    pub(super) fn others(self, caller: Ids) -> bool {
        !self.alike || self.top != caller
    }
}

fn look(path: &Path) -> Result<Metadata, Error> {
    path.symlink_metadata()
        .map_err(Error::file("look at", path))
}

fn ids(metadata: &Metadata) -> Ids {
    Ids {
        uid: metadata.uid(),
        gid: metadata.gid(),
    }
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
        assert!(owned.alike && !owned.others(owned.top) && owned.links == Links::None);
        let elsewhere = tempfile::tempdir_in(dir.path().parent().unwrap()).unwrap();
        std::fs::hard_link(&file, elsewhere.path().join("f")).unwrap();
        assert_eq!(Owned::of(dir.path()).unwrap().links, Links::Outward);
        std::fs::hard_link(&file, below.join("g")).unwrap();
        assert_eq!(Owned::of(dir.path()).unwrap().links, Links::Within);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::lchown(&file, Some(1000), None).unwrap();
            let owned = Owned::of(dir.path()).unwrap();
            assert!(!owned.alike && owned.others(owned.top));
        }
    }
}
