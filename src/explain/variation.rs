//! Variations: what is said about each, and about those that break the build.

use super::{Case, verdict};
use crate::model::{
    Level, Slot, TrialId, TrialRecord, TrialResult, Variation, VariationRecord, VariationStatus,
};
use crate::plan::Plan;
use crate::search::{Breaker, ElementVerdict, FactorVerdict, Note};

/// One record for each variation of the catalogue: those that were tried, then those that were
/// not.
pub(super) fn records(case: &Case<'_>) -> Vec<VariationRecord> {
    let tried = case
        .plan
        .variations
        .iter()
        .zip(&case.search.factors)
        .enumerate();
    let tried =
        tried.map(|(factor, (variation, verdict))| record(case, factor, variation, *verdict));
    let left_out = case.plan.left_out.iter().map(|left_out| VariationRecord {
        name: left_out.name.clone(),
        varies: left_out.varies,
        status: VariationStatus::NotTested,
        control: left_out.control.clone(),
        varied: left_out.varied.clone(),
        cleared_at: Vec::new(),
        not_tried: Vec::new(),
        reason: Some(match left_out.hint.as_str() {
            "" => left_out.reason.clone(),
            hint => format!("{}; {hint}", left_out.reason),
        }),
    });
    tried.chain(left_out).collect()
}

fn record(
    case: &Case<'_>,
    factor: usize,
    variation: &Variation,
    said: FactorVerdict,
) -> VariationRecord {
    let (status, reason) = match said {
        FactorVerdict::Culprit => (VariationStatus::Culprit, None),
        FactorVerdict::Cleared if verdict::no_ground(case).is_some() => (
            VariationStatus::NotTested,
            Some("nothing was compared".to_owned()),
        ),
        FactorVerdict::Cleared | FactorVerdict::Unsettled if is_unfinished(case) => {
            let reason = "the search ended before it was known";
            (VariationStatus::Unsettled, Some(reason.to_owned()))
        }
        FactorVerdict::Cleared if something_is_unstable(case) => {
            let reason = "no effect was seen; one on what is unstable would not show";
            (VariationStatus::Unsettled, Some(reason.to_owned()))
        }
        FactorVerdict::Cleared if broken_owner(case, factor, variation).is_some() => {
            (VariationStatus::BreaksBuild, None)
        }
        FactorVerdict::Cleared => (VariationStatus::Cleared, None),
        FactorVerdict::Unsettled => {
            let reason = "may have a part in a difference that could not be settled";
            (VariationStatus::Unsettled, Some(reason.to_owned()))
        }
        FactorVerdict::Breaks => (VariationStatus::BreaksBuild, None),
        FactorVerdict::NotTried => {
            let reason = if is_unfinished(case) {
                "no trial with it ended"
            } else {
                "no trial with it built"
            };
            (VariationStatus::NotTested, Some(reason.to_owned()))
        }
    };
    let said = reason.into_iter().chain(remarks(case, factor, variation));
    let reason = said.collect::<Vec<_>>().join("; ");
    VariationRecord {
        name: variation.name.clone(),
        varies: variation.varies,
        status,
        control: variation.control.name.clone(),
        varied: match broken_owner(case, factor, variation) {
            Some(level) if status == VariationStatus::BreaksBuild => vec![level.name.clone()],
            _ => tried_levels(case, variation),
        },
        cleared_at: cleared_levels(case, factor, variation, status),
        not_tried: not_tried(case, factor, variation, status),
        reason: if reason.is_empty() {
            None
        } else {
            Some(reason)
        },
    }
}

/// The level that breaks the build, of a variation whose others do not stand in for it: that the
/// sources belong to who builds says nothing of sources that belong to somebody else.
fn broken_owner<'v>(case: &Case<'_>, factor: usize, variation: &'v Variation) -> Option<&'v Level> {
    let level = variation.level(1)?;
    let mut settings = level.settings.iter();
    if !settings.any(|setting| setting.slot() == Slot::SourceOwner) {
        return None;
    }
    let mut breakers = case.search.breakers.iter();
    let breaks = breakers.any(|breaker| breaker.is_level(factor, 1));
    breaks.then_some(level)
}

