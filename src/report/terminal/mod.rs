//! The summary that a person reads at a terminal: the verdict in one line, what differs and
//! because of what, what that rests on, what was not tested, and what to do next.

mod causes;
mod differences;
mod evidence;
mod fix;
mod pair;
mod rows;
#[cfg(test)]
mod tests;
mod variations;

use std::collections::BTreeMap;

use super::group::{Artifacts, artifacts};
use super::page::{Layout, Look, Page, Text};
use super::words::{and, count, printable, seconds, set};
use crate::explain;
use crate::model::{
    Artifact, ArtifactVerdict, BuildInfo, Checkout, Findings, OutputsFrom, TrialKind, TrialResult,
    Verdict,
};

pub use pair::render_pair;

/// How many outputs are listed of each kind.
const OUTPUTS_LISTED: usize = 20;

/// The summary, ending in a line feed.
pub fn render(findings: &Findings, layout: Layout) -> String {
    let mut page = Page::new(layout);
    let artifacts = artifacts(findings);
    verdict(&mut page, findings);
    variations::breakers(&mut page, findings);
    // Without a verdict, what went wrong is all there is to say.
    if findings.verdict == Verdict::Inconclusive {
        notes(&mut page, findings);
    }
    build(&mut page, findings);
    outputs(&mut page, findings, &artifacts);
    differences::write(&mut page, findings, &artifacts);
    variations::write(&mut page, findings);
    if findings.verdict != Verdict::Inconclusive {
        notes(&mut page, findings);
    }
    remedies(&mut page, findings);
    fix::write(&mut page, findings);
    trials(&mut page, findings);
    page.finish()
}

fn verdict(page: &mut Page, findings: &Findings) {
    let tested = &findings.tested;
    let in_part = format!(
        "REPRODUCIBLE under {} of {} variations:",
        tested.variations, tested.of
    );
    let (look, word) = match findings.verdict {
        // What was not tested is no good news.
        Verdict::Reproducible if tested.variations < tested.of => {
            (Look::Doubtful, in_part.as_str())
        }
        Verdict::Reproducible => (Look::Good, "REPRODUCIBLE:"),
        Verdict::NotReproducible => (Look::Bad, "NOT REPRODUCIBLE:"),
        Verdict::Inconclusive => (Look::Doubtful, "COULD NOT DECIDE:"),
    };
    let mut lines = findings.why.lines();
    let first = lines.next().unwrap_or_default();
    let text = Text::new(look, word).and(Look::Strong, &printable(first));
    page.paragraph(0, 2, &text);
    if let Some(said) = &findings.by_checkout {
        let look = match findings.checkout {
            Checkout::Decides => Look::Plain,
            Checkout::Apart => Look::Doubtful,
        };
        let text = Text::new(look, "CHECKOUT:").and(Look::Plain, &printable(said));
        page.paragraph(0, 2, &text);
    }
    // Further lines are the end of a log.
    for line in lines {
        page.verbatim(2, Look::Plain, &printable(line));
    }
}

fn build(page: &mut Page, findings: &Findings) {
    page.gap();
    let build = &findings.build;
    let command = match build.command.as_slice() {
        [shell, flags, line] if shell == "sh" && flags == "-ec" => line.clone(),
        words => words.join(" "),
    };
    let column = 8;
    page.row(0, (Look::Dim, "Build"), column, &printable(&command).into());
    page.row(
        0,
        (Look::Dim, "Source"),
        column,
        &printable(&build.source).into(),
    );
    let source = match build.outputs_from {
        OutputsFrom::Option => "(from --output)",
        OutputsFrom::Config => "(from reprobe.toml)",
        OutputsFrom::Preset => "(the usual ones of such a project)",
        OutputsFrom::Tree => "everything that the build left in the tree, and files beside it",
    };
    let outputs = Text::from(printable(&build.outputs.join(" "))).and(Look::Dim, source);
    page.row(0, (Look::Dim, "Judged"), column, &outputs);
    let epoch = match &findings.source_date_epoch {
        Some(value) => format!("SOURCE_DATE_EPOCH was {}", printable(value)),
        None if sets_epoch(build) => {
            "SOURCE_DATE_EPOCH was left to the build, which sets it itself".to_owned()
        }
        None => "SOURCE_DATE_EPOCH was not set".to_owned(),
    };
    page.row(
        0,
        (Look::Dim, "Dates"),
        column,
        &format!("{epoch}; the clock was {}", clock(findings)).into(),
    );
}

