//! How fast archives are read down to their members, per byte of the archive's own content.

#![expect(clippy::unwrap_used, reason = "a benchmark says why it fails")]

use std::hint::black_box;
use std::process::Command;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reprobe::formats;

/// 2000 files of text, 44 MB in all, packed and compressed in every way.
const ARCHIVES: &str = "mkdir t; for n in $(seq 2000); do seq $n $((n + 4000)) >t/$n; done
    tar --sort=name -cf x.tar t; gzip -k x.tar; xz -1k x.tar; zstd -q x.tar; bzip2 -k x.tar
    zip -qr x.zip t";

fn archives(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new("sh")
        .args(["-ec", ARCHIVES])
        .current_dir(directory.path())
        .status()
        .unwrap();
    assert!(
        made.success(),
        "tar, gzip, xz, zstd, bzip2 and zip are needed"
    );
    let content = std::fs::metadata(directory.path().join("x.tar")).unwrap();

    let mut group = criterion.benchmark_group("formats");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(content.len()));
    for name in [
        "x.tar",
        "x.tar.gz",
        "x.tar.xz",
        "x.tar.zst",
        "x.tar.bz2",
        "x.zip",
    ] {
        let bytes = std::fs::read(directory.path().join(name)).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| formats::examine(name, &mut black_box(bytes.as_slice())));
        });
    }
    group.finish();
}

criterion_group!(benches, archives);
criterion_main!(benches);
