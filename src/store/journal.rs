//! The journal: one JSON event per line, in the order in which things ended. A line is written whole
//! and flushed to disk as soon as its trial has ended, so that a kill at any moment loses at most the
//! trials that were running; a torn last line is what such a kill leaves, and is dropped. While a
//! journal is being written it is locked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::model::{
    Asked, Build, Checkout, Environment, Outcome, OutputsFrom, Reading, Snapshot, TrialId,
    TrialKind,
};
use crate::plan::Plan;

/// The version of the format; a journal of another version is refused.
pub const JOURNAL: u32 = 5;

/// How long it is waited for a journal that somebody else writes.
const PATIENCE: Duration = Duration::from_secs(2);

/// What happened in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// Tagged from outside: whatever is tagged from inside is read into a buffer of several times its size.
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The session began: everything that its trials need.
    Started(Box<Start>),
    /// Trials begin together: what follows is decided when all of them have ended.
    Round {
        /// Their numbers, rising, and what they ask.
        planned: Vec<Planned>,
    },
    /// A trial ended.
    Trial(Box<TrialEvent>),
    /// Everything that was to be tried was tried.
    Finished,
}

/// How a session began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of the user or a fact about the trials, by itself"
)]
pub struct Start {
    /// [`JOURNAL`].
    pub version: u32,
    /// The reprobe that wrote it.
    pub tool_version: String,
    /// The build, without the values of variables that were passed on from the caller.
    pub build: Build,
    /// Variables passed on by name: SHA-256 of each value.
    pub passed: BTreeMap<String, String>,
    /// The source tree that the user named; the build's own may be a cleaned copy of it.
    pub source: PathBuf,
    /// The build works on a copy without what git ignores.
    pub clean: bool,
    /// What the source tree looked like: equal for a tree that nobody touched since.
    pub fingerprint: String,
    /// A shell line to run once before.
    pub prepare: Option<String>,
    /// Builds may reach the network.
    pub network: bool,
    /// What builds see of the caller's home besides.
    #[serde(default)]
    pub exposed: Vec<PathBuf>,
    /// Who selected the outputs.
    pub outputs_from: OutputsFrom,
    /// All levels, resolved.
    pub plan: Plan,
    /// Modes of the outputs themselves count.
    pub metadata: bool,
    /// Whether a difference by the checkout alone decides.
    pub checkout: Checkout,
    /// Trials see a copy of the source, as an overlay over the original breaks the build.
    pub copies: bool,
    /// Variations without which there is no verdict, by name.
    pub required: BTreeSet<String>,
    /// Trials at the same time.
    pub workers: usize,
    /// At most so many trials.
    pub budget: Option<u32>,
    /// Trials of the control and of everything varied that stand behind "reproducible".
    pub repeats: u32,
    /// What one other variation masks is looked for as well.
    pub thorough: bool,
    /// The process and the directory behind an order are looked for.
    pub locate: bool,
    /// Remedies are tried for what differs.
    pub fix: bool,
    /// The longest time of a trial, in seconds.
    pub limit: f64,
    /// Where the outputs of the control and of all certificates go.
    pub keep: Option<PathBuf>,
    /// What a reader should know, as far as it was known then.
    pub notes: Vec<String>,
}

/// A session as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// How it began.
    pub start: Start,
    /// The trials that ended, by number.
    pub trials: BTreeMap<TrialId, TrialEvent>,
    /// The trials that began together last.
    pub round: Vec<Planned>,
    /// Nothing is left to be done.
    pub finished: bool,
}

/// One trial that begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Its number.
    pub id: TrialId,
    /// What it asks of the build.
    pub asked: Asked,
    /// Why it is run.
    pub kind: TrialKind,
}

