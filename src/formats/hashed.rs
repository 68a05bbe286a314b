//! Names that hold a digest or a random part: `app-4f2a91c0.js`, `index-B2_x-9aQ.css`,
//! `ab/cdef…` of a store of objects, the 32 digits of a Nix store path. Which parts of a name may be
//! one is decided by its letters alone, and generously; whether two names are one name with another
//! digest in it is decided of both together, and strictly: dates, versions, numbers and words that
//! happen to be hexadecimal are none.
//!
//! How strict follows from how often chance does it. Two words or numbers have few changes between
//! letters and digits; of eight random hexadecimal digits nine in a hundred have less than two such
//! changes, so that two digests are both missed once in a hundred times. They still pair where what
//! they name is alike, unless they are moments.

use std::ops::Range;

/// Shorter runs are no digests: the shortest in use has six digits (bundlers).
const SHORTEST: usize = 6;
/// The length of a digest in the 64 letters of URL-safe base64 that a bundler puts before the
/// extension; its letters do not end at `-` or `_`, so that only its length tells where it begins.
const WINDOW: usize = 8;
/// From this length on, a whole name in these 64 letters may be a digest.
const WHOLE: usize = 16;
/// Names of directories that only spread files: the first digits of their names.
const SHARD: usize = 2;

/// A way of looking at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Runs of letters and digits, of one length.
    Runs,
    /// The letters of URL-safe base64 right before the extension.
    Window,
    /// The whole name before the extension.
    Whole,
    /// Runs of letters and digits, of any length.
    AnyLength,
}

/// All ways, in the order in which they are tried.
pub const LOOKS: [Look; 4] = [Look::Runs, Look::Window, Look::Whole, Look::AnyLength];

/// A name without what may be digests, and where these stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Equal for two names that are one but for the digests.
    pub rest: String,
    /// The bytes that may be digests.
    pub runs: Vec<Range<usize>>,
}

/// What may be a digest in a name; `None` where nothing may. A `/` is within a run: it stands behind
/// the digits that a store of objects takes for the directory.
pub fn parts(name: &str, look: Look) -> Option<Parts> {
    let runs = match look {
        Look::Runs | Look::AnyLength => runs(name),
        Look::Window => {
            let dots = name.match_indices('.').map(|(at, _)| at);
            let mut ends = dots.chain([name.len()]).rev();
            ends.find_map(|end| window(name, end)).into_iter().collect()
        }
        Look::Whole => {
            let stem = stem(name);
            let whole = stem.len() >= WHOLE && is_base64(stem);
            Vec::from_iter(whole.then_some(0..stem.len()))
        }
    };
    if runs.is_empty() {
        return None;
    }
    let mut rest = String::new();
    let mut end = 0;
    for run in &runs {
        rest.push_str(name.get(end..run.start).unwrap_or_default());
        // No name holds a NUL.
        rest.push('\0');
        if look != Look::AnyLength {
            rest.push_str(&run.len().to_string());
        }
        end = run.end;
    }
    rest.push_str(name.get(end..).unwrap_or_default());
    Some(Parts { rest, runs })
}

/// The letters of a digest that end here, behind a separator.
fn window(name: &str, end: usize) -> Option<Range<usize>> {
    let start = end.checked_sub(WINDOW).filter(|start| *start > 0)?;
    let separated = b"-._".contains(name.as_bytes().get(start - 1)?);
    let window = name.get(start..end)?;
    (separated && is_base64(window)).then_some(start..end)
}

/// Whether anything in the name may be a digest.
pub fn may_hold(name: &str) -> bool {
    LOOKS.iter().any(|look| parts(name, *look).is_some())
}

/// Whether two names, whose rests are equal, are one name with other digests in it. `alike` says that
/// what they name is alike, which makes up for digests that do not look like any.
pub fn is_one(control: (&str, &Parts), other: (&str, &Parts), alike: bool) -> bool {
    let runs = differing_runs(control, other);
    let all = |runs: Vec<(&str, &str)>| {
        let mut pairs = runs.iter();
        !runs.is_empty() && pairs.all(|(mine, theirs)| are_digests(mine, theirs, alike))
    };
    runs.is_some_and(all)
}

