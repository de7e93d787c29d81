"""Mounts that Kedge makes itself: a plan, in a namespace of its own from an empty root upwards, and what a call gets."""

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from kedge.executor.plan import (
    Bind,
    Devices,
    Entry,
    Folder,
    Link,
    Memory,
    Processes,
    Seal,
    Text,
)
from kedge.executor.warm import kernel

_PLAIN: Final = kernel.NO_SETUID | kernel.NO_DEVICES
_TMPFS: Final = kernel.MS_NOSUID | kernel.MS_NODEV

_ROOT_MB: Final = 16  # for generated files and mount points
_DEVICES: Final = ("full", "null", "random", "tty", "urandom", "zero")
_STANDARD: Final = (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2"))


def make_root(root: str, entries: list[Entry]) -> None:
    """Mount `entries` below `root`, an empty folder, and make it the root of this process.

    The process has a mount namespace of its own, in which nothing is shared with another, and is the first
    one of its process namespace.

    Raises:
        OSError: the kernel refuses a mount.
    """
    kernel.mount("tmpfs", root, "tmpfs", _TMPFS, f"mode=0755,size={_ROOT_MB}m")
    for entry in entries:
        _make(entry, root)
    os.chdir(root)
    kernel.pivot_root(".", ".")  # the old one is now mounted over the new one
    kernel.unmount(".")
    os.chdir("/")


@contextmanager
def detached(wanted: Iterable[tuple[str, bool]]) -> Iterator[tuple[int, ...]]:
    """Descriptors of new mounts, for `kernel.attach`, until the block ends.

    Args:
        wanted: paths, and whether what is there can be written to.

    Raises:
        OSError: there is nothing, or the kernel refuses.
    """
    opened: list[int] = []
    try:
        for path, writable in wanted:
            try:
                opened.append(kernel.detached(path, recursive=True))
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
            kernel.set_attributes(opened[-1], _attributes(writable=writable), recursive=True)
        yield tuple(opened)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _attributes(*, writable: bool) -> int:
    return _PLAIN if writable else _PLAIN | kernel.READ_ONLY


def _make(entry: Entry, root: str) -> None:
    place = root + entry.path
    match entry:
        case Folder():
            os.makedirs(place, mode=0o755, exist_ok=True)
        case Bind(source, _, writable):
            _make_place(place, source)
            kernel.mount(source, place, None, kernel.MS_BIND | kernel.MS_REC)
            kernel.set_attributes(place, _attributes(writable=writable), recursive=True)
        case Link(_, target):
            os.symlink(target, place)
        case Text(_, content):
            with open(place, "w") as file:
                file.write(content)
            os.chmod(place, 0o444)
        case Memory(_, size_mb):
            mount_memory(place, size_mb)
        case Processes():
            os.makedirs(place, exist_ok=True)
            mount_processes(place)
        case Devices():
            _mount_devices(place)
        case Seal():
            kernel.set_attributes(place, kernel.READ_ONLY)


def mount_memory(place: str, size_mb: int) -> None:
    """A file system in memory that everybody may write to."""
    os.makedirs(place, exist_ok=True)
    kernel.mount("tmpfs", place, "tmpfs", _TMPFS, f"mode=1777,size={size_mb}m")


def mount_processes(place: str) -> None:
    """The processes of this process's namespace."""
    kernel.mount("proc", place, "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def mount_terminals(place: str) -> None:
    """Pseudo terminals that are nobody else's."""
    options = "newinstance,ptmxmode=0666,mode=620"
    kernel.mount("devpts", place, "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, options)


def _make_place(place: str, source: str) -> None:
    if stat.S_ISDIR(os.stat(source).st_mode):
        os.makedirs(place, mode=0o755, exist_ok=True)
    elif not os.path.exists(place):
        os.makedirs(posixpath.dirname(place), mode=0o755, exist_ok=True)
        with open(place, "x"):
            pass


def _mount_devices(place: str) -> None:
    os.makedirs(place, exist_ok=True)
    kernel.mount("tmpfs", place, "tmpfs", _TMPFS, "mode=0755,size=1m")
    for name in _DEVICES:
        with open(f"{place}/{name}", "x"):
            pass
        kernel.mount(f"/dev/{name}", f"{place}/{name}", None, kernel.MS_BIND)
    for name, target in _STANDARD:
        os.symlink(f"/proc/self/fd{target}", f"{place}/{name}")
    os.symlink("/proc/kcore", f"{place}/core")
    os.mkdir(f"{place}/pts")
    mount_terminals(f"{place}/pts")
    os.symlink("pts/ptmx", f"{place}/ptmx")
