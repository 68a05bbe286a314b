//! Outputs in which nothing differs but how they were packed: `reprobe normalize` behind the build is
//! all that they need.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Ledger;
use crate::diff;
use crate::formats;
use crate::model::difference::Both;
use crate::model::{Element, Field, Finding, escape_name, output_of};

/// So many outputs are named.
const NAMED: usize = 3;
/// An archive of archives that are brought into one form as well.
const PACKAGE: &str = ".deb";

/// In a sentence, where there are any.
pub(super) fn note(ledger: &Ledger, findings: &[Finding]) -> Option<String> {
    let control = ledger.control()?;
    // The passes that an output needs; none where they are not enough.
    let mut outputs: BTreeMap<&str, Option<BTreeSet<String>>> = BTreeMap::new();
    for finding in findings {
        let element = Element::new(
            finding.element.as_str(),
            Field::from(finding.field.as_str()),
        );
        let values = Both {
            first: finding.values.control.clone(),
            second: finding.values.varied.clone(),
        };
        let pass = Some(&finding.element)
            .filter(|path| is_reached(path))
            .and_then(|_| diff::removed_by(control, &element, &values));
        let passes = outputs
            .entry(output_of(&finding.element))
            .or_insert_with(|| Some(BTreeSet::new()));
        match (passes.as_mut(), pass) {
            (Some(passes), Some(pass)) => drop(passes.insert(pass)),
            _ => *passes = None,
        }
    }
    let unread = |output: &str| {
        let mut problems = control.problems.iter();
        problems.any(|(element, _)| output_of(element) == output)
    };
    outputs.retain(|output, _| !unread(output));
    let packed = outputs
        .into_iter()
        .filter_map(|(output, passes)| Some((output, passes?)));
    said(&packed.collect::<Vec<_>>())
}

/// Whether normalizing the output reaches this path: what is in an archive, compressed or not, and in
/// the archives of a package; not what is in archives that are members of others.
fn is_reached(path: &str) -> bool {
    let steps: Vec<&str> = path.split("!/").collect();
    let [output, rest @ ..] = steps.as_slice() else {
        return false;
    };
    let compressed = rest
        .first()
        .is_some_and(|inner| formats::is_payload(output, inner));
    let reached = match () {
        () if output.ends_with(PACKAGE) => 3,
        () if compressed => 2,
        () => 1,
    };
    rest.len() <= reached
}

fn said(outputs: &[(&str, BTreeSet<String>)]) -> Option<String> {
    let (first, _) = outputs.first()?;
    let mut names: Vec<String> = outputs
        .iter()
        .take(NAMED)
        .map(|(output, _)| (*output).to_owned())
        .collect();
    if let more @ 1.. = outputs.len().saturating_sub(NAMED) {
        names.push(format!("{more} more"));
    }
    let passes: BTreeSet<&str> = outputs
        .iter()
        .flat_map(|(_, passes)| passes)
        .map(String::as_str)
        .collect();
    let passes: Vec<&str> = passes.into_iter().collect();
    Some(format!(
        "all that differs in {} is how it was packed ({}), which `reprobe normalize {}` sets where it \
         follows the build: -- 'BUILD && reprobe normalize FILE' proves it",
        names.join(", "),
        passes.join(", "),
        escape_name(first.as_bytes()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_archive_within_an_archive_is_not_reached() {
        for path in [
            "x.zip",
            "x.tar!/a",
            "x.tar.gz",
            "x.tar.gz!/x.tar!/a",
            "x.deb!/data.tar.xz!/data.tar!/a",
        ] {
            assert!(is_reached(path), "{path}");
        }
        for path in ["x.tar!/y.zip!/a", "x.tar.gz!/x.tar!/y.gz!/y"] {
            assert!(!is_reached(path), "{path}");
        }
    }

    #[test]
    fn the_outputs_and_what_is_set_in_them_are_named() {
        let passes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(said(&[]), None);
        let text = said(&[
            ("dist/a.tgz", passes(&["gzip-time"])),
            ("dist/b.whl", passes(&["zip-time", "zip-mode"])),
        ]);
        let text = text.unwrap();
        let begins = "all that differs in dist/a.tgz, dist/b.whl is how it was packed \
                      (gzip-time, zip-mode, zip-time), which `reprobe normalize dist/a.tgz` sets";
        assert!(text.starts_with(begins), "{text}");
    }
}