/// What may be digests in two names, where it is not the same; `None` where one has more of it.
fn differing_runs<'n>(
    (old, of_old): (&'n str, &Parts),
    (new, of_new): (&'n str, &Parts),
) -> Option<Vec<(&'n str, &'n str)>> {
    let runs = of_old.runs.iter().zip(&of_new.runs);
    let runs = runs.filter_map(|(mine, theirs)| {
        let pair = (old.get(mine.clone())?, new.get(theirs.clone())?);
        (pair.0 != pair.1).then_some(pair)
    });
    (of_old.runs.len() == of_new.runs.len()).then(|| runs.collect())
}

/// Whether two names, whose rests are equal, may be one by what they are in all that is left over:
/// digests that chance made look like words or numbers. Moments, and words written small or with a
/// capital in front, are none.
pub fn may_be_one_name(control: (&str, &Parts), other: (&str, &Parts)) -> bool {
    let mixed = |run: &str| {
        let letters = run.bytes().any(|byte| byte.is_ascii_alphabetic());
        let mut inner = run.bytes().skip(1);
        letters && inner.any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    };
    let fits = |(mine, theirs): &(&str, &str)| {
        mine.len() == theirs.len()
            && differ_throughout(mine, theirs)
            && (mixed(mine) || mixed(theirs))
    };
    differing_runs(control, other).is_some_and(|runs| !runs.is_empty() && runs.iter().all(fits))
}

/// The digests in which two names differ that are one; the whole names where none can be told.
pub fn differing(control: &str, other: &str) -> Vec<(String, String)> {
    let runs = LOOKS.iter().find_map(|look| {
        let (mine, theirs) = (parts(control, *look)?, parts(other, *look)?);
        (mine.rest == theirs.rest).then_some(())?;
        let pairs = mine.runs.into_iter().zip(theirs.runs);
        let pairs = pairs.filter_map(|(mine, theirs)| {
            let pair = (control.get(mine)?, other.get(theirs)?);
            (pair.0 != pair.1).then(|| (pair.0.to_owned(), pair.1.to_owned()))
        });
        Some(pairs.collect())
    });
    runs.unwrap_or_else(|| vec![(control.to_owned(), other.to_owned())])
}

/// The name with `*` in the place of what certainly looks like a digest.
pub fn masked(name: &str) -> Option<String> {
    let mut looks = LOOKS.iter().filter(|look| **look != Look::AnyLength);
    looks.find_map(|look| {
        let parts = parts(name, *look)?;
        let mut masked = name.to_owned();
        for run in parts.runs.iter().rev() {
            if name.get(run.clone()).is_some_and(looks_like_one) {
                masked.replace_range(run.clone(), "*");
            }
        }
        (masked != name).then_some(masked)
    })
}

/// How many of the parts of a path, split at `/`, belong to its last name: more than one where the
/// directories around it only spread files by the first digits of their names.
pub fn depth(parts: &[&str]) -> usize {
    let Some((last, before)) = parts.split_last() else {
        return 0;
    };
    let is_shard = |part: &&&str| part.len() == SHARD && is_hexadecimal(part);
    let shards = before.iter().rev().take_while(is_shard).count();
    let run = last.split(|c: char| !c.is_ascii_alphanumeric()).next();
    let run = run.unwrap_or_default();
    let long = run.len() + shards * SHARD >= 2 * SHORTEST;
    if shards > 0 && long && is_hexadecimal(run) {
        shards + 1
    } else {
        1
    }
}

/// The last name of a path within one archive, with the directories that belong to it.
pub fn last(path: &str) -> &str {
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let own = depth(&parts);
    let length: usize = parts
        .iter()
        .rev()
        .take(own)
        .map(|part| part.len() + 1)
        .sum();
    let path = path.trim_end_matches('/');
    path.get((path.len() + 1).saturating_sub(length)..)
        .unwrap_or(path)
}

fn are_digests(one: &str, other: &str, alike: bool) -> bool {
    let (a, b) = (one.as_bytes(), other.as_bytes());
    if !differ_throughout(one, other) {
        return false;
    }
    if a.len() != b.len() {
        return looks_like_one(one) && looks_like_one(other);
    }
    looks_like_one(one)
        || looks_like_one(other)
        || (alike && a.len() >= WINDOW && may_both_be(one, other))
}

/// Two digests begin and end with the same digits by chance alone.
fn differ_throughout(one: &str, other: &str) -> bool {
    let (a, b) = (one.as_bytes(), other.as_bytes());
    let before = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let behind = a.iter().rev().zip(b.iter().rev());
    let behind = behind.take_while(|(a, b)| a == b).count();
    before + behind <= (a.len().min(b.len()) / 4).max(2)
}

/// Whether two runs may be digests that chance made look like words or numbers.
fn may_both_be(one: &str, other: &str) -> bool {
    let digit = |run: &str| run.bytes().any(|byte| byte.is_ascii_digit());
    let hexadecimal = |run: &str| is_hexadecimal(run) && !is_moment(run);
    (is_base32(one) && is_base32(other))
        || (hexadecimal(one) && hexadecimal(other) && (digit(one) || digit(other)))
}

/// A number that is a date, or seconds or a finer count since 1970, of our time.
fn is_moment(run: &str) -> bool {
    let number = run.bytes().all(|byte| byte.is_ascii_digit());
    let date = matches!(run.len(), 8 | 12 | 14) && (run.starts_with("19") || run.starts_with("20"));
    let count = matches!(run.len(), 10 | 13 | 16 | 19) && run.starts_with(['1', '2']);
    number && (date || count)
}

/// Runs of letters and digits that may be digests: neither words nor shorter than any.
fn runs(name: &str) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = None;
    let ends = name.char_indices().map(|(at, c)| (at, Some(c)));
    for (at, c) in ends.chain([(name.len(), None)]) {
        let inside = c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '/');
        match (start, inside) {
            (None, true) => start = Some(at),
            (Some(begin), false) => {
                if name.get(begin..at).is_some_and(may_be_one) {
                    runs.push(begin..at);
                }
                start = None;
            }
            _ => {}
        }
    }
    runs
}

