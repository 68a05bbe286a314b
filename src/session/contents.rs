//! The bytes of outputs, kept while a session lives: to show where two of them part, and to tell
//! addresses from what else moves. Outputs that are as the control's are kept once, and archives are
//! unpacked once: the members that differ in some trial lie on a shelf then.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Error, Options};
use crate::formats;
use crate::model::{Element, Field, Renamed, Snapshot, TrialId, Value, output_of, own_path};
use crate::sandbox::Sandbox;
use crate::snapshot::{Keep, kept_as, walk};
use crate::store;

/// Larger outputs are not kept, ...
const OUTPUT: u64 = 64 << 20;
/// ... nor is any other, once this much is kept, unless the user wants them.
const ALL: u64 = 2 << 30;
/// So many bytes of outputs are read again in all; a look costs at least this.
const READ: u64 = 512 << 20;
const LOOK: u64 = 64 << 10;
/// Longer contents of one file or member are not looked into.
const CONTENT: usize = 16 << 20;
/// So many bytes of members lie on shelves.
const UNPACKED: u64 = 1 << 30;

/// The outputs of all trials, by trial.
#[derive(Debug)]
pub(super) struct Contents {
    directory: PathBuf,
    /// The user wants them: everything is kept, however large.
    all: bool,
    kept: u64,
    /// The control, and what was in each of its outputs.
    control: Option<(TrialId, BTreeMap<String, Value>)>,
    /// Outputs that a trial made just as the control did.
    same: BTreeSet<(TrialId, String)>,
    /// The members of each output that may be asked for.
    members: BTreeMap<String, BTreeSet<String>>,
    /// The members of archives that were unpacked, by trial and output.
    shelves: RefCell<BTreeMap<(TrialId, String), Shelf>>,
    /// What trials call otherwise than the control, by the path there.
    renamed: BTreeMap<TrialId, BTreeMap<String, Renamed>>,
    /// How much may still be read, and be put on shelves.
    left: Cell<u64>,
    room: Rc<Cell<u64>>,
}

/// Members of one archive, one behind the other in a file without a name.
#[derive(Debug)]
struct Shelf {
    file: File,
    end: u64,
    places: BTreeMap<String, Range<u64>>,
    /// What was looked for, found or not.
    known: BTreeSet<String>,
}

/// Writes to a shelf as long as there is room.
struct Filling {
    file: File,
    room: Rc<Cell<u64>>,
}

impl Write for Filling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room.get().checked_sub(bytes.len() as u64);
        let room = room.ok_or(io::ErrorKind::StorageFull)?;
        let written = self.file.write(bytes)?;
        self.room.set(room);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Shelf {
    /// Takes members out of the archive that stands in `output`.
    fn fill(
        &mut self,
        output: &str,
        archive: &mut File,
        wanted: BTreeSet<String>,
        room: &Rc<Cell<u64>>,
    ) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        let filling = Filling {
            file: self.file.try_clone()?,
            room: Rc::clone(room),
        };
        self.known.extend(wanted.iter().cloned());
        let found = formats::contents(output, archive, wanted, CONTENT, Box::new(filling));
        let begin = self.end;
        for (path, place) in found {
            let place = begin + place.start..begin + place.end;
            self.end = self.end.max(place.end);
            self.places.insert(path, place);
        }
        Ok(())
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let place = self.places.get(path)?;
        let mut bytes = vec![0; usize::try_from(place.end - place.start).ok()?];
        self.file.read_exact_at(&mut bytes, place.start).ok()?;
        Some(bytes)
    }
}

impl Contents {
    /// A place for them: beside the journal, where an interrupted session finds them again, or else
    /// in the scratch directory.
    pub(super) fn new(options: &Options, sandbox: &Sandbox) -> Result<Self, Error> {
        let beside = options.journal.as_deref().and_then(Path::parent);
        let beside = beside.map(store::outputs).filter(|directory| {
            let mut builder = fs::DirBuilder::new();
            // Nobody else's trial looks in here.
            builder
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .is_ok()
        });
        Ok(Self {
            directory: match beside {
                Some(directory) => directory,
                None => sandbox.room_for("outputs")?,
            },
            all: options.keep.is_some(),
            kept: 0,
            control: None,
            same: BTreeSet::new(),
            members: BTreeMap::new(),
            shelves: RefCell::default(),
            renamed: BTreeMap::new(),
            left: Cell::new(READ),
            room: Rc::new(Cell::new(UNPACKED)),
        })
    }

