//! What one snapshot has and another has not, as a tree of names: directories, archives, and what is
//! in them.

use std::collections::BTreeMap;

use crate::formats::{self, hashed, sketch};
use crate::model::{Field, Snapshot, Value};

/// The paths that only one of two snapshots has, and everything above them.
pub(super) struct Tree<'s> {
    nodes: Vec<Node<'s>>,
    theirs: &'s Snapshot,
}

/// One name.
#[derive(Default)]
struct Node<'s> {
    path: &'s str,
    /// The name, with the separator before it.
    step: &'s str,
    /// By step.
    children: BTreeMap<&'s str, usize>,
    /// It is an element's path itself.
    known: bool,
    content: Option<&'s Value>,
    kind: &'s str,
    /// Of its content and of everything inside, where the name may hold a digest.
    sketch: Vec<u32>,
    compressed: bool,
}

impl<'s> Tree<'s> {
    /// What `mine` has and `theirs` has not.
    pub(super) fn of(mine: &'s Snapshot, theirs: &'s Snapshot) -> Self {
        let mut tree = Self {
            nodes: vec![Node::default()],
            theirs,
        };
        for (path, fields) in mine.elements.paths() {
            if theirs.elements.has_path(path) {
                continue;
            }
            let nodes = tree.insert(path);
            tree.sketch_of(mine, path, &nodes);
            for (field, value) in fields.iter() {
                tree.observe(path, &nodes, field, value);
            }
        }
        tree
    }

    /// The nodes from the root to a path.
    fn insert(&mut self, path: &'s str) -> Vec<usize> {
        let mut node = 0;
        let mut nodes = Vec::new();
        let mut end = 0;
        for step in steps(path) {
            end += step.len();
            let next = self.nodes.len();
            let Some(parent) = self.nodes.get_mut(node) else {
                break;
            };
            node = *parent.children.entry(step).or_insert(next);
            if node == next {
                self.nodes.push(Node {
                    path: path.get(..end).unwrap_or(path),
                    step,
                    ..Node::default()
                });
            }
            nodes.push(node);
        }
        if let Some(node) = self.nodes.get_mut(node) {
            node.known = true;
        }
        nodes
    }

    fn sketch_of(&mut self, mine: &Snapshot, path: &str, nodes: &[usize]) {
        let Some(hashes) = mine.sketches.get(path) else {
            return;
        };
        for number in nodes {
            if let Some(node) = self.nodes.get_mut(*number)
                && hashed::may_hold(name(node.step))
            {
                for hash in hashes {
                    sketch::keep(&mut node.sketch, *hash);
                }
            }
        }
    }

    fn observe(&mut self, path: &str, nodes: &[usize], field: &Field, value: &'s Value) {
        let Some((last, above)) = nodes.split_last().filter(|_| *field != Field::NAME) else {
            return;
        };
        for number in above {
            if let Some(node) = self.nodes.get_mut(*number)
                && hashed::may_hold(name(node.step))
            {
                let inside = path.get(node.path.len()..).unwrap_or_default();
                let told = format!("{inside} {field} {value}");
                sketch::keep(&mut node.sketch, sketch::hash(&told));
            }
        }
        let Some(node) = self.nodes.get_mut(*last) else {
            return;
        };
        if *field == Field::CONTENT {
            node.content = Some(value);
        }
        if let (true, Value::Text(kind)) = (is_kind(field), value) {
            node.kind = kind;
        }
        node.compressed |= formats::is_compressed_file(field);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    fn node(&self, number: usize) -> Option<&Node<'s>> {
        self.nodes.get(number)
    }

