//! `reprobe list`: the catalogue as it is planned here and now, with what each variation catches,
//! its levels, and why it cannot be tested where it cannot.

use std::path::Path;

use serde::Serialize;

use super::args::ListArgs;
use super::exit::{Exit, Failure};
use super::inputs;
use super::screen::Stream;
use crate::catalog::Entry;
use crate::model::Level;
use crate::plan::{Plan, describe_level, plan};
use crate::report::page::{Layout, Look, Page, Text};

/// One variation, as `--json` writes it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    aliases: &'a [String],
    usertag: Option<&'a str>,
    summary: &'a str,
    catches: &'a str,
    control: Shown,
    varied: Vec<Shown>,
    available: bool,
    reason: Option<&'a str>,
    hint: Option<&'a str>,
}

/// One level: its name, and its settings in words where they are known.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    settings: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &ListArgs) -> Result<Exit, Failure> {
    let catalog = inputs::catalog(&args.directories)?;
    let host = inputs::capabilities()?;
    let request = inputs::request(Path::new("source"), 0);
    let plan = plan(&catalog, &host, &request).map_err(|error| Failure::undecided(&error))?;
    let rows: Vec<Row<'_>> = catalog
        .entries()
        .iter()
        .map(|entry| row(entry, &plan))
        .collect();
    if args.json {
        let mut bytes =
            serde_json::to_vec_pretty(&rows).map_err(|error| Failure::undecided(&error))?;
        bytes.push(b'\n');
        Stream::Out.write(&bytes)?;
    } else {
        Stream::Out.write(page(&rows, Stream::Out.layout()).as_bytes())?;
    }
    Ok(Exit::Success)
}

fn row<'a>(entry: &'a Entry, plan: &'a Plan) -> Row<'a> {
    let tested = plan
        .variations
        .iter()
        .find(|tested| tested.name == entry.name);
    let left_out = plan.left_out.iter().find(|left| left.name == entry.name);
    let bare = |name: &String| Shown {
        name: name.clone(),
        settings: None,
    };
    Row {
        name: &entry.name,
        aliases: &entry.aliases,
        usertag: entry.usertag.as_deref(),
        summary: &entry.summary,
        catches: &entry.catches,
        control: tested.map_or_else(
            || bare(&entry.control.name),
            |tested| shown(&tested.control),
        ),
        varied: match tested {
            Some(tested) => tested.varied.iter().map(shown).collect(),
            None => entry.varied.iter().map(|level| bare(&level.name)).collect(),
        },
        available: tested.is_some(),
        reason: left_out.map(|left| left.reason.as_str()),
        hint: left_out
            .map(|left| left.hint.as_str())
            .filter(|hint| !hint.is_empty()),
    }
}

fn shown(level: &Level) -> Shown {
    Shown {
        name: level.name.clone(),
        settings: Some(describe_level(level)),
    }
}

fn page(rows: &[Row<'_>], layout: Layout) -> String {
    let mut page = Page::new(layout);
    let column = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in rows {
        let look = if row.available {
            Look::Strong
        } else {
            Look::Doubtful
        };
        page.row(0, (look, row.name), column, &row.summary.into());
        let catches = Text::new(Look::Dim, "catches").and(Look::Plain, row.catches);
        page.paragraph(column + 2, 2, &catches);
        page.paragraph(column + 2, 2, &levels(row));
        if !row.available {
            page.paragraph(column + 2, 2, &refusal(row));
        }
    }
    let here = rows.iter().filter(|row| row.available).count();
    page.gap();
    let total = format!("{here} of {} can be tested here.", rows.len());
    let more = if here < rows.len() {
        "'reprobe doctor' says what to do about the others."
    } else {
        ""
    };
    page.paragraph(
        0,
        0,
        &Text::new(Look::Strong, &total).and(Look::Plain, more),
    );
    page.finish()
}

/// `0022: umask 0022 -> 0077: umask 0077; 0002: umask 0002`.
fn levels(row: &Row<'_>) -> Text {
    let words = |shown: &Shown| match &shown.settings {
        Some(settings) => format!("{} ({settings})", shown.name),
        None => shown.name.clone(),
    };
    let varied: Vec<String> = row.varied.iter().map(words).collect();
    Text::new(Look::Dim, "varies")
        .and(Look::Plain, &words(&row.control))
        .and(Look::Dim, "->")
        .and(Look::Plain, &varied.join("; "))
}

fn refusal(row: &Row<'_>) -> Text {
    Text::new(Look::Doubtful, "not here:")
        .and(Look::Plain, row.reason.unwrap_or_default())
        .and(
            Look::Plain,
            &row.hint.map_or(String::new(), |hint| format!("– {hint}")),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::model::{Capabilities, Missing, Need};
    use std::collections::BTreeMap;

    fn host() -> Capabilities {
        let missing = Missing {
            what: "a supervisor".to_owned(),
            reason: "seccomp: EPERM".to_owned(),
            hint: "allow it".to_owned(),
        };
        Capabilities {
            kernel: "Linux 6.1 x86_64".to_owned(),
            root: true,
            caller: (0, 0),
            cpus: 4,
            locales: vec!["et_EE.UTF-8".to_owned()],
            locale_sources: Vec::new(),
            shells: vec!["/bin/dash".into(), "/bin/bash".into()],
            missing: BTreeMap::from([(Need::Supervisor, missing)]),
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_cannot_be_tested_here_is_listed_with_its_reason() {
        let catalog = Catalog::builtin().unwrap();
        let request = inputs::request(Path::new("source"), 0);
        let plan = plan(&catalog, &host(), &request).unwrap();
        let rows: Vec<_> = catalog
            .entries()
            .iter()
            .map(|entry| row(entry, &plan))
            .collect();
        let umask = rows.iter().find(|row| row.name == "umask").unwrap();
        assert!(umask.available);
        let time = rows.iter().find(|row| row.name == "time").unwrap();
        assert_eq!((time.available, time.hint), (false, Some("allow it")));
        let page = page(&rows, Layout::default());
        assert!(
            page.contains("not here: seccomp: EPERM – allow it"),
            "{page}"
        );
        let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains("varies 022 (umask 0022) -> 077 (umask 0077); 002"),
            "{page}"
        );
    }
}
