"""Linux calls that Python has no function for. Numbers from 424 on are the same on every processor."""

import ctypes
import os
import struct
from typing import Final

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MNT_DETACH: Final = 2

# <linux/mount.h>: attributes of one mount, for mount_setattr.
READ_ONLY: Final = 1
NO_SETUID: Final = 2
NO_DEVICES: Final = 4

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPSET = {"x86_64": 126, "aarch64": 91}

CAP_SETPCAP: Final = 8
CAP_SYS_CHROOT: Final = 18
CAP_SYS_ADMIN: Final = 21
_LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"
_CAPABILITY_VERSION_3 = 0x20080522

_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = (
    4,
    22,
    24,
    38,
    47,
)
_PR_CAP_AMBIENT_RAISE = 2
_SECCOMP_MODE_FILTER = 2

_LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str = "") -> None:
    """Show a file system, or with MS_BIND a part of one that is shown already, at `target`."""
    _checked(
        _LIBC.mount(
            os.fsencode(source),
            os.fsencode(target),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            options.encode(),
        ),
        target,
    )


def unmount(target: str) -> None:
    """Take the topmost mount away from `target`, also while something in it is open."""
    _checked(_LIBC.umount2(os.fsencode(target), MNT_DETACH), target)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root, and show the one before at `old`."""
    _call(_PIVOT_ROOT[os.uname().machine], os.fsencode(new), os.fsencode(old))


def detached(path: str, *, recursive: bool) -> int:
    """A descriptor of a copy of the mount at `path`, which is nowhere yet."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)


def attach(descriptor: int, target: str) -> None:
    """Show a mount from `detached` at `target`."""
    _call(
        *(_MOVE_MOUNT, descriptor, b"", _AT_FDCWD),
        *(os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH),
    )


def set_attributes(place: int | str, attributes: int, *, recursive: bool = False) -> None:
    """Give the mount at a path, or of a descriptor from `detached`, more attributes."""
    wanted = struct.pack("QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    if isinstance(place, int):
        _call(_MOUNT_SETATTR, place, b"", flags | _AT_EMPTY_PATH, wanted, len(wanted))
    else:
        _call(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(place), flags, wanted, len(wanted))


def no_new_privileges() -> None:
    """Whatever is executed from here on gains nothing by it."""
    _control(_PR_SET_NO_NEW_PRIVS, 1)


def let_be_seen() -> None:
    """Let those outside who may look at this process do so, also after it changed its account."""
    _control(_PR_SET_DUMPABLE, 1)


def keep_capabilities(*kept: int) -> None:
    """Give up every capability but these, for this process and for all that it executes."""
    with open(_LAST_CAPABILITY) as file:
        last = int(file.read())
    for capability in range(last + 1):
        if capability not in kept:
            _control(_PR_CAPBSET_DROP, capability)
    mask = sum(1 << capability for capability in kept)
    head = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    sets = struct.pack("6I", mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable; twice
    _call(_CAPSET[os.uname().machine], head, sets)
    for capability in kept:
        _control(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def filter_system_calls(program: bytes) -> None:
    """Put this process, and all that it starts, behind a filter (`kedge.executor.seccomp`) for good."""
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))  # struct sock_fprog
    _checked(
        _LIBC.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), described, 0, 0),
        "seccomp",
    )


def _control(option: int, *values: int) -> None:
    words = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _checked(_LIBC.prctl(option, *words), "prctl")


def _call(number: int, *arguments: int | bytes) -> int:
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *words), f"system call {number}")


def _checked(returned: int, what: str) -> int:
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return int(returned)
