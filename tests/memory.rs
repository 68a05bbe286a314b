//! Reading outputs takes the same memory however large they are. A test binary of its own: the peak
//! that it looks at is the process's.
#![expect(clippy::unwrap_used, reason = "a test says why it fails")]

use std::fs::{self, File};
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reprobe::model::OutputSelection;
use reprobe::snapshot::{self, Change, Request};

/// The most memory that this process ever had, in KiB (proc(5), `VmHWM`).
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_outputs() {
    let directory = tempfile::tempdir().unwrap();
    let sparse = File::create(directory.path().join("sparse")).unwrap();
    sparse.set_len(3 << 30).unwrap();
    // A tar with one member of half a gigabyte, in a gzip of half a megabyte.
    let packed = File::create(directory.path().join("x.tar.gz")).unwrap();
    let mut packed = GzEncoder::new(packed, Compression::fast());
    let mut header = [0; 512];
    header[..3].copy_from_slice(b"big");
    header[124..135].copy_from_slice(b"04000000000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    packed.write_all(&header).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..512 {
        packed.write_all(&zeros).unwrap();
    }
    packed.write_all(&[0; 1024]).unwrap();
    packed.finish().unwrap();

    let before = peak();
    let snapshot = snapshot::take(&Request {
        build_dir: directory.path().to_owned(),
        outputs: OutputSelection::Tree,
        changes: ["sparse", "x.tar.gz"]
            .map(|name| Change {
                touched: false,
                path: directory.path().join(name),
            })
            .into(),
        keep: None,
    })
    .unwrap();
    assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
    let sizes: Vec<String> = snapshot
        .elements
        .iter()
        .filter(|item| item.field.as_str() == "content")
        .map(|item| format!("{}: {}", item.path, item.value))
        .collect();
    let holds = |part: &str| sizes.iter().any(|size| size.contains(part));
    assert!(holds("(3221225472 bytes)"), "{sizes:?}");
    assert!(
        holds("x.tar!/big") && holds("(536870912 bytes)"),
        "{sizes:?}"
    );
    let grown = peak() - before;
    assert!(grown < 16 << 10, "grew by {grown} KiB");
}
