//! Every folder of `scenarios/`: a small real build with known culprits goes through the real
//! binary in the real sandbox, its findings are compared with `scenario.toml` exactly, and its
//! fixed twin must come out reproducible. A new scenario is a folder; nothing here names one.
//! `REPROBE_SCENARIO=part-of-a-name` runs only those.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its output says what it skipped"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use globset::GlobBuilder;
use reprobe::model::{
    ArtifactVerdict, Expect, Finding, FindingState, Findings, VariationStatus, Verdict,
};
use serde::Deserialize;

mod source_tree;
use source_tree::{entries, fingerprint, plant};

/// `scenario.toml`; `scenarios/README.md` explains it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Scenario {
    shows: String,
    evidence: String,
    setup: Option<String>,
    command: String,
    outputs: Vec<String>,
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    breaks: Vec<String>,
    #[serde(default)]
    needs: Needs,
    fixed: Option<Fixed>,
    #[serde(default)]
    finding: Vec<Expected>,
}

/// What the host must have.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Needs {
    #[serde(default)]
    commands: Vec<String>,
    /// Modules of `/usr/bin/python3`.
    python: Option<Vec<String>>,
    #[serde(default)]
    cpus: usize,
    /// Variations that must be testable, beyond those that are named anyway.
    #[serde(default)]
    variations: Vec<String>,
    /// A locale that sorts differently from C.
    #[serde(default)]
    collation: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixed {
    command: String,
}

/// Findings that must come out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Glob over elements; `*` stays within a directory, `**` does not.
    element: String,
    field: String,
    /// Alternatives, each a minimal set.
    #[serde(default)]
    culprits: Vec<Vec<String>>,
    #[serde(default)]
    state: State,
    /// A part of the words about where it comes from.
    cause: Option<String>,
    /// A part of each piece of advice, in their order.
    remedies: Option<Vec<String>>,
    /// How many elements the glob stands for.
    #[serde(default = "one")]
    count: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    #[default]
    Certified,
    Unstable,
    Derived,
}

const fn one() -> usize {
    1
}

/// How one scenario went.
enum Went {
    Well(String),
    Skipped(String),
    Wrong(String),
}

/// One run of the binary.
struct Run {
    code: Option<i32>,
    findings: Option<Findings>,
    /// Everything that it printed.
    said: String,
}

