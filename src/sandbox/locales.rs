//! Locales that the host has in source only, compiled once per session and shown to a trial through
//! `LOCPATH` (locale(7)).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::error::Error;
use super::scratch::remove_tree;
use crate::model::Locale;

/// The compiled locales of a session.
#[derive(Debug)]
pub(super) struct Locales {
    dir: PathBuf,
    // Two trials must not compile the same at once.
    lock: Mutex<()>,
}

impl Locales {
    pub(super) fn new(scratch: &Path) -> Self {
        Self {
            dir: scratch.join("locales"),
            lock: Mutex::new(()),
        }
    }

    /// The directory for `LOCPATH`, if this locale needs one.
    pub(super) fn provide(&self, locale: &Locale) -> Result<Option<PathBuf>, Error> {
        let Some((source, charmap)) = &locale.compile else {
            return Ok(None);
        };
        let name = [&locale.lc_all, &locale.lang]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or(source);
        let _alone = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = self.dir.join(name);
        if !compiled.join("LC_COLLATE").exists() {
            fs::create_dir_all(&self.dir).map_err(Error::file("make", &self.dir))?;
            compile(source, charmap, &compiled)?;
        }
        Ok(Some(self.dir.clone()))
    }
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
    if to.join("LC_COLLATE").exists() {
        return Ok(());
    }
    // A half of a locale must not be taken for one.
    let _ = remove_tree(to);
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it made no locale");
    Err(failed(format!("{source} in {charmap}: {first}")))
}
