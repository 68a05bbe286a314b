//! What `--fix` found out: how far it goes, the changes, and the build with all of them as a script.

use crate::model::{Attempt, Findings, FixState, quoted};
use crate::report::page::{Look, Page, Text};
use crate::report::words::printable;

/// So many elements that are left are named.
const LEFT: usize = 5;

/// Writes the section; nothing without `--fix`.
pub(super) fn write(page: &mut Page, findings: &Findings) {
    let Some(fix) = &findings.fix else {
        return;
    };
    page.heading("Fix");
    let (look, word) = match fix.state {
        FixState::Verified => (Look::Good, "VERIFIED:"),
        FixState::Normalized => (Look::Good, "NORMALISED:"),
        FixState::Partly => (Look::Doubtful, "VERIFIED IN PART:"),
        FixState::Unproven => (Look::Doubtful, "NOT PROVEN:"),
        FixState::Nothing => (Look::Doubtful, "NONE:"),
    };
    let text = Text::new(look, word).and(Look::Plain, &printable(&fix.why));
    page.paragraph(2, 4, &text);
    for change in &fix.changes {
        let names = format!("{}:", change.variations.join(", "));
        let text = match &change.attempt {
            Attempt::Variables { set } => {
                let words = set
                    .iter()
                    .map(|(name, value)| format!("{name}={}", quoted(value)));
                words.collect::<Vec<_>>().join(" ")
            }
            Attempt::Before { line, .. } => format!("{line} (before the build)"),
            Attempt::Normalize { output } => {
                format!("reprobe normalize {} (after the build)", quoted(output))
            }
        };
        let text = Text::new(Look::Strong, &names).and(Look::Plain, &printable(&text));
        page.paragraph(2, 4, &text);
    }
    if !fix.changes.is_empty() {
        let text = "Built so, in the directory of the source:";
        page.paragraph(2, 4, &text.to_owned().into());
        // At the margin, so that it can be pasted as it is.
        for line in fix.script.lines() {
            page.verbatim(0, Look::Plain, &printable(line));
        }
    }
    let left: Vec<String> = fix
        .left
        .iter()
        .take(LEFT)
        .map(|place| format!("{} of {}", place.field, place.element))
        .collect();
    if !left.is_empty() {
        let more = fix.left.len().saturating_sub(LEFT);
        let more = if more > 0 {
            format!(", {more} more")
        } else {
            String::new()
        };
        let text = format!("{}{more}", left.join(", "));
        let text = Text::new(Look::Strong, "Left:").and(Look::Plain, &printable(&text));
        page.paragraph(2, 4, &text);
    }
}