#[test]
fn every_scenario_says_what_it_shows_how_that_was_established_and_how_to_fix_it() {
    let mut wrong = String::new();
    for name in names() {
        match read(&name) {
            Ok(scenario) => {
                for complaint in incomplete(&name, &scenario) {
                    let _ = writeln!(wrong, "scenarios/{name} {complaint}");
                }
            }
            Err(error) => {
                let _ = writeln!(wrong, "{error}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_scenario_yields_exactly_the_culprits_that_were_established_by_hand() {
    run_all("findings", |name, scenario| Some(check(name, scenario)));
}

#[test]
fn every_fixed_twin_comes_out_reproducible() {
    run_all("twins", |name, scenario| {
        has_twin(name, scenario).then(|| check_twin(name, scenario))
    });
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scenarios")
        .join(name)
}

fn names() -> Vec<String> {
    let wanted = std::env::var("REPROBE_SCENARIO").unwrap_or_default();
    let folders = entries(&folder(""))
        .unwrap()
        .into_iter()
        .filter(|path| path.is_dir());
    folders
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name.contains(&wanted))
        .collect()
}

fn read(name: &str) -> Result<Scenario, String> {
    let path = folder(name).join("scenario.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn has_twin(name: &str, scenario: &Scenario) -> bool {
    scenario.fixed.is_some() || folder(name).join("fixed").is_dir()
}

fn incomplete(name: &str, scenario: &Scenario) -> Vec<&'static str> {
    let findings = &scenario.finding;
    let differs = !findings.is_empty();
    let odd = |f: &Expected| f.culprits.is_empty() != (f.state == State::Unstable);
    let complaints = [
        (!folder(name).join("build").is_dir(), "has no build/"),
        (
            scenario.shows.trim().is_empty(),
            "does not say what it shows",
        ),
        (scenario.evidence.trim().is_empty(), "has no evidence"),
        (
            differs && !has_twin(name, scenario),
            "has findings and no fixed twin",
        ),
        (
            !differs && !expects_nothing(name),
            "has no findings and is neither clean nor a breaker",
        ),
        (
            findings.iter().any(odd),
            "has a finding with neither culprits nor unstable, or both",
        ),
    ];
    let holding = complaints.into_iter().filter(|(holds, _)| *holds);
    holding.map(|(_, complaint)| complaint).collect()
}

/// A scenario without findings says so in its name, so that a forgotten list does not pass.
fn expects_nothing(name: &str) -> bool {
    name.starts_with("clean-") || name == "breaker"
}

/// Runs `judge` over all scenarios on as many threads as there are processors; `None` is a scenario
/// that has nothing to judge.
fn run_all(what: &str, judge: impl Fn(&str, &Scenario) -> Option<Went> + Sync) {
    let queue = Mutex::new(names());
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..processors() {
            scope.spawn(|| {
                while let Some(name) = next(&queue) {
                    let started = Instant::now();
                    let went = match read(&name) {
                        Ok(scenario) => match lacking(&scenario.needs) {
                            Some(reason) => Some(Went::Skipped(reason)),
                            None => judge(&name, &scenario),
                        },
                        Err(error) => Some(Went::Wrong(error)),
                    };
                    if let Some(went) = went {
                        let seconds = started.elapsed().as_secs_f64();
                        results.lock().unwrap().insert(name, (went, seconds));
                    }
                }
            });
        }
    });
    summarise(what, &results.into_inner().unwrap());
}

fn next(queue: &Mutex<Vec<String>>) -> Option<String> {
    queue.lock().unwrap().pop()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Prints one line per scenario, and fails with everything that is wrong.
fn summarise(what: &str, results: &BTreeMap<String, (Went, f64)>) {
    let required = std::env::var("REPROBE_REQUIRE").is_ok_and(|value| value == "all");
    let mut wrong = String::new();
    let mut skipped = 0;
    for (name, (went, seconds)) in results {
        match went {
            Went::Well(said) => println!("{what}: {name}: ok, {said}, {seconds:.1} s"),
            Went::Skipped(reason) => {
                skipped += 1;
                say(&format!("{what}: {name}: SKIPPED: {reason}"));
                if required {
                    let _ = writeln!(wrong, "--- {name}: skipped, but all is required: {reason}");
                }
            }
            Went::Wrong(reason) => {
                let _ = writeln!(wrong, "--- {name} ({seconds:.1} s): {reason}");
            }
        }
    }
    say(&format!(
        "{what}: {} scenarios, {skipped} skipped",
        results.len()
    ));
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Says something that the test harness does not swallow when the test passes.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What this host lacks for a scenario.
fn lacking(needs: &Needs) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for command in &needs.commands {
        if !std::env::split_paths(&path).any(|dir| dir.join(command).is_file()) {
            return Some(format!("needs the command {command}"));
        }
    }
    if let Some(modules) = &needs.python {
        let imports: Vec<String> = modules
            .iter()
            .map(|name| format!("import {name}\n"))
            .collect();
        let import = imports.concat();
        let found = Command::new("/usr/bin/python3")
            .args(["-c", &import])
            .output();
        if !found.is_ok_and(|output| output.status.success()) {
            return Some(format!("needs /usr/bin/python3 with {modules:?}"));
        }
    }
    if processors() < needs.cpus {
        return Some(format!(
            "needs {} processors, has {}",
            needs.cpus,
            processors()
        ));
    }
    if needs.collation && !Path::new("/usr/share/i18n/locales/et_EE").exists() {
        return Some("needs locale sources to compile (the package `locales`)".into());
    }
    None
}

/// Plants the tree and checks it; an error is what went wrong around the run itself.
fn run(name: &str, scenario: &Scenario, twin: bool) -> Result<Run, String> {
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let tree = place.path().join(name);
    let fixed_files = folder(name).join("fixed");
    let mut layers = vec![folder(name).join("build")];
    layers.extend((twin && fixed_files.is_dir()).then_some(fixed_files));
    plant(&layers, &tree, scenario.setup.as_deref())?;
    let before = fingerprint(&tree);

    let json = place.path().join("findings.json");
    let output = command(scenario, twin, &tree, &json)
        .output()
        .map_err(|e| e.to_string())?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if fingerprint(&tree) != before {
        return Err(format!(
            "the source tree is not what it was before the run\n{said}"
        ));
    }
    let findings = match std::fs::read(&json) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|e| format!("JSON: {e}"))?),
        Err(_) => None,
    };
    Ok(Run {
        code: output.status.code(),
        findings,
        said,
    })
}

