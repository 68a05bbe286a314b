//! The names of files and argument vectors without what the environment chose in them, so that
//! what is keyed by them is the same in every trial. Pure.

use std::path::PathBuf;

/// Where temporary files are, `/var/tmp` included.
const TEMPORARY: &[u8] = b"/tmp/";

/// The directories whose names differ between environments, the longest first.
#[derive(Debug, Default, Clone)]
pub(super) struct Places(Vec<Vec<u8>>);

impl Places {
    pub(super) fn new(directories: &[PathBuf]) -> Self {
        let bytes = |path: &PathBuf| path.as_os_str().as_encoded_bytes().to_vec();
        Self(directories.iter().map(bytes).collect())
    }

    /// The path with the first of our directories that holds it replaced by its number.
    pub(super) fn stable_path(&self, path: &[u8]) -> Vec<u8> {
        let inside = |place: &Vec<u8>| {
            let rest = path.strip_prefix(place.as_slice())?;
            (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
        };
        let found = (0_u8..)
            .zip(&self.0)
            .find_map(|(number, place)| Some((number, inside(place)?)));
        match found {
            Some((number, rest)) => [&[number], rest].concat(),
            None => without_numbers(path),
        }
    }

    /// The stable path of a file that is numbered by the name under which it is first met: what mkstemp
    /// and its like put at the end of a name is another one in every build, and such a file often gets
    /// another name in the end.
    pub(super) fn stable_name(&self, path: &[u8]) -> Vec<u8> {
        let mut stable = self.stable_path(path);
        let start = stable.iter().rposition(|byte| *byte == b'/');
        let start = start.map_or(0, |at| at + 1);
        let name = stable.get(start..).unwrap_or_default();
        if let Some(length) = random_tail(name) {
            stable.truncate(stable.len() - length);
            // No name ends so.
            stable.push(0);
        }
        stable
    }

    /// The first directory of a stable path: it tells file systems apart.
    pub(super) fn top(stable: &[u8]) -> &[u8] {
        let rest = stable.strip_prefix(b"/").unwrap_or(stable);
        rest.split(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// An argument vector with our directories replaced wherever they stand, and every number and
    /// every name of a temporary file alike: numbers of processors, dates, pids and what is made of
    /// them are what environments differ in.
    pub(super) fn stable_words(&self, words: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(words.len());
        let mut rest = words;
        while let Some((first, further)) = rest.split_first() {
            let found = (0_u8..)
                .zip(&self.0)
                .find_map(|(number, place)| Some((number, rest.strip_prefix(place.as_slice())?)));
            if let Some((number, after)) = found {
                out.push(number);
                rest = after;
            } else if let Some(after) = rest.strip_prefix(TEMPORARY) {
                out.extend(TEMPORARY);
                let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
                let end = after.iter().position(|byte| !in_name(byte));
                rest = after.get(end.unwrap_or(after.len())..).unwrap_or_default();
            } else {
                out.push(*first);
                rest = further;
            }
        }
        without_numbers(&out)
    }
}

/// How long the random letters at the end of a name are: those of sed -i, of Python's tempfile, of
/// mktemp, of perl -i; of others, six behind a separator of which some are capitals.
fn random_tail(name: &[u8]) -> Option<usize> {
    let tail = |prefix: &[u8], length: usize| {
        let rest = name.strip_prefix(prefix)?;
        let letters = rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        (rest.len() == length && letters).then_some(length)
    };
    let known = [(&b"sed"[..], 6), (b"tmp", 8), (b"tmp.", 10)];
    let known = known
        .into_iter()
        .find_map(|(prefix, length)| tail(prefix, length));
    let mixed = |letters: &[u8]| {
        let has = |kind: fn(&u8) -> bool| letters.iter().skip(1).any(kind);
        letters.iter().all(u8::is_ascii_alphanumeric)
            && has(u8::is_ascii_uppercase)
            && (has(u8::is_ascii_lowercase) || has(u8::is_ascii_digit))
    };
    let behind = |length: usize| {
        let (before, letters) = name.split_at_checked(name.len().checked_sub(length)?)?;
        let separated = before.last().is_some_and(|byte| b"._-".contains(byte));
        (separated && mixed(letters)).then_some(length)
    };
    let whole = || (name.len() == 8 && mixed(name)).then_some(8);
    known.or_else(|| behind(6)).or_else(whole)
}

/// Every run of digits as one zero.
fn without_numbers(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        let byte = if byte.is_ascii_digit() { b'0' } else { *byte };
        if byte != b'0' || out.last() != Some(&b'0') {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(build: &str) -> Places {
        Places::new(&[build.into(), "/home/u".into()])
    }

    #[test]
    fn a_path_below_a_place_has_the_same_name_in_every_environment() {
        let stable = |build: &str, path: &str| places(build).stable_path(path.as_bytes());
        assert_eq!(stable("/a/b", "/a/b/c1/d"), stable("/x", "/x/c1/d"));
        assert_ne!(stable("/a/b", "/a/b/c1/d"), stable("/a/b", "/a/b/c2/d"));
        assert_ne!(stable("/a/b", "/a/bc"), stable("/a/b", "/a/b/c"));
        assert_eq!(stable("/a", "pipe:[12]"), stable("/a", "pipe:[3456]"));
        assert_eq!(Places::top(b"/usr/lib"), b"usr");
        assert_eq!(Places::top(b"\0/usr/lib"), b"\0");
    }

    #[test]
    fn a_file_with_random_letters_has_one_name() {
        let stable = |path: &str| places("/a").stable_name(path.as_bytes());
        for (one, other) in [
            ("sedkQz1B9", "sedabcdef"),
            ("tmp3k_x9a2q", "tmpabcdefgh"),
            ("tmp.AbC12xYz9Q", "tmp.0000000000"),
            ("x.c.Qz1B9x", "x.c.aBcdE0"),
            ("XyFq2kLm", "aBcdEfgh"),
        ] {
            let [one, other] = [one, other].map(|name| stable(&format!("/a/d/{name}")));
            if one.len() == other.len() && one.ends_with(&[0]) && other.ends_with(&[0]) {
                assert_eq!(one, other);
            } else {
                panic!("{one:?} {other:?}");
            }
        }
        for name in [
            "sedate",
            "chapter10",
            "main.module",
            "Makefile",
            "x-README",
            "tmpfile",
        ] {
            assert_eq!(
                stable(&format!("/a/{name}")),
                places("/a").stable_path(format!("/a/{name}").as_bytes())
            );
        }
    }

    #[test]
    fn an_argument_vector_forgets_places_and_numbers() {
        let stable = |build: &str, words: &str| places(build).stable_words(words.as_bytes());
        assert_eq!(
            stable("/a/b", "make\0-j2\0-C\0/a/b/sub\0"),
            stable("/other", "make\0-j16\0-C\0/other/sub\0")
        );
        assert_ne!(stable("/a", "cc\0x.c\0"), stable("/a", "cc\0y.c\0"));
        assert_eq!(
            stable("/a", "as\0-o\0x.o\0/tmp/ccKz6ZbB.s\0"),
            stable("/tmp/b", "as\0-o\0x.o\0/tmp/cc_Yw0.s\0")
        );
        assert_ne!(stable("/a", "/tmp/p.X/x\0"), stable("/a", "/tmp/p.Y/y\0"));
        assert_ne!(stable("/tmp/b", "/tmp/b/x\0"), stable("/tmp/b", "/tmp/c\0"));
    }
}
