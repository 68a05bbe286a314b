//! What stands in two directories, or two files alone, and what of it is not the same byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{major, minor};

use super::Error;
use crate::diff::Judged;
use crate::model::difference::{Both, Difference, Problem, Which};
use crate::model::escape_name;
use crate::snapshot::walk::sorted_entries;

/// So many bytes of two files are compared at once.
const CHUNK: usize = 128 << 10;

/// Two things to compare.
pub(super) struct Sides {
    /// What is not the same in both, by the name that both have; of each side the place.
    unlike: [BTreeMap<String, PathBuf>; 2],
    /// The name, where two files are compared.
    name: Option<String>,
    /// How many files and links there are.
    pub(super) files: u64,
    /// How many of these are the same.
    pub(super) identical: u64,
    /// Devices of one kind with other numbers: no content tells them apart.
    pub(super) devices: Vec<Difference>,
    /// Directories that could not be listed.
    pub(super) problems: Vec<Problem>,
}

impl Sides {
    /// Finds out what is not the same.
    pub(super) fn new(first: &Path, second: &Path, judged: Judged) -> Result<Self, Error> {
        let [one, other] = [resolved(first)?, resolved(second)?];
        let mut sides = Self {
            unlike: [BTreeMap::new(), BTreeMap::new()],
            name: None,
            files: 0,
            identical: 0,
            devices: Vec::new(),
            problems: Vec::new(),
        };
        match (one.is_dir(), other.is_dir()) {
            (false, false) => {
                // The second is told by the first's name: what is in a compressed file is called
                // after it.
                let name = first.file_name().unwrap_or(first.as_os_str());
                let name = escape_name(name.as_bytes());
                sides.pair(&name, Some(&one), Some(&other), judged);
                sides.name = Some(name);
            }
            (true, true) => sides.directories(&one, &other, judged),
            (true, false) => return Err(kinds(second, first)),
            (false, true) => return Err(kinds(first, second)),
        }
        Ok(sides)
    }

    /// The name under which both are told, where they are files.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Names and places of what is not the same, of the first and of the second.
    pub(super) fn unlike(&self) -> [&BTreeMap<String, PathBuf>; 2] {
        self.unlike.each_ref()
    }

    /// Everything below two directories. Not by recursion: directories can be nested deeply.
    fn directories(&mut self, one: &Path, other: &Path, judged: Judged) {
        // Below the two, and which of them has a directory there: a link to one is none.
        let mut open = vec![(PathBuf::new(), [true, true])];
        while let Some((below, [in_first, in_second])) = open.pop() {
            let left = self.list(in_first.then(|| one.join(&below)), &below, Which::First);
            let right = self.list(in_second.then(|| other.join(&below)), &below, Which::Second);
            // Where one of them is not known, nothing is said of what is in the other.
            let (Some(left), Some(right)) = (left, right) else {
                continue;
            };
            let names: BTreeSet<&OsString> = left.keys().chain(right.keys()).collect();
            for name in names {
                let path = below.join(name);
                let first = left.get(name).map(|_| one.join(&path));
                let second = right.get(name).map(|_| other.join(&path));
                let shown = escape_name(path.as_os_str().as_bytes());
                self.pair(&shown, first.as_deref(), second.as_deref(), judged);
                let directories = [&left, &right].map(|listed| listed.get(name) == Some(&true));
                if directories.contains(&true) {
                    open.push((path, directories));
                }
            }
        }
    }

    /// The names in a directory, and whether each is one itself; nothing, and a problem, where it cannot
    /// be listed.
    fn list(
        &mut self,
        directory: Option<PathBuf>,
        below: &Path,
        side: Which,
    ) -> Option<BTreeMap<OsString, bool>> {
        let Some(directory) = directory else {
            return Some(BTreeMap::new());
        };
        let listed = sorted_entries(&directory).map_err(|error| {
            self.problems.push(Problem {
                element: escape_name(below.as_os_str().as_bytes()),
                text: format!("cannot list the directory: {error}"),
                side,
            });
        });
        let entries = listed.ok()?.into_iter();
        Some(
            entries
                .map(|entry| (entry.name, entry.kind.is_dir()))
                .collect(),
        )
    }