fn command(scenario: &Scenario, twin: bool, tree: &Path, json: &Path) -> Command {
    let mut reprobe = Command::new(env!("CARGO_BIN_EXE_reprobe"));
    reprobe
        .arg("check")
        .arg("--json")
        .arg(json)
        .args(&scenario.options);
    for output in &scenario.outputs {
        reprobe.arg("-o").arg(output);
    }
    if !scenario.only.is_empty() {
        reprobe.arg("--only").arg(scenario.only.join(","));
    }
    let line = match &scenario.fixed {
        Some(fixed) if twin => &fixed.command,
        _ => &scenario.command,
    };
    reprobe.arg(tree).arg("--").arg(line);
    reprobe
}

fn check(name: &str, scenario: &Scenario) -> Went {
    let run = match run(name, scenario, false) {
        Ok(run) => run,
        Err(error) => return Went::Wrong(error),
    };
    let Some(findings) = &run.findings else {
        return Went::Wrong(format!(
            "exit code {:?} and no JSON\n{}",
            run.code, run.said
        ));
    };
    if let Some(reason) = untestable(scenario, findings) {
        return Went::Skipped(reason);
    }
    let complaints = compare(scenario, findings, run.code);
    if complaints.is_empty() {
        let (findings, trials) = (findings.findings.len(), findings.trials.len());
        return Went::Well(format!("{findings} findings, {trials} trials"));
    }
    Went::Wrong(format!(
        "\n    {}\n\n{}",
        complaints.join("\n    "),
        run.said
    ))
}

fn check_twin(name: &str, scenario: &Scenario) -> Went {
    let run = match run(name, scenario, true) {
        Ok(run) => run,
        Err(error) => return Went::Wrong(error),
    };
    let reason = run
        .findings
        .as_ref()
        .and_then(|findings| untestable(scenario, findings));
    match (reason, run.code) {
        (Some(reason), _) => Went::Skipped(reason),
        (None, Some(0)) => Went::Well("reproducible".into()),
        (None, code) => Went::Wrong(format!("the fixed twin gives {code:?}\n{}", run.said)),
    }
}

/// Why this host cannot show what the scenario expects: a variation that it needs was not tested.
fn untestable(scenario: &Scenario, findings: &Findings) -> Option<String> {
    let mut needed: BTreeSet<&String> = scenario.needs.variations.iter().collect();
    needed.extend(scenario.only.iter().chain(&scenario.breaks));
    needed.extend(named_culprits(scenario));
    let untested = |status| status == VariationStatus::NotTested;
    let first = findings
        .variations
        .iter()
        .find(|variation| untested(variation.status) && needed.contains(&variation.name))?;
    let reason = first.reason.as_deref().unwrap_or("no reason given");
    Some(format!("{} is not tested here: {reason}", first.name))
}

