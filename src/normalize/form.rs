//! What a file is, and how its canonical form is written: one arm for each kind of file.

use std::io::Read as _;

use super::ar::{self, Ar};
use super::canonical::Canonical;
use super::compressed::Codec;
use super::context::Context;
use super::deb::{self, Deb};
use super::error::Error;
use super::options::Pass;
use super::packed::{Bare, Packed};
use super::spool::{Source, seek};
use super::tar::Reader;
use super::zip;

/// Bytes by which a file is recognised: a block of tar.
const PREFIX: u64 = 512;

/// Reads a file called `name`.
pub(super) fn read<'s>(
    name: &str,
    source: &'s mut dyn Source,
    context: &mut Context<'_>,
) -> Result<Box<dyn Canonical + 's>, Error> {
    let prefix = prefix(source)?;
    if context.keeps(Pass::Compression) && !zip::recognise(source)? {
        return Err(Error::refused(
            "compressed bytes can be kept in zip files only",
            "leave --keep compression out",
        ));
    }
    if let Some(codec) = Codec::recognise(&prefix) {
        let packed = Packed::read(Some(codec), source, Reader::Everybody, context)?;
        return Ok(Box::new(packed));
    }
    if Bare::recognise(&prefix) {
        return Ok(Box::new(Bare::read(&prefix, source, context)?));
    }
    if ar::recognise(&prefix)? {
        return if deb::recognise(&prefix) {
            Ok(Box::new(Deb::read(source, context)?))
        } else {
            Ok(Box::new(Ar::read(source, context)?))
        };
    }
    if let Some(zip) = zip::read(name, source, context)? {
        return Ok(Box::new(zip));
    }
    Err(Error::refused(
        "not an archive or a compressed file that is known here",
        "known are tar, gzip, xz, zstd, bzip2, zip (jar, wheel), ar, deb and cpio",
    ))
}

/// What a source begins with.
fn prefix(source: &mut dyn Source) -> Result<Vec<u8>, Error> {
    let mut prefix = Vec::new();
    seek(source, 0)?;
    source
        .take(PREFIX)
        .read_to_end(&mut prefix)
        .map_err(Error::reading)?;
    seek(source, 0)?;
    Ok(prefix)
}
