"""Ways out of a sandbox. Each probe returns a word on what it reached, or raises OSError; `HELD` says
that something answered, but nothing of the host. One line for each: its name, then what came of it.
What a probe could write to it only opens, or writes the value back that is there."""
import ctypes, os, socket, struct, sys, tempfile

libc = ctypes.CDLL(None, use_errno=True)
HELD = None
#: A file of the host beside the trial: its directory is in no mount of a trial.
SECRET = sys.argv[1]
PROBES = []


def probe(function):
    PROBES.append(function)
    return function


def call(result):
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result


def syscall(number, *arguments):
    return call(libc.syscall(ctypes.c_long(number), *arguments))


def refused_only(by, number, *arguments):
    """A call with arguments that cannot succeed: other errors than these say that it was allowed."""
    try:
        syscall(number, *arguments)
    except OSError as error:
        if error.errno in by:
            raise


def mounted(kind, flags=0, source=None, data=None):
    at = tempfile.mkdtemp(dir=os.getcwd())
    text = lambda word: word and word.encode()
    call(libc.mount(text(source or kind), at.encode(), text(kind), ctypes.c_ulong(flags), text(data)))
    return at


def wrote_back(path):
    with open(path) as file:
        said = file.read()
    with open(path, "w") as file:
        file.write(said)
    return path


def in_user_namespace(what, flags=0):
    """In a child that is root of a namespace of its own, with further namespaces."""
    def wait():
        read, write = os.pipe()
        uid, gid = os.getuid(), os.getgid()
        child = os.fork()
        if child == 0:
            try:
                call(libc.unshare(0x10000000 | flags))
                for name, text in ("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1"):
                    with open(f"/proc/self/{name}", "w") as file:
                        file.write(text)
                said = what()
                os.write(write, (f"out {said}" if said else "nothing").encode())
            except OSError as error:
                os.write(write, f"err {error.errno}".encode())
            finally:
                os._exit(0)
        os.close(write)
        said = os.read(read, 1000).decode()
        os.waitpid(child, 0)
        if said.startswith("err "):
            errno = int(said[4:])
            raise OSError(errno, os.strerror(errno))
        return said[4:] if said.startswith("out ") else HELD
    return wait


# The first process of the trial.

@probe
def descriptors_of_the_first_process():
    numbers = os.listdir("/proc/1/fd")
    return [os.readlink(f"/proc/1/fd/{number}") for number in numbers]

@probe
def above_a_descriptor_of_the_first_process():
    for number in os.listdir("/proc/1/fd"):
        if os.path.exists(f"/proc/1/fd/{number}/.." + SECRET):
            return number
    return HELD

@probe
def memory_of_the_first_process():
    open("/proc/1/mem", "rb+").close()
    return "/proc/1/mem"

@probe
def environment_of_the_first_process():
    return open("/proc/1/environ").read() and "environ"

@probe
def attach_to_the_first_process():
    call(libc.ptrace(16, 1, 0, 0))
    # It may not have stopped yet; with the end of this process it goes on in any case.
    libc.ptrace(17, 1, 0, 0)
    return "ptrace"

@probe
def read_memory_of_the_first_process():
    with open("/proc/1/maps") as maps:
        return maps.readline() and "maps"

@probe
def descriptor_taken_from_the_first_process():
    pidfd = syscall(434, 1, 0)
    for number in range(64):
        try:
            return f"descriptor {syscall(438, pidfd, number, 0)}"
        except OSError as error:
            last = error
    raise last

@probe
def root_of_the_first_process():
    return os.path.exists("/proc/1/root" + SECRET) or HELD

@probe
def namespaces_of_the_first_process():
    os.stat("/proc/1/ns/mnt")
    fd = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    call(libc.setns(fd, 0))
    return "setns"


# What the host's kernel is set by.

@probe
def core_pattern():
    return wrote_back("/proc/sys/kernel/core_pattern")

@probe
def modprobe():
    return wrote_back("/proc/sys/kernel/modprobe")

@probe
def sysrq_trigger():
    open("/proc/sysrq-trigger", "w").close()
    return "sysrq"

@probe
def binfmt():
    open("/proc/sys/fs/binfmt_misc/register", "w").close()
    return "binfmt"

@probe
def host_memory():
    open("/dev/mem", "rb").close()
    return "/dev/mem"

