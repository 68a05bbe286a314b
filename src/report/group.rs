//! Findings that tell the same story, put together: two thousand members whose mode differs are one
//! line, not two thousand.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::words::{change, printable};
use crate::formats;
use crate::model::difference::Difference;
use crate::model::{self, Artifact, Finding, Findings};

/// How many kinds of change are listed before one example stands for all.
const CHANGES_LISTED: usize = 2;
/// So many archives inside of one output are told apart.
const ARCHIVES_APART: usize = 3;

/// An element that differs, in a session or between two files.
pub(super) trait Differing {
    /// What files are called of which several are counted.
    const FILES: &'static str;
    /// The path.
    fn element(&self) -> &str;
    /// The field.
    fn field(&self) -> &str;
    /// The two values; none where the element is absent.
    fn values(&self) -> [Option<&str>; 2];
    /// Where contents part, where that says more than the values.
    fn evidence(&self) -> Option<&str>;
}

impl Differing for Finding {
    const FILES: &'static str = "outputs";

    fn element(&self) -> &str {
        &self.element
    }

    fn field(&self) -> &str {
        &self.field
    }

    fn values(&self) -> [Option<&str>; 2] {
        [&self.values.control, &self.values.varied].map(Option::as_deref)
    }

    fn evidence(&self) -> Option<&str> {
        self.evidence.as_deref()
    }
}

impl Differing for Difference {
    const FILES: &'static str = "files";

    fn element(&self) -> &str {
        &self.element
    }

    fn field(&self) -> &str {
        &self.field
    }

    fn values(&self) -> [Option<&str>; 2] {
        [&self.values.first, &self.values.second].map(Option::as_deref)
    }

    /// Takes lines of its own, see `evidence`.
    fn evidence(&self) -> Option<&str> {
        None
    }
}

/// How many members an archive has, by its path.
pub(super) type Members<'m> = &'m dyn Fn(&str) -> Option<u64>;

/// Differing elements of one field: in one archive, in many that are inside of one output, or of any
/// number of outputs themselves.
#[derive(Debug)]
pub(super) struct Group<'a, D = Finding> {
    /// The archives around the elements; none where the elements are fields of outputs.
    pub(super) archives: BTreeSet<&'a str>,
    /// The field.
    pub(super) field: &'a str,
    /// At least one.
    pub(super) findings: Vec<&'a D>,
}

/// Groups of findings, fields of outputs first, then by archive and field.
pub(super) fn groups<'a, D: Differing>(
    findings: impl IntoIterator<Item = &'a D>,
) -> Vec<Group<'a, D>> {
    type ByArchive<'a, D> = BTreeMap<Option<&'a str>, Vec<&'a D>>;
    let mut fields: BTreeMap<(Option<&str>, &str), ByArchive<'_, D>> = BTreeMap::new();
    for finding in findings {
        let archive = finding.element().rsplit_once("!/");
        let archive = archive.map(|(archive, _)| archive);
        let output = archive.map(|_| output_of(finding));
        let archives = fields.entry((output, finding.field())).or_default();
        archives.entry(archive).or_default().push(finding);
    }
    let mut groups: Vec<Group<'_, D>> = Vec::new();
    for ((_, field), archives) in fields {
        let together = archives.len() > ARCHIVES_APART;
        for (index, (archive, findings)) in archives.into_iter().enumerate() {
            match groups.last_mut().filter(|_| together && index > 0) {
                Some(group) => {
                    group.archives.extend(archive);
                    group.findings.extend(findings);
                }
                None => groups.push(Group {
                    archives: archive.into_iter().collect(),
                    field,
                    findings,
                }),
            }
        }
    }
    groups.sort_by_cached_key(|group| (group.place(), group.field));
    groups
}

impl<'a, D: Differing> Group<'a, D> {
    /// What is around the elements, as a person says it.
    pub(super) fn place(&self) -> Option<String> {
        let mut archives = self.archives.iter();
        match (archives.next()?, archives.next()) {
            (only, None) => Some(printable(&steps(only, false).join("!/"))),
            (first, Some(_)) => Some(printable(first.split("!/").next().unwrap_or_default())),
        }
    }

