//! Whether a source tree holds files that are made from others of it, with times that a checkout or a
//! copy gave them: which of the two is newer is an accident then, and decides whether the build makes
//! the one anew. What was unpacked with the times of its author (whole seconds, unlike those that the
//! kernel gives) keeps their order everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::snapshot::walk;

/// So many entries of the tree are looked at.
const MOST_ENTRIES: usize = 20_000;
/// Longer files are not read.
const LONGEST: u64 = 1 << 18;
/// Where version control keeps its own.
const VERSION_CONTROL: [&str; 8] = [
    ".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS", ".pijul",
];
/// Directories that are not looked into besides.
const PASSED_OVER: [&str; 3] = ["node_modules", "target", "__pycache__"];
/// What is usually made from what, by the ends of their names; a `/` stands for a whole name.
const MADE_FROM: [(&str, &str); 26] = [
    ("/configure", "/configure.ac"),
    ("/configure", "/configure.in"),
    ("/aclocal.m4", "/configure.ac"),
    ("/config.h.in", "/configure.ac"),
    ("/Makefile.in", "/Makefile.am"),
    (".c", ".y"),
    (".tab.c", ".y"),
    (".c", ".l"),
    (".cc", ".yy"),
    (".cpp", ".ypp"),
    (".c", ".pyx"),
    (".cpp", ".pyx"),
    (".c", ".rl"),
    (".c", ".re"),
    (".c", ".vala"),
    (".c", ".gperf"),
    (".info", ".texi"),
    (".info", ".texinfo"),
    (".1", ".pod"),
    (".1", ".md"),
    (".1", ".rst"),
    (".1", ".txt"),
    (".mo", ".po"),
    (".gmo", ".po"),
    (".pb.go", ".proto"),
    ("_pb2.py", ".proto"),
];
/// Words of scripts that compare the times of files.
const COMPARES: [&str; 7] = [
    " -nt ",
    " -ot ",
    " -newer ",
    "getmtime(",
    ".st_mtime",
    "mtimeMs",
    "File.mtime(",
];

/// Whether the order of the times in the tree may decide what the build makes.
pub(super) fn holds(source: &Path, command: &[String]) -> bool {
    let controlled = source.ancestors().any(|directory| {
        let mut names = VERSION_CONTROL.iter();
        names.any(|name| directory.join(name).exists())
    });
    let mut tree = Tree {
        controlled,
        left: MOST_ENTRIES,
    };
    let compares = command.iter().any(|word| compares(word));
    tree.search(source, compares)
}

struct Tree {
    /// A checkout, whatever the times look like.
    controlled: bool,
    /// Entries that may still be looked at.
    left: usize,
}

impl Tree {
    fn search(&mut self, directory: &Path, compares: bool) -> bool {
        let Ok(entries) = walk::sorted_entries(directory) else {
            return false;
        };
        let entries = entries.into_iter().take(self.left);
        let paths: Vec<PathBuf> = entries.map(|entry| entry.path).collect();
        self.left = self.left.saturating_sub(paths.len());
        let files: Vec<&PathBuf> = paths.iter().filter(|path| is_file(path)).collect();
        let scripts = files.iter().filter(|path| may_compare(path));
        let compares = compares
            || scripts
                .map(|path| text(path))
                .any(|text| self::compares(&text));
        let pairs = || {
            let neighbours = files.windows(2);
            neighbours.filter_map(|pair| Some((*pair.first()?, *pair.last()?)))
        };
        if compares && pairs().any(|(a, b)| self.accidental(a, b)) {
            return true;
        }
        if files.iter().any(|path| self.is_made(path)) || self.has_rule(directory, &files) {
            return true;
        }
        let directories = paths.iter().filter(|path| is_directory(path));
        let directories: Vec<PathBuf> = directories.cloned().collect();
        directories
            .iter()
            .any(|path| self.left > 0 && self.search(path, compares))
    }

    /// Whether a file and what it is usually made from both stand there.
    fn is_made(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return false;
        };
        let mut from = MADE_FROM.iter().filter_map(|(made, from)| {
            let whole = made.strip_prefix('/').zip(from.strip_prefix('/'));
            match whole {
                Some((made, from)) => (name == made).then(|| from.to_owned()),
                None => Some(format!("{}{from}", name.strip_suffix(made)?)),
            }
        });
        from.any(|from| self.accidental(path, &path.with_file_name(from)))
    }

    /// Whether a rule of a makefile makes a file of the source from another one.
    fn has_rule(&self, directory: &Path, files: &[&PathBuf]) -> bool {
        let makefiles = files.iter().filter(|path| is_makefile(path));
        makefiles.map(|path| text(path)).any(|text| {
            let mut rules = rules(&text).into_iter();
            rules.any(|(target, from)| self.applies(directory, files, &target, &from))
        })
    }

    fn applies(&self, directory: &Path, files: &[&PathBuf], target: &str, from: &str) -> bool {
        let Some((before, after)) = target.split_once('%') else {
            return self.accidental(&directory.join(target), &directory.join(from));
        };
        files.iter().any(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let stem = name
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after));
            stem.is_some_and(|stem| {
                self.accidental(path, &directory.join(from.replacen('%', stem, 1)))
            })
        })
    }

    /// Whether both are files of which one is newer, and that is nobody's choice.
    fn accidental(&self, one: &Path, other: &Path) -> bool {
        let time = |path: &Path| {
            let metadata = path.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.mtime(), metadata.mtime_nsec()))
        };
        let (Some(one), Some(other)) = (time(one), time(other)) else {
            return false;
        };
        one != other && (self.controlled || (one.1 != 0 && other.1 != 0))
    }
}