    pub(super) fn children(&self, number: usize) -> &BTreeMap<&'s str, usize> {
        static NONE: BTreeMap<&str, usize> = BTreeMap::new();
        self.node(number).map_or(&NONE, |node| &node.children)
    }

    pub(super) fn path(&self, number: usize) -> &'s str {
        self.node(number).map_or("", |node| node.path)
    }

    /// The name without the separator before it.
    pub(super) fn name(&self, number: usize) -> &'s str {
        name(self.node(number).map_or("", |node| node.step))
    }

    pub(super) fn content(&self, number: usize) -> Option<&'s Value> {
        self.node(number)?.content
    }

    pub(super) fn kind(&self, number: usize) -> &'s str {
        self.node(number).map_or("", |node| node.kind)
    }

    pub(super) fn sketch(&self, number: usize) -> &[u32] {
        self.node(number).map_or(&[], |node| &node.sketch)
    }

    pub(super) fn size(&self, number: usize) -> u64 {
        match self.content(number) {
            Some(Value::Digest { size, .. }) => *size,
            _ => 0,
        }
    }

    pub(super) fn is_compressed(&self, number: usize) -> bool {
        self.node(number).is_some_and(|node| node.compressed)
    }

    /// Whether the other snapshot has nothing of this name.
    pub(super) fn is_free(&self, number: usize) -> bool {
        !occurs(self.theirs, self.path(number))
    }

    /// Whether it is a directory that only spreads the files in it by the beginning of their names.
    pub(super) fn only_spreads(&self, number: usize) -> bool {
        let Some(node) = self.node(number) else {
            return false;
        };
        let parent = node.path.len() - node.step.len();
        let above = node.path.get(..parent).unwrap_or_default();
        // The nodes of one parent are few and stand in a row: look the next one up.
        let files = format!("{}/", node.step);
        let parent = self.find(above);
        let mut next = self.children(parent).range(files.as_str()..);
        next.next()
            .is_some_and(|(step, _)| step.starts_with(&files))
    }

    fn find(&self, path: &str) -> usize {
        let mut node = 0;
        for step in steps(path) {
            node = self.children(node).get(step).copied().unwrap_or_default();
        }
        node
    }

    /// The paths of elements at a node and below it, in their order.
    pub(super) fn below(&self, number: usize) -> impl Iterator<Item = &'s str> {
        let mut found = Vec::new();
        let mut open = vec![number];
        while let Some(number) = open.pop() {
            let Some(node) = self.node(number) else {
                continue;
            };
            if node.known {
                found.push(node.path);
            }
            open.extend(node.children.values());
        }
        found.sort_unstable();
        found.into_iter()
    }
}

/// Whether a snapshot has a path, or anything below it.
pub(super) fn occurs(snapshot: &Snapshot, path: &str) -> bool {
    let elements = &snapshot.elements;
    elements.has_path(path)
        || ["!/", "/"].iter().any(|separator| {
            let below = format!("{path}{separator}");
            let found = elements.first_path_from(&below);
            found.is_some_and(|found| found.starts_with(&below))
        })
}

/// A step without the separator before it.
pub(super) fn name(step: &str) -> &str {
    let step = step.strip_prefix('!').unwrap_or(step);
    step.strip_prefix('/').unwrap_or(step)
}

fn is_kind(field: &Field) -> bool {
    *field == Field::KIND || field.as_str() == "tar.type"
}

/// A path cut before each separator; directories that spread files are one step with them.
fn steps(path: &str) -> Vec<&str> {
    let mut ends = Vec::new();
    let mut at = 0;
    for archive in path.split("!/") {
        let names: Vec<&str> = archive.split('/').collect();
        let mut index = 0;
        while index < names.len() {
            let most = names.len().min(index + 5);
            let spread = (index + 2..=most).rev().find(|end| {
                let run = names.get(index..*end).unwrap_or_default();
                hashed::depth(run) == run.len()
            });
            let end = spread.unwrap_or(index + 1);
            let run = names.get(index..end).unwrap_or_default();
            let length: usize = run.iter().map(|name| name.len()).sum();
            at += length + run.len() - 1;
            ends.push(at);
            // The separator belongs to the next step.
            at += 1;
            index = end;
        }
        at += 1;
    }
    let mut start = 0;
    let mut steps = Vec::new();
    for end in ends {
        steps.extend(
            path.get(start..end)
                .filter(|step| !step.is_empty() || start == 0),
        );
        start = end;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_steps_put_together() {
        for (path, expected) in [
            ("a/b.tar!/c/d", vec!["a", "/b.tar", "!/c", "/d"]),
            ("x.tar!/d/", vec!["x.tar", "!/d", "/"]),
            (
                "r.tar!/r/.git/objects/ab/cdef0123456789abcdef",
                vec![
                    "r.tar",
                    "!/r",
                    "/.git",
                    "/objects",
                    "/ab/cdef0123456789abcdef",
                ],
            ),
            (
                "ab/cdef0123456789abcdef/x",
                vec!["ab/cdef0123456789abcdef", "/x"],
            ),
            ("/etc/x", vec!["", "/etc", "/x"]),
            ("a!/b!/c", vec!["a", "!/b", "!/c"]),
        ] {
            assert_eq!(steps(path), expected);
            assert_eq!(steps(path).concat(), path);
        }
    }
}
