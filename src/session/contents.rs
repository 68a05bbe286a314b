//! The bytes of outputs, kept while a session lives: to show where two of them part, and to tell
//! addresses from what else moves. Outputs that are as the control's are kept once.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{Error, Options};
use crate::formats;
use crate::model::{Element, Field, Snapshot, TrialId, Value};
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

/// The outputs of all trials, by trial.
#[derive(Debug)]
pub(super) struct Contents {
    directory: PathBuf,
    /// The user wants them: everything is kept, however large.
    all: bool,
    kept: u64,
    control: Option<(TrialId, Snapshot)>,
    /// Outputs that a trial made just as the control did.
    same: BTreeSet<(TrialId, String)>,
    /// How much may still be read.
    left: Cell<u64>,
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
            left: Cell::new(READ),
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

    /// Removes what a trial made just as the control did. The first trial is the control.
    pub(super) fn sort_out(&mut self, id: TrialId, snapshot: &Snapshot) {
        let directory = self.directory(id);
        match &self.control {
            None => self.control = Some((id, snapshot.clone())),
            Some((_, control)) if !self.all => {
                for output in snapshot.outputs.keys() {
                    let digest = digest(snapshot, output);
                    if digest.is_some() && digest == self::digest(control, output) {
                        // What cannot be removed only takes room.
                        let _ = fs::remove_file(directory.join(kept_as(Path::new(output))));
                        self.same.insert((id, output.clone()));
                    }
                }
            }
            Some(_) => {}
        }
        let sizes = snapshot.outputs.keys().filter_map(|output| {
            let path = directory.join(kept_as(Path::new(output)));
            Some(path.symlink_metadata().ok()?.len())
        });
        self.kept += sizes.sum::<u64>();
    }

    /// The bytes at an element's path as a trial made them, if they were kept. A member of an archive
    /// is read through the archive, so that not everything is looked at in a large session.
    pub(super) fn bytes(&self, id: TrialId, path: &str) -> Option<Vec<u8>> {
        let output = path.split_once("!/").map_or(path, |(output, _)| output);
        let place = kept_as(Path::new(output));
        let trial = if self.same.contains(&(id, output.to_owned())) {
            self.control.as_ref()?.0
        } else {
            id
        };
        let mut file = File::open(self.directory(trial).join(&place)).ok()?;
        let cost = file.metadata().ok()?.len().max(LOOK);
        self.left.set(self.left.get().checked_sub(cost)?);
        if path.contains("!/") {
            return formats::content(path, &mut file, CONTENT);
        }
        let mut bytes = Vec::new();
        let limit = u64::try_from(CONTENT).unwrap_or(u64::MAX);
        file.take(limit + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= CONTENT).then_some(bytes)
    }
}

fn digest<'s>(snapshot: &'s Snapshot, output: &str) -> Option<&'s Value> {
    let content = Element::new(output, Field::CONTENT);
    Some(&snapshot.elements.get(&content)?.value)
}
