//! Findings as sessions make them, for the tests of all formats.

use std::collections::BTreeMap;

use crate::model::{
    Artifact, ArtifactVerdict, BuildInfo, CertificateStep, Checkout, Culprit, Expect, Finding,
    FindingState, Findings, Host, Missing, OutputsFrom, Rate, Remedy, SCHEMA, Tested, TrialId,
    TrialKind, TrialRecord, TrialResult, Values, VariationRecord, VariationStatus, Varies, Verdict,
};

const SDIST: &str = "dist/six-1.16.0.tar.gz";

pub(super) fn variation(name: &str, status: VariationStatus, levels: [&str; 2]) -> VariationRecord {
    VariationRecord {
        name: name.to_owned(),
        varies: if name.starts_with("source-") {
            Varies::Checkout
        } else {
            Varies::Machine
        },
        status,
        control: levels[0].to_owned(),
        varied: vec![levels[1].to_owned()],
        cleared_at: match status {
            VariationStatus::Cleared => vec![levels[1].to_owned()],
            _ => Vec::new(),
        },
        not_tried: Vec::new(),
        reason: None,
    }
}

pub(super) fn trial(id: u32, kind: TrialKind, varied: &[(&str, &str)]) -> TrialRecord {
    TrialRecord {
        id: TrialId(id),
        kind,
        varied: varied
            .iter()
            .map(|(name, level)| ((*name).to_owned(), (*level).to_owned()))
            .collect(),
        result: TrialResult::Built,
        seconds: 0.5,
    }
}

pub(super) fn artifact(path: &str, verdict: ArtifactVerdict, culprits: &[&[&str]]) -> Artifact {
    Artifact {
        path: path.to_owned(),
        decides: true,
        verdict,
        without_checkout: verdict,
        sha256: Some("5b0f".repeat(16)),
        culprits: culprits.iter().map(|names| owned(names)).collect(),
        unstable_elements: 0,
        unsettled_elements: 0,
        elements: BTreeMap::new(),
        members: BTreeMap::new(),
    }
}

