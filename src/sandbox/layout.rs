//! Which steps set up a trial, from its environment and what the host is and allows: as root an
//! overlay over everything, as an ordinary user read-only views with overlays exactly where a
//! build writes. Decides only; `apply` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::homes::Homes;
use super::host::{Host, Mount, OWN, TopEntry, closed_ancestors, resolve};
use super::identity::{self, Ids};
use super::op::{Backing, Limits, SetupOp};
use super::variables::{LOCALES, Passed};
use super::{cpus, masks, place};
use crate::model::{Capabilities, Cpus, Environment, Need, Network, Randomness, UserIdentity};

/// The value at which monotonic clocks start in every trial, in seconds: a day and some hours of
/// uptime, which no build finds strange.
pub(super) const MONOTONIC_START: i64 = 100_000;

/// The session's directory on which every trial mounts its pool of memory.
pub(super) const POOL: &str = "pool";

/// The session's directory on which every trial puts its root together.
pub(super) const ROOT: &str = "root";

/// What a layout is made from.
#[derive(Debug)]
pub(super) struct Inputs<'a> {
    pub(super) host: &'a Host,
    pub(super) capabilities: &'a Capabilities,
    pub(super) environment: &'a Environment,
    pub(super) passed: &'a Passed,
    /// The source tree on the host, for its name and the mounts inside it.
    pub(super) source: &'a Path,
    /// What the trial sees as the source: the tree itself or a copy.
    pub(super) lower: &'a Path,
    /// Which of the request's owner maps shows the source as the build user's.
    pub(super) source_map: Option<usize>,
    /// Which shows the caller's files as the build user's.
    pub(super) caller_map: Option<usize>,
    /// The session's scratch directory, hidden from the trial.
    pub(super) scratch: &'a Path,
    /// The trial's own directory.
    pub(super) trial: &'a Path,
    /// Upper layers go into memory because the scratch directory cannot hold them.
    pub(super) in_memory: bool,
    /// What is seldom written goes into memory; not so in a preparation, whose layers stay.
    pub(super) pooled: bool,
    /// Layers that a preparation left, by the name of the place.
    pub(super) prepared: &'a BTreeMap<String, PathBuf>,
    /// What is seen of the homes of the host.
    pub(super) homes: &'a Homes,
    /// Compiled locales on the host.
    pub(super) locales: Option<&'a Path>,
    pub(super) limits: Limits,
}

/// A layout.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) ops: Vec<SetupOp>,
    /// The build directory in the trial's view.
    pub(super) directory: PathBuf,
    /// Paths that the sandbox itself changes.
    pub(super) ours: Vec<PathBuf>,
}

