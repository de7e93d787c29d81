"""Everything that one call could leave for the next, as the next sees it."""

import decimal
import fcntl
import gc
import json
import locale
import math
import mmap
import os
import resource
import signal
import sys
import threading

import deeds

STAMP = os.urandom(8).hex()  # drawn once by each process that imports this
OWN = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
with open("/proc/self/maps") as maps:
    # A library that is kept open, as some keep themselves.
    LIBRARY = os.open(next(line.split()[-1] for line in maps if "r-xp" in line and "/libc." in line), os.O_RDONLY)

PLACES = ("in", "out", "scratch", "/tmp", "/dev", "/dev/shm", "/dev/pts")
SEEN = (
    "Umask SigPnd ShdPnd SigBlk SigIgn SigCgt Threads TracerPid CoreDumping Cpus_allowed_list "
    "CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Groups"
)
NETWORK = ("dev", "tcp", "tcp6", "udp", "udp6", "raw", "unix", "route")


def look() -> dict:
    """`stamp` says which process imported this, `slot` in which namespaces the call is made."""
    return {"stamp": STAMP, "slot": os.readlink("/proc/self/ns/pid"), "state": state()}


def do(deed: str) -> dict:
    """Looks, and then does it."""
    found = look()
    getattr(deeds, deed)(sys.modules[__name__])
    return found


def state() -> dict:
    status = dict(line.split(":", 1) for line in lines("/proc/self/status"))
    environ = {name: value for name, value in os.environ.items() if name != "KEDGE_RUN_ID"}
    shared_memory, disk = os.statvfs("/dev/shm"), os.statvfs("/tmp")
    return {
        "status": {name: status.get(name, "").strip() for name in SEEN.split()},
        "environment": environ,
        "folder": os.getcwd(),
        "descriptors": descriptors(),
        "flags": [[fcntl.fcntl(number, asked) for asked in (fcntl.F_GETFL, fcntl.F_GETFD, fcntl.F_GETOWN)] for number in range(3)],
        "place in a file": os.lseek(LIBRARY, 0, os.SEEK_CUR),
        "limits": {name: list(resource.getrlimit(getattr(resource, name))) for name in LIMITS},
        "group and session": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()],
        "others": [name for name in os.listdir("/proc") if name not in ("1", str(os.getpid())) and name.isdigit()],
        "threads": [thread.name for thread in threading.enumerate()],
        "priority": [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), *lines("/proc/self/oom_score_adj")],
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "odds": [*lines("/proc/self/coredump_filter"), *lines("/proc/self/timerslack_ns"), *lines("/proc/self/personality")],
        "signals": {int(number): handler(number) for number in signal.valid_signals()},
        "files": {place: sorted(os.listdir(place)) for place in PLACES},
        "permissions": {place: oct(os.stat(place).st_mode) for place in PLACES},
        "shared memory": [shared_memory.f_blocks, shared_memory.f_bfree, shared_memory.f_ffree == shared_memory.f_files - 1],
        "inodes": disk.f_files > 0,
        "system V": [lines(f"/proc/sysvipc/{kind}") for kind in ("shm", "sem", "msg")],
        "network": {name: lines(f"/proc/net/{name}") for name in NETWORK},
        "group": lines("/proc/self/cgroup"),
        "mounts": sorted(mount(line.split()) for line in lines("/proc/self/mountinfo")),
        "host": os.uname().nodename,
        "mapping": OWN[:8].hex(),
        "collector": [gc.isenabled(), list(gc.get_threshold())],
        "interpreter": [sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), list(sys.path), list(sys.argv)],
        "hooks": [sys.excepthook is sys.__excepthook__, [type(one).__name__ for one in sys.meta_path]],
        "streams": [[stream.fileno(), stream.errors, stream.line_buffering, stream.closed] for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "locale": locale.setlocale(locale.LC_ALL),
        "decimal": decimal.getcontext().prec,
        "modules": sorted(sys.modules),
        "patched": [math.pi, round(1.5), json.dumps([1]), str(int("-5")), os.path.basename("a/b")],
    }


LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]


def mount(fields: list) -> list:
    """Where, how, and of which kind: the rest is numbers, and folders of the call's own."""
    kind = fields.index("-") + 1
    return [*fields[4:6], *fields[6 : kind - 1], fields[kind], fields[-1]]


def lines(path: str) -> list:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError as error:
        return [error.strerror]


def descriptors() -> dict:
    """What is open, by kind."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}").partition(":[")[0]
        except OSError:  # the one that listed them
            continue
    return found


def handler(number: int) -> str:
    found = signal.getsignal(number)
    return getattr(found, "__qualname__", str(found))
