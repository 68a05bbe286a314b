//! The part of the summary about differences: one section per set of culprits, then what is
//! unstable, unsettled or derived, then what differs without deciding anything.

use std::collections::BTreeMap;

use super::super::group::{Artifacts, Group, members_in, output_of};
use super::super::page::{Look, Page, Text};
use super::super::words::{alternatives, count, printable, record, sets, varied_in};
use super::causes::Causes;
use super::rows::{GROUPS_LISTED, list};
use crate::model::{
    ArtifactVerdict, CertificateStep, Checkout, CulpritPart, Expect, Finding, FindingState,
    Findings,
};

pub(super) fn write(page: &mut Page, findings: &Findings, artifacts: &Artifacts<'_>) {
    let decides = |finding: &&Finding| {
        artifacts
            .get(output_of(*finding))
            .is_none_or(|artifact| artifact.decides && artifact.verdict != ArtifactVerdict::Same)
    };
    let (deciding, aside): (Vec<&Finding>, Vec<&Finding>) =
        findings.findings.iter().partition(decides);
    let apart = |finding: &&Finding| {
        findings.checkout == Checkout::Apart
            && finding.by_checkout
            && finding.state == FindingState::Certified
    };
    let (apart, deciding): (Vec<&Finding>, Vec<&Finding>) = deciding.iter().partition(|f| apart(f));
    culprits(
        page,
        findings,
        artifacts,
        &deciding,
        ("Culprits", Look::Bad),
    );
    let heading = "By the checkout alone: does not decide here (--checkout decides makes it count)";
    culprits(page, findings, artifacts, &apart, (heading, Look::Doubtful));
    unproven(page, artifacts, &deciding);
    beside(page, artifacts, &aside);
    unexplained(page, findings, &aside);
}

/// One section for every distinct set of alternatives, at the same levels.
fn culprits(
    page: &mut Page,
    findings: &Findings,
    artifacts: &Artifacts<'_>,
    members: &[&Finding],
    (heading, look): (&str, Look),
) {
    let mut sections: BTreeMap<(Vec<Vec<String>>, Vec<_>), Vec<&Finding>> = BTreeMap::new();
    for finding in members {
        if finding.state == FindingState::Certified {
            let levels = finding.culprits.iter().map(|culprit| &culprit.levels);
            let mut levels: Vec<&BTreeMap<String, String>> = levels.collect();
            levels.sort();
            let section = sections.entry((sets(finding), levels));
            section.or_default().push(finding);
        }
    }
    if sections.is_empty() {
        return;
    }
    page.heading(heading);
    let mut causes = Causes::default();
    for (index, ((sets, _), members)) in sections.iter().enumerate() {
        if index > 0 {
            page.gap();
        }
        let levels = levels(findings, sets, members);
        let title = Text::new(look, &alternatives(sets)).and(Look::Dim, &levels);
        page.paragraph(2, 2, &title);
        list(page, 4, &members_in(artifacts), members, |_| String::new());
        causes.write(page, sets, members);
        for (names, steps) in proofs(members) {
            let label = match sets.len() {
                1 => "proof:".to_owned(),
                _ => format!("proof of {}:", names.join(" AND ")),
            };
            let proof = proof(findings, &names, &steps);
            let text = Text::new(Look::Dim, &label).and(Look::Dim, &proof);
            page.paragraph(4, 2, &text);
        }
        for (part, number) in parts(members) {
            let of = match (number, members.len()) {
                (number, all) if number == all => String::new(),
                (number, all) => format!("for {number} of these {all} elements "),
            };
            let proof = proof(findings, &[], &part.certificate);
            let text = Text::new(Look::Dim, "part:")
                .and(Look::Plain, &part.name)
                .and(Look::Dim, &format!("suffices {of}({proof})"));
            page.paragraph(4, 2, &text);
        }
    }
}

/// The parts of levels that suffice, each with the number of findings.
fn parts<'a>(members: &[&'a Finding]) -> Vec<(&'a CulpritPart, usize)> {
    let mut parts: Vec<(&CulpritPart, usize)> = Vec::new();
    let culprits = members.iter().flat_map(|finding| &finding.culprits);
    for part in culprits.filter_map(|culprit| culprit.part.as_ref()) {
        match parts.iter_mut().find(|(known, _)| *known == part) {
            Some((_, number)) => *number += 1,
            None => parts.push((part, 1)),
        }
    }
    parts
}

/// `(0022 -> 0077)`: the levels behind a section, as its certificates had them.
fn levels(findings: &Findings, sets: &[Vec<String>], members: &[&Finding]) -> String {
    let changes: Vec<String> = findings
        .variations
        .iter()
        .filter(|variation| sets.iter().flatten().any(|name| *name == variation.name))
        .filter_map(|variation| {
            let varied = proven_level(findings, &variation.name, members)
                .or_else(|| variation.varied.first().map(String::as_str))?;
            let levels = format!("{} -> {}", printable(&variation.control), printable(varied));
            Some(match sets {
                [only] if only.len() == 1 => levels,
                _ => format!("{} {levels}", variation.name),
            })
        })
        .collect();
    if changes.is_empty() {
        String::new()
    } else {
        format!("({})", changes.join("; "))
    }
}

/// The level of a variation in a trial that shows the difference.
fn proven_level<'a>(findings: &'a Findings, name: &str, members: &[&Finding]) -> Option<&'a str> {
    let culprits = members.iter().flat_map(|finding| &finding.culprits);
    let trial = culprits
        .filter(|culprit| culprit.variations.iter().any(|other| other == name))
        .flat_map(|culprit| &culprit.certificate)
        .find(|step| step.expect == Expect::Differs)?
        .trial;
    record(findings, trial)?
        .varied
        .get(name)
        .map(String::as_str)
}

