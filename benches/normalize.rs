//! What bringing a tar.gz of 100 MB into its canonical form costs beside `gzip -d | gzip -6`, in
//! processor time: the ratio is what counts on a machine that does other things, too.

#![expect(clippy::unwrap_used, reason = "a benchmark says why it fails")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// 4500 files of text, 100 MB in all, in the order of the disk.
const ARCHIVE: &str = "mkdir t; for n in $(seq 4500); do seq $n $((n + 4000)) >t/$n; done
    tar -czf x.tar.gz t; rm -r t";

/// User and system time of all children that have ended.
fn used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let time = |time: TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap())
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// The processor time of a shell line.
fn cost(directory: &Path, line: &str) -> Duration {
    let before = used();
    let status = Command::new("sh")
        .args(["-ec", line])
        .current_dir(directory)
        .env("R", env!("CARGO_BIN_EXE_reprobe"))
        .status()
        .unwrap();
    assert!(status.success(), "{line}");
    used().saturating_sub(before)
}

fn archives(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    cost(directory.path(), ARCHIVE);
    let mut group = criterion.benchmark_group("normalize");
    group.sample_size(10);
    for (name, line) in [
        ("gzip", "gzip -d <x.tar.gz | gzip -6 >y.tar.gz"),
        (
            "tar.gz",
            "\"$R\" normalize --stdout x.tar.gz >y.tar.gz 2>said",
        ),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| cost(directory.path(), line)).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, archives);
criterion_main!(benches);
