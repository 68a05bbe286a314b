//! Carries out the steps of a set-up, in the first process of a trial. Every failing step names
//! itself, its error number and a way out where one is known.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chown, mkfifo, pivot_root};

use super::error::{StepError, errno_of};
use super::identity::Ids;
use super::op::{Backing, SetupOp};
use super::sys;

/// A trial's root while it is put together, and what is learnt on the way.
#[derive(Debug)]
pub(super) struct Stage {
    root: PathBuf,
    user: Option<Ids>,
    in_user_namespace: bool,
    owner_maps: Vec<OwnedFd>,
    /// The writable layers, in the order in which they were mounted.
    pub(super) layers: Vec<WritableLayer>,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

/// A place where a build may write, reachable after the host's root is gone.
#[derive(Debug)]
pub(super) struct WritableLayer {
    /// In the trial's view.
    pub(super) at: PathBuf,
    /// What was written.
    pub(super) upper: OwnedFd,
    /// What was there before.
    pub(super) lower: Option<OwnedFd>,
}

mod inside;
mod overlay;
mod powers;
mod process;

pub(super) use process::{apply_to_build, c_strings};

use inside::apply_inside;
use overlay::{layer_list, look_like, lower_layer, mount_overlay, overlay_hint};

type Step<T = ()> = Result<T, StepError>;

/// For `map_err`: names the step.
fn refused(step: impl Into<String>) -> impl FnOnce(Errno) -> StepError {
    move |errno| StepError::new(step, errno)
}

/// For `map_err` on file operations: names the step.
fn failed(step: impl Into<String>) -> impl FnOnce(std::io::Error) -> StepError {
    move |error| StepError::new(step, errno_of(&error))
}

const NO_DATA: Option<&str> = None;

impl Stage {
    /// `owned_by` receives fresh directories; `None` leaves them to the caller.
    pub(super) fn new(
        root: PathBuf,
        owned_by: Option<Ids>,
        in_user_namespace: bool,
        owner_maps: Vec<OwnedFd>,
    ) -> Self {
        Self {
            root,
            user: owned_by,
            in_user_namespace,
            owner_maps,
            layers: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A path of the trial, as it is reached now.
    fn staged(&self, at: &Path) -> PathBuf {
        let relative = at.strip_prefix("/").unwrap_or(at);
        if relative.as_os_str().is_empty() {
            self.root.clone()
        } else {
            self.root.join(relative)
        }
    }

    /// Carries out one step that concerns the whole trial.
    pub(super) fn apply(&mut self, op: &SetupOp) -> Step {
        match op {
            SetupOp::MakePrivate => make_private(),
            SetupOp::Memory {
                at,
                mode,
                size,
                read_only,
            } => self.memory(at, *mode, size, *read_only),
            SetupOp::Home { at, places, links } => self.home(at, places, links),
            SetupOp::Pool { dir, size } => memory_pool(dir, size),
            SetupOp::Overlay {
                at,
                lower,
                backing,
                premade,
                mapped,
                or_read_only,
            } => match self.overlay(at, lower, backing, premade, *mapped) {
                Err(error) if *or_read_only => {
                    self.notes
                        .push(format!("{} is read-only: {error}", at.display()));
                    self.read_only(at, at)
                }
                done => done,
            },
            SetupOp::ReadOnly { from, at } => self.read_only(from, at),
            SetupOp::Fresh {
                at,
                mode,
                owned,
                backing,
            } => self.fresh(at, *mode, *owned, backing),
            SetupOp::Link { at, target } => {
                symlink(target, self.staged(at)).map_err(failed(format!("link {}", at.display())))
            }
            SetupOp::Directory { at, mode } => {
                let dir = self.mount_point(at)?;
                fs::set_permissions(&dir, Permissions::from_mode(*mode))
                    .map_err(failed(format!("mode of {}", at.display())))
            }
            SetupOp::Passable { at } => self.passable(at),
            SetupOp::Proc => self.proc(),
            SetupOp::Sys => self.sysfs(),
            SetupOp::Devices {
                terminal_group,
                seeded_random,
                own_proc,
            } => self.devices(*terminal_group, *seeded_random, *own_proc),
            SetupOp::EnterRoot => self.enter_root(),
            _ => apply_inside(op),
        }
    }

    /// Makes the directory on which something is to be mounted.
    fn mount_point(&self, at: &Path) -> Step<PathBuf> {
        let dir = self.staged(at);
        if !dir.is_dir() {
            fs::create_dir_all(&dir).map_err(|error| {
                failed(format!("make {}", at.display()))(error)
                    .hint("choose a path below a directory that does not exist on the host")
            })?;
        }
        Ok(dir)
    }

    fn memory(&self, at: &Path, mode: u32, size: &str, read_only: bool) -> Step {
        if at == Path::new("/") {
            fs::create_dir_all(&self.root).map_err(failed("make the trial's root"))?;
        }
        let dir = self.mount_point(at)?;
        let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        if read_only {
            flags |= MsFlags::MS_RDONLY;
        }
        let options = format!("mode={mode:o},size={size}");
        mount(
            Some("tmpfs"),
            &dir,
            Some("tmpfs"),
            flags,
            Some(options.as_str()),
        )
        .map_err(refused(format!("memory at {}", at.display())))
    }

    fn home(
        &self,
        at: &Path,
        places: &BTreeMap<PathBuf, bool>,
        links: &BTreeMap<PathBuf, PathBuf>,
    ) -> Step {
        let step = || format!("empty home at {}", at.display());
        self.memory(at, 0o755, "16m", false)?;
        for (place, is_dir) in places {
            if *is_dir {
                self.mount_point(place)?;
            } else if let Some(above) = place.parent() {
                self.mount_point(above)?;
                File::create(self.staged(place)).map_err(failed(step()))?;
            }
        }
        for (link, target) in links {
            if let Some(above) = link.parent() {
                self.mount_point(above)?;
            }
            symlink(target, self.staged(link)).map_err(failed(step()))?;
        }
        let flags = MsFlags::MS_BIND
            | MsFlags::MS_REMOUNT
            | MsFlags::MS_RDONLY
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV;
        mount(NO_DATA, &self.staged(at), NO_DATA, flags, NO_DATA).map_err(refused(step()))
    }

    fn read_only(&self, from: &Path, at: &Path) -> Step {
        let step = || format!("read-only {}", from.display());
        let copy = sys::clone_mount(from, true, true).map_err(refused(step()))?;
        sys::make_read_only(&copy, true).map_err(|errno| {
            refused(step())(errno).hint("read-only views need Linux 5.12 (mount_setattr(2))")
        })?;
        let target = if from.is_dir() {
            self.mount_point(at)?
        } else {
            let target = self.staged(at);
            if !target.exists() {
                File::create(&target).map_err(failed(step()))?;
            }
            target
        };
        sys::attach_mount(copy, &target).map_err(refused(step()))
    }

    fn fresh(&mut self, at: &Path, mode: u32, owned: bool, backing: &Backing) -> Step {
        let dir = prepare_backing(backing)?;
        let step = || format!("empty {}", at.display());
        fs::set_permissions(&dir, Permissions::from_mode(mode)).map_err(failed(step()))?;
        if owned && let Some(user) = self.user {
            give(&dir, user).map_err(refused(step()))?;
        }
        let target = self.mount_point(at)?;
        let copy = sys::clone_mount(&dir, false, true).map_err(refused(step()))?;
        sys::forbid_devices(&copy).map_err(refused(step()))?;
        sys::attach_mount(copy, &target).map_err(refused(step()))?;
        self.layers.push(WritableLayer {
            at: at.to_owned(),
            upper: open_dir(&dir)?,
            lower: None,
        });
        Ok(())
    }

    fn overlay(
        &mut self,
        at: &Path,
        lower: &[PathBuf],
        backing: &Backing,
        premade: &[PathBuf],
        mapped: Option<usize>,
    ) -> Step {
        let map = mapped.and_then(|number| self.owner_maps.get(number));
        let step = format!("overlay at {}", at.display());
        let area = prepare_backing(backing)?;
        let (upper, work) = (area.join("upper"), area.join("work"));
        for dir in [&upper, &work] {
            fs::create_dir(dir).map_err(failed(step.as_str()))?;
        }
        let layers = lower
            .iter()
            .enumerate()
            .map(|(number, path)| lower_layer(path, map, &area, number))
            .collect::<Result<Vec<_>, _>>()?;
        for dir in premade {
            fs::create_dir_all(upper.join(dir)).map_err(failed(step.as_str()))?;
        }
        if let Some(top) = layers.last() {
            look_like(&upper, top).map_err(failed(step.as_str()))?;
        }
        if at == Path::new("/") {
            fs::create_dir_all(&self.root).map_err(failed("make the trial's root"))?;
        }
        let target = self.mount_point(at)?;
        mount_overlay(&target, &layers, &upper, &work, self.in_user_namespace)
            .map_err(|errno| refused(step.as_str())(errno).hint(overlay_hint(errno)))?;
        let before = self.view_of_lower(lower, &area, &step)?;
        self.layers.push(WritableLayer {
            at: at.to_owned(),
            upper: open_dir(&upper)?,
            lower: Some(open_dir(&before)?),
        });
        Ok(())
    }

    /// What stood below an overlay, as one directory: several layers are shown merged.
    fn view_of_lower(&self, lower: &[PathBuf], area: &Path, step: &str) -> Step<PathBuf> {
        if let [only] = lower {
            return Ok(only.clone());
        }
        let merged = area.join("before");
        fs::create_dir(&merged).map_err(failed(step))?;
        let mut options = OsString::from("lowerdir=");
        options.push(layer_list(lower));
        if self.in_user_namespace {
            options.push(",userxattr");
        }
        mount(
            Some("overlay"),
            &merged,
            Some("overlay"),
            MsFlags::MS_RDONLY | MsFlags::MS_NODEV,
            Some(options.as_os_str()),
        )
        .map_err(refused(step))?;
        Ok(merged)
    }

    fn passable(&self, at: &Path) -> Step {
        let dir = self.staged(at);
        let step = || format!("passage through {}", at.display());
        let mode = dir.metadata().map_err(failed(step()))?.mode();
        if mode & 0o011 == 0o011 {
            return Ok(());
        }
        fs::set_permissions(&dir, Permissions::from_mode(mode & 0o7777 | 0o011))
            .map_err(failed(step()))
    }

    fn proc(&self) -> Step {
        let dir = self.mount_point(Path::new("/proc"))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), &dir, Some("proc"), flags, NO_DATA).map_err(|errno| {
            refused("proc at /proc")(errno)
                .hint("the host's /proc is partly covered (a container does that): let the container run with an unmasked /proc")
        })
    }

