"""Whether a command and an agent are alike: only then does a fork of the one do for a supervisor of the other."""

import os
import socket
import struct
import sys
from typing import Any, Final

from kedge import version
from kedge.executor.processes import wait_readable
from kedge.home import home

_PACKAGE: Final = os.path.dirname(os.path.abspath(version.__file__))
_RIGHTS: Final = (  # of a process's status in /proc; see proc_pid_status(5)
    *(b"Uid:", b"Gid:", b"Groups:", b"Cap", b"NoNewPrivs:", b"Seccomp"),
    *(b"Cpus_allowed:", b"Mems_allowed:"),
)
_CREDENTIALS: Final = struct.Struct("iII")  # <sys/socket.h>: struct ucred
_SO_PEERPIDFD: Final = 77  # <asm-generic/socket.h>, from Linux 6.5 on


def identity() -> tuple[Any, ...]:
    """What a command says that it is: the agent must be the same for a fork of it to do for the command.

    All else a command hands over. Nothing here is a right: anybody can say it.
    """
    return (
        *(version.__version__, _PACKAGE, home(), sys.version, sys.prefix, tuple(sys.flags)),
        *(sys.getfilesystemencoding(), os.environ.get("PYTHONPATH", "")),
    )


def standing(process: int) -> tuple[Any, ...]:
    """What the kernel lets a process see, do and use.

    Not in here is the control group: each terminal may have one of its own.

    Raises:
        OSError: it has gone, or may not be looked at, as one with more rights.
    """
    place = f"/proc/{process}"
    root = os.stat(f"{place}/root")
    found: list[Any] = [
        *(os.readlink(f"{place}/ns/{name}") for name in sorted(os.listdir(f"{place}/ns"))),
        (root.st_dev, root.st_ino),
    ]
    with open(f"{place}/status", "rb") as file:
        found += [line for line in file if line.startswith(_RIGHTS)]
    for name in ("limits", "oom_score_adj"):
        with open(f"{place}/{name}", "rb") as file:
            found.append(file.read())
    return (*found, os.getpriority(os.PRIO_PROCESS, process), os.sched_getscheduler(process))


def standing_of_peer(line: socket.socket) -> tuple[Any, ...] | None:
    """That of the process that connected; None when it has ended or may not be looked at.

    Never what it says itself: a function that is kept from nothing but its rights has the same account, can
    reach the socket, and would get a supervisor that has these rights.
    """
    process, _ = peer(line)
    try:
        try:
            living = line.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
        except OSError:  # an older kernel; the number is another's only if it ended before this
            living = os.pidfd_open(process)
        try:
            found = standing(process)
            return None if wait_readable(living, 0) else found
        finally:
            os.close(living)
    except OSError:
        return None


def peer(line: socket.socket) -> tuple[int, int]:
    """Which process connected, or listens, and whose it was then."""
    data = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, account, _ = _CREDENTIALS.unpack(data)
    return process, account


def code() -> list[tuple[str, int, int]]:
    """The files of this Kedge, and when each was changed: an agent has loaded most of them."""
    found, folders = [], [_PACKAGE]
    for place in folders:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found.append((entry.path, status.st_mtime_ns, status.st_size))
                elif entry.name != "__pycache__" and entry.is_dir():
                    folders.append(entry.path)
    return sorted(found)