impl Inputs<'_> {
    pub(super) fn layout(&self) -> Result<Layout, Error> {
        let directory = place::build_directory(self.environment, self.source)?;
        place::check(&directory, &self.environment.home)?;
        let mut ops = vec![SetupOp::MakePrivate];
        if self.pooled {
            ops.push(SetupOp::Pool {
                dir: self.pool(),
                size: "50%".into(),
            });
        }
        if self.capabilities.root {
            self.root_system(&mut ops);
        } else {
            self.ordinary_system(&mut ops, &directory);
        }
        let mut inside = Vec::new();
        self.own_directories(&mut inside);
        self.shown_of_homes(&mut inside);
        self.places(&mut inside, &directory);
        ops.extend(self.homes.emptied(&inside));
        ops.append(&mut inside);
        ops.push(SetupOp::EnterRoot);
        let mut ours = masks::ops(self, &mut ops);
        ours.extend(ops.iter().filter_map(SetupOp::mount_point).cloned());
        self.kernel_ops(&mut ops);
        self.build_ops(&mut ops, &directory);
        Ok(Layout {
            ops,
            directory,
            ours,
        })
    }

    /// One mount point for all trials of a session, for each mounts in a namespace of its own.
    fn pool(&self) -> PathBuf {
        self.scratch.join(POOL)
    }

    /// Where the files of the place `name` go. Directories on a disk cost milliseconds to make and
    /// to remove, so that only what builds write by design goes there.
    fn backing(&self, name: &str) -> Backing {
        let dir = self.trial.join("layers").join(file_name(name));
        let seldom = ["root", "mount", "below", "toolchain"];
        if self.pooled && seldom.contains(&name.split(':').next().unwrap_or_default()) {
            Backing::Pool {
                dir: self.pool().join(file_name(name)),
            }
        } else if self.in_memory {
            Backing::Memory {
                dir,
                size: "50%".into(),
            }
        } else {
            Backing::Disk { dir }
        }
    }

    /// A writable view of `lower` at `at`.
    fn overlay(&self, name: &str, at: &Path, lower: &Path, mapped: Option<usize>) -> SetupOp {
        let prepared = self.prepared.get(&file_name(name)).cloned();
        SetupOp::Overlay {
            at: at.to_owned(),
            lower: prepared.into_iter().chain([lower.to_owned()]).collect(),
            backing: self.backing(name),
            premade: Vec::new(),
            mapped,
            or_read_only: false,
        }
    }

    /// An empty directory of the build's user, or what a preparation left in it.
    fn fresh(&self, name: &str, at: &Path, mode: u32, owned: bool) -> SetupOp {
        match self.prepared.get(&file_name(name)) {
            Some(prepared) => SetupOp::Overlay {
                at: at.to_owned(),
                lower: vec![prepared.clone()],
                backing: self.backing(name),
                premade: Vec::new(),
                mapped: self.caller_map.filter(|_| owned),
                or_read_only: false,
            },
            None => SetupOp::Fresh {
                at: at.to_owned(),
                mode,
                owned,
                backing: self.backing(name),
            },
        }
    }

    pub(super) fn is_other_user(&self) -> bool {
        self.capabilities.root && self.environment.user != UserIdentity::Caller
    }

    /// Whether the supervisor feeds what stands for the kernel's random numbers.
    fn has_seed(&self) -> bool {
        self.environment.randomness != Randomness::Host
            && !self.capabilities.missing.contains_key(&Need::Supervisor)
    }

    fn root_system(&self, ops: &mut Vec<SetupOp>) {
        ops.push(self.overlay("root", Path::new("/"), Path::new("/"), None));
        let own = |mount: &Mount| OWN.iter().any(|own| mount.at.starts_with(own));
        for mount in self.host.mounts.iter().filter(|mount| !own(mount)) {
            ops.push(self.mount_over(&mount.at, &mount.at, mount.is_dir));
        }
    }

    /// A mount of the host, which an overlay above it does not show.
    fn mount_over(&self, from: &Path, at: &Path, is_dir: bool) -> SetupOp {
        if !is_dir {
            return SetupOp::ReadOnly {
                from: from.to_owned(),
                at: at.to_owned(),
            };
        }
        let mut op = self.overlay(&format!("mount:{}", at.display()), at, from, None);
        if let SetupOp::Overlay { or_read_only, .. } = &mut op {
            *or_read_only = true;
        }
        op
    }

    /// What is seen of the homes as it is: by root's builds in the way of the rest of the system.
    fn shown_of_homes(&self, ops: &mut Vec<SetupOp>) {
        for path in &self.homes.shown {
            if !self.capabilities.root {
                ops.push(SetupOp::ReadOnly {
                    from: path.clone(),
                    at: path.clone(),
                });
                continue;
            }
            ops.push(self.mount_over(path, path, path.is_dir()));
            for mount in self.host.mounts_below(path) {
                ops.push(self.mount_over(&mount.at, &mount.at, mount.is_dir));
            }
        }
    }

    fn ordinary_system(&self, ops: &mut Vec<SetupOp>, directory: &Path) {
        ops.push(SetupOp::Memory {
            at: "/".into(),
            mode: 0o755,
            size: "16m".into(),
            read_only: false,
        });
        for (path, entry) in &self.host.top {
            if OWN.iter().any(|own| path == Path::new(own)) {
                continue;
            }
            ops.push(match entry {
                TopEntry::Link(target) => SetupOp::Link {
                    at: path.clone(),
                    target: target.clone(),
                },
                TopEntry::Directory | TopEntry::File => SetupOp::ReadOnly {
                    from: path.clone(),
                    at: path.clone(),
                },
            });
        }
        self.anchors(ops, directory);
    }

    /// Paths below a directory of the host that do not exist there: an overlay of that directory
    /// has them made in its upper layer, where alone an ordinary user can make them.
    fn anchors(&self, ops: &mut Vec<SetupOp>, directory: &Path) {
        let mut anchors: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        let environment = self.environment;
        let wanted = [directory.to_owned(), environment.home.clone()]
            .into_iter()
            .chain(environment.exec_path.iter().cloned());
        for path in wanted {
            let path = resolve(&path);
            let own = OWN
                .iter()
                .chain(&["/var/tmp"])
                .any(|own| path.starts_with(own));
            let existing = path.ancestors().find(|path| path.is_dir());
            let own = own || self.homes.hides(&path).is_some();
            if let (false, Some(existing)) = (own, existing)
                && existing != Path::new("/")
                && existing != path
                && let Ok(missing) = path.strip_prefix(existing)
            {
                anchors
                    .entry(existing.to_owned())
                    .or_default()
                    .push(missing.to_owned());
            }
        }
        for (at, missing) in anchors {
            let mut op = self.overlay(&format!("below:{}", at.display()), &at, &at, None);
            if let SetupOp::Overlay { premade, .. } = &mut op {
                *premade = missing;
            }
            ops.push(op);
            for mount in self.host.mounts_below(&at) {
                ops.push(SetupOp::ReadOnly {
                    from: mount.at.clone(),
                    at: mount.at.clone(),
                });
            }
        }
    }

    /// What every trial has of its own, whatever the host's looks like.
    fn own_directories(&self, ops: &mut Vec<SetupOp>) {
        ops.extend([
            SetupOp::Proc,
            SetupOp::Sys,
            SetupOp::Devices {
                terminal_group: self.capabilities.root,
                seeded_random: self.has_seed(),
                // To the host's root one would open the settings of the kernel.
                own_proc: !self.capabilities.root,
            },
            self.fresh("tmp", Path::new("/tmp"), 0o1777, false),
            SetupOp::Memory {
                at: "/run".into(),
                mode: 0o755,
                size: "20%".into(),
                read_only: false,
            },
            SetupOp::Directory {
                at: "/run/lock".into(),
                mode: 0o1777,
            },
        ]);
        let var_tmp = resolve(Path::new("/var/tmp"));
        let private = |path: &Path| path.starts_with("/tmp") || path.starts_with("/run");
        if !self.capabilities.root && var_tmp.is_dir() && !private(&var_tmp) {
            ops.push(self.fresh("var-tmp", &var_tmp, 0o1777, false));
        }
        let hidden = private(self.scratch)
            || (!self.capabilities.root && self.scratch.starts_with(&var_tmp));
        if !hidden {
            ops.push(SetupOp::Memory {
                at: self.scratch.to_owned(),
                mode: 0o755,
                size: "4k".into(),
                read_only: true,
            });
        }
        if let Some(locales) = self.locales {
            ops.push(SetupOp::Directory {
                at: "/reprobe".into(),
                mode: 0o755,
            });
            ops.push(SetupOp::ReadOnly {
                from: locales.to_owned(),
                at: LOCALES.into(),
            });
        }
    }

    /// The toolchains' homes, the source, the home: where a build writes. What lies above comes
    /// first.
    fn places(&self, ops: &mut Vec<SetupOp>, directory: &Path) {
        let mut passages = BTreeSet::new();
        let mut places = BTreeMap::new();
        for home in &self.passed.homes {
            let name = format!("toolchain:{}", home.path.display());
            let op = self.overlay(&name, &home.path, &home.path, self.caller_map);
            places.insert(home.path.clone(), op);
            passages.extend(closed_ancestors(&home.path));
        }
        for dir in &self.passed.path {
            passages.extend(closed_ancestors(dir));
        }
        let parent = resolve(&self.environment.build_path.parent);
        if !parent.is_dir() {
            places.insert(parent.clone(), self.fresh("beside", &parent, 0o755, true));
        }
        let home = resolve(&self.environment.home);
        places.insert(home.clone(), self.fresh("home", &home, 0o755, true));
        let directory = resolve(directory);
        if self.capabilities.root {
            // Only root's overlay can hold other modes; an ordinary user passes his own anyway.
            ops.extend(passages.into_iter().map(|at| SetupOp::Passable { at }));
        }
        places.insert(
            directory.clone(),
            self.overlay("source", &directory, self.lower, self.source_map),
        );
        let original = self.lower == self.source;
        for mount in self.host.mounts_below(self.source).filter(|_| original) {
            if let Ok(inside) = mount.at.strip_prefix(self.source) {
                let at = directory.join(inside);
                let op = self.mount_over(&mount.at, &at, mount.is_dir);
                places.insert(at, op);
            }
        }
        ops.extend(places.into_values());
        for dir in &self.environment.exec_path {
            let dir = resolve(dir);
            if !dir.is_dir() {
                ops.push(SetupOp::Directory {
                    at: dir,
                    mode: 0o755,
                });
            }
        }
    }

    /// What the kernel tells the trial apart from files.
    fn kernel_ops(&self, ops: &mut Vec<SetupOp>) {
        let has = |need: Need| !self.capabilities.missing.contains_key(&need);
        let environment = self.environment;
        if let Some(pid) = environment.last_pid.filter(|_| has(Need::Pids)) {
            ops.push(SetupOp::LastPid { pid });
        }
        if self.capabilities.root {
            ops.push(SetupOp::ProtectKernel);
        }
        if self.has_seed() {
            ops.push(SetupOp::Identifiers);
        }
        if has(Need::KernelNames) {
            ops.extend(masks::kernel_words(&environment.kernel));
        }
        if has(Need::HostName) {
            ops.push(SetupOp::Names {
                host: environment.hostname.clone(),
                domain: environment.domain.clone(),
            });
        }
        if has(Need::PrivateNetwork) && environment.network != Network::Host {
            ops.push(SetupOp::Loopback);
            if let Network::Isolated {
                interface,
                addresses,
            } = &environment.network
            {
                ops.push(SetupOp::Interface {
                    name: interface.clone(),
                    addresses: addresses.clone(),
                });
            }
        }
        if has(Need::MonotonicClocks) {
            ops.push(SetupOp::MonotonicClocks {
                start: MONOTONIC_START,
            });
        }
    }

    /// What concerns the build's process alone.
    fn build_ops(&self, ops: &mut Vec<SetupOp>, directory: &Path) {
        process_ops(
            self.host,
            self.capabilities,
            self.environment,
            self.limits,
            ops,
        );
        ops.push(SetupOp::DropCapabilities);
        let Ids { uid, gid } = identity::ids(self.host, &self.environment.user);
        ops.push(SetupOp::Identity {
            uid,
            gid,
            groups: self.is_other_user().then(|| vec![gid]),
        });
        ops.push(SetupOp::Enter {
            at: directory.to_owned(),
        });
    }
}

/// The name of a place as that of a directory.
fn file_name(place: &str) -> String {
    place
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// The steps that need no sandbox at all.
pub(super) fn process_ops(
    host: &Host,
    capabilities: &Capabilities,
    environment: &Environment,
    limits: Limits,
    ops: &mut Vec<SetupOp>,
) {
    let has = |need: Need| !capabilities.missing.contains_key(&need);
    if let Cpus::Count { count } = environment.cpus
        && has(Need::Affinity)
    {
        ops.push(SetupOp::Affinity {
            cpus: cpus::first(&host.cpus, count),
        });
    }
    if !environment.random_addresses && has(Need::FixedAddresses) {
        ops.push(SetupOp::FixedAddresses);
    }
    ops.push(SetupOp::Limits(limits));
    ops.push(SetupOp::Umask {
        mask: environment.umask,
    });
}
