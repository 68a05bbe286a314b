//! The verdict, and the one sentence that says why.

use std::collections::BTreeSet;

use super::{Case, Ledger};
use crate::model::{Artifact, ArtifactVerdict, VariationRecord, VariationStatus, Verdict};
use crate::search::Control;

/// So many places that could not be read in full are named.
const PROBLEMS_TOLD: usize = 5;

/// Decides: a difference is a difference whatever else went wrong; without one, everything that was
/// asked for by name must have been tested.
pub(super) fn decide(
    case: &Case<'_>,
    artifacts: &[Artifact],
    variations: &[VariationRecord],
) -> (Verdict, String) {
    if let Some(reason) = no_ground(case) {
        return (Verdict::Inconclusive, reason);
    }
    let judged: Vec<&Artifact> = artifacts
        .iter()
        .filter(|artifact| artifact.decides)
        .collect();
    let differing = judged
        .iter()
        .filter(|a| a.verdict != ArtifactVerdict::Same)
        .count();
    if differing > 0 {
        return (Verdict::NotReproducible, why_not(differing, &judged));
    }
    if judged.is_empty() {
        return (
            Verdict::Inconclusive,
            "the build made nothing that decides".into(),
        );
    }
    let untested = untested(case, variations);
    if !untested.is_empty() {
        let names = untested.join("; ");
        return (
            Verdict::Inconclusive,
            format!("asked for, and not tested: {names}"),
        );
    }
    let varied = variations
        .iter()
        .filter(|v| {
            matches!(
                v.status,
                VariationStatus::Cleared | VariationStatus::Culprit | VariationStatus::Unsettled
            )
        })
        .count();
    if varied == 0 {
        return (Verdict::Inconclusive, "nothing could be varied".into());
    }
    let (controls, all) = case.search.repeats;
    let outputs = plural(judged.len(), "output");
    let are = if judged.len() == 1 { "is" } else { "are" };
    let why = format!(
        "{outputs} {are} identical in {} ({controls} unvaried, {all} with everything varied)",
        plural(case.trials.len(), "trial")
    );
    let why = match unnoticed(case.trials.len()) {
        Some(percent) => format!(
            "{why}; what differs by chance in {percent} % of all builds or more would have shown"
        ),
        None => why,
    };
    (Verdict::Reproducible, why)
}

/// How often something must differ by chance, in percent rounded up, to go unnoticed in so many
/// trials in less than one session of a hundred; nothing for sessions too short to say much.
fn unnoticed(trials: usize) -> Option<u32> {
    let repeats = i32::try_from(trials).ok()?.checked_sub(1)?;
    if repeats < 3 {
        return None;
    }
    // All repeats are like the first trial with (1 - p)^repeats.
    (1..100).find(|percent| (1.0 - f64::from(*percent) / 100.0).powi(repeats) <= 0.01)
}

/// Why nothing can be said at all, if so.
pub(super) fn no_ground(case: &Case<'_>) -> Option<String> {
    if let Some(reason) = &case.spoiled {
        return Some(reason.clone());
    }
    match case.search.control {
        Control::NotRun => Some("the unvaried build was not run".into()),
        Control::Fails => Some("the unvaried build fails".into()),
        Control::Builds | Control::Flaky => None,
    }
}

fn why_not(differing: usize, judged: &[&Artifact]) -> String {
    let sets: BTreeSet<&Vec<String>> = judged.iter().flat_map(|a| &a.culprits).collect();
    let alone = sets.iter().all(|set| set.len() == 1);
    let names: Vec<String> = sets.into_iter().map(|set| together(set)).collect();
    let unstable = judged.iter().any(|artifact| artifact.unstable_elements > 0);
    let unsettled = judged
        .iter()
        .any(|artifact| artifact.unsettled_elements > 0);
    let mut reasons = Vec::new();
    if !names.is_empty() {
        reasons.push(format!(
            "because of {}",
            names.join(if alone { ", " } else { "; " })
        ));
    }
    if unstable {
        reasons.push("between builds of the same environment".to_owned());
    }
    if unsettled {
        reasons.push("for reasons that could not be settled".to_owned());
    }
    let outputs = plural(judged.len(), "output");
    let verb = if differing == 1 { "differs" } else { "differ" };
    format!("{differing} of {outputs} {verb} {}", reasons.join(", and "))
        .trim_end()
        .to_owned()
}

fn together(set: &[String]) -> String {
    match set {
        [name] => name.clone(),
        several => format!("{} together", several.join(" and ")),
    }
}

fn untested(case: &Case<'_>, variations: &[VariationRecord]) -> Vec<String> {
    let asked = case.plan.left_out.iter().filter(|left_out| left_out.asked);
    let mut asked: BTreeSet<&String> = asked.map(|left_out| &left_out.name).collect();
    asked.extend(&case.required);
    let tested = [
        VariationStatus::Culprit,
        VariationStatus::Cleared,
        VariationStatus::Unsettled,
    ];
    let missing = variations.iter().filter(|v| !tested.contains(&v.status));
    missing
        .filter(|v| asked.contains(&v.name))
        .map(|v| match &v.reason {
            Some(reason) => format!("{} ({reason})", v.name),
            None => v.name.clone(),
        })
        .collect()
}

/// What of the control's outputs could not be read in full, and was compared as a whole; the first
/// ones in words.
pub(super) fn unread(ledger: &Ledger) -> Vec<String> {
    let Some(control) = ledger.control() else {
        return Vec::new();
    };
    let problems = control.problems.iter();
    let mut notes: Vec<String> = problems
        .take(PROBLEMS_TOLD)
        .map(|(path, problem)| format!("{path}: {problem}"))
        .collect();
    let more = control.problems.len().saturating_sub(PROBLEMS_TOLD);
    if more > 0 {
        notes.push(format!(
            "{} could not be read in full",
            plural(more, "more place")
        ));
    }
    notes
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::unnoticed;

    #[test]
    fn the_rate_that_would_have_shown_falls_with_the_number_of_trials() {
        assert_eq!(unnoticed(2), None);
        assert_eq!(unnoticed(8), Some(49));
        assert_eq!(unnoticed(45), Some(10));
    }
}