@probe
def kernel_memory():
    open("/proc/kcore", "rb").read(1)
    return "/proc/kcore"

@probe
def uevent_helper():
    return wrote_back("/sys/kernel/uevent_helper")

@probe
def power_state():
    open("/sys/power/state", "w").close()
    return "/sys/power/state"

@probe
def transparent_huge_pages():
    open("/sys/kernel/mm/transparent_hugepage/enabled", "r+").close()
    return "sysfs"

@probe
def control_groups():
    for at in "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/cgroup.subtree_control":
        if os.path.exists(at):
            open(at, "r+").close()
            return at
    return HELD

@probe
def read_write_again():
    call(libc.mount(None, b"/proc/sys", None, ctypes.c_ulong(32 | 4096), None))
    return wrote_back("/proc/sys/kernel/core_pattern")

@probe
def read_write_sysfs():
    call(libc.mount(None, b"/sys", None, ctypes.c_ulong(32 | 4096), None))
    return "/sys"

@probe
def without_the_cover():
    call(libc.umount2(b"/proc/sys", 2))
    return wrote_back("/proc/sys/kernel/core_pattern")

def below_the_lid():
    call(libc.umount2(b"/dev/shm", 2))
    return wrote_back("/dev/shm/proc/sys/kernel/core_pattern")

@probe
def fresh_proc():
    return wrote_back(mounted("proc") + "/sys/kernel/core_pattern")

@probe
def fresh_sysfs():
    return mounted("sysfs")

@probe
def fresh_control_groups():
    at = mounted("cgroup2", source="none")
    open(at + "/cgroup.procs", "r+").close()
    return at

@probe
def old_control_groups():
    at = mounted("cgroup", data="none,name=reprobe")
    open(at + "/release_agent", "r+").close()
    return at

def named(name, function):
    function.__name__ = name
    PROBES.append(function)

def fresh(kind):
    return lambda: mounted(kind)

for name, kind in ("devices", "devtmpfs"), ("debugfs", "debugfs"), ("tracefs", "tracefs"), ("securityfs", "securityfs"), ("bpffs", "bpf"), ("binfmt", "binfmt_misc"):
    named("fresh_" + name, fresh(kind))

@probe
def fresh_queues():
    syscall(430, b"proc", 0)
    return "fsopen"

@probe
def bind_the_root():
    return os.path.exists(mounted(None, 4096, "/") + SECRET) or HELD


# Files by other ways than names.

@probe
def open_by_handle():
    handle = struct.pack("Ii128s", 8, 1, struct.pack("II", 2, 0))
    buffer = ctypes.create_string_buffer(handle)
    fd = os.open(".", os.O_RDONLY)
    refused_only((1, 95), 304, fd, buffer, os.O_RDONLY)
    return "open_by_handle_at"

def device(at):
    def make():
        path = os.path.join(at, "device-of-a-probe")
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
        try:
            os.open(path, os.O_RDONLY)
        finally:
            os.unlink(path)
        return path
    return make

PLACES = {at.strip("/").replace("/", "_"): at for at in ("/tmp", "/var/tmp", "/run", "/dev/shm", "/etc")}
PLACES |= {"root": "/", "source": os.getcwd(), "parent": os.path.dirname(os.getcwd()), "home": os.environ.get("HOME", "/root")}
for name, at in PLACES.items():
    named("device_in_" + name, device(at))

@probe
def device_on_a_file_system_of_its_own():
    at = mounted("tmpfs")
    return device(at)()

@probe
def above_the_root():
    os.mkdir("jail-of-a-probe")
    fd = os.open("/", os.O_RDONLY)
    os.chroot("jail-of-a-probe")
    os.fchdir(fd)
    for _ in range(100):
        os.chdir("..")
    os.chroot(".")
    return os.path.exists(SECRET) or HELD

@probe
def the_secret_by_its_name():
    return open(SECRET).read()

@probe
def a_descriptor_that_leads_out():
    for number in range(3, 1024):
        try:
            at = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if os.path.exists(f"/proc/self/fd/{number}/.." + SECRET):
            return at
    return HELD


# The host's kernel by other calls.

@probe
def key_of_the_user():
    number = syscall(248, b"user", b"reprobe-probe", b"x", 1, -4)
    syscall(250, 3, number)
    return "add_key"

