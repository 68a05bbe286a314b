"""Ways of waiting for something with short sleeps, and of sleeping. Each is repeated; after each the
clock is written down. `poll.py WAY REPEATS`"""
import fcntl, os, socket, subprocess, sys, tempfile, threading, time

WORK = ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]
CHATTY = ["sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; done"]
SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(.05)"]
IDLER = [sys.executable, "-S", "-c", "import select; select.select([0], [], [], .05)"]


def timeout(command=WORK):
    subprocess.run(command, timeout=40, capture_output=True, stdin=subprocess.PIPE)


def poll(command=WORK, nap=.001, **more):
    child = subprocess.Popen(command, **more)
    while child.poll() is None:
        time.sleep(nap)


def file():
    with tempfile.TemporaryDirectory() as there:
        made = there + "/made"
        child = subprocess.Popen(["sh", "-c", 'i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done; : >"$0"', made])
        while not os.path.exists(made):
            time.sleep(.003)
        child.wait()


def listener():
    with tempfile.TemporaryDirectory() as there:
        code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); s.accept()"
        child = subprocess.Popen([sys.executable, "-S", "-c", code, there + "/s"])
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as to:
                    to.connect(there + "/s")
                    break
            except OSError:
                time.sleep(.01)
        child.wait()


def lock():
    with tempfile.NamedTemporaryFile() as held:
        code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(flush=True); sum(range(300000))"
        child = subprocess.Popen([sys.executable, "-S", "-c", code, held.name], stdout=subprocess.PIPE)
        child.stdout.readline()
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(.002)
        child.communicate()


def thread():
    worker = threading.Thread(target=lambda: sum(range(200000)))
    worker.start()
    while worker.is_alive():
        time.sleep(.02)


def pipe():
    child = subprocess.Popen(CHATTY, stdout=subprocess.PIPE)
    os.set_blocking(child.stdout.fileno(), False)
    while True:
        try:
            if not os.read(child.stdout.fileno(), 1000):
                break
        except BlockingIOError:
            time.sleep(.001)
    child.wait()


def synced():
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as to:
        poll(["dd", "if=/dev/zero", "bs=4096", "count=50", "oflag=direct,sync", "status=none", "of=" + to.name])


WAYS = {
    "timeout": timeout,
    "timeout-git": lambda: timeout(["git", "--version"]),
    "poll": poll,
    "poll-sleeper": lambda: poll(SLEEPER, .01),
    "poll-idler": lambda: poll(IDLER, .01, stdin=subprocess.PIPE),
    "poll-long": lambda: poll(WORK, 1.0),
    "file": file,
    "listener": listener,
    "lock": lock,
    "thread": thread,
    "pipe": pipe,
    "synced": synced,
    "sleep": lambda: time.sleep(.1),
    "sleep-below": lambda: subprocess.run([sys.executable, "-S", "-c", "import time; time.sleep(.1)"]),
}

for number in range(int(sys.argv[2])):
    WAYS[sys.argv[1]]()
    print(number, time.time_ns() % 10**12)
