//! The verdict, and the one sentence that says why.

use std::collections::BTreeSet;

use super::{Case, Ledger};
use crate::model::{
    Artifact, ArtifactVerdict, Checkout, Tested, VariationRecord, VariationStatus, Varies, Verdict,
};
use crate::plan::Why;
use crate::search::{Control, Note};

/// So many places that could not be read in full are named.
const PROBLEMS_TOLD: usize = 5;

/// Decides: a difference is a difference whatever else went wrong; without one, everything that was
/// asked for by name must have been tested.
pub(super) fn decide(
    case: &Case<'_>,
    artifacts: &[Artifact],
    variations: &[VariationRecord],
    tested: &Tested,
    checkout: Checkout,
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
        .filter(|artifact| counting(artifact, checkout) != ArtifactVerdict::Same)
        .count();
    let aside = aside(variations, checkout);
    if let Some(stopped) = stopped(case).or_else(|| budget_used(case))
        && differing > 0
        && !judged.iter().any(|artifact| is_decided(artifact, &aside))
    {
        let outputs = plural(judged.len(), "output");
        let differ = if differing == 1 { "differs" } else { "differ" };
        let why = format!(
            "{differing} of {outputs} {differ}, and it is not known yet whether by more than the \
             checkout; {stopped}"
        );
        return (Verdict::Inconclusive, why);
    }
    if differing > 0 {
        let why = why_not(case, differing, &judged, &aside);
        // Where the held clock parted as well, that may be this tool's doing alone.
        let verdict = if case.clock_moved.is_some() && differs_by_chance_alone(&judged) {
            Verdict::Inconclusive
        } else {
            Verdict::NotReproducible
        };
        return (verdict, why);
    }
    if let Some(stopped) = stopped(case) {
        let so_far = if case.trials.len() < 2 {
            "nothing was compared yet"
        } else {
            "nothing differs so far"
        };
        return (Verdict::Inconclusive, format!("{stopped}; {so_far}"));
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
    if tested.variations == 0 {
        return (Verdict::Inconclusive, "nothing could be varied".into());
    }
    (Verdict::Reproducible, identical(case, &judged, tested))
}

/// Whether a difference counts, whatever a search that was stopped would still have found. Where what
/// the variations `aside` do does not count, others must be known to have a part in it.
fn is_decided(artifact: &Artifact, aside: &BTreeSet<&str>) -> bool {
    let counts = |set: &Vec<String>| set.iter().any(|name| !aside.contains(name.as_str()));
    artifact.verdict != ArtifactVerdict::Same
        && (aside.is_empty()
            || artifact.unstable_elements > 0
            || artifact.culprits.iter().any(counts))
}

/// Whether nothing differs but what differs between builds of the same environment.
fn differs_by_chance_alone(judged: &[&Artifact]) -> bool {
    let by_chance = |artifact: &&Artifact| {
        artifact.culprits.is_empty()
            && artifact.unsettled_elements == 0
            && artifact.unstable_elements > 0
    };
    let mut differing = judged
        .iter()
        .filter(|artifact| artifact.verdict != ArtifactVerdict::Same);
    differing.all(by_chance)
}

/// In how many trials the outputs that decide were identical, and what that is worth.
fn identical(case: &Case<'_>, judged: &[&Artifact], tested: &Tested) -> String {
    let (controls, all) = case.search.repeats;
    let outputs = plural(judged.len(), "output");
    let are = if judged.len() == 1 { "is" } else { "are" };
    let whole = judged.iter().all(|a| a.verdict == ArtifactVerdict::Same);
    let but = if whole { "" } else { ", but for the checkout," };
    let trials = case.trials.len();
    let known = usize::try_from(controls.saturating_add(all)).unwrap_or(trials);
    let rest = match trials.saturating_sub(known) {
        0 => String::new(),
        rest => format!(", {rest} at other levels or with less"),
    };
    let why = format!(
        "{outputs} {are} identical{but} in {} ({controls} unvaried, {all} with everything varied{rest})",
        plural(trials, "trial")
    );
    let why = match unnoticed(trials) {
        Some(percent) => format!(
            "{why}; what differs by chance in {percent} % of all builds would almost surely have shown"
        ),
        None => why,
    };
    match not_tested(tested) {
        Some(not_tested) => format!("{why}; {not_tested}"),
        None => why,
    }
}

/// How much of what can vary was varied.
pub(super) fn tested(case: &Case<'_>, variations: &[VariationRecord]) -> Tested {
    let left_out = case.plan.left_out.iter();
    let left_out = left_out.filter(|left| matches!(left.why, Why::Chosen | Why::Overruled));
    let left_out: Vec<String> = left_out.map(|left| left.name.clone()).collect();
    let (tested, not): (Vec<_>, Vec<_>) = variations.iter().partition(|v| was_tested(v));
    let untestable = not.into_iter().map(|v| v.name.clone());
    Tested {
        variations: tested.len(),
        of: variations.len(),
        untestable: untestable.filter(|name| !left_out.contains(name)).collect(),
        left_out,
    }
}

fn was_tested(variation: &VariationRecord) -> bool {
    matches!(
        variation.status,
        VariationStatus::Cleared | VariationStatus::Culprit | VariationStatus::Unsettled
    )
}

/// What was not tested, in words, and how that is asked for.
fn not_tested(tested: &Tested) -> Option<String> {
    let mut said = Vec::new();
    if !tested.untestable.is_empty() {
        let names = tested.untestable.join(", ");
        let count = tested.untestable.len();
        said.push(format!(
            "{count} could not be tested here: {names} (with --require all that is no verdict)"
        ));
    }
    if !tested.left_out.is_empty() {
        let were = if tested.left_out.len() == 1 {
            "was"
        } else {
            "were"
        };
        said.push(format!("{} {were} left out", tested.left_out.len()));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

/// What is said about an output as far as it counts.
fn counting(artifact: &Artifact, checkout: Checkout) -> ArtifactVerdict {
    match checkout {
        Checkout::Decides => artifact.verdict,
        Checkout::Apart => artifact.without_checkout,
    }
}

/// The variations that do not count.
fn aside(variations: &[VariationRecord], checkout: Checkout) -> BTreeSet<&str> {
    let of_checkout = |variation: &&VariationRecord| {
        checkout == Checkout::Apart && variation.varies == Varies::Checkout
    };
    let aside = variations.iter().filter(of_checkout);
    aside.map(|variation| variation.name.as_str()).collect()
}

/// How often something must differ by chance, in percent rounded up, to go unnoticed in so many
/// trials in less than one session of a hundred; nothing for sessions too short to say much.
fn unnoticed(trials: usize) -> Option<u32> {
    let repeats = i32::try_from(trials).ok()?.checked_sub(1)?;
    // With fewer, it would have to differ in half of them.
    if repeats < 7 {
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
        Control::NotRun => Some(match &case.stopped {
            Some(stopped) => format!("{stopped}, before the unvaried build had ended"),
            None => "the unvaried build was not run".into(),
        }),
        Control::Fails => Some("the unvaried build fails".into()),
        Control::Builds | Control::Flaky => None,
    }
}

/// Why the search ended before it was done, and when.
fn stopped(case: &Case<'_>) -> Option<String> {
    let stopped = case.stopped.as_ref().filter(|_| !case.searched)?;
    let trials = plural(case.trials.len(), "trial");
    Some(format!("{stopped} after {trials}"))
}

/// The budget was used up before everything was settled.
fn budget_used(case: &Case<'_>) -> Option<String> {
    let used = case.search.notes.contains(&Note::BudgetUsed);
    used.then(|| {
        format!(
            "the budget of {} was used up",
            plural(case.trials.len(), "trial")
        )
    })
}

/// Sets of what is told apart (`aside`) are not named.
fn why_not(
    case: &Case<'_>,
    differing: usize,
    judged: &[&Artifact],
    aside: &BTreeSet<&str>,
) -> String {
    let all = judged.iter().flat_map(|artifact| &artifact.culprits);
    let counts = |set: &&Vec<String>| set.iter().any(|name| !aside.contains(name.as_str()));
    let sets: BTreeSet<&Vec<String>> = all.filter(counts).collect();
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
        let clock = match &case.clock_moved {
            Some(_) => ", in which this tool's own clock parted as well (see the notes)",
            None => "",
        };
        reasons.push(format!("between builds of the same environment{clock}"));
    }
    let stopped = stopped(case);
    if unsettled {
        let reasons_are = match stopped {
            Some(_) => "for reasons that are not known yet",
            None => "for reasons that could not be settled",
        };
        reasons.push(reasons_are.to_owned());
    }
    let outputs = plural(judged.len(), "output");
    let verb = if differing == 1 { "differs" } else { "differ" };
    let why = format!("{differing} of {outputs} {verb} {}", reasons.join(", and "));
    let why = match veiled(case) {
        Some(veiled) => format!("{}; {veiled}", why.trim_end()),
        None => why.trim_end().to_owned(),
    };
    match stopped {
        Some(stopped) => format!("{why}; {stopped}"),
        None => why,
    }
}

/// The variations of which it cannot be told what they do before something else is mended.
fn veiled(case: &Case<'_>) -> Option<String> {
    let folded = case.folded.iter().filter(|(_, folded)| !folded.is_all);
    let name = |factor: usize| Some(case.plan.variations.get(factor)?.name.as_str());
    let (mut names, mut first) = (BTreeSet::new(), BTreeSet::new());
    for ((_, factors), folded) in folded {
        names.extend(factors.iter().filter_map(|factor| name(*factor)));
        first.extend(name(folded.into));
    }
    let join = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| {
        let act = if names.len() == 1 { "acts" } else { "act" };
        let (names, first) = (join(names), join(first));
        format!("whether {names} {act} as well cannot be told before {first} is fixed")
    })
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
    let missing = variations.iter().filter(|v| !was_tested(v));
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
    use std::collections::BTreeMap;

    use super::*;

    fn artifact(
        verdict: ArtifactVerdict,
        culprits: &[&str],
        unstable: u64,
        unsettled: u64,
    ) -> Artifact {
        let culprits = culprits.iter().map(|name| vec![(*name).to_owned()]);
        Artifact {
            path: "a".into(),
            decides: true,
            verdict,
            without_checkout: verdict,
            sha256: None,
            culprits: culprits.collect(),
            unstable_elements: unstable,
            unsettled_elements: unsettled,
            elements: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }

    #[test]
    fn chance_alone_is_what_has_no_culprit_and_nothing_unsettled() {
        let same = artifact(ArtifactVerdict::Same, &[], 0, 0);
        let chance = artifact(ArtifactVerdict::Unstable, &[], 2, 0);
        let known = artifact(ArtifactVerdict::Differs, &["umask"], 1, 0);
        let unsettled = artifact(ArtifactVerdict::Differs, &[], 1, 1);
        assert!(differs_by_chance_alone(&[&same, &chance]));
        assert!(!differs_by_chance_alone(&[&chance, &known]));
        assert!(!differs_by_chance_alone(&[&chance, &unsettled]));
    }

    #[test]
    fn the_rate_that_would_have_shown_falls_with_the_number_of_trials() {
        assert_eq!(unnoticed(2), None);
        assert_eq!(unnoticed(8), Some(49));
        assert_eq!(unnoticed(45), Some(10));
    }
}
