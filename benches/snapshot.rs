//! How fast outputs are read: against the sha2 crate over memory in the same run (a single file
//! must reach 70 % of it), over many files on all cores, and over holes.

#![expect(clippy::unwrap_used, reason = "a benchmark says why it fails")]

use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reprobe::model::OutputSelection;
use reprobe::snapshot::{self, Change, Request};
use sha2::{Digest as _, Sha256};

const SIZE: usize = 256 << 20;
const HOLES: u64 = 3 << 30;

/// Bytes that no format recognises and no disk compresses.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8).flatten().collect()
}

fn request(directory: &Path, files: &[String]) -> Request {
    Request {
        build_dir: directory.to_owned(),
        outputs: OutputSelection::Tree,
        changes: files
            .iter()
            .map(|file| Change {
                touched: false,
                path: directory.join(file),
            })
            .collect(),
        keep: None,
    }
}

fn snapshots(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(SIZE);
    fs::write(directory.path().join("one"), &bytes).unwrap();
    let parts: Vec<String> = (0..64).map(|number| format!("part{number}")).collect();
    for (part, content) in parts.iter().zip(bytes.chunks(SIZE / 64)) {
        fs::write(directory.path().join(part), content).unwrap();
    }
    let small: Vec<String> = (0..5000).map(|number| format!("small{number}")).collect();
    for file in &small {
        fs::write(directory.path().join(file), file).unwrap();
    }
    let sparse = File::create(directory.path().join("sparse")).unwrap();
    sparse.set_len(HOLES).unwrap();

    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.bench_function("sha2 over memory", |bencher| {
        bencher.iter(|| Sha256::digest(black_box(&bytes)));
    });
    let one = request(directory.path(), &["one".to_owned()]);
    group.bench_function("one file", |bencher| {
        bencher.iter(|| snapshot::take(black_box(&one)).unwrap());
    });
    let many = request(directory.path(), &parts);
    group.bench_function("64 files", |bencher| {
        bencher.iter(|| snapshot::take(black_box(&many)).unwrap());
    });
    group.throughput(Throughput::Elements(5000));
    let small = request(directory.path(), &small);
    group.bench_function("5000 small files", |bencher| {
        bencher.iter(|| snapshot::take(black_box(&small)).unwrap());
    });
    group.throughput(Throughput::Bytes(HOLES));
    let holes = request(directory.path(), &["sparse".to_owned()]);
    group.bench_function("holes", |bencher| {
        bencher.iter(|| snapshot::take(black_box(&holes)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, snapshots);
criterion_main!(benches);
