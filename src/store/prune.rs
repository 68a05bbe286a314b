//! Which sessions stay: of each source tree the latest few, and in all no more than some room takes.
//! Finished ones go first, interrupted ones last, and running ones never.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::journal::{Event, is_running};
use super::outputs;
use crate::snapshot::walk;

/// So many sessions of one source tree are kept, ...
const OF_A_TREE: usize = 20;
/// ... so many bytes of journals and logs in all, ...
const ROOM: u64 = 1 << 30;
/// ... and so many of what trials of interrupted sessions made, but for the latest.
const ROOM_FOR_OUTPUTS: u64 = 4 << 30;
/// Who has not written down a trial after so many seconds never will.
const LONGEST_START: i64 = 24 * 3600;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Finished sessions, and those that never had a trial.
    pub finished: BTreeSet<u64>,
    /// Interrupted ones, with their source tree: they cannot go on any more.
    pub interrupted: BTreeMap<u64, PathBuf>,
    /// Interrupted ones that can, without what their trials made.
    pub outputs: BTreeSet<u64>,
}

impl Pruned {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.finished.is_empty() && self.interrupted.is_empty() && self.outputs.is_empty()
    }
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = Vec::new();
        if !self.finished.is_empty() {
            said.push(format!("finished: {}", ranges(&self.finished)));
        }
        for (number, tree) in &self.interrupted {
            said.push(format!("interrupted: {number}, of {}", tree.display()));
        }
        if !self.outputs.is_empty() {
            let numbers = ranges(&self.outputs);
            said.push(format!("what the trials of {numbers} made"));
        }
        write!(
            f,
            "old sessions were removed ({}): of a source tree {OF_A_TREE} are kept, and of all \
             together {} GiB",
            said.join("; "),
            (ROOM + ROOM_FOR_OUTPUTS) >> 30
        )
    }
}

/// `1`, `1 to 3`, `1, 4 to 6`.
pub(super) fn ranges(numbers: &BTreeSet<u64>) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let said = runs.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first} to {last}"),
    });
    said.collect::<Vec<_>>().join(", ")
}

/// How far a session came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Nothing is left to be done, or there is nothing to go on from.
    Finished,
    /// It can go on.
    Interrupted,
    /// Somebody is at it, or about to be.
    Running,
}

/// A session as it lies on the disk.
#[derive(Debug, Clone)]
struct Session {
    number: u64,
    path: PathBuf,
    /// Where its source tree is; `None` as long as nothing is written down.
    tree: Option<PathBuf>,
    state: State,
    /// Bytes of journal and logs.
    size: u64,
    /// Bytes of what its trials made.
    outputs: u64,
}

impl Session {
    fn read(number: u64, path: PathBuf, now: i64) -> Self {
        let journal = path.join("journal");
        let made = outputs(&path);
        let told = told(&journal).unwrap_or_default();
        let begun = || path.metadata().map_or(now, |found| found.mtime());
        let state = if is_running(&journal) {
            State::Running
        } else if told.finished {
            State::Finished
        } else if told.trials {
            State::Interrupted
        } else if now.saturating_sub(begun()) > LONGEST_START {
            State::Finished
        } else {
            State::Running
        };
        let outputs = size(&made);
        Self {
            number,
            tree: told.tree,
            state,
            size: size(&path).saturating_sub(outputs),
            outputs,
            path,
        }
    }
}

/// What a journal tells, without all of it being read.
#[derive(Debug, Default)]
struct Told {
    tree: Option<PathBuf>,
    trials: bool,
    finished: bool,
}

fn told(journal: &Path) -> io::Result<Told> {
    let mut reader = BufReader::new(File::open(journal)?);
    let mut first = Vec::new();
    let begun = reader.read_until(b'\n', &mut first)? as u64;
    let tree = match serde_json::from_slice(&first) {
        Ok(Event::Started(start)) => Some(start.source),
        // Of another version, or torn: it cannot go on.
        _ => None,
    };
    let mut end = serde_json::to_vec(&Event::Finished)?;
    end.push(b'\n');
    let mut file = reader.into_inner();
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(end.len() as u64)))?;
    file.read_to_end(&mut last)?;
    let finished = last == end || (tree.is_none() && length > 0);
    Ok(Told {
        tree,
        trials: length > begun,
        finished,
    })
}

/// Bytes of all files below.
fn size(path: &Path) -> u64 {
    let Ok(entries) = walk::sorted_entries(path) else {
        return 0;
    };
    let sizes = entries.iter().map(|entry| {
        if entry.kind.is_dir() {
            size(&entry.path)
        } else {
            entry.path.symlink_metadata().map_or(0, |found| found.len())
        }
    });
    sizes.sum()
}

