//! Where a build stands in the trial's view: its directory, and which paths cannot be it.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::host::OWN;
use crate::model::Environment;

/// The build directory in the trial's view.
pub(super) fn build_directory(environment: &Environment, source: &Path) -> Result<PathBuf, Error> {
    let path = &environment.build_path;
    let leaf = match &path.leaf {
        Some(leaf) => leaf.clone().into(),
        None => source
            .file_name()
            .ok_or_else(|| Error::Unusable("the source is /: give a directory below".into()))?
            .to_owned(),
    };
    Ok(path.parent.join(leaf))
}

/// Whether a build can stand there, with this home.
pub(super) fn check(directory: &Path, home: &Path) -> Result<(), Error> {
    let unusable = |text: String| Err(Error::Unusable(text));
    for path in [directory, home] {
        let absolute = path.is_absolute() && path.to_str().is_some();
        if !absolute || path.components().any(|part| part.as_os_str() == "..") {
            return unusable(format!(
                "{} cannot be a path of a trial: it must be absolute, UTF-8 and without ..",
                path.display()
            ));
        }
    }
    if home.starts_with(directory) || directory.starts_with(home) {
        return unusable(format!(
            "the home {} and the build path {} lie inside each other: choose another build path",
            home.display(),
            directory.display()
        ));
    }
    for path in [directory, home] {
        let first = OWN.iter().take(3).any(|own| path.starts_with(own));
        if first || path == Path::new("/") || path == Path::new("/tmp") {
            return unusable(format!("{} cannot be replaced in a trial", path.display()));
        }
    }
    Ok(())
}
