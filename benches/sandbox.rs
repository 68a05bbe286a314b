//! What a trial costs beside the bare command: set-up and teardown with all namespaces and
//! overlays, with and without a supervisor, over a small source and over one of 20 000 files.

#![expect(clippy::unwrap_used, reason = "a benchmark says why it fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use reprobe::model::{
    Build, Clock, DirectoryOrder, Environment, Inodes, OutputSelection, Randomness,
};
use reprobe::sandbox::{self, Limits, Sandbox, SessionOptions, TrialSpec};

fn set_up(criterion: &mut Criterion) {
    let program = Path::new(env!("CARGO_BIN_EXE_reprobe"));
    let dir = tempfile::tempdir().unwrap();
    let capabilities = sandbox::probe(program, dir.path()).unwrap();
    let mut group = criterion.benchmark_group("sandbox");
    group.sample_size(50);
    group.measurement_time(Duration::from_secs(5));
    group.bench_function("bare", |bencher| {
        bencher.iter(|| Command::new("true").status().unwrap());
    });
    for files in [1, 20_000] {
        let source = dir.path().join(format!("source-{files}"));
        for number in 0..files {
            let parent = source.join(format!("{}", number / 100));
            std::fs::create_dir_all(&parent).unwrap();
            std::fs::write(parent.join(format!("{number}")), "content\n").unwrap();
        }
        let sandbox = Sandbox::new(SessionOptions {
            scratch: dir.path().join("scratch"),
            source: source.clone(),
            capabilities: capabilities.clone(),
            program: program.to_owned(),
            limits: Limits::default(),
            interrupt: None,
            cache: None,
        })
        .unwrap();
        let spec = |environment: &Environment| TrialSpec {
            environment: environment.clone(),
            build: Build {
                command: vec!["true".into()],
                source: source.clone(),
                outputs: OutputSelection::Tree,
                variables: BTreeMap::new(),
            },
            timeout: Duration::from_mins(1),
            keep_outputs: None,
            log: None,
            focus: None,
        };
        let bare = Environment::default();
        let held = Environment {
            clock: Clock::Stepped {
                start: 2_000_000_000,
            },
            directory_order: DirectoryOrder::Keyed {
                key: 1,
                reverse: false,
            },
            randomness: Randomness::Seeded { seed: 1 },
            inodes: Inodes::Numbered { key: 1 },
            ..Environment::default()
        };
        for (name, environment) in [("trial", &bare), ("supervised trial", &held)] {
            let spec = spec(environment);
            group.bench_function(format!("{name} over {files} files"), |bencher| {
                bencher.iter(|| sandbox.run(&spec).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, set_up);
criterion_main!(benches);
