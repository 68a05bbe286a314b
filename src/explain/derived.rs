//! Differences that only follow another one: a name that holds a digest changes when the content
//! does, and a list of names or checksums when a file that it lists does. They are reported as
//! derived, by recomputing the digest over the control's content, by putting back what they hold, or
//! because they differ in exactly the trials in which the other does; the words say which. Everything
//! else stands on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Case, Contents, Follows, How};
use crate::formats::{digits, hashed};
use crate::model::{Culprit, Element, Field, Finding, FindingState, TrialId, Value};

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
const DIGEST: &str = "its name holds the SHA-256 of its content; what differs is";
const NAMED: &str = "its name differs in exactly the trials in which this does:";
const HOLDS: &str = "it differs only in what it holds of";

/// Marks the findings that follow others.
pub(super) fn mark(case: &Case<'_>, contents: Contents<'_>, findings: &mut [Finding]) {
    let reasons: Vec<Option<Reason>> = findings
        .iter()
        .map(|finding| {
            following(case, finding).or_else(|| reason(case, contents, findings, finding))
        })
        .collect();
    inherit(findings, &reasons);
    for (finding, reason) in findings.iter_mut().zip(reasons) {
        if let Some(reason) = reason {
            finding.state = FindingState::Derived;
            finding.remedies.clear();
            finding.rate = None;
            let mut followed = reason.followed.iter().map(|element| &*element.path);
            let first = followed.next().unwrap_or_default();
            let more = match followed.count() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            finding.reason = Some(format!("{} {first}{more}", reason.words));
        }
    }
}

/// What follows others by all that was seen of both.
fn following(case: &Case<'_>, finding: &Finding) -> Option<Reason> {
    let number = case.ledger.number_of(&element_of(finding))?;
    let Follows { followed, how } = case.follows.get(&number)?;
    let elements = case.ledger.elements();
    let followed: BTreeSet<Element> = followed
        .iter()
        .filter_map(|number| elements.get(*number).cloned())
        .collect();
    let words = match how {
        How::Holds => HOLDS,
        How::Named if is_sha256(case, number) => DIGEST,
        How::Named => NAMED,
    };
    (!followed.is_empty()).then_some(Reason { followed, words })
}

/// Whether a name holds the SHA-256 of the content in the control, whole or cut off.
fn is_sha256(case: &Case<'_>, number: usize) -> bool {
    let element = case.ledger.elements().get(number);
    let content = element.and_then(|element| {
        let content = Element::new(Arc::clone(&element.path), Field::CONTENT);
        case.ledger.control()?.elements.get(&content)
    });
    let Some((Value::Digest { sha256, .. }, name)) = content.zip(case.ledger.control_value(number))
    else {
        return false;
    };
    let bytes = digits::bytes(sha256).unwrap_or_default();
    let written = [
        sha256.clone(),
        digits::base64(&bytes),
        digits::base64url(&bytes),
    ];
    let name = name.to_string();
    let other = case.ledger.first_difference(number);
    let other = other.and_then(|trial| case.ledger.value_in(number, trial));
    let other = other.map(ToString::to_string).unwrap_or_default();
    let runs = hashed::differing(&name, &other);
    !runs.is_empty()
        && runs.iter().all(|(run, _)| {
            let run = run.replace('/', "");
            written.iter().any(|digest| digest.starts_with(&run))
        })
}

/// What follows others and was not proven by itself has their culprits.
fn inherit(findings: &mut [Finding], reasons: &[Option<Reason>]) {
    let places: BTreeMap<Element, usize> = findings
        .iter()
        .enumerate()
        .map(|(index, finding)| (element_of(finding), index))
        .collect();
    for _ in 0..findings.len() {
        let mut changed = false;
        for (index, reason) in reasons.iter().enumerate() {
            let Some(reason) = reason else { continue };
            if findings.get(index).is_none_or(|f| !f.culprits.is_empty()) {
                continue;
            }
            let followed = reason
                .followed
                .iter()
                .filter_map(|element| places.get(element));
            let followed = followed.filter_map(|place| findings.get(*place));
            let mut culprits: Vec<Culprit> = Vec::new();
            for culprit in followed.flat_map(|finding| &finding.culprits) {
                if !culprits
                    .iter()
                    .any(|known| known.variations == culprit.variations)
                {
                    culprits.push(culprit.clone());
                }
            }
            if let (Some(finding), false) = (findings.get_mut(index), culprits.is_empty()) {
                culprits.sort_by(|a, b| a.variations.cmp(&b.variations));
                finding.culprits = culprits;
                changed = true;
            }
        }
        if !changed {
            break;
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
    if finding.field != Field::CONTENT.as_str() {
        return None;
    }
    let reason = list_of_checksums(case, contents, findings, finding)?;
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
    let names = names_in(case, other);
    for (line, entry) in changed_lines(old, new).zip(&changed) {
        let path = names.iter().filter(|_| !in_control.contains(line));
        let path = path.fold(entry.path.to_owned(), |path, (own, control)| {
            path.replace(own.as_str(), control)
        });
        let listed = listed(findings, finding, &path)?;
        let control = case.ledger.control();
        let own = |element| control?.elements.get(element);
        if in_control.contains(line) {
            recomputed &= match (&entry.checksum, listed.first().and_then(own)) {
                (Checksum::Sha256(listed), Some(Value::Digest { sha256, .. })) => listed == sha256,
                _ => false,
            };
        }
        followed.extend(listed);
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

/// What a trial calls otherwise than the control: its names and those of the control.
fn names_in(case: &Case<'_>, trial: TrialId) -> Vec<(String, String)> {
    let elements = case.ledger.elements().iter().enumerate();
    let names = elements.filter(|(_, element)| element.field == Field::NAME);
    let pairs = names.filter_map(|(number, _)| {
        let own = case.ledger.value_in(number, trial)?;
        let control = case.ledger.control_value(number)?;
        (own != control).then(|| (own.to_string(), control.to_string()))
    });
    pairs.collect()
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

/// The element that a list names, in the same output or beside it; of an archive, what differs in it.
fn listed(findings: &[Finding], list: &Finding, path: &str) -> Option<Vec<Element>> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let output = |element: &str| {
        element
            .split_once("!/")
            .map(|(output, _)| output.to_owned())
    };
    let beside =
        |element: &str| element != list.element && output(element) == output(&list.element);
    let ends = |element: &str| {
        let before = element.strip_suffix(path);
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    let is_it = |other: &&Finding| {
        other.field == Field::CONTENT.as_str()
            && other.state == FindingState::Certified
            && beside(&other.element)
            && ends(&other.element)
    };
    if let Some(found) = findings.iter().find(is_it) {
        return Some(vec![element_of(found)]);
    }
    let is_in_it = |other: &&Finding| {
        let mut archives = other.element.match_indices("!/");
        archives.any(|(at, _)| {
            let archive = other.element.get(..at);
            archive.is_some_and(|archive| ends(archive) && beside(archive))
        })
    };
    // Where something in it is not understood, it is not known what the list follows.
    let within: Vec<&Finding> = findings.iter().filter(is_in_it).collect();
    let known = within
        .iter()
        .all(|found| matches!(found.state, FindingState::Certified | FindingState::Derived));
    (known && !within.is_empty()).then(|| within.into_iter().map(element_of).collect())
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
