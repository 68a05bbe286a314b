//! `reprobe doctor`: what this host allows, found by trying, and for each missing thing the way
//! out.

use super::exit::{Exit, Failure};
use super::inputs;
use super::screen::Stream;
use crate::catalog::Catalog;
use crate::model::{Capabilities, Missing};
use crate::plan::{Why, plan};
use crate::report::page::{Layout, Look, Page, Text};

/// Runs the command. Undecided where nothing at all can be varied.
pub(super) fn run() -> Result<Exit, Failure> {
    let host = inputs::capabilities()?;
    let catalog = Catalog::builtin().map_err(|error| Failure::undecided(&error))?;
    let request = inputs::request("source".as_ref(), 0);
    let plan = plan(&catalog, &host, &request).map_err(|error| Failure::undecided(&error))?;
    let tested: Vec<&str> = plan.variations.iter().map(|v| v.name.as_str()).collect();
    let lost: Vec<(&str, &str)> = plan
        .left_out
        .iter()
        .filter(|left| left.why != Why::Chosen)
        .map(|left| (left.name.as_str(), left.reason.as_str()))
        .collect();
    let page = page(&host, &tested, &lost, Stream::Out.layout());
    Stream::Out.write(page.as_bytes())?;
    if tested.is_empty() {
        return Ok(Exit::Undecided);
    }
    Ok(Exit::Success)
}

fn page(host: &Capabilities, tested: &[&str], lost: &[(&str, &str)], layout: Layout) -> String {
    let mut page = Page::new(layout);
    facts(&mut page, host);
    page.gap();
    let total = tested.len() + lost.len();
    let look = if lost.is_empty() {
        Look::Good
    } else {
        Look::Doubtful
    };
    let verdict = format!("{} of {total} variations can be tested here:", tested.len());
    page.paragraph(
        0,
        2,
        &Text::new(look, &verdict).and(Look::Plain, &tested.join(", ")),
    );
    let missing: Vec<&Missing> = host.missing.values().collect();
    section(&mut page, "Missing", &missing);
    if !lost.is_empty() {
        page.heading("Not tested for that");
        let column = lost.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, reason) in lost {
            page.row(2, (Look::Strong, name), column, &(*reason).into());
        }
    }
    let notes: Vec<&Missing> = host.notes.iter().collect();
    section(&mut page, "Worth knowing", &notes);
    page.finish()
}

fn facts(page: &mut Page, host: &Capabilities) {
    let user = if host.root {
        "root"
    } else {
        "an ordinary user"
    };
    let shells: Vec<String> = host
        .shells
        .iter()
        .map(|shell| shell.display().to_string())
        .collect();
    let locales = format!(
        "{} installed, {} that can be compiled",
        host.locales.len(),
        host.locale_sources.len()
    );
    for (label, text) in [
        ("Kernel", host.kernel.clone()),
        ("User", user.to_owned()),
        ("Processors", host.cpus.to_string()),
        ("Shells", shells.join(", ")),
        ("Locales", locales),
    ] {
        page.row(0, (Look::Dim, label), 10, &text.into());
    }
}

/// What, why, and the way out; what has the same reason once.
fn section(page: &mut Page, heading: &str, missing: &[&Missing]) {
    if missing.is_empty() {
        return;
    }
    page.heading(heading);
    let mut told: Vec<&Missing> = Vec::new();
    for one in missing {
        if told.contains(one) {
            continue;
        }
        told.push(one);
        let text = Text::new(Look::Strong, &format!("{}:", one.what)).and(Look::Plain, &one.reason);
        page.paragraph(2, 2, &text);
        if !one.hint.is_empty() {
            page.paragraph(
                4,
                2,
                &Text::new(Look::Good, "way out:").and(Look::Plain, &one.hint),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Need;
    use std::collections::BTreeMap;

    #[test]
    fn each_missing_thing_comes_with_its_way_out_once() {
        let missing = Missing {
            what: "user namespaces".to_owned(),
            reason: "unshare(CLONE_NEWUSER): EPERM".to_owned(),
            hint: "sysctl -w kernel.unprivileged_userns_clone=1".to_owned(),
        };
        let host = Capabilities {
            kernel: "Linux 6.1.0 x86_64".to_owned(),
            root: false,
            caller: (1000, 1000),
            cpus: 2,
            locales: vec!["C.UTF-8".to_owned()],
            locale_sources: vec!["et_EE".to_owned()],
            shells: vec!["/usr/bin/dash".into(), "/usr/bin/bash".into()],
            missing: BTreeMap::from([
                (Need::Mounts, missing.clone()),
                (Need::OtherUser, missing.clone()),
            ]),
            notes: Vec::new(),
        };
        let lost = [("build-path", missing.reason.as_str())];
        insta::assert_snapshot!(page(&host, &["umask", "timezone"], &lost, Layout::default()), @r#"
    Kernel      Linux 6.1.0 x86_64
    User        an ordinary user
    Processors  2
    Shells      /usr/bin/dash, /usr/bin/bash
    Locales     1 installed, 1 that can be compiled

    2 of 3 variations can be tested here: umask, timezone

    Missing
      user namespaces: unshare(CLONE_NEWUSER): EPERM
        way out: sysctl -w kernel.unprivileged_userns_clone=1

    Not tested for that
      build-path  unshare(CLONE_NEWUSER): EPERM
    "#);
    }
}
