//! Which process and which directory an order comes from: where `file-order` is to blame, its
//! varied level is let act in ever fewer directories, then for one program, until what is left is
//! small enough to be named. These trials say nothing about variations, so the search never hears
//! of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::run::Session;
use super::{Error, Progress};
use crate::diff::{self, Judged};
use crate::model::{Element, Outcome, Row, Slot, TrialId, TrialKind, TrialRecord};
use crate::sandbox::Focus;
use crate::sandbox::supervisor::{Line, Process, Scope, Source};
use crate::search::{ElementVerdict, Try};

/// So many places are looked for in one session.
const PLACES: usize = 3;
/// In so many trials at most.
const TRIALS: u32 = 40;

/// So many callers of a process are named.
const CALLERS: usize = 3;

/// The cause of each element for which one was found.
pub(super) type Causes = BTreeMap<Element, String>;

/// A trial of which some of the order was varied.
struct Glimpse {
    trial: TrialId,
    differing: BTreeSet<Element>,
    lines: Vec<Line>,
    /// Where the build ran.
    directory: PathBuf,
}

/// What the search is after.
struct Target {
    factor: usize,
    level: u8,
    element: Element,
}

impl Session<'_> {
    /// Finds the process and the directory behind each difference that the order of directories
    /// causes alone.
    pub(super) fn locate(&mut self) -> Result<Causes, Error> {
        let mut causes = Causes::new();
        if !self.options.locate {
            return Ok(causes);
        }
        let mut targets = self.ordered();
        let mut left = TRIALS;
        for _ in 0..PLACES {
            let Some(target) = targets.pop() else {
                break;
            };
            if let Some((words, glimpse)) = self.place_of(&target, &mut left)? {
                let shares = |other: &Target| glimpse.differing.contains(&other.element);
                let same: Vec<Element> = targets
                    .iter()
                    .filter(|other| shares(other))
                    .map(|other| other.element.clone())
                    .collect();
                targets.retain(|other| !shares(other));
                causes.extend(same.into_iter().map(|element| (element, words.clone())));
                causes.insert(target.element, words);
            }
        }
        Ok(causes)
    }

    /// The elements that the order of directories changes alone, the first one last.
    fn ordered(&self) -> Vec<Target> {
        let Some(factor) = self.plan.filling(Slot::DirectoryOrder) else {
            return Vec::new();
        };
        let verdict = self.search.verdict();
        let elements = self
            .ledger
            .elements()
            .iter()
            .zip(&verdict.elements)
            .enumerate();
        let mut targets: Vec<Target> = elements
            .filter(|(number, (element, _))| {
                self.ledger.decides(*number) && !self.addresses.separated(element)
            })
            .filter_map(|(_, (element, verdict))| {
                let ElementVerdict::Certified { culprits } = verdict else {
                    return None;
                };
                let alone = culprits.iter().find(|culprit| culprit.set == [factor])?;
                Some(Target {
                    factor,
                    level: *alone.levels.first()?,
                    element: element.clone(),
                })
            })
            .collect();
        targets.sort_by(|a, b| b.element.cmp(&a.element));
        targets
    }

    /// The process and directory whose order is enough to change the element, in words, with the
    /// trial that shows it; `None` where they cannot be told.
    fn place_of(
        &mut self,
        target: &Target,
        left: &mut u32,
    ) -> Result<Option<(String, Glimpse)>, Error> {
        let Some(whole) = self.glimpse(target, None, left)? else {
            return Ok(None);
        };
        let mut directories = directories(&whole);
        // Where one directory alone is read, this trial varied the order there alone.
        let mut shown = whole;
        while directories.len() > 1 {
            let second = directories.split_off(directories.len().div_ceil(2));
            let mut found = None;
            for half in [&directories, &second] {
                if let Some(glimpse) = self.glimpse(target, Some(scope(&[], half)), left)? {
                    found = Some((half.clone(), glimpse));
                    break;
                }
            }
            let Some((half, glimpse)) = found else {
                // Only several directories together do it.
                return Ok(None);
            };
            directories = half;
            shown = glimpse;
        }
        let Some(directory) = directories.first() else {
            return Ok(None);
        };
        let readers = readers(&shown.lines, directory);
        let mut programs: Vec<&str> = readers.iter().map(|p| p.executable.as_str()).collect();
        programs.sort_unstable();
        programs.dedup();
        let programs: Vec<String> = programs.into_iter().map(str::to_owned).collect();
        let mut reader = readers.first().cloned();
        if programs.len() > 1 {
            reader = None;
            for program in programs {
                let only = scope(
                    std::slice::from_ref(&program),
                    std::slice::from_ref(directory),
                );
                if let Some(glimpse) = self.glimpse(target, Some(only), left)? {
                    reader = readers.iter().find(|p| p.executable == program).cloned();
                    shown = glimpse;
                    break;
                }
            }
        }
        let Some(reader) = reader else {
            return Ok(None);
        };
        let words = words(&reader, directory, &shown);
        Ok(Some((words, shown)))
    }

    /// Runs a trial in which the order is varied in a scope alone; `None` where that leaves the
    /// element as it is in the control, or no trial is left.
    fn glimpse(
        &mut self,
        target: &Target,
        scope: Option<Scope>,
        left: &mut u32,
    ) -> Result<Option<Glimpse>, Error> {
        if *left == 0 || !self.has_room() {
            return Ok(None);
        }
        *left -= 1;
        let mut row = Row::control(self.plan.variations.len());
        if let Some(level) = row.0.get_mut(target.factor) {
            *level = target.level;
        }
        let attempt = Try {
            row,
            kind: TrialKind::Location,
            after_seconds: None,
        };
        let id = TrialId(self.next_id());
        self.announce(id, &attempt, *left);
        let mut spec = self.spec(id, &attempt);
        // Only whether it differs is asked.
        spec.keep_outputs = None;
        spec.focus = Some(Focus {
            scope,
            elsewhere: self.plan.control.directory_order,
        });
        let report = self.sandbox.run(&spec)?;
        let judged = Judged {
            metadata: self.options.metadata,
        };
        let differing: BTreeSet<Element> = match (self.ledger.control(), &report.outcome) {
            (Some(control), Outcome::Built { snapshot }) => {
                let compared = diff::compare(control, snapshot, judged);
                compared.differing().cloned().collect()
            }
            _ => BTreeSet::new(),
        };
        let result = report.outcome.result();
        self.trials.push(TrialRecord {
            id,
            kind: attempt.kind,
            varied: self.plan.varied(&attempt.row),
            result,
            seconds: report.seconds,
        });
        (self.progress)(&Progress::Ended {
            trial: id,
            result,
            seconds: report.seconds,
            differing: differing.len(),
        });
        self.not_interrupted()?;
        Ok(differing.contains(&target.element).then(|| Glimpse {
            trial: id,
            differing,
            lines: report.readings(),
            directory: report.directory,
        }))
    }
}

