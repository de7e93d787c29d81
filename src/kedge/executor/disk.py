"""What a run uses of the disk, and whether that is more than it may.

The free space of the disk is looked at every tick, for microseconds. The run's folders are walked only
when so much of it is gone that the run could be to blame, and beside the watch loop: a hundred thousand
files take 0.3 s. Free space alone tells nothing about a run, since others write to the same disk.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, final

from kedge.contract.hostile import RefusedError, open_folder
from kedge.data import Data
from kedge.executor.aside import Aside

WALK_EVERY_S: Final = 10.0  # what a run writes does not show while others free as much
SHARE: Final = 0.25  # of one core, that walking may cost
STEP_BYTES: Final = 1 << 20  # less than this moves by itself
ENTRY_BYTES: Final = 4096  # what the smallest thing takes: a million empty files are an attack too
DEPTH_LIMIT: Final = 100  # of folders in folders: each level holds a descriptor open
ENOUGH: Final = 2  # times its limit: by then it does not matter how much more it is

RESERVE_MB: Final = 5 * 1024  # stays free for others where a run has no limit of its own,
RESERVE_SHARE: Final = 0.1  # or this part of the disk, whichever is less
NOTEWORTHY_MB: Final = 100  # a run that used less did not fill the disk

_MIB: Final = 1 << 20
_KEPT_BYTES: Final = 1 << 20  # from this size on a file is remembered: it may be renamed on the way
_FULL_MB: Final = 16  # below this, or below this part of a small disk, ordinary writes fail
_FULL_SHARE: Final = 0.01
_FULL_INODES: Final = 16


class Over(Data):
    """Why a run must end: what it used, what it may use (None without a limit of its own), what is free.

    `sentence` continues "The run was ended: …".
    """

    used_mb: float
    limit_mb: float | None
    free_mb: float
    sentence: str


@final
class DiskWatch:
    """Holds one run to the disk it may use.

    Args:
        folders: where it can write, on one file system and new; what is there counts as its own.
        disk_mb: MiB it may use; None lets it write until little stays free for others, see `RESERVE_MB`.
        processes: tells the numbers of its processes, for files that they unlinked and still hold open;
            called from another thread.
    """

    def __init__(
        self,
        folders: Sequence[str],
        disk_mb: int | None,
        processes: Callable[[], list[int]] = list,
    ) -> None:
        self._folders = tuple(folders)
        self._limit = None if disk_mb is None else disk_mb * _MIB
        self._processes = processes
        # Held open, so that what the run puts in the place of a folder is seen besides it.
        self._held = list(_opened(self._folders))
        self._walk: _Walk | None = None
        self._work: Aside[_Found] = Aside()
        self._before = self._room() if self._held else None  # free when last walked
        self._first = self._before.free if self._before is not None else 0
        self._used = 0
        self._measured = False
        self._last_walk: float | None = None
        self._not_before = 0.0

    def look(self, now: float) -> Over | None:
        """Why the run must end, told once for each walk that finds so.

        Args:
            now: `time.monotonic()`.
        """
        if self._before is None:
            return None
        if self._last_walk is None:
            self._last_walk = now
        room = self._room()
        if (over := self._collected(now, room)) is not None:
            return over
        if self._is_due(now, room):
            walk = _Walk(self._folders, tuple(self._held), self._processes, self._enough())
            if self._work.begin(walk.found):
                self._walk, self._before, self._last_walk = walk, room, now
                return self._collected(now, room)
        return None

    def add(self, folders: Sequence[str]) -> None:
        """Count these folders too; one that cannot be opened is passed over."""
        self._held.extend(_opened(folders))

    def used_mb(self) -> float | None:
        """MiB it uses, as last measured; None before it was."""
        return self._used / _MIB if self._measured else None

    def close(self) -> None:
        """Stop looking and let go of the folders."""
        self._before = None
        if self._walk is not None:
            self._walk.wanted = False
        # The numbers of descriptors that a walk still uses must not become somebody else's.
        if self._work.close():
            for folder in self._held:
                os.close(folder)
        self._held = []

    def _collected(self, now: float, room: "_Room") -> Over | None:
        found = self._work.take()
        if found is None:
            return None
        self._walk = None
        self._used, self._measured = found.bytes, True
        self._not_before = now + found.cost_s / SHARE
        return _judged(found, self._limit, self._first, room)

    def _is_due(self, now: float, room: "_Room") -> bool:
        if self._walk is not None or self._before is None or self._last_walk is None:
            return False
        if now < self._not_before:
            return False
        if now >= self._last_walk + WALK_EVERY_S:
            return True
        return self._before.lost(room) >= max(self._left(self._before) / 2, STEP_BYTES)

    def _left(self, room: "_Room") -> int:
        """What the run could still write when it was last measured, before it would have to end."""
        if self._limit is not None:
            return self._limit - self._used
        return max(room.available - room.reserve(), NOTEWORTHY_MB * _MIB - self._used)

    def _enough(self) -> int | None:
        return None if self._limit is None else ENOUGH * self._limit

    def _room(self) -> "_Room":
        return _Room.of(self._held[0])


def is_full(folder: str) -> bool:
    """Whether the disk of `folder` has practically no room left for an ordinary user, or no inodes.

    It is evidence after a write that failed: what is freed by then no longer shows.
    """
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    least = min(_FULL_MB * _MIB, _FULL_SHARE * room.f_blocks * room.f_frsize)
    no_inodes = room.f_files > 0 and room.f_favail < min(_FULL_INODES, _FULL_SHARE * room.f_files)
    return room.f_bavail * room.f_frsize < least or no_inodes


class _Room(Data):
    """Room on a disk, in bytes: all, free, and free for ordinary users; and how many inodes are free."""

    total: int
    free: int
    available: int
    inodes: int

    @classmethod
    def of(cls, folder: int) -> "_Room":
        room = os.fstatvfs(folder)
        return cls(
            total=room.f_blocks * room.f_frsize,
            free=room.f_bfree * room.f_frsize,
            available=room.f_bavail * room.f_frsize,
            inodes=room.f_ffree,
        )

    def reserve(self) -> int:
        return min(RESERVE_MB * _MIB, int(self.total * RESERVE_SHARE))

    def lost(self, later: "_Room") -> int:
        """Bytes that somebody took until `later`; empty files show only by their inodes."""
        return max(self.free - later.free, (self.inodes - later.inodes) * ENTRY_BYTES)


def _judged(found: "_Found", limit: int | None, first: int, room: _Room) -> Over | None:
    """What is wrong with what was found, if anything; `first` is how much was free at the beginning."""
    used_mb, free_mb = found.bytes / _MIB, room.available / _MIB
    lost = (first - room.free) / _MIB
    if limit is not None:
        suspicious = lost > limit / _MIB
    else:
        suspicious = lost > NOTEWORTHY_MB and room.available < room.reserve()
    if found.hidden and suspicious:
        sentence = (
            f"it hid what it uses of the disk (folders that are closed, or nested more than {DEPTH_LIMIT}"
            f" deep, or processes that are closed), and the disk has lost {_size(lost)} meanwhile"
        )
    elif limit is not None and found.bytes > limit:
        more = "" if found.whole else "more than "
        sentence = f"it used {more}{_size(used_mb)} of disk and may use {_size(limit / _MIB)}"
    elif limit is None and room.available < room.reserve() and used_mb >= NOTEWORTHY_MB:
        sentence = (
            f"it left less than {_size(room.reserve() / _MIB)} free on the disk "
            f"({_size(free_mb)}); it used {_size(used_mb)} itself"
        )
    else:
        return None
    return Over(used_mb, None if limit is None else limit / _MIB, free_mb, sentence)


def _size(mb: float) -> str:
    """A number of MiB for people: `612 MB`, `2.3 GB`. Less than 10 MB have a decimal."""
    if mb >= 1024:
        return f"{mb / 1024:.1f}".removesuffix(".0") + " GB"
    return (f"{mb:.1f}".removesuffix(".0") if mb < 10 else f"{mb:.0f}") + " MB"


class _Found(Data):
    """What a walk found. `whole` is False when it ended early; `cost_s` is seconds of CPU.

    `hidden` says that there was something that could not be looked into.
    """

    bytes: int
    whole: bool
    hidden: bool
    cost_s: float


class _EnoughError(Exception):
    """The rest does not matter: the walk is no longer wanted, or has found far too much."""


@final
class _Walk:
    """One walk through everything that a run can write to.

    Everything may change meanwhile, and by the hand of hostile code: nothing is followed, folders are
    opened relative to those that are held open, and what is gone or closed to us is passed over. What is
    moved on the way must not count twice: folders, big files and those with several names are remembered.
    """

    def __init__(
        self,
        folders: Sequence[str],
        held: Sequence[int],
        processes: Callable[[], list[int]],
        enough: int | None,
    ) -> None:
        self.wanted = True
        self._folders = folders
        self._held = held
        self._processes = processes
        self._enough = enough
        self._bytes = 0
        self._hidden = False
        self._seen: set[tuple[int, int]] = set()
        self._devices: set[int] = set()

    def found(self) -> _Found:
        """Walk, and say what was found."""
        begun = time.thread_time()
        whole = False
        with suppress(_EnoughError):
            for folder in self._held:
                self._count_folder(folder, 1)
            for folder in _opened(self._folders):
                try:
                    self._count_folder(folder, 1)
                finally:
                    os.close(folder)
            self._count_unlinked(self._processes())
            whole = True
        return _Found(self._bytes, whole, self._hidden, time.thread_time() - begun)

    def _count_folder(self, folder: int, depth: int) -> None:
        if not self._count(os.fstat(folder)):
            return
        inside = self._count_entries(folder)
        if depth == DEPTH_LIMIT:
            self._hidden = self._hidden or bool(inside)
            return
        for name in inside:
            try:
                descriptor = open_folder(name, folder)
            except RefusedError as refused:
                self._hidden |= not refused.missing  # closed to us; or replaced by something else
                continue
            try:
                self._count_folder(descriptor, depth + 1)
            finally:
                os.close(descriptor)

    def _count_entries(self, folder: int) -> list[str]:
        """Count all that is no folder; the names of the folders."""
        inside = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            inside.append(entry.name)
                        else:
                            self._count(entry.stat(follow_symlinks=False))
                    except OSError:
                        continue
        except OSError as error:
            self._hidden |= error.errno == errno.EACCES
        return inside

    def _count_unlinked(self, processes: Iterable[int]) -> None:
        """Count files without a name that a process holds open: they are on the disk all the same."""
        for process in processes:
            folder = f"/proc/{process}/fd"
            try:
                names = os.listdir(folder)
            except OSError as error:
                self._hidden |= error.errno == errno.EACCES  # it made itself undumpable
                continue
            for name in names:
                try:
                    info = os.stat(f"{folder}/{name}")
                except OSError:
                    continue
                # On another device it is a memfd, which is memory, or none of the run's.
                on_disk = info.st_dev in self._devices and stat.S_ISREG(info.st_mode)
                if on_disk and info.st_nlink == 0:
                    self._count(info, keep=True)

    def _count(self, info: os.stat_result, *, keep: bool = False) -> bool:
        """Add what one thing takes; False when it was counted before."""
        size = max(info.st_blocks * 512, ENTRY_BYTES)
        is_folder = stat.S_ISDIR(info.st_mode)
        if keep or is_folder or info.st_nlink > 1 or size >= _KEPT_BYTES:
            identity = (info.st_dev, info.st_ino)
            if identity in self._seen:
                return False
            self._seen.add(identity)
        self._devices.add(info.st_dev)
        self._bytes += size
        if not self.wanted or (self._enough is not None and self._bytes > self._enough):
            raise _EnoughError
        return True


def _opened(folders: Iterable[str]) -> Iterator[int]:
    """Descriptors of those of `folders` that are there."""
    for folder in folders:
        with suppress(RefusedError):
            yield open_folder(folder)