fn named_culprits(scenario: &Scenario) -> impl Iterator<Item = &String> {
    scenario
        .finding
        .iter()
        .flat_map(|finding| finding.culprits.iter().flatten())
}

/// Everything in which `findings` are not what the scenario expects.
fn compare(scenario: &Scenario, findings: &Findings, code: Option<i32>) -> Vec<String> {
    let mut complaints = Vec::new();
    let asked_breaker = scenario
        .breaks
        .iter()
        .any(|name| scenario.only.contains(name));
    let (verdict, expected_code) = match (scenario.finding.is_empty(), asked_breaker) {
        (false, _) => (Verdict::NotReproducible, 1),
        (true, true) => (Verdict::Inconclusive, 125),
        (true, false) => (Verdict::Reproducible, 0),
    };
    if code != Some(expected_code) || findings.verdict != verdict {
        let (said, why) = (findings.verdict, &findings.why);
        let expected = format!("expected {expected_code} and {verdict:?}");
        complaints.push(format!(
            "exit code {code:?} and {said:?} ({why}), {expected}"
        ));
    }
    let breaks = with_status(findings, VariationStatus::BreaksBuild);
    let expected: BTreeSet<&String> = scenario.breaks.iter().collect();
    if breaks != expected {
        complaints.push(format!("{breaks:?} break the build, expected {expected:?}"));
    }
    let blamed = with_status(findings, VariationStatus::Culprit);
    let expected: BTreeSet<&String> = named_culprits(scenario).collect();
    if blamed != expected {
        complaints.push(format!(
            "{blamed:?} are called culprits, expected {expected:?}"
        ));
    }
    match_findings(scenario, findings, &mut complaints);
    match_artifacts(findings, &mut complaints);
    complaints
}

fn with_status(findings: &Findings, status: VariationStatus) -> BTreeSet<&String> {
    let of_status = findings.variations.iter().filter(|v| v.status == status);
    of_status.map(|v| &v.name).collect()
}

/// Each finding must be expected, each expectation met by as many findings as it says.
fn match_findings(scenario: &Scenario, findings: &Findings, complaints: &mut Vec<String>) {
    let mut met = vec![0; scenario.finding.len()];
    for finding in &findings.findings {
        let expected = scenario.finding.iter().position(|expected| {
            expected.field == finding.field && matches(&expected.element, &finding.element)
        });
        let Some(index) = expected else {
            complaints.push(format!("unexpected: {}", describe(finding)));
            continue;
        };
        met[index] += 1;
        let (state, sets) = wanted(&scenario.finding[index]);
        if finding.state != state || culprits(finding) != sets {
            let found = describe(finding);
            complaints.push(format!("{found}, expected {state:?} {sets:?}"));
        }
        if let Some(cause) = &scenario.finding[index].cause
            && !finding
                .cause
                .as_ref()
                .is_some_and(|said| said.contains(cause))
        {
            let said = &finding.cause;
            complaints.push(format!("the cause is {said:?}, expected {cause:?}"));
        }
        if let Some(remedies) = &scenario.finding[index].remedies {
            let said: Vec<&str> = finding.remedies.iter().map(|r| r.text.as_str()).collect();
            let fits = said.len() == remedies.len();
            if !fits
                || !said
                    .iter()
                    .zip(remedies)
                    .all(|(said, part)| said.contains(part))
            {
                complaints.push(format!("the advice is {said:?}, expected {remedies:?}"));
            }
        }
        check_certificates(finding, findings, complaints);
    }
    for (expected, met) in scenario.finding.iter().zip(met) {
        if met != expected.count {
            let Expected {
                element,
                field,
                count,
                ..
            } = expected;
            complaints.push(format!(
                "{met} findings for {element} {field}, expected {count}"
            ));
        }
    }
}

