//! What the layout of a trial must know of the host: who the caller is, what is mounted, what
//! stands at the top of the file system. Read once per session; what the host allows is `probe`'s
//! matter.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::statfs::statfs;
use nix::unistd::{Gid, Group, Pid, Uid, User, getegid, geteuid};

use super::error::Error;

/// The host as the layout sees it.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// Effective user of the caller.
    pub uid: u32,
    /// Effective group of the caller.
    pub gid: u32,
    /// The caller's entry in the user database, or one made up where there is none.
    pub caller: Account,
    /// Mounts below `/` that hold files of the host's users: no kernel interfaces, sorted, each
    /// path once.
    pub mounts: Vec<Mount>,
    /// The entries of `/`.
    pub top: BTreeMap<PathBuf, TopEntry>,
    /// `/etc/passwd`.
    pub passwd: String,
    /// `/etc/group`.
    pub group: String,
    /// `/etc/hosts`.
    pub hosts: String,
    /// Processors that the caller may use.
    pub cpus: Vec<usize>,
    /// The caller's environment.
    pub variables: BTreeMap<OsString, OsString>,
}

/// A user as passwd(5) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// Login name.
    pub name: String,
    /// Name of the group.
    pub group: String,
    /// Full name.
    pub gecos: String,
    /// Home directory on the host.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// A mount of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where.
    pub at: PathBuf,
    /// Whether a directory is mounted, not a single file.
    pub is_dir: bool,
}

/// What stands directly below `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TopEntry {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link(PathBuf),
    /// Anything else.
    File,
}

/// File systems that are interfaces of the kernel, or that mount others when looked at.
const INTERFACES: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// Directories that every trial has of its own.
pub(super) const OWN: &[&str] = &["/proc", "/sys", "/dev", "/tmp", "/run"];

impl Host {
    /// Reads it.
    pub(super) fn read() -> Result<Self, Error> {
        let (uid, gid) = (geteuid(), getegid());
        let mountinfo = Path::new("/proc/self/mountinfo");
        let mountinfo = fs::read(mountinfo).map_err(Error::file("read", mountinfo))?;
        Ok(Self {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            caller: caller(uid, gid),
            mounts: mounts(&mountinfo),
            top: top()?,
            passwd: lossy("/etc/passwd"),
            group: lossy("/etc/group"),
            hosts: lossy("/etc/hosts"),
            cpus: allowed_cpus(),
            variables: std::env::vars_os().collect(),
        })
    }

    /// Mounts strictly below `path`.
    pub(super) fn mounts_below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Mount> {
        self.mounts
            .iter()
            .filter(move |mount| mount.at != path && mount.at.starts_with(path))
    }
}

fn lossy(path: &str) -> String {
    fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

fn caller(uid: Uid, gid: Gid) -> Account {
    let group = Group::from_gid(gid).ok().flatten();
    let group = group.map_or_else(|| format!("group{gid}"), |group| group.name);
    match User::from_uid(uid) {
        Ok(Some(user)) => Account {
            name: user.name,
            group,
            gecos: user.gecos.to_string_lossy().into_owned(),
            home: user.dir,
            shell: user.shell,
        },
        _ => Account {
            name: format!("user{uid}"),
            group,
            gecos: String::new(),
            home: "/".into(),
            shell: "/bin/sh".into(),
        },
    }
}

fn allowed_cpus() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else {
        return vec![0];
    };
    (0..CpuSet::count())
        .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
        .collect()
}

fn top() -> Result<BTreeMap<PathBuf, TopEntry>, Error> {
    let root = Path::new("/");
    let mut entries = BTreeMap::new();
    for name in sorted_names(root).map_err(Error::file("read directory", root))? {
        let path = root.join(name);
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        let entry = if metadata.is_dir() {
            TopEntry::Directory
        } else if metadata.is_symlink() {
            TopEntry::Link(fs::read_link(&path).map_err(Error::file("read link", &path))?)
        } else {
            TopEntry::File
        };
        entries.insert(path, entry);
    }
    Ok(entries)
}