/// Whether a run may be a digest, or one that chance made look like a number.
fn may_be_one(run: &str) -> bool {
    let changes = changes(run);
    let upper = run.bytes().all(|byte| byte.is_ascii_uppercase());
    let number = run.bytes().all(|byte| byte.is_ascii_digit());
    run.len() >= SHORTEST && (changes > 0 || number || (upper && run.len() >= WINDOW))
}

/// Whether a run has the mixture of letters that digests have and words, versions and numbers have not.
fn looks_like_one(run: &str) -> bool {
    let (length, changes) = (run.len(), changes(run));
    let has = |kind: fn(&u8) -> bool| run.bytes().any(|byte| kind(&byte));
    let (lower, upper) = (has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase));
    let least = if lower && upper {
        // Words joined by their capitals change at every fourth letter or less often.
        (length * 3).div_ceil(10).max(3)
    } else if is_hexadecimal(run) {
        2
    } else if is_base32(run) {
        // Words in capitals with a number inside are rare.
        if changes == 0 {
            return length >= WINDOW && consonants(run) >= 6;
        }
        2
    } else if length >= WINDOW {
        3
    } else {
        return false;
    };
    length >= SHORTEST && changes >= least && (length < 20 || changes >= 4)
}

/// How often the kind of letter changes within a run; a capital before a small letter begins a word
/// and counts for nothing, and `/` is not there.
fn changes(run: &str) -> usize {
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let kinds: Vec<u8> = run.bytes().filter(|byte| *byte != b'/').map(kind).collect();
    let pairs = kinds.iter().zip(kinds.iter().skip(1));
    pairs
        .filter(|(a, b)| a != b && (**a, **b) != (1, 0))
        .count()
}

/// The longest run of consonants.
fn consonants(run: &str) -> usize {
    let vowel = |c: char| "AEIOUYaeiouy".contains(c);
    run.split(vowel).map(str::len).max().unwrap_or_default()
}

/// Digits of one case, as programs write them.
fn is_hexadecimal(run: &str) -> bool {
    let all = |letters: Range<u8>| {
        let mut bytes = run.bytes().filter(|byte| *byte != b'/');
        bytes.all(|byte| byte.is_ascii_digit() || letters.contains(&byte))
    };
    all(b'a'..b'g') || all(b'A'..b'G')
}

