//! A command that runs once before all trials, and what it leaves for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::delta;
use super::error::Error;
use super::host::sorted_names;
use super::op::{Backing, SetupOp};
use super::protocol::{Ending, Request, Streams};
use super::session::Sandbox;
use super::trial::{TrialReport, TrialSpec};
use crate::model::Need;

impl Sandbox {
    /// Runs a command whose traces all later trials find: what it wrote becomes a lower layer.
    /// Nothing is kept of one that fails, nor of what it did to the system outside of the source,
    /// the home and the toolchains, which the report notes. Before any other trial, alone.
    pub fn prepare(&self, spec: &TrialSpec) -> Result<TrialReport, Error> {
        let lacks = |need: Need| self.options.capabilities.missing.contains_key(&need);
        if self.in_memory.is_some() || lacks(Need::Mounts) {
            return Err(Error::Unusable(
                "a preparation needs namespaces, and a scratch directory on a disk for what it leaves: set TMPDIR, or run the command yourself before".into(),
            ));
        }
        let dir = self.trial_dir()?;
        let request = self.request(spec, &dir, Streams::Log, false)?;
        let reply = self.supervise(&dir, &request)?;
        let mut note = None;
        if reply.ending == (Ending::Exited { code: 0 }) {
            note = changed_system(&request);
            self.keep_layers(&request);
        }
        let mut report = self.report(reply, &request)?;
        report.notes.extend(note);
        Ok(report)
    }

    fn keep_layers(&self, request: &Request) {
        let mut kept = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        for op in &request.ops {
            let (SetupOp::Overlay { backing, .. } | SetupOp::Fresh { backing, .. }) = op else {
                continue;
            };
            let (Backing::Disk { dir }, Some(name)) = (backing, backing.dir().file_name()) else {
                continue;
            };
            let name = name.to_string_lossy().into_owned();
            let layer = match op {
                SetupOp::Overlay { .. } => dir.join("upper"),
                _ => dir.clone(),
            };
            if let (SetupOp::Fresh { .. }, Some(leaf)) = (op, request.directory.file_name()) {
                // Only the mount point of the source, if it is empty.
                let _ = fs::remove_dir(layer.join(leaf));
            }
            // A layer cannot lie inside another one, as this one does inside the host's root.
            let system = name == "root";
            let passing = name == "tmp" || name == "var_tmp" || name.starts_with("below_");
            if !passing && !system && sorted_names(&layer).is_ok_and(|names| !names.is_empty()) {
                kept.insert(name, layer);
            }
        }
    }

    pub(super) fn prepared(&self) -> BTreeMap<String, PathBuf> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.clone()
    }
}

/// What a preparation did to root's copy of the system, which no trial will see.
fn changed_system(request: &Request) -> Option<String> {
    let root = request.ops.iter().find_map(|op| match op {
        SetupOp::Overlay { at, backing, .. } if at == Path::new("/") => Some(backing.dir()),
        _ => None,
    })?;
    let host = Path::new("/");
    let changes = delta::changes(&root.join("upper"), Some(host), host).ok()?;
    let mut paths = changes
        .created
        .into_iter()
        .chain(changes.changed)
        .chain(changes.touched)
        .map(|path| host.join(path))
        .filter(|path| !request.ours.iter().any(|ours| ours.starts_with(path)));
    let first = paths.next()?;
    Some(format!(
        "the preparation changed {} and {} more paths of the system, which trials do not see: do that on the host itself",
        first.display(),
        paths.count()
    ))
}