/// The sessions that go, and those that lose what their trials made.
fn choose(sessions: &[Session]) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let mut order: Vec<&Session> = sessions.iter().collect();
    order.sort_by_key(|session| (session.state, session.number));
    let mut of_tree: BTreeMap<&Path, usize> = BTreeMap::new();
    let trees = sessions
        .iter()
        .filter_map(|session| session.tree.as_deref());
    trees.for_each(|tree| *of_tree.entry(tree).or_default() += 1);
    let mut size: u64 = sessions.iter().map(|session| session.size).sum();
    let mut gone = BTreeSet::new();
    for session in order.iter().filter(|one| one.state != State::Running) {
        let tree = session.tree.as_deref();
        let count = tree.and_then(|tree| of_tree.get_mut(tree));
        let never_began = session.tree.is_none();
        let too_many = count.as_ref().is_some_and(|count| **count > OF_A_TREE);
        if never_began || too_many || size > ROOM {
            if let Some(count) = count {
                *count -= 1;
            }
            size = size.saturating_sub(session.size);
            gone.insert(session.number);
        }
    }
    let mut left: Vec<&Session> = order
        .into_iter()
        .filter(|one| one.state == State::Interrupted && !gone.contains(&one.number))
        .collect();
    let mut size: u64 = left.iter().map(|session| session.outputs).sum();
    left.pop();
    let mut bare = BTreeSet::new();
    for session in left.into_iter().filter(|session| session.outputs > 0) {
        if size > ROOM_FOR_OUTPUTS {
            size = size.saturating_sub(session.outputs);
            bare.insert(session.number);
        }
    }
    (gone, bare)
}

/// Removes what there is no room for; `now` is in seconds since 1970.
pub(super) fn prune(sessions: Vec<(u64, PathBuf)>, now: i64) -> Pruned {
    let sessions: Vec<Session> = sessions
        .into_iter()
        .map(|(number, path)| Session::read(number, path, now))
        .collect();
    let (gone, bare) = choose(&sessions);
    let mut pruned = Pruned::default();
    for session in sessions {
        let number = session.number;
        // Another reprobe may be removing the same; what cannot be removed only takes room.
        if gone.contains(&number) && fs::remove_dir_all(&session.path).is_ok() {
            match (session.state, session.tree) {
                (State::Interrupted, Some(tree)) => drop(pruned.interrupted.insert(number, tree)),
                _ => drop(pruned.finished.insert(number)),
            }
        } else if bare.contains(&number) && fs::remove_dir_all(outputs(&session.path)).is_ok() {
            pruned.outputs.insert(number);
        }
    }
    pruned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u64, tree: &str, state: State) -> Session {
        Session {
            number,
            path: PathBuf::new(),
            tree: Some(tree.into()),
            state,
            size: 1000,
            outputs: 0,
        }
    }

    fn numbers(range: std::ops::RangeInclusive<u64>) -> BTreeSet<u64> {
        range.collect()
    }

    #[test]
    fn each_tree_keeps_its_own_and_finished_sessions_go_before_interrupted_ones() {
        let mut sessions: Vec<Session> = (1..=5)
            .map(|number| session(number, "/a", State::Interrupted))
            .collect();
        sessions.extend((6..=30).map(|number| session(number, "/b", State::Finished)));
        sessions.extend((31..=50).map(|number| session(number, "/a", State::Finished)));
        let (gone, bare) = choose(&sessions);
        let expected: BTreeSet<u64> = numbers(6..=10).union(&numbers(31..=35)).copied().collect();
        assert_eq!(gone, expected);
        assert!(bare.is_empty());
        let many: Vec<Session> = (1..=25)
            .map(|number| session(number, "/a", State::Interrupted))
            .collect();
        assert_eq!(choose(&many).0, numbers(1..=5));
        let running: Vec<Session> = (1..=25)
            .map(|number| session(number, "/a", State::Running))
            .collect();
        assert!(choose(&running).0.is_empty());
    }

    #[test]
    fn room_is_made_by_the_oldest_and_the_latest_interrupted_session_keeps_its_outputs() {
        let mut sessions = vec![
            session(1, "/a", State::Interrupted),
            session(2, "/b", State::Finished),
            session(3, "/c", State::Finished),
            session(4, "/d", State::Running),
        ];
        sessions[0].size = ROOM / 2;
        sessions[1].size = ROOM / 2;
        (sessions[2].size, sessions[3].size) = (ROOM / 2, 0);
        assert_eq!(choose(&sessions).0, numbers(2..=2));
        sessions[3].size = ROOM;
        assert_eq!(choose(&sessions).0, numbers(1..=3));

        let mut sessions: Vec<Session> = (1..=3)
            .map(|number| session(number, "/a", State::Interrupted))
            .collect();
        for session in &mut sessions {
            session.outputs = ROOM_FOR_OUTPUTS / 2;
        }
        assert_eq!(choose(&sessions), (BTreeSet::new(), numbers(1..=1)));
        sessions[2].outputs = 3 * ROOM_FOR_OUTPUTS;
        assert_eq!(choose(&sessions), (BTreeSet::new(), numbers(1..=2)));
    }

    #[test]
    fn what_was_removed_is_said_in_one_sentence() {
        let pruned = Pruned {
            finished: [1, 2, 3, 7].into(),
            interrupted: [(9, "/src".into())].into(),
            outputs: [10].into(),
        };
        assert_eq!(
            pruned.to_string(),
            "old sessions were removed (finished: 1 to 3, 7; interrupted: 9, of /src; what the \
             trials of 10 made): of a source tree 20 are kept, and of all together 5 GiB"
        );
        assert!(Pruned::default().is_empty());
    }
}
