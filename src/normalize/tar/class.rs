//! What an archive is for, told by what it holds: in an exchange archive owners and modes are
//! accidents, in a system image they are content. Whatever could be either is refused.

use std::collections::BTreeSet;

use super::member::{Kind, Member, Owner};
use crate::normalize::error::{Error, shown};
use crate::normalize::options::Class;
use crate::normalize::path::steps;

/// Directories of a system; two of them at the top are one.
const TOP: [&[u8]; 5] = [b"usr", b"etc", b"bin", b"lib", b"var"];

/// What was seen of the members.
#[derive(Default)]
pub(super) struct Signs {
    owner: Option<Owner>,
    tops: BTreeSet<&'static [u8]>,
    /// What speaks against an exchange archive first.
    against: Option<String>,
}

impl Signs {
    pub(super) fn see(&mut self, member: &Member) {
        let owner = self.owner.get_or_insert_with(|| member.owner.clone());
        let name = || shown(&member.name);
        let last = steps(&member.name).last().unwrap_or_default();
        let top = steps(&member.name).next();
        self.tops
            .extend(TOP.iter().find(|known| top == Some(**known)));
        if self.against.is_some() {
            return;
        }
        self.against = if *owner != member.owner {
            Some(format!("{} has another owner than the first", name()))
        } else if member.mode & 0o7000 != 0 && member.kind != Kind::Symlink {
            let mode = member.mode;
            Some(format!("{} has the special mode {mode:04o}", name()))
        } else if member.kind.is_device() || member.kind == Kind::Fifo {
            Some(format!("{} is a device or a pipe", name()))
        } else if member.attributes {
            Some(format!("{} has extended attributes", name()))
        } else if last.starts_with(b".wh.") {
            Some(format!("{} is a whiteout", name()))
        } else if self.tops.len() > 1 {
            Some(format!("{} belongs to a root file system", name()))
        } else {
            None
        };
    }

    pub(super) fn class(self) -> Result<Class, Error> {
        match self.against {
            None => Ok(Class::Exchange),
            Some(against) => Err(Error::refused(
                format!("it may be a system image, whose owners and modes are content: {against}"),
                "say which it is: --class exchange (owner 0, modes 644 and 755) or --class system (both kept)",
            )),
        }
    }
}
