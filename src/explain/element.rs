//! Elements and outputs: what is said about each.

use std::collections::{BTreeMap, BTreeSet};

use super::advice::{self, Maker};
use super::hints::{Chosen, Marks};
use super::tried::{EPOCH, Tried, has_epoch};
use super::{Case, Contents, checkout, variation};
use crate::diff;
use crate::model::{
    Artifact, ArtifactVerdict, CertificateStep, Culprit, CulpritPart, Element, Expect, Field,
    Finding, FindingState, Rate, Remedy, TrialId, Value, Values, output_of,
};
use crate::search::{Certified, ElementVerdict};

/// One finding for each differing element of the outputs that decide, by path and field.
pub(super) fn findings(case: &Case<'_>, contents: Contents<'_>) -> Vec<Finding> {
    let elements = case
        .ledger
        .elements()
        .iter()
        .zip(&case.search.elements)
        .enumerate();
    let mut findings: Vec<(&Element, Finding)> = elements
        .filter(|(number, _)| case.ledger.decides(*number))
        .filter_map(|(number, (element, verdict))| {
            Some((element, finding(case, contents, number, verdict)?))
        })
        .collect();
    findings.sort_by_key(|(element, _)| *element);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

fn finding(
    case: &Case<'_>,
    contents: Contents<'_>,
    number: usize,
    verdict: &ElementVerdict,
) -> Option<Finding> {
    let element = case.ledger.elements().get(number)?;
    let mut finding = blank(element);
    let shown_by = match verdict {
        ElementVerdict::Same { .. } | ElementVerdict::NotInControl => return None,
        ElementVerdict::Unstable {
            differing,
            trials,
            low,
            high,
            shown_by,
        } => {
            finding.state = FindingState::Unstable;
            finding.reason = Some(unstable(*shown_by, *differing, *trials));
            finding.rate = Some(Rate {
                differing: u64::from(*differing),
                trials: u64::from(*trials),
                low: *low,
                high: *high,
                between: [shown_by.0, shown_by.1],
            });
            let (first, second) = *shown_by;
            let value = case.ledger.value_in(number, second);
            // The pair need not contain the control: show the one that is not like it.
            let control = case.ledger.control_value(number);
            if value == control {
                Some(first)
            } else {
                Some(second)
            }
        }
        ElementVerdict::Certified { culprits } => {
            finding.state = FindingState::Certified;
            finding.culprits = names(case, number, culprits);
            let causes = finding.culprits.iter().filter_map(|c| c.cause.as_ref());
            let causes: Vec<&str> = causes.map(|cause| cause.words.as_str()).collect();
            finding.cause = (!causes.is_empty()).then(|| causes.join("; "));
            shows_difference(culprits).or_else(|| case.ledger.first_difference(number))
        }
        ElementVerdict::Unsettled { reason, possible } => {
            // What is possible is known of a search that ended.
            let possible = if variation::is_unfinished(case) {
                &[]
            } else {
                possible.as_slice()
            };
            finding.reason = Some(unsettled(case, &reason.to_string(), possible));
            case.ledger.first_difference(number)
        }
    };
    if let Some(folded) = folded(case, number) {
        finding.reason.get_or_insert(folded);
    }
    let control = case.ledger.control();
    finding.offset = control.and_then(|control| control.elements.offset(element));
    finding.values = Values {
        control: case.ledger.control_value(number).map(ToString::to_string),
        varied: shown_by
            .and_then(|t| case.ledger.value_in(number, t))
            .map(ToString::to_string),
    };
    add_evidence(case, contents, (element, verdict, shown_by), &mut finding);
    Some(finding)
}

/// Says where contents part, and what to change.
fn add_evidence(
    case: &Case<'_>,
    contents: Contents<'_>,
    (element, verdict, shown_by): (&Element, &ElementVerdict, Option<TrialId>),
    finding: &mut Finding,
) {
    let is_content = element.field == Field::CONTENT || element.field.is_addresses();
    let content = case.ledger.control_trial().filter(|_| is_content);
    let content = content.and_then(|control| contents(control, element));
    let content = content.as_deref();
    if is_content {
        finding.evidence = evidence(case, contents, element, content, (verdict, shown_by));
    }
    finding.remedies = remedies(case, element, content, finding);
}

/// Where contents part: of what is unstable, between the two trials that are named for it; for each
/// of several culprits by itself, in a line of its own; else as the trial shows that stands for all.
fn evidence(
    case: &Case<'_>,
    contents: Contents<'_>,
    element: &Element,
    control: Option<&[u8]>,
    (verdict, shown_by): (&ElementVerdict, Option<TrialId>),
) -> Option<String> {
    if let ElementVerdict::Unstable {
        shown_by: (first, second),
        ..
    } = verdict
    {
        return diff::excerpt(&contents(*first, element)?, &contents(*second, element)?);
    }
    let control = control?;
    let parting = |trial| {
        let varied = contents(trial, element)?;
        let first = diff::excerpt(control, &varied)?;
        Some(chosen(case, trial, &first, control, &varied).unwrap_or(first))
    };
    let ElementVerdict::Certified { culprits } = verdict else {
        return parting(shown_by?);
    };
    if culprits.len() < 2 {
        return parting(shown_by?);
    }
    let each = culprits.iter().filter_map(|culprit| {
        let trial = shows_difference(std::slice::from_ref(culprit))?;
        let names = culprit.set.iter();
        let names: Vec<&str> = names
            .filter_map(|factor| factor_name(case, *factor))
            .collect();
        let names = names.join(" and ");
        Some(format!("{names}: {}", parting(trial)?))
    });
    let mut each: Vec<String> = each.collect();
    each.sort();
    (!each.is_empty()).then(|| each.join("\n"))
}

/// What else moves an element by another culprit's means: derived, and not to blame.
fn folded(case: &Case<'_>, number: usize) -> Option<String> {
    let range = (number, Vec::new())..(number + 1, Vec::new());
    let mut by: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((_, factors), folded) in case.folded.range(range) {
        let into = factor_name(case, folded.into)?;
        let names: Option<Vec<&str>> = factors.iter().map(|f| factor_name(case, *f)).collect();
        let said = format!("{} (trial {})", names?.join(" and "), folded.trial.0);
        by.entry(into).or_default().push(said);
    }
    let by = by.into_iter().map(|(into, names)| {
        let names = names.join(", ");
        format!("moved as well, by the means of {into} alone, by {names}")
    });
    let by: Vec<String> = by.collect();
    (!by.is_empty()).then(|| by.join("; "))
}

/// Where contents part by a value that the trial's levels chose, unless the first place shows one:
/// checksums and lengths follow from it, and often stand before it.
fn chosen(
    case: &Case<'_>,
    trial: TrialId,
    first: &str,
    control: &[u8],
    varied: &[u8],
) -> Option<String> {
    let record = case.trials.iter().find(|record| record.id == trial)?;
    let marks = Marks::of(case.plan, &case.plan.row(&record.varied)?);
    if marks.stand_in(first.as_bytes()) {
        return None;
    }
    match marks.place(control, varied)? {
        Chosen::Word(at) => diff::excerpt_at(control, varied, at),
        Chosen::Time(at, times) => {
            let [old, new] = times.map(|time| {
                let date = chrono::DateTime::from_timestamp(i64::from(time), 0);
                date.map_or(time.to_string(), |d| {
                    d.format("%Y-%m-%d %H:%M:%S").to_string()
                })
            });
            Some(format!("byte {at:#x}: the time {old} -> {new}"))
        }
    }
}

fn blank(element: &Element) -> Finding {
    Finding {
        element: element.path.to_string(),
        field: element.field.to_string(),
        offset: None,
        values: Values {
            control: None,
            varied: None,
        },
        state: FindingState::Unsettled,
        reason: None,
        rate: None,
        culprits: Vec::new(),
        by_checkout: false,
        cause: None,
        evidence: None,
        remedies: Vec::new(),
    }
}

fn unstable((first, second): (TrialId, TrialId), differing: u32, trials: u32) -> String {
    format!(
        "differs between trials {} and {}, whose environments are the same ({differing} of \
         {trials} repeats)",
        first.0, second.0
    )
}

fn unsettled(case: &Case<'_>, reason: &str, possible: &[usize]) -> String {
    let names: Vec<&str> = possible
        .iter()
        .filter_map(|factor| factor_name(case, *factor))
        .collect();
    if names.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}; possible: {}", names.join(", "))
    }
}

