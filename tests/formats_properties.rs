//! Properties of the readers of formats: what a writer put in comes out, and no bytes, however
//! broken, do more than end in a problem.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says why it fails"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::rc::Rc;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use proptest::collection::vec;
use proptest::prelude::*;
use reprobe::formats::{self, Examined};
use reprobe::model::{Element, Field, Value};

/// What a test writes as one member.
#[derive(Debug, Clone)]
struct Member {
    name: String,
    mode: u32,
    mtime: u32,
    content: Vec<u8>,
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let member = (
        "[a-z]{1,90}",
        0..0o7777u32,
        any::<u32>(),
        vec(any::<u8>(), 0..2000),
    )
        .prop_map(|(name, mode, mtime, content)| Member {
            name,
            mode,
            mtime,
            content,
        });
    vec(member, 0..8)
}

fn tar(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        let mut header = [0; 512];
        header[..member.name.len()].copy_from_slice(member.name.as_bytes());
        header[100..107].copy_from_slice(format!("{:07o}", member.mode).as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", member.content.len()).as_bytes());
        header[136..147].copy_from_slice(format!("{:011o}", member.mtime).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        seal(&mut header);
        bytes.extend(header);
        bytes.extend(&member.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Makes the checksum of a tar header right.
fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn ar(members: &[Member]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for member in members {
        let (length, size) = (member.name.len(), member.content.len() + member.name.len());
        let header = format!(
            "{:<16}{:<12}{:<6}{:<6}{:<8o}{size:<10}`\n",
            format!("#1/{length}"),
            member.mtime,
            0,
            0,
            member.mode
        );
        bytes.extend(header.as_bytes());
        bytes.extend(member.name.as_bytes());
        bytes.extend(&member.content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

fn cpio(members: &[Member]) -> Vec<u8> {
    let last = Member {
        name: "TRAILER!!!".to_owned(),
        mode: 0,
        mtime: 0,
        content: Vec::new(),
    };
    let mut bytes = Vec::new();
    for member in members.iter().chain([&last]) {
        let (size, length) = (member.content.len(), member.name.len() + 1);
        let (mode, mtime) = (member.mode, member.mtime);
        let zeros = "0".repeat(32);
        bytes.extend(b"07070100000000");
        bytes.extend(format!("{mode:08x}{:016x}{:08x}{mtime:08x}", 0, 1).as_bytes());
        bytes.extend(format!("{size:08x}{zeros}{length:08x}{:08x}", 0).as_bytes());
        bytes.extend(member.name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(&member.content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Every second member is stored, every third has its sizes behind it where the format allows.
fn zip(members: &[Member]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (index, member) in members.iter().enumerate() {
        let offset = u32::try_from(bytes.len()).unwrap();
        let deflated = index % 2 == 0;
        let behind = deflated && index % 3 == 0;
        let stored = if deflated {
            deflate(&member.content)
        } else {
            member.content.clone()
        };
        let mut crc = Crc::new();
        crc.update(&member.content);
        let sizes = [stored.len(), member.content.len()].map(|size| u32::try_from(size).unwrap());
        let sums = [crc.sum(), sizes[0], sizes[1]]
            .map(u32::to_le_bytes)
            .concat();
        let mut fixed = [
            20u16,
            if behind { 8 } else { 0 },
            if deflated { 8 } else { 0 },
        ]
        .map(u16::to_le_bytes)
        .concat();
        fixed.extend([0x25, 0x8e, 0x76, 0x5a]);
        let lengths = [u16::try_from(member.name.len()).unwrap(), 0]
            .map(u16::to_le_bytes)
            .concat();
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&fixed);
        bytes.extend(if behind { &[0; 12] } else { sums.as_slice() });
        bytes.extend(&lengths);
        bytes.extend(member.name.as_bytes());
        bytes.extend(stored);
        if behind {
            bytes.extend(b"PK\x07\x08");
            bytes.extend(&sums);
        }
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&fixed);
        directory.extend(&sums);
        directory.extend(&lengths);
        directory.extend([0; 6]);
        directory.extend((member.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(member.name.as_bytes());
    }
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06");
    bytes.extend([0; 18]);
    bytes
}

fn gzip(payload: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(payload).unwrap();
    encoder.finish().unwrap()
}

fn examine(bytes: &[u8]) -> Examined {
    formats::examine("x", &mut &*bytes)
}

/// Bytes that somebody else writes.
#[derive(Clone, Default)]
struct Taken(Rc<RefCell<Vec<u8>>>);

impl Write for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of members of at most `limit` bytes.
fn taken_out(bytes: &[u8], wanted: BTreeSet<String>, limit: usize) -> BTreeMap<String, Vec<u8>> {
    let taken = Taken::default();
    let into = Box::new(taken.clone());
    let places = formats::contents("x", &mut &*bytes, wanted, limit, into);
    let taken = taken.0.borrow();
    let bytes = |place: std::ops::Range<u64>| {
        let [from, to] = [place.start, place.end].map(|end| usize::try_from(end).unwrap());
        taken[from..to].to_vec()
    };
    let places = places.into_iter();
    places.map(|(path, place)| (path, bytes(place))).collect()
}

/// Sizes of contents by path, and the texts of a field by path, in the order of the archive.
fn found(examined: &Examined, name: &str) -> Vec<(String, u64, Option<String>)> {
    let elements: BTreeMap<_, _> = examined
        .elements
        .iter()
        .map(|item| (item.element(), item.value.clone()))
        .collect();
    let Some(Value::Order(order)) = elements
        .iter()
        .find(|(element, _)| element.field.as_str().split('.').nth(1) == Some("order"))
        .map(|(_, value)| value)
    else {
        return Vec::new();
    };
    let inside = |path: &str, field: &str| {
        elements
            .iter()
            .find(|(element, _)| {
                element.path.ends_with(&format!("!/{path}")) && element.field.as_str() == field
            })
            .map(|(_, value)| value)
    };
    let members = order.iter().map(|path| {
        let size = match inside(path, Field::CONTENT.as_str()) {
            Some(Value::Digest { size, .. }) => *size,
            other => panic!("{path} has the content {other:?}"),
        };
        let text = inside(path, name).map(ToString::to_string);
        (path.clone(), size, text)
    });
    members.collect()
}

/// What should be found: repeated names numbered.
fn written(
    members: &[Member],
    text: impl Fn(&Member) -> String,
) -> Vec<(String, u64, Option<String>)> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let members = members.iter().map(|member| {
        let count = counts.entry(&member.name).or_default();
        *count += 1;
        let name = if *count == 1 {
            member.name.clone()
        } else {
            format!("{}#{count}", member.name)
        };
        (name, member.content.len() as u64, Some(text(member)))
    });
    members.collect()
}

/// An archive of one of the formats, some of them in others.
fn archive() -> impl Strategy<Value = Vec<u8>> {
    (members(), 0..8u8).prop_map(|(members, kind)| match kind {
        0 => tar(&members),
        1 => zip(&members),
        2 => ar(&members),
        3 => cpio(&members),
        4 => gzip(&tar(&members)),
        5 => [gzip(&zip(&members)), gzip(b"more")].concat(),
        kind => {
            let inner = Member {
                name: "inner".to_owned(),
                mode: 0,
                mtime: 0,
                content: if kind == 6 {
                    zip(&members)
                } else {
                    gzip(&tar(&members))
                },
            };
            tar(&[inner])
        }
    })
}

/// A payload by each of the compressors.
fn compressed() -> impl Strategy<Value = (Vec<u8>, usize)> {
    (vec(any::<u8>(), 0..300), 1..9usize, 0..4u8).prop_map(|(bytes, times, kind)| {
        let payload = bytes.repeat(times);
        let compressed = match kind {
            0 => gzip(&payload),
            1 => ruzstd::encoding::compress_to_vec(
                payload.as_slice(),
                ruzstd::encoding::CompressionLevel::Fastest,
            ),
            2 => {
                let mut encoder =
                    bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder.write_all(&payload).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let options = lzma_rust2::XzOptions::with_preset(1);
                let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
                encoder.write_all(&payload).unwrap();
                encoder.finish().unwrap()
            }
        };
        (compressed, payload.len())
    })
}

/// How many bytes the digest of the whole covers.
fn hashed(examined: &Examined) -> usize {
    match examined.digest {
        Value::Digest { size, .. } => usize::try_from(size).unwrap(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn a_tar_reads_back_as_written(members in members()) {
        let mode = |member: &Member| format!("{:04o}", member.mode);
        let mtime = |member: &Member| member.mtime.to_string();
        let plain = examine(&tar(&members));
        prop_assert_eq!(&plain.problems, &[]);
        let within = if members.is_empty() { Vec::new() } else { written(&members, mode) };
        prop_assert_eq!(found(&plain, "tar.mode"), within);
        let compressed = examine(&gzip(&tar(&members)));
        let within = if members.is_empty() { Vec::new() } else { written(&members, mtime) };
        prop_assert_eq!(found(&compressed, "tar.mtime"), within);
    }

    #[test]
    fn a_zip_reads_back_as_written(members in members()) {
        let examined = examine(&zip(&members));
        prop_assert_eq!(&examined.problems, &[]);
        let mode = |member: &Member| format!("{:o}", member.mode);
        prop_assert_eq!(found(&examined, "zip.attributes"), written(&members, mode));
    }

    #[test]
    fn an_ar_reads_back_as_written(members in members()) {
        let examined = examine(&ar(&members));
        prop_assert_eq!(&examined.problems, &[]);
        let mtime = |member: &Member| member.mtime.to_string();
        prop_assert_eq!(found(&examined, "ar.mtime"), written(&members, mtime));
    }

    #[test]
    fn a_cpio_reads_back_as_written(members in members()) {
        let examined = examine(&cpio(&members));
        prop_assert_eq!(&examined.problems, &[]);
        let mtime = |member: &Member| member.mtime.to_string();
        prop_assert_eq!(found(&examined, "cpio.mtime"), written(&members, mtime));
    }

    #[test]
    fn the_bytes_of_all_members_come_out_in_one_pass_within_a_limit(bytes in archive()) {
        let examined = examine(&bytes);
        let contents = examined.elements.iter().filter_map(|item| {
            match item.value {
                Value::Digest { size, .. } if *item.field == Field::CONTENT => {
                    Some((item.path.to_string(), (usize::try_from(*size).unwrap(), item.value)))
                }
                _ => None,
            }
        });
        let contents: BTreeMap<String, _> = contents.collect();
        let longest = contents.values().map(|(size, _)| *size).max().unwrap_or(0);
        let missing = "x!/nothing".to_owned();
        let wanted = contents.keys().cloned().chain([missing.clone()]);
        let found = taken_out(&bytes, wanted.collect(), longest);
        prop_assert!(found.keys().eq(contents.keys()));
        for (path, (size, value)) in &contents {
            // A member that is read on its own has the digest that it had inside.
            prop_assert_eq!(&examine(&found[path]).digest, *value);
            let alone = |limit| taken_out(&bytes, BTreeSet::from([path.clone()]), limit);
            prop_assert_eq!(&alone(*size)[path], &found[path]);
            prop_assert!(*size == 0 || alone(size - 1).is_empty());
        }
    }

    #[test]
    fn a_cut_archive_is_hashed_whole_and_never_gains_members(
        bytes in archive(),
        keep in any::<prop::sample::Index>(),
    ) {
        let cut = &bytes[..keep.index(bytes.len())];
        let (whole, part) = (examine(&bytes), examine(cut));
        prop_assert_eq!(hashed(&part), cut.len());
        let paths = |examined: &Examined| -> BTreeSet<String> {
            let presence = examined.elements.iter();
            let presence = presence.filter(|item| *item.field == Field::PRESENCE);
            presence.map(|item| item.path.to_string()).collect()
        };
        prop_assert!(paths(&part).is_subset(&paths(&whole)));
    }

    #[test]
    fn disturbed_archives_end_without_a_panic(
        bytes in archive(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = bytes;
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        prop_assert_eq!(hashed(&examine(&bytes)), bytes.len());
    }

    #[test]
    fn tar_headers_that_lie_end_without_a_panic(
        members in members(),
        kind in prop::sample::select(b"0125SVxgLKDM".to_vec()),
        lies in vec((0..500usize, any::<u8>()), 0..30),
    ) {
        let mut bytes = tar(&members);
        bytes[156] = kind;
        for (at, value) in lies {
            bytes[at] = value;
        }
        seal(&mut bytes[..512]);
        prop_assert_eq!(hashed(&examine(&bytes)), bytes.len());
    }

    #[test]
    fn compressed_payloads_have_their_length((bytes, length) in compressed()) {
        let examined = examine(&bytes);
        prop_assert_eq!(&examined.problems, &[]);
        let content = examined.elements.get(&Element::new("x!/data", Field::CONTENT));
        let size = match content {
            Some(Value::Digest { size, .. }) => usize::try_from(*size).unwrap(),
            _ => panic!("the content is no digest"),
        };
        prop_assert_eq!(size, length);
    }

    #[test]
    fn disturbed_compressed_files_end_without_a_panic(
        (bytes, _) in compressed(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        tail in vec(any::<u8>(), 0..100),
    ) {
        let mut bytes = [bytes, tail].concat();
        let length = bytes.len();
        for (at, value) in flips {
            bytes[4 + at.index(length - 4)] = value;
        }
        prop_assert_eq!(hashed(&examine(&bytes)), bytes.len());
    }

    #[test]
    fn any_bytes_behind_a_magic_end_without_a_panic(
        magic in prop::sample::select(vec![
            &b"\x1f\x8b\x08"[..], b"PK\x03\x04", b"PK\x05\x06", b"!<arch>\n", b"070701",
            b"\xfd7zXZ\0", b"(\xb5/\xfd", b"BZh91AY&SY", b"",
        ]),
        bytes in vec(any::<u8>(), 0..3000),
    ) {
        examine(&[magic, &bytes].concat());
    }
}
