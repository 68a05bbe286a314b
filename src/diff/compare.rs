//! The rules of comparison. An element gives an observation only where both snapshots can speak
//! about it, and a difference is counted once, at the innermost element that shows it:
//!
//! - a field of a path that one of the two lacks is not observed: the path's `presence` is;
//! - an order is compared over the names that both hold; where a directory is called otherwise than
//!   in the control, within it and outside of it;
//! - a name is the control's unless it is said to be another one (see `pairs`);
//! - the bytes of a file of which only some are named fields are not observed where these differ and the
//!   rest does not;
//! - the bytes of an archive are not observed where something inside it differs: what differs
//!   inside explains them. Where nothing does, they are an element of their own (padding, the
//!   compressor);
//! - a source that one of the two builds touched, or gave another mode, without changing what is in it
//!   is in both the same, unless modes count;
//! - a compressed stream counts only where it compresses the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::formats;
use crate::model::{Element, Field, Fields, Renamed, Snapshot, Value, output_of};

/// What the second snapshot says of an element, next to the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It agrees with the first.
    Same,
    /// Another value.
    Value(Value),
    /// The first has it, the second does not.
    Absent,
    /// Nothing can be said.
    Unobserved,
}

/// Which elements are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judged {
    /// Modes of the outputs themselves count.
    pub metadata: bool,
}

/// The second snapshot as seen from the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The judged elements that either of the two holds, but for those that are the same in both: an
    /// archive may hold millions.
    pub seen: BTreeMap<Element, Seen>,
}

impl Comparison {
    /// The elements that differ.
    pub fn differing(&self) -> impl Iterator<Item = &Element> {
        self.seen
            .iter()
            .filter(|(_, seen)| seen.differs())
            .map(|(element, _)| element)
    }
}

impl Seen {
    /// Whether this is a difference.
    pub fn differs(&self) -> bool {
        matches!(self, Self::Value(_) | Self::Absent)
    }
}

/// The paths of the archives around a path, innermost first: `a!/b!/c` is within `a!/b` and `a`.
pub fn enclosing(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rsplit_once("!/").map(|(outer, _)| outer), |outer| {
        outer.rsplit_once("!/").map(|(outer, _)| outer)
    })
}

/// Compares `other` with `control`.
pub fn compare(control: &Snapshot, other: &Snapshot, judged: Judged) -> Comparison {
    let mut here = control.elements.paths().peekable();
    let mut there = other.elements.paths().peekable();
    let mut seen = BTreeMap::new();
    loop {
        let heads = [here.peek(), there.peek()].into_iter().flatten();
        let Some(path) = heads.map(|(path, _)| Arc::clone(path)).min() else {
            break;
        };
        let left = here.next_if(|(own, _)| **own == path);
        let right = there.next_if(|(own, _)| **own == path);
        if !judged.metadata
            && (only_touched(&path, control, other) || only_touched(&path, other, control))
        {
            continue;
        }
        let [left, right] = [left, right].map(|found| found.map(|(_, fields)| fields));
        judge_path(&path, [left, right], judged, &other.renamed, &mut seen);
    }
    leave_to_the_inside(&mut seen);
    Comparison { seen }
}

/// Whether a path is that of a source, or in one, which the one build touched and the other did not: it
/// is the same in both, as far as content goes.
fn only_touched(path: &str, here: &Snapshot, there: &Snapshot) -> bool {
    let output = output_of(path);
    here.touched.contains(output) && !there.outputs.contains_key(output)
}

/// Adds what is not the same of one path, where either of the two may lack it.
fn judge_path(
    path: &Arc<str>,
    [left, right]: [Option<&Fields>; 2],
    judged: Judged,
    renamed: &BTreeMap<String, Renamed>,
    seen: &mut BTreeMap<Element, Seen>,
) {
    let known = match (left, right) {
        (Some(left), Some(right)) if left.say_the_same(right) => return,
        (left, right) => left.is_some() && right.is_some(),
    };
    let (left, right) = (compared(left, judged), compared(right, judged));
    let fields: BTreeSet<&Field> = left.keys().chain(right.keys()).copied().collect();
    for field in fields {
        let found = if known || *field == Field::PRESENCE {
            match (left.get(field).copied(), right.get(field).copied()) {
                (Some(Value::Order(left)), Some(Value::Order(right))) => {
                    order(path, left, right, renamed)
                }
                (Some(_), None) if *field == Field::NAME => Seen::Same,
                (left, right) => judge(left, right),
            }
        } else {
            Seen::Unobserved
        };
        if found != Seen::Same {
            seen.insert(Element::new(Arc::clone(path), field.clone()), found);
        }
    }
}

