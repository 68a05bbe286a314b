//! What several commands read before they start: the source directory, the catalogue with the
//! user's own variations, the moment, and a seed.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::config;
use super::exit::Failure;
use super::screen::say;
use crate::catalog::Catalog;
use crate::model::{Build, Capabilities, escape_bytes};
use crate::plan;
use crate::sandbox::{self, Limits, SessionOptions};
use crate::store::{self, Recorded, Start, Which};

/// The source directory, absolute and without links.
pub(super) fn source(directory: &Path) -> Result<PathBuf, Failure> {
    let shown = escape_bytes(directory.as_os_str().as_encoded_bytes());
    let found = directory
        .canonicalize()
        .map_err(|error| Failure::usage(&format!("find the source directory {shown}: {error}")))?;
    if found.is_dir() {
        Ok(found)
    } else {
        let unpack = unpacking(directory);
        Err(Failure::usage(&format!(
            "{shown} is not a directory; {unpack}"
        )))
    }
}

/// How a directory comes of a file that was named in its place.
fn unpacking(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let suffixes: Vec<&str> = name.split('.').skip(1).collect();
    let file = quoted(file);
    let with = if suffixes.ends_with(&["dsc"]) {
        "dpkg-source -x FILE DIR"
    } else if suffixes.contains(&"tar") || suffixes.ends_with(&["tgz"]) {
        "mkdir DIR && tar xf FILE -C DIR --strip-components=1"
    } else if suffixes.ends_with(&["zip"]) || suffixes.ends_with(&["whl"]) {
        "unzip FILE -d DIR"
    } else {
        return "to build something, put the command after --".to_owned();
    };
    format!(
        "unpack it first: {} && reprobe check DIR",
        with.replace("FILE", &file)
    )
}

/// Where variations of the user's own are read from: the directories that are named, and
/// `variations/` beside `reprobe.toml`.
pub(super) fn variation_directories(named: &[PathBuf], source: &Path) -> Vec<PathBuf> {
    let mut directories = named.to_vec();
    let beside = source.join("variations");
    if source.join(config::FILE).is_file() && beside.is_dir() {
        directories.push(beside);
    }
    directories
}

/// The shipped variations and those of the files in `directories`.
pub(super) fn catalog(directories: &[PathBuf]) -> Result<Catalog, Failure> {
    let mut files = Vec::new();
    for directory in directories {
        files.extend(
            config::variation_files(directory).map_err(|error| Failure::undecided(&error))?,
        );
    }
    Catalog::with_own(&files).map_err(|error| Failure::undecided(&error))
}

/// Where the caller keeps state, and in it the sessions; none where he has no place for it.
fn sessions() -> Option<PathBuf> {
    Some(own_place("XDG_STATE_HOME", ".local/state")?.join("reprobe"))
}

/// Where what can be made again is kept: outside of the source, which must not change.
fn cache(source: &Path) -> Option<PathBuf> {
    let cache = own_place("XDG_CACHE_HOME", ".cache")?.join("reprobe");
    (!cache.starts_with(source)).then_some(cache)
}

/// A directory of the caller: where the variable leads, or below his home.
fn own_place(variable: &str, below_home: &str) -> Option<PathBuf> {
    let of = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    of(variable).or_else(|| Some(of("HOME")?.join(below_home)))
}

/// A directory for the journal of this session and the logs of its failed builds; none where there
/// is no place for it outside of the source, which must not change.
pub(super) fn session_directory(source: &Path) -> Option<PathBuf> {
    let root = sessions()?;
    if root.starts_with(source) {
        return None;
    }
    let (directory, pruned) = store::create(&root, now()).ok()?;
    if !pruned.is_empty() {
        say(&format!("reprobe: {pruned}"));
    }
    Some(directory)
}

/// An earlier session: its number, its directory, and what its journal tells.
pub(super) fn session(which: Which<'_>) -> Result<(u64, PathBuf, Recorded), Failure> {
    let root = sessions().ok_or_else(|| {
        Failure::undecided("neither XDG_STATE_HOME nor HOME says where sessions are kept")
    })?;
    let fail = |error: store::Error| Failure::undecided(&error);
    let (number, directory) = store::find(&root, which).map_err(fail)?;
    let recorded = store::recorded(&directory.join("journal")).map_err(fail)?;
    Ok((number, directory, recorded))
}

/// What the source tree looks like, in short.
pub(super) fn fingerprint(source: &Path) -> Result<String, Failure> {
    sandbox::SourceFingerprint::of(source)
        .map(|found| found.digest())
        .map_err(|error| Failure::undecided(&error))
}