@probe
def keyrings():
    syscall(250, 0, -4, 0)
    return "keyctl"

@probe
def key_of_the_user_by_x32():
    syscall(0x40000000 + 250, 0, -4, 0)
    return "keyctl"

@probe
def type_into_a_terminal():
    import fcntl, termios
    _, terminal = os.openpty()
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSTI, b"x")
    return "TIOCSTI"

@probe
def bpf():
    syscall(321, 0, struct.pack("IIII48x", 2, 4, 8, 1), 64)
    return "bpf"

@probe
def load_a_module():
    refused_only((1, 38), 175, b"", 0, b"")
    return "init_module"

@probe
def another_kernel():
    refused_only((1, 38), 246, 0, 0, 0, 0)
    return "kexec_load"

@probe
def the_time():
    # The length of a tick, as it is.
    times = ctypes.create_string_buffer(208)
    syscall(159, times)
    ctypes.c_uint.from_buffer(times).value = 0x4000
    syscall(159, times)
    return "adjtimex"

@probe
def io_ports():
    syscall(172, 3)
    return "iopl"

@probe
def kernel_log():
    syscall(103, 10, 0, 0)
    return "syslog"

@probe
def accounting():
    refused_only((1, 38), 163, b"/nowhere")
    return "acct"

@probe
def swap():
    refused_only((1, 38), 167, b"/nowhere", 0)
    return "swapon"

@probe
def quotas():
    refused_only((1, 38, 2, 22, 15, 20), 179, 0x800001 << 8 & 0x7fffffff, b"/nowhere", 0, 0)
    return "quotactl"

@probe
def watch_all_files():
    syscall(300, 0, 0)
    fd = syscall(300, 4, 0)
    syscall(301, fd, 0x10 | 1, 0x20, -100, b"/")
    return "fanotify"

@probe
def profile_the_host():
    attributes = struct.pack("IIQQQQQ", 1, 112, 0, 0, 0, 0, 0) + bytes(64)
    syscall(298, attributes, -1, 0, -1, 0)
    return "perf_event_open"

@probe
def files_of_the_network():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        to.connect(("192.0.2.1", 9))
    return "a route"

@probe
def host_processes():
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    names = [open(f"/proc/{pid}/comm").read() for pid in pids]
    return len(names) > 20 and "processes" or HELD


# In a user namespace of the build's own.

NEW_MOUNTS, NEW_GROUPS, NEW_NET, NEW_PIDS = 0x20000, 0x2000000, 0x40000000, 0x20000000

def nested(name, what, flags):
    named("nested_" + name, in_user_namespace(what, flags))

nested("core_pattern", lambda: wrote_back("/proc/sys/kernel/core_pattern"), NEW_MOUNTS)
nested("fresh_proc", lambda: wrote_back(mounted("proc") + "/sys/kernel/core_pattern"), NEW_MOUNTS | NEW_PIDS)
nested("without_the_cover", without_the_cover, NEW_MOUNTS)
nested("below_the_lid", below_the_lid, NEW_MOUNTS)
nested("read_write_again", read_write_again, NEW_MOUNTS)
nested("fresh_sysfs", lambda: wrote_back(mounted("sysfs") + "/kernel/uevent_helper"), NEW_MOUNTS | NEW_NET)
nested("fresh_control_groups", fresh_control_groups, NEW_MOUNTS | NEW_GROUPS)
nested("old_control_groups", old_control_groups, NEW_MOUNTS | NEW_GROUPS)
nested("device", device_on_a_file_system_of_its_own, NEW_MOUNTS)
nested("open_by_handle", open_by_handle, NEW_MOUNTS)
nested("attach_to_the_first_process", attach_to_the_first_process, 0)
nested("descriptors_of_the_first_process", descriptors_of_the_first_process, 0)
nested("keyrings", keyrings, 0)

for run in PROBES:
    # Each in a process of its own: some change what comes after.
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = run()
            said = f"OUT {said}" if said else "held"
        except OSError as error:
            said = f"held: {os.strerror(error.errno) if error.errno else error}"
        except BaseException as error:
            said = f"BROKEN {error!r}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    said = os.read(read, 4000).decode()
    os.close(read)
    os.waitpid(child, 0)
    print(run.__name__, said or "BROKEN silent", flush=True)
