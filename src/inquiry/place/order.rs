//! The process and the directory whose order reaches an element: first the directory, then who
//! reads it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::{Glimpse, Looking, Open};
use super::words::{chain, processes, with_callers};
use super::{Place, Target, What, everywhere};
use crate::model::{Cause, Chosen, Process, Reading, Scope, Source};

impl Looking<'_> {
    /// The process and directory whose order is enough to change the element; `None` where they
    /// cannot be told.
    pub(super) fn reader_of_directory(&self, target: &Target) -> Result<Option<Place>, Open> {
        let Some(all) = self.differing(target, everywhere())? else {
            return Ok(None);
        };
        let read = directories(&all);
        let found = if let [only] = read.as_slice() {
            // That trial varied the order there alone.
            Some((only.clone(), all))
        } else {
            self.narrow(target, &read, |_| 1, of_directories)?
        };
        let Some((directory, shown)) = found else {
            return Ok(None);
        };
        let Some((reader, shown)) = self.reader(target, &directory, shown)? else {
            return Ok(None);
        };
        Ok(Some(Place {
            what: What::Order(cause(&reader, &directory, &shown)),
            shown,
        }))
    }

    /// The reader of the directory whose order is enough: by its program, then by itself.
    fn reader(
        &self,
        target: &Target,
        directory: &PathBuf,
        shown: Rc<Glimpse>,
    ) -> Result<Option<(Process, Rc<Glimpse>)>, Open> {
        let readers = readers(&shown.lines, directory);
        let programs: BTreeSet<&String> = readers.iter().map(|p| &p.executable).collect();
        let programs: Vec<String> = programs.into_iter().cloned().collect();
        let scope = |programs: &[String], processes| Scope {
            programs: programs.to_vec(),
            processes,
            ..of_directories(std::slice::from_ref(directory))
        };
        let mut shown = shown;
        let mut wanted = programs.first().cloned();
        if programs.len() > 1 {
            let found = self.narrow(target, &programs, |_| 1, |some| scope(some, Chosen::All))?;
            let Some((program, by)) = found else {
                return Ok(None);
            };
            (wanted, shown) = (Some(program), by);
        }
        let same: Vec<Process> = readers
            .into_iter()
            .filter(|reader| Some(&reader.executable) == wanted.as_ref())
            .collect();
        if let [only] = same.as_slice() {
            return Ok(Some((only.clone(), shown)));
        }
        let names = |some: &[Process]| Chosen::Only(some.iter().map(|p| p.name).collect());
        self.narrow(target, &same, |_| 1, |some| scope(&[], names(some)))
    }
}

fn of_directories(directories: &[PathBuf]) -> Scope {
    Scope {
        directories: directories.to_vec(),
        ..Scope::default()
    }
}

/// The directories that were read, those of the build tree first.
fn directories(glimpse: &Glimpse) -> Vec<PathBuf> {
    let read = glimpse.lines.iter().filter_map(|line| match line {
        Reading::Read {
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

/// The processes that read a directory.
fn readers(lines: &[Reading], directory: &Path) -> Vec<Process> {
    let processes = processes(lines);
    let read = lines.iter().filter_map(|line| match line {
        Reading::Read {
            process,
            source: Source::Directory,
            path: Some(path),
            ..
        } if Path::new(path) == directory => processes.get(process),
        _ => None,
    });
    read.map(|process| Process::clone(process)).collect()
}

fn cause(reader: &Process, directory: &Path, shown: &Glimpse) -> Cause {
    let inside = directory.strip_prefix(&shown.directory).ok();
    let place = match inside {
        Some(path) if path.as_os_str().is_empty() => "the build directory".to_owned(),
        Some(path) => format!("{}/", path.display()),
        None => directory.display().to_string(),
    };
    let all = processes(&shown.lines);
    let words = format!(
        "{} takes the entries of {place} in the order in which the file system lists them (trial {} varied the order there alone)",
        with_callers(reader, &all),
        shown.trial.0
    );
    Cause {
        words,
        processes: chain(reader, &all),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::words::tests::process;
    use super::*;
    use crate::model::TrialId;

    fn read(process: usize, path: &str) -> Reading {
        Reading::Read {
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
            seen: BTreeMap::new(),
            lines: lines.to_vec(),
            directory: "/build/x".into(),
        };
        let expected = ["/build/x", "/build/x/src", "/usr/include"].map(PathBuf::from);
        assert_eq!(directories(&glimpse), expected);
        let readers = readers(&lines, Path::new("/build/x/src"));
        assert_eq!(
            cause(&readers[0], Path::new("/build/x/src"), &glimpse).words,
            "`tar czf ../x.tar.gz .`, called by `make dist`, takes the entries of src/ in the order \
             in which the file system lists them (trial 7 varied the order there alone)"
        );
    }
}
