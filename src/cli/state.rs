//! Where sessions are written down, so that logs of failed builds outlive the sandbox: below
//! `$XDG_STATE_HOME/reprobe`, one directory per session, of which the newest are kept.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::snapshot::walk::sorted_entries;

/// So many sessions are kept.
const KEPT: usize = 20;

/// Makes the directory of a new session; `None` where there is no place for it outside of the
/// source, which must not change.
pub(super) fn session(
    source: &Path,
    now: i64,
    seed: u64,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> io::Result<Option<PathBuf>> {
    let Some(root) = root(lookup).filter(|root| !root.starts_with(source)) else {
        return Ok(None);
    };
    // Times of as many digits sort as they pass.
    let directory = root.join(format!("{now:010}-{seed}"));
    fs::create_dir_all(&directory)?;
    forget_old(&root)?;
    Ok(Some(directory))
}

/// The XDG Base Directory Specification wants absolute paths, and ignores others.
fn root(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: PathBuf| Some(path).filter(|path| path.is_absolute());
    let state = lookup("XDG_STATE_HOME").and_then(|path| absolute(path.into()));
    let home = || lookup("HOME").and_then(|home| absolute(home.into()));
    let state = state.or_else(|| home().map(|home| home.join(".local/state")))?;
    Some(state.join("reprobe"))
}

fn forget_old(root: &Path) -> io::Result<()> {
    let sessions: Vec<PathBuf> = sorted_entries(root)?
        .into_iter()
        .filter(|entry| entry.kind.is_dir() && is_session(&entry.name))
        .map(|entry| entry.path)
        .collect();
    let old = sessions.len().saturating_sub(KEPT);
    for session in sessions.iter().take(old) {
        fs::remove_dir_all(session)?;
    }
    Ok(())
}

/// Only what has the form of our own names is ever removed.
fn is_session(name: &std::ffi::OsStr) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.to_str().and_then(|name| name.split_once('-'));
    parts.is_some_and(|(time, seed)| digits(time) && digits(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sessions_are_kept_and_nothing_else_is_touched() {
        let state = tempfile::tempdir().unwrap();
        let lookup =
            |name: &str| (name == "XDG_STATE_HOME").then(|| state.path().as_os_str().to_owned());
        let root = state.path().join("reprobe");
        fs::create_dir_all(root.join("mine")).unwrap();
        let make = |now| session(Path::new("/src"), now, 7, lookup).unwrap().unwrap();
        let first = make(999_999_999);
        let others: Vec<_> = (0..20).map(|second| make(1_800_000_000 + second)).collect();
        assert!(!first.exists() && others.iter().all(|other| other.exists()));
        assert!(root.join("mine").exists());
        assert_eq!(sorted_entries(&root).unwrap().len(), 21);
    }

    #[test]
    fn nothing_is_written_into_the_source() {
        let home = |name: &str| (name == "HOME").then(|| "/home/ada".into());
        assert_eq!(session(Path::new("/home/ada"), 1, 7, home).unwrap(), None);
        assert_eq!(session(Path::new("/src"), 1, 7, |_| None).unwrap(), None);
    }
}
