//! What `--fix` found out: how far it goes, the changes, and the build with all of them as one shell
//! line.

use crate::model::{Attempt, Findings, Fix, FixState, quoted};
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
            Attempt::Before { line } => format!("{line} (before the build)"),
            Attempt::Normalize { output } => {
                format!("reprobe normalize {} (after the build)", quoted(output))
            }
        };
        let text = Text::new(Look::Strong, &names).and(Look::Plain, &printable(&text));
        page.paragraph(2, 4, &text);
    }
    if !fix.changes.is_empty() {
        page.paragraph(2, 4, &"Built so:".to_owned().into());
        page.verbatim(
            4,
            Look::Plain,
            &printable(&line(fix, &findings.build.command)),
        );
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

/// The build with the changes around it, for a shell in the directory of the source.
fn line(fix: &Fix, command: &[String]) -> String {
    let build = match command {
        [shell, flags, line] if shell == "sh" && flags == "-ec" => line.clone(),
        words => words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" "),
    };
    // A build that ends with a job in the background does not take the variables along with it.
    let before: String = fix
        .before
        .iter()
        .flat_map(|line| [line.as_str(), "; "])
        .collect();
    let after: String = fix
        .after
        .iter()
        .flat_map(|line| [" && ", line.as_str()])
        .collect();
    [before, build, after].concat()
}