/// Whether the search ended before it was done: what had no effect so far may only not have been
/// tried where it has one.
pub(super) fn is_unfinished(case: &Case<'_>) -> bool {
    let stopped = case.stopped.is_some() && !case.searched;
    stopped || case.search.notes.contains(&Note::BudgetUsed)
}

/// Whether something that decides differs between trials of one environment: what else makes a
/// difference to it cannot be seen.
fn something_is_unstable(case: &Case<'_>) -> bool {
    let mut numbered = case.search.elements.iter().enumerate();
    numbered.any(|(number, verdict)| {
        matches!(verdict, ElementVerdict::Unstable { .. }) && case.ledger.decides(number)
    })
}

/// What else a person should know: levels that broke the build, that the host lacks, or that are
/// less than they could be.
fn remarks<'a>(
    case: &'a Case<'_>,
    factor: usize,
    variation: &'a Variation,
) -> impl Iterator<Item = String> + 'a {
    let broken = case.search.breakers.iter();
    let broken = broken
        .filter(move |b| b.set.contains(&factor))
        .map(|b| breaks(case.plan, b));
    let notes = variation
        .varied
        .iter()
        .filter_map(|level| level.note.clone());
    // A note of a level speaks of those that it stands in for.
    let substitute = variation.varied.iter().any(|level| level.note.is_some());
    let dropped = if substitute {
        Vec::new()
    } else {
        dropped(case, variation)
    };
    broken
        .chain(dropped)
        .chain(notes)
        .chain(folded(case, factor))
}

/// Through whose means alone it changes elements.
fn folded(case: &Case<'_>, factor: usize) -> Option<String> {
    let mut folded = case.folded.iter();
    let (_, first) = folded.find(|((_, own), _)| own.contains(&factor))?;
    let into = case.plan.variations.get(first.into)?;
    Some(if first.is_all {
        format!(
            "what it changes by the means of `{}` alone is told there",
            into.name
        )
    } else {
        format!(
            "the order that it changes cannot be told from the one that `{}` changes; fix that first",
            into.name
        )
    })
}

/// The levels that cannot act here, each reason once.
fn dropped(case: &Case<'_>, variation: &Variation) -> Vec<String> {
    let mut groups: Vec<(Vec<String>, String)> = Vec::new();
    let levels = case.plan.dropped.iter();
    for level in levels.filter(|level| level.variation == variation.name) {
        let why = match level.hint.as_str() {
            "" => level.reason.clone(),
            hint => format!("{}; {hint}", level.reason),
        };
        let name = format!("`{}`", level.level);
        match groups.iter_mut().find(|(_, known)| *known == why) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], why)),
        }
    }
    let said = groups.into_iter();
    said.map(|(names, why)| format!("{} cannot act here: {why}", names.join(" and ")))
        .collect()
}

/// The levels to which no difference is due.
fn cleared_levels(
    case: &Case<'_>,
    factor: usize,
    variation: &Variation,
    status: VariationStatus,
) -> Vec<String> {
    if !matches!(status, VariationStatus::Cleared | VariationStatus::Culprit) {
        return Vec::new();
    }
    let cleared = case.search.cleared.get(factor).into_iter().flatten();
    let levels = cleared.filter_map(|number| variation.level(*number));
    levels.map(|level| level.name.clone()).collect()
}

