//! What times, modes and owners of the sources do alone: it is told apart from what the machine
//! does, whether it decides or not.

use std::collections::BTreeSet;

use crate::model::{Artifact, ArtifactVerdict, Checkout, Finding, FindingState, Varies, output_of};
use crate::plan::Plan;

/// Marks the findings all of whose culprits are variations of the checkout.
pub(super) fn mark(plan: &Plan, findings: &mut [Finding]) {
    let variations = plan.variations.iter();
    let of_checkout = variations.filter(|variation| variation.varies == Varies::Checkout);
    let names: BTreeSet<&String> = of_checkout.map(|variation| &variation.name).collect();
    for finding in findings {
        let proven = matches!(
            finding.state,
            FindingState::Certified | FindingState::Derived
        );
        let mut sets = finding.culprits.iter().map(|culprit| &culprit.variations);
        finding.by_checkout = proven
            && !finding.culprits.is_empty()
            && sets.all(|set| set.iter().all(|name| names.contains(name)));
    }
}

/// What is said about an output without these of its findings.
pub(super) fn without(verdict: ArtifactVerdict, findings: &[&Finding]) -> ArtifactVerdict {
    let rest = || findings.iter().filter(|finding| !finding.by_checkout);
    let unstable = |finding: &&Finding| finding.state == FindingState::Unstable;
    if verdict == ArtifactVerdict::Same || findings.is_empty() {
        verdict
    } else if rest().next().is_none() {
        ArtifactVerdict::Same
    } else if rest().copied().all(|finding| unstable(&finding)) {
        ArtifactVerdict::Unstable
    } else {
        ArtifactVerdict::Differs
    }
}

/// Which judged outputs differ by the checkout alone, in a sentence, with what it counts for.
pub(super) fn said(
    checkout: Checkout,
    artifacts: &[Artifact],
    findings: &[Finding],
) -> Option<String> {
    let judged: Vec<&Artifact> = artifacts.iter().filter(|a| a.decides).collect();
    let alone = judged.iter().filter(|artifact| {
        artifact.verdict != ArtifactVerdict::Same
            && artifact.without_checkout == ArtifactVerdict::Same
    });
    let alone: BTreeSet<&str> = alone.map(|artifact| artifact.path.as_str()).collect();
    if alone.is_empty() {
        return None;
    }
    let output = |finding: &Finding| alone.contains(output_of(&finding.element));
    let names: BTreeSet<&String> = findings
        .iter()
        .filter(|finding| output(finding))
        .flat_map(|finding| &finding.culprits)
        .flat_map(|culprit| &culprit.variations)
        .collect();
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    let (verb, plural) = match (alone.len(), judged.len()) {
        (1, 1) => ("differs", ""),
        (1, _) => ("differs", "s"),
        _ => ("differ", "s"),
    };
    let counts = match checkout {
        Checkout::Decides => "--checkout apart judges the rest alone",
        Checkout::Apart => "that does not decide here (--checkout decides makes it count)",
    };
    Some(format!(
        "{} of {} output{plural} {verb} by the checkout alone ({}); {counts}",
        alone.len(),
        judged.len(),
        names.join(", "),
    ))
}