fn is_file(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file())
}

fn is_directory(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let passed_over = VERSION_CONTROL.contains(&name) || PASSED_OVER.contains(&name);
    !passed_over
        && path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
}

fn is_makefile(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let plain = [
        "Makefile",
        "makefile",
        "GNUmakefile",
        "Makefile.am",
        "Makefile.in",
    ];
    plain.contains(&name) || path.extension().is_some_and(|extension| extension == "mk")
}

/// Scripts and makefiles, by their names.
fn may_compare(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let known = ["sh", "bash", "py", "pl", "rb", "js", "mjs", "cjs", "mk"];
    extension.is_none_or(|extension| known.contains(&extension)) || is_makefile(path)
}

fn compares(text: &str) -> bool {
    COMPARES.iter().any(|word| text.contains(word))
}

/// The text of a file; nothing where it is long or cannot be read.
fn text(path: &Path) -> String {
    let short = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.len() <= LONGEST);
    let bytes = short.then(|| fs::read(path).ok()).flatten();
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// What a makefile makes from what, with simple variables put in; `%` stands for any name.
fn rules(text: &str) -> Vec<(String, String)> {
    let mut variables: BTreeMap<&str, &str> = BTreeMap::new();
    let joined = text.replace("\\\n", " ");
    let mut rules = Vec::new();
    for line in joined.lines().filter(|line| !line.starts_with(['\t', '#'])) {
        let line = line.split(" #").next().unwrap_or_default();
        let assigned = line
            .split_once('=')
            .filter(|(name, _)| !name.trim_end_matches([':', '?', '+']).contains(':'));
        if let Some((name, value)) = assigned {
            let name = name.trim_end_matches([':', '?', '+', ' ', '\t']).trim();
            variables.insert(name, value.trim());
            continue;
        }
        let Some((targets, from)) = line.split_once(':') else {
            continue;
        };
        let from = from
            .split(';')
            .next()
            .unwrap_or_default()
            .trim_start_matches(':');
        let (targets, from) = (expand(targets, &variables), expand(from, &variables));
        for target in targets.split_whitespace() {
            if let Some((from, made)) = suffixes(target) {
                rules.push((format!("%{made}"), format!("%{from}")));
            }
            let from = from.split_whitespace().filter(|from| *from != "|");
            rules.extend(from.map(|from| (target.to_owned(), from.to_owned())));
        }
    }
    rules
}

/// `.y.c` is a rule that makes `%.c` from `%.y`.
fn suffixes(target: &str) -> Option<(&str, &str)> {
    let at = target.strip_prefix('.')?.find('.')? + 1;
    let (from, made) = target.split_at(at);
    (!made.get(1..)?.contains(['.', '/'])).then_some((from, made))
}

/// Puts variables in their places, a few levels deep.
fn expand(text: &str, variables: &BTreeMap<&str, &str>) -> String {
    let mut text = text.to_owned();
    for _ in 0..3 {
        if !text.contains('$') {
            break;
        }
        for (name, value) in variables {
            for form in [format!("$({name})"), format!("${{{name}}}")] {
                text = text.replace(&form, value);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn tree(files: &[(&str, &str, u64)]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (name, text, nanoseconds) in files {
            let path = tree.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(*nanoseconds);
            fs::File::open(&path).unwrap().set_modified(time).unwrap();
        }
        tree
    }

    const A: u64 = 1_500_000_000_100_000_001;
    const B: u64 = 1_500_000_000_300_000_001;
    const WHOLE: u64 = 1_400_000_000_000_000_000;

    #[test]
    fn a_rule_between_two_files_of_a_checkout_is_seen() {
        for makefile in [
            "b: a\n\tcp a b\n",
            "OUT = b\n$(OUT): a\n\tcp a b\n",
            "b: \\\n a\n\tcp a b\n",
            "all: b\nb: x | a\n",
        ] {
            let tree = tree(&[("Makefile", makefile, B), ("a", "1", A), ("b", "1", B)]);
            assert!(holds(tree.path(), &[]), "{makefile}");
        }
        let patterns = ["%.c: %.y\n\tyacc $<\n", ".y.c:\n\tyacc $<\n", "all:\n"];
        for makefile in patterns {
            let tree = tree(&[
                ("s/Makefile", makefile, B),
                ("s/p.y", "", A),
                ("s/p.c", "", B),
            ]);
            assert!(holds(tree.path(), &[]), "{makefile}");
        }
        let script = "[ b -nt a ] || cp a b";
        let tree = tree(&[("a", "1", A), ("b", "1", B)]);
        assert!(holds(tree.path(), &["sh".into(), script.into()]));
    }

    #[test]
    fn times_that_an_archive_kept_are_the_authors() {
        let files = [
            ("Makefile", "b: a\n", B),
            ("a", "", WHOLE),
            ("b", "", WHOLE + 5_000_000_000),
        ];
        let release = tree(&files);
        assert!(!holds(release.path(), &[]));
        fs::create_dir(release.path().join(".git")).unwrap();
        assert!(holds(release.path(), &[]));
    }

    #[test]
    fn nothing_is_made_from_nothing() {
        let plain = tree(&[
            ("Makefile", "out: a\n\tcp a out\nCC := gcc\n", A),
            ("a", "", B),
        ]);
        assert!(!holds(plain.path(), &["make".into()]));
    }
}
