//! `reprobe check --dry-run`: the plan, what the sandbox would set up, and about how many trials it
//! would take. Nothing is run.

use super::exit::{Exit, Failure};
use super::screen::Stream;
use crate::model::{OutputSelection, escape_bytes};
use crate::plan::{Plan, describe_level};
use crate::report::page::{Layout, Look, Page, Text};
use crate::sandbox::{Sandbox, SetupOp};
use crate::session::{self, Left};

/// Shows it.
pub(super) fn show(options: &session::Options, plan: &Plan) -> Result<Exit, Failure> {
    let sandbox =
        Sandbox::new(options.sandbox.clone()).map_err(|error| Failure::undecided(&error))?;
    let steps = |row| sandbox.plan_ops(&plan.environment(&row));
    let control = steps(plan.control_row());
    let varied = steps(plan.opening_row());
    sandbox
        .close()
        .map_err(|error| Failure::undecided(&error))?;
    let control = control.map_err(|error| Failure::undecided(&error))?;
    let varied = varied.map_err(|error| Failure::undecided(&error))?;
    let left = session::estimate(options, plan);
    let page = page(
        options,
        plan,
        [&control, &varied],
        left,
        Stream::Out.layout(),
    );
    Stream::Out.write(page.as_bytes())?;
    Ok(Exit::Success)
}

fn page(
    options: &session::Options,
    plan: &Plan,
    [control, varied]: [&[SetupOp]; 2],
    left: Left,
    layout: Layout,
) -> String {
    let mut page = Page::new(layout);
    facts(&mut page, options, plan);
    page.heading("Would be varied");
    let column = plan
        .variations
        .iter()
        .map(|v| v.name.len())
        .max()
        .unwrap_or(0);
    for variation in &plan.variations {
        let levels: Vec<String> = variation.varied.iter().map(describe_level).collect();
        let text = Text::from(describe_level(&variation.control))
            .and(Look::Dim, "->")
            .and(Look::Plain, &levels.join("; or "));
        page.row(2, (Look::Strong, &variation.name), column, &text);
    }
    if !plan.left_out.is_empty() {
        page.heading("Would not be tested");
        let column = plan
            .left_out
            .iter()
            .map(|left| left.name.len())
            .max()
            .unwrap_or(0);
        for left in &plan.left_out {
            let hint = if left.hint.is_empty() {
                String::new()
            } else {
                format!("– {}", left.hint)
            };
            let text = Text::from(left.reason.as_str()).and(Look::Plain, &hint);
            page.row(2, (Look::Doubtful, &left.name), column, &text);
        }
    }
    page.heading("Set-up of the control");
    steps(&mut page, control.iter());
    page.heading("Different where everything is varied");
    steps(
        &mut page,
        varied.iter().filter(|step| !control.contains(step)),
    );
    page.gap();
    if let Left::Clean { same, differs } = left {
        let amount = format!(
            "{same} trials if nothing differs, about {differs} if something does, and those that look for the causes."
        );
        page.paragraph(0, 0, &Text::new(Look::Strong, &amount));
    }
    page.finish()
}

fn facts(page: &mut Page, options: &session::Options, plan: &Plan) {
    let build = &options.build;
    let outputs = match &build.outputs {
        OutputSelection::Tree => "everything that the build leaves in the tree".to_owned(),
        OutputSelection::TreeAndBeside => {
            "everything that the build leaves in the tree, and files beside it".to_owned()
        }
        OutputSelection::Globs { patterns } => patterns.join(" "),
    };
    let variables: Vec<String> = build
        .variables
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    for (label, text) in [
        ("Command", format!("{:?}", build.command)),
        (
            "Source",
            escape_bytes(build.source.as_os_str().as_encoded_bytes()),
        ),
        ("Outputs", outputs),
        ("Variables", variables.join(" ")),
        ("Seed", plan.seed.to_string()),
    ] {
        if !text.is_empty() {
            page.row(0, (Look::Dim, label), 9, &text.into());
        }
    }
}

fn steps<'a>(page: &mut Page, steps: impl Iterator<Item = &'a SetupOp>) {
    for step in steps {
        page.paragraph(2, 4, &step.to_string().into());
    }
}