/// For every set of culprits, the certificate that most of the findings share.
fn proofs(members: &[&Finding]) -> BTreeMap<Vec<String>, Vec<CertificateStep>> {
    let mut votes: BTreeMap<&[String], BTreeMap<&[CertificateStep], usize>> = BTreeMap::new();
    for culprit in members.iter().flat_map(|finding| &finding.culprits) {
        *votes
            .entry(&culprit.variations)
            .or_default()
            .entry(&culprit.certificate)
            .or_default() += 1;
    }
    votes
        .into_iter()
        .filter_map(|(names, certificates)| {
            let (steps, _) = certificates
                .into_iter()
                .max_by_key(|(steps, number)| (*number, std::cmp::Reverse(*steps)))?;
            Some((names.to_vec(), steps.to_vec()))
        })
        .collect()
}

/// `differs in trial 5 (umask); same in trials 0 (nothing varied) and 6 (everything but umask)`.
/// A trial in which the variations of a set stood at levels that change nothing says at which.
fn proof(findings: &Findings, names: &[String], steps: &[CertificateStep]) -> String {
    let described = |step: &CertificateStep| {
        let varied = varied_in(findings, step.trial);
        let record = record(findings, step.trial);
        let level = |name: &String| Some(format!("{name}={}", record?.varied.get(name)?));
        let levels: Option<Vec<String>> = names.iter().map(level).collect();
        match levels {
            Some(levels) if step.expect == Expect::Same && !levels.is_empty() => {
                format!("{} ({varied}, with {})", step.trial.0, levels.join(" and "))
            }
            _ => format!("{} ({varied})", step.trial.0),
        }
    };
    let part = |expect: Expect, word: &str| {
        let trials: Vec<String> = steps
            .iter()
            .filter(|step| step.expect == expect)
            .map(described)
            .collect();
        let noun = if trials.len() == 1 { "trial" } else { "trials" };
        (!trials.is_empty()).then(|| format!("{word} in {noun} {}", trials.join(", ")))
    };
    [part(Expect::Differs, "differs"), part(Expect::Same, "same")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

/// What differs without a certified culprit.
fn unproven(page: &mut Page, artifacts: &Artifacts<'_>, deciding: &[&Finding]) {
    for (state, heading) in [
        (
            FindingState::Unstable,
            "Unstable: differs between trials of the same environment",
        ),
        (
            FindingState::Unsettled,
            "Unsettled: differs, and no culprit could be proven",
        ),
        (FindingState::Derived, "Derived: follows a difference above"),
    ] {
        let members: Vec<&Finding> = deciding
            .iter()
            .copied()
            .filter(|finding| finding.state == state)
            .collect();
        if members.is_empty() {
            continue;
        }
        page.heading(heading);
        list(page, 2, &members_in(artifacts), &members, comment);
    }
}

/// The reasons of a group, or else how often its elements differed; and how sure that is.
fn comment(group: &Group<'_>) -> String {
    let mut reasons: Vec<&str> = group
        .findings
        .iter()
        .filter_map(|finding| finding.reason.as_deref())
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    let mut parts: Vec<String> = reasons.into_iter().take(3).map(printable).collect();
    let rates = || group.findings.iter().filter_map(|finding| finding.rate);
    if let Some(rate) = rates().max_by_key(|rate| rate.differing) {
        let most = if rates().any(|other| other.differing != rate.differing) {
            "at most "
        } else {
            ""
        };
        if parts.is_empty() {
            let repeats = count(rate.trials, "repeat");
            parts.push(format!("differed in {most}{} of {repeats}", rate.differing));
        }
        let [low, high] = [rate.low, rate.high].map(|bound| bound * 100.0);
        parts.push(format!("95% interval {low:.0}–{high:.0}%"));
    }
    parts.join("; ")
}

/// Intermediates that differ, on which no trial was spent.
fn unexplained(page: &mut Page, findings: &Findings, explained: &[&Finding]) {
    let names: Vec<String> = findings
        .artifacts
        .iter()
        .filter(|artifact| !artifact.decides && artifact.verdict != ArtifactVerdict::Same)
        .filter(|artifact| {
            explained
                .iter()
                .all(|finding| output_of(*finding) != artifact.path)
        })
        .map(|artifact| printable(&artifact.path))
        .collect();
    let Some(shown) = names
        .get(..names.len().min(GROUPS_LISTED))
        .filter(|s| !s.is_empty())
    else {
        return;
    };
    page.heading("Intermediate files differ as well; they do not decide (-o '**' judges all)");
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    page.paragraph(2, 2, &format!("{}{more}", shown.join(" ")).into());
}

/// What differs and decides nothing: intermediates, and the modes of the outputs themselves.
fn beside(page: &mut Page, artifacts: &Artifacts<'_>, aside: &[&Finding]) {
    let (intermediate, noted): (Vec<&Finding>, Vec<&Finding>) = aside.iter().partition(|finding| {
        artifacts
            .get(output_of(**finding))
            .is_some_and(|artifact| !artifact.decides)
    });
    for (members, heading) in [
        (
            noted,
            "Differs as well, but does not decide (--metadata makes it count)",
        ),
        (
            intermediate,
            "Intermediate files differ as well; they do not decide (-o '**' judges all)",
        ),
    ] {
        if members.is_empty() {
            continue;
        }
        page.heading(heading);
        list(page, 2, &members_in(artifacts), &members, |group| {
            let mut names: Vec<String> = group
                .findings
                .iter()
                .filter(|finding| !finding.culprits.is_empty())
                .map(|finding| alternatives(&sets(finding)))
                .collect();
            names.sort();
            names.dedup();
            if names.is_empty() {
                String::new()
            } else {
                format!("because of {}", names.join("; "))
            }
        });
    }
}
