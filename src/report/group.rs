//! Findings that tell the same story, put together: two thousand members whose mode differs are one
//! line, not two thousand.

use std::collections::BTreeMap;

use super::words::{change, printable};
use crate::model::{Artifact, Finding, Findings};

/// How many kinds of change are listed before one example stands for all.
const CHANGES_LISTED: usize = 2;

/// Findings of one field: in one archive, or of any number of outputs themselves.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The output around the elements; `None` where the elements are fields of outputs.
    pub(super) output: Option<&'a str>,
    /// The field.
    pub(super) field: &'a str,
    /// At least one.
    pub(super) findings: Vec<&'a Finding>,
}

/// Groups of findings, fields of outputs first, then by output and field.
pub(super) fn groups<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(Option<&str>, &str), Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let output = finding.element.split_once("!/").map(|(output, _)| output);
        groups
            .entry((output, finding.field.as_str()))
            .or_default()
            .push(finding);
    }
    groups
        .into_iter()
        .map(|((output, field), findings)| Group {
            output,
            field,
            findings,
        })
        .collect()
}

impl Group<'_> {
    /// Where: `of dist/x.tar.gz`, `of 14 outputs`, `of 13 of 32 members`, `of all 32 members`.
    pub(super) fn extent(&self, artifacts: &Artifacts<'_>) -> String {
        let number = self.findings.len() as u64;
        match (self.findings.as_slice(), self.output) {
            ([only], None) => printable(&only.element),
            ([only], Some(_)) => inner(&only.element),
            (_, None) => format!("{number} outputs"),
            (_, Some(output)) => match self.total(artifacts, output) {
                total if total == number => format!("all {total} members"),
                total if total > number => format!("{number} of {total} members"),
                // The total counts what the control has; some of these it has not.
                _ => format!("{number} members"),
            },
        }
    }

    fn total(&self, artifacts: &Artifacts<'_>, output: &str) -> u64 {
        artifacts
            .get(output)
            .and_then(|artifact| artifact.elements.get(self.field))
            .copied()
            .unwrap_or(0)
    }

    /// What changed: the change itself where all are alike, what is common to all, or an example;
    /// and what takes lines of its own.
    pub(super) fn changes(&self) -> (String, Vec<String>) {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for finding in &self.findings {
            *kinds.entry(change(finding)).or_default() += 1;
        }
        let example = self.findings.first().map_or(String::new(), |finding| {
            match (self.findings.len(), self.output) {
                (1, _) => String::new(),
                (_, None) => printable(&finding.element),
                (_, Some(_)) => inner(&finding.element),
            }
        });
        let first = self
            .findings
            .first()
            .map_or(String::new(), |first| change(first));
        if first.contains('\n') {
            let example = match example.as_str() {
                "" => String::new(),
                example => format!("e.g. {example}"),
            };
            return (example, first.lines().map(str::to_owned).collect());
        }
        if kinds.len() <= CHANGES_LISTED {
            let mut listed: Vec<(&String, &u64)> = kinds.iter().collect();
            listed.sort_by_key(|(change, number)| (std::cmp::Reverse(**number), (*change).clone()));
            let listed: Vec<&str> = listed.iter().map(|(change, _)| change.as_str()).collect();
            let listed = listed.join(", ");
            return match example.as_str() {
                "" => (listed, Vec::new()),
                example => (format!("{listed} (e.g. {example})"), Vec::new()),
            };
        }
        let changes = match self.constant_step() {
            Some(step) => format!("each by {step:+}, e.g. {example}: {first}"),
            None => format!("e.g. {example}: {first}"),
        };
        (changes, Vec::new())
    }

    /// The difference that all numbers have in common.
    fn constant_step(&self) -> Option<i128> {
        let step = |finding: &Finding| {
            let number = |value: &Option<String>| value.as_ref()?.parse::<i128>().ok();
            number(&finding.values.varied)?.checked_sub(number(&finding.values.control)?)
        };
        let first = step(self.findings.first()?)?;
        self.findings
            .iter()
            .all(|finding| step(finding) == Some(first))
            .then_some(first)
    }
}

/// The path of a member as a person says it: without the output around it, and without the name
/// that a compressed file gives to the one thing inside it.
fn inner(element: &str) -> String {
    let mut steps = element.split("!/");
    let mut outer = steps.next().unwrap_or_default();
    let mut shown: Vec<&str> = Vec::new();
    let mut rest = steps.peekable();
    while let Some(step) = rest.next() {
        if !(is_compressed(outer) && rest.peek().is_some()) {
            shown.push(step);
        }
        outer = step;
    }
    match shown.as_slice() {
        [] => printable(element),
        shown => printable(&shown.join("!/")),
    }
}

fn is_compressed(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        matches!(
            extension,
            "gz" | "tgz" | "xz" | "txz" | "bz2" | "zst" | "lz4" | "lzma"
        )
    })
}

/// All outputs by path.
pub(super) type Artifacts<'a> = BTreeMap<&'a str, &'a Artifact>;

/// The outputs of the findings, by path.
pub(super) fn artifacts(findings: &Findings) -> Artifacts<'_> {
    findings
        .artifacts
        .iter()
        .map(|artifact| (artifact.path.as_str(), artifact))
        .collect()
}

/// The output that an element belongs to.
pub(super) fn output_of(finding: &Finding) -> &str {
    finding
        .element
        .split_once("!/")
        .map_or(finding.element.as_str(), |(output, _)| output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_inside_a_compressed_file_is_left_out() {
        assert_eq!(inner("d/x.tar.gz!/x.tar!/x/setup.py"), "x/setup.py");
        assert_eq!(
            inner("x.deb!/data.tar.xz!/data.tar!/usr/bin/a"),
            "data.tar.xz!/usr/bin/a"
        );
        assert_eq!(inner("x.whl!/a.py"), "a.py");
        assert_eq!(inner("man.1.gz!/man.1"), "man.1");
    }
}