/// The fields that are compared, and their values.
fn compared(fields: Option<&Fields>, judged: Judged) -> BTreeMap<&Field, &Value> {
    let fields = fields.into_iter().flat_map(Fields::iter);
    let compared = fields.filter(|(field, _)| judged.metadata || !field.is_metadata());
    compared.collect()
}

fn judge(control: Option<&Value>, other: Option<&Value>) -> Seen {
    match (control, other) {
        (left, Some(right)) if left != Some(right) => Seen::Value(right.clone()),
        (Some(_), None) => Seen::Absent,
        _ => Seen::Same,
    }
}

/// Whether the names that both orders hold stand in the same order. Where a directory stands that was
/// renamed follows from its name: what is in it is compared by itself.
fn order(
    archive: &str,
    left: &[String],
    right: &[String],
    renamed: &BTreeMap<String, Renamed>,
) -> Seen {
    let in_left: BTreeSet<&String> = left.iter().collect();
    let in_right: BTreeSet<&String> = right.iter().collect();
    let different = || Seen::Value(Value::Order(right.to_vec()));
    if renamed.is_empty() {
        let common = left.iter().filter(|name| in_right.contains(name));
        let same = common.eq(right.iter().filter(|name| in_left.contains(name)));
        return if same { Seen::Same } else { different() };
    }
    let place = |name: &str| {
        let path = format!("{archive}!/{name}");
        let ends = path.match_indices('/').map(|(at, _)| at).rev();
        let mut above = ends.filter_map(|at| path.get(..at));
        let inside = archive.len() + 2;
        above
            .find(|above| above.len() > inside && renamed.contains_key(*above))
            .map(str::to_owned)
    };
    let common = |names: &[String], others: &BTreeSet<&String>| {
        let mut places: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        for name in names.iter().filter(|name| others.contains(name)) {
            places.entry(place(name)).or_default().push(name.clone());
        }
        places
    };
    if common(left, &in_right) == common(right, &in_left) {
        Seen::Same
    } else {
        different()
    }
}