fn factor_name<'a>(case: &Case<'a>, factor: usize) -> Option<&'a str> {
    case.plan
        .variations
        .get(factor)
        .map(|variation| variation.name.as_str())
}

fn names(case: &Case<'_>, number: usize, culprits: &[Certified]) -> Vec<Culprit> {
    let culprits = culprits.iter();
    culprits
        .map(|culprit| name(case, number, culprit))
        .collect()
}

fn name(case: &Case<'_>, number: usize, certified: &Certified) -> Culprit {
    let names = certified
        .set
        .iter()
        .filter_map(|factor| factor_name(case, *factor));
    let mut variations: Vec<String> = names.map(str::to_owned).collect();
    variations.sort();
    let steps = certified.certificate.iter();
    let mut certificate: Vec<CertificateStep> = steps
        .map(|(trial, expect)| CertificateStep {
            trial: *trial,
            expect: *expect,
        })
        .collect();
    certificate.sort();
    let alone = match certified.set.as_slice() {
        [factor] => Some(*factor),
        _ => None,
    };
    let part = alone.and_then(|factor| case.parts.get(&(number, factor)));
    let element = case.ledger.elements().get(number);
    let causes = element.and_then(|element| case.causes.get(element));
    Culprit {
        variations,
        levels: levels(case, certified),
        certificate,
        part: part.map(|part| CulpritPart {
            name: part.name.clone(),
            certificate: [(part.differs, Expect::Differs), (part.same, Expect::Same)]
                .map(|(trial, expect)| CertificateStep { trial, expect })
                .to_vec(),
        }),
        cause: alone.and_then(|factor| causes?.get(&factor)).cloned(),
    }
}

