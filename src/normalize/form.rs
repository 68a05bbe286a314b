//! What a file is, and how its canonical form is written: one arm for each kind of file.

use std::io::{self, Read, Write};

use super::canonical::Canonical;
use super::compressed::Codec;
use super::context::Context;
use super::error::Error;
use super::spool::{Digest, Source, Spool, Tee, copy_all, seek};
use super::tar::{self, Reader};
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
    if let Some(codec) = Codec::recognise(&prefix) {
        return Ok(Box::new(Compressed::read(
            codec,
            source,
            Reader::Everybody,
            context,
        )?));
    }
    if tar::recognise(&prefix) {
        let index = tar::Index::read(source, Reader::Everybody, context)?;
        return Ok(Box::new(Tar { source, index }));
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

/// A tar file.
struct Tar<'s> {
    source: &'s mut dyn Source,
    index: tar::Index,
}

impl Canonical for Tar<'_> {
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error> {
        self.index.write(self.source, out, context)
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        self.index.verify(back)
    }
}

/// A compressed file: its payload in a spool.
struct Compressed {
    codec: Codec,
    payload: Box<dyn Spool>,
    inner: Payload,
}

/// What a compressed file holds.
enum Payload {
    Tar(tar::Index),
    /// Anything else, which stays as it is.
    Other(u64, Digest),
}

impl Compressed {
    fn read(
        codec: Codec,
        source: &mut dyn Source,
        reader: Reader,
        context: &mut Context<'_>,
    ) -> Result<Self, Error> {
        context.is(codec.name(), None);
        let mut payload = context.spool()?;
        let mut decoded = context.bounded(codec.decoder(source));
        let mut prefix = Vec::new();
        decoded
            .by_ref()
            .take(PREFIX)
            .read_to_end(&mut prefix)
            .map_err(Error::reading)?;
        let is_tar = tar::recognise(&prefix);
        let mut stream = Tee {
            source: Box::new(io::Cursor::new(prefix).chain(decoded)),
            copy: &mut *payload,
        };
        let inner = if is_tar {
            Payload::Tar(tar::Index::read(&mut stream, reader, context)?)
        } else {
            let (size, digest) = copy_all(&mut stream, &mut io::sink())?;
            Payload::Other(size, digest)
        };
        drop(stream);
        Ok(Self {
            codec,
            payload,
            inner,
        })
    }
}

impl Canonical for Compressed {
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error> {
        let (payload, inner) = (&mut self.payload, &mut self.inner);
        self.codec.encode(out, &mut |out| match inner {
            Payload::Tar(index) => index.write(payload, out, context),
            Payload::Other(_, digest) => {
                seek(payload, 0)?;
                match copy_all(payload.as_mut(), out)? {
                    (_, copied) if copied == *digest => Ok(()),
                    _ => Err(Error::broken("the temporary file changed")),
                }
            }
        })
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        let mut decoded = self.codec.checker(back);
        match &mut self.inner {
            Payload::Tar(index) => index.verify(&mut *decoded),
            Payload::Other(size, digest) => {
                let back = copy_all(&mut *decoded, &mut io::sink())?;
                if back == (*size, *digest) {
                    return Ok(());
                }
                Err(Error::Unverified("its content".to_owned()))
            }
        }
    }
}