    /// A fresh /sys shows the trial's own network interfaces; where the kernel refuses one, the
    /// host's does.
    fn sysfs(&self) -> Step {
        let sys = Path::new("/sys");
        let dir = self.mount_point(sys)?;
        let flags =
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
        mount(Some("sysfs"), &dir, Some("sysfs"), flags, NO_DATA)
            .or_else(|_| self.read_only(sys, sys).map_err(|error| error.errno()))
            .map_err(refused("read-only /sys"))
    }

    fn devices(&self, terminal_group: bool, seeded_random: bool, own_proc: bool) -> Step {
        let dev = self.mount_point(Path::new("/dev"))?;
        let step = "minimal /dev";
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let options = Some("mode=755,size=1m");
        mount(Some("tmpfs"), &dev, Some("tmpfs"), flags, options).map_err(refused(step))?;
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            if seeded_random && name.ends_with("random") {
                fed_pipe(&dev.join(name)).map_err(failed(step))?;
                continue;
            }
            let (from, to) = (Path::new("/dev").join(name), dev.join(name));
            File::create(&to).map_err(failed(step))?;
            mount(Some(&from), &to, NO_DATA, MsFlags::MS_BIND, NO_DATA)
                .map_err(refused(format!("device {}", from.display())))?;
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ] {
            symlink(target, dev.join(name)).map_err(failed(step))?;
        }
        let (pts, shm) = (dev.join("pts"), dev.join("shm"));
        for dir in [&pts, &shm] {
            fs::create_dir(dir).map_err(failed(step))?;
        }
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        let options = if terminal_group {
            "newinstance,ptmxmode=0666,mode=620,gid=5"
        } else {
            "newinstance,ptmxmode=0666,mode=620"
        };
        mount(Some("devpts"), &pts, Some("devpts"), flags, Some(options))
            .map_err(refused("pseudo-terminals at /dev/pts"))?;
        if own_proc {
            unmasked_proc(&shm)?;
        }
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), &shm, Some("tmpfs"), flags, Some("mode=1777"))
            .map_err(refused("memory at /dev/shm"))
    }

    /// `pivot_root(2)` onto itself: the old root ends up above the new one, from where it is
    /// detached (the example in the manual page).
    fn enter_root(&mut self) -> Step {
        let step = "enter the new root";
        nix::unistd::chdir(&self.root).map_err(refused(step))?;
        pivot_root(".", ".").map_err(refused(step))?;
        umount2(".", MntFlags::MNT_DETACH).map_err(refused(step))?;
        nix::unistd::chdir("/").map_err(refused(step))?;
        self.root = PathBuf::from("/");
        Ok(())
    }
}

