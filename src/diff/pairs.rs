//! The second snapshot told in the names of the first: files, members and directories whose names
//! differ in a digest alone are one, so that what is inside can be compared, and a name is a field
//! like others. Who is whose counterpart follows from the two snapshots alone.
//!
//! What both have under one name is paired. Among the rest of one directory, those are paired whose
//! names are one but for the digests: first what has the same content, then what has most in common
//! (by the sketches that were taken when it was read), then by size. Whatever is left over is present
//! in one of the two only; a name with a digest that the control does not have is told with `*` in
//! its place, because it is another one in every environment.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::tree::{Tree, name};
use crate::formats::hashed::{self, LOOKS, Look, Parts};
use crate::model::{Element, Field, Names, Observed, Renamed, Snapshot, Value};

/// A hash that more contents than this have in common says nothing.
const COMMON: usize = 64;
/// So many are looked at for one that has nothing in common with any.
const LOOKED_AT: usize = 64;

/// `other` with the names of `control`, and what they are instead in [`Snapshot::renamed`] and as
/// fields `name`.
pub fn paired<'s>(control: &Snapshot, other: &'s Snapshot) -> Cow<'s, Snapshot> {
    let mine = Tree::of(control, other);
    let theirs = Tree::of(other, control);
    if theirs.is_empty() {
        return Cow::Borrowed(other);
    }
    let mut pairs = Pairs {
        control: &mine,
        other: &theirs,
        linked: BTreeMap::new(),
        spread: [Vec::new(), Vec::new()],
    };
    pairs.inside(0, 0, false);
    let retold = pairs.retell(control, other);
    retold.map_or(Cow::Borrowed(other), Cow::Owned)
}

/// Which nodes are one.
struct Pairs<'t, 's> {
    control: &'t Tree<'s>,
    other: &'t Tree<'s>,
    /// By the other's node: the control's, and whether its name counts.
    linked: BTreeMap<usize, (usize, bool)>,
    /// Directories that only spread files by their names, and have no counterpart: the control's and
    /// the other's.
    spread: [Vec<usize>; 2],
}

/// What may be paired with each other, and what is not paired yet.
struct Candidates {
    mine: Vec<(usize, Parts)>,
    theirs: Vec<(usize, Parts)>,
}

impl Pairs<'_, '_> {
    /// Pairs what is inside of two nodes that are one; `unpacked` where these are compressed files.
    fn inside(&mut self, mine: usize, theirs: usize, unpacked: bool) {
        let left = self.control.children(mine);
        let right = self.other.children(theirs);
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for (own, node) in left {
            match right.get(own) {
                Some(other) => self.link(*node, *other, false),
                None => mine.push(*node),
            }
        }
        let only = right.iter().filter(|(own, _)| !left.contains_key(*own));
        theirs.extend(only.map(|(_, node)| *node));
        if let (true, [one], [other]) = (unpacked, mine.as_slice(), theirs.as_slice()) {
            // Called after the compressed file, and by nobody but us.
            self.link(*one, *other, false);
            return;
        }
        mine.retain(|node| self.control.is_free(*node));
        theirs.retain(|node| self.other.is_free(*node));
        self.spreading(&mut mine, &mut theirs);
        for look in LOOKS {
            if mine.is_empty() || theirs.is_empty() {
                return;
            }
            for group in groups(self, &mine, &theirs, look) {
                self.matching(group);
            }
            let paired: BTreeSet<usize> = self.linked.values().map(|(mine, _)| *mine).collect();
            mine.retain(|node| !paired.contains(node));
            theirs.retain(|node| !self.linked.contains_key(node));
        }
    }

    /// Two nodes are one, and so may be what is in them.
    fn link(&mut self, mine: usize, theirs: usize, named: bool) {
        self.linked.insert(theirs, (mine, named));
        self.inside(mine, theirs, self.control.is_compressed(mine));
    }

