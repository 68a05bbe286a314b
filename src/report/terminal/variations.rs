//! The part of the summary about variations: what breaks the build, what was cleared, and what was
//! not tested, with the way out.

use super::super::page::{Look, Page, Text};
use super::super::words::printable;
use crate::model::{Findings, VariationRecord, VariationStatus};

/// Variations that break the build, right below the verdict: they count as not tested.
pub(super) fn breakers(page: &mut Page, findings: &Findings) {
    for variation in of(findings, VariationStatus::BreaksBuild) {
        let levels = variation.varied.join(", ");
        let text = Text::new(Look::Doubtful, "THE BUILD FAILS")
            .and(
                Look::Plain,
                &format!("under {} ({}):", variation.name, printable(&levels)),
            )
            .and(
                Look::Plain,
                &printable(
                    variation
                        .reason
                        .as_deref()
                        .unwrap_or("so nothing is known about it"),
                ),
            );
        page.paragraph(0, 2, &text);
    }
}

/// What is said about each variation that is no culprit. Where nothing but the control ran, there
/// is nothing to say.
pub(super) fn write(page: &mut Page, findings: &Findings) {
    let said = |variation: &VariationRecord| {
        let culprit = variation.status == VariationStatus::Culprit;
        !culprit || variation.reason.is_some() || !variation.not_tried.is_empty()
    };
    if findings.trials.len() < 2 || !findings.variations.iter().any(said) {
        return;
    }
    page.heading("Other variations");
    let column = "breaks the build".len();
    let bare = |look, label, status| {
        let names: Vec<&str> = of(findings, status)
            .map(|variation| variation.name.as_str())
            .collect();
        (!names.is_empty()).then(|| ((look, label), Text::from(names.join(", "))))
    };
    let reasoned = |label, status| {
        let groups = by_reason(of(findings, status)).into_iter();
        groups.enumerate().map(move |(number, (names, reason))| {
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!("– {}", printable(reason))
            };
            let text = Text::new(Look::Strong, &names.join(", ")).and(Look::Plain, &reason);
            // The label stands once.
            let label = if number == 0 { label } else { "" };
            ((Look::Doubtful, label), text)
        })
    };

    let rows = bare(Look::Good, "cleared", VariationStatus::Cleared)
        .into_iter()
        .chain(reasoned("unsettled", VariationStatus::Unsettled))
        .chain(bare(
            Look::Doubtful,
            "breaks the build",
            VariationStatus::BreaksBuild,
        ))
        .chain(reasoned("not tested", VariationStatus::NotTested))
        .chain(levels_not_tried(findings));
    for (label, text) in rows {
        page.row(2, label, column, &text);
    }
    remarks(page, findings);
}

/// The levels that nothing is known of, of variations that were tested: `locale=C`.
fn levels_not_tried(findings: &Findings) -> Option<((Look, &'static str), Text)> {
    let tested = findings.variations.iter();
    let levels = tested.flat_map(|variation| {
        let levels = variation.not_tried.iter();
        levels.map(|level| format!("{}={}", variation.name, printable(level)))
    });
    let levels: Vec<String> = levels.collect();
    (!levels.is_empty()).then(|| ((Look::Dim, "not tried"), Text::from(levels.join(", "))))
}

/// Names with their reason, each reason once, in the order of the variations.
fn by_reason<'a>(
    variations: impl Iterator<Item = &'a VariationRecord>,
) -> Vec<(Vec<&'a str>, &'a str)> {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    for variation in variations {
        let reason = variation.reason.as_deref().unwrap_or_default();
        match groups.iter_mut().find(|(_, known)| *known == reason) {
            Some((names, _)) => names.push(&variation.name),
            None => groups.push((vec![&variation.name], reason)),
        }
    }
    groups
}

/// What is worth knowing about variations that were tested.
fn remarks(page: &mut Page, findings: &Findings) {
    let tested = findings.variations.iter().filter(|variation| {
        variation.reason.is_some()
            && !matches!(
                variation.status,
                VariationStatus::NotTested
                    | VariationStatus::BreaksBuild
                    | VariationStatus::Unsettled
            )
    });
    for (names, reason) in by_reason(tested) {
        let text = Text::new(Look::Strong, &format!("{}:", names.join(", ")))
            .and(Look::Plain, &printable(reason));
        page.paragraph(2, 2, &text);
    }
}

fn of(findings: &Findings, status: VariationStatus) -> impl Iterator<Item = &VariationRecord> {
    findings
        .variations
        .iter()
        .filter(move |variation| variation.status == status)
}
