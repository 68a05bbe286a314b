//! One numbered directory for each session: its journal, the logs of its failed builds, and while it
//! is not finished, what its trials made. The latest few are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::journal::{Error, Event, Journal, is_running, read};
use crate::snapshot::walk;

/// So many sessions are kept.
const KEPT: usize = 20;

/// The name of the directory for what trials made.
const OUTPUTS: &str = "outputs";

/// Which session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// This one.
    Number(u64),
    /// The latest of this source tree that was interrupted.
    InterruptedOf(&'a Path),
}

/// Where a session keeps what its trials made, until it is finished.
pub fn outputs(session: &Path) -> PathBuf {
    session.join(OUTPUTS)
}

/// The directory of a session below `root`, with its number.
pub fn find(root: &Path, which: Which<'_>) -> Result<(u64, PathBuf), Error> {
    let sessions = numbered(root).unwrap_or_default();
    let wanted = match which {
        Which::Number(wanted) => wanted,
        Which::InterruptedOf(source) => return interrupted_of(source, &sessions),
    };
    let found = sessions.iter().find(|(number, _)| *number == wanted);
    found.cloned().ok_or_else(|| Error::NoSession {
        id: wanted,
        root: root.to_owned(),
        known: match (sessions.first(), sessions.last()) {
            (Some((first, _)), Some((last, _))) => format!("{first} to {last}"),
            _ => "none".to_owned(),
        },
    })
}

/// The latest session of a source tree that was interrupted, and that nobody goes on with.
fn interrupted_of(source: &Path, sessions: &[(u64, PathBuf)]) -> Result<(u64, PathBuf), Error> {
    let mut other = None;
    for (number, path) in sessions.iter().rev() {
        let journal = path.join("journal");
        let Some(of) = source_of_interrupted(&journal) else {
            continue;
        };
        if of != source {
            other = other.or_else(|| (!is_running(&journal)).then_some((*number, of)));
        } else if Journal::open(&journal).is_ok() {
            return Ok((*number, path.clone()));
        }
    }
    Err(Error::NoInterrupted {
        source_tree: source.to_owned(),
        other: other.map_or(String::new(), |(number, of)| {
            let of = of.display();
            format!("; of {of} number {number} was: reprobe check --resume {number}")
        }),
    })
}

/// The source tree of a session that has begun and is not finished.
fn source_of_interrupted(journal: &Path) -> Option<PathBuf> {
    let events = read(journal).ok()?;
    match events.as_slice() {
        [Event::Started(start), rest @ ..]
            if !rest.is_empty() && !rest.contains(&Event::Finished) =>
        {
            Some(start.source.clone())
        }
        _ => None,
    }
}

/// Removes what the trials of interrupted sessions made; only of the latest is it worth its room.
fn make_room(sessions: &[(u64, PathBuf)]) {
    for (_, path) in sessions.iter().rev().skip(1) {
        let outputs = outputs(path);
        let journal = path.join("journal");
        if outputs.exists() && !is_running(&journal) {
            // What cannot be removed only takes room.
            let _ = fs::remove_dir_all(outputs);
        }
    }
}

/// Makes the directory of the next session below `root`, and removes the oldest where there are
/// too many; those that still run stay.
pub fn create(root: &Path) -> Result<PathBuf, Error> {
    let fail = |step| {
        move |source| Error::Io {
            step,
            path: root.to_owned(),
            source,
        }
    };
    fs::create_dir_all(root).map_err(fail("make"))?;
    loop {
        let sessions = numbered(root).map_err(fail("read"))?;
        let next = sessions.last().map_or(1, |(number, _)| number + 1);
        make_room(&sessions);
        let old = sessions.iter().rev().skip(KEPT - 1);
        for (_, old) in old.filter(|(_, path)| !is_running(&path.join("journal"))) {
            // Another reprobe may be removing the same one.
            let _ = fs::remove_dir_all(old);
        }
        let path = root.join(next.to_string());
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path).map_err(fail("write to")),
        }
    }
}

/// The sessions below `root`, by number.
fn numbered(root: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = walk::sorted_entries(root)?.into_iter();
    let mut sessions: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| Some((entry.name.to_str()?.parse().ok()?, entry.path)))
        .collect();
    sessions.sort();
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_numbered_and_the_oldest_go() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("notes"), "mine").unwrap();
        let made: Vec<PathBuf> = (0..25).map(|_| create(root.path()).unwrap()).collect();
        assert_eq!(made[24], root.path().join("25"));
        let left = numbered(root.path()).unwrap();
        assert_eq!(left.len(), KEPT);
        assert_eq!(left[0].0, 6);
        assert!(root.path().join("notes").exists());
        assert_eq!(find(root.path(), Which::Number(7)).unwrap().0, 7);
        let unknown = find(root.path(), Which::Number(99)).unwrap_err();
        assert!(unknown.to_string().contains("6 to 25"), "{unknown}");
        assert!(find(root.path(), Which::InterruptedOf(Path::new("/src"))).is_err());
    }

    #[test]
    fn a_session_that_still_runs_is_not_removed_however_many_begin() {
        let root = tempfile::tempdir().unwrap();
        let long = create(root.path()).unwrap();
        let journal = Journal::open(&long.join("journal")).unwrap();
        for _ in 0..KEPT + 5 {
            create(root.path()).unwrap();
        }
        assert!(long.exists());
        drop(journal);
        create(root.path()).unwrap();
        assert!(!long.exists());
    }
}
