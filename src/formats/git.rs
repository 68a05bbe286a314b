//! Loose objects of git: a zlib stream (RFC 1950) of `commit 215`, a NUL, and the object. They are
//! told from other zlib streams by these words.

use std::io::Read;

use flate2::{Decompress, FlushDecompress};

use super::format::{Format, Holds, Kind, Known};
use super::inflate::{Inflate, Inflated};
use super::place::Place;
use super::stream::{Hash, Stream};
use crate::model::Field;

pub(super) const FORMAT: Format = Format {
    name: "git",
    recognise: |prefix| prefix.starts_with(&[0x78]) && kind(&beginning(prefix)).is_some(),
    read,
    holds: Holds::Members,
    fields: &[Known::within("compression", Kind::Compression)],
    normal: &[],
};

/// The longest beginning: a kind, a length, and a NUL.
const HEADER: usize = 32;

/// What git stores.
const KINDS: [&str; 4] = ["blob", "tree", "commit", "tag"];

/// The first inflated bytes.
fn beginning(prefix: &[u8]) -> Vec<u8> {
    let mut out = [0; HEADER];
    let mut state = Decompress::new(true);
    // What breaks off or is no such stream has begun with something else.
    let _ = state.decompress(prefix, &mut out, FlushDecompress::None);
    let made = usize::try_from(state.total_out()).unwrap_or_default();
    out.get(..made).unwrap_or_default().to_vec()
}

/// The kind of an object, and how many bytes are before it.
fn kind(beginning: &[u8]) -> Option<(&'static str, usize)> {
    let end = beginning.iter().position(|byte| *byte == 0)?;
    let header = std::str::from_utf8(beginning.get(..end)?).ok()?;
    let (kind, length) = header.split_once(' ')?;
    let number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let kind = KINDS.into_iter().find(|known| *known == kind)?;
    number.then_some((kind, end + 1))
}

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let Some((kind, before)) = kind(&beginning(stream.peek(super::PREFIX))) else {
        return;
    };
    stream.skip(2);
    let mut object = Inflated {
        source: stream,
        inflate: Inflate::new(),
        hash: Hash::default(),
    };
    let mut header = vec![0; before];
    if object.read_exact(&mut header).is_err() {
        place.problem("truncated in the header of a git object");
        return;
    }
    let whole = place.part(kind).content(&mut object, 0);
    let compressed = object.hash.value();
    place.field(Field::new("git.compression"), compressed, 0);
    if let Some(error) = whole.error {
        place.problem(error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::model::{Element, Value};

    fn object(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_object_is_read_and_other_streams_are_not() {
        let commit = object(b"commit 12\0author a 1\n");
        let examined = crate::formats::examine("ab/cd", &mut commit.as_slice());
        let content = Element::new("ab/cd!/commit", Field::CONTENT);
        let found = examined.elements.get(&content);
        assert_eq!(*found.unwrap(), Hash::of(b"author a 1\n"));
        let other = object(b"hello there, world");
        let examined = crate::formats::examine("x", &mut other.as_slice());
        assert!(examined.elements.is_empty());
        assert!(matches!(examined.digest, Value::Digest { .. }));
        let text = b"x^2 + 1";
        assert!(
            crate::formats::examine("x", &mut text.as_slice())
                .elements
                .is_empty()
        );
    }
}
