//! The bytes of what differs: of a file where it stands, of members taken out of their archive, once
//! for all of them, into a file without a name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::rc::Rc;

use super::sides::{Sides, open};
use crate::diff;
use crate::formats::{self, ReadAt};
use crate::model::difference::{self, Both, Difference, Evidence, Hunk, Problem, Section, Which};
use crate::model::{Field, Renamed, output_of, own_path};

/// Longer members are not looked into: one is in memory while it is taken out.
const MEMBER: usize = 64 << 20;
/// So many bytes of the members of one file are copied.
const UNPACKED: u64 = 4 << 30;
/// What is listed of all contents takes about so much memory, ...
const ALL: usize = 64 << 20;
/// ... of each at most this, and at least that.
const MOST: usize = 1 << 20;
const LEAST: usize = 1 << 10;

/// Where the bytes of both sides are.
pub(super) struct Contents<'s> {
    sides: &'s Sides,
    renamed: &'s BTreeMap<String, Renamed>,
}

/// A part of a file.
struct Slice {
    file: Rc<File>,
    range: Range<u64>,
}

impl ReadAt for Slice {
    fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let left = self.size().saturating_sub(at);
        let room = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        let mut filled = 0;
        while let Some(room) = out.get_mut(filled..room).filter(|room| !room.is_empty()) {
            match self
                .file
                .read_at(room, self.range.start + at + filled as u64)
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// Bytes by the paths of their elements in the first.
type Slices = BTreeMap<String, Slice>;

impl<'s> Contents<'s> {
    pub(super) fn new(sides: &'s Sides, renamed: &'s BTreeMap<String, Renamed>) -> Self {
        Self { sides, renamed }
    }

    /// Looks into the contents that differ; what cannot be looked into becomes a problem.
    pub(super) fn add_evidence(&self, differences: &mut [Difference], problems: &mut Vec<Problem>) {
        let mut by_output: BTreeMap<String, Vec<&mut Difference>> = BTreeMap::new();
        for difference in differences {
            let both = difference.values.first.is_some() && difference.values.second.is_some();
            // How the same bytes were compressed their compressed form does not show.
            let telling = difference.removed_by.is_none();
            if difference.field == Field::CONTENT.as_str() && both && telling {
                let output = output_of(&difference.element).to_owned();
                by_output.entry(output).or_default().push(difference);
            }
        }
        let mut room = ALL;
        for (output, differences) in by_output {
            let paths: Vec<String> = differences
                .iter()
                .map(|found| found.element.clone())
                .collect();
            let [one, other] = [0, 1].map(|side| self.slices(side, &output, &paths));
            for difference in differences {
                let found = [&one, &other].map(|slices| slices.get(&difference.element));
                match evidence(found, room.clamp(LEAST, MOST)) {
                    Ok(evidence) => {
                        room = room.saturating_sub(size(&evidence));
                        difference.evidence = Some(evidence);
                    }
                    Err(text) => problems.push(Problem {
                        element: difference.element.clone(),
                        text,
                        side: Which::Both,
                    }),
                }
            }
        }
    }

    /// The bytes of elements of one output.
    fn slices(&self, side: usize, output: &str, paths: &[String]) -> Slices {
        let mut slices = Slices::new();
        let renamed = |path: &str| match side {
            0 => path.to_owned(),
            _ => own_path(self.renamed, path).into_owned(),
        };
        let unlike = self.sides.unlike();
        let own = renamed(output);
        let Some(place) = unlike.get(side).and_then(|unlike| unlike.get(&own)) else {
            return slices;
        };
        let members = paths.iter().filter(|path| *path != output);
        let members: BTreeMap<String, String> =
            members.map(|path| (renamed(path), path.clone())).collect();
        if paths.iter().any(|path| path == output) {
            slices.extend(whole(place).map(|slice| (output.to_owned(), slice)));
        }
        if !members.is_empty() {
            // What cannot be unpacked is missed later.
            slices.extend(unpacked(place, &own, &members).unwrap_or_default());
        }
        slices
    }
}

/// Writes as long as there is room.
struct Filling {
    file: File,
    left: u64,
}

impl Write for Filling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or(io::ErrorKind::StorageFull)?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// About how much memory evidence takes.
fn size(evidence: &Evidence) -> usize {
    let range = size_of::<difference::Range>() + 64;
    let texts = |texts: &Both<Vec<String>>| -> usize {
        let both = texts.first.iter().chain(&texts.second);
        both.map(|text| text.len() + size_of::<String>()).sum()
    };
    match evidence {
        Evidence::Lines { hunks, .. } => {
            let sizes = hunks
                .iter()
                .map(|hunk| size_of::<Hunk>() + texts(&hunk.lines));
            sizes.sum()
        }
        Evidence::Sections { sections } => {
            let sizes = sections.iter().map(|section| {
                let ranges = section.ranges.len() * range;
                size_of::<Section>() + texts(&section.strings) + ranges
            });
            sizes.sum()
        }
        Evidence::Bytes { ranges, .. } => ranges.len() * range,
    }
}

fn evidence(found: [Option<&Slice>; 2], room: usize) -> Result<Evidence, String> {
    let [Some(one), Some(other)] = found else {
        return Err(format!(
            "not looked into: longer than {} MiB, or no room for a copy in the temporary directory",
            MEMBER >> 20
        ));
    };
    diff::evidence(one, other, room).map_err(|error| format!("cannot be read again: {error}"))
}

fn whole(place: &Path) -> Option<Slice> {
    let file = open(place).ok()?;
    let range = 0..file.metadata().ok()?.len();
    Some(Slice {
        file: Rc::new(file),
        range,
    })
}

/// Takes members out of an archive; they are given by their own paths, each with its path in the
/// first.
fn unpacked(place: &Path, output: &str, members: &BTreeMap<String, String>) -> io::Result<Slices> {
    let file = tempfile::tempfile()?;
    let wanted: BTreeSet<String> = members.keys().cloned().collect();
    let into = Box::new(Filling {
        file: file.try_clone()?,
        left: UNPACKED,
    });
    let places = formats::contents(output, &mut open(place)?, wanted, MEMBER, into);
    let file = Rc::new(file);
    let slices = places.into_iter().filter_map(|(own, range)| {
        let file = Rc::clone(&file);
        Some((members.get(&own)?.clone(), Slice { file, range }))
    });
    Ok(slices.collect())
}
