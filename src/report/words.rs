//! The words that all formats for people share: sets of variations, counts, times and values.

use std::collections::BTreeSet;

use super::group::Differing;
use crate::formats::{self, Kind};
use crate::model::{Field, Finding, Findings, TrialId, TrialRecord, VariationStatus};

/// Longest value shown in full, in characters.
const VALUE_LIMIT: usize = 44;

/// `1 trial`, `3 trials`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = match noun {
        _ if number == 1 => "",
        "repeat" | "trial" | "member" => "s",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {noun}{plural}")
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn and<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// One minimal set of variations: `umask`, `file-order AND locale together`.
pub(super) fn set(names: &[String]) -> String {
    match names {
        [only] => only.clone(),
        _ => format!("{} together", names.join(" AND ")),
    }
}

/// All sets that suffice: `umask`, `either of time, hostname`, `time alone, or a AND b together`.
pub(super) fn alternatives(sets: &[Vec<String>]) -> String {
    match sets {
        [only] => set(only),
        _ if sets.iter().all(|set| set.len() == 1) => {
            let names: Vec<&str> = sets.iter().flatten().map(String::as_str).collect();
            format!("either of {} (each alone is enough)", names.join(" OR "))
        }
        _ => {
            let each: Vec<String> = sets
                .iter()
                .map(|names| match names.as_slice() {
                    [only] => format!("{only} alone"),
                    _ => set(names),
                })
                .collect();
            each.join(", OR ")
        }
    }
}

/// A time as a person says it: `0.42 s`, `12.3 s`, `4 min 05 s`, `1 h 02 min`.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds < 9.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = std::time::Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .as_secs();
    if whole < 3600 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{} h {:02} min", whole / 3600, whole / 60 % 60)
    }
}

/// A text that comes from a build, harmless on a terminal: control characters, and those that
/// change the direction of writing, are escaped.
pub(super) fn printable(text: &str) -> String {
    let harmless = |c: char| {
        !(c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    };
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if harmless(c) {
            safe.push(c);
        } else {
            safe.extend(c.escape_default());
        }
    }
    safe
}

/// What is known of the difference: where contents part, a line for each of several culprits, else
/// the values: `0644 -> 0600`, shortened so that the difference is seen, and times also as dates.
pub(super) fn change(finding: &impl Differing) -> String {
    match finding.evidence() {
        Some(evidence) => evidence
            .lines()
            .map(printable)
            .collect::<Vec<_>>()
            .join("\n"),
        None => changed(finding.field(), finding.values()),
    }
}

fn changed(field: &str, values: [Option<&str>; 2]) -> String {
    let [control, varied] = values.map(|value| match value {
        Some(text) => printable(&dated(field, &short_digest(text))),
        None => "absent".to_owned(),
    });
    let quote = |text: String| {
        if text.is_empty() {
            "''".to_owned()
        } else {
            text
        }
    };
    let shared = shared_start(&control, &varied);
    let [control, varied] = [control, varied].map(|text| quote(window(&text, shared)));
    format!("{control} -> {varied}")
}

/// A time in seconds since 1970, with what it means (UTC); everything else as it is.
fn dated(field: &str, text: &str) -> String {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let is_time = formats::kind(&Field::from(field)) == Kind::Time;
    let seconds = whole.parse().ok().filter(|_| is_time);
    let time = seconds.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    match time {
        Some(time) => format!("{text} ({})", time.format("%Y-%m-%d %H:%M:%S")),
        None => text.to_owned(),
    }
}

/// A digest by its first twelve digits.
fn short_digest(text: &str) -> String {
    let Some((digest, rest)) = text
        .strip_prefix("sha256:")
        .and_then(|text| text.split_at_checked(64))
    else {
        return text.to_owned();
    };
    match digest.get(..12) {
        Some(start) if digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("sha256:{start}…{rest}")
        }
        _ => text.to_owned(),
    }
}

/// How many characters two texts have in common at their start.
fn shared_start(left: &str, right: &str) -> usize {
    left.chars()
        .zip(right.chars())
        .take_while(|(left, right)| left == right)
        .count()
}

/// At most [`VALUE_LIMIT`] characters, beginning shortly before what differs.
fn window(text: &str, shared: usize) -> String {
    let length = text.chars().count();
    if length <= VALUE_LIMIT {
        return text.to_owned();
    }
    let start = if shared + VALUE_LIMIT > length {
        length - VALUE_LIMIT
    } else {
        shared.saturating_sub(8)
    };
    let shown: String = text.chars().skip(start).take(VALUE_LIMIT).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + VALUE_LIMIT < length {
        "…"
    } else {
        ""
    };
    format!("{before}{shown}{after}")
}