    /// Removes what trials left that did not end.
    pub(super) fn forget_others(&self, ended: impl Fn(TrialId) -> bool) {
        for entry in walk::sorted_entries(&self.directory).unwrap_or_default() {
            let number = entry.name.to_str().and_then(|name| name.parse().ok());
            if !number.is_some_and(|number| ended(TrialId(number))) {
                // Where it cannot be removed, the next trial of this number says so.
                let _ = fs::remove_dir_all(&entry.path);
            }
        }
    }

    /// Where the outputs of a trial are.
    pub(super) fn directory(&self, id: TrialId) -> PathBuf {
        self.directory.join(id.0.to_string())
    }

    /// How the outputs of a trial are to be kept, if there is room.
    pub(super) fn keep(&self, id: TrialId) -> Option<Keep> {
        let limit = OUTPUT.min(ALL.saturating_sub(self.kept));
        let directory = self.directory(id);
        // Where the user wants them, what goes wrong here is named when the directory is opened.
        let made = fs::create_dir_all(&directory).is_ok();
        if self.all {
            return Some(Keep {
                directory,
                up_to: None,
            });
        }
        (made && limit > 0).then_some(Keep {
            directory,
            up_to: Some(limit),
        })
    }

    /// Removes what a trial made just as the control did. The first trial is the control, and the
    /// others are told in its names.
    pub(super) fn sort_out(&mut self, id: TrialId, snapshot: &Snapshot) {
        let directory = self.directory(id);
        if !snapshot.renamed.is_empty() {
            self.renamed.insert(id, snapshot.renamed.clone());
        }
        let renamed = self.renamed.get(&id);
        let place = |output: &str| {
            let own = renamed.map_or(output.into(), |renamed| own_path(renamed, output));
            directory.join(kept_as(Path::new(&*own)))
        };
        match &self.control {
            None => {
                let outputs = snapshot.outputs.keys();
                let digests = outputs
                    .filter_map(|output| Some((output.clone(), digest(snapshot, output)?.clone())));
                self.control = Some((id, digests.collect()));
            }
            Some((_, control)) if !self.all => {
                for output in snapshot.outputs.keys() {
                    let digest = digest(snapshot, output);
                    if digest.is_some() && digest == control.get(output) {
                        // What cannot be removed only takes room.
                        let _ = fs::remove_file(place(output));
                        self.same.insert((id, output.clone()));
                    }
                }
            }
            Some(_) => {}
        }
        let sizes = snapshot
            .outputs
            .keys()
            .filter_map(|output| Some(place(output).symlink_metadata().ok()?.len()));
        self.kept += sizes.sum::<u64>();
    }

