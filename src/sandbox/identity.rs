//! Who runs the build: ids, id maps, and what the trial's user database says.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::host::{Account, Host};
use crate::model::{Environment, SourceOwner, UserIdentity};

/// The ids under which a build runs, as the trial sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ids {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// One line of `user_namespaces(7)`'s maps: `count` ids from `inside` are those from `outside`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IdRange {
    /// First id in the namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The maps of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IdMaps {
    /// Users.
    pub users: Vec<IdRange>,
    /// Groups.
    pub groups: Vec<IdRange>,
}

/// The ids of the build's user.
pub(super) fn ids(host: &Host, user: &UserIdentity) -> Ids {
    match user {
        UserIdentity::Caller => Ids {
            uid: host.uid,
            gid: host.gid,
        },
        UserIdentity::Other { uid, gid, .. } => Ids {
            uid: *uid,
            gid: *gid,
        },
    }
}

/// The build's user as passwd(5) has it, but for the home directory.
pub(super) fn account(host: &Host, user: &UserIdentity) -> Account {
    match user {
        UserIdentity::Caller => host.caller.clone(),
        UserIdentity::Other {
            name,
            group,
            gecos,
            login_shell,
            ..
        } => Account {
            name: name.clone(),
            group: group.clone(),
            gecos: gecos.clone(),
            home: host.caller.home.clone(),
            shell: login_shell.clone(),
        },
    }
}

impl IdMaps {
    /// One id of the trial for the caller's own: all that an ordinary user may map.
    pub(super) fn single(inside: Ids, outside: Ids) -> Self {
        let one = |inside, outside| {
            vec![IdRange {
                inside,
                outside,
                count: 1,
            }]
        };
        Self {
            users: one(inside.uid, outside.uid),
            groups: one(inside.gid, outside.gid),
        }
    }

    /// Files of `owner` look like those of `other`, and the other way round; all others stay.
    pub(super) fn swap(owner: Ids, other: Ids) -> Self {
        Self {
            users: swapped(owner.uid, other.uid),
            groups: swapped(owner.gid, other.gid),
        }
    }
}

/// Identity on all 32-bit ids (but the last, which means "none"), with two of them exchanged.
fn swapped(one: u32, other: u32) -> Vec<IdRange> {
    let (low, high) = (one.min(other), one.max(other));
    let identity = |from: u32, to: u32| IdRange {
        inside: from,
        outside: from,
        count: to.saturating_sub(from),
    };
    let single = |inside, outside| IdRange {
        inside,
        outside,
        count: u32::from(low != high),
    };
    let ranges = if low == high {
        vec![identity(0, u32::MAX)]
    } else {
        vec![
            identity(0, low),
            single(low, high),
            identity(low.saturating_add(1), high),
            single(high, low),
            identity(high.saturating_add(1), u32::MAX),
        ]
    };
    ranges.into_iter().filter(|range| range.count > 0).collect()
}

/// The text that the kernel takes for a map.
pub(super) fn map_text(ranges: &[IdRange]) -> String {
    ranges.iter().fold(String::new(), |mut text, range| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", range.inside, range.outside, range.count);
        text
    })
}

/// `/etc/passwd` and `/etc/group` of a trial: the host's, in which the build's user stands first
/// with the trial's home, and nobody else has his name or number.
pub(super) fn databases(host: &Host, environment: &Environment) -> (String, String) {
    let (user, home) = (&environment.user, &environment.home);
    let ids = ids(host, user);
    let account = account(host, user);
    let (uid, gid) = (ids.uid.to_string(), ids.gid.to_string());
    let passwd = format!(
        "{}:x:{uid}:{gid}:{}:{}:{}\n",
        account.name,
        account.gecos,
        home.display(),
        account.shell.display(),
    );
    let group = format!("{}:x:{gid}:\n", account.group);
    let (owner, owners) = owner_lines(&environment.source_owner);
    let (caller, callers) = caller_lines(host);
    let (users, groups) = (caller + &host.passwd, callers + &host.group);
    (
        passwd + &owner + &without(&users, &account.name, &uid),
        group + &owners + &without(&groups, &account.group, &gid),
    )
}

