"""What a file system says of an entry without opening it, and when that proves that nothing changed."""

import os
from collections.abc import Iterable
from typing import Final, NamedTuple

# The kernel stamps files by a clock that ticks every 1 to 10 ms: this much older than the look is safe.
_TICK_NS: Final = 50_000_000
# Whole seconds in a stamp mean a file system that keeps no more, some of them only every other second.
_COARSE_NS: Final = 2_000_000_000
_SECOND_NS: Final = 1_000_000_000


class Stamp(NamedTuple):
    """Size in bytes, times in nanoseconds since 1970, inode. Equal stamps, same content: unless racy."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp in the answer of a `stat`."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def is_racy(stamp: Stamp, looked_ns: int) -> bool:
    """Whether a write after `looked_ns` (nanoseconds since 1970) could leave the same stamp.

    Git's rule (racy-git.txt): a stamp as recent as the look itself proves nothing.
    """
    recent = max(stamp.mtime_ns, stamp.ctime_ns)
    coarse = stamp.mtime_ns % _SECOND_NS == 0 and stamp.ctime_ns % _SECOND_NS == 0
    return recent >= looked_ns - (_COARSE_NS if coarse else _TICK_NS)


def any_racy(stamps: Iterable[Stamp], looked_ns: int) -> bool:
    """Whether any of the stamps is racy."""
    return any(is_racy(stamp, looked_ns) for stamp in stamps)