fn wanted(expected: &Expected) -> (FindingState, Vec<Vec<String>>) {
    let state = match expected.state {
        State::Certified => FindingState::Certified,
        State::Unstable => FindingState::Unstable,
        State::Derived => FindingState::Derived,
    };
    (state, sorted(&expected.culprits))
}

/// A culprit is proven by a trial that varied it alone and differed, and for each of its members by
/// one that varied all the others, possibly more, but not that member, and did not differ.
fn check_certificates(finding: &Finding, findings: &Findings, complaints: &mut Vec<String>) {
    for culprit in &finding.culprits {
        let set: BTreeSet<&String> = culprit.variations.iter().collect();
        let shown = |expect: Expect, fits: &dyn Fn(&BTreeSet<&String>) -> bool| {
            let steps = culprit
                .certificate
                .iter()
                .filter(|step| step.expect == expect);
            let ids: BTreeSet<_> = steps.map(|step| step.trial).collect();
            let mut trials = findings
                .trials
                .iter()
                .filter(|trial| ids.contains(&trial.id));
            trials.any(|trial| fits(&trial.varied.keys().collect()))
        };
        let alone = shown(Expect::Differs, &|varied| *varied == set);
        let minimal = set.iter().all(|gone| {
            shown(Expect::Same, &|varied| {
                !varied.contains(gone)
                    && set.iter().all(|name| name == gone || varied.contains(name))
            })
        });
        if !alone || !minimal {
            let steps = &culprit.certificate;
            let found = describe(finding);
            complaints.push(format!(
                "the certificate does not prove {set:?}: {steps:?}: {found}"
            ));
        }
    }
}

/// What is said of each output must follow from what is said of its elements.
fn match_artifacts(findings: &Findings, complaints: &mut Vec<String>) {
    for artifact in &findings.artifacts {
        let belongs = |f: &&Finding| f.element.split("!/").next() == Some(&artifact.path);
        let inside: Vec<&Finding> = findings.findings.iter().filter(belongs).collect();
        let union: BTreeSet<Vec<String>> = inside.iter().flat_map(|f| culprits(f)).collect();
        let said: BTreeSet<Vec<String>> = sorted(&artifact.culprits).into_iter().collect();
        let verdict = if inside.is_empty() {
            ArtifactVerdict::Same
        } else if inside.iter().all(|f| f.state == FindingState::Unstable) {
            ArtifactVerdict::Unstable
        } else {
            ArtifactVerdict::Differs
        };
        if artifact.verdict != verdict || said != union || !artifact.decides {
            complaints.push(format!(
                "artifact {} is {:?} {said:?} (decides: {}), its findings say {verdict:?} {union:?}",
                artifact.path, artifact.verdict, artifact.decides
            ));
        }
    }
    if findings.artifacts.is_empty() {
        complaints.push("no artifact is listed".into());
    }
}

fn matches(glob: &str, element: &str) -> bool {
    let mut builder = GlobBuilder::new(glob);
    let glob = builder
        .literal_separator(true)
        .empty_alternates(true)
        .build()
        .unwrap();
    glob.compile_matcher().is_match(element)
}

fn culprits(finding: &Finding) -> Vec<Vec<String>> {
    let sets: Vec<_> = finding
        .culprits
        .iter()
        .map(|c| c.variations.clone())
        .collect();
    sorted(&sets)
}

fn sorted(sets: &[Vec<String>]) -> Vec<Vec<String>> {
    let mut sets = sets.to_vec();
    for set in &mut sets {
        set.sort();
    }
    sets.sort();
    sets
}

fn describe(finding: &Finding) -> String {
    let Finding {
        element,
        field,
        state,
        values,
        ..
    } = finding;
    let reason = finding.reason.as_deref().unwrap_or_default();
    let values = format!("{:?} / {:?}", values.control, values.varied);
    format!(
        "{element} {field} is {state:?} {:?} ({values}) {reason}",
        culprits(finding)
    )
}