/// One trial that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialEvent {
    /// Its number.
    pub id: TrialId,
    /// What it asked of the build.
    pub asked: Asked,
    /// Why it was run.
    pub kind: TrialKind,
    /// In which round of trials it was run, counted from 1.
    pub round: u32,
    /// Its environment, resolved: a replay takes it from here.
    pub environment: Environment,
    /// What became of it.
    pub outcome: Outcome,
    /// Wall time.
    pub seconds: f64,
    /// CPU time of the build and everything it started.
    pub cpu_seconds: f64,
    /// Variables passed on from the caller: SHA-256 of each value.
    pub passed: BTreeMap<String, String>,
    /// What the build read, where that was written down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Reading>,
    /// Where it ran, in the trial's view.
    pub directory: PathBuf,
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {step} {}: {source}; is there room, and may you write there?", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line that is not the last is no event.
    #[error("{}, line {line}: {reason}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing was written down that one could go on from.
    #[error("{} holds no trial that ended: there is nothing to go on from; start over", path.display())]
    Empty {
        /// The journal.
        path: PathBuf,
    },
    /// Another reprobe is writing it.
    #[error("{} belongs to a session that is still running", path.display())]
    Running {
        /// The journal.
        path: PathBuf,
    },
    /// No such session.
    #[error("there is no session {id} in {}; those there are: {known}", root.display())]
    NoSession {
        /// What was asked for.
        id: u64,
        /// Where it was looked for.
        root: PathBuf,
        /// The sessions, in words.
        known: String,
    },
    /// Nothing to go on with.
    #[error("no session of {} was interrupted that could go on{other}", source_tree.display())]
    NoInterrupted {
        /// The source tree.
        source_tree: PathBuf,
        /// What was interrupted elsewhere, in words.
        other: String,
    },
    /// The format is another one.
    #[error(
        "{} is a journal of format {found}, and this reprobe reads format {JOURNAL}: \
         use the reprobe that wrote it, or start over",
        path.display()
    )]
    Version {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
}

impl Journal {
    /// Creates an empty journal, or opens one to go on behind its last whole line.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let fail = |step| {
            move |source| Error::Io {
                step,
                path: path.to_owned(),
                source,
            }
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(fail("open"))?;
        lock(&file, path, PATIENCE)?;
        let end = whole_lines(&file).map_err(fail("read"))?;
        file.set_len(end).map_err(fail("cut"))?;
        file.seek(io::SeekFrom::End(0)).map_err(fail("read"))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Appends one event; when this returns, it is on disk.
    pub fn append(&mut self, event: &Event) -> Result<(), Error> {
        let fail = |source| Error::Io {
            step: "write",
            path: self.path.clone(),
            source,
        };
        // It may tell of millions of elements.
        let mut writer = BufWriter::new(&self.file);
        serde_json::to_writer(&mut writer, event).map_err(|error| fail(error.into()))?;
        writer
            .write_all(b"\n")
            .and_then(|()| writer.flush())
            .and_then(|()| self.file.sync_data())
            .map_err(fail)
    }
}

/// Whether somebody is writing a journal at this moment.
pub(super) fn is_running(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| lock(&file, path, Duration::ZERO).is_err())
}

/// Locks a journal. A killed session's children hold the lock until they are gone, too.
fn lock(file: &File, path: &Path, patience: Duration) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() < patience => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Running {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io {
                    step: "lock",
                    path: path.to_owned(),
                    source,
                });
            }
        }
    }
}

/// Where the last whole line ends, in bytes.
fn whole_lines(file: &File) -> io::Result<u64> {
    // A line may tell of millions of elements.
    let mut reader = BufReader::new(file);
    let (mut end, mut at) = (0, 0);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(end);
        }
        if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
            end = at + last as u64 + 1;
        }
        let length = bytes.len();
        at += length as u64;
        reader.consume(length);
    }
}

/// Whether a journal holds a trial that ended: a whole line behind the first. It is not parsed.
pub fn has_trial(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| {
        let bytes = BufReader::new(file).bytes().map_while(Result::ok);
        bytes.filter(|byte| *byte == b'\n').nth(1).is_some()
    })
}