/// Withdraws the observation of what a difference further inside explains: the bytes of archives,
/// and compressed streams of other bytes.
fn leave_to_the_inside(seen: &mut BTreeMap<Element, Seen>) {
    let mut inside: BTreeSet<String> = BTreeSet::new();
    let mut within: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut content: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut unnamed: BTreeSet<Arc<str>> = BTreeSet::new();
    for (element, _) in seen.iter().filter(|(_, seen)| seen.differs()) {
        inside.extend(enclosing(&element.path).map(str::to_owned));
        if formats::is_compression(&element.field) {
            continue;
        }
        if formats::is_within(&element.field) {
            within.insert(element.path.clone());
        }
        if formats::is_rest(&element.field) {
            unnamed.insert(element.path.clone());
        }
        if element.field == Field::CONTENT {
            content.insert(element.path.clone());
        }
    }
    // A compressed stream of the same bytes explains those of the file that it is in.
    let streams: Vec<Arc<str>> = seen
        .iter()
        .filter(|(element, seen)| {
            seen.differs()
                && formats::is_compression(&element.field)
                && formats::is_within(&element.field)
                && !inside.contains(&*element.path)
        })
        .map(|(element, _)| element.path.clone())
        .collect();
    within.extend(streams);
    for (element, seen) in seen.iter_mut().filter(|(_, seen)| seen.differs()) {
        let path = &element.path;
        let explained = if element.field == Field::CONTENT {
            inside.contains(&**path) || (within.contains(path) && !unnamed.contains(path))
        } else if formats::is_compression(&element.field) {
            inside.contains(&**path)
                || (!formats::is_within(&element.field) && content.contains(path))
        } else {
            // What differs there, the content shows.
            formats::is_rest(&element.field)
        };
        if explained {
            *seen = Seen::Unobserved;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;

    fn snapshot(elements: &[(&str, &str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (path, field, value) in elements {
            let element = Element::new(*path, Field::from(*field));
            snapshot.outputs.insert(element.output().to_owned(), true);
            let value = if field.ends_with("order") {
                Value::Order(value.split(' ').map(str::to_owned).collect())
            } else {
                Value::Text((*value).to_owned())
            };
            snapshot.elements.insert(
                element,
                Observed {
                    value,
                    offset: None,
                },
            );
        }
        snapshot
    }

    fn differing(control: &[(&str, &str, &str)], other: &[(&str, &str, &str)]) -> Vec<String> {
        let all = compare(&snapshot(control), &snapshot(other), Judged::default());
        all.differing()
            .map(|element| format!("{} {}", element.path, element.field))
            .collect()
    }

    #[test]
    fn a_mode_in_a_tar_explains_the_bytes_of_the_archives_around_it() {
        let control = [
            ("x.tgz", "content", "1"),
            ("x.tgz", "gzip.compression", "1"),
            ("x.tgz!/x.tar", "content", "1"),
            ("x.tgz!/x.tar!/a", "content", "1"),
            ("x.tgz!/x.tar!/a", "tar.mode", "0644"),
        ];
        let mut other = control;
        for element in &mut other {
            element.2 = "2";
        }
        other[3].2 = "1";
        assert_eq!(differing(&control, &other), ["x.tgz!/x.tar!/a tar.mode"]);
    }

    #[test]
    fn bytes_that_nothing_inside_explains_are_a_difference_of_their_own() {
        let control = [("x.tgz", "content", "1"), ("x.tgz!/x.tar", "content", "1")];
        let other = [("x.tgz", "content", "2"), ("x.tgz!/x.tar", "content", "1")];
        assert_eq!(differing(&control, &other), ["x.tgz content"]);
    }

    #[test]
    fn a_header_field_explains_the_bytes_of_the_file_it_heads() {
        let control = [("x.gz", "content", "1"), ("x.gz", "gzip.mtime", "1")];
        let other = [("x.gz", "content", "2"), ("x.gz", "gzip.mtime", "2")];
        assert_eq!(differing(&control, &other), ["x.gz gzip.mtime"]);
    }

    #[test]
    fn a_field_in_the_header_of_the_archive_does_not_explain_the_bytes_of_the_member() {
        let control = [("x.tar!/a", "content", "1"), ("x.tar!/a", "tar.mode", "1")];
        let other = [("x.tar!/a", "content", "2"), ("x.tar!/a", "tar.mode", "2")];
        assert_eq!(
            differing(&control, &other),
            ["x.tar!/a content", "x.tar!/a tar.mode"]
        );
    }

    #[test]
    fn a_compressed_member_counts_only_where_its_bytes_are_the_same() {
        let control = [
            ("x.zip", "content", "1"),
            ("x.zip!/a", "content", "1"),
            ("x.zip!/a", "zip.compression", "1"),
        ];
        let mut other = control.map(|(path, field, _)| (path, field, "2"));
        assert_eq!(differing(&control, &other), ["x.zip!/a content"]);
        other[1].2 = "1";
        assert_eq!(differing(&control, &other), ["x.zip!/a zip.compression"]);
    }

    #[test]
    fn named_fields_explain_the_bytes_of_a_file_only_where_the_rest_is_the_same() {
        let control = [
            ("x.png", "content", "1"),
            ("x.png", "png.time", "1"),
            ("x.png", "png.rest", "1"),
        ];
        let mut other = control.map(|(path, field, _)| (path, field, "2"));
        assert_eq!(
            differing(&control, &other),
            ["x.png content", "x.png png.time"]
        );
        other[2].2 = "1";
        assert_eq!(differing(&control, &other), ["x.png png.time"]);
    }

    #[test]
    fn another_compressor_explains_the_bytes_of_the_file() {
        let control = [
            ("x.gz", "content", "1"),
            ("x.gz", "gzip.compression", "1"),
            ("x.gz!/x", "content", "1"),
        ];
        let mut other = control.map(|(path, field, _)| (path, field, "2"));
        other[2].2 = "1";
        assert_eq!(differing(&control, &other), ["x.gz gzip.compression"]);
    }

    #[test]
    fn the_fields_of_a_missing_member_are_not_observed() {
        let control = [("x.tar!/a", "presence", "1"), ("x.tar!/a", "tar.mode", "1")];
        assert_eq!(differing(&control, &[]), ["x.tar!/a presence"]);
        assert_eq!(differing(&[], &control), ["x.tar!/a presence"]);
    }

    #[test]
    fn an_order_is_compared_over_the_names_that_both_hold() {
        let control = [("x.tar", "tar.order", "a b c")];
        assert_eq!(
            differing(&control, &[("x.tar", "tar.order", "a c")]),
            Vec::<String>::new()
        );
        assert_eq!(
            differing(&control, &[("x.tar", "tar.order", "c x a")]),
            ["x.tar tar.order"]
        );
    }
}
