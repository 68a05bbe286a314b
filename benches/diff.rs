//! How fast two snapshots of a large archive are compared: 20 000 members, all of which differ in
//! one field. And how fast `reprobe diff` is on pairs of files, beside diffoscope where it is installed
//! (`apt-get install diffoscope-minimal`): a tarball of 2000 files with other times, and 50 MB in which
//! ten bytes differ.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reprobe::diff::{self, Judged};
use reprobe::model::{Element, Field, Observed, Snapshot, Value};
use reprobe::pair;

const MEMBERS: u64 = 20_000;
const FIELDS: [&str; 9] = [
    "presence",
    "content",
    "tar.gid",
    "tar.gname",
    "tar.mode",
    "tar.mtime",
    "tar.type",
    "tar.uid",
    "tar.uname",
];

fn snapshot(mtime: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.outputs.insert("x.tar".to_owned(), true);
    for member in 0..MEMBERS {
        for field in FIELDS {
            let text = if field == "tar.mtime" { mtime } else { "same" };
            let path = format!("x.tar!/x-1.0/some/directory/file-{member}");
            let value = Value::Text(text.to_owned());
            let offset = Some(member * 1024);
            let element = Element::new(path, Field::new(field));
            snapshot
                .elements
                .insert(element, Observed { value, offset });
        }
    }
    snapshot
}

fn compare(criterion: &mut Criterion) {
    let (control, other) = (snapshot("1690001000"), snapshot("1790001000"));
    let mut group = criterion.benchmark_group("diff");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MEMBERS * FIELDS.len() as u64));
    group.bench_function("20000 members", |bencher| {
        bencher.iter(|| diff::compare(black_box(&control), &other, Judged::default()));
    });
    group.bench_function("20000 members as JSON", |bencher| {
        bencher.iter(|| serde_json::to_vec(black_box(&control)));
    });
    group.finish();
}

/// Two tarballs and two binaries, in this directory.
const PAIRS: &str =
    "mkdir t; for n in $(seq 2000); do head -c 2000 /dev/urandom | base64 >t/$n; done
    touch -d @1600000000 t/*; tar czf one.tar.gz t; touch -d @1600001000 t/*; tar czf two.tar.gz t
    head -c 50000000 /dev/urandom >one.bin; cp one.bin two.bin
    for n in 1 2 3 4 5 6 7 8 9 10; do
        printf X | dd of=two.bin bs=1 seek=$((n * 4000000)) conv=notrunc status=none; done";

fn pairs(criterion: &mut Criterion) {
    let Ok(directory) = tempfile::tempdir() else {
        return;
    };
    let shell = Command::new("sh")
        .args(["-ec", PAIRS])
        .current_dir(directory.path())
        .status();
    if !shell.is_ok_and(|status| status.success()) {
        return;
    }
    let mut group = criterion.benchmark_group("pairs");
    group.sample_size(10);
    for name in ["tar.gz", "bin"] {
        let [one, two] = ["one", "two"].map(|side| directory.path().join(format!("{side}.{name}")));
        let size = fs::metadata(&one).map_or(0, |data| data.len());
        group.throughput(Throughput::Bytes(2 * size));
        group.bench_function(name, |bencher| {
            bencher.iter(|| pair::differences(&one, &two, Judged::default()));
        });
        if diffoscope(&one, &one) {
            group.bench_function(format!("{name}, diffoscope"), |bencher| {
                bencher.iter(|| diffoscope(&one, &two));
            });
        }
    }
    group.finish();
}

/// Whether it is installed and finds no difference.
fn diffoscope(one: &Path, two: &Path) -> bool {
    let ran = Command::new("diffoscope")
        .args([one, two])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ran.is_ok_and(|status| status.success())
}

criterion_group!(benches, compare, pairs);
criterion_main!(benches);
