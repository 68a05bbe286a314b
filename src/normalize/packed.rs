//! What may stand in a file as it is, or compressed, or as a part of a package: a tar, a cpio, or anything
//! else, which stays. What is compressed is unpacked into a spool, and packed again.

use std::io::{self, Read, Write};

use super::canonical::Canonical;
use super::compressed::Codec;
use super::context::Context;
use super::cpio;
use super::error::Error;
use super::spool::{Digest, Source, Spool, Tee, copy_all, seek};
use super::tar::{self, Reader};

/// Bytes by which an archive is recognised: a block of tar.
const PREFIX: u64 = 512;

/// What was read of it.
enum Payload {
    Tar(tar::Index),
    Cpio(cpio::Index),
    /// Anything else: its size and digest.
    Other(u64, Digest),
}

impl Payload {
    /// Reads a stream that begins with `prefix` to its end.
    fn read(
        prefix: &[u8],
        stream: &mut dyn Read,
        reader: Reader,
        context: &mut Context<'_>,
    ) -> Result<Self, Error> {
        if tar::recognise(prefix) {
            return tar::Index::read(stream, reader, context).map(Self::Tar);
        }
        if cpio::recognise(prefix) && reader == Reader::Everybody {
            return cpio::Index::read(stream, context).map(Self::Cpio);
        }
        let (size, digest) = copy_all(stream, &mut io::sink())?;
        Ok(Self::Other(size, digest))
    }

    fn write(
        &mut self,
        source: &mut dyn Source,
        out: &mut dyn Write,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Tar(index) => index.write(source, out, context),
            Self::Cpio(index) => index.write(source, out, context),
            Self::Other(_, digest) => {
                seek(source, 0)?;
                match copy_all(source, out)? {
                    (_, copied) if copied == *digest => Ok(()),
                    _ => Err(Error::broken("the temporary file changed")),
                }
            }
        }
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        match self {
            Self::Tar(index) => index.verify(back),
            Self::Cpio(index) => index.verify(back),
            Self::Other(size, digest) => {
                if copy_all(back, &mut io::sink())? == (*size, *digest) {
                    return Ok(());
                }
                Err(Error::Unverified("its content".to_owned()))
            }
        }
    }
}

/// A tar or cpio file.
pub(super) struct Bare<'s> {
    source: &'s mut dyn Source,
    payload: Payload,
}

impl<'s> Bare<'s> {
    /// Whether these bytes begin one.
    pub(super) fn recognise(prefix: &[u8]) -> bool {
        tar::recognise(prefix) || cpio::recognise(prefix)
    }

    /// Reads it to its end.
    pub(super) fn read(
        prefix: &[u8],
        source: &'s mut dyn Source,
        context: &mut Context<'_>,
    ) -> Result<Self, Error> {
        let mut stream: &mut dyn Source = &mut *source;
        let payload = Payload::read(prefix, &mut stream, Reader::Everybody, context)?;
        Ok(Self { source, payload })
    }
}

impl Canonical for Bare<'_> {
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error> {
        self.payload.write(self.source, out, context)
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        self.payload.verify(back)
    }
}

/// A file, or a part of one, with one thing in it, which stands unpacked in a spool.
pub(super) struct Packed {
    /// How it is compressed; a part of a Debian package may not be.
    codec: Option<Codec>,
    spool: Box<dyn Spool>,
    payload: Payload,
}

impl Packed {
    /// Reads it to its end.
    pub(super) fn read(
        codec: Option<Codec>,
        source: &mut dyn Read,
        reader: Reader,
        context: &mut Context<'_>,
    ) -> Result<Self, Error> {
        let mut spool = context.spool()?;
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
        let mut stream = Tee {
            source: Box::new(prefix.chain(decoded)),
            copy: &mut *spool,
        };
        let payload = Payload::read(&prefix, &mut stream, reader, context)?;
        drop(stream);
        Ok(Self {
            codec,
            spool,
            payload,
        })
    }
}

impl Canonical for Packed {
    fn write(&mut self, out: &mut dyn Write, context: &mut Context<'_>) -> Result<(), Error> {
        let (spool, payload) = (&mut self.spool, &mut self.payload);
        let mut fill = |out: &mut dyn Write| payload.write(spool, out, context);
        match self.codec {
            Some(codec) => codec.encode(out, &mut fill),
            None => fill(out),
        }
    }

    fn verify(&mut self, back: &mut dyn Read) -> Result<(), Error> {
        match self.codec {
            Some(codec) => self.payload.verify(&mut *codec.checker(back)),
            None => self.payload.verify(back),
        }
    }
}