    /// An element as a person says it who knows the place.
    fn name(&self, finding: &'a D) -> String {
        let within = match self.archives.len() {
            0 => return printable(finding.element()),
            1 => finding
                .element()
                .rsplit_once("!/")
                .map(|(_, name)| name.to_owned()),
            _ => steps(finding.element(), true)
                .get(1..)
                .map(|steps| steps.join("!/")),
        };
        printable(&within.unwrap_or_default())
    }

    /// Where: `of dist/x.tar.gz`, `of 14 outputs`, `of 13 of 32 members`, `of all 32 members`. The
    /// members of an archive are counted alike whatever the field.
    pub(super) fn extent(&self, members: Members<'_>) -> String {
        let number = self.findings.len() as u64;
        if let [only] = self.findings.as_slice() {
            return self.name(only);
        }
        match self.archives.len() {
            0 => return format!("{number} {}", D::FILES),
            1 => {}
            several => return format!("{number} members of {several} archives"),
        }
        let members = self.archives.first().and_then(|archive| members(archive));
        match members {
            Some(all) if all == number => format!("all {all} members"),
            Some(all) if all > number => format!("{number} of {all} members"),
            // The total counts what the control has; some of these it has not.
            _ => format!("{number} members"),
        }
    }

    /// What changed: the change itself where all are alike, what is common to all, or an example;
    /// and what takes lines of its own.
    pub(super) fn changes(&self) -> (String, Vec<String>) {
        let mut kinds: BTreeMap<String, (u64, &'a D)> = BTreeMap::new();
        for finding in &self.findings {
            let (number, _) = kinds.entry(change(*finding)).or_insert((0, *finding));
            *number += 1;
        }
        let example = match self.findings.as_slice() {
            [first, _, ..] => self.name(first),
            _ => String::new(),
        };
        let first = self
            .findings
            .first()
            .map_or(String::new(), |first| change(*first));
        if first.contains('\n') {
            let example = match example.as_str() {
                "" => String::new(),
                example => format!("e.g. {example}"),
            };
            return (example, first.lines().map(str::to_owned).collect());
        }
        if kinds.len() <= CHANGES_LISTED {
            let mut listed: Vec<(String, (u64, &'a D))> = kinds.into_iter().collect();
            listed.sort_by_key(|(change, (number, _))| (Reverse(*number), change.clone()));
            // Each change with a name of its own: whose it is must not be guessed.
            let listed = listed.into_iter().map(|(change, (number, finding))| {
                match (example.as_str(), number) {
                    ("", _) => change,
                    (_, 1) => format!("{change} ({})", self.name(finding)),
                    _ => format!("{change} (e.g. {})", self.name(finding)),
                }
            });
            return (listed.collect::<Vec<_>>().join(", "), Vec::new());
        }
        let changes = match self.constant_step() {
            Some(step) => format!("each by {step:+}, e.g. {example}: {first}"),
            None => format!("e.g. {example}: {first}"),
        };
        (changes, Vec::new())
    }

    /// The difference that all numbers have in common.
    fn constant_step(&self) -> Option<i128> {
        let step = |finding: &D| {
            let [control, varied] = finding.values().map(|value| value?.parse::<i128>().ok());
            varied?.checked_sub(control?)
        };
        let first = step(self.findings.first()?)?;
        self.findings
            .iter()
            .all(|finding| step(finding) == Some(first))
            .then_some(first)
    }
}

/// A path as a person says it.
pub(super) fn shown_path(path: &str) -> String {
    printable(&steps(path, true).join("!/"))
}

/// The steps of a path as a person says them: without the name that a compressed file gives to the
/// one thing inside it, but for the last one where that is what is meant.
fn steps(path: &str, last: bool) -> Vec<&str> {
    let mut outer = "";
    let mut shown: Vec<&str> = Vec::new();
    let mut rest = path.split("!/").peekable();
    while let Some(step) = rest.next() {
        if !formats::is_payload(outer, step) || (last && rest.peek().is_none()) {
            shown.push(step);
        }
        outer = step;
    }
    shown
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

/// How many members each archive in the outputs has.
pub(super) fn members_in<'a>(artifacts: &'a Artifacts<'_>) -> impl Fn(&str) -> Option<u64> + 'a {
    |archive| {
        let artifact = artifacts.get(model::output_of(archive))?;
        artifact.members.get(archive).copied()
    }
}

/// The output that an element belongs to.
pub(super) fn output_of(finding: &impl Differing) -> &str {
    model::output_of(finding.element())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{artifact, finding};
    use super::*;
    use crate::model::ArtifactVerdict;

    #[test]
    fn the_name_inside_a_compressed_file_is_left_out() {
        let told = shown_path;
        assert_eq!(
            told("d/x.tar.gz!/x.tar!/x/setup.py"),
            "d/x.tar.gz!/x/setup.py"
        );
        assert_eq!(
            told("x.deb!/data.tar.xz!/data.tar!/usr/bin/a"),
            "x.deb!/data.tar.xz!/usr/bin/a"
        );
        assert_eq!(told("x.crate!/x.tar!/x/a.rs"), "x.crate!/x/a.rs");
        // Android's are zip archives, whose members have names of their own.
        assert_eq!(told("x.apk!/b.zip!/c"), "x.apk!/b.zip!/c");
        assert_eq!(told("x.whl!/a.py"), "x.whl!/a.py");
        assert_eq!(told("man.1.gz!/man.1"), "man.1.gz!/man.1");
        assert_eq!(steps("x.tar.gz!/x.tar", false), ["x.tar.gz"]);
    }

    #[test]
    fn an_excerpt_stands_beside_the_name_that_it_is_of() {
        let mut findings = ["b/a.o", "b/build.ninja", "b/c.o"]
            .map(|name| finding(name, "content", ["1", "2"]))
            .to_vec();
        findings[0].evidence = Some("line 1: x".to_owned());
        for index in [1, 2] {
            findings[index].evidence = Some(".debug_str: y".to_owned());
        }
        let all = groups(&findings);
        assert_eq!(
            all[0].changes().0,
            ".debug_str: y (e.g. b/build.ninja), line 1: x (b/a.o)"
        );
    }

    fn of(archives: &[&str]) -> Vec<Finding> {
        let named = |name: &&str| finding(name, "tar.mode", ["0644", "0600"]);
        archives.iter().map(named).collect()
    }

    #[test]
    fn members_are_counted_by_the_archive_that_holds_them_whatever_the_field() {
        let tar = "x.deb!/data.tar.xz!/data.tar";
        let mut deb = artifact("x.deb", ArtifactVerdict::Differs, &[]);
        deb.members = [("x.deb".to_owned(), 3), (tar.to_owned(), 2)].into();
        // Contents count the output itself and what is in the compressed member, too.
        deb.elements.insert("content".to_owned(), 7);
        let artifacts = BTreeMap::from([("x.deb", &deb)]);
        let mut findings = of(&["x.deb!/control.tar.xz", "x.deb!/data.tar.xz"]);
        for field in ["tar.mode", "content"] {
            for name in ["a", "b"] {
                let element = format!("{tar}!/{name}");
                findings.push(finding(&element, field, ["1", "2"]));
            }
        }
        let said: Vec<_> = groups(&findings)
            .iter()
            .map(|group| {
                let place = group.place().unwrap();
                format!(
                    "{place}: {} of {}",
                    group.field,
                    group.extent(&members_in(&artifacts))
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                "x.deb: tar.mode of 2 of 3 members",
                "x.deb!/data.tar.xz: content of all 2 members",
                "x.deb!/data.tar.xz: tar.mode of all 2 members",
            ]
        );
    }

    #[test]
    fn many_archives_inside_of_one_output_are_one_group() {
        let findings = of(&["w!/1!/a", "w!/2!/a", "w!/3!/a", "w!/4!/a", "w!/4!/b"]);
        let all = groups(&findings);
        let [group] = all.as_slice() else { panic!() };
        assert_eq!(group.place().unwrap(), "w");
        assert_eq!(group.extent(&|_| None), "5 members of 4 archives");
        assert_eq!(group.changes().0, "0644 -> 0600 (e.g. 1!/a)");
    }
}
