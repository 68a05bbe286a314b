//! One numbered directory for each session: its journal, the logs of its failed builds, and while it
//! is not finished, what its trials made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::journal::{Error, Event, Journal, is_running, read};
use super::prune::{self, Pruned};
use crate::snapshot::walk;

/// Which session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// This one.
    Number(u64),
    /// The latest of this source tree that was interrupted.
    InterruptedOf(&'a Path),
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
        known: match prune::ranges(&sessions.iter().map(|(number, _)| *number).collect()) {
            none if none.is_empty() => "none".to_owned(),
            some => some,
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

/// Makes the directory of the next session below `root`, and removes older ones where there are too
/// many; those that still run stay. `now` is in seconds since 1970.
pub fn create(root: &Path, now: i64) -> Result<(PathBuf, Pruned), Error> {
    let fail = |step| {
        move |source| Error::Io {
            step,
            path: root.to_owned(),
            source,
        }
    };
    fs::create_dir_all(root).map_err(fail("make"))?;
    let pruned = prune::prune(numbered(root).map_err(fail("read"))?, now);
    loop {
        let sessions = numbered(root).map_err(fail("read"))?;
        let next = sessions.last().map_or(1, |(number, _)| number + 1);
        let path = root.join(next.to_string());
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                return made.map(|()| (path, pruned)).map_err(fail("write to"));
            }
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

    fn make(root: &Path) -> PathBuf {
        create(root, 0).unwrap().0
    }

    #[test]
    fn sessions_are_numbered_and_those_there_are_can_be_found() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("notes"), "mine").unwrap();
        let made: Vec<PathBuf> = (0..25).map(|_| make(root.path())).collect();
        assert_eq!(made[24], root.path().join("25"));
        fs::remove_dir(&made[0]).unwrap();
        fs::remove_dir(&made[9]).unwrap();
        assert_eq!(make(root.path()), root.path().join("26"));
        assert!(root.path().join("notes").exists());
        assert_eq!(find(root.path(), Which::Number(7)).unwrap().0, 7);
        let unknown = find(root.path(), Which::Number(99)).unwrap_err();
        assert!(
            unknown.to_string().contains("2 to 9, 11 to 26"),
            "{unknown}"
        );
        assert!(find(root.path(), Which::InterruptedOf(Path::new("/src"))).is_err());
    }

    #[test]
    fn a_session_that_began_long_ago_and_has_no_trial_goes_unless_it_runs() {
        let root = tempfile::tempdir().unwrap();
        let [gone, runs, young] = [(); 3].map(|()| make(root.path()));
        let journal = Journal::open(&runs.join("journal")).unwrap();
        let now = fs::metadata(&young).unwrap().modified().unwrap();
        for old in [&gone, &runs] {
            let directory = fs::File::open(old).unwrap();
            let long_ago = now - std::time::Duration::from_hours(30);
            directory.set_modified(long_ago).unwrap();
        }
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        let pruned = || create(root.path(), now).unwrap().1;
        assert_eq!(pruned().finished, [1].into());
        assert!(!gone.exists() && runs.exists() && young.exists());
        drop(journal);
        assert_eq!(pruned().finished, [2].into());
    }
}
