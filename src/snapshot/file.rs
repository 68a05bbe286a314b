//! One output on disk: its elements, and a copy of it where copies are kept. Special files are
//! never opened.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::{Whence, lseek};

use super::Error;
use super::select::Selected;
use crate::formats::{self, Budget, Examined};
use crate::model::{Element, Field, Observed, Value, escape_bytes};

/// The field that stands in the place of a file's content where it could not be read.
pub const ERROR: Field = Field::new("error");

/// The elements of an output and inside it, in no order; and what could not be read.
pub(super) fn examine(output: &Selected, budget: Budget) -> Examined {
    let mut examined = Examined::default();
    let metadata = match fs::symlink_metadata(&output.path) {
        Ok(metadata) => metadata,
        Err(error) => {
            unreadable(&mut examined, output, &error);
            return examined;
        }
    };
    if metadata.is_file() {
        match open(&output.path, &metadata) {
            Ok(mut source) => {
                examined = formats::examine_within(&output.name, &mut *source, budget);
            }
            Err(error) => examined.error = Some(error),
        }
        if let Some(error) = examined.error.take() {
            unreadable(&mut examined, output, &error);
        } else {
            let digest = examined.digest.clone();
            push(&mut examined, output, Field::CONTENT, digest);
        }
    }
    if metadata.is_symlink() {
        match fs::read_link(&output.path) {
            Ok(target) => {
                let target = escape_bytes(target.as_os_str().as_bytes());
                push(
                    &mut examined,
                    output,
                    Field::LINK_TARGET,
                    Value::Text(target),
                );
            }
            Err(error) => unreadable(&mut examined, output, &error),
        }
    } else {
        let mode = format!("{:04o}", metadata.mode() & 0o7777);
        push(&mut examined, output, Field::MODE, Value::Text(mode));
    }
    let present = Value::Text("present".to_owned());
    push(&mut examined, output, Field::PRESENCE, present);
    let kind = Value::Text(kind(&metadata).to_owned());
    push(&mut examined, output, Field::KIND, kind);
    examined
}

/// Copies the output below `directory`, for other tools to look at. Special files are left out.
pub(super) fn keep(output: &Selected, directory: &Path) -> Result<(), Error> {
    let to = directory.join(&output.kept);
    copy(&output.path, &to).map_err(|error| Error::Keep {
        from: output.path.clone(),
        to,
        error,
    })
}

/// The same for a file of at most `limit` bytes, and without a word where it cannot be done.
pub(super) fn keep_if_possible(output: &Selected, directory: &Path, limit: u64) {
    let size = fs::symlink_metadata(&output.path).map_or(u64::MAX, |data| data.len());
    let to = directory.join(&output.kept);
    if size <= limit && copy(&output.path, &to).is_err() {
        // A part of a copy is worse than none.
        let _ = fs::remove_file(&to);
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if metadata.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if metadata.is_dir() {
        // Stays writable: copies of what is in it follow.
        return fs::create_dir_all(to);
    }
    if metadata.is_file() {
        fs::copy(from, to)?;
        File::options()
            .read(true)
            .open(to)?
            .set_modified(metadata.modified()?)?;
        fs::set_permissions(
            to,
            fs::Permissions::from_mode(metadata.mode() & 0o777 | 0o400),
        )?;
    }
    Ok(())
}

fn push(examined: &mut Examined, output: &Selected, field: Field, value: Value) {
    let element = Element::new(output.name.as_str(), field);
    let offset = None;
    examined
        .elements
        .insert(element, Observed { value, offset });
}

fn unreadable(examined: &mut Examined, output: &Selected, error: &io::Error) {
    let text = format!("cannot read: {error}");
    push(examined, output, ERROR, Value::Text(text.clone()));
    examined.problems.push((output.name.clone(), text));
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_file() {
        "file"
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_symlink() {
        "symlink"
    } else if kind.is_fifo() {
        "fifo"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_block_device() {
        "block device"
    } else {
        "character device"
    }
}

/// Opens a regular file; one with holes is read without asking the disk for them.
fn open(path: &Path, metadata: &Metadata) -> io::Result<Box<dyn Read>> {
    // Should it have become a FIFO meanwhile, opening must not wait for a writer.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it changed while it was read"));
    }
    // st_blocks counts 512 bytes, whatever the file system's block size (stat(2)).
    if metadata.blocks().saturating_mul(512) < metadata.len() {
        return Ok(Box::new(Sparse {
            file,
            at: 0,
            size: metadata.len(),
            hole: 0,
            data: 0,
        }));
    }
    Ok(Box::new(file))
}

/// A file with holes (lseek(2), `SEEK_DATA` and `SEEK_HOLE`).
struct Sparse {
    file: File,
    at: u64,
    size: u64,
    /// Where the data that begins at or before `at` ends.
    hole: u64,
    /// Where the next data begins.
    data: u64,
}

impl Sparse {
    /// Finds out what stands at `at`.
    fn look(&mut self) -> io::Result<()> {
        let at = i64::try_from(self.at).map_err(io::Error::other)?;
        match lseek(&self.file, at, Whence::SeekData) {
            Ok(data) => self.data = data.unsigned_abs(),
            Err(nix::Error::ENXIO) => self.data = self.size,
            Err(error) => return Err(error.into()),
        }
        if self.data == self.at {
            self.hole = lseek(&self.file, at, Whence::SeekHole)?.unsigned_abs();
            lseek(&self.file, at, Whence::SeekSet)?;
        }
        Ok(())
    }
}

impl Read for Sparse {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size {
            return Ok(0);
        }
        if self.at >= self.hole && self.at >= self.data {
            self.look()?;
        }
        let (until, is_data) = if self.at < self.data {
            (self.data, false)
        } else {
            (self.hole, true)
        };
        let until = until.min(self.size);
        let room = usize::try_from(until - self.at)
            .unwrap_or(usize::MAX)
            .min(out.len());
        let Some(out) = out.get_mut(..room) else {
            return Ok(0);
        };
        let count = if is_data {
            self.file.read(out)?
        } else {
            out.fill(0);
            room
        };
        self.at += count as u64;
        Ok(count)
    }
}