/// The levels of a certified set, by variation.
fn levels(case: &Case<'_>, certified: &Certified) -> BTreeMap<String, String> {
    let numbered = certified.set.iter().zip(&certified.levels);
    let named = numbered.filter_map(|(factor, level)| {
        let variation = case.plan.variations.get(*factor)?;
        let level = variation.level(*level)?;
        Some((variation.name.clone(), level.name.clone()))
    });
    named.collect()
}

/// The first trial of a certificate that shows the difference.
fn shows_difference(culprits: &[Certified]) -> Option<TrialId> {
    let steps = culprits.iter().flat_map(|culprit| &culprit.certificate);
    steps
        .filter(|(_, expect)| *expect == Expect::Differs)
        .map(|(t, _)| *t)
        .min()
}

/// What the variations' files advise, for the maker of this element.
fn remedies(
    case: &Case<'_>,
    element: &Element,
    content: Option<&[u8]>,
    finding: &Finding,
) -> Vec<Remedy> {
    let tried = case.tried.as_ref();
    let epoch_set = has_epoch(case.source_date_epoch.is_some(), &case.programs);
    let maker = Maker {
        packer: packer(case, element),
        kinds: advice::kinds(&element.path, content),
        programs: &case.programs,
        shows: advice::shows(finding.evidence.as_deref()),
        epoch_settled: tried.is_some() || epoch_set,
        epoch_set,
    };
    let gone = tried.filter(|tried| tried.gone.contains(element));
    let names = finding
        .culprits
        .iter()
        .flat_map(|culprit| &culprit.variations);
    let names: BTreeSet<&String> = names.collect();
    let variations = case.plan.variations.iter();
    variations
        .filter(|variation| names.contains(&variation.name))
        .flat_map(|variation| match gone {
            Some(tried) if tried.variations.contains(&variation.name) => {
                vec![worked(tried, &variation.name)]
            }
            _ => advice::remedies(variation, &element.field, &finding.culprits, &maker),
        })
        .collect()
}

