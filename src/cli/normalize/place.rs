//! Where results go: beside the file and then in its place, somewhere else, or to standard output.
//! Whatever is lost on the way is never the file.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use tempfile::NamedTempFile;

use crate::normalize::{Spool, Spools as _};
use crate::spool::Temporary;

/// An extended attribute with an access list (acl(5)), which a new file would lose.
const ACCESS_LISTS: [&str; 2] = ["system.posix_acl_access", "system.nfs4_acl"];

/// Where a result goes.
#[derive(Debug)]
pub(super) enum Place {
    /// In the place of the file.
    Instead(Instead),
    /// Another file.
    Other(PathBuf),
    /// Standard output.
    Standard,
    /// Nowhere: it is only compared.
    Nowhere,
}

/// A file that is to be replaced.
#[derive(Debug)]
pub(super) struct Instead {
    /// Its own path: links have been followed.
    path: PathBuf,
    /// What it was when it was opened.
    found: Metadata,
}

impl Instead {
    /// Checks that nothing but the bytes of `path` would change.
    pub(super) fn new(path: &Path, source: &File) -> Result<Self, String> {
        const WAY_OUT: &str = "write the result to another file: --output FILE";
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        let found = source.metadata().map_err(|error| error.to_string())?;
        if found.nlink() > 1 {
            let names = found.nlink();
            return Err(format!("it has {names} names (hard links); {WAY_OUT}"));
        }
        for name in ACCESS_LISTS {
            if matches!(xattr::get(&path, name), Ok(Some(_))) {
                return Err(format!("it has an access list; {WAY_OUT}"));
            }
        }
        let (own, user) = (found.uid(), nix::unistd::geteuid());
        if own != user.as_raw() && !user.is_root() {
            return Err(format!("it belongs to user {own}; {WAY_OUT}"));
        }
        Ok(Self { path, found })
    }

    /// Puts the result in the file's place, with its owner and mode.
    fn replace(&self, result: NamedTempFile) -> io::Result<()> {
        let now = self.path.symlink_metadata()?;
        let same = |of: fn(&Metadata) -> i64| of(&now) == of(&self.found);
        if now.ino() != self.found.ino()
            || now.size() != self.found.size()
            || !same(Metadata::mtime)
            || !same(Metadata::mtime_nsec)
        {
            return Err(io::Error::other(
                "it changed meanwhile, and is left as it is",
            ));
        }
        let file = result.as_file();
        fchown(file, Some(self.found.uid()), Some(self.found.gid()))?;
        file.set_permissions(Permissions::from_mode(self.found.mode() & 0o7777))?;
        file.sync_all()?;
        result.persist(&self.path)?;
        Ok(())
    }
}

/// A result in the making.
pub(super) enum Outcome {
    /// In the directory where it will be.
    Named(NamedTempFile),
    /// Wherever there is room.
    Spooled(Box<dyn Spool>),
}

impl Place {
    /// Another file, which may exist: a link leads to the file that it names. Nothing else is replaced.
    pub(super) fn other(path: &Path) -> Result<Self, String> {
        match path.symlink_metadata() {
            Err(_) => return Ok(Self::Other(path.to_owned())),
            Ok(found) if found.is_file() => return Ok(Self::Other(path.to_owned())),
            Ok(_) => {}
        }
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        match path.metadata() {
            Ok(found) if found.is_file() => Ok(Self::Other(path)),
            Ok(_) => Err("is no file, and is left as it is; give a file, or --stdout".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// An empty file for a result of about `size` bytes. Too little room is an error at once.
    pub(super) fn begin(&self, size: u64) -> io::Result<Outcome> {
        let directory = match self {
            Self::Instead(instead) => directory_of(&instead.path),
            Self::Other(path) => directory_of(path),
            Self::Standard | Self::Nowhere => {
                enough(&std::env::temp_dir(), size)?;
                return Ok(Outcome::Spooled(Temporary.spool()?));
            }
        };
        enough(&directory, size)?;
        let file = tempfile::Builder::new()
            .prefix(".reprobe-")
            .tempfile_in(&directory)?;
        Ok(Outcome::Named(file))
    }

    /// Gives the result its place; `changed` says whether it differs from the source.
    pub(super) fn end(&self, result: Outcome, changed: bool) -> io::Result<()> {
        match (self, result) {
            (Self::Instead(instead), Outcome::Named(file)) if changed => instead.replace(file),
            (Self::Other(path), Outcome::Named(file)) => {
                // As a new file: by the umask.
                let mode = 0o666 & !umask();
                file.as_file()
                    .set_permissions(Permissions::from_mode(mode))?;
                file.as_file().sync_all()?;
                file.persist(path)?;
                Ok(())
            }
            (Self::Standard, Outcome::Spooled(mut spool)) => {
                spool.seek(SeekFrom::Start(0))?;
                io::copy(&mut spool, &mut io::stdout())?;
                io::stdout().flush()
            }
            _ => Ok(()),
        }
    }
}

impl Outcome {
    pub(super) fn spool(&mut self) -> &mut dyn Spool {
        match self {
            Self::Named(file) => file.as_file_mut(),
            Self::Spooled(spool) => spool.as_mut(),
        }
    }
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether a file system has room for so many bytes.
fn enough(directory: &Path, size: u64) -> io::Result<()> {
    let found = statvfs(directory)?;
    let free = u128::from(found.blocks_available()) * u128::from(found.fragment_size());
    if free > u128::from(size) {
        return Ok(());
    }
    let directory = directory.display();
    Err(io::Error::other(format!(
        "{directory} has {free} bytes left, and {size} are needed; make room, or set TMPDIR"
    )))
}

/// The mask of new files. Reading it any other way changes it for a moment.
fn umask() -> u32 {
    let mut status = String::new();
    let read =
        File::open("/proc/self/status").and_then(|mut file| file.read_to_string(&mut status));
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let mask = line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
    mask.filter(|_| read.is_ok()).unwrap_or(0o022)
}
