//! What the build read of its surroundings, and which process read it, counted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;

use super::tracee::lock;
use crate::model::{Process, Reading, Source};

type Key = (usize, Source, Option<String>);

/// The readings of a trial, counted.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    readings: Mutex<BTreeMap<Key, u64>>,
}

impl Log {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            readings: Mutex::default(),
        }
    }

    pub(super) fn record(&self, process: usize, source: Source, path: Option<String>) {
        *lock(&self.readings)
            .entry((process, source, path))
            .or_default() += 1;
    }

    /// Writes one line of JSON for each process and each kind of reading.
    pub(super) fn write(&self, processes: Vec<Process>) -> std::io::Result<()> {
        let readings = std::mem::take(&mut *lock(&self.readings));
        let mut out = BufWriter::new(&self.file);
        let reads = readings
            .into_iter()
            .map(|((process, source, path), times)| Reading::Read {
                process,
                source,
                path,
                times,
            });
        for line in processes.into_iter().map(Reading::Process).chain(reads) {
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}
