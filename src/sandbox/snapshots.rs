//! What a build created or changed, handed to the snapshot, inside the trial.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::apply::{WritableLayer, path_of};
use super::delta;
use super::protocol::{Reply, Request};
use crate::snapshot::{self, Change, Keep};

/// Takes the snapshot that the request asks for.
pub(super) fn take(
    request: &Request,
    layers: &[WritableLayer],
    keep: Option<&OwnedFd>,
    reply: &mut Reply,
) {
    let Some(outputs) = &request.outputs else {
        return;
    };
    let mut changes = Vec::new();
    let mut add = |found: delta::Changes, at: &Path, ours: bool| {
        let made = found.created.into_iter().chain(found.changed);
        let made = made.map(|path| (path, false));
        let touched = found.touched.into_iter().map(|path| (path, true));
        let all = made.chain(touched).map(|(path, touched)| Change {
            path: at.join(path),
            touched,
        });
        changes.extend(all.filter(|change| !ours || !is_ours(request, &change.path)));
    };
    if let Some(original) = &request.copy_of {
        match delta::changes(&request.directory, Some(original), &request.directory) {
            Ok(found) => add(found, &request.directory, false),
            Err(error) => {
                reply.snapshot_error = Some(format!("changes of the source: {error}"));
                return;
            }
        }
    }
    for layer in layers {
        let upper = path_of(&layer.upper);
        let lower = layer.lower.as_ref().map(path_of);
        match delta::changes(&upper, lower.as_deref(), &layer.at) {
            Ok(found) => add(found, &layer.at, true),
            Err(error) => {
                reply.snapshot_error =
                    Some(format!("changes below {}: {error}", layer.at.display()));
                return;
            }
        }
    }
    let request = snapshot::Request {
        build_dir: request.directory.clone(),
        outputs: outputs.clone(),
        changes,
        keep: keep.zip(request.keep.as_ref()).map(|(open, keep)| Keep {
            directory: path_of(open),
            ..keep.clone()
        }),
    };
    match snapshot::take(&request) {
        Ok(taken) => reply.snapshot = Some(taken),
        Err(error) => reply.snapshot_error = Some(error.to_string()),
    }
}

/// What the set-up itself left in a layer: rewritten files, mount points and what leads to them.
fn is_ours(request: &Request, path: &Path) -> bool {
    request.ours.iter().any(|ours| ours.starts_with(path))
}