    /// Says of elements that their content may be asked for: members of one archive are then
    /// unpacked together.
    pub(super) fn expect<'e>(&mut self, elements: impl Iterator<Item = &'e Element>) {
        for element in elements.filter(|element| element.field == Field::CONTENT) {
            if element.path.contains("!/") {
                let members = self.members.entry(element.output().to_owned());
                members.or_default().insert(element.path.to_string());
            }
        }
    }

    /// The bytes at an element's path as a trial made them, if they were kept.
    pub(super) fn bytes(&self, id: TrialId, path: &str) -> Option<Vec<u8>> {
        let output = output_of(path);
        let trial = if self.same.contains(&(id, output.to_owned())) {
            self.control.as_ref()?.0
        } else {
            id
        };
        if path.contains("!/") {
            return self.member(trial, output, path);
        }
        let mut bytes = Vec::new();
        let limit = u64::try_from(CONTENT).unwrap_or(u64::MAX);
        let file = self.open(trial, output)?;
        file.take(limit + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= CONTENT).then_some(bytes)
    }

    /// What a trial calls the path that the control calls `path`.
    fn own<'p>(&self, trial: TrialId, path: &'p str) -> Cow<'p, str> {
        let renamed = self.renamed.get(&trial);
        renamed.map_or(path.into(), |renamed| own_path(renamed, path))
    }

    /// An output as a trial made it, if it may still be read.
    fn open(&self, trial: TrialId, output: &str) -> Option<File> {
        let place = kept_as(Path::new(&*self.own(trial, output)));
        let file = File::open(self.directory(trial).join(place)).ok()?;
        let cost = file.metadata().ok()?.len().max(LOOK);
        self.left.set(self.left.get().checked_sub(cost)?);
        Some(file)
    }

    /// The trials whose archives of this output were unpacked.
    pub(super) fn unpacked(&self, output: &str) -> Vec<TrialId> {
        let shelves = self.shelves.borrow();
        let own = shelves.keys().filter(|(_, other)| other == output);
        own.map(|(trial, _)| *trial).collect()
    }

    /// The bytes of a member; takes all those that may be asked for out of the archive where this
    /// one was not looked for before.
    fn member(&self, trial: TrialId, output: &str, path: &str) -> Option<Vec<u8>> {
        let mut shelves = self.shelves.borrow_mut();
        let key = (trial, output.to_owned());
        let path = &*self.own(trial, path);
        let known = shelves.get(&key).map(|shelf| &shelf.known);
        if !known.is_some_and(|known| known.contains(path)) {
            let mut archive = self.open(trial, output)?;
            let mut wanted = BTreeSet::from([path.to_owned()]);
            let others = self.members.get(output).into_iter().flatten();
            let others = others.map(|other| self.own(trial, other).into_owned());
            wanted.extend(others.filter(|other| !known.is_some_and(|known| known.contains(other))));
            if !shelves.contains_key(&key) {
                let empty = Shelf {
                    file: tempfile::tempfile_in(&self.directory).ok()?,
                    end: 0,
                    places: BTreeMap::new(),
                    known: BTreeSet::new(),
                };
                shelves.insert(key.clone(), empty);
            }
            let filled = shelves.get_mut(&key)?;
            let output = self.own(trial, output);
            filled
                .fill(&output, &mut archive, wanted, &self.room)
                .ok()?;
        }
        shelves.get(&key)?.bytes(path)
    }
}

fn digest<'s>(snapshot: &'s Snapshot, output: &str) -> Option<&'s Value> {
    let content = Element::new(output, Field::CONTENT);
    snapshot.elements.get(&content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of members as ar(1) writes it, whose names are their contents.
    fn archive(members: &[String]) -> Vec<u8> {
        let mut bytes = b"!<arch>\n".to_vec();
        for name in members {
            let (own, size) = (format!("{name}/"), name.len());
            let header = format!("{own:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
            bytes.extend(header.into_bytes());
            bytes.extend(name.bytes());
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        bytes
    }

    #[test]
    fn an_archive_is_unpacked_once_however_many_of_its_members_are_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..500).map(|number| format!("name{number}")).collect();
        let trial = directory.path().join("7");
        fs::create_dir(&trial).unwrap();
        fs::write(trial.join("x.a"), archive(&names)).unwrap();
        let mut contents = Contents {
            directory: directory.path().to_owned(),
            all: false,
            kept: 0,
            control: None,
            same: BTreeSet::new(),
            renamed: BTreeMap::new(),
            members: BTreeMap::new(),
            shelves: RefCell::default(),
            left: Cell::new(2 * LOOK),
            room: Rc::new(Cell::new(UNPACKED)),
        };
        let element = |name: &String| Element::new(format!("x.a!/{name}"), Field::CONTENT);
        let elements: Vec<Element> = names.iter().map(element).collect();
        contents.expect(elements.iter());
        for (element, name) in elements.iter().zip(&names) {
            let bytes = contents.bytes(TrialId(7), &element.path);
            assert_eq!(bytes.as_deref(), Some(name.as_bytes()));
        }
        assert_eq!(contents.left.get(), LOOK);
        assert!(contents.bytes(TrialId(7), "x.a!/none").is_none());
        assert_eq!(contents.left.get(), 0);
        assert!(contents.bytes(TrialId(7), "x.a!/none").is_none());
        assert_eq!(contents.unpacked("x.a"), [TrialId(7)]);
    }
}
