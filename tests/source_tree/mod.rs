//! A source tree as a checkout would leave it: what git does not keep (times, exact modes) is set
//! here, so that a test sees the same tree wherever it runs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Copies `layers`, later ones over earlier ones, to `tree`, runs the shell line `setup` there, and
/// gives every file mode 0644 or 0755 and a time of its own, with a fraction of a second.
pub(crate) fn plant(layers: &[PathBuf], tree: &Path, setup: Option<&str>) -> Result<(), String> {
    for layer in layers {
        copy(layer, tree).map_err(|e| format!("copying {}: {e}", layer.display()))?;
    }
    if let Some(setup) = setup {
        let mut shell = Command::new("sh");
        shell.args(["-ec", setup]).current_dir(tree);
        let ran = shell.output().map_err(|e| format!("setup: {e}"))?;
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr);
            return Err(format!("setup fails: {said}"));
        }
    }
    let mut number = 0;
    settle(tree, &mut number).map_err(|e| format!("modes and times: {e}"))
}

/// The entries of a directory, sorted by name.
#[expect(clippy::disallowed_methods, reason = "sorted right here")]
pub(crate) fn entries(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let listed = fs::read_dir(directory)?;
    let mut paths = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for path in entries(from)? {
        let target = to.join(path.file_name().unwrap());
        if fs::symlink_metadata(&path)?.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(path, target)?;
        }
    }
    Ok(())
}

fn settle(path: &Path, number: &mut u64) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    if metadata.is_dir() {
        for entry in entries(path)? {
            settle(&entry, number)?;
        }
    }
    let executable = metadata.is_dir() || metadata.mode() & 0o100 != 0;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    *number += 1;
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_690_000_000 + *number, 123_456_789);
    fs::File::open(path)?.set_modified(time)
}

/// What a run must not change of one file: mode, modification time, content.
pub(crate) type Print = (u32, i64, i64, Vec<u8>);

/// Everything about a tree that a run must not change, by path.
pub(crate) fn fingerprint(tree: &Path) -> BTreeMap<PathBuf, Print> {
    let mut found = BTreeMap::new();
    let mut pending = vec![tree.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mut content = Vec::new();
        if metadata.is_dir() {
            pending.extend(entries(&path).unwrap());
        } else if metadata.is_file() {
            content = fs::read(&path).unwrap();
        }
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        found.insert(path, (metadata.mode(), seconds, nanoseconds, content));
    }
    found
}
