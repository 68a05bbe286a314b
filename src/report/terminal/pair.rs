//! What `reprobe diff` says: whether two files or directories are the same, what differs and what
//! that is likely due to.

use std::collections::{BTreeMap, BTreeSet};

use super::super::group::shown_path;
use super::super::page::{Layout, Look, Page, Text};
use super::super::words::{and, count, printable};
use super::evidence;
use super::rows::{list, some_of};
use crate::model::difference::{Difference, Differences, Likely, Sameness, Side, Which};
use crate::model::{Field, output_of};

/// So many contents and problems are shown.
const SHOWN: usize = 20;

/// The summary, ending in a line feed.
pub fn render_pair(differences: &Differences, layout: Layout) -> String {
    let mut page = Page::new(layout);
    verdict(&mut page, differences);
    page.gap();
    for (label, side) in [
        ("First", &differences.first),
        ("Second", &differences.second),
    ] {
        page.row(0, (Look::Dim, label), 8, &described(side).into());
    }
    let looked_into = |difference: &&Difference| difference.evidence.is_some();
    let (contents, fields): (Vec<&Difference>, Vec<&Difference>) =
        differences.differences.iter().partition(looked_into);
    if !fields.is_empty() {
        page.heading("What differs");
        let members = |archive: &str| differences.members.get(archive).copied();
        list(&mut page, 2, &members, &fields, |group| {
            let likely = group
                .findings
                .iter()
                .flat_map(|difference| &difference.likely);
            guessed(likely)
        });
    }
    write_contents(&mut page, &contents);
    problems(&mut page, differences);
    next(&mut page, differences);
    page.finish()
}

fn verdict(page: &mut Page, differences: &Differences) {
    let (look, word) = match differences.verdict {
        Sameness::Identical => (Look::Good, "IDENTICAL:"),
        Sameness::EqualWhenNormalised => (Look::Doubtful, "EQUAL WHEN NORMALISED:"),
        Sameness::Different => (Look::Bad, "DIFFERENT:"),
        Sameness::Inconclusive => (Look::Doubtful, "COULD NOT DECIDE:"),
    };
    let text = Text::new(look, word).and(Look::Strong, &why(differences));
    page.paragraph(0, 2, &text);
    if let Some(why) = &differences.not_normalised {
        let why = format!(
            "All that differs is what a normaliser sets, but `reprobe normalize` does not make them one: {}",
            printable(why)
        );
        page.paragraph(0, 2, &why.into());
    }
}

/// One sentence.
fn why(differences: &Differences) -> String {
    let all = &differences.differences;
    let fields: BTreeSet<&str> = all.iter().map(what).collect();
    let fields: Vec<&str> = fields.into_iter().collect();
    let outputs: BTreeSet<&str> = all.iter().map(|found| output_of(&found.element)).collect();
    let of_files = differences.first.size.is_some();
    match differences.verdict {
        Sameness::Identical if of_files => "byte for byte".to_owned(),
        Sameness::Identical => {
            format!("{}, byte for byte", count(differences.files, "file"))
        }
        Sameness::Inconclusive => {
            "something could not be read, and nothing else differs".to_owned()
        }
        Sameness::EqualWhenNormalised => {
            let ending = |number: usize| if number == 1 { "s" } else { "" };
            format!(
                "what is inside is the same; only {} differ{}, which {} remove{}",
                and(&fields),
                ending(fields.len()),
                and(&differences.passes),
                ending(differences.passes.len()),
            )
        }
        Sameness::Different if of_files => {
            let number = count(all.len() as u64, "element");
            format!("{number} ({})", some_of(&fields))
        }
        Sameness::Different => {
            let files = count(differences.files, "file");
            format!("{} of {files} ({})", outputs.len(), some_of(&fields))
        }
    }
}

/// The field, in a word.
fn what(difference: &Difference) -> &str {
    let recompressed =
        difference.field == Field::CONTENT.as_str() && difference.removed_by.is_some();
    if recompressed {
        "the compressed form"
    } else {
        &difference.field
    }
}

fn described(side: &Side) -> String {
    let bytes = side.size.map(|size| format!("({})", count(size, "byte")));
    let digest = side
        .sha256
        .as_ref()
        .map(|digest| format!("sha256:{digest}"));
    let parts = [Some(printable(&side.path)), bytes, digest];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// `likely time or source-mtime: the time of the build`.
fn guessed<'l>(likely: impl Iterator<Item = &'l Likely>) -> String {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for likely in likely {
        let names = reasons.entry(likely.because.as_str()).or_default();
        if !names.contains(&likely.variation.as_str()) {
            names.push(&likely.variation);
        }
    }
    let said = reasons
        .into_iter()
        .map(|(because, names)| format!("{} ({because})", names.join(" or ")));
    let said: Vec<String> = said.collect();
    if said.is_empty() {
        String::new()
    } else {
        format!("likely {}", said.join("; "))
    }
}

/// Contents, each with the places where it parts; what parts alike is said once.
fn write_contents(page: &mut Page, contents: &[&Difference]) {
    if contents.is_empty() {
        return;
    }
    page.heading("Contents");
    let mut alike: Vec<(Vec<String>, Vec<&Difference>)> = Vec::new();
    let mut places: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for difference in contents {
        let lines = difference
            .evidence
            .as_ref()
            .map(evidence::lines)
            .unwrap_or_default();
        let known = places.get(&lines).and_then(|at| alike.get_mut(*at));
        if let Some((_, members)) = known {
            members.push(difference);
        } else {
            places.insert(lines.clone(), alike.len());
            alike.push((lines, vec![difference]));
        }
    }
    for (lines, members) in alike.iter().take(SHOWN) {
        let names: Vec<String> = members
            .iter()
            .map(|found| shown_path(&found.element))
            .collect();
        let guess = guessed(members.iter().flat_map(|found| &found.likely));
        let title = Text::new(Look::Strong, &some_of(&names)).and(Look::Dim, &guess);
        page.paragraph(2, 2, &title);
        for line in lines {
            page.verbatim(4, Look::Plain, line);
        }
    }
    let rest = alike
        .iter()
        .skip(SHOWN)
        .map(|(_, members)| members.len() as u64)
        .sum();
    more(page, rest, "content");
}

fn more(page: &mut Page, number: u64, noun: &str) {
    if number > 0 {
        let more = format!("… and {} more (--json lists all)", count(number, noun));
        page.paragraph(2, 2, &more.into());
    }
}

fn problems(page: &mut Page, differences: &Differences) {
    if differences.problems.is_empty() {
        return;
    }
    page.heading("Not read in full");
    for problem in differences.problems.iter().take(SHOWN) {
        let side = match problem.side {
            Which::First => " (first)",
            Which::Second => " (second)",
            Which::Both => "",
        };
        let text = format!(
            "{}{side}: {}",
            shown_path(&problem.element),
            printable(&problem.text)
        );
        page.paragraph(2, 2, &text.into());
    }
    more(
        page,
        differences.problems.len().saturating_sub(SHOWN) as u64,
        "problem",
    );
}

/// Guesses are no proof.
fn next(page: &mut Page, differences: &Differences) {
    let likely = differences
        .differences
        .iter()
        .flat_map(|found| &found.likely);
    let names: BTreeSet<&str> = likely.map(|likely| likely.variation.as_str()).collect();
    if names.is_empty() {
        return;
    }
    let names: Vec<&str> = names.into_iter().collect();
    page.gap();
    let said = format!(
        "What is called likely is guessed from the bytes. To prove it: reprobe check --only {} -- COMMAND",
        names.join(",")
    );
    page.paragraph(0, 2, &Text::new(Look::Dim, &said));
}
