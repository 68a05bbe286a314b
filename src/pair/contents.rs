//! The bytes of what differs: of a file where it stands, of members taken out of their archive, once
//! for all of them, into a file without a name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::rc::Rc;

use super::sides::{Sides, open};
use crate::diff;
use crate::formats::{self, ReadAt};
use crate::model::difference::{Difference, Evidence, Problem, Which};
use crate::model::{Field, Renamed, output_of, own_path};

/// Longer members are not looked into: one is in memory while it is taken out.
const MEMBER: usize = 64 << 20;

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
        for (output, differences) in by_output {
            let paths: Vec<String> = differences
                .iter()
                .map(|found| found.element.clone())
                .collect();
            let [one, other] = [0, 1].map(|side| self.slices(side, &output, &paths));
            for difference in differences {
                let found = [&one, &other].map(|slices| slices.get(&difference.element));
                match evidence(found) {
                    Ok(evidence) => difference.evidence = Some(evidence),
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

fn evidence(found: [Option<&Slice>; 2]) -> Result<Evidence, String> {
    let [Some(one), Some(other)] = found else {
        return Err(format!(
            "not looked into: longer than {} MiB, or no room for a copy in the temporary directory",
            MEMBER >> 20
        ));
    };
    diff::evidence(one, other).map_err(|error| format!("cannot be read again: {error}"))
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
    let into = Box::new(file.try_clone()?);
    let places = formats::contents(output, &mut open(place)?, wanted, MEMBER, into);
    let file = Rc::new(file);
    let slices = places.into_iter().filter_map(|(own, range)| {
        let file = Rc::clone(&file);
        Some((members.get(&own)?.clone(), Slice { file, range }))
    });
    Ok(slices.collect())
}