/// What is known of a trial.
pub(super) fn record(findings: &Findings, trial: TrialId) -> Option<&TrialRecord> {
    findings.trials.iter().find(|record| record.id == trial)
}

/// What was varied in a trial: `nothing varied`, `umask`, `everything but umask`.
pub(super) fn varied_in(findings: &Findings, trial: TrialId) -> String {
    let Some(record) = record(findings, trial) else {
        return "not recorded".to_owned();
    };
    let first_level = |name: &str| {
        findings
            .variations
            .iter()
            .find(|variation| variation.name == name)
            .and_then(|variation| variation.varied.first())
    };
    let others = record.varied.iter();
    let others =
        others.filter(|(name, level)| first_level(name).is_some_and(|first| first != *level));
    let at = if others.count() > 1 {
        " at other levels"
    } else {
        ""
    };
    let names: Vec<String> = record
        .varied
        .iter()
        .map(|(name, level)| match first_level(name) {
            Some(first) if first != level => format!("{name}={level}"),
            _ => name.clone(),
        })
        .collect();
    let left_alone: Vec<&str> = tested(findings)
        .into_iter()
        .filter(|name| !record.varied.contains_key(*name))
        .collect();
    if names.is_empty() {
        "nothing varied".to_owned()
    } else if left_alone.is_empty() && names.len() > 1 {
        format!("everything varied{at}")
    } else if !left_alone.is_empty() && left_alone.len() < names.len() && left_alone.len() <= 4 {
        format!("everything varied{at} but {}", left_alone.join(", "))
    } else if names.len() <= 4 {
        names.join(", ")
    } else {
        format!("{} varied", count(names.len() as u64, "variation"))
    }
}

/// The variations that were varied and did not break the build.
fn tested(findings: &Findings) -> BTreeSet<&str> {
    findings
        .variations
        .iter()
        .filter(|variation| {
            !matches!(
                variation.status,
                VariationStatus::BreaksBuild | VariationStatus::NotTested
            )
        })
        .map(|variation| variation.name.as_str())
        .collect()
}

/// The sets of a finding's culprits, in order.
pub(super) fn sets(finding: &Finding) -> Vec<Vec<String>> {
    let mut sets: Vec<Vec<String>> = finding
        .culprits
        .iter()
        .map(|culprit| culprit.variations.clone())
        .collect();
    sets.sort_by(|left, right| (left.len(), left).cmp(&(right.len(), right)));
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn pairs_and_alternatives_cannot_be_mistaken_for_each_other() {
        assert_eq!(alternatives(&[names(&["umask"])]), "umask");
        assert_eq!(
            alternatives(&[names(&["file-order", "locale"])]),
            "file-order AND locale together"
        );
        assert_eq!(
            alternatives(&[names(&["hostname"]), names(&["time"])]),
            "either of hostname OR time (each alone is enough)"
        );
        assert_eq!(
            alternatives(&[names(&["time"]), names(&["file-order", "locale"])]),
            "time alone, OR file-order AND locale together"
        );
    }

    #[test]
    fn long_values_are_cut_around_what_differs() {
        let long = "a".repeat(200);
        let [one, two] = ["one", "two"].map(|end| format!("{long}{end}"));
        let change = changed("content", [Some(&one), Some(&two)]);
        assert!(
            change.contains("one -> …") && change.ends_with("two"),
            "{change}"
        );
        assert!(change.chars().count() < 2 * VALUE_LIMIT + 10);
    }

    #[test]
    fn times_are_shown_as_dates_too_and_nothing_else_is() {
        let shown = |field, value: &str| dated(field, value);
        assert_eq!(
            shown("tar.mtime", "86400.5"),
            "86400.5 (1970-01-02 00:00:00)"
        );
        assert_eq!(shown("tar.atime", "86400"), "86400 (1970-01-02 00:00:00)");
        assert_eq!(shown("gzip.mtime#2", "0"), "0 (1970-01-01 00:00:00)");
        assert_eq!(shown("tar.global.mtime", "0"), "0 (1970-01-01 00:00:00)");
        assert_eq!(shown("tar.uid", "86400"), "86400");
        assert_eq!(
            shown("zip.mtime", "2020-01-01 00:00:00"),
            "2020-01-01 00:00:00"
        );
    }

    #[test]
    fn what_a_build_writes_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}"), "a\\u{1b}[2Jb\\u{202e}");
        assert_eq!(printable("café"), "café");
    }

    #[test]
    fn times_are_said_in_the_unit_that_fits() {
        assert_eq!(seconds(0.4249), "0.42 s");
        assert_eq!(seconds(12.34), "12.3 s");
        assert_eq!(seconds(245.0), "4 min 05 s");
        assert_eq!(seconds(3720.0), "1 h 02 min");
    }
}
