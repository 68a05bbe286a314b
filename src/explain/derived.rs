//! Differences that only follow another one: a list of checksums changes when a file that it lists
//! does, and the path of a debug file when the program does that it belongs to. They are reported
//! as derived, by recomputing the checksum over the control's content, or because they differ in
//! exactly the trials in which the other does; the words say which. Everything else stands on its
//! own.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Contents};
use crate::model::{Element, Field, Finding, FindingState, TrialId, Value};

/// One line of a list of checksums.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry<'t> {
    /// The file, as the list names it.
    path: &'t str,
    checksum: Checksum,
}

/// What a list says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Checksum {
    /// In hexadecimal, which we can recompute.
    Sha256(String),
    /// Another kind.
    Other,
}

/// Why a finding is derived.
struct Reason {
    /// The elements that it follows.
    followed: BTreeSet<Element>,
    words: &'static str,
}

const RECOMPUTED: &str = "it holds the SHA-256 of";
const CHECKSUMS: &str = "it holds checksums, and differs in exactly the trials in which this does:";
const NAMED_AFTER: &str =
    "its path holds a build-id, and differs in exactly the trials in which this does:";

/// Marks the findings that follow others.
pub(super) fn mark(case: &Case<'_>, contents: Contents<'_>, findings: &mut [Finding]) {
    let reasons: Vec<Option<Reason>> = findings
        .iter()
        .map(|finding| reason(case, contents, findings, finding))
        .collect();
    for (finding, reason) in findings.iter_mut().zip(reasons) {
        if let Some(reason) = reason {
            finding.state = FindingState::Derived;
            finding.remedies.clear();
            let mut followed = reason.followed.iter().map(|element| element.path.as_str());
            let first = followed.next().unwrap_or_default();
            let more = match followed.count() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            finding.reason = Some(format!("{} {first}{more}", reason.words));
        }
    }
}

fn reason(
    case: &Case<'_>,
    contents: Contents<'_>,
    findings: &[Finding],
    finding: &Finding,
) -> Option<Reason> {
    if finding.state != FindingState::Certified {
        return None;
    }
    let reason = if finding.field == Field::CONTENT.as_str() {
        list_of_checksums(case, contents, findings, finding)
    } else if finding.field == Field::PRESENCE.as_str() && finding.element.contains(BUILD_ID) {
        build_id(case, findings, finding)
    } else {
        None
    }?;
    // What it follows must account for all that is to blame.
    let followed = findings
        .iter()
        .filter(|other| reason.followed.contains(&element_of(other)));
    let known: BTreeSet<&Vec<String>> = followed
        .flat_map(|other| &other.culprits)
        .map(|culprit| &culprit.variations)
        .collect();
    let own = finding.culprits.iter().map(|culprit| &culprit.variations);
    own.into_iter()
        .all(|set| known.contains(set))
        .then_some(reason)
}

const BUILD_ID: &str = "/.build-id/";

fn list_of_checksums(
    case: &Case<'_>,
    contents: Contents<'_>,
    findings: &[Finding],
    finding: &Finding,
) -> Option<Reason> {
    let element = Element::new(finding.element.as_str(), Field::CONTENT);
    let control = case.ledger.control_trial()?;
    let number = case.ledger.number_of(&element)?;
    let other = case.ledger.first_difference(number)?;
    let (old, new) = (contents(control, &element)?, contents(other, &element)?);
    let (old, new) = (
        std::str::from_utf8(&old).ok()?,
        std::str::from_utf8(&new).ok()?,
    );
    let changed: Vec<Entry<'_>> = changed_lines(old, new).map(entry).collect::<Option<_>>()?;
    let mut followed = BTreeSet::new();
    let mut recomputed = true;
    let in_control: BTreeSet<&str> = old.lines().collect();
    for (line, entry) in changed_lines(old, new).zip(&changed) {
        let listed = listed(findings, finding, entry.path)?;
        let own = case
            .ledger
            .control()
            .and_then(|control| Some(&control.elements.get(&listed)?.value));
        if in_control.contains(line) {
            recomputed &= match (&entry.checksum, own) {
                (Checksum::Sha256(listed), Some(Value::Digest { sha256, .. })) => listed == sha256,
                _ => false,
            };
        }
        followed.insert(listed);
    }
    if followed.is_empty() {
        return None;
    }
    if recomputed {
        return Some(Reason {
            followed,
            words: RECOMPUTED,
        });
    }
    let theirs: BTreeSet<TrialId> = followed
        .iter()
        .flat_map(|element| differing(case, element))
        .collect();
    (theirs == differing(case, &element)).then_some(Reason {
        followed,
        words: CHECKSUMS,
    })
}

fn build_id(case: &Case<'_>, findings: &[Finding], finding: &Finding) -> Option<Reason> {
    let own = differing(case, &element_of(finding));
    let contents = findings.iter().filter(|other| {
        other.field == Field::CONTENT.as_str()
            && other.state == FindingState::Certified
            && !other.element.contains(BUILD_ID)
    });
    let followed: BTreeSet<Element> = contents
        .map(element_of)
        .filter(|other| differing(case, other) == own)
        .collect();
    (!followed.is_empty()).then_some(Reason {
        followed,
        words: NAMED_AFTER,
    })
}