/// The letters of RFC 4648, section 6.
fn is_base32(run: &str) -> bool {
    run.bytes()
        .all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

/// The letters of RFC 4648, section 5.
fn is_base64(run: &str) -> bool {
    run.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A name before its extensions.
fn stem(name: &str) -> &str {
    match name.find('.') {
        Some(at) if at > 0 => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(control: &str, other: &str, alike: bool) -> bool {
        LOOKS.iter().any(|look| {
            let parts = (parts(control, *look), parts(other, *look));
            let (Some(mine), Some(theirs)) = parts else {
                return false;
            };
            mine.rest == theirs.rest && is_one((control, &mine), (other, &theirs), alike)
        })
    }

    #[test]
    fn names_with_digests_are_one() {
        for (control, other) in [
            ("app-4f2a91c0.js", "app-90c3b7de.js"),
            ("app.4f2a91.css.map", "app.b3d91e.css.map"),
            // All digits, by chance.
            ("4f2a91c0d3", "1234567890"),
            ("index-DiwrgTda.js", "index-B2_x-9aQ.js"),
            ("index-_a9X-bQ2.css", "index-B2_xQ9aQ.css"),
            ("index._a9X-bQ2.css", "index.B2_xQ9aQ.css"),
            ("index._a9X-bQ2.min.css", "index.B2_xQ9aQ.min.css"),
            ("app-XYZ7QW3R.js", "app-AKRTPLMN.js"),
            ("ab/cdef0123456789", "12/cafe9876543210"),
            (
                "1h5sxbq4vnrnimdpzw5mxrpmsqp4yhc3-hello",
                "s66mzxpvicwk07gjbjfw9izjfa797vsw-hello",
            ),
            (
                "main.34c8f4ckj8lz0bra.rcgu.o",
                "main.2jx9sxlzxyvkpa5.rcgu.o",
            ),
            ("V1StGXR8_Z5jdHi6B-myT", "FcaaEdZ1hkxRRnJ_qc3pa"),
            ("tmp.AbC12xYz9Q", "tmp.q8Zr3Lw0Pk"),
            ("pack-4f2a91c0aa.idx", "pack-0091bce2ff.idx"),
        ] {
            assert!(one(control, other, false), "{control} {other}");
        }
    }

    #[test]
    fn dates_versions_numbers_and_words_are_not() {
        for (control, other) in [
            ("log-20261128.txt", "log-20261129.txt"),
            ("a-123456", "a-987654"),
            ("x-1.2.3.tar", "x-1.2.4.tar"),
            ("deadbeef", "cafebabe"),
            ("deadbeef1", "deadbeef2"),
            ("decade", "facade"),
            ("feed01.xml", "feed02.xml"),
            ("feed01.xml", "bead02.xml"),
            ("crd-v1alpha1.yaml", "crd-v2alpha1.yaml"),
            ("crd-v1alpha1.yaml", "crd-v1beta2.yaml"),
            ("fooBarBazQux.js", "barBazQuxFoo.js"),
            ("index-MyModule.js", "index-Settings.js"),
            ("README-GERMANY", "README-ENGLISH"),
            ("CHAPTER1", "CHAPTER2"),
            ("WINDOWS7", "SOLARIS8"),
            ("libfoo-x86_64.so", "libfoo-aarch64.so"),
            ("test_abc123", "test_abc124"),
            ("utf8", "utf16"),
            ("sha256", "sha512"),
            ("main-window.js", "side-window.js"),
            ("app-4f2a91c0.js", "lib-90c3b7de.js"),
            ("python3.11", "python3.12"),
            ("2026-11-28T10:00:00Z", "2026-11-29T11:23:45Z"),
        ] {
            assert!(!one(control, other, true), "{control} {other}");
        }
    }

    #[test]
    fn digits_alone_are_a_digest_where_what_they_name_is_alike() {
        for (control, other) in [
            ("app-05264351.js", "app-16313756.js"),
            ("app-05264351.js", "app-163137ab.js"),
            ("app-abcdefa1.js", "app-fedcbab2.js"),
        ] {
            assert!(one(control, other, true), "{control} {other}");
            assert!(!one(control, other, false), "{control} {other}");
        }
        for (control, other) in [
            ("log-20241103", "log-19991231"),
            ("build-1732752000", "build-2145916800"),
            ("build-1732752000123", "build-2045916800777"),
        ] {
            assert!(!one(control, other, true), "{control} {other}");
        }
    }

    #[test]
    fn of_ten_thousand_pairs_of_digests_of_alike_contents_hardly_any_is_missed() {
        let digest = |n: u64| {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 7);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            format!("app-{:08x}.js", mixed >> 32)
        };
        let missed = (0..10_000).filter(|n| !one(&digest(2 * n), &digest(2 * n + 1), true));
        let missed: Vec<u64> = missed.collect();
        // What is left begins or ends alike, by chance.
        assert!(missed.len() <= 30, "{}", missed.len());
    }

    #[test]
    fn capitals_alone_are_a_digest_where_what_they_name_is_alike() {
        assert!(one("app-ALONETIM.js", "app-SPORATED.js", true));
        assert!(!one("app-ALONETIM.js", "app-SPORATED.js", false));
    }

    #[test]
    fn directories_that_spread_files_belong_to_their_names() {
        assert_eq!(depth(&["objects", "ab", "cdef0123456789"]), 2);
        assert_eq!(depth(&["sha512", "ab", "cd", "ef0123456789"]), 3);
        assert_eq!(depth(&[".build-id", "ab", "cdef0123456789.debug"]), 2);
        assert_eq!(depth(&["ab", "main.c"]), 1);
        assert_eq!(depth(&["10", "20"]), 1);
    }
}
