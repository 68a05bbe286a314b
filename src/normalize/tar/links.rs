//! Hard links: which names are one file, and which of these names carries its content. A link before
//! its target cannot be extracted (GNU tar, bsdtar, Python), so that the first name in the canonical
//! order carries it, and the others name that one.

use std::collections::BTreeMap;

use super::member::{Kind, Member};
use crate::normalize::error::{Error, shown};
use crate::normalize::path::place;

/// What the names of all links may take in memory.
const MEMORY: usize = 8 << 20;

const REPACK: &str = "unpack it and pack it again with tar";

/// All hard links of an archive. Names are places, so that `./a` and `a` are one.
#[derive(Default)]
pub(super) struct Links {
    /// By the link's place: that of the member at the end of its chain.
    roots: BTreeMap<Vec<u8>, Vec<u8>>,
    /// By that place.
    groups: BTreeMap<Vec<u8>, Group>,
    weight: usize,
}

/// All names of one file.
struct Group {
    /// The ordinal of the first link to it.
    earliest: u64,
    /// The name that stands first in the order that is written.
    first: Option<Vec<u8>>,
    /// The member that has the content; `None` where it is not in the archive.
    root: Option<Member>,
}

/// What a member is among hard links.
pub(super) enum Role<'l> {
    /// Not linked.
    Alone,
    /// The name that carries what `root` is.
    Carrier { root: &'l Member },
    /// Another name of `root`.
    Link { root: &'l Member, first: &'l [u8] },
    /// Linked to something outside of the archive.
    Outside,
}

impl Links {
    /// Takes a hard link in, as the archive is read.
    pub(super) fn add(&mut self, link: &Member, large: bool) -> Result<(), Error> {
        let own = place(&link.name);
        let target = place(&link.link);
        let root = self.roots.get(&target).cloned().unwrap_or(target);
        if root == own {
            return Err(Error::broken(format!(
                "{} is a hard link to itself",
                shown(&link.name)
            )));
        }
        self.weight += 2 * own.len() + 2 * root.len() + 200;
        if self.weight > MEMORY && !large {
            return Err(Error::refused(
                "the names of its hard links take more than 8 MB",
                "if that is what you want: --large",
            ));
        }
        self.groups.entry(root.clone()).or_insert(Group {
            earliest: link.ordinal,
            first: None,
            root: None,
        });
        if self.roots.insert(own, root).is_some() {
            return Err(twice(&link.name));
        }
        Ok(())
    }

    /// Sees each member in canonical order, once: who comes first, who has the content. Where the
    /// order of the archive is kept, that is the same member.
    pub(super) fn see(&mut self, member: &Member, keep_order: bool) -> Result<(), Error> {
        let own = place(&member.name);
        if member.kind == Kind::HardLink {
            if self.groups.contains_key(&own) {
                return Err(before(&member.name));
            }
            let root = self.roots.get(&own);
            let group = root.and_then(|root| self.groups.get_mut(root));
            if let Some(group) = group.filter(|_| !keep_order) {
                group.first.get_or_insert_with(|| member.name.clone());
            }
            return Ok(());
        }
        let Some(group) = self.groups.get_mut(&own) else {
            return Ok(());
        };
        if group.root.is_some() {
            return Err(twice(&member.name));
        }
        if member.ordinal > group.earliest {
            return Err(before(&member.name));
        }
        if member.kind == Kind::Directory {
            return Err(Error::broken(format!(
                "a hard link to the directory {}",
                shown(&member.name)
            )));
        }
        group.first.get_or_insert_with(|| member.name.clone());
        group.root = Some(member.clone());
        Ok(())
    }

    /// Whether the place of a member has other names.
    pub(super) fn concern(&self, name: &[u8]) -> bool {
        let own = place(name);
        self.roots.contains_key(&own) || self.groups.contains_key(&own)
    }

    /// What a member is, once all have been seen.
    pub(super) fn role(&self, member: &Member) -> Role<'_> {
        if self.groups.is_empty() {
            return Role::Alone;
        }
        let own = place(&member.name);
        let root = match member.kind {
            Kind::HardLink => self.roots.get(&own),
            _ => Some(&own),
        };
        let Some(group) = root.and_then(|root| self.groups.get(root)) else {
            return Role::Alone;
        };
        match (&group.root, &group.first) {
            (Some(root), Some(first)) if *first == member.name => Role::Carrier { root },
            (Some(root), Some(first)) => Role::Link { root, first },
            _ => Role::Outside,
        }
    }
}

fn twice(name: &[u8]) -> Error {
    Error::refused(
        format!("{} stands twice, and has hard links", shown(name)),
        REPACK,
    )
}

fn before(name: &[u8]) -> Error {
    Error::refused(
        format!(
            "{} stands behind a hard link to it, which no tar can extract",
            shown(name)
        ),
        REPACK,
    )
}
