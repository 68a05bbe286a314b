//! Which pass of a normaliser removes a difference, if any does.

use std::collections::BTreeSet;

use crate::formats;
use crate::model::difference::{Both, Difference};
use crate::model::{Element, Field, Snapshot};

/// Packages that are installed as they stand: owners and modes in them are content.
const INSTALLED: [&str; 4] = [".deb", ".udeb", ".ipk", ".rpm"];
/// The right to run a file, whoever has it.
const RUN: u32 = 0o111;

/// The pass that removes the difference of an element, which the first snapshot has.
pub fn removed_by(
    first: &Snapshot,
    element: &Element,
    values: &Both<Option<String>>,
) -> Option<String> {
    if element.field == Field::CONTENT {
        return recompressed(first, &element.path);
    }
    let pass = formats::pass(&element.field)?;
    if pass == "ar-mode" {
        // Set for all members, whatever they were: what they are for is told by their names.
        return Some(pass);
    }
    let sets_mode = pass.ends_with("-mode");
    let sets_owner = sets_mode || pass.ends_with("-owner");
    if sets_owner && pass.starts_with("tar-") && is_installed(&element.path) {
        return None;
    }
    if sets_mode && !same_but_for_rights(values) {
        return None;
    }
    Some(pass)
}

/// Bytes of a compressed file in which nothing differs are another form of the same.
fn recompressed(first: &Snapshot, path: &str) -> Option<String> {
    let inside = format!("{path}!/");
    let payload = first.elements.first_path_from(&inside)?;
    let name = payload.strip_prefix(&inside)?;
    let outer = path.rsplit("!/").next()?;
    formats::compression_pass(outer, name)
}

fn is_installed(path: &str) -> bool {
    let mut around = path.split("!/");
    around.any(|step| INSTALLED.iter().any(|ending| step.ends_with(ending)))
}

/// Whether two modes agree in what a normaliser keeps: the kind of file, and whether it can be run.
fn same_but_for_rights(values: &Both<Option<String>>) -> bool {
    let kept = |value: &Option<String>| {
        let mode = value.as_deref()?.split(' ').next()?;
        let mode = u32::from_str_radix(mode, 8).ok()?;
        // Bits above the permissions: set-user-ID, set-group-ID and sticky go, kinds of files stay.
        Some((mode & !0o7777, mode & RUN != 0))
    };
    let first = kept(&values.first);
    first.is_some() && first == kept(&values.second)
}

/// The passes of all differences, sorted; none where one of them is not removed by any.
pub(super) fn of_all(differences: &[Difference]) -> Vec<String> {
    let passes: Option<BTreeSet<&String>> = differences
        .iter()
        .map(|difference| difference.removed_by.as_ref())
        .collect();
    passes.into_iter().flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(path: &str, field: &str, values: [&str; 2]) -> Option<String> {
        let [first, second] = values.map(|value| Some(value.to_owned()));
        let element = Element::new(path, Field::from(field));
        removed_by(&Snapshot::default(), &element, &Both { first, second })
    }

    #[test]
    fn what_a_normaliser_sets_is_removed_and_content_is_not() {
        let of = |field: &str| removed("x.tar!/a", field, ["1", "2"]);
        assert_eq!(of("tar.mtime").unwrap(), "tar-time");
        assert_eq!(of("tar.uname").unwrap(), "tar-owner");
        assert_eq!(of("tar.link-target"), None);
        assert_eq!(of("content"), None);
        assert_eq!(of("presence"), None);
        assert_eq!(removed("x.a", "ar.order", ["a b", "b a"]), None);
        let of_a_part = removed("x.deb!/control.tar.xz", "ar.mode", ["100644", "644"]);
        assert_eq!(of_a_part.unwrap(), "ar-mode");
    }

    #[test]
    fn modes_are_removed_but_for_the_right_to_run_and_in_packages_that_are_installed() {
        let of = |path: &str, values| removed(path, "tar.mode", values);
        assert_eq!(of("x.tar!/a", ["0644", "0600"]).unwrap(), "tar-mode");
        assert_eq!(of("x.tar!/a", ["0755", "0700"]).unwrap(), "tar-mode");
        assert_eq!(of("x.tar!/a", ["0644", "0755"]), None);
        assert_eq!(of("x.tar!/a", ["0644", "0645"]), None);
        assert_eq!(
            of("x.deb!/data.tar.xz!/data.tar!/a", ["0644", "0600"]),
            None
        );
        let zip = |values| removed("x.zip!/a", "zip.attributes", values);
        assert_eq!(zip(["100644", "100600"]).unwrap(), "zip-mode");
        assert_eq!(zip(["100644", "120644"]), None);
        assert_eq!(zip(["0x00000020", "0x00000010"]), None);
    }
}
