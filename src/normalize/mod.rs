//! Archives and compressed files in one canonical form: a function of names, types, contents, link
//! targets and, in system images, modes and owners. Nothing else enters: no clock, no order of a
//! directory, no version of a library.
//!
//! What is written is read back and compared with what was read before anybody replaces a file by it.
//! What is signed, indexed from outside or understood differently by different readers is refused.
//! This module opens no file: it reads and writes what it is given, and keeps what does not fit into
//! memory in spools that its caller makes.

mod ar;
mod canonical;
mod compressed;
mod context;
mod cpio;
mod deb;
mod decoders;
mod error;
mod form;
mod options;
mod packed;
mod path;
mod sorted;
mod spool;
mod tar;
mod zip;

use std::io::Read as _;

pub use error::{Error, Refusal};
pub use options::{CONSTANT, Changes, Class, FORM, LATEST, MEMBERS, Options, Pass, Report};
pub use spool::{Source, Spool, Spools, same};

use context::Context;

/// Ending of Rust's packages, whose owners are whatever the packer's machine had.
const CRATE: &str = ".crate";

/// A bomb is what unpacks to more than this ...
const UNPACKED: u64 = 1 << 30;
/// ... and to more than so many times its own size.
const RATIO: u64 = 200;

/// Writes the canonical form of `source`, a file called `name`, to the empty `out`, and reads it back.
/// What is written is what `source` holds where that is canonical. On an error, what `out` holds means
/// nothing.
pub fn rewrite(
    name: &str,
    source: &mut dyn Source,
    out: &mut dyn Spool,
    options: &Options,
    spools: &dyn Spools,
) -> Result<Report, Error> {
    let size = spool::length(source)?;
    let mut context = Context {
        options,
        spools,
        report: Report::default(),
        exchanged: name.ends_with(CRATE),
        unpacked: size.saturating_mul(RATIO).max(UNPACKED),
    };
    let mut canonical = form::read(name, source, &mut context)?;
    canonical.write(out, &mut context)?;
    let written = spool::length(out)?;
    canonical.verify(&mut out.take(written))?;
    drop(canonical);
    let changes = &context.report.changes;
    if changes.is_empty() && !same(source, out)? {
        let compressed = context.report.formats.len() > 1;
        let pass = if compressed {
            Pass::Compression
        } else {
            Pass::Form
        };
        context.changed(pass, true);
    }
    Ok(context.report)
}