/// The kernel lets a user namespace mount a /proc where one is mounted that nothing covers
/// (`mount_too_revealing`, fs/namespace.c). The trial's is covered; one below a directory on which the
/// next mount lies can be reached by nobody, and counts.
fn unmasked_proc(below: &Path) -> Step {
    let step = "a /proc that nothing covers";
    let dir = below.join("proc");
    fs::create_dir(&dir).map_err(failed(step))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &dir, Some("proc"), flags, NO_DATA).map_err(refused(step))
}

/// A pipe in place of a random device; the supervisor finds it there and feeds it.
fn fed_pipe(at: &Path) -> std::io::Result<()> {
    mkfifo(at, Mode::empty())?;
    // Whatever the umask is.
    fs::set_permissions(at, Permissions::from_mode(0o666))
}

/// Begins the step whose failure means that owners cannot be mapped here.
pub(super) const MAP_STEP: &str = "map the owner of ";

fn make_private() -> Step {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, NO_DATA)
        .map_err(refused("keep mounts to the trial"))
}

fn open_dir(path: &Path) -> Step<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(path)
        .map_err(failed(format!("open {}", path.display())))?;
    Ok(file.into())
}

fn prepare_backing(backing: &Backing) -> Step<PathBuf> {
    let dir = backing.dir();
    let step = || format!("make {}", dir.display());
    fs::create_dir_all(dir).map_err(failed(step()))?;
    if let Backing::Memory { size, .. } = backing {
        memory_pool(dir, size)?;
    }
    Ok(dir.clone())
}

fn memory_pool(dir: &Path, size: &str) -> Step {
    let flags = MsFlags::MS_NODEV;
    let options = format!("mode=755,size={size}");
    mount(
        Some("tmpfs"),
        dir,
        Some("tmpfs"),
        flags,
        Some(options.as_str()),
    )
    .map_err(refused(format!("memory at {}", dir.display())))
}

fn give(path: &Path, user: Ids) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    chown(path, Some(uid), Some(gid))
}

/// A path to what a descriptor refers to, good while the descriptor is open.
pub(super) fn path_of(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
