//! Whose rights a worker thread uses when it looks at files: those of the process that asks, which
//! only root can take on, and its own again.

use super::tracee::Tracees;
use crate::sandbox::sys::tracee as sys;

/// Whose rights a look-up uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) user: u32,
    pub(super) group: u32,
    groups: Vec<u32>,
    /// `CapEff`.
    capabilities: u64,
}

/// The ids of a user namespace, `user_namespaces(7)`: first inside, first outside, count.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct IdMap(Vec<[u32; 3]>);

impl IdMap {
    /// Every id is itself.
    pub(super) fn same() -> Self {
        Self(vec![[0, 0, u32::MAX]])
    }

    pub(super) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split_ascii_whitespace().map(|word| word.parse().ok());
            Some([words.next()??, words.next()??, words.next()??])
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Whether the namespace has this id.
    pub(super) fn names(&self, id: u32) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|[inside, _, count]| id.checked_sub(*inside).is_some_and(|far| far < *count))
    }

    pub(super) fn inside(&self, outside: u32) -> u32 {
        let mut ranges = self.0.iter();
        ranges
            .find_map(|[inside, from, count]| {
                let distance = outside.checked_sub(*from)?;
                (distance < *count).then(|| inside + distance)
            })
            // What the kernel shows for ids without a name (overflowuid).
            .unwrap_or(65534)
    }
}

impl Identity {
    /// From `/proc/TID/status`, proc(5).
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        // Real, effective, saved, file system.
        let last = |name: &str| field(name)?.split_ascii_whitespace().nth(3)?.parse().ok();
        Some(Self {
            user: last("Uid:")?,
            group: last("Gid:")?,
            groups: field("Groups:")?
                .split_ascii_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect(),
            capabilities: u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?,
        })
    }

    pub(super) fn of(tracees: &Tracees, process: &str) -> Option<Self> {
        let text = tracees.read_proc(&format!("{process}/status")).ok()?;
        Self::parse(&String::from_utf8_lossy(&text))
    }
}

/// What a worker thread keeps of its own: as whom it looks things up at the moment.
#[derive(Debug, Default)]
pub(super) struct Guise {
    own: Option<Identity>,
    current: Option<Identity>,
}

impl Guise {
    /// Takes on the rights of a process for look-ups, as far as this process may.
    pub(super) fn assume(&mut self, tracees: &Tracees, wanted: &Identity) {
        let own = match &self.own {
            Some(own) => own,
            None => self.own.insert(
                // Without it nobody could be another anyway.
                Identity::of(tracees, "thread-self").unwrap_or_else(|| wanted.clone()),
            ),
        };
        // Only root can be somebody else; others supervise their own processes.
        if own.user != 0 || self.current.as_ref() == Some(wanted) {
            return;
        }
        let known = self.current.as_ref().unwrap_or(own);
        if known != wanted {
            sys::look_up_as(
                wanted.user,
                wanted.group,
                &wanted.groups,
                wanted.capabilities,
            );
        }
        self.current = Some(wanted.clone());
    }

    /// Takes on its own rights again.
    pub(super) fn drop(&mut self) {
        if let (Some(own), true) = (self.own.clone(), self.current.is_some()) {
            sys::look_up_as(own.user, own.group, &own.groups, own.capabilities);
            self.current = Some(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shown_as_the_user_namespace_names_them() {
        let map = IdMap::parse("      1000          0          1\n 2000 100000 65536\n");
        assert_eq!(map.inside(0), 1000);
        assert_eq!(map.inside(100_005), 2005);
        assert_eq!(map.inside(7), 65534);
        assert!([1000, 2000, 67_535].iter().all(|id| map.names(*id)));
        assert!(![0, 999, 1001, 67_536].iter().any(|id| map.names(*id)));
    }

    #[test]
    fn the_rights_of_a_process_are_its_file_system_ids() {
        let text =
            "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t000001ffffffffff\n";
        let identity = Identity::parse(text).unwrap();
        assert_eq!((identity.user, identity.group), (4, 8));
        assert_eq!(identity.groups, [9, 10]);
        assert_eq!(identity.capabilities, 0x1ff_ffff_ffff);
        assert_eq!(Identity::parse("Uid:\t1\n"), None);
    }
}
