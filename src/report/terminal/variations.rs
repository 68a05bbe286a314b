//! The part of the summary about variations: what breaks the build, what was cleared, and what was
//! not tested, with the way out.

use std::collections::BTreeMap;

use super::super::words::printable;
use super::page::{Look, Page, Text};
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

/// What is said about each variation that is no culprit.
pub(super) fn write(page: &mut Page, findings: &Findings) {
    let names = |status| -> Vec<&str> {
        of(findings, status)
            .map(|variation| variation.name.as_str())
            .collect()
    };
    let cleared = names(VariationStatus::Cleared);
    let unsettled = names(VariationStatus::Unsettled);
    let broken = names(VariationStatus::BreaksBuild);
    let untested = names(VariationStatus::NotTested);
    if cleared.is_empty() && unsettled.is_empty() && untested.is_empty() && broken.is_empty() {
        return;
    }
    page.heading("Other variations");
    let column = "breaks the build".len();
    for (look, label, names) in [
        (Look::Good, "cleared", &cleared),
        (Look::Doubtful, "unsettled", &unsettled),
        (Look::Doubtful, "breaks the build", &broken),
    ] {
        if !names.is_empty() {
            page.row(2, (look, label), column, &names.join(", ").into());
        }
    }
    if !untested.is_empty() {
        page.row(
            2,
            (Look::Doubtful, "not tested"),
            column,
            &untested.join(", ").into(),
        );
        reasons(page, 4, of(findings, VariationStatus::NotTested));
    }
    remarks(page, findings);
}

/// Why, each reason once.
fn reasons<'a>(
    page: &mut Page,
    indent: usize,
    variations: impl Iterator<Item = &'a VariationRecord>,
) {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for variation in variations {
        let Some(reason) = variation.reason.as_deref() else {
            continue;
        };
        if !by_reason.contains_key(reason) {
            order.push(reason);
        }
        by_reason.entry(reason).or_default().push(&variation.name);
    }
    for reason in order {
        let names = by_reason.get(reason).map(|names| names.join(", "));
        let text = Text::new(Look::Strong, &format!("{}:", names.unwrap_or_default()))
            .and(Look::Plain, &printable(reason));
        page.paragraph(indent, 2, &text);
    }
}

/// What is worth knowing about a variation that was tested.
fn remarks(page: &mut Page, findings: &Findings) {
    let tested = findings.variations.iter().filter(|variation| {
        !matches!(
            variation.status,
            VariationStatus::NotTested | VariationStatus::BreaksBuild
        )
    });
    reasons(page, 2, tested);
}

fn of(findings: &Findings, status: VariationStatus) -> impl Iterator<Item = &VariationRecord> {
    findings
        .variations
        .iter()
        .filter(move |variation| variation.status == status)
}
