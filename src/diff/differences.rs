//! Everything in which two snapshots differ, as `reprobe diff` says it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Comparison, Judged, Seen, compare, enclosing, paired, passes};
use crate::model::difference::{Both, Difference, Problem, Which};
use crate::model::{Element, Field, Renamed, Snapshot, Value, output_of};

/// Two snapshots, compared.
#[derive(Debug)]
pub struct Compared {
    /// All elements that differ, by path and field; contents without evidence yet.
    pub differences: Vec<Difference>,
    /// The passes of a normaliser that remove all of them together; empty where none do.
    pub passes: Vec<String>,
    /// How many members each archive has in the first, by the archive's path, where something in it
    /// differs.
    pub members: BTreeMap<String, u64>,
    /// What could not be read in full.
    pub problems: Vec<Problem>,
    /// What the second calls otherwise, by the path in the first.
    pub renamed: BTreeMap<String, Renamed>,
}

/// Compares two snapshots.
pub fn differences(first: &Snapshot, second: &Snapshot, judged: Judged) -> Compared {
    let second = paired(first, second);
    let comparison = compare(first, &second, judged);
    let mut differences = all(first, &comparison);
    let problems = problems(first, &second);
    // Bytes that no reader understood may differ behind fields that do.
    let unclear: BTreeSet<&str> = problems
        .iter()
        .map(|problem| output_of(&problem.element))
        .collect();
    for difference in &mut differences {
        if unclear.contains(output_of(&difference.element)) {
            difference.removed_by = None;
        }
    }
    let passes = passes::of_all(&differences);
    Compared {
        members: members(first, &comparison),
        differences,
        passes,
        problems,
        renamed: second.renamed.clone(),
    }
}

fn all(first: &Snapshot, comparison: &Comparison) -> Vec<Difference> {
    let seen = comparison.seen.iter();
    let differing = seen.filter(|(_, seen)| seen.differs());
    let said = differing.map(|(element, seen)| {
        let other = match seen {
            Seen::Value(value) => Some(value),
            _ => None,
        };
        let values = Both {
            first: first.elements.get(element).map(Value::to_string),
            second: other.map(Value::to_string),
        };
        Difference {
            element: element.path.to_string(),
            field: element.field.to_string(),
            offset: first.elements.offset(element),
            removed_by: passes::removed_by(first, element, &values),
            values,
            evidence: None,
            likely: Vec::new(),
        }
    });
    said.collect()
}

fn members(first: &Snapshot, comparison: &Comparison) -> BTreeMap<String, u64> {
    let around = comparison
        .differing()
        .flat_map(|element: &Element| enclosing(&element.path));
    let mut members: BTreeMap<String, u64> = around.map(|path| (path.to_owned(), 0)).collect();
    for item in first.elements.iter() {
        if *item.field == Field::PRESENCE
            && let Some((archive, _)) = item.path.rsplit_once("!/")
            && let Some(number) = members.get_mut(archive)
        {
            *number += 1;
        }
    }
    members
}

fn problems(first: &Snapshot, second: &Snapshot) -> Vec<Problem> {
    let mut sides: BTreeMap<&(String, String), Which> = BTreeMap::new();
    for problem in &first.problems {
        sides.insert(problem, Which::First);
    }
    for problem in &second.problems {
        let side = sides.entry(problem).or_insert(Which::Second);
        if *side == Which::First {
            *side = Which::Both;
        }
    }
    let said = sides.into_iter().map(|((element, text), side)| Problem {
        element: element.clone(),
        text: text.clone(),
        side,
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::examine;

    /// A snapshot of one file.
    fn snapshot(path: &str, bytes: &[u8]) -> Snapshot {
        let examined = examine(path, &mut &bytes[..]);
        let mut snapshot = Snapshot {
            elements: examined.elements,
            problems: examined.problems.into_iter().collect(),
            ..Snapshot::default()
        };
        snapshot.outputs.insert(path.to_owned(), true);
        let observed = crate::model::Observed {
            value: examined.digest,
            offset: None,
        };
        snapshot
            .elements
            .insert(Element::new(path, Field::CONTENT), observed);
        snapshot
    }

    /// An archive of one member as ar(1) writes it.
    fn archive(mtime: &str, content: &str) -> Vec<u8> {
        let size = content.len();
        format!(
            "!<arch>\n{:<16}{mtime:<12}{:<6}{:<6}{:<8}{size:<10}`\n{content}",
            "a/", 0, 0, 644
        )
        .into_bytes()
    }

    #[test]
    fn what_a_normaliser_sets_is_told_from_content() {
        let of = |one: &[u8], other: &[u8]| {
            differences(
                &snapshot("x.a", one),
                &snapshot("x.a", other),
                Judged::default(),
            )
        };
        let one = archive("1", "same");
        let found = of(&one, &archive("2", "same"));
        assert_eq!(found.passes, ["ar-time"]);
        assert_eq!(found.differences[0].field, "ar.mtime");
        assert_eq!(found.members, [("x.a".to_owned(), 1)].into());
        let found = of(&one, &archive("2", "othr"));
        assert_eq!((found.differences.len(), found.passes), (2, vec![]));
        // What stands behind the members was not understood, and may differ.
        let broken = [archive("2", "same"), b"garbage".to_vec()].concat();
        let found = of(&one, &broken);
        assert!(found.passes.is_empty(), "{found:?}");
        assert_eq!(found.problems[0].side, Which::Second);
    }
}
