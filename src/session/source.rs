//! Whether somebody edited the source while it was being built: trials read it in place, so an
//! edit would look like a difference that some variation caused.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::snapshot::walk;

/// Path, size, mtime and ctime of everything in the tree, digested. What cannot be read counts as
/// it is: unreadable before and after is the same.
pub(super) fn fingerprint(tree: &Path) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut pending = vec![tree.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = match walk::sorted_entries(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let data = fs::symlink_metadata(&entry.path)?;
            digest.update(entry.path.as_os_str().as_bytes());
            let numbers = [
                data.mtime(),
                data.mtime_nsec(),
                data.ctime(),
                data.ctime_nsec(),
            ];
            for number in numbers.into_iter().chain([data.size().cast_signed()]) {
                digest.update(number.to_le_bytes());
            }
            if entry.kind.is_dir() {
                pending.push(entry.path);
            }
        }
    }
    Ok(digest.finalize().into())
}
