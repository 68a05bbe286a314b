//! Which of the paths that a build created or changed are outputs, how they are called, and which
//! of them decide.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::Error;
use super::intermediates::Intermediates;
use super::walk::sorted_entries;
use crate::model::{OutputSelection, escape_name};

/// How many near misses are worth naming.
const NEAR_MISSES: usize = 5;
/// How many entries of the source are looked at for them.
const LOOKED_AT: usize = 100_000;

/// The rule that a selection stands for.
pub(super) enum Selection {
    /// Everything below the build directory, and the files right beside it, where these count.
    Tree(Intermediates, bool),
    /// What these match.
    Globs(Vec<Pattern>),
}

/// A glob, absolute in the trial's view.
pub(super) struct Pattern {
    /// As the user wrote it.
    written: String,
    /// How outputs outside of the build directory are named: absolute, or from the build directory.
    absolute: bool,
    /// The directory above its first part that is not literal.
    base: PathBuf,
    matcher: GlobMatcher,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selected {
    /// Its name in the snapshot.
    pub(super) name: String,
    /// Where it stands in the trial's view.
    pub(super) path: PathBuf,
    /// Where a kept copy goes, relative to the directory for them.
    pub(super) kept: PathBuf,
    /// Whether it decides the verdict.
    pub(super) decides: bool,
}

impl Selection {
    pub(super) fn new(outputs: &OutputSelection, build_dir: &Path) -> Result<Self, Error> {
        match outputs {
            OutputSelection::Tree => Ok(Self::Tree(Intermediates::new()?, false)),
            OutputSelection::TreeAndBeside => Ok(Self::Tree(Intermediates::new()?, true)),
            OutputSelection::Globs { patterns } => patterns
                .iter()
                .map(|pattern| Pattern::new(pattern, build_dir))
                .collect::<Result<_, _>>()
                .map(Self::Globs),
        }
    }

    /// What `path`, created or changed by the build, is as an output.
    pub(super) fn select(&self, path: &Path, build_dir: &Path) -> Option<Selected> {
        let below = path.strip_prefix(build_dir).ok();
        match self {
            Self::Tree(intermediates, beside) => match below {
                Some(below) if below.as_os_str().is_empty() => None,
                Some(below) => Some(selected(path, below, !intermediates.contains(below))),
                None if *beside && stands_beside(path, build_dir) => {
                    let name = from(build_dir, path);
                    let decides = !intermediates.contains(Path::new(path.file_name()?));
                    Some(selected(path, &name, decides))
                }
                None => None,
            },
            Self::Globs(patterns) => {
                let pattern = patterns
                    .iter()
                    .find(|pattern| pattern.selects(path, build_dir))?;
                let name = match below {
                    Some(below) if below.as_os_str().is_empty() => return None,
                    Some(below) => below.to_owned(),
                    None if pattern.absolute => path.to_owned(),
                    None => from(build_dir, path),
                };
                Some(selected(path, &name, true))
            }
        }
    }

    /// The patterns that select none of `outputs`.
    pub(super) fn idle(&self, outputs: &[Selected], build_dir: &Path) -> Vec<&str> {
        let Self::Globs(patterns) = self else {
            return Vec::new();
        };
        let idle = patterns.iter().filter(|pattern| {
            !outputs
                .iter()
                .any(|output| pattern.selects(&output.path, build_dir))
        });
        idle.map(|pattern| pattern.written.as_str()).collect()
    }

    /// What the globs match on disk, whoever made it.
    pub(super) fn near_misses(&self, build_dir: &Path) -> Vec<String> {
        let Self::Globs(patterns) = self else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut left = LOOKED_AT;
        for pattern in patterns {
            pattern.search(&pattern.base, &mut left, NEAR_MISSES, &mut found);
        }
        found.sort();
        found.dedup();
        let names = found.iter().map(|path| {
            let name = path.strip_prefix(build_dir).unwrap_or(path);
            escape_name(name.as_os_str().as_bytes())
        });
        names.take(NEAR_MISSES).collect()
    }
}

impl Pattern {
    fn new(written: &str, build_dir: &Path) -> Result<Self, Error> {
        let absolute = written.starts_with('/');
        let mut parts: Vec<String> = Vec::new();
        if !absolute {
            let literal = build_dir.to_str().ok_or_else(|| Error::BuildDir {
                path: build_dir.to_owned(),
            })?;
            let literal = literal.split('/').filter(|part| !part.is_empty());
            parts.extend(literal.map(literally));
        }
        for part in written.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part.to_owned()),
            }
        }
        let literal = |part: &&String| !part.contains(['*', '?', '[', '{', '\\']);
        let base = parts.iter().take(parts.len().saturating_sub(1));
        let base = base
            .take_while(literal)
            .fold(PathBuf::from("/"), |base, part| base.join(part));
        let matcher = glob(&format!("/{}", parts.join("/")))
            .map_err(|error| glob_error(written, &error))?
            .compile_matcher();
        Ok(Self {
            written: written.to_owned(),
            absolute,
            base,
            matcher,
        })
    }

    /// Whether it matches the path, or a directory that the path is in; but a directory that the
    /// build runs in only counts where the pattern names it (`.`), so that `../*` is not everything.
    fn selects(&self, path: &Path, build_dir: &Path) -> bool {
        path.ancestors().any(|path| {
            let names_all = path == build_dir && self.is_literal(path);
            (names_all || !build_dir.starts_with(path)) && self.matcher.is_match(path)
        })
    }

    fn is_literal(&self, path: &Path) -> bool {
        let literal = path.to_str().map(literally);
        literal.is_some_and(|literal| literal == self.matcher.glob().glob())
    }

    /// Collects what it matches below `directory`: at most `most`, among as many entries as are `left`.
    fn search(&self, directory: &Path, left: &mut usize, most: usize, found: &mut Vec<PathBuf>) {
        let Ok(entries) = sorted_entries(directory) else {
            return;
        };
        for entry in entries {
            if *left == 0 || found.len() >= most {
                return;
            }
            *left -= 1;
            if self.matcher.is_match(&entry.path) {
                found.push(entry.path);
            } else if entry.kind.is_dir() {
                self.search(&entry.path, left, most, found);
            }
        }
    }
}