fn scope(programs: &[String], directories: &[PathBuf]) -> Scope {
    Scope {
        programs: programs.to_vec(),
        directories: directories.to_vec(),
    }
}

/// The directories that were read, those of the build tree first.
fn directories(glimpse: &Glimpse) -> Vec<PathBuf> {
    let read = glimpse.lines.iter().filter_map(|line| match line {
        Line::Read {
            source: Source::Directory,
            path: Some(path),
            ..
        } => Some(PathBuf::from(path)),
        _ => None,
    });
    let all: BTreeSet<PathBuf> = read.collect();
    let (inside, outside): (Vec<PathBuf>, Vec<PathBuf>) = all
        .into_iter()
        .partition(|path| path.starts_with(&glimpse.directory));
    inside.into_iter().chain(outside).collect()
}

/// The processes that read a directory, with those that called them, nearest first.
#[derive(Debug, Clone)]
struct Reader {
    executable: String,
    line: String,
    callers: Vec<String>,
}

fn readers(lines: &[Line], directory: &Path) -> Vec<Reader> {
    let processes: BTreeMap<usize, &Process> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Process(process) => Some((process.number, process)),
            Line::Read { .. } => None,
        })
        .collect();
    let read = lines.iter().filter_map(|line| match line {
        Line::Read {
            process,
            source: Source::Directory,
            path: Some(path),
            ..
        } if Path::new(path) == directory => processes.get(process),
        _ => None,
    });
    read.map(|process| {
        let mut callers = Vec::new();
        let mut above = process.parent.and_then(|parent| processes.get(&parent));
        // The root is the build itself.
        while let Some((caller, parent)) = above.and_then(|caller| Some((caller, caller.parent?))) {
            if callers.len() == CALLERS {
                break;
            }
            callers.push(command(caller));
            above = processes.get(&parent);
        }
        Reader {
            executable: process.executable.clone(),
            line: command(process),
            callers,
        }
    })
    .collect()
}

/// A command line short enough to be read.
fn command(process: &Process) -> String {
    const LONGEST: usize = 60;
    let program = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut words: Vec<String> = process.arguments.clone();
    match words.first_mut() {
        Some(first) => *first = program(first),
        None => words.push(program(&process.executable)),
    }
    let line = words
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST).collect();
    short.push('…');
    short
}

fn words(reader: &Reader, directory: &Path, shown: &Glimpse) -> String {
    let inside = directory.strip_prefix(&shown.directory).ok();
    let place = match inside {
        Some(path) if path.as_os_str().is_empty() => "the build directory".to_owned(),
        Some(path) => format!("{}/", path.display()),
        None => directory.display().to_string(),
    };
    let callers = match reader.callers.as_slice() {
        [] => String::new(),
        callers => format!(", called by `{}`,", callers.join("`, by `")),
    };
    format!(
        "`{}`{callers} takes the entries of {place} in the order in which the file system lists them (trial {} varied the order there alone)",
        reader.line, shown.trial.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(number: usize, parent: Option<usize>, arguments: &[&str]) -> Line {
        Line::Process(Process {
            number,
            parent,
            executable: format!("/usr/bin/{}", arguments[0]),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        })
    }

    fn read(process: usize, path: &str) -> Line {
        Line::Read {
            process,
            source: Source::Directory,
            path: Some(path.into()),
            times: 1,
        }
    }

    #[test]
    fn the_reader_of_a_directory_is_told_with_its_callers() {
        let lines = [
            process(0, None, &["sh", "-ec", "make dist"]),
            process(1, Some(0), &["make", "dist"]),
            process(2, Some(1), &["tar", "czf", "../x.tar.gz", "."]),
            read(2, "/build/x/src"),
            read(1, "/build/x"),
            read(1, "/usr/include"),
        ];
        let glimpse = Glimpse {
            trial: TrialId(7),
            differing: BTreeSet::new(),
            lines: lines.to_vec(),
            directory: "/build/x".into(),
        };
        let expected = ["/build/x", "/build/x/src", "/usr/include"].map(PathBuf::from);
        assert_eq!(directories(&glimpse), expected);
        let readers = readers(&lines, Path::new("/build/x/src"));
        assert_eq!(
            words(&readers[0], Path::new("/build/x/src"), &glimpse),
            "`tar czf ../x.tar.gz .`, called by `make dist`, takes the entries of src/ in the order \
             in which the file system lists them (trial 7 varied the order there alone)"
        );
    }
}
