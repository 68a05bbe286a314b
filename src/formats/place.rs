//! Where a reader of a format stands in the tree of members, and what it has found so far. The
//! limits on depth, members and unpacked bytes are kept here, and said as problems when reached.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::format::Format;
use super::stream::{Hash, Stream, Whole, hexadecimal};
use super::{Examined, hashed, recognise};
use crate::model::{Element, Field, Observed, Value, escape_bytes, escape_name};

/// Steps into archives within archives.
const DEPTH: u32 = 12;
/// Longer texts of header fields stand as their digest.
const TEXT: usize = 256;
/// Longer names of members, in bytes, are shortened.
const NAME: usize = 4 << 10;
/// Buffer of a stream inside another one, and the most that a reader can peek.
const BUFFER: usize = 36 << 10;

/// How much of one output is looked into, all its archives together: ends decompression bombs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Members.
    pub members: u32,
    /// Bytes of members.
    pub unpacked: u64,
}

impl Default for Budget {
    /// The most that one output is given.
    fn default() -> Self {
        Self {
            members: 250_000,
            unpacked: 64 << 30,
        }
    }
}

/// What was found in one output, and what is left of the limits.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) examined: Examined,
    pub(super) budget: Budget,
    members: u32,
    unpacked: u64,
    wanted: Option<Wanted>,
    /// How many members are being taken down: the one that is read, and those around it.
    around: u32,
}

/// Members whose bytes are asked for, and where they go.
pub(super) struct Wanted {
    /// Those that were not met yet.
    paths: BTreeSet<String>,
    /// Longer ones are left out.
    limit: usize,
    into: Box<dyn Write>,
    end: u64,
    /// Where each one stands in what was written.
    places: BTreeMap<String, Range<u64>>,
    /// Set when all were met: nothing more has to be read.
    met: Rc<Cell<bool>>,
}

/// Passes a stream on, and takes down its bytes as long as they are not too many.
struct Capture<'a> {
    source: &'a mut dyn Read,
    bytes: Vec<u8>,
    limit: usize,
    whole: bool,
}

/// Ends a source early, once nothing more of it is wanted.
pub(super) struct UntilMet<'a> {
    source: &'a mut dyn Read,
    met: Rc<Cell<bool>>,
}

impl Read for Capture<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(out)?;
        self.whole &= count <= self.limit.saturating_sub(self.bytes.len());
        if self.whole {
            self.bytes
                .extend_from_slice(out.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}

impl Read for UntilMet<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.met.get() {
            return Ok(0);
        }
        self.source.read(out)
    }
}

impl Wanted {
    /// Members by their paths; those of at most `limit` bytes are written to `into`.
    pub(super) fn new(paths: BTreeSet<String>, limit: usize, into: Box<dyn Write>) -> Self {
        Self {
            met: Rc::new(Cell::new(paths.is_empty())),
            paths,
            limit,
            into,
            end: 0,
            places: BTreeMap::new(),
        }
    }

    /// The source, read no further than is needed.
    pub(super) fn of<'s>(&self, source: &'s mut dyn Read) -> UntilMet<'s> {
        UntilMet {
            source,
            met: Rc::clone(&self.met),
        }
    }

    /// Takes down a member that was read to its end.
    fn take(&mut self, path: String, capture: &Capture<'_>) {
        if !capture.whole {
            return;
        }
        if self.into.write_all(&capture.bytes).is_err() {
            // Nobody knows how much of it was written, so that nothing can stand behind it.
            self.paths.clear();
            return;
        }
        let end = self.end + capture.bytes.len() as u64;
        self.places.insert(path, self.end..end);
        self.end = end;
    }
}

impl Findings {
    /// To take down the bytes of some members.
    pub(super) fn that_want(wanted: Wanted) -> Self {
        Self {
            wanted: Some(wanted),
            ..Self::default()
        }
    }

    /// Where the bytes of the members stand that were found and read in full.
    pub(super) fn into_places(self) -> BTreeMap<String, Range<u64>> {
        self.wanted
            .map_or_else(BTreeMap::new, |wanted| wanted.places)
    }
}

/// A container or member, while it is read.
pub(super) struct Place<'f> {
    findings: &'f mut Findings,
    path: Arc<str>,
    depth: u32,
}

/// The names of an archive's members, in its order.
#[derive(Default)]
pub(super) struct Names {
    used: BTreeMap<String, u32>,
    order: Vec<String>,
    /// One was too long, and it was said.
    shortened: bool,
}

impl<'f> Place<'f> {
    pub(super) fn new(findings: &'f mut Findings, path: &str) -> Self {
        Self {
            findings,
            path: path.into(),
            depth: 0,
        }
    }

