//! What outlives a session: the logs of failed builds, and the outputs of the trials that prove
//! something, where the user asked for them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::{Error, Options};
use crate::model::{Findings, TrialId, TrialKind};
use crate::sandbox::TrialReport;
use crate::snapshot::walk;

/// No more than this is read from the end of a log.
const TAIL_BYTES: u64 = 16 * 1024;

/// Copies the log of a failed trial beside the journal; where it went. A session without a
/// directory keeps none.
pub(super) fn log(options: &Options, id: TrialId, report: &TrialReport) -> Option<PathBuf> {
    let directory = options.journal.as_deref()?.parent()?;
    let path = directory.join(format!("trial-{}.log", id.0));
    if report.log != path {
        fs::copy(&report.log, &path).ok()?;
    }
    Some(path)
}

/// The last lines of a log as they stand, but for what is not UTF-8; empty where there is nothing.
pub(super) fn tail(log: &Path, lines: usize) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.trim_end().lines().collect();
    let last = all
        .get(all.len().saturating_sub(lines)..)
        .unwrap_or_default();
    last.iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Copies the outputs of the control, of every trial of a certificate, and of the two that show
/// that something is unstable, to `directory/<trial>/`.
pub(super) fn deliver(
    contents: &Contents,
    findings: &Findings,
    directory: &Path,
) -> Result<(), Error> {
    let proofs = findings
        .findings
        .iter()
        .flat_map(|finding| &finding.culprits);
    let mut wanted: BTreeSet<TrialId> = proofs
        .flat_map(|culprit| &culprit.certificate)
        .map(|step| step.trial)
        .collect();
    let unvaried = findings
        .trials
        .iter()
        .filter(|trial| trial.kind == TrialKind::Control);
    wanted.extend(unvaried.map(|trial| trial.id));
    let rates = findings.findings.iter().filter_map(|finding| finding.rate);
    wanted.extend(rates.flat_map(|rate| rate.between));
    for id in wanted {
        let to = directory.join(id.0.to_string());
        let from = contents.directory(id);
        if from.exists() {
            copy_tree(&from, &to).map_err(|source| Error::Keep { path: to, source })?;
        }
    }
    Ok(())
}

/// Copies files, links and directories; the outputs that are kept hold nothing else.
fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in walk::sorted_entries(from)? {
        let target = to.join(&entry.name);
        if entry.kind.is_dir() {
            copy_tree(&entry.path, &target)?;
        } else if entry.kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&entry.path)?, &target)?;
        } else {
            fs::copy(&entry.path, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_log_stand_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        fs::write(&log, b"one\nsed: \\x41 \\n caf\xc3\xa9\nraw \xff\n\n").unwrap();
        assert_eq!(tail(&log, 2), "  sed: \\x41 \\n café\n  raw \u{fffd}");
    }
}
