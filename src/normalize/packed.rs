//! A compressed file, or a part of a package: what it holds is unpacked into a spool, brought into its
//! canonical form where it is a tar, and packed again.

use std::io::{self, Read, Write};

use super::canonical::Canonical;
use super::compressed::Codec;
use super::context::Context;
use super::error::Error;
use super::spool::{Digest, Spool, Tee, copy_all, seek};
use super::tar::{self, Reader};

/// Bytes by which a tar is recognised.
const PREFIX: u64 = 512;

/// A file with one thing in it, which stands unpacked in a spool.
pub(super) struct Packed {
    /// How it is compressed; a part of a Debian package may not be.
    codec: Option<Codec>,
    payload: Box<dyn Spool>,
    inner: Payload,
}

/// What a compressed file holds.
enum Payload {
    Tar(tar::Index),
    /// Anything else, which stays as it is.
    Other(u64, Digest),
}

impl Packed {
    /// Reads it to its end.
    pub(super) fn read(
        codec: Option<Codec>,
        source: &mut dyn Read,
        reader: Reader,
        context: &mut Context<'_>,
    ) -> Result<Self, Error> {
        let mut payload = context.spool()?;
        let mut decoded = match codec {
            Some(codec) => {
                context.is(codec.name(), None);
                context.bounded(codec.decoder(source))
            }
            None => Box::new(source),
        };
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

impl Canonical for Packed {
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error> {
        let (payload, inner) = (&mut self.payload, &mut self.inner);
        let mut fill = |out: &mut dyn Write| match inner {
            Payload::Tar(index) => index.write(payload, out, context),
            Payload::Other(_, digest) => {
                seek(payload, 0)?;
                match copy_all(payload.as_mut(), out)? {
                    (_, copied) if copied == *digest => Ok(()),
                    _ => Err(Error::broken("the temporary file changed")),
                }
            }
        };
        match self.codec {
            Some(codec) => codec.encode(out, &mut fill),
            None => fill(out),
        }
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        let mut decoded = match self.codec {
            Some(codec) => codec.checker(back),
            None => Box::new(back),
        };
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