    /// The path of its elements.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Records a field and where it stands in the stream.
    pub(super) fn field(&mut self, field: Field, value: Value, offset: impl Into<Option<u64>>) {
        let element = Element::new(Arc::clone(&self.path), field);
        let offset = offset.into();
        self.findings
            .examined
            .elements
            .insert(element, Observed { value, offset });
    }

    /// Whether this field was recorded here.
    pub(super) fn has(&self, field: &Field) -> bool {
        let element = Element::new(Arc::clone(&self.path), field.clone());
        self.findings.examined.elements.contains(&element)
    }

    /// Records a field whose name and text are known.
    pub(super) fn text(&mut self, name: &'static str, text: impl Into<String>, offset: u64) {
        self.field(Field::new(name), Value::Text(text.into()), offset);
    }

    /// Records a field of raw bytes: as text, or as their digest where they are long.
    pub(super) fn raw(&mut self, name: &'static str, bytes: &[u8], offset: u64) {
        self.field(Field::new(name), raw(bytes), offset);
    }

    /// Records a field of a member read earlier.
    pub(super) fn field_of(&mut self, path: &str, field: Field, value: Value, offset: u64) {
        let offset = Some(offset);
        let element = Element::new(path, field);
        self.findings
            .examined
            .elements
            .insert(element, Observed { value, offset });
    }

    /// Records that something could not be read in full.
    pub(super) fn problem(&mut self, text: impl Into<String>) {
        let problem = (self.path.to_string(), text.into());
        self.findings.examined.problems.push(problem);
    }

    /// Enters the next member of an archive; `None` where there are too many.
    pub(super) fn member(&mut self, names: &mut Names, name: &[u8]) -> Option<Place<'_>> {
        let most = self.findings.budget.members;
        if self.findings.members >= most {
            self.problem(format!(
                "more than {most} members; the rest is compared as a whole"
            ));
            return None;
        }
        self.findings.members += 1;
        let name = escape_name(name);
        if name.len() > NAME && !names.shortened {
            names.shortened = true;
            self.problem(format!(
                "names of more than {NAME} bytes are shown in part, with their digest"
            ));
        }
        let name = names.add(&shortened(name, NAME));
        Some(self.enter(&name))
    }

    /// Enters what a compressed file holds, named after that file: `x.tar` of `x.tar.gz`.
    pub(super) fn payload(&mut self, format: &Format) -> Place<'_> {
        let name = format.payload_name(&self.path);
        self.enter(name.as_deref().unwrap_or("data"))
    }

    /// Enters what an object holds that has no name of its own.
    pub(super) fn part(&mut self, name: &str) -> Place<'_> {
        self.enter(name)
    }

    fn enter(&mut self, name: &str) -> Place<'_> {
        let mut place = Place {
            path: format!("{}!/{name}", self.path).into(),
            depth: self.depth + 1,
            findings: self.findings,
        };
        place.field(Field::PRESENCE, Value::Text("present".to_owned()), None);
        place
    }

    /// Reads the content of this member, and what is inside it.
    pub(super) fn content(&mut self, source: &mut dyn Read, offset: u64) -> Whole {
        let most = self.findings.budget.unpacked;
        let left = most - self.findings.unpacked;
        let mut limited = source.take(left);
        let asked = self.findings.wanted.as_mut();
        let asked =
            asked.and_then(|wanted| wanted.paths.remove(&*self.path).then_some(wanted.limit));
        let whole = match asked {
            None => self.look_inside(&mut limited, BUFFER),
            Some(limit) => self.taken_down(&mut limited, limit),
        };
        self.findings.unpacked += whole.size.min(left);
        if whole.size >= left {
            self.problem(format!(
                "more than {} MiB unpacked; the rest is compared as a whole",
                most >> 20
            ));
        }
        self.field(Field::CONTENT, whole.digest.clone(), offset);
        whole
    }

    /// Reads a member whose bytes are asked for.
    fn taken_down(&mut self, source: &mut dyn Read, limit: usize) -> Whole {
        let mut capture = Capture {
            source,
            bytes: Vec::new(),
            limit,
            whole: true,
        };
        self.findings.around += 1;
        let whole = self.look_inside(&mut capture, BUFFER);
        self.findings.around -= 1;
        capture.whole &= whole.error.is_none();
        if let Some(wanted) = &mut self.findings.wanted {
            wanted.take(self.path.to_string(), &capture);
            // What is around it may be asked for as well, and is not read to its end yet.
            wanted
                .met
                .set(wanted.paths.is_empty() && self.findings.around == 0);
        }
        whole
    }

    /// Reads a stream to its end, through the format that its first bytes show.
    pub(super) fn look_inside(&mut self, source: &mut dyn Read, capacity: usize) -> Whole {
        let mut stream = Stream::new(source, capacity);
        if holds_digest(&self.path) {
            stream = stream.sketched();
        }
        if let Some(format) = recognise(stream.peek(super::PREFIX)) {
            if self.depth < DEPTH {
                (format.read)(&mut stream, self);
            } else {
                self.problem(format!(
                    "nested deeper than {DEPTH} archives; compared as a whole"
                ));
            }
        }
        let mut whole = stream.finish();
        if let Some(sketch) = whole.sketch.take().filter(|sketch| !sketch.is_empty()) {
            let sketches = &mut self.findings.examined.sketches;
            sketches.push((self.path.to_string(), sketch));
        }
        whole
    }
}

