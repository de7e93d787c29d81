"""Folders that are found by content and may be cleaned up: whoever finds one holds it, whoever removes one asks.

Held is a shared lock of the kernel's, which ends with the process however that ends. A clean-up takes the
lock alone, and only then renames the folder away; a finder that gets the lock after that sees that the
folder is gone, and makes it anew.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

# Between finding and being named in the record of a run, which protects it from then on. A process that
# goes on for months lets the oldest go.
_MOST: Final = 64
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_held: dict[str, int] = {}
_changing = threading.Lock()


def hold(folder: str, lock: str = "") -> bool:
    """Whether `folder` is there; if so no clean-up removes it while this process lives.

    Waits for a clean-up that is just removing it. Costs some ten microseconds.

    Args:
        folder: its path.
        lock: a folder inside whose lock counts, where that of `folder` itself has another use.
    """
    place = os.path.join(folder, lock) if lock else folder
    with _changing:
        known = _held.pop(place, None)
        if known is not None and not _leads_to(place, known):
            os.close(known)
            known = None
        if known is None:
            known = _opened(place)
        if known is None:
            return False
        _held[place] = known  # the last one again
        if len(_held) > _MOST:
            os.close(_held.pop(next(iter(_held))))
    return True


def is_held(folder: str, lock: str = "") -> bool:
    """Whether a process holds `folder` at this moment."""
    try:
        descriptor = os.open(os.path.join(folder, lock), _FOLDER)
    except OSError:
        return False
    try:
        return not _locked_alone(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone(folder: str, lock: str = "") -> Iterator[bool]:
    """Whether `folder` is there and nobody holds it; if so nobody comes to hold it during the block.

    For whoever removes it. Who looks for it meanwhile waits, and sees then whether it is still there.
    """
    place = os.path.join(folder, lock)
    if lock and not os.path.isdir(place):
        place = folder  # damaged: what would be locked is not there
    try:
        descriptor = os.open(place, _FOLDER)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _locked_alone(descriptor) and _leads_to(place, descriptor)
    finally:
        os.close(descriptor)


def _opened(place: str) -> int | None:
    try:
        descriptor = os.open(place, _FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with suppress(OSError):  # a file system without locks, where nothing is removed either
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    if _leads_to(place, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _locked_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _leads_to(place: str, descriptor: int) -> bool:
    """Whether the path still names the folder that was opened."""
    try:
        return os.path.samestat(os.stat(place), os.fstat(descriptor))
    except OSError:
        return False