    /// Takes two things of one name in.
    fn pair(&mut self, name: &str, one: Option<&Path>, other: Option<&Path>, judged: Judged) {
        let data = [one, other].map(|path| path.and_then(|path| path.symlink_metadata().ok()));
        let is_directory = data.iter().flatten().all(Metadata::is_dir);
        self.files += u64::from(!is_directory);
        if let ([Some(left), Some(right)], Some(one), Some(other)) = (&data, one, other)
            && left.file_type() == right.file_type()
            && (!judged.metadata || left.mode() == right.mode())
            && same(left, right, one, other).unwrap_or(false)
        {
            self.identical += u64::from(!is_directory);
            return;
        }
        if let [Some(left), Some(right)] = &data
            && left.file_type() == right.file_type()
            && left.rdev() != right.rdev()
        {
            self.devices.push(device(name, left, right));
        }
        for (unlike, path) in self.unlike.iter_mut().zip([one, other]) {
            unlike.extend(path.map(|path| (name.to_owned(), path.to_owned())));
        }
    }
}

/// Two devices that have other numbers.
fn device(name: &str, left: &Metadata, right: &Metadata) -> Difference {
    let [first, second] = [left, right].map(|data| {
        let (major, minor) = (major(data.rdev()), minor(data.rdev()));
        Some(format!("{major}:{minor}"))
    });
    Difference {
        element: name.to_owned(),
        field: "device".to_owned(),
        offset: None,
        values: Both { first, second },
        evidence: None,
        removed_by: None,
        likely: Vec::new(),
    }
}

/// Where it really is, if it is a file or a directory.
fn resolved(path: &Path) -> Result<PathBuf, Error> {
    let unreadable = |error| Error::Unreadable {
        path: path.to_owned(),
        error,
    };
    let found = path.canonicalize().map_err(unreadable)?;
    let data = found.metadata().map_err(unreadable)?;
    if !data.is_file() && !data.is_dir() {
        return Err(Error::Special {
            path: path.to_owned(),
        });
    }
    Ok(found)
}

fn kinds(file: &Path, directory: &Path) -> Error {
    Error::Kinds {
        file: file.to_owned(),
        directory: directory.to_owned(),
    }
}

/// Whether two things of one type are the same; what is in directories is compared by itself.
fn same(left: &Metadata, right: &Metadata, one: &Path, other: &Path) -> io::Result<bool> {
    if left.is_dir() {
        return Ok(true);
    }
    if left.is_symlink() {
        return Ok(fs::read_link(one)? == fs::read_link(other)?);
    }
    if !left.is_file() {
        return Ok(left.rdev() == right.rdev());
    }
    if (left.dev(), left.ino()) == (right.dev(), right.ino()) {
        // What nobody can read is the same all the same.
        return Ok(true);
    }
    Ok(left.len() == right.len() && same_bytes(open(one)?, open(other)?)?)
}

/// Whether two things are the same.
pub(super) fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let [left, right] = [one.symlink_metadata()?, other.symlink_metadata()?];
    Ok(left.file_type() == right.file_type() && same(&left, &right, one, other)?)
}

/// Should it have become a FIFO meanwhile, opening must not wait for a writer.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    File::options().read(true).custom_flags(flags).open(path)
}

fn same_bytes(mut one: File, mut other: File) -> io::Result<bool> {
    let mut buffers = [vec![0; CHUNK], vec![0; CHUNK]];
    let [left, right] = &mut buffers;
    loop {
        let count = fill(&mut one, left)?;
        let same = fill(&mut other, right)? == count && left.get(..count) == right.get(..count);
        if !same || count < CHUNK {
            return Ok(same);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
