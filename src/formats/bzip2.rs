//! bzip2: the payload of all its streams.

use bzip2::bufread::MultiBzDecoder;

use super::Format;
use super::place::Place;
use super::stream::Stream;

pub(super) const FORMAT: Format = Format {
    recognise: |prefix| {
        // The level, then the mark of a block, or of the end of an empty file.
        prefix.starts_with(b"BZh")
            && matches!(prefix.get(3), Some(b'1'..=b'9'))
            && matches!(
                prefix.get(4..10),
                Some(b"1AY&SY" | b"\x17\x72\x45\x38\x50\x90")
            )
    },
    read,
};

const SUFFIXES: &[(&str, &str)] = &[(".bz2", ""), (".tbz2", ".tar"), (".tbz", ".tar")];

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut payload = MultiBzDecoder::new(stream);
    let whole = place.payload(SUFFIXES).content(&mut payload, 0);
    if let Some(error) = whole.error {
        place.problem(format!("truncated or corrupt bzip2 stream: {error}"));
    }
}