/// Whether the command sets it where nobody has.
fn sets_epoch(build: &BuildInfo) -> bool {
    explain::has_epoch(false, &explain::programs([build.command.as_slice()]))
}

fn clock(findings: &Findings) -> &str {
    match findings.clock.as_str() {
        "running" => "running as usual",
        "stepped" | "creeping" if findings.clock_moved.is_some() => {
            "held, but it was not the same in all builds (see the notes)"
        }
        "stepped" => "held, and the same for every build that does not vary it",
        "creeping" => "held, and crept on with the build",
        other => other,
    }
}

/// The table of outputs and their culprits, what differs first.
fn outputs(page: &mut Page, findings: &Findings, artifacts: &Artifacts<'_>) {
    let deciding = || artifacts.values().filter(|artifact| artifact.decides);
    if deciding().next().is_none() {
        return;
    }
    page.heading("Outputs");
    let differing: Vec<_> = deciding()
        .filter(|artifact| artifact.verdict != ArtifactVerdict::Same)
        .collect();
    let same: Vec<_> = deciding()
        .filter(|artifact| artifact.verdict == ArtifactVerdict::Same)
        .collect();
    let listed = || {
        differing
            .iter()
            .take(OUTPUTS_LISTED)
            .chain(same.iter().take(OUTPUTS_LISTED))
    };
    let column = listed()
        .map(|artifact| printable(&artifact.path).chars().count())
        .max()
        .unwrap_or(0)
        .min(48);
    for artifact in listed() {
        page.row(
            2,
            (Look::Plain, &printable(&artifact.path)),
            column,
            &because(artifact, findings),
        );
    }
    for (rest, what) in [(differing.len(), "differ"), (same.len(), "are the same")] {
        if let Some(more) = rest.checked_sub(OUTPUTS_LISTED).filter(|more| *more > 0) {
            page.paragraph(
                2,
                2,
                &format!("… and {more} more that {what} (--json lists all)").into(),
            );
        }
    }
}

/// What the table says of one output.
fn because(artifact: &Artifact, findings: &Findings) -> Text {
    let apart =
        findings.checkout == Checkout::Apart && artifact.without_checkout == ArtifactVerdict::Same;
    let (look, word) = match artifact.verdict {
        ArtifactVerdict::Same if findings.trials.len() < 2 => {
            return Text::new(Look::Doubtful, "not compared yet");
        }
        ArtifactVerdict::Same if !findings.complete => {
            return Text::new(Look::Doubtful, "same so far");
        }
        ArtifactVerdict::Same => {
            // What others who build it are to get as well.
            let digest = artifact.sha256.iter();
            let digest = digest.filter(|_| findings.verdict == Verdict::Reproducible);
            let digest = digest.map(|digest| format!("sha256:{digest}"));
            return Text::new(Look::Good, "same").and(Look::Dim, &digest.collect::<String>());
        }
        ArtifactVerdict::Differs if apart => (Look::Doubtful, "differs by the checkout alone:"),
        ArtifactVerdict::Differs => (Look::Bad, "differs:"),
        ArtifactVerdict::Unstable => (Look::Doubtful, "unstable:"),
    };
    let mut reasons: Vec<String> = artifact.culprits.iter().map(|names| set(names)).collect();
    for (number, what) in [
        (artifact.unstable_elements, "unstable"),
        (artifact.unsettled_elements, "unsettled"),
    ] {
        if number > 0 {
            reasons.push(format!("{} {what}", count(number, "element")));
        }
    }
    Text::new(look, word).and(Look::Plain, &reasons.join("; "))
}

