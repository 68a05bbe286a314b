//! Carries out the steps of a set-up, in the first process of a trial. Every failing step names
//! itself, its error number and a way out where one is known.

use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::personality::{self, Persona};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, chown, pivot_root, setgroups, setresgid, setresuid};

use super::error::{StepError, errno_of};
use super::identity::Ids;
use super::op::{Backing, Limits, SetupOp};
use super::{network, sys};

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
            SetupOp::Link { at, target } => std::os::unix::fs::symlink(target, self.staged(at))
                .map_err(failed(format!("link {}", at.display()))),
            SetupOp::Directory { at, mode } => {
                let dir = self.mount_point(at)?;
                fs::set_permissions(&dir, Permissions::from_mode(*mode))
                    .map_err(failed(format!("mode of {}", at.display())))
            }
            SetupOp::Passable { at } => self.passable(at),
            SetupOp::Proc => self.proc(),
            SetupOp::Sys => self.sysfs(),
            SetupOp::Devices { terminal_group } => self.devices(*terminal_group),
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
        let flags = MsFlags::MS_BIND;
        mount(Some(&dir), &target, NO_DATA, flags, NO_DATA).map_err(refused(step()))?;
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
        fs::set_permissions(&dir, Permissions::from_mode(mode & 0o7777 | 0o011))
            .map_err(failed(step()))
    }

    fn proc(&self) -> Step {
        let dir = self.mount_point(Path::new("/proc"))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), &dir, Some("proc"), flags, NO_DATA).map_err(|errno| {
            refused("proc at /proc")(errno)
                .hint("the host's /proc is partly covered (a container does that); run as root, or let the container run with an unmasked /proc")
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

    fn devices(&self, terminal_group: bool) -> Step {
        let dev = self.mount_point(Path::new("/dev"))?;
        let step = "minimal /dev";
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let options = Some("mode=755,size=1m");
        mount(Some("tmpfs"), &dev, Some("tmpfs"), flags, options).map_err(refused(step))?;
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
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
            std::os::unix::fs::symlink(target, dev.join(name)).map_err(failed(step))?;
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

/// A lower layer, with its owners mapped where that is asked for.
fn lower_layer(path: &Path, map: Option<&OwnedFd>, area: &Path, number: usize) -> Step<PathBuf> {
    let Some(map) = map else {
        return Ok(path.to_owned());
    };
    let step = || format!("{MAP_STEP}{}", path.display());
    let copy = sys::clone_mount(path, false, true).map_err(refused(step()))?;
    sys::map_ids(&copy, map).map_err(refused(step()))?;
    let at = area.join(format!("lower-{number}"));
    fs::create_dir(&at).map_err(failed(step()))?;
    sys::attach_mount(copy, &at).map_err(refused(step()))?;
    Ok(at)
}

/// Binds a file over another. The text lives on in memory after its name is gone.
fn mask(at: &Path, text: &str) -> Step {
    if !at.exists() {
        return Ok(());
    }
    let step = || format!("mask {}", at.display());
    let place = Path::new("/dev/shm/.mask");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(place)
        .map_err(failed(step()))?;
    file.write_all(text.as_bytes()).map_err(failed(step()))?;
    fs::set_permissions(place, Permissions::from_mode(0o644)).map_err(failed(step()))?;
    let copy = sys::clone_mount(place, false, true).map_err(refused(step()))?;
    sys::make_read_only(&copy, false).map_err(refused(step()))?;
    let target = at.canonicalize().map_err(failed(step()))?;
    sys::attach_mount(copy, &target).map_err(refused(step()))?;
    fs::remove_file(place).map_err(failed(step()))
}

fn rewrite(at: &Path, text: &str) -> Step {
    let step = || format!("rewrite {}", at.display());
    let before = at.metadata().ok();
    fs::write(at, text).map_err(failed(step()))?;
    if let Some(before) = before {
        let times = fs::FileTimes::new();
        let times = before
            .modified()
            .map_or(times, |time| times.set_modified(time));
        let file = OpenOptions::new()
            .write(true)
            .open(at)
            .map_err(failed(step()))?;
        file.set_times(times).map_err(failed(step()))?;
    }
    Ok(())
}

/// Steps that follow [`SetupOp::EnterRoot`].
fn apply_inside(op: &SetupOp) -> Step {
    match op {
        SetupOp::Mask { at, text } => mask(at, text),
        SetupOp::Rewrite { at, text } => rewrite(at, text),
        SetupOp::Replace { at, program } => {
            let step = || format!("{} in the place of {}", program.display(), at.display());
            let copy = sys::clone_mount(program, false, true).map_err(refused(step()))?;
            sys::attach_mount(copy, at).map_err(refused(step()))
        }
        SetupOp::ProtectKernel => protect_kernel(),
        SetupOp::Names { host, domain } => {
            nix::unistd::sethostname(host).map_err(refused("set host name"))?;
            sys::set_domain_name(domain).map_err(refused("set domain name"))
        }
        SetupOp::Loopback => network::loopback_up().map_err(refused("loopback interface up")),
        SetupOp::Interface { name, addresses } => network::add_interface(name, addresses)
            .map_err(refused(format!("network interface {name}"))),
        SetupOp::MonotonicClocks { start } => monotonic_clocks(*start),
        SetupOp::LastPid { pid } => fs::write("/proc/sys/kernel/ns_last_pid", pid.to_string())
            .map_err(failed("choose the first pid")),
        _ => Ok(()),
    }
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
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let options = format!("mode=755,size={size}");
        mount(
            Some("tmpfs"),
            dir,
            Some("tmpfs"),
            flags,
            Some(options.as_str()),
        )
        .map_err(refused(step()))?;
    }
    Ok(dir.clone())
}

fn give(path: &Path, user: Ids) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    chown(path, Some(uid), Some(gid))
}

/// The top of an overlay shows the metadata of its upper layer, which is new.
fn look_like(upper: &Path, lower: &Path) -> std::io::Result<()> {
    let metadata = lower.metadata()?;
    let user = Ids {
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    // An ordinary user can give nothing away, and need not: what is his stays his.
    let _ = give(upper, user);
    fs::set_permissions(upper, Permissions::from_mode(metadata.mode() & 0o7777))?;
    let times = fs::FileTimes::new()
        .set_accessed(metadata.accessed()?)
        .set_modified(metadata.modified()?);
    File::open(upper)?.set_times(times)
}

/// A list of layers as the overlay's options take it: colon, comma and backslash are escaped.
fn layer_list(layers: &[PathBuf]) -> OsString {
    let mut list = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        if number > 0 {
            list.push(b':');
        }
        list.extend(escaped(layer).as_bytes());
    }
    OsString::from_vec(list)
}

fn escaped(path: &Path) -> OsString {
    let mut bytes = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            bytes.push(b'\\');
        }
        bytes.push(byte);
    }
    OsString::from_vec(bytes)
}