/// Whether the name of a file, or of the one that it is in, may hold a digest.
fn holds_digest(path: &str) -> bool {
    let mut steps = path.rsplit("!/").take(2);
    steps.any(|step| hashed::may_hold(hashed::last(step)))
}

impl Names {
    /// The name, with `#2` and so on where the archive holds it already.
    fn add(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        while self.used.contains_key(&unique) {
            let count = self.used.entry(name.to_owned()).or_insert(1);
            *count += 1;
            unique = format!("{name}#{count}");
        }
        self.used.insert(unique.clone(), 1);
        self.order.push(unique.clone());
        unique
    }

    /// The names in the archive's order.
    pub(super) fn order(self) -> Value {
        Value::Order(self.order)
    }
}

/// Raw bytes as a value: text, or their digest where they are long.
pub(super) fn raw(bytes: &[u8]) -> Value {
    if bytes.len() > TEXT {
        Hash::of(bytes)
    } else {
        Value::Text(escape_bytes(bytes))
    }
}

/// A name of at most `limit` bytes and its digest, where it is longer: it is told from others, and
/// what repeats it stays small.
pub(super) fn shortened(name: String, limit: usize) -> String {
    if name.len() <= limit {
        return name;
    }
    let end = name.floor_char_boundary(limit);
    let digest = Sha256::digest(name.as_bytes());
    let head = name.get(..end).unwrap_or_default();
    format!(
        "{head}… ({} bytes, sha256:{})",
        name.len(),
        hexadecimal(&digest)
    )
}

/// Binary bytes as a value: hexadecimal, or their digest where they are long.
pub(super) fn binary(bytes: &[u8]) -> Value {
    if bytes.len() > 32 {
        Hash::of(bytes)
    } else {
        Value::Text(hexadecimal(bytes))
    }
}

/// Bytes up to the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::gzip;
    use super::*;

    #[test]
    fn repeated_names_are_numbered_and_never_collide() {
        let mut names = Names::default();
        let added: Vec<_> = ["a", "a#2", "a", "a"].map(|name| names.add(name)).into();
        assert_eq!(added, ["a", "a#2", "a#3", "a#4"]);
        assert_eq!(names.order(), Value::Order(added));
    }

    #[test]
    fn long_names_are_told_apart_and_stay_small() {
        let mut findings = Findings::default();
        let mut place = Place::new(&mut findings, "x.tar");
        let mut names = Names::default();
        let long = |end: &str| format!("{}{end}", "ä".repeat(1 << 19));
        let paths = ["1", "2", "1"].map(|end| {
            let member = place.member(&mut names, long(end).as_bytes()).unwrap();
            member.path().to_owned()
        });
        assert!(
            paths.iter().all(|path| path.len() < NAME + 128),
            "{paths:?}"
        );
        assert_ne!(paths[0], paths[1]);
        assert_eq!(format!("{}#2", paths[0]), paths[2]);
        // It is said once.
        let said = findings.examined.problems;
        assert!(said.len() == 1 && said[0].1.contains("4096"), "{said:?}");
    }

    #[test]
    fn a_payload_is_named_after_the_compressed_file() {
        let mut findings = Findings::default();
        for (outer, inner) in [
            ("d/x.tar.gz", "d/x.tar.gz!/x.tar"),
            ("x.tgz", "x.tgz!/x.tar"),
            ("x.bin", "x.bin!/data"),
            ("d/.gz", "d/.gz!/data"),
            ("a.zip!/b.gz", "a.zip!/b.gz!/b"),
        ] {
            let mut place = Place::new(&mut findings, outer);
            assert_eq!(place.payload(&gzip::FORMAT).path(), inner);
        }
    }
}
