//! One numbered directory for each session: its journal and the logs of its failed builds. The
//! latest few are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use crate::snapshot::walk;

/// So many sessions are kept.
const KEPT: usize = 20;

/// Makes the directory of the next session below `root`, and removes the oldest where there are
/// too many.
pub fn create(root: &Path) -> Result<PathBuf, Error> {
    let fail = |step| {
        move |source| Error::Io {
            step,
            path: root.to_owned(),
            source,
        }
    };
    fs::create_dir_all(root).map_err(fail("make"))?;
    loop {
        let sessions = numbered(root).map_err(fail("read"))?;
        let next = sessions.last().map_or(1, |(number, _)| number + 1);
        for (_, old) in sessions.iter().rev().skip(KEPT - 1) {
            // Another reprobe may be removing the same one.
            let _ = fs::remove_dir_all(old);
        }
        let path = root.join(next.to_string());
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path).map_err(fail("write to")),
        }
    }
}

/// The sessions below `root`, by number.
fn numbered(root: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = walk::sorted_entries(root)?.into_iter();
    let mut sessions: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| Some((entry.name.to_str()?.parse().ok()?, entry.path)))
        .collect();
    sessions.sort();
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_numbered_and_the_oldest_go() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("notes"), "mine").unwrap();
        let made: Vec<PathBuf> = (0..25).map(|_| create(root.path()).unwrap()).collect();
        assert_eq!(made[24], root.path().join("25"));
        let left = numbered(root.path()).unwrap();
        assert_eq!(left.len(), KEPT);
        assert_eq!(left[0].0, 6);
        assert!(root.path().join("notes").exists());
    }
}