/// All events of a journal; a torn last line is none.
pub fn read(path: &Path) -> Result<Vec<Event>, Error> {
    let fail = |source| Error::Io {
        step: "read",
        path: path.to_owned(),
        source,
    };
    let mut reader = BufReader::new(File::open(path).map_err(fail)?);
    let mut events = Events::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        reader.read_until(b'\n', &mut line).map_err(fail)?;
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        if number == 1 {
            check_version(path, text)?;
        }
        let event = serde_json::from_slice(text).map_err(|error| Error::Damaged {
            path: path.to_owned(),
            line: number,
            reason: error.to_string(),
        })?;
        events.push(event);
    }
    Ok(events.all)
}

/// Events as they are read: what trials made alike is in memory once.
#[derive(Debug, Default)]
struct Events {
    all: Vec<Event>,
    /// What the first trial made.
    first: Option<Arc<Snapshot>>,
}

impl Events {
    fn push(&mut self, mut event: Event) {
        if let Event::Trial(trial) = &mut event
            && let Outcome::Built { snapshot } = &mut trial.outcome
        {
            match (&self.first, Arc::get_mut(snapshot)) {
                (Some(first), Some(own)) => own.elements.share_with(&first.elements),
                _ => self.first = Some(Arc::clone(snapshot)),
            }
        }
        self.all.push(event);
    }
}

/// A session as its journal tells it.
pub fn recorded(path: &Path) -> Result<Recorded, Error> {
    let empty = || Error::Empty {
        path: path.to_owned(),
    };
    let mut events = read(path)?.into_iter();
    let Some(Event::Started(start)) = events.next() else {
        return Err(empty());
    };
    let mut session = Recorded {
        start: *start,
        trials: BTreeMap::new(),
        round: Vec::new(),
        finished: false,
    };
    for event in events {
        match event {
            Event::Round { planned } => session.round = planned,
            Event::Trial(trial) => drop(session.trials.insert(trial.id, *trial)),
            Event::Finished => session.finished = true,
            Event::Started(_) => {}
        }
    }
    if session.trials.is_empty() {
        return Err(empty());
    }
    Ok(session)
}

fn check_version(path: &Path, line: &[u8]) -> Result<(), Error> {
    let first: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    // In a journal before format 4 it stood beside the tag.
    let start = first.get("started").unwrap_or(&first);
    let version = start.get("version").and_then(serde_json::Value::as_u64);
    match version {
        Some(found) if found != u64::from(JOURNAL) => Err(Error::Version {
            path: path.to_owned(),
            found,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_dropped_and_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&Event::Finished).unwrap();
        assert!(matches!(Journal::open(&path), Err(Error::Running { .. })));
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            let mut torn = whole.clone();
            torn.extend(&whole[..cut]);
            std::fs::write(&path, torn).unwrap();
            assert_eq!(read(&path).unwrap(), [Event::Finished]);
            let mut journal = Journal::open(&path).unwrap();
            journal.append(&Event::Finished).unwrap();
            assert_eq!(read(&path).unwrap(), [Event::Finished, Event::Finished]);
        }
    }

    #[test]
    fn a_journal_without_a_trial_is_nothing_to_go_on_from() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        drop(Journal::open(&path).unwrap());
        assert!(matches!(recorded(&path), Err(Error::Empty { .. })));
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        std::fs::write(&path, "\"finished\"\nnonsense\n\"finished\"\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn a_journal_of_another_format_is_refused_by_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let refused = |line: &str| {
            std::fs::write(&path, line).unwrap();
            read(&path).unwrap_err().to_string()
        };
        let older = "{\"event\":\"started\",\"version\":3}\n";
        assert!(refused(older).contains("format 3"));
        let newer = "{\"started\":{\"version\":7}}\n";
        assert!(refused(newer).contains("format 7"));
    }
}