fn mount_overlay(
    at: &Path,
    lower: &[PathBuf],
    upper: &Path,
    work: &Path,
    in_user_namespace: bool,
) -> Result<(), Errno> {
    let mut options = OsString::from("lowerdir=");
    options.push(layer_list(lower));
    options.push(",upperdir=");
    options.push(escaped(upper));
    options.push(",workdir=");
    options.push(escaped(work));
    if in_user_namespace {
        options.push(",userxattr");
    }
    let plain = options.clone();
    // Nothing of a trial must survive a crash: no fsync at all (Linux 5.10).
    options.push(",volatile");
    let try_mount = |options: &OsString| {
        mount(
            Some("overlay"),
            at,
            Some("overlay"),
            MsFlags::MS_NODEV,
            Some(options.as_os_str()),
        )
    };
    match try_mount(&options) {
        Err(Errno::EINVAL) => try_mount(&plain),
        done => done,
    }
}

fn overlay_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ELOOP => {
            "the scratch directory lies inside the source: set TMPDIR to a directory outside of it"
        }
        Errno::EINVAL => {
            "overlayfs refuses this file system below or as scratch space: set TMPDIR to a directory on ext4, xfs, btrfs or tmpfs"
        }
        Errno::ENODEV => "the kernel has no overlayfs: modprobe overlay",
        Errno::EPERM => "overlays of ordinary users need Linux 5.11",
        _ => "",
    }
}