    /// Directories that only spread files by the first digits of their names: which there are follows
    /// from these names.
    fn spreading(&mut self, mine: &mut Vec<usize>, theirs: &mut Vec<usize>) {
        let take = |tree: &Tree<'_>, nodes: &mut Vec<usize>| {
            let all = std::mem::take(nodes).into_iter();
            let (spreading, others) = all.partition(|node| tree.only_spreads(*node));
            *nodes = others;
            let spreading: Vec<usize> = spreading;
            spreading
        };
        let (left, right) = (take(self.control, mine), take(self.other, theirs));
        let both = left.len().min(right.len());
        for (one, other) in left.iter().zip(&right) {
            self.link(*one, *other, false);
        }
        let [without, new] = &mut self.spread;
        without.extend(left.into_iter().skip(both));
        new.extend(right.into_iter().skip(both));
    }

    /// Pairs within a group: what is the same, what is alike, and the rest by size.
    fn matching(&mut self, mut group: Candidates) {
        let mut same: BTreeMap<&Value, Vec<usize>> = BTreeMap::new();
        for (index, (node, _)) in group.theirs.iter().enumerate().rev() {
            if let Some(content) = self.other.content(*node) {
                same.entry(content).or_default().push(index);
            }
        }
        let mut found = Vec::new();
        for (index, (node, _)) in group.mine.iter().enumerate() {
            let content = self.control.content(*node);
            let others = content.and_then(|content| same.get_mut(content));
            found.extend(others.and_then(Vec::pop).map(|other| (index, other)));
        }
        self.accept(&mut group, found, true);
        let found = self.alike(&group);
        self.accept(&mut group, found, true);
        self.by_size(group);
    }

    /// Pairs that have something in common, those that have the most first.
    fn alike(&self, group: &Candidates) -> Vec<(usize, usize)> {
        let mut holders: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, (node, _)) in group.theirs.iter().enumerate() {
            for hash in self.other.sketch(*node) {
                holders.entry(*hash).or_default().push(index);
            }
        }
        let mut scored = Vec::new();
        for (index, (node, _)) in group.mine.iter().enumerate() {
            let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
            let hashes = self.control.sketch(*node);
            let holders = hashes.iter().filter_map(|hash| holders.get(hash));
            for other in holders.filter(|all| all.len() <= COMMON).flatten() {
                *shared.entry(*other).or_default() += 1;
            }
            let size = self.control.size(*node);
            scored.extend(shared.into_iter().filter_map(|(other, shared)| {
                let their = self.other.size(group.theirs.get(other)?.0);
                let most = std::cmp::Reverse(shared);
                Some((most, size.abs_diff(their), index, other))
            }));
        }
        scored.sort_unstable();
        scored
            .into_iter()
            .map(|(_, _, one, other)| (one, other))
            .collect()
    }

    /// Pairs of one size, then of sizes next to each other.
    fn by_size(&mut self, mut group: Candidates) {
        let (control, other) = (self.control, self.other);
        group
            .mine
            .sort_by_key(|(node, _)| (control.size(*node), *node));
        group
            .theirs
            .sort_by_key(|(node, _)| (other.size(*node), *node));
        let mut of_size: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, (node, _)) in group.theirs.iter().enumerate().rev() {
            of_size.entry(other.size(*node)).or_default().push(index);
        }
        let mut found = Vec::new();
        for (index, (node, _)) in group.mine.iter().enumerate() {
            let others = of_size.get_mut(&control.size(*node));
            found.extend(others.and_then(Vec::pop).map(|other| (index, other)));
        }
        self.accept(&mut group, found, false);
        let mut left = group.theirs;
        let mut alone = Vec::new();
        for (mine, parts) in group.mine {
            let fits = |(node, theirs): &(usize, Parts)| {
                let names = (control.name(mine), other.name(*node));
                hashed::is_one((names.0, &parts), (names.1, theirs), false)
            };
            if let Some(at) = left.iter().take(LOOKED_AT).position(fits) {
                let (theirs, _) = left.remove(at);
                self.link(mine, theirs, true);
            } else {
                alone.push((mine, parts));
            }
        }
        // As many on either side, and nothing else that they could be.
        if alone.len() == left.len() {
            for ((mine, parts), (node, theirs)) in alone.into_iter().zip(left) {
                let names = (control.name(mine), other.name(node));
                if hashed::may_be_one_name((names.0, &parts), (names.1, &theirs)) {
                    self.link(mine, node, true);
                }
            }
        }
    }

    /// Links those of the pairs whose names are one, and takes them out of the group.
    fn accept(&mut self, group: &mut Candidates, pairs: Vec<(usize, usize)>, alike: bool) {
        let (mut mine, mut theirs) = (BTreeSet::new(), BTreeSet::new());
        for (one, other) in pairs {
            let (Some((left, of_left)), Some((right, of_right))) =
                (group.mine.get(one), group.theirs.get(other))
            else {
                continue;
            };
            let names = (self.control.name(*left), self.other.name(*right));
            if !mine.contains(&one)
                && !theirs.contains(&other)
                && hashed::is_one((names.0, of_left), (names.1, of_right), alike)
            {
                let (left, right) = (*left, *right);
                mine.insert(one);
                theirs.insert(other);
                self.link(left, right, true);
            }
        }
        let without = |all: &mut Vec<(usize, Parts)>, gone: &BTreeSet<usize>| {
            let mut index = 0;
            all.retain(|_| {
                index += 1;
                !gone.contains(&(index - 1))
            });
        };
        without(&mut group.mine, &mine);
        without(&mut group.theirs, &theirs);
    }

    /// The other snapshot in the control's names; `None` where they are its own.
    fn retell(&self, control: &Snapshot, other: &Snapshot) -> Option<Snapshot> {
        let mut told = Told::default();
        self.tell(0, Some(0), "", control, &mut told);
        if told.paths.is_empty() && self.spread.iter().all(Vec::is_empty) {
            return None;
        }
        let [without, new] = &self.spread;
        let gone: BTreeSet<&str> = new
            .iter()
            .flat_map(|node| self.other.below(*node))
            .collect();
        let mut snapshot = Snapshot {
            near_misses: other.near_misses.clone(),
            made: other.made.clone(),
            ..Snapshot::default()
        };
        let path = |own: &String| told.paths.get(own).unwrap_or(own).clone();
        for item in other.elements.iter() {
            if gone.contains(&**item.path) {
                continue;
            }
            let mut observed = item.observed();
            let to = match told.paths.get(&**item.path) {
                Some(to) => Arc::from(to.as_str()),
                None => Arc::clone(item.path),
            };
            if let Value::Order(names) = &mut observed.value {
                told.order(item.path, &to, names);
            }
            let element = Element::new(to, item.field.clone());
            snapshot.elements.insert(element, observed);
        }
        let outputs = other.outputs.iter();
        let outputs = outputs.filter(|(own, _)| !gone.contains(own.as_str()));
        snapshot.outputs = outputs
            .map(|(own, decides)| (path(own), *decides))
            .collect();
        let problems = other.problems.iter();
        snapshot.problems = problems
            .map(|(own, text)| (path(own), text.clone()))
            .collect();
        for name in without.iter().flat_map(|node| self.control.below(*node)) {
            let all = control.elements.of_path(name);
            let all = all.map(|item| (item.element(), item.observed()));
            snapshot.elements.extend(all);
            let output = control.outputs.get_key_value(name);
            let output = output.map(|(path, decides)| (path.clone(), *decides));
            snapshot.outputs.extend(output);
        }
        let names = told.renamed.values().filter_map(|r| r.names.as_ref());
        snapshot.elements.extend(names.map(|names| {
            let observed = Observed {
                value: Value::Text(names.own.clone()),
                offset: None,
            };
            (Element::new(names.element.as_str(), Field::NAME), observed)
        }));
        snapshot.renamed = told.renamed;
        Some(snapshot)
    }

    /// Notes how everything below a node of the other is called.
    fn tell(
        &self,
        theirs: usize,
        mine: Option<usize>,
        prefix: &str,
        control: &Snapshot,
        told: &mut Told,
    ) {
        let own = self.other.path(theirs);
        if own != prefix {
            told.paths.insert(own.to_owned(), prefix.to_owned());
        }
        for (step, child) in self.other.children(theirs) {
            let linked = self.linked.get(child);
            let path = match linked {
                Some((node, _)) => self.control.path(*node).to_owned(),
                None if mine.is_some() && self.other.is_free(*child) => {
                    told.unpaired(prefix, step, control)
                }
                None => format!("{prefix}{step}"),
            };
            let counts = linked.filter(|(_, named)| *named);
            let names = counts.and_then(|(node, _)| {
                Some(Names {
                    element: self.control.below(*node).next()?.to_owned(),
                    control: self.control.name(*node).to_owned(),
                    own: name(step).to_owned(),
                })
            });
            if !path.ends_with(step) || path.len() != prefix.len() + step.len() {
                let renamed = Renamed {
                    path: self.other.path(*child).to_owned(),
                    names,
                };
                told.renamed.insert(path.clone(), renamed);
            }
            self.tell(*child, linked.map(|(node, _)| *node), &path, control, told);
        }
    }
}

