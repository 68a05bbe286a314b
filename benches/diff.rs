//! How fast two snapshots of a large archive are compared: 20 000 members, all of which differ in
//! one field.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reprobe::diff::{self, Judged};
use reprobe::model::{Element, Field, Observed, Snapshot, Value};

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

criterion_group!(benches, compare);
criterion_main!(benches);
