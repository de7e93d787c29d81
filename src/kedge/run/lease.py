"""Who holds a run: a process that can be told apart from every other one of this machine's history.

A process id alone comes round again; with the moment the process started, and the boot that both are
counted in, it does not.
"""

import os
from functools import lru_cache
from typing import Final

from kedge.boot import boot
from kedge.data import Data

_ZOMBIES: Final = frozenset("ZXx")  # ended, and only not yet waited for


class Lease(Data):
    """The holder of a run.

    Args:
        host: the machine's name.
        boot_id: the kernel's name for this boot, empty where there is none.
        pid_namespace: in which `pid` is counted, 0 where there are none.
        pid: the process.
        pid_started: clock ticks from boot to its start, 0 where that is unknown.
    """

    host: str
    boot_id: str
    pid_namespace: int
    pid: int
    pid_started: int


@lru_cache(1)
def lease() -> Lease:
    """The lease of the process that calls."""
    pid = os.getpid()
    return Lease(os.uname().nodename, boot(), _pid_namespace(), pid, _started(pid) or 0)


os.register_at_fork(after_in_child=lease.cache_clear)


def lost_because(held: Lease) -> str | None:
    """Why the holder is gone, as part of a sentence; None while it lives or cannot be judged from here.

    Another machine's processes, and those of another process namespace of this one, cannot be seen:
    their runs are left for them to settle.
    """
    if held.boot_id != boot():
        return "the machine was restarted" if held.host == os.uname().nodename else None
    if held.pid_namespace != _pid_namespace() or _alive(held.pid, held.pid_started):
        return None
    return f"its process {held.pid} went away"


def _alive(pid: int, started: int) -> bool:
    if os.path.exists("/proc/self/stat"):
        return _started(pid) == started
    try:
        os.kill(pid, 0)  # without /proc: somebody has that number, most likely the holder
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> int | None:
    """When a living process started; None when there is none, or none any more."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name stands in parentheses and may hold anything, `)` too: proc(5).
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0].decode() in _ZOMBIES else int(fields[19])


def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
