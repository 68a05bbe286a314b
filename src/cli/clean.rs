//! `--clean`: a copy of the source tree without what git ignores in it, for builds that would find
//! their own earlier products. The tree itself stays as it is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use tempfile::TempDir;

use super::exit::Failure;
use crate::snapshot::walk::sorted_entries;

/// A clean copy; removed when dropped.
#[derive(Debug)]
pub(super) struct Cleaned {
    /// The copy, under the name that the tree has.
    pub(super) source: PathBuf,
    _directory: TempDir,
}

/// Copies `source` without what git ignores.
pub(super) fn copy(source: &Path) -> Result<Cleaned, Failure> {
    let ignored = ignored(source)?;
    let fail = |error: io::Error| {
        Failure::undecided(&format!("--clean: copy {}: {error}", source.display()))
    };
    let directory = tempfile::Builder::new()
        .prefix("reprobe-clean-")
        .tempdir()
        .map_err(fail)?;
    let target = directory
        .path()
        .join(source.file_name().unwrap_or("source".as_ref()));
    copy_directory(source, &target, &ignored).map_err(fail)?;
    Ok(Cleaned {
        source: target,
        _directory: directory,
    })
}

/// What git ignores, as absolute paths: files, and directories that are ignored as a whole.
fn ignored(source: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let output = Command::new("git")
        .arg("-C")
        .arg(source)
        .args(["-c", "core.fsmonitor=false", "ls-files", "-z", "--others"])
        .args(["--ignored", "--exclude-standard", "--directory"])
        .output()
        .map_err(|error| Failure::undecided(&format!("--clean: git does not start: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::undecided(&format!(
            "--clean: git ls-files in {}: {}",
            source.display(),
            said.trim()
        )));
    }
    let names = output.stdout.split(|byte| *byte == 0);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(|name| name.strip_suffix(b"/").unwrap_or(name))
        .map(|name| source.join(OsStr::from_bytes(name)))
        .collect())
}

fn copy_directory(from: &Path, to: &Path, ignored: &BTreeSet<PathBuf>) -> io::Result<()> {
    let metadata = from.symlink_metadata()?;
    fs::create_dir(to)?;
    for entry in sorted_entries(from)? {
        if ignored.contains(&entry.path) {
            continue;
        }
        let target = to.join(&entry.name);
        if entry.kind.is_dir() {
            copy_directory(&entry.path, &target, ignored)?;
        } else if entry.kind.is_symlink() {
            symlink(fs::read_link(&entry.path)?, &target)?;
            keep_times(&target, &entry.path.symlink_metadata()?)?;
        } else if entry.kind.is_file() {
            fs::copy(&entry.path, &target)?;
            keep_times(&target, &entry.path.symlink_metadata()?)?;
        }
        // FIFOs, sockets and devices are no sources.
    }
    fs::set_permissions(to, metadata.permissions())?;
    keep_times(to, &metadata)
}

/// Owner, where that is allowed, and modification time.
fn keep_times(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let owner = (Some(metadata.uid()), Some(metadata.gid()));
    // An ordinary user owns what he copies.
    let _ = if metadata.is_symlink() {
        lchown(path, owner.0, owner.1)
    } else {
        chown(path, owner.0, owner.1)
    };
    let [accessed, modified] = [
        TimeSpec::new(metadata.atime(), metadata.atime_nsec()),
        TimeSpec::new(metadata.mtime(), metadata.mtime_nsec()),
    ];
    utimensat(
        AT_FDCWD,
        path,
        &accessed,
        &modified,
        UtimensatFlags::NoFollowSymlink,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_is_left_out_and_the_rest_keeps_its_times() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("tree");
        fs::create_dir_all(source.join("dist/sub")).unwrap();
        for (name, text) in [(".gitignore", "dist/\n*.o\n"), ("a.c", "c"), ("a.o", "o")] {
            fs::write(source.join(name), text).unwrap();
        }
        fs::write(source.join("dist/sub/x.tar"), "x").unwrap();
        symlink("a.c", source.join("link")).unwrap();
        let git = Command::new("git")
            .arg("-C")
            .arg(&source)
            .args(["init", "-q"])
            .status();
        if !git.is_ok_and(|status| status.success()) {
            println!("skipped: git does not start");
            return;
        }
        let cleaned = copy(&source).unwrap();
        assert!(cleaned.source.ends_with("tree"));
        for (name, kept) in [
            ("a.c", true),
            ("link", true),
            (".git", true),
            ("a.o", false),
            ("dist", false),
        ] {
            assert_eq!(
                cleaned.source.join(name).symlink_metadata().is_ok(),
                kept,
                "{name}"
            );
        }
        let modified = |tree: &Path| tree.join("a.c").metadata().unwrap().modified().unwrap();
        assert_eq!(modified(&source), modified(&cleaned.source));
    }

    #[test]
    fn a_tree_without_git_is_refused_with_what_git_says() {
        let directory = tempfile::tempdir().unwrap();
        let failure = copy(directory.path()).unwrap_err();
        assert!(failure.message.contains("git"), "{}", failure.message);
    }
}