fn element_of(finding: &Finding) -> Element {
    Element::new(
        finding.element.as_str(),
        Field::from(finding.field.as_str()),
    )
}

/// The trials in which an element was not as in the control.
fn differing(case: &Case<'_>, element: &Element) -> BTreeSet<TrialId> {
    let Some(number) = case.ledger.number_of(element) else {
        return BTreeSet::new();
    };
    let differs = |trial: &TrialId| {
        let seen = case.ledger.seen(*trial).and_then(|seen| seen.get(number));
        seen.is_some_and(|seen| seen.differs())
    };
    case.trials
        .iter()
        .map(|record| record.id)
        .filter(differs)
        .collect()
}

/// The lines that only one of two texts has, those of the first text first.
fn changed_lines<'t>(old: &'t str, new: &'t str) -> impl Iterator<Item = &'t str> {
    let count = |text: &'t str| {
        let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
        for line in text.lines() {
            *lines.entry(line).or_default() += 1;
        }
        lines
    };
    let (before, after) = (count(old), count(new));
    let gone: Vec<&str> = old
        .lines()
        .filter(|line| before.get(line) != after.get(line))
        .collect();
    let come: Vec<&str> = new
        .lines()
        .filter(|line| before.get(line) != after.get(line))
        .collect();
    gone.into_iter().chain(come)
}

/// A line of a wheel's RECORD (`path,sha256=…,size`), or of what sha256sum(1), md5sum(1) and their
/// relatives write.
fn entry(line: &str) -> Option<Entry<'_>> {
    if let Some((path, rest)) = line.rsplit_once(",sha256=") {
        let (digest, _) = rest.split_once(',')?;
        let checksum = Checksum::Sha256(hexadecimal_of_base64(digest)?);
        return Some(Entry { path, checksum });
    }
    let (digest, path) = line.split_once(' ')?;
    let path = path.strip_prefix([' ', '*'])?;
    let hexadecimal = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let checksum = match digest.len() {
        64 => Checksum::Sha256(digest.to_ascii_lowercase()),
        32 | 40 | 96 | 128 => Checksum::Other,
        _ => return None,
    };
    (hexadecimal && !path.is_empty()).then_some(Entry { path, checksum })
}

/// The element that a list names, in the same output or beside it: the content of a file, or a path
/// that holds a build-id.
fn listed(findings: &[Finding], list: &Finding, path: &str) -> Option<Element> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let output = |element: &str| {
        element
            .split_once("!/")
            .map(|(output, _)| output.to_owned())
    };
    let fits = |other: &&Finding| {
        let ends = other.element.strip_suffix(path);
        let content = other.field == Field::CONTENT.as_str();
        let renamed = other.field == Field::PRESENCE.as_str() && other.element.contains(BUILD_ID);
        (content || renamed)
            && other.state == FindingState::Certified
            && other.element != list.element
            && output(&other.element) == output(&list.element)
            && ends.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    findings.iter().find(fits).map(element_of)
}

/// URL-safe base64 without padding (RFC 4648, section 5), which wheels use, as hexadecimal.
fn hexadecimal_of_base64(text: &str) -> Option<String> {
    let mut bits: u32 = 0;
    let mut held = 0;
    let mut hexadecimal = String::new();
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        while held >= 4 {
            held -= 4;
            hexadecimal.push(char::from_digit(bits >> held & 0xf, 16)?);
        }
    }
    // 43 letters are 258 bits: the last two are padding.
    hexadecimal.truncate(hexadecimal.len() / 2 * 2);
    Some(hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_checksums_are_read_and_others_are_not() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let sha256 = Checksum::Sha256(empty.to_owned());
        let record = "a b,c.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0";
        let expected = Entry {
            path: "a b,c.py",
            checksum: sha256.clone(),
        };
        assert_eq!(entry(record), Some(expected));
        let sum = format!("{empty} *a b");
        assert_eq!(
            entry(&sum),
            Some(Entry {
                path: "a b",
                checksum: sha256
            })
        );
        let md5 = "d41d8cd98f00b204e9800998ecf8427e  usr/bin/x";
        let expected = Entry {
            path: "usr/bin/x",
            checksum: Checksum::Other,
        };
        assert_eq!(entry(md5), Some(expected));
        for other in [
            "",
            "Version: 1",
            "d41d8cd98f00b204e9800998ecf8427e",
            "RECORD,,",
            "zz  x",
        ] {
            assert_eq!(entry(other), None, "{other}");
        }
    }

    #[test]
    fn changed_lines_are_those_that_one_side_has_alone() {
        let changed: Vec<_> = changed_lines("a\nb\nb\nc\n", "a\nb\nd\n").collect();
        assert_eq!(changed, ["b", "b", "c", "b", "d"]);
    }
}
