//! Paths of members: their order, component by component, and when two of them are the same file.

use std::cmp::Ordering;

/// The steps of a path; what says nothing (`.`, doubled slashes) is left out, so that `./a`, `a` and
/// `/a`, which are extracted to one place, are one path.
pub(super) fn steps(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|step| !step.is_empty() && *step != b".")
}

/// The order of GNU tar's `--sort=name`: a directory, then what is in it, names by their bytes.
pub(super) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    steps(one).cmp(steps(other))
}

/// One spelling for all names of a place.
pub(super) fn place(path: &[u8]) -> Vec<u8> {
    steps(path).collect::<Vec<_>>().join(&0)
}

/// Whether `inner` lies below `outer`.
pub(super) fn is_below(inner: &[u8], outer: &[u8]) -> bool {
    let mut inner = steps(inner);
    steps(outer).all(|step| inner.next() == Some(step)) && inner.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_before_what_is_in_it_and_that_before_longer_names() {
        let mut paths = [b"p/a.c".as_slice(), b"p/a-b", b"p/a/x", b"p/a/", b"p/"];
        paths.sort_by(|one, other| compare(one, other));
        assert_eq!(
            paths,
            [b"p/".as_slice(), b"p/a/", b"p/a/x", b"p/a-b", b"p/a.c"]
        );
    }

    #[test]
    fn places_do_not_depend_on_how_they_are_written() {
        assert_eq!(place(b"./a//b/"), place(b"/a/b"));
        assert_ne!(place(b"a/b"), place(b"a-b"));
        assert!(is_below(b"./a/b", b"a/") && !is_below(b"a", b"a") && !is_below(b"ab/c", b"a"));
    }
}
