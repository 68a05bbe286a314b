//! Directories in a fixed order: the only place that lists them.

use std::ffi::OsString;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

/// One entry of a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// The directory's path and its name.
    pub path: PathBuf,
    /// What it is; links are not followed.
    pub kind: FileType,
}

/// The entries of `directory`, sorted by the bytes of their names, without `.` and `..`.
pub fn sorted_entries(directory: &Path) -> io::Result<Vec<Entry>> {
    #[expect(clippy::disallowed_methods, reason = "sorted right here")]
    let listed = fs::read_dir(directory)?;
    let mut entries = listed
        .map(|entry| {
            let entry = entry?;
            Ok(Entry {
                name: entry.file_name(),
                path: entry.path(),
                kind: entry.file_type()?,
            })
        })
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_sorted_by_their_bytes() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b", "B", "a", "é", "_"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let names: Vec<_> = sorted_entries(directory.path())
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["B", "_", "a", "b", "é"]);
    }
}
