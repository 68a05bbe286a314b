//! Lists of differences: a row for what is the same in any number of places, the places above it.

use super::super::group::{Differing, Group, Members, groups};
use super::super::page::{Look, Page, Text};
use super::super::words::{and, count};

/// How many rows a section lists.
pub(super) const GROUPS_LISTED: usize = 12;
/// So many of several equal things are named.
const NAMED: usize = 3;

/// Groups that read the same but for the place. Nothing is around what has no place.
struct Row<'g> {
    places: Vec<Option<String>>,
    field: &'g str,
    extent: String,
    /// In one line, and what takes lines of its own.
    changes: (String, Vec<String>),
    comment: String,
    elements: usize,
}

impl Row<'_> {
    /// The places, where something is around all of them.
    fn around(&self) -> Option<String> {
        let places: Option<Vec<&str>> = self.places.iter().map(Option::as_deref).collect();
        places.map(|places| some_of(&places))
    }

    /// What is said where one of them stands alone.
    fn also(&self) -> String {
        let around: Vec<&String> = self.places.iter().flatten().collect();
        if self.places.len() == around.len() || around.is_empty() {
            return String::new();
        }
        format!(" (also in {})", some_of(&around))
    }
}

/// `a, b, c and 4 more`.
pub(super) fn some_of<S: AsRef<str>>(names: &[S]) -> String {
    let mut some: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => return and(&some),
        more => format!("{more} more"),
    };
    some.push(&more);
    and(&some)
}

fn rows<'g, D: Differing>(
    groups: &'g [Group<'_, D>],
    members: Members<'_>,
    comment: impl Fn(&Group<'_, D>) -> String,
) -> Vec<Row<'g>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for group in groups {
        let new = Row {
            places: vec![group.place()],
            field: group.field,
            extent: group.extent(members),
            changes: group.changes(),
            comment: comment(group),
            elements: group.findings.len(),
        };
        let equal = |row: &&mut Row<'_>| {
            (row.field, &row.extent, &row.changes, &row.comment)
                == (new.field, &new.extent, &new.changes, &new.comment)
        };
        match rows.iter_mut().find(equal) {
            Some(row) => {
                row.places.extend(new.places);
                row.elements += new.elements;
            }
            None => rows.push(new),
        }
    }
    // What stands in the same places stands together.
    rows.sort_by(|a, b| a.places.cmp(&b.places));
    rows
}

/// One row for what is equal, the archives around members as a line of their own.
pub(super) fn list<D: Differing>(
    page: &mut Page,
    indent: usize,
    members: Members<'_>,
    differing: &[&D],
    comment: impl Fn(&Group<'_, D>) -> String,
) {
    let groups = groups(differing.iter().copied());
    let rows = rows(&groups, members, comment);
    let widths = rows.iter().map(|row| row.field.chars().count());
    let column = widths.max().unwrap_or(0).min(24);
    let mut around = None;
    for row in rows.iter().take(GROUPS_LISTED) {
        let place = row.around();
        if let Some(place) = place.as_ref().filter(|_| place != around) {
            page.paragraph(indent, 2, &format!("in {place}").into());
        }
        let (changes, lines) = &row.changes;
        let text = Text::from(format!("{}{}:", row.extent, row.also()))
            .and(Look::Plain, changes)
            .and(Look::Dim, &aside(&row.comment));
        let indent = indent + if place.is_some() { 2 } else { 0 };
        page.row(indent, (Look::Strong, row.field), column, &text);
        for line in lines {
            page.paragraph(indent + column + 2, 2, &line.as_str().into());
        }
        around = place;
    }
    if let Some(rest) = rows.get(GROUPS_LISTED..).filter(|rest| !rest.is_empty()) {
        let elements: usize = rest.iter().map(|row| row.elements).sum();
        let more = count(elements as u64, "element");
        let more = format!("… and {more} more (--json lists all)");
        page.paragraph(indent, 2, &more.into());
    }
}

fn aside(comment: &str) -> String {
    if comment.is_empty() {
        String::new()
    } else {
        format!("– {comment}")
    }
}