/// A build that runs as root could set the host's sysctls through its own /proc.
fn protect_kernel() -> Step {
    for path in [
        "/proc/sys",
        "/proc/sysrq-trigger",
        "/proc/irq",
        "/proc/bus",
        "/proc/fs",
    ] {
        let path = Path::new(path);
        if !path.exists() {
            continue;
        }
        let step = || format!("read-only {}", path.display());
        let copy = sys::clone_mount(path, false, true).map_err(refused(step()))?;
        sys::make_read_only(&copy, false).map_err(refused(step()))?;
        sys::attach_mount(copy, path).map_err(refused(step()))?;
    }
    Ok(())
}

/// Offsets can be set once, before the first process enters the namespace: the next child does
/// (`time_namespaces(7)`).
fn monotonic_clocks(start: i64) -> Step {
    let step = "monotonic clocks of its own";
    sys::unshare(libc::CLONE_NEWTIME).map_err(refused(step))?;
    let [monotonic, boot] = sys::monotonic_clocks().map(|(seconds, nanoseconds)| {
        // start - (seconds + nanoseconds), with nanoseconds that are not negative.
        if nanoseconds == 0 {
            (start - seconds, 0)
        } else {
            (start - seconds - 1, 1_000_000_000 - nanoseconds)
        }
    });
    let text = format!(
        "monotonic {} {}\nboottime {} {}\n",
        monotonic.0, monotonic.1, boot.0, boot.1
    );
    fs::write("/proc/self/timens_offsets", text).map_err(failed(step))
}

/// Carries out one step that concerns the build's own process.
pub(super) fn apply_to_build(op: &SetupOp) -> Step {
    match op {
        SetupOp::Affinity { cpus } => affinity(cpus).map_err(refused("bind to processors")),
        SetupOp::Personality {
            fixed_addresses,
            uname26,
        } => set_personality(*fixed_addresses, *uname26).map_err(refused("set personality")),
        SetupOp::Limits(limits) => set_limits(limits).map_err(refused("set resource limits")),
        SetupOp::Umask { mask } => {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(*mask));
            Ok(())
        }
        SetupOp::DropCapabilities => drop_capabilities(),
        SetupOp::Identity { uid, gid, groups } => become_user(*uid, *gid, groups.as_deref())
            .map_err(refused(format!("become user {uid}"))),
        SetupOp::Enter { at } => nix::unistd::chdir(at).map_err(refused(format!(
            "enter the build directory {}",
            at.display()
        ))),
        _ => Ok(()),
    }
}

fn affinity(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = nix::sched::CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)
}

fn set_personality(fixed_addresses: bool, uname26: bool) -> Result<(), Errno> {
    let mut persona = personality::get()?;
    persona.set(Persona::ADDR_NO_RANDOMIZE, fixed_addresses);
    persona.set(Persona::UNAME26, uname26);
    personality::set(persona).map(drop)
}

fn set_limits(limits: &Limits) -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if let Some(bytes) = limits.memory {
        setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
    }
    if let Some(count) = limits.processes {
        setrlimit(Resource::RLIMIT_NPROC, count, count)?;
    }
    Ok(())
}

/// Numbers of capabilities(7) that act on the whole host: `LINUX_IMMUTABLE`, `NET_ADMIN`,
/// `SYS_MODULE`, `SYS_RAWIO`, `SYS_PACCT`, `SYS_BOOT`, `SYS_TIME`, `AUDIT_CONTROL`,
/// `MAC_OVERRIDE`, `MAC_ADMIN`, `SYSLOG`, `WAKE_ALARM`, `BLOCK_SUSPEND`, `PERFMON`, `BPF`.
const DROPPED: [u32; 15] = [9, 12, 16, 17, 20, 22, 25, 30, 32, 33, 34, 35, 36, 38, 39];

fn drop_capabilities() -> Step {
    for capability in DROPPED {
        match sys::drop_capability(capability) {
            // An older kernel has fewer.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(StepError::new("drop capabilities", errno)),
        }
    }
    Ok(())
}

fn become_user(uid: u32, gid: u32, groups: Option<&[u32]>) -> Result<(), Errno> {
    if let Some(groups) = groups {
        let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        setgroups(&groups)?;
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// A path to what a descriptor refers to, good while the descriptor is open.
pub(super) fn path_of(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Strings for execve(2); one that holds a NUL cannot be passed.
pub(super) fn c_strings(items: impl IntoIterator<Item = String>) -> Result<Vec<CString>, Errno> {
    items
        .into_iter()
        .map(|item| CString::new(item).map_err(|_| Errno::EINVAL))
        .collect()
}
