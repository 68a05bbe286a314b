//! Which files a build leaves but does not deliver: the patterns of `intermediates.txt`.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::Error;
use super::select::glob_error;

const PATTERNS: &str = include_str!("intermediates.txt");

/// The compiled patterns.
pub(super) struct Intermediates {
    paths: GlobSet,
}

impl Intermediates {
    /// Compiles the shipped patterns.
    pub(super) fn new() -> Result<Self, Error> {
        Self::compile().map_err(|error| glob_error("intermediates.txt", &error))
    }

    fn compile() -> Result<Self, globset::Error> {
        let mut paths = GlobSetBuilder::new();
        for line in PATTERNS.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pattern = match line.strip_suffix('/') {
                // The directory itself and everything below it.
                Some(directory) => format!("**/{directory}{{,/**}}"),
                None => format!("**/{line}"),
            };
            let glob = GlobBuilder::new(&pattern)
                .literal_separator(true)
                .empty_alternates(true)
                .build()?;
            paths.add(glob);
        }
        Ok(Self {
            paths: paths.build()?,
        })
    }

    /// Whether `relative`, a path below the build directory, is one.
    pub(super) fn contains(&self, relative: &Path) -> bool {
        self.paths.is_match(relative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_hits_what_it_means() {
        let intermediates = Intermediates::new().unwrap();
        for path in [
            "a.o",
            "src/a.o",
            "config.log",
            "__pycache__",
            "x/__pycache__/y.cpython-311.pyc",
            ".git/index",
            "target/release/deps/libx.rlib",
            "target/x86_64-unknown-linux-musl/release/incremental/x",
            "node_modules/.cache/a/b",
            "sub/.libs/libx.so",
        ] {
            assert!(intermediates.contains(Path::new(path)), "{path}");
        }
        for path in [
            "out/hello",
            "dist/x.tar.gz",
            "deps/readme",
            "target/release/tool",
            "foo.d/bar",
            "git/index",
        ] {
            assert!(!intermediates.contains(Path::new(path)), "{path}");
        }
    }
}
