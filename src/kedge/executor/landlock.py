"""Landlock: what this kernel's version of it can keep a program from, and a ruleset as plain data.

A program gives it up for itself and its children, without privileges; nothing gives it back. Versions
differ in what they know (see Documentation/userspace-api/landlock.rst), so a ruleset asks for as much as
there is. The guard makes and enforces it (`guard.py`).
"""

import errno
import os
from collections.abc import Sequence
from functools import cache

from kedge.data import Data

# <linux/landlock.h>
_CREATE_RULESET = 444  # the same number on every processor
_CREATE_RULESET_VERSION = 1 << 0

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK = 1 << 6, 1 << 7, 1 << 8, 1 << 9
_MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = 1 << 10, 1 << 11, 1 << 12
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1

_FILES = (1 << 13) - 1  # what the first version handles
_READ = _READ_FILE | _READ_DIR | _EXECUTE
_WRITE = (
    _READ | _WRITE_FILE | _TRUNCATE | _REFER | _REMOVE_DIR | _REMOVE_FILE
    | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM
)  # fmt: skip
_DEVICE = _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV

# The version from which on there is more than files being opened, made and removed.
RENAMES, TRUNCATION, TCP, DEVICES, SIGNALS = 2, 3, 4, 5, 6

_GAINS = (
    (1, "files"),
    (RENAMES, "renames between folders"),
    (TRUNCATION, "truncation"),
    (TCP, "TCP"),
    (DEVICES, "device control"),
    (SIGNALS, "signals and abstract sockets"),
)

_WHY_NOT = {
    errno.ENOSYS: (
        "this kernel has no Landlock",
        "use Linux 5.13 or newer, built with CONFIG_SECURITY_LANDLOCK=y",
    ),
    errno.EOPNOTSUPP: (
        "Landlock is switched off",
        "start the kernel with `lsm=landlock,…`, the others of /sys/kernel/security/lsm after it",
    ),
    errno.EPERM: (
        "Landlock's system calls are refused here",
        "allow them in the container's seccomp profile (Docker's default does since 23.0)",
    ),
}


class State(Data):
    """What there is of Landlock.

    Args:
        abi: its version, 0 for none.
        confines: what it can keep a program from, in words.
        lacks: what newer versions could, in words.
        reason: why there is none, a clause; empty when there is.
        hint: what would lift that, or bring what is lacking.
    """

    abi: int
    confines: tuple[str, ...]
    lacks: tuple[str, ...]
    reason: str = ""
    hint: str = ""


class Ruleset(Data):
    """What is taken from a program, and the paths with what it keeps there; numbers of the kernel's.

    Args:
        files: the kinds of access to files that need a rule.
        network: the kinds of use of TCP that are forbidden.
        scopes: what stays within the program and its children.
        paths: a path, and the access to it and what is below it.
    """

    files: int
    network: int
    scopes: int
    paths: tuple[tuple[str, int], ...]

    def apart(self, folder: str) -> "tuple[Ruleset, tuple[tuple[str, int], ...]]":
        """The same without the rules for what is below `folder`, and those."""
        own: list[tuple[str, int]] = []
        rest: list[tuple[str, int]] = []
        for rule in self.paths:
            (own if f"{rule[0]}/".startswith(f"{folder}/") else rest).append(rule)
        return Ruleset(self.files, self.network, self.scopes, tuple(rest)), tuple(own)


def abi() -> int:
    """The version of Landlock here, 0 for none."""
    return max(0, _asked())


def state() -> State:
    """What there is of Landlock here, and why not more."""
    asked = _asked()
    confines = tuple(word for version, word in _GAINS if version <= asked)
    lacks = tuple(word for version, word in _GAINS if version > asked)
    if asked < 0:
        why = f"Landlock does not answer: {os.strerror(-asked)}"
        return State(0, confines, lacks, *_WHY_NOT.get(-asked, (why, "use Linux 5.13 or newer")))
    return State(asked, confines, lacks, hint="use Linux 6.12 or newer" if lacks else "")


def ruleset(
    version: int,
    *,
    readable: Sequence[str],
    writable: Sequence[str],
    devices: Sequence[str],
    network: bool,
) -> Ruleset:
    """The rules for one program, as far as `version` knows them.

    Args:
        version: what `abi` said, at least 1.
        readable: paths to read and execute.
        writable: paths to change as well.
        devices: devices, or folders of them, to read, write and control.
        network: whether it may use TCP.
    """
    files = _FILES
    for since, right in ((RENAMES, _REFER), (TRUNCATION, _TRUNCATE), (DEVICES, _IOCTL_DEV)):
        if version >= since:
            files |= right
    shown = ((readable, _READ), (writable, _WRITE), (devices, _DEVICE))
    return Ruleset(
        files=files,
        network=_BIND_TCP | _CONNECT_TCP if version >= TCP and not network else 0,
        scopes=_SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if version >= SIGNALS else 0,
        paths=tuple((path, access & files) for paths, access in shown for path in paths),
    )


@cache
def _asked() -> int:
    """The version, or the negative errno of why there is none."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    found = libc.syscall(
        ctypes.c_long(_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(_CREATE_RULESET_VERSION),
    )
    return int(found) if found >= 0 else -ctypes.get_errno()
