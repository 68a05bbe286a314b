//! What a build made although nothing of it was asked for, for a person who looks for the right
//! pattern: products first, then intermediates, then what lies neither in the tree nor beside it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::intermediates::Intermediates;
use super::select::from;
use super::{Change, Error};
use crate::model::{Made, escape_name};

/// How many paths are worth naming.
const NAMED: usize = 5;

/// The first of them, and how many there are.
pub(super) fn made(changes: &[Change], build_dir: &Path) -> Result<Made, Error> {
    let intermediates = Intermediates::new()?;
    let mut paths: Vec<&Path> = changes.iter().map(|change| change.path.as_path()).collect();
    paths.sort();
    paths.dedup();
    // A new directory stands right before what is in it, and goes without saying.
    let inner = paths.iter().skip(1).map(Some).chain([None]);
    let mut named: Vec<(u8, String)> = paths
        .iter()
        .zip(inner)
        .filter(|(path, next)| !next.is_some_and(|next| next.starts_with(path)))
        .filter(|(path, _)| **path != build_dir)
        .map(|(path, _)| name(path, build_dir, &intermediates))
        .collect();
    named.sort();
    Ok(Made {
        count: named.len(),
        first: named
            .into_iter()
            .take(NAMED)
            .map(|(_, name)| name)
            .collect(),
    })
}

/// How it is called as an output, behind its rank.
fn name(path: &Path, build_dir: &Path, intermediates: &Intermediates) -> (u8, String) {
    let name = |path: &Path| escape_name(path.as_os_str().as_bytes());
    if let Ok(below) = path.strip_prefix(build_dir) {
        return (u8::from(intermediates.contains(below)), name(below));
    }
    let beside = build_dir.parent().filter(|dir| dir.parent().is_some());
    if beside.is_some_and(|beside| path.starts_with(beside)) {
        return (0, name(&from(build_dir, path)));
    }
    (2, name(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_come_first_and_directories_go_without_saying() {
        let paths = [
            "/tmp/cc1.s",
            "/build/x/a.o",
            "/build/x/dist",
            "/build/x/dist/x.tar",
            "/build/x/empty",
            "/build/y.deb",
        ];
        let changes = paths.map(|path| Change {
            path: path.into(),
            touched: false,
        });
        let made = made(&changes, Path::new("/build/x")).unwrap();
        assert_eq!(
            made.first,
            ["../y.deb", "dist/x.tar", "empty", "a.o", "/tmp/cc1.s"]
        );
        assert_eq!(made.count, 5);
    }
}