/// The build of an earlier session, with the values of the variables that were passed on to it.
pub(super) fn build_of(start: &Start) -> Result<Build, Failure> {
    let mut build = start.build.clone();
    build.source.clone_from(&start.source);
    for (name, digest) in &start.passed {
        match std::env::var(name) {
            Ok(value) if sandbox::fingerprint(&value) == *digest => {
                build.variables.insert(name.clone(), value);
            }
            _ => {
                return Err(Failure::undecided(&format!(
                    "{name} was passed on with another value than it has here; set it as it was"
                )));
            }
        }
    }
    Ok(build)
}

/// The moment: whole seconds since 1970 (UTC), rounded down.
pub(super) fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the command line reads the clock; the plan gets a number"
    )]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}

/// The seed that was given, or a new one: 32 bits, short enough to be typed.
pub(super) fn seed(given: Option<u64>) -> Result<u64, Failure> {
    if let Some(seed) = given {
        return Ok(seed);
    }
    let mut bytes = [0; 4];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| {
            Failure::undecided(&format!(
                "read a seed from /dev/urandom: {error}; give --seed"
            ))
        })?;
    Ok(u32::from_le_bytes(bytes).into())
}

/// A request for everything, unless the caller narrows it.
pub(super) fn request(source: &Path, seed: u64) -> plan::Request {
    // Without it, the session says why.
    let metadata = source.metadata();
    let metadata = metadata.as_ref();
    plan::Request {
        only: None,
        skip: Vec::new(),
        require: Vec::new(),
        seed,
        now: now(),
        network: false,
        clock: plan::Hold::default(),
        source_name: source.file_name().unwrap_or("source".as_ref()).to_owned(),
        // The builds of an ordinary user see all of it as his own.
        source_owner: match (Uid::effective(), metadata) {
            (user, _) if !user.is_root() => (user.as_raw(), Gid::effective().as_raw()),
            (_, metadata) => metadata.map_or((0, 0), |metadata| (metadata.uid(), metadata.gid())),
        },
        source_mode: metadata.map_or(0o755, MetadataExt::mode),
    }
}

/// What the host allows.
pub(super) fn capabilities() -> Result<Capabilities, Failure> {
    sandbox::probe(&program()?, &std::env::temp_dir()).map_err(|error| Failure::undecided(&error))
}

/// What builds are to see of the caller's home, made absolute.
pub(super) fn exposed(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let absolute = |path: &PathBuf| {
        let refuse = |why: &dyn std::fmt::Display| {
            Failure::usage(&format!("--expose {}: {why}", path.display()))
        };
        let path = std::path::absolute(path).map_err(|error| refuse(&error))?;
        path.metadata().map_err(|error| refuse(&error))?;
        let kernels = ["/dev", "/proc", "/sys"];
        if path == Path::new("/") || kernels.iter().any(|dir| path.starts_with(dir)) {
            return Err(refuse(&"every trial has these of its own"));
        }
        Ok(path)
    };
    paths.iter().map(absolute).collect()
}

/// What all trials of this source have in common.
pub(super) fn sandbox(
    source: PathBuf,
    host: &Capabilities,
    exposed: Vec<PathBuf>,
) -> Result<SessionOptions, Failure> {
    Ok(SessionOptions {
        exposed,
        scratch: std::env::temp_dir(),
        cache: cache(&source),
        source,
        capabilities: host.clone(),
        program: program()?,
        limits: Limits::default(),
        interrupt: None,
    })
}

/// The running program, which plays the roles inside the sandbox as well.
fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::undecided(&format!("find the running program: {error}")))
}

/// A path as a word of a shell's command line.
pub(super) fn quoted(path: &Path) -> String {
    let path = escape_bytes(path.as_os_str().as_encoded_bytes());
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if path.chars().all(plain) && !path.starts_with('-') {
        path
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        let word = |path: &str| quoted(Path::new(path));
        assert_eq!(word("k/0/__up__/x_1.0-1.deb"), "k/0/__up__/x_1.0-1.deb");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's $x"), "'it'\\''s $x'");
    }

    #[test]
    fn a_package_in_place_of_a_directory_is_to_be_unpacked() {
        let way = |file: &str| unpacking(Path::new(file));
        assert_eq!(
            way("a b/hello_2.10-3.dsc"),
            "unpack it first: dpkg-source -x 'a b/hello_2.10-3.dsc' DIR && reprobe check DIR"
        );
        assert!(way("six-1.16.0.tar.gz").contains("tar xf six-1.16.0.tar.gz -C DIR"));
        assert!(way("make").contains("after --"));
    }
}
