//! Every level of every slot, observed from inside real trials; teardown; and that neither host nor
//! source changes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails; clippy takes helpers of tests for production code"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reprobe::model::{
    Build, Capabilities, DirectoryOrder, Environment, Outcome, OutputSelection, Snapshot,
};
use reprobe::sandbox::{Limits, Sandbox, SessionOptions, TrialReport, TrialSpec};

fn capabilities() -> Capabilities {
    Capabilities {
        kernel: String::new(),
        root: nix::unistd::geteuid().is_root(),
        cpus: 1,
        locales: Vec::new(),
        locale_sources: Vec::new(),
        shells: Vec::new(),
        missing: BTreeMap::new(),
        notes: Vec::new(),
    }
}

/// A source tree and a session over it.
struct Bench {
    sandbox: Sandbox,
    source: PathBuf,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("project");
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("given"), "given\n").unwrap();
        let sandbox = Sandbox::new(SessionOptions {
            scratch: dir.path().join("scratch"),
            source: source.clone(),
            capabilities: capabilities(),
            program: env!("CARGO_BIN_EXE_reprobe").into(),
            limits: Limits::default(),
        })
        .unwrap();
        Self {
            sandbox,
            source,
            _dir: dir,
        }
    }

    fn spec(&self, environment: &Environment, line: &str) -> TrialSpec {
        TrialSpec {
            environment: environment.clone(),
            build: Build {
                command: vec!["sh".into(), "-ec".into(), line.into()],
                source: self.source.clone(),
                outputs: OutputSelection::Tree,
                variables: BTreeMap::new(),
            },
            timeout: Duration::from_secs(20),
            keep_outputs: None,
            log: None,
        }
    }

    fn run(&self, environment: &Environment, line: &str) -> TrialReport {
        self.sandbox.run(&self.spec(environment, line)).unwrap()
    }
}

fn built(report: &TrialReport) -> &Snapshot {
    match &report.outcome {
        Outcome::Built { snapshot } => snapshot,
        other => panic!("{other:?}: {}", log(report)),
    }
}

fn log(report: &TrialReport) -> String {
    std::fs::read_to_string(&report.log).unwrap()
}

#[test]
fn a_build_finds_its_source_and_what_it_makes_is_its_output_alone() {
    let bench = Bench::new();
    let report = bench.run(
        &Environment::default(),
        "cat given; echo new > made; echo more >> given; echo x > ../beside",
    );
    assert_eq!(log(&report), "given\n");
    let snapshot = built(&report);
    assert_eq!(
        snapshot.outputs.keys().collect::<Vec<_>>(),
        ["given", "made"]
    );
    assert!(!bench.source.join("made").exists());
    assert_eq!(
        std::fs::read(bench.source.join("given")).unwrap(),
        b"given\n"
    );
}

#[test]
fn directories_list_their_entries_in_the_order_that_was_asked_for() {
    let bench = Bench::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        std::fs::write(bench.source.join(name), "").unwrap();
    }
    let listing = |reverse| {
        let environment = Environment {
            directory_order: DirectoryOrder::Keyed { key: 1, reverse },
            ..Environment::default()
        };
        let text = log(&bench.run(&environment, "ls -U"));
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (forward, mut backward) = (listing(false), listing(true));
    backward.reverse();
    assert_eq!(forward.len(), 7);
    assert_eq!(forward, backward);
}