/// The names in a directory, sorted.
pub(super) fn sorted_names(dir: &Path) -> std::io::Result<Vec<OsString>> {
    #[expect(clippy::disallowed_methods, reason = "sorted right below")]
    let entries = fs::read_dir(dir)?;
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

/// The same; `None` where the caller may not list the directory.
pub(super) fn names_if_allowed(dir: &Path) -> std::io::Result<Option<Vec<OsString>>> {
    match sorted_names(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
        names => names.map(Some),
    }
}

/// Reads `proc_pid_mountinfo(5)`: the fifth field is the mount point, the one after the lone dash
/// the type.
fn mounts(mountinfo: &[u8]) -> Vec<Mount> {
    let mut found = BTreeMap::new();
    for line in mountinfo.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(at) = fields.nth(4).map(unescape) else {
            continue;
        };
        let kind = fields.skip_while(|field| *field != b"-").nth(1);
        let interface = kind.is_none_or(|kind| INTERFACES.iter().any(|i| i.as_bytes() == kind));
        if interface || at == Path::new("/") {
            continue;
        }
        if let Ok(metadata) = at.metadata() {
            found.insert(at, metadata.is_dir());
        }
    }
    found
        .into_iter()
        .map(|(at, is_dir)| Mount { at, is_dir })
        .collect()
}

/// Space, tab, newline and backslash stand as octal escapes.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(value) = octal {
            bytes.push(value);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The same directory without symbolic links, as far as it exists; what does not exist yet is
/// kept as it stands.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        if let Ok(found) = existing.canonicalize() {
            return missing
                .iter()
                .rev()
                .fold(found, |path, name| path.join(name));
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name);
                existing = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

/// The directories above `path` that others may not pass, outermost first.
pub(super) fn closed_ancestors(path: &Path) -> Vec<PathBuf> {
    let mut closed: Vec<PathBuf> = path
        .ancestors()
        .filter(|dir| {
            dir.metadata().is_ok_and(|metadata| {
                metadata.is_dir() && metadata.permissions().mode() & 0o001 == 0
            })
        })
        .map(Path::to_owned)
        .collect();
    closed.reverse();
    closed
}

/// Why the file system of `dir` cannot hold an upper layer, if it cannot: overlayfs refuses other
/// overlays and what lacks whiteouts or `d_type` (Documentation/filesystems/overlayfs.rst).
pub(super) fn refuses_uppers(dir: &Path) -> Option<&'static str> {
    // Magic numbers of linux/magic.h and of the file systems' own headers.
    let kinds: [(u64, &'static str); 8] = [
        (0x794c_7630, "overlayfs"),
        (0x6969, "NFS"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9p"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x4d44, "FAT"),
        (0xf15f, "eCryptfs"),
    ];
    let found = u64::try_from(statfs(dir).ok()?.filesystem_type().0).ok()? & 0xffff_ffff;
    kinds
        .into_iter()
        .find(|(magic, _)| *magic == found)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_with_blanks_and_kernel_interfaces_are_told_apart() {
        let text = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n\
            22 27 0:21 / /proc rw - proc proc rw\n\
            40 27 0:9 / /usr rw shared:3 - btrfs x rw\n\
            41 27 0:9 / /etc/passwd rw - ext4 x rw\n\
            42 27 0:9 / /var ro - autofs x rw\n\
            43 27 0:9 / /no\\040such ro - ext4 x rw\n";
        let found = mounts(text);
        let paths: Vec<&Path> = found.iter().map(|mount| mount.at.as_path()).collect();
        assert_eq!(paths, [Path::new("/etc/passwd"), Path::new("/usr")]);
        assert!(!found[0].is_dir && found[1].is_dir);
        assert_eq!(unescape(b"a\\040b\\134"), Path::new("a b\\"));
    }

    #[test]
    fn a_path_that_does_not_exist_keeps_its_missing_end() {
        assert_eq!(
            resolve(Path::new("/proc/no/such")),
            Path::new("/proc/no/such")
        );
        let bin = Path::new("/bin").canonicalize().unwrap();
        assert_eq!(resolve(Path::new("/bin/no-such")), bin.join("no-such"));
    }
}
