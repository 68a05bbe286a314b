//! Locales that the host has in source only, compiled once and shown to a trial through `LOCPATH`
//! (locale(7)). Compiling one takes longer than many a build, so they are kept for later sessions.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::error::Error;
use super::host::sorted_names;
use super::scratch::remove_tree;
use super::source::settle;
use crate::model::Locale;

/// The part that is looked for: without it there is no locale.
const COLLATION: &str = "LC_COLLATE";
/// Where glibc keeps the sources of locales.
const SOURCES: &str = "/usr/share/i18n/locales";

/// The compiled locales of a session.
#[derive(Debug)]
pub(super) struct Locales {
    dir: PathBuf,
    /// Those of earlier sessions, for the same sources and the same library.
    cache: Option<PathBuf>,
    // Two trials must not compile the same at once.
    lock: Mutex<()>,
}

impl Locales {
    pub(super) fn new(scratch: &Path, cache: Option<&Path>) -> Self {
        Self {
            dir: scratch.join("locales"),
            cache: cache.map(|cache| cache.join("locales")),
            lock: Mutex::new(()),
        }
    }

    /// The directory for `LOCPATH`, if this locale needs one.
    pub(super) fn provide(&self, locale: &Locale) -> Result<Option<PathBuf>, Error> {
        let Some((source, charmap)) = &locale.compile else {
            return Ok(None);
        };
        // Where only a category of it is used, the others name another locale.
        let category = format!("{source}.{charmap}");
        let name = [&locale.lc_all, &locale.lang]
            .into_iter()
            .find(|name| name.starts_with(source.as_str()))
            .unwrap_or(&category);
        let _alone = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = self.dir.join(name);
        if !compiled.join(COLLATION).exists() {
            fs::create_dir_all(&self.dir).map_err(Error::file("make", &self.dir))?;
            let kept = self.kept(source, charmap);
            let found = kept.as_ref().filter(|kept| kept.join(COLLATION).exists());
            if let Some(found) = found {
                copy(found, &compiled).map_err(Error::file("copy", found))?;
            } else {
                compile(source, charmap, &compiled)?;
                if let Some(kept) = kept {
                    // Without a cache the next session compiles again.
                    let _ = keep(&compiled, &kept);
                }
            }
            settle();
        }
        Ok(Some(self.dir.clone()))
    }

    /// Where a locale is kept: an update of its sources or of the C library leads to another place.
    fn kept(&self, source: &str, charmap: &str) -> Option<PathBuf> {
        let mut key = String::new();
        for part in [
            Path::new(SOURCES).join(source),
            PathBuf::from(SOURCES),
            PathBuf::from("/usr/bin/localedef"),
        ] {
            let metadata = part.metadata().ok()?;
            write!(key, "{:x}-{:x}-", metadata.mtime(), metadata.len()).ok()?;
        }
        Some(
            self.cache
                .as_ref()?
                .join(format!("{key}{source}.{charmap}")),
        )
    }
}

/// Keeps a compiled locale, all of it or nothing.
fn keep(compiled: &Path, kept: &Path) -> io::Result<()> {
    let place = kept.parent().unwrap_or(kept);
    fs::create_dir_all(place)?;
    let new = tempfile::tempdir_in(place)?;
    let whole = new.path().join("whole");
    copy(compiled, &whole)?;
    // Another session may have been faster.
    fs::rename(whole, kept)
}

/// Copies a compiled locale: files, and one level of directories.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, Permissions::from_mode(0o755))?;
    for name in sorted_names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(from, to)?;
        }
    }
    Ok(())
}

/// `localedef` ends with 1 where it warned, and warns of most locales: what counts is whether the
/// locale is there.
fn compile(source: &str, charmap: &str, to: &Path) -> Result<(), Error> {
    let failed = |message: String| Error::Program {
        program: "localedef",
        message,
    };
    let output = Command::new("localedef")
        .args(["--quiet", "--force", "-i", source, "-f", charmap])
        .arg(to)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if to.join(COLLATION).exists() {
        return Ok(());
    }
    // A half of a locale must not be taken for one.
    let _ = remove_tree(to);
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it made no locale");
    Err(failed(format!("{source} in {charmap}: {first}")))
}