/// How the other's paths are called.
#[derive(Default)]
struct Told {
    /// By its own path, where they differ.
    paths: BTreeMap<String, String>,
    renamed: BTreeMap<String, Renamed>,
}

impl Told {
    /// What has no counterpart in the control: a digest in its name is another one in every
    /// environment, and says nothing.
    fn unpaired(&self, prefix: &str, step: &str, control: &Snapshot) -> String {
        let own = name(step);
        let separator = step.get(..step.len() - own.len()).unwrap_or_default();
        let Some(masked) = hashed::masked(own) else {
            return format!("{prefix}{step}");
        };
        let masked = format!("{prefix}{separator}{masked}");
        let numbered = (2..).map(|number| format!("{masked}#{number}"));
        let mut names = std::iter::once(masked.clone()).chain(numbered);
        let free =
            |path: &String| !self.renamed.contains_key(path) && !super::tree::occurs(control, path);
        names.find(free).unwrap_or_default()
    }

    /// The names in an order: what was renamed itself keeps its own, and is thus not compared, for
    /// where it stands follows from its name.
    fn order(&self, own: &str, to: &str, names: &mut [String]) {
        for name in names {
            let Some(path) = self.paths.get(&format!("{own}!/{name}")) else {
                continue;
            };
            let inside = path
                .strip_prefix(to)
                .and_then(|path| path.strip_prefix("!/"));
            if let Some(inside) = inside.filter(|_| !self.renamed.contains_key(path)) {
                inside.clone_into(name);
            }
        }
    }
}