/// The lines of the caller, where no database knows him: the control gives him a name, which he keeps
/// when somebody else builds.
fn caller_lines(host: &Host) -> (String, String) {
    let knows = |database: &str, id: u32| {
        let id = id.to_string();
        let mut lines = database.lines();
        lines.any(|line| line.split(':').nth(2) == Some(&id))
    };
    let (caller, uid, gid) = (&host.caller, host.uid, host.gid);
    let (mut user, mut group) = (String::new(), String::new());
    if !knows(&host.passwd, uid) {
        let (name, gecos) = (&caller.name, &caller.gecos);
        let (home, shell) = (caller.home.display(), caller.shell.display());
        user = format!("{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}\n");
    }
    if !knows(&host.group, gid) {
        group = format!("{}:x:{gid}:\n", caller.group);
    }
    (user, group)
}

/// The lines of who owns the sources, where it is somebody whom no database knows.
fn owner_lines(owner: &SourceOwner) -> (String, String) {
    match owner {
        SourceOwner::Other {
            uid,
            gid,
            name,
            group,
        } => (
            format!("{name}:x:{uid}:{gid}::/nonexistent:/bin/sh\n"),
            format!("{group}:x:{gid}:\n"),
        ),
        SourceOwner::AsGiven | SourceOwner::Kept | SourceOwner::Builder => {
            (String::new(), String::new())
        }
    }
}

fn without(database: &str, name: &str, id: &str) -> String {
    let mut kept = String::with_capacity(database.len());
    for line in database.lines() {
        let mut fields = line.split(':');
        if fields.next() != Some(name) && fields.nth(1) != Some(id) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_maps_every_id_exactly_once() {
        for (one, other) in [(0, 4242), (1000, 1001), (5, 5), (7, 0)] {
            let ranges = swapped(one, other);
            let image = |id: u32| {
                let hits: Vec<u32> = ranges
                    .iter()
                    .filter(|r| (r.outside..r.outside + r.count).contains(&id))
                    .map(|r| r.inside + (id - r.outside))
                    .collect();
                assert_eq!(hits.len(), 1, "{id} under {one},{other}");
                hits[0]
            };
            assert_eq!((image(one), image(other)), (other, one));
            assert_eq!(image(65534), 65534);
        }
    }

    #[test]
    fn nobody_else_has_the_name_or_the_number_of_the_build_user() {
        let kept = without("root:x:0:0::/:/bin/sh\na:x:5:5:::\nb:x:6:6:::\n", "a", "6");
        assert_eq!(kept, "root:x:0:0::/:/bin/sh\n");
    }

    #[test]
    fn a_caller_whom_no_database_knows_keeps_his_name_when_somebody_else_builds() {
        let caller = Account {
            name: "user4242".into(),
            group: "group4242".into(),
            gecos: String::new(),
            home: "/".into(),
            shell: "/bin/sh".into(),
        };
        let mut host = Host {
            uid: 4242,
            gid: 4242,
            caller,
            mounts: Vec::new(),
            top: std::collections::BTreeMap::new(),
            passwd: "root:x:0:0::/:/bin/sh\n".into(),
            group: "root:x:0:\n".into(),
            hosts: String::new(),
            cpus: Vec::new(),
            variables: std::collections::BTreeMap::new(),
        };
        let (user, group) = caller_lines(&host);
        assert_eq!(user, "user4242:x:4242:4242::/:/bin/sh\n");
        assert_eq!(group, "group4242:x:4242:\n");
        host.passwd.push_str("a:x:4242:4242::/:/bin/sh\n");
        host.group.push_str("b:x:4242:\n");
        assert_eq!(caller_lines(&host), (String::new(), String::new()));
    }
}