/// The levels of a tested variation of which nothing is known: neither cleared, nor to blame for
/// anything, nor seen to break the build. A level of a culprit that some trial had to itself, and that
/// changed nothing but what the culprit changes anyway, was tried.
fn not_tried(
    case: &Case<'_>,
    factor: usize,
    variation: &Variation,
    status: VariationStatus,
) -> Vec<String> {
    if !matches!(status, VariationStatus::Cleared | VariationStatus::Culprit) {
        return Vec::new();
    }
    let blamed = |number: u8| {
        let mut elements = case.search.elements.iter();
        elements.any(|said| match said {
            ElementVerdict::Certified { culprits } => culprits.iter().any(|culprit| {
                let mut levels = culprit.set.iter().zip(&culprit.levels);
                levels.any(|level| level == (&factor, &number))
            }),
            _ => false,
        })
    };
    let breaks = |number: u8| {
        let mut breakers = case.search.breakers.iter();
        breakers.any(|b| b.is_level(factor, number))
    };
    let cleared = case.search.cleared.get(factor);
    let is_cleared = |number: u8| cleared.is_some_and(|levels| levels.contains(&number));
    let numbered = (1..).zip(&variation.varied);
    let tried = |level: &Level| {
        let used = |trial: &&TrialRecord| trial.varied.get(&variation.name) == Some(&level.name);
        let mut built = case
            .trials
            .iter()
            .filter(|trial| trial.result == TrialResult::Built);
        status == VariationStatus::Culprit && built.any(|trial| used(&trial))
    };
    let known = |n: u8, level: &Level| is_cleared(n) || blamed(n) || breaks(n) || tried(level);
    let unknown = numbered.filter(|(n, level)| !known(*n, level));
    unknown.map(|(_, level)| level.name.clone()).collect()
}

/// The levels that some trial used; where none did, those that there are.
fn tried_levels(case: &Case<'_>, variation: &Variation) -> Vec<String> {
    let used = |level: &&Level| {
        let name = Some(&level.name);
        case.trials
            .iter()
            .any(|trial| trial.varied.get(&variation.name) == name)
    };
    let levels = variation.varied.iter();
    let tried: Vec<String> = levels
        .clone()
        .filter(used)
        .map(|level| level.name.clone())
        .collect();
    if tried.is_empty() {
        levels.map(|level| level.name.clone()).collect()
    } else {
        tried
    }
}

fn breaks(plan: &Plan, breaker: &Breaker) -> String {
    let levels: Vec<String> = breaker
        .set
        .iter()
        .zip(&breaker.levels)
        .filter_map(|(factor, level)| {
            let variation = plan.variations.get(*factor)?;
            Some(format!(
                "{}={}",
                variation.name,
                variation.level(*level)?.name
            ))
        })
        .collect();
    let then = if breaker.replaced {
        "the next level was used instead"
    } else {
        "left out from then on"
    };
    format!(
        "the build fails with {} (trials {}); {then}",
        levels.join(" and "),
        list(&breaker.failed)
    )
}

fn list(trials: &[TrialId]) -> String {
    trials
        .iter()
        .map(|trial| trial.0.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// A note of the search, in words.
pub(super) fn note(plan: &Plan, note: &Note) -> String {
    match note {
        Note::FlakyBuild {
            failed,
            built,
            others,
        } => {
            let more = match others {
                0 => String::new(),
                1 => ", and so did two trials of another one".to_owned(),
                others => format!(", and so did trials of {others} others"),
            };
            format!(
                "the build is flaky: trial {} failed and trial {} built in the same environment{more}",
                failed.0, built.0
            )
        }
        Note::BudgetUsed => "the budget of trials was used up before everything was settled".into(),
        Note::NeverTogether(factors) => {
            let names = factors
                .iter()
                .filter_map(|factor| plan.variations.get(*factor));
            let names: Vec<&str> = names.map(|variation| variation.name.as_str()).collect();
            format!(
                "{} were varied only apart: together they break the build",
                names.join(" and ")
            )
        }
        Note::UnexplainedFailures(trials) => format!(
            "the build failed in trials {}, and no set of variations could be shown to be the reason",
            list(trials)
        ),
    }
}
