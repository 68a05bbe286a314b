//! Where results go: beside the file and then in its place, somewhere else, or to standard output.
//! Whatever is lost on the way is never the file.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::statvfs::statvfs;
use nix::unistd::linkat;
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
    fn replace(&self, result: Outcome) -> io::Result<()> {
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
        let file = result.file()?;
        fchown(file, Some(self.found.uid()), Some(self.found.gid()))?;
        file.set_permissions(Permissions::from_mode(self.found.mode() & 0o7777))?;
        file.sync_all()?;
        result.persist(&self.path)
    }
}

/// A result in the making.
pub(super) enum Outcome {
    /// On the file system where it will be, without a name: whoever is killed leaves nothing behind.
    Unnamed(File, PathBuf),
    /// The same with a name, where the file system knows no files without.
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
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
        };
        enough(&directory, size).map_err(named)?;
        let mut options = File::options();
        options.read(true).write(true).mode(0o600);
        options.custom_flags(OFlag::O_TMPFILE.bits());
        match options.open(&directory) {
            Ok(file) => Ok(Outcome::Unnamed(file, directory)),
            Err(_) => builder()
                .tempfile_in(&directory)
                .map(Outcome::Named)
                .map_err(named),
        }
    }

    /// Gives the result its place; `changed` says whether it differs from the source.
    pub(super) fn end(&self, result: Outcome, changed: bool) -> io::Result<()> {
        match (self, result) {
            (Self::Instead(instead), result) if changed => instead.replace(result),
            (Self::Other(path), result) => {
                // As a new file: by the umask.
                let mode = 0o666 & !umask();
                result
                    .file()?
                    .set_permissions(Permissions::from_mode(mode))?;
                result.file()?.sync_all()?;
                result.persist(path)
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
    /// The file that is to have a name.
    fn file(&self) -> io::Result<&File> {
        match self {
            Self::Unnamed(file, _) => Ok(file),
            Self::Named(file) => Ok(file.as_file()),
            Self::Spooled(_) => Err(io::Error::other("a spool has no place among files")),
        }
    }

    /// Gives it its name, in the place of what has it.
    fn persist(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Unnamed(file, directory) => {
                let own = format!("/proc/self/fd/{}", file.as_raw_fd());
                // A file cannot be linked over another one: for a moment it has two names.
                let link = |name: &Path| {
                    let flags = AtFlags::AT_SYMLINK_FOLLOW;
                    linkat(AT_FDCWD, own.as_str(), AT_FDCWD, name, flags).map_err(io::Error::from)
                };
                builder().make_in(directory, link)?.persist(path)?;
            }
            Self::Named(file) => drop(file.persist(path)?),
            Self::Spooled(_) => {}
        }
        Ok(())
    }

    pub(super) fn spool(&mut self) -> &mut dyn Spool {
        match self {
            Self::Unnamed(file, _) => file,
            Self::Named(file) => file.as_file_mut(),
            Self::Spooled(spool) => spool.as_mut(),
        }
    }
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".reprobe-");
    builder
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
    if free >= u128::from(size) {
        return Ok(());
    }
    let directory = directory.display();
    Err(io::Error::other(format!(
        "{directory} has {free} bytes left, and {size} are needed; make room, or let the result go elsewhere"
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