/// What did away with a difference.
fn worked(tried: &Tried, variation: &str) -> Remedy {
    let trials: Vec<String> = tried.trials.iter().map(|id| id.0.to_string()).collect();
    let (gone, left) = (tried.gone.len(), tried.left.len());
    let same = match left {
        0 => "what depends on it is the same".to_owned(),
        _ => format!(
            "{gone} of {} elements are the same, the others need more",
            gone + left
        ),
    };
    Remedy {
        variation: Some(variation.to_owned()),
        text: format!(
            "set {EPOCH}: with {} {same} (trials {})",
            tried.setting,
            trials.join(" and ")
        ),
        verified: true,
        attempt: None,
    }
}

/// The processes behind another field of the same archive: who writes one writes them all. The order
/// is somebody else's who hands the names over.
fn packer<'a>(case: &Case<'a>, element: &Element) -> &'a [Vec<String>] {
    let format = |element: &Element| {
        let (format, field) = element.field.as_str().split_once('.')?;
        (field != "order").then(|| format.to_owned())
    };
    let own = format(element).filter(|_| !element.field.is_addresses());
    let same = |other: &Element| {
        own.is_some() && other.output() == element.output() && format(other) == own
    };
    let causes = case.causes.iter().filter(|(other, _)| same(other));
    let mut causes = causes.flat_map(|(_, causes)| causes.values());
    let known = causes.find(|cause| !cause.processes.is_empty());
    known.map_or(&[], |cause| &cause.processes)
}

/// One record for each output of any trial, by path.
pub(super) fn artifacts(case: &Case<'_>, findings: &[Finding]) -> Vec<Artifact> {
    let mut by_output: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let output = output_of(&finding.element);
        by_output.entry(output).or_default().push(finding);
    }
    let (mut fields, mut members) = counts(case);
    let outputs = case.ledger.outputs().into_iter();
    outputs
        .map(|(path, (decides, differing))| {
            let findings = by_output.remove(path).unwrap_or_default();
            let count = |state| {
                let matching = findings.iter().filter(|finding| finding.state == state);
                matching.count() as u64
            };
            let unstable = count(FindingState::Unstable);
            let verdict = match (differing, findings.len() as u64 == unstable && unstable > 0) {
                (None, _) => ArtifactVerdict::Same,
                (Some(_), true) => ArtifactVerdict::Unstable,
                (Some(_), false) => ArtifactVerdict::Differs,
            };
            let all = findings.iter().flat_map(|finding| &finding.culprits);
            let culprits: BTreeSet<Vec<String>> = all.map(|c| c.variations.clone()).collect();
            Artifact {
                path: path.to_owned(),
                decides,
                verdict,
                without_checkout: checkout::without(verdict, &findings),
                sha256: digest(case, path),
                culprits: culprits.into_iter().collect(),
                unstable_elements: unstable,
                unsettled_elements: count(FindingState::Unsettled),
                elements: fields.remove(path).unwrap_or_default(),
                members: members.remove(path).unwrap_or_default(),
            }
        })
        .collect()
}

fn digest(case: &Case<'_>, path: &str) -> Option<String> {
    let element = Element::new(path, Field::CONTENT);
    match case.ledger.control()?.elements.get(&element)? {
        Value::Digest { sha256, .. } => Some(sha256.clone()),
        Value::Text(_) | Value::Order(_) => None,
    }
}

/// Numbers by name, for each output.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// How many elements the control has of each field, and how many members each of its archives.
fn counts(case: &Case<'_>) -> (Counts, Counts) {
    let (mut fields, mut members) = (Counts::new(), Counts::new());
    let count = |counts: &mut Counts, path: &str, name: &str| {
        let counts = counts.entry(output_of(path).to_owned()).or_default();
        *counts.entry(name.to_owned()).or_default() += 1;
    };
    let control = case.ledger.control().into_iter();
    for item in control.flat_map(|control| control.elements.iter()) {
        count(&mut fields, item.path, item.field.as_str());
        if let Some((archive, _)) = item.path.rsplit_once("!/")
            && *item.field == Field::PRESENCE
        {
            count(&mut members, item.path, archive);
        }
    }
    (fields, members)
}
