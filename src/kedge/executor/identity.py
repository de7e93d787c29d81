"""Unprivileged accounts for what root runs: one user number for each run that is going on.

A user namespace does not help root: the code would still be root on the host. So a run started by root
gets a real user number of its own, from a range that no distribution, systemd or subordinate-id tool
hands out. A lock on a file in Kedge's home keeps two runs from sharing one; the kernel drops it with the
process that holds it.
"""

import fcntl
import functools
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from kedge import home
from kedge.data import Data
from kedge.errors import Unavailable

# systemd leaves 1879048192..2147352575 to nobody (docs/UIDS-GIDS.md), and so do the others.
_FIRST = 1_900_000_000
# Every Kedge home gets a slice of its own: two of them know nothing of each other's locks.
_HOMES = 1000
_RUNS = 1000  # numbers in a slice: more runs at once than a machine holds

# Inside a container's map of 65536 numbers: above the accounts of people and distributions, below
# `nobody` and systemd's dynamic users.
_SMALL_FIRST, _SMALL_RUNS = 50_000, 1000


class Identity(Data):
    """The user and group number that a run's code has on the host."""

    uid: int
    gid: int


def needed() -> bool:
    """Whether this process is root, and there are numbers that it can give its runs."""
    return os.geteuid() == 0 and _range() is not None


@contextmanager
def claimed() -> Iterator[Identity]:
    """An identity that no other run has for the length of the block.

    Raises:
        Unavailable: every number of the range is in use.
    """
    numbers = _range()
    folder = home.folder("uids")
    for index in range(numbers[1] if numbers else 0):
        lock = os.open(
            os.path.join(folder, str(index)), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            number = numbers[0] + index if numbers else 0
            yield Identity(number, number)
        finally:
            os.close(lock)
        return
    raise Unavailable(
        f"{_RUNS} runs are going on already, and each needs a user number of its own",
        hint="wait for some of them to end, or run fewer at once",
    )


def _range() -> tuple[int, int] | None:
    return _range_of(home.home())


@cache
def _range_of(place: str) -> tuple[int, int] | None:
    own = _FIRST + (zlib.crc32(os.fsencode(place)) % _HOMES) * _RUNS
    for first, count in ((own, _RUNS), (_SMALL_FIRST, _SMALL_RUNS)):
        if all(_mapped(f"/proc/self/{kind}_map", first, count) for kind in ("uid", "gid")):
            return first, count
    return None


@functools.cache  # it can be written once
def _mapped(table: str, first: int, count: int) -> bool:
    # Root of a container may have few numbers, or only 0; lines are: inside, outside, length.
    with open(table) as lines:
        for line in lines:
            start, _, length = (int(word) for word in line.split())
            if start <= first and first + count <= start + length:
                return True
    return False
