//! bzip2: the payload of all its streams.

use bzip2::bufread::MultiBzDecoder;

use super::format::{Format, Holds, Kind};
use super::place::Place;
use super::stream::Stream;

pub(super) const FORMAT: Format = Format {
    name: "bzip2",
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
    holds: Holds::Payload(&[(".bz2", ""), (".tbz2", ".tar"), (".tbz", ".tar")]),
    fields: &[],
    normal: &[Kind::Compression],
};

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut payload = MultiBzDecoder::new(stream);
    let whole = place.payload(&FORMAT).content(&mut payload, 0);
    if let Some(error) = whole.error {
        place.problem(format!("truncated or corrupt bzip2 stream: {error}"));
    }
}