pub(super) fn finding(element: &str, field: &str, values: [&str; 2]) -> Finding {
    Finding {
        element: element.to_owned(),
        field: field.to_owned(),
        offset: Some(612),
        values: Values {
            control: Some(values[0].to_owned()),
            varied: Some(values[1].to_owned()),
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

/// The finding, with these variations and the trials that show them to differ and to be the same.
pub(super) fn certified(mut finding: Finding, culprits: &[(&[&str], &[u32], &[u32])]) -> Finding {
    finding.state = FindingState::Certified;
    finding.culprits = culprits
        .iter()
        .map(|(names, differs, same)| {
            let step = |expect| {
                move |id: &u32| CertificateStep {
                    trial: TrialId(*id),
                    expect,
                }
            };
            let mut certificate: Vec<_> = differs.iter().map(step(Expect::Differs)).collect();
            certificate.extend(same.iter().map(step(Expect::Same)));
            Culprit {
                variations: owned(names),
                levels: BTreeMap::new(),
                certificate,
                part: None,
                cause: None,
            }
        })
        .collect();
    finding
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A session with everything cleared: two outputs, the same in all trials.
pub(super) fn reproducible() -> Findings {
    use VariationStatus::{Cleared, NotTested};

    let mut time = variation("time", NotTested, ["t0", "later"]);
    time.reason = Some("clocks are not varied by this version".to_owned());
    let everything = [
        ("build-path", "longer"),
        ("locale", "other"),
        ("umask", "0077"),
        ("user", "other"),
    ];
    Findings {
        schema: SCHEMA.to_owned(),
        tool_version: "0.1.0".to_owned(),
        verdict: Verdict::Reproducible,
        why: "both outputs are identical under the 4 variations tested".to_owned(),
        complete: true,
        tested: Tested::default(),
        checkout: Checkout::Decides,
        without_checkout: Verdict::Reproducible,
        by_checkout: None,
        build: BuildInfo {
            command: owned(&["sh", "-ec", "make dist"]),
            source: "/home/ada/hello".to_owned(),
            outputs: owned(&["*.tar.gz", "*.zip"]),
            outputs_from: OutputsFrom::Option,
        },
        source_date_epoch: Some("1700000000".to_owned()),
        clock: "running".to_owned(),
        clock_moved: None,
        host: Host {
            kernel: "Linux 6.1.0-18-amd64 x86_64".to_owned(),
            user: "ordinary".to_owned(),
            missing: vec![Missing {
                what: "the clock of a build".to_owned(),
                reason: "clocks are not varied by this version".to_owned(),
                hint: "use --env SOURCE_DATE_EPOCH".to_owned(),
            }],
        },
        seed: "17446744073709551615".to_owned(),
        seconds: 2.149,
        rounds: 3,
        trials: vec![
            trial(0, TrialKind::Control, &[]),
            trial(1, TrialKind::Repeat, &[]),
            trial(2, TrialKind::Search, &everything),
        ],
        variations: vec![
            time,
            variation("build-path", Cleared, ["given", "longer"]),
            variation("locale", Cleared, ["C.UTF-8", "et_EE.UTF-8"]),
            variation("umask", Cleared, ["0022", "0077"]),
            variation("user", Cleared, ["caller", "other"]),
        ],
        artifacts: vec![
            artifact("hello-2.10.tar.gz", ArtifactVerdict::Same, &[]),
            artifact("hello-2.10.zip", ArtifactVerdict::Same, &[]),
        ],
        findings: Vec::new(),
        notes: Vec::new(),
        fix: None,
    }
}

/// The sdist of a setuptools project: umask, user and source-mtime, and times that are unstable
/// under a running clock.
pub(super) fn sdist() -> Findings {
    let mut findings = reproducible();
    findings.verdict = Verdict::NotReproducible;
    findings.why = "1 of 2 outputs differs, because of source-mtime, umask and user".to_owned();
    findings.build.command = owned(&["python3", "-m", "build", "--no-isolation"]);
    findings.build.outputs = owned(&["dist/*"]);
    findings.build.outputs_from = OutputsFrom::Preset;
    findings.source_date_epoch = None;
    findings.variations = sdist_variations();
    let mut output = artifact(
        SDIST,
        ArtifactVerdict::Differs,
        &[&["source-mtime"], &["umask"], &["user"]],
    );
    output.unstable_elements = 3;
    for field in ["tar.mode", "tar.mtime", "tar.uid", "tar.uname"] {
        output.elements.insert(field.to_owned(), 32);
    }
    let tar = format!("{SDIST}!/six-1.16.0.tar");
    output.members = BTreeMap::from([(tar, 32)]);
    findings.artifacts = vec![
        output,
        artifact(
            "dist/six-1.16.0-py3-none-any.whl",
            ArtifactVerdict::Same,
            &[],
        ),
    ];
    findings.artifacts.sort_by(|a, b| a.path.cmp(&b.path));
    findings.findings = sdist_findings();
    findings.trials = sdist_trials();
    findings.seconds = 13.42;
    findings.notes = vec!["the build ran without a network in every trial".to_owned()];
    findings
}

fn sdist_variations() -> Vec<VariationRecord> {
    use VariationStatus::{Cleared, Culprit, NotTested};

    let mut records = vec![
        variation("time", NotTested, ["t0", "later"]),
        variation("file-order", NotTested, ["host", "reversed"]),
        variation("locale", Cleared, ["C.UTF-8", "et_EE.UTF-8"]),
        variation("umask", Culprit, ["0022", "0077"]),
        variation("build-path", Cleared, ["given", "longer"]),
        variation("user", Culprit, ["caller", "other"]),
        variation("source-mtime", Culprit, ["given", "shifted"]),
        variation("network", NotTested, ["loopback", "more"]),
    ];
    let reasons = [
        (0, "this version cannot hold a build's clock"),
        (1, "this version cannot hold a build's clock"),
        (
            7,
            "network namespaces: unshare: EPERM; sysctl kernel.unprivileged_userns_clone=1 allows them",
        ),
    ];
    for (index, reason) in reasons {
        records[index].reason = Some(reason.to_owned());
    }
    records
}

fn sdist_findings() -> Vec<Finding> {
    let member = |name: &str| format!("{SDIST}!/six-1.16.0.tar!/six-1.16.0/{name}");
    let mut all = Vec::new();
    let mut unstable = finding(SDIST, "gzip.mtime", ["1763833440", "1763833443"]);
    unstable.state = FindingState::Unstable;
    unstable.rate = Some(Rate {
        differing: 2,
        trials: 2,
        low: 0.342,
        high: 1.0,
        between: [TrialId(0), TrialId(1)],
    });
    all.push(unstable.clone());
    for name in ["PKG-INFO", "setup.cfg"] {
        let mut time = finding(&member(name), "tar.mtime", ["1763833440", "1763833443"]);
        time.state = FindingState::Unstable;
        time.rate = unstable.rate;
        all.push(time);
    }
    for (index, name) in ["README.rst", "bin/run.sh", "setup.py", "six.py"]
        .iter()
        .enumerate()
    {
        let mode = if *name == "bin/run.sh" {
            ["0755", "0700"]
        } else {
            ["0644", "0600"]
        };
        let mut mode = finding(&member(name), "tar.mode", mode);
        mode.remedies = vec![Remedy {
            variation: Some("umask".to_owned()),
            text: "set the modes when packing: tar --mode='a+rX,u+w,go-w'".to_owned(),
            verified: false,
            attempt: None,
        }];
        all.push(certified(mode, &[(&["umask"], &[5], &[0, 4])]));
        let [before, after] = [1_690_001_000 + index, 1_690_087_400 + index].map(|t| t.to_string());
        let time = finding(&member(name), "tar.mtime", [&before, &after]);
        all.push(certified(time, &[(&["source-mtime"], &[3], &[0, 6])]));
    }
    for index in 0..32 {
        let name = format!("file{index:02}");
        let owner = finding(&member(&name), "tar.uname", ["ada", "vary-userzoqa"]);
        all.push(certified(owner, &[(&["user"], &[7], &[0, 8])]));
    }
    all.sort_by(|a, b| (&a.element, &a.field).cmp(&(&b.element, &b.field)));
    all
}

fn sdist_trials() -> Vec<TrialRecord> {
    const EVERYTHING: [(&str, &str); 5] = [
        ("build-path", "longer"),
        ("locale", "et_EE.UTF-8"),
        ("source-mtime", "shifted"),
        ("umask", "0077"),
        ("user", "other"),
    ];
    let without = |name: &str| -> Vec<_> {
        EVERYTHING
            .into_iter()
            .filter(|(other, _)| *other != name)
            .collect()
    };
    vec![
        trial(0, TrialKind::Control, &[]),
        trial(1, TrialKind::Repeat, &[]),
        trial(2, TrialKind::Search, &EVERYTHING),
        trial(3, TrialKind::Search, &[("source-mtime", "shifted")]),
        trial(4, TrialKind::Search, &without("umask")),
        trial(5, TrialKind::Certificate, &[("umask", "0077")]),
        trial(6, TrialKind::Certificate, &without("source-mtime")),
        trial(7, TrialKind::Certificate, &[("user", "other")]),
        trial(8, TrialKind::Certificate, &without("user")),
    ]
}

/// A pair that only acts together, two that act alone, an element without a culprit, and a
/// variation that breaks the build.
pub(super) fn intricate() -> Findings {
    let mut findings = sdist();
    findings.why = "3 of 3 outputs differ".to_owned();
    findings.notes = vec![
        "trial 9 failed under shell (other); the end of its log:\nconf: 12: Bad substitution\nmake: *** [conf] Error 2".to_owned(),
    ];
    let mut shell = variation("shell", VariationStatus::BreaksBuild, ["host", "other"]);
    shell.reason = Some("exit code 2, in trial 9; see the notes".to_owned());
    findings.variations = vec![
        variation(
            "file-order",
            VariationStatus::Culprit,
            ["keyed", "reversed"],
        ),
        variation("hostname", VariationStatus::Culprit, ["reprobe", "other"]),
        variation(
            "locale",
            VariationStatus::Culprit,
            ["C.UTF-8", "et_EE.UTF-8"],
        ),
        variation("time", VariationStatus::Culprit, ["t0", "later"]),
        shell,
    ];
    findings.trials = intricate_trials();
    findings.artifacts = intricate_artifacts();
    let [before, after] = ["1a2b", "9f8e"].map(|d| format!("sha256:{} (120 bytes)", d.repeat(16)));
    let content = |path: &str| finding(path, "content", [&before, &after]);
    let mut unsettled = content("out/c");
    unsettled.reason = Some("the limit of 60 builds was reached".to_owned());
    findings.findings = vec![
        certified(
            content("out/a"),
            &[(&["file-order", "locale"], &[1], &[0, 2, 3])],
        ),
        certified(
            content("out/b"),
            &[(&["hostname"], &[4], &[0]), (&["time"], &[5], &[0])],
        ),
        unsettled,
        certified(content("x.o"), &[(&["time"], &[5], &[0])]),
    ];
    findings
}

fn intricate_trials() -> Vec<TrialRecord> {
    let mut trials = vec![
        trial(0, TrialKind::Control, &[]),
        trial(
            1,
            TrialKind::Certificate,
            &[("file-order", "reversed"), ("locale", "et_EE.UTF-8")],
        ),
        trial(2, TrialKind::Certificate, &[("file-order", "reversed")]),
        trial(3, TrialKind::Certificate, &[("locale", "et_EE.UTF-8")]),
        trial(4, TrialKind::Certificate, &[("hostname", "other")]),
        trial(5, TrialKind::Certificate, &[("time", "soon")]),
        trial(9, TrialKind::Search, &[("shell", "other")]),
    ];
    trials[6].result = TrialResult::Failed;
    trials
}

fn intricate_artifacts() -> Vec<Artifact> {
    let mut third = artifact("out/c", ArtifactVerdict::Differs, &[]);
    third.unsettled_elements = 1;
    vec![
        artifact(
            "out/a",
            ArtifactVerdict::Differs,
            &[&["file-order", "locale"]],
        ),
        artifact(
            "out/b",
            ArtifactVerdict::Differs,
            &[&["hostname"], &["time"]],
        ),
        third,
        Artifact {
            decides: false,
            ..artifact("x.o", ArtifactVerdict::Differs, &[&["time"]])
        },
    ]
}

/// The control does not build.
pub(super) fn inconclusive() -> Findings {
    let mut findings = reproducible();
    findings.verdict = Verdict::Inconclusive;
    findings.why = "the build fails with nothing varied: exit code 101".to_owned();
    findings.artifacts.clear();
    findings.trials = vec![trial(0, TrialKind::Control, &[])];
    findings.trials[0].result = TrialResult::Failed;
    for record in &mut findings.variations {
        record.status = VariationStatus::NotTested;
        record.reason = None;
    }
    findings.notes = vec![
        "the end of the build's log:\nerror: failed to get `itoa`\n  Could not resolve host: crates.registry".to_owned(),
        "no build reaches the network unless --network is given; --prepare 'cargo fetch' downloads once, before".to_owned(),
    ];
    findings
}