/// What globs match on disk, sorted; relative ones from `directory`, which is absolute.
pub fn on_disk(patterns: &[String], directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut left = usize::MAX;
    for pattern in patterns {
        let pattern = Pattern::new(pattern, directory)?;
        pattern.search(&pattern.base, &mut left, usize::MAX, &mut found);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether a path is that of a file in the directory around the build directory; what is hidden there
/// is somebody's settings.
fn stands_beside(path: &Path, build_dir: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"."));
    let is_file = || {
        path.symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file())
    };
    path.parent() == build_dir.parent() && !hidden && is_file()
}

/// A pattern that matches nothing but this text: `globset::escape` leaves backslashes as they are.
fn literally(text: &str) -> String {
    globset::escape(text).replace('\\', "\\\\")
}

/// A glob in which `*` stays within a name and `**` does not.
fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
}

pub(super) fn glob_error(pattern: &str, error: &globset::Error) -> Error {
    Error::Pattern {
        pattern: pattern.to_owned(),
        reason: error.kind().to_string(),
    }
}

fn selected(path: &Path, name: &Path, decides: bool) -> Selected {
    Selected {
        name: escape_name(name.as_os_str().as_bytes()),
        path: path.to_owned(),
        kept: kept_as(name),
        decides,
    }
}

/// `path` as seen from `directory`, through `..` where it is not below.
pub(super) fn from(directory: &Path, path: &Path) -> PathBuf {
    let common = directory
        .components()
        .zip(path.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = directory
        .components()
        .skip(common)
        .map(|_| OsStr::new(".."));
    let down = path.components().skip(common).map(Component::as_os_str);
    up.chain(down).collect()
}

/// Where a copy of the output `name` goes: never outside of the directory for copies.
pub fn kept_as(name: &Path) -> PathBuf {
    name.components()
        .filter_map(|component| match component {
            Component::Normal(part) => Some(part),
            Component::ParentDir => Some(OsStr::new("__up__")),
            Component::RootDir => Some(OsStr::new("__root__")),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str], paths: &[&str]) -> Vec<String> {
        let build_dir = Path::new("/build/x[1]");
        let outputs = OutputSelection::Globs {
            patterns: patterns.iter().map(ToString::to_string).collect(),
        };
        let selection = Selection::new(&outputs, build_dir).unwrap();
        let selected = paths
            .iter()
            .filter_map(|path| selection.select(Path::new(path), build_dir));
        selected.map(|selected| selected.name).collect()
    }

    #[test]
    fn globs_are_relative_to_the_build_directory_and_may_leave_it() {
        let paths = [
            "/build/x[1]/dist/a.whl",
            "/build/x[1]/b.whl",
            "/build/hello.deb",
            "/opt/out/c",
        ];
        assert_eq!(names(&["dist/*"], &paths), ["dist/a.whl"]);
        assert_eq!(names(&["**/*.whl"], &paths), ["dist/a.whl", "b.whl"]);
        assert_eq!(names(&["*.whl"], &paths), ["b.whl"]);
        assert_eq!(names(&["../*.deb"], &paths), ["../hello.deb"]);
        assert_eq!(names(&["/opt/out/*"], &paths), ["/opt/out/c"]);
        assert_eq!(names(&["../*"], &paths), ["../hello.deb"]);
    }

    #[test]
    fn the_build_directory_may_hold_any_characters() {
        for name in [
            "back\\slash",
            "a\\",
            "{a,b}",
            "[!x]",
            "*",
            "**",
            "?",
            "a]b",
            "\\[",
            "!",
        ] {
            let build_dir = Path::new("/build").join(name);
            for pattern in ["dist/*", "./dist/x", "."] {
                let outputs = OutputSelection::Globs {
                    patterns: vec![pattern.to_owned()],
                };
                let selection = Selection::new(&outputs, &build_dir).unwrap();
                let selected = selection.select(&build_dir.join("dist/x"), &build_dir);
                assert_eq!(selected.unwrap().name, "dist/x", "{name} {pattern}");
                let other = selection.select(Path::new("/build/other/dist/x"), &build_dir);
                assert_eq!(other, None, "{name} {pattern}");
            }
        }
    }

    #[test]
    fn a_glob_that_names_a_directory_takes_everything_in_it() {
        let paths = ["/build/x[1]/dist", "/build/x[1]/dist/d/e", "/build/x[1]/f"];
        for pattern in ["dist", "dist/", "./dist/", "d?st", "dist/**"] {
            assert!(
                names(&[pattern], &paths).contains(&"dist/d/e".to_owned()),
                "{pattern}"
            );
        }
        assert_eq!(names(&["."], &paths), ["dist", "dist/d/e", "f"]);
    }

    #[test]
    fn copies_never_leave_their_directory() {
        assert_eq!(
            kept_as(Path::new("../a/../b")),
            Path::new("__up__/a/__up__/b")
        );
        assert_eq!(kept_as(Path::new("/etc/x")), Path::new("__root__/etc/x"));
    }

    #[test]
    fn a_broken_glob_is_an_error_that_names_it() {
        let outputs = OutputSelection::Globs {
            patterns: vec!["a[".to_owned()],
        };
        let error = Selection::new(&outputs, Path::new("/b")).err().unwrap();
        assert!(error.to_string().contains("a["), "{error}");
    }
}
