//! Where `--json` goes: checked before anything runs, so that a mistyped name does not cost a
//! night's work, and a regular file is replaced in one step. Nothing is created before the end: the
//! file may stand in the source tree, which builds must see as it is.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::exit::Failure;
use super::screen::Stream;

/// Where findings are written.
#[derive(Debug)]
pub(super) enum Destination {
    /// Standard output.
    Standard,
    /// A file that does not exist or is replaced as a whole.
    Replaced {
        /// Its directory.
        directory: PathBuf,
        /// Its name.
        path: PathBuf,
    },
    /// A device or a FIFO, which cannot be replaced.
    Special {
        /// Open for writing.
        file: File,
        /// Its name.
        path: PathBuf,
    },
}

impl Destination {
    /// Opens what `--json` names.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path == "-" {
            return Ok(Self::Standard);
        }
        let fail = |error| {
            Failure::usage(&format!(
                "--json {}: cannot be written: {error}",
                path.display()
            ))
        };
        // A link is followed, so that what it points to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match path.metadata() {
            Ok(found) if found.is_file() => {
                OpenOptions::new().write(true).open(&path).map_err(fail)?;
            }
            Ok(_) => {
                let file = OpenOptions::new().write(true).open(&path).map_err(fail)?;
                return Ok(Self::Special { file, path });
            }
            Err(_) => {}
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        creatable(&directory).map_err(fail)?;
        Ok(Self::Replaced { directory, path })
    }

    /// Writes the bytes and gives the file its name.
    pub(super) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let fail = |path: &Path, error: io::Error| {
            Failure::undecided(&format!("--json {}: write: {error}", path.display()))
        };
        match self {
            Self::Standard => Stream::Out.write(bytes),
            Self::Special { mut file, path } => match file.write_all(bytes) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(fail(&path, error)),
                _ => Ok(()),
            },
            Self::Replaced { directory, path } => {
                replace(&directory, &path, bytes).map_err(|error| fail(&path, error))
            }
        }
    }

    /// Whether standard output is taken.
    pub(super) fn is_standard(&self) -> bool {
        matches!(self, Self::Standard)
    }
}

/// Whether files can be made in a directory.
fn creatable(directory: &Path) -> io::Result<()> {
    if !directory.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(directory, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

fn replace(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut partial = tempfile::Builder::new()
        .prefix(".reprobe-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    partial.write_all(bytes)?;
    partial.as_file().sync_all()?;
    partial.persist(path)?;
    Ok(())
}

/// Checks that `--keep` names a directory that may be filled.
pub(super) fn empty_directory(path: &Path) -> Result<(), Failure> {
    let refuse = |error| Failure::usage(&format!("--keep {}: {error}", path.display()));
    match crate::snapshot::walk::sorted_entries(path) {
        Ok(entries) if entries.is_empty() => Ok(()),
        Ok(_) => Err(Failure::usage(&format!(
            "--keep {}: the directory is not empty; name a new one",
            path.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = path.ancestors().skip(1).find(|above| above.exists());
            creatable(above.unwrap_or(Path::new("."))).map_err(refuse)
        }
        Err(error) => Err(refuse(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_replaced_in_one_step_and_only_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.json");
        fs::write(&path, "old").unwrap();
        let destination = Destination::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        destination.write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        drop(Destination::open(&path).unwrap());
        let left = crate::snapshot::walk::sorted_entries(directory.path()).unwrap();
        assert_eq!(left.len(), 1, "no partial file stays");
    }

    #[test]
    fn what_cannot_be_written_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        for path in [
            directory.path().join("no/f.json"),
            directory.path().to_owned(),
        ] {
            assert!(Destination::open(&path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_device_is_written_to_and_stays() {
        let destination = Destination::open(Path::new("/dev/null")).unwrap();
        assert!(matches!(destination, Destination::Special { .. }));
        destination.write(b"x").unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[test]
    fn a_directory_that_holds_something_is_not_filled() {
        let directory = tempfile::tempdir().unwrap();
        assert!(empty_directory(directory.path()).is_ok());
        assert!(empty_directory(&directory.path().join("a/b")).is_ok());
        fs::write(directory.path().join("a"), "").unwrap();
        assert!(empty_directory(directory.path()).is_err());
    }
}
