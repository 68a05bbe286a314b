//! xz: the payload of all its streams. The headers hold nothing that varies with the environment
//! but the block sizes, which the bytes of the file show.

use std::io;

use lzma_rust2::XzReader;

use super::format::{Format, Holds, Kind};
use super::place::Place;
use super::stream::Stream;

pub(super) const FORMAT: Format = Format {
    name: "xz",
    recognise: |prefix| prefix.starts_with(b"\xfd7zXZ\0"),
    read,
    holds: Holds::Payload(&[(".xz", ""), (".txz", ".tar")]),
    fields: &[],
    normal: &[Kind::Compression],
};

/// Memory that a dictionary may take, in KiB: the largest that `xz -9` makes is 64 MiB.
const MEMORY: u32 = 256 << 10;

fn read(stream: &mut Stream<'_>, place: &mut Place<'_>) {
    let mut payload = XzReader::new_mem_limit(&mut *stream, true, MEMORY);
    let whole = place.payload(&FORMAT).content(&mut payload, 0);
    if let Some(error) = whole.error {
        place.problem(describe(&error));
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "truncated xz stream".to_owned(),
        io::ErrorKind::OutOfMemory => {
            format!(
                "its dictionary needs more than {} MiB; compared as a whole",
                MEMORY >> 10
            )
        }
        _ => format!("corrupt xz stream: {error}"),
    }
}