fn notes(page: &mut Page, findings: &Findings) {
    if findings.notes.is_empty() {
        return;
    }
    page.heading("Notes");
    for note in &findings.notes {
        let mut lines = note.lines();
        page.paragraph(
            2,
            2,
            &format!("- {}", printable(lines.next().unwrap_or_default())).into(),
        );
        // Further lines are excerpts of logs: they stand as they are.
        for line in lines {
            page.verbatim(6, Look::Plain, &printable(line));
        }
    }
}

/// What to change, each with what it is for, in the order of the variations.
fn remedies(page: &mut Page, findings: &Findings) {
    let mut remedies: BTreeMap<(bool, &str), std::collections::BTreeSet<&str>> = BTreeMap::new();
    for finding in &findings.findings {
        for remedy in &finding.remedies {
            remedies
                .entry((!remedy.verified, remedy.text.as_str()))
                .or_default()
                .extend(remedy.variation.as_deref());
        }
    }
    if remedies.is_empty() {
        return;
    }
    let order = |name: &str| {
        let mut variations = findings.variations.iter();
        variations.position(|variation| variation.name == name)
    };
    let mut remedies: Vec<_> = remedies.into_iter().collect();
    remedies
        .sort_by_key(|((untried, _), names)| (*untried, names.iter().copied().map(order).min()));
    page.heading("What to change");
    for ((untried, text), names) in &remedies {
        let names: Vec<&str> = names.iter().copied().collect();
        let names = if names.is_empty() {
            String::new()
        } else {
            format!("{}:", names.join(", "))
        };
        let tried = if *untried { "" } else { "(tried)" };
        let text = Text::new(Look::Strong, &names)
            .and(Look::Plain, &printable(text))
            .and(Look::Good, tried);
        page.paragraph(2, 4, &text);
    }
    let mut all = findings
        .findings
        .iter()
        .flat_map(|finding| &finding.remedies);
    if findings.fix.is_none() && all.any(|remedy| remedy.attempt.is_some()) {
        let text = "--fix tries what can be tried of it, and verifies what helps";
        page.paragraph(2, 4, &Text::new(Look::Dim, text));
    }
}

/// The last line: how much work it was, and how to do it again.
fn trials(page: &mut Page, findings: &Findings) {
    let trials = &findings.trials;
    let of_kind = |kind| trials.iter().filter(|trial| trial.kind == kind).count() as u64;
    let kinds: Vec<String> = [
        (TrialKind::Control, "control", "controls"),
        (TrialKind::Repeat, "repeat", "repeats"),
        (TrialKind::Search, "search", "search"),
        (TrialKind::Certificate, "certificate", "certificates"),
        (TrialKind::Location, "location", "locations"),
        (TrialKind::Remedy, "remedy", "remedies"),
    ]
    .into_iter()
    .map(|(kind, one, several)| (of_kind(kind), one, several))
    .filter(|(number, ..)| *number > 0)
    .map(|(number, one, several)| format!("{number} {}", if number == 1 { one } else { several }))
    .collect();
    let mut parts = vec![if kinds.is_empty() {
        count(trials.len() as u64, "trial")
    } else {
        format!(
            "{} ({})",
            count(trials.len() as u64, "trial"),
            kinds.join(", ")
        )
    }];
    for (result, word) in [
        (TrialResult::Failed, "failed"),
        (TrialResult::TimedOut, "timed out"),
    ] {
        let ids: Vec<String> = trials
            .iter()
            .filter(|trial| trial.result == result)
            .map(|trial| trial.id.0.to_string())
            .collect();
        if !ids.is_empty() {
            let noun = if ids.len() == 1 { "trial" } else { "trials" };
            parts.push(format!("{noun} {} {word}", and(&ids)));
        }
    }
    parts.push(seconds(findings.seconds));
    parts.push(format!("seed {}", printable(&findings.seed)));
    parts.push(match findings.host.user.as_str() {
        "ordinary" => "as an ordinary user".to_owned(),
        user => format!("as {}", printable(user)),
    });
    page.gap();
    page.paragraph(0, 2, &Text::new(Look::Dim, &parts.join("; ")));
}
