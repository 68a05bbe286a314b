//! Where differences come from: each cause once, with what it is the cause of.

use std::collections::{BTreeMap, BTreeSet};

use super::super::group::output_of;
use super::super::page::{Look, Page, Text};
use super::super::words::{count, printable};
use super::rows::some_of;
use crate::model::Finding;

/// The causes that were told in the sections above.
#[derive(Debug, Default)]
pub(super) struct Causes<'f> {
    told: BTreeSet<&'f str>,
}

impl<'f> Causes<'f> {
    /// The causes of the findings of one section: `cause of tar.mtime: ..`, and of which of several
    /// variations, where it has several.
    pub(super) fn write(&mut self, page: &mut Page, sets: &[Vec<String>], members: &[&'f Finding]) {
        let mut causes: BTreeMap<(&[String], &str), Vec<&Finding>> = BTreeMap::new();
        for finding in members {
            for culprit in &finding.culprits {
                if let Some(cause) = &culprit.cause {
                    let key = (culprit.variations.as_slice(), cause.words.as_str());
                    causes.entry(key).or_default().push(finding);
                }
            }
        }
        for ((variations, words), findings) in causes {
            let of = of(&findings, members);
            let by = match sets {
                [_, _, ..] => format!(" ({})", variations.join(" AND ")),
                _ => String::new(),
            };
            let label = format!("cause{of}{by}:");
            let words = if self.told.insert(words) {
                printable(words)
            } else {
                format!("as above, {}", printable(process(words)))
            };
            page.paragraph(4, 2, &Text::from(label).and(Look::Plain, &words));
        }
    }
}

/// The process that a cause begins with.
fn process(words: &str) -> &str {
    let quoted = words.strip_prefix('`').and_then(|rest| rest.find('`'));
    quoted.and_then(|end| words.get(..end + 2)).unwrap_or(words)
}

/// Of which ones of a section something is said, unless of all: by their outputs or fields where
/// these tell them from the others.
fn of(some: &[&Finding], all: &[&Finding]) -> String {
    if some.len() == all.len() {
        return String::new();
    }
    let told_by = |name: for<'f> fn(&'f Finding) -> &'f str| {
        let names: BTreeSet<&str> = some.iter().map(|finding| name(finding)).collect();
        let alike = all.iter().filter(|finding| names.contains(name(finding)));
        let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
        (alike.count() == some.len()).then(|| format!(" of {}", some_of(&names)))
    };
    told_by(output_of)
        .or_else(|| told_by(|finding| &finding.field))
        .unwrap_or_else(|| {
            let first = some.first().map_or("", |finding| &finding.element);
            let first = printable(first);
            match some.len().saturating_sub(1) {
                0 => format!(" of {first}"),
                more => format!(" of {first} and {}", count(more as u64, "more element")),
            }
        })
}