/// What is not paired yet, by the kind and by the name without digests.
fn groups(pairs: &Pairs<'_, '_>, mine: &[usize], theirs: &[usize], look: Look) -> Vec<Candidates> {
    let mut groups: BTreeMap<(String, &str), Candidates> = BTreeMap::new();
    let empty = || Candidates {
        mine: Vec::new(),
        theirs: Vec::new(),
    };
    for node in mine {
        if let Some(parts) = hashed::parts(pairs.control.name(*node), look) {
            let key = (parts.rest.clone(), pairs.control.kind(*node));
            groups
                .entry(key)
                .or_insert_with(empty)
                .mine
                .push((*node, parts));
        }
    }
    for node in theirs {
        if let Some(parts) = hashed::parts(pairs.other.name(*node), look) {
            let key = (parts.rest.clone(), pairs.other.kind(*node));
            groups
                .entry(key)
                .or_insert_with(empty)
                .theirs
                .push((*node, parts));
        }
    }
    let both = |group: &Candidates| !group.mine.is_empty() && !group.theirs.is_empty();
    groups.into_values().filter(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::{Judged, compare};

    fn snapshot(files: &[(&str, &str, u64, &[u32])]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (path, content, size, sketch) in files {
            let mut put = |field: Field, value: Value| {
                let observed = Observed {
                    value,
                    offset: None,
                };
                snapshot
                    .elements
                    .insert(Element::new(*path, field), observed);
            };
            put(Field::PRESENCE, Value::Text("present".into()));
            let sha256 = (*content).to_owned();
            put(
                Field::CONTENT,
                Value::Digest {
                    sha256,
                    size: *size,
                },
            );
            let element = Element::new(*path, Field::CONTENT);
            snapshot.outputs.insert(element.output().to_owned(), true);
            if !sketch.is_empty() {
                snapshot
                    .sketches
                    .insert((*path).to_owned(), sketch.to_vec());
            }
        }
        snapshot
    }

    fn differing(control: &Snapshot, other: &Snapshot) -> Vec<String> {
        let compared = compare(control, &paired(control, other), Judged::default());
        let shown = |element: &Element| format!("{} {}", element.path, element.field);
        compared.differing().map(shown).collect()
    }

    #[test]
    fn what_is_the_same_but_for_its_name_differs_in_its_name() {
        let control = snapshot(&[
            ("d.tar!/d/4f2a91c0d3", "x", 2, &[]),
            ("d.tar!/d/b0b1c2d3e4", "y", 2, &[]),
        ]);
        let other = snapshot(&[
            ("d.tar!/d/0a1b2c3d4e", "y", 2, &[]),
            ("d.tar!/d/f0e1d2c3b4", "x", 2, &[]),
        ]);
        let told = paired(&control, &other);
        let own = |path: &str| told.renamed[path].path.clone();
        assert_eq!(own("d.tar!/d/4f2a91c0d3"), "d.tar!/d/f0e1d2c3b4");
        assert_eq!(
            differing(&control, &other),
            ["d.tar!/d/4f2a91c0d3 name", "d.tar!/d/b0b1c2d3e4 name"]
        );
    }

    #[test]
    fn what_has_most_in_common_is_one_whatever_its_size() {
        let control = snapshot(&[
            ("a-4f2a91c0.js", "1", 10, &[1, 2, 3, 4]),
            ("a-90c3b7de.js", "2", 20, &[5, 6, 7, 8]),
        ]);
        let other = snapshot(&[
            ("a-1c2d3e4f.js", "3", 10, &[5, 6, 7, 9]),
            ("a-5f6e7d8c.js", "4", 20, &[1, 2, 3, 9]),
        ]);
        let told = paired(&control, &other);
        assert_eq!(told.renamed["a-4f2a91c0.js"].path, "a-5f6e7d8c.js");
        assert_eq!(told.renamed["a-90c3b7de.js"].path, "a-1c2d3e4f.js");
    }

    #[test]
    fn what_is_left_over_alone_is_one_although_its_digests_look_like_words() {
        for (one, other) in [
            ("i-aiPhaWwt.js", "i-Dqkvmxws.js"),
            ("i-12345a.js", "i-98765b.js"),
            ("i.aiPhaWwt.js", "i.Dq-vmxws.js"),
        ] {
            let control = snapshot(&[("x", "0", 1, &[]), (one, "1", 10, &[])]);
            let changed = snapshot(&[("x", "0", 1, &[]), (other, "2", 12, &[])]);
            let both = [format!("{one} content"), format!("{one} name")];
            assert_eq!(differing(&control, &changed), both);
        }
        for (one, other) in [
            ("log-20261128.txt", "log-19990131.txt"),
            ("a-monday.txt", "a-friday.txt"),
            ("a-1234567.txt", "a-9876543.txt"),
        ] {
            let control = snapshot(&[(one, "1", 10, &[])]);
            let changed = snapshot(&[(other, "2", 12, &[])]);
            let absent = differing(&control, &changed);
            assert!(absent.contains(&format!("{one} presence")), "{absent:?}");
        }
    }

    #[test]
    fn of_many_with_other_names_those_that_are_left_over_are_absent() {
        let names = ["4f2a91c0", "90c3b7de", "1c2d3e4f"].map(|n| format!("a-{n}.js"));
        let files: Vec<_> = names
            .iter()
            .map(|n| (n.as_str(), n.as_str(), 5, &[][..]))
            .collect();
        let control = snapshot(&files);
        let other = snapshot(&[
            (&names[0], &names[0], 5, &[]),
            ("a-77e6f5d4.js", "new", 5, &[]),
        ]);
        assert_eq!(
            differing(&control, &other),
            [
                "a-1c2d3e4f.js content",
                "a-1c2d3e4f.js name",
                "a-90c3b7de.js presence"
            ]
        );
        // The other way round, what is new has no name of its own.
        assert_eq!(
            differing(&other, &control),
            [
                "a-*.js presence",
                "a-77e6f5d4.js content",
                "a-77e6f5d4.js name"
            ]
        );
    }

    #[test]
    fn what_is_in_a_directory_with_another_name_is_compared_and_only_the_directory_is_renamed() {
        let (a, b) = (
            "nix/store/1h5sxbq4vnrnimdpzw5mxrpmsqp4yhc3-hello",
            "nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello",
        );
        let paths = |root: &str| ["bin/hello", "share/man.gz"].map(|file| format!("{root}/{file}"));
        let (mine, theirs) = (paths(a), paths(b));
        let control = snapshot(&[(&mine[0], "1", 1, &[]), (&mine[1], "2", 1, &[])]);
        let other = snapshot(&[(&theirs[0], "1", 1, &[]), (&theirs[1], "3", 1, &[])]);
        assert_eq!(
            differing(&control, &other),
            [format!("{} name", mine[0]), format!("{} content", mine[1])]
        );
        let told = paired(&control, &other);
        assert_eq!(told.renamed[a].path, b);
        assert_eq!(told.renamed.len(), 1);
    }

    #[test]
    fn directories_that_spread_files_follow_the_names_of_these() {
        let object = |digits: &str| format!("r.tar!/objects/{}/{}", &digits[..2], &digits[2..]);
        let files = |names: [&str; 2]| {
            let mut paths = Vec::new();
            for name in names {
                paths.push(format!("r.tar!/objects/{}/", &name[..2]));
                paths.push(object(name));
            }
            paths
        };
        let of = |paths: &[String]| {
            let all: Vec<_> = paths
                .iter()
                .map(|path| (path.as_str(), "c", 1, &[][..]))
                .collect();
            snapshot(&all)
        };
        // Two directories here and one there.
        let control = of(&files(["4f2a91c0d3e4f5", "90c3b7de112233"]));
        let other = of(&files(["77e6f5d4c3b2a1", "77b6f5d4c3b2a0"]));
        let names: Vec<String> = ["4f2a91c0d3e4f5", "90c3b7de112233"]
            .iter()
            .map(|name| format!("{} name", object(name)))
            .collect();
        assert_eq!(differing(&control, &other), names);
        assert_eq!(differing(&other, &control).len(), 2);
    }

    #[test]
    fn a_compressed_file_and_what_it_holds_are_renamed_once() {
        let files = |digest: &str, content: &str| {
            let gz = format!("a-{digest}.tar.gz");
            let tar = format!("{gz}!/a-{digest}.tar");
            let member = format!("{tar}!/x");
            let mut snapshot = snapshot(&[
                (&gz, content, 1, &[]),
                (&tar, content, 1, &[]),
                (&member, content, 1, &[]),
            ]);
            let observed = Observed {
                value: Value::Text("0".into()),
                offset: None,
            };
            let mtime = Element::new(gz, Field::new("gzip.mtime"));
            snapshot.elements.insert(mtime, observed);
            snapshot
        };
        assert_eq!(
            differing(&files("4f2a91c0", "1"), &files("90c3b7de", "2")),
            [
                "a-4f2a91c0.tar.gz name",
                "a-4f2a91c0.tar.gz!/a-4f2a91c0.tar!/x content"
            ]
        );
    }

    #[test]
    fn where_a_renamed_member_stands_follows_from_its_name() {
        let of = |order: &[&str]| {
            let paths: Vec<String> = order.iter().map(|name| format!("x.tar!/{name}")).collect();
            let files: Vec<_> = paths
                .iter()
                .map(|path| (path.as_str(), "c", 1, &[][..]))
                .collect();
            let mut snapshot = snapshot(&files);
            let order = order.iter().map(|name| (*name).to_owned()).collect();
            let observed = Observed {
                value: Value::Order(order),
                offset: None,
            };
            let element = Element::new("x.tar", Field::new("tar.order"));
            snapshot.elements.insert(element, observed);
            snapshot
        };
        let control = of(&["d-4f2a91c0/a", "d-4f2a91c0/b", "m", "z"]);
        let moved = of(&["m", "d-90c3b7de/a", "d-90c3b7de/b", "z"]);
        assert_eq!(differing(&control, &moved), ["x.tar!/d-4f2a91c0/a name"]);
        let inside = of(&["d-90c3b7de/b", "d-90c3b7de/a", "m", "z"]);
        let expected = ["x.tar tar.order", "x.tar!/d-4f2a91c0/a name"];
        assert_eq!(differing(&control, &inside), expected);
    }

    #[test]
    fn a_name_that_both_have_is_never_given_to_something_else() {
        let control = snapshot(&[
            ("a-4f2a91c0.js", "1", 1, &[]),
            ("a-90c3b7de.js", "2", 1, &[]),
        ]);
        let other = snapshot(&[("a-4f2a91c0.js", "2", 1, &[])]);
        assert_eq!(
            differing(&control, &other),
            ["a-4f2a91c0.js content", "a-90c3b7de.js presence"]
        );
    }
}
