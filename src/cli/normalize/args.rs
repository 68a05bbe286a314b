//! The options of `reprobe normalize`, and its help.

#![expect(
    clippy::doc_markdown,
    reason = "help texts are shown as they stand, names of variables without backticks"
)]

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::normalize::{Class, Pass};

/// Bring archives and compressed files into one canonical form.
///
/// What is packed stays as it is; the time of packing, the order of the disk, the owner, the umask
/// and the compressor no longer show. Two builds whose archives differ in nothing else become one
/// file, with one hash. Read are tar, gzip, xz, zstd, bzip2, zip (jar, wheel), ar, deb and cpio.
///
/// Each file is replaced in one step, after the result was read back and found to hold the same. A
/// file that is signed, or that may be understood in two ways, is refused and left as it is.
#[derive(Debug, Args)]
#[command(
    override_usage = "reprobe normalize [OPTIONS] FILE...\n       reprobe normalize [OPTIONS] -o GLOB -- COMMAND...",
    after_help = "Run 'reprobe normalize --help' for examples, defaults and exit codes.",
    after_long_help = HELP
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch of the command line"
)]
pub struct NormalizeArgs {
    /// The files
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Run this first, and take what it made: one word is a shell line, several are a program and
    /// its arguments
    ///
    /// It runs as it stands, outside of any sandbox, with your environment. Of what -o names, the
    /// files that it created or changed are brought into the canonical form.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,

    /// Write the result there and leave FILE as it is; with COMMAND, what it makes (repeatable)
    ///
    /// Patterns are relative to the current directory; `*` stays within a directory, `**` does not.
    #[arg(short, long = "output", value_name = "FILE|GLOB")]
    pub outputs: Vec<String>,

    /// Write the results into this directory, under the names of the files
    #[arg(long, value_name = "DIR", conflicts_with_all = ["outputs", "command"])]
    pub output_dir: Option<PathBuf>,

    /// Write the result to standard output
    #[arg(long, conflicts_with_all = ["outputs", "output_dir", "command", "check"])]
    pub stdout: bool,

    /// Change nothing: is each file canonical? Exit code 0 if so, 1 if not
    ///
    /// Without --mtime and SOURCE_DATE_EPOCH any time will do that all members share; it is printed.
    #[arg(long, conflicts_with_all = ["outputs", "output_dir", "command"])]
    pub check: bool,

    /// Say what each pass changed, and what should be known
    #[arg(long)]
    pub list: bool,

    /// The time of all members, in seconds since 1970: 1700000000 or @1700000000
    ///
    /// Without it that of SOURCE_DATE_EPOCH, else 315576060, which is 1980-01-01 12:01:00 UTC.
    #[arg(long, value_name = "TIME", value_parser = seconds, allow_negative_numbers = true)]
    pub mtime: Option<i64>,

    /// What the archive is for: `exchange` or `system`
    ///
    /// In an exchange archive (release tarball, sdist, wheel, jar) owners become 0 and modes 755
    /// or 644, by what is executable. In a system image (deb, initramfs, root file system) both are
    /// content, and stay. Of a tar what it holds decides, and where that may be either it is refused.
    #[arg(long, value_name = "CLASS")]
    pub class: Option<ClassName>,

    /// Leave this as it is: time, order, owner, mode, extra, compression (a comma-separated list)
    ///
    /// `compression` is for zip files only: what they hold keeps its compressed bytes.
    #[arg(long, value_name = "PASS", value_delimiter = ',', value_parser = pass)]
    pub keep: Vec<Pass>,

    /// Work on more than two million members, and on what looks like a bomb
    #[arg(long)]
    pub large: bool,
}

/// The names of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClassName {
    /// Owners and modes are accidents.
    Exchange,
    /// Owners and modes are content.
    System,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Exchange => Self::Exchange,
            ClassName::System => Self::System,
        }
    }
}

/// Seconds since 1970.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix('@').unwrap_or(text);
    let seconds: Option<i64> = digits.parse().ok();
    seconds
        .filter(|seconds| *seconds >= 0 && !digits.starts_with('+'))
        .ok_or_else(|| "expected whole seconds since 1970, from 0 on".to_owned())
}

fn pass(text: &str) -> Result<Pass, String> {
    let mut passes = Pass::ALL.into_iter().filter(|pass| pass.can_be_kept());
    passes
        .find(|pass| pass.name() == text)
        .ok_or_else(|| "expected one of time, order, owner, mode, extra, compression".to_owned())
}

const HELP: &str = "\
Examples:
  reprobe normalize dist/*.tar.gz
      In place.
  reprobe normalize -o 'dist/*' -- python3 -m build
      What this command makes.
  reprobe normalize --check --list dist/*
      What is not canonical, and in what.
  reprobe normalize --output-dir {dest_dir} {wheel}
      A repair command for wheels (cibuildwheel).

Exit codes:
    0  done; with --check: every file is canonical
    1  with --check: some file is not
    2  refused, unreadable, or a wrong command line; refused files are untouched
  125  reading or writing failed, or COMMAND made nothing that -o names
  that of COMMAND, where it fails

The form has a number (--list shows it): another version of a compressor would make other bytes.
docs/normalize.md says what is written for each format, and what is refused.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_from_zero_on() {
        assert_eq!(seconds("0"), Ok(0));
        assert_eq!(seconds("@1700000000"), Ok(1_700_000_000));
        for wrong in ["", "-1", "+1", "1.5", "now", "@", "99999999999999999999"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn passes_that_cannot_be_kept_are_no_words() {
        assert_eq!(pass("order"), Ok(Pass::Order));
        assert!(pass("links").is_err() && pass("form").is_err() && pass("").is_err());
    }
}
