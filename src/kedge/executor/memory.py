"""What the processes of a run hold in memory together, measured from outside.

The measure is PSS: a page that several processes share counts for each in part, so that a tree of forks
is not counted once a process. It costs the kernel 0.1 to 0.2 ms a small process and 10 ms a GiB. The sum
of RSS costs five microseconds a process and is never less than that of PSS: where it already is small
enough, PSS is not asked for.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, final

from kedge.data import Data
from kedge.executor.aside import Aside

SHARE: Final = 0.1  # of one core, that looking may cost
RECORD_SHARE: Final = 0.02  # of one core, for PSS that only the record wants to know
RECORD_STEP: Final = 1.25  # how much more than the peak so far is worth asking PSS for the record

_MIB: Final = 1 << 20
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_OWN_SHARED_MEMORY: Final = "/dev/shm"


def used_mb(processes: Iterable[int], shared_memory: str | None = None) -> float:
    """MiB of memory that `processes` hold together; those that are gone hold nothing.

    What was swapped out, and what the kernel holds for them (pipes, sockets), is not counted.

    Args:
        processes: their numbers.
        shared_memory: their private /dev/shm as seen from here (`/proc/PID/root/dev/shm`), of which also
            counts what nobody has mapped; None when they have none.
    """
    listed = list(processes)
    return _held_bytes(listed, _in_files(listed, shared_memory)) / _MIB


@final
class MemorySum:
    """Measures the memory of a run's processes again and again, beside the watch loop.

    It spaces itself: all of its looks together cost at most `SHARE` and `RECORD_SHARE` of a core, so a run
    of 500 processes, or of 100 GiB that several processes share, is looked at every few seconds only.

    Args:
        processes: tells the numbers of the run's processes; called from another thread.
        shared_memory: tells their private /dev/shm as in `used_mb`; likewise.
        limit_mb: MiB from which on PSS must be known.
    """

    def __init__(
        self,
        processes: Callable[[], list[int]],
        shared_memory: Callable[[], str | None],
        limit_mb: float,
    ) -> None:
        self._processes = processes
        self._shared_memory = shared_memory
        self._limit = limit_mb * _MIB
        self._peak = 0.0  # bytes
        self._due = 0.0
        self._record_due = 0.0
        self._work: Aside[_Look] = Aside()

    def look(self, now: float) -> float | None:
        """MiB held, when that was measured just now; None as long as it cannot matter.

        It matters as more than the limit, and as more than was ever seen. Between looks the run goes on:
        two milliseconds are waited for a measurement, a longer one is told at a later look.

        Args:
            now: `time.monotonic()`.
        """
        if (used := self._collected(now)) is None and now >= self._due:
            for_record = now >= self._record_due
            if self._work.begin(lambda: self._measured(for_record=for_record)):
                used = self._collected(now)
        return used

    def _collected(self, now: float) -> float | None:
        found = self._work.take()
        if found is None:
            return None
        self._due = now + found.cost_s / SHARE
        self._record_due = max(self._record_due, now + found.record_cost_s / RECORD_SHARE)
        if found.held is None:
            return None
        self._peak = max(self._peak, found.held)
        return found.held / _MIB

    def _measured(self, *, for_record: bool) -> "_Look":
        begun = time.thread_time()
        processes = self._processes()
        files = _in_files(processes, self._shared_memory())
        most = sum(_resident(process)[0] for process in processes) + files
        bound_known = time.thread_time()
        above_limit = most > self._limit
        if not above_limit and not (for_record and most > RECORD_STEP * self._peak):
            return _Look(None, bound_known - begun, 0.0)
        held = _held_bytes(processes, files)
        ended = time.thread_time()
        if above_limit:
            return _Look(held, ended - begun, 0.0)
        return _Look(held, bound_known - begun, ended - bound_known)


class _Look(Data):
    """One look: bytes held where they were measured, and seconds of CPU that each purpose cost."""

    held: float | None
    cost_s: float
    record_cost_s: float


def _held_bytes(processes: Sequence[int], files: int) -> float:
    """PSS of `processes`, and of the bytes in memory `files` those that none of them has mapped."""
    held = mapped = 0
    for process in processes:
        own, shared = _proportional(process)
        held += own
        mapped += shared
    return held + max(0, files - mapped)


def _proportional(process: int) -> tuple[int, int]:
    """PSS in bytes, all of it and that of memory files; RSS where that is refused.

    It is refused for a process that has closed itself to being looked at, which is not to pay off.
    """
    try:
        lines = _read(f"/proc/{process}/smaps_rollup").splitlines()
    except OSError:
        return _resident(process)[0], 0
    # The first line is the range of addresses; the others are `Name:   123 kB`.
    sizes = {words[0]: int(words[1]) << 10 for words in map(bytes.split, lines[1:])}
    return sizes.get(b"Pss:", 0), sizes.get(b"Pss_Shmem:", 0)


def _resident(process: int) -> tuple[int, int]:
    """RSS in bytes, all of it and what of it is files and memory files; nothing for one that is gone."""
    try:
        words = _read(f"/proc/{process}/statm").split()
    except OSError:
        return 0, 0
    return int(words[1]) * _PAGE, int(words[2]) * _PAGE


def _in_files(processes: Iterable[int], shared_memory: str | None) -> int:
    """Bytes in files that live in memory: all of a private /dev/shm, else those that are open."""
    return (0 if shared_memory is None else _in_folder(shared_memory)) + _in_open_files(processes)


def _in_folder(shared_memory: str) -> int:
    try:
        if os.stat(shared_memory).st_dev == os.stat(_OWN_SHARED_MEMORY).st_dev:
            return 0  # the sandbox is not built yet: this is the host's, with everybody's files
        room = os.statvfs(shared_memory)
    except OSError:
        return 0
    return (room.f_blocks - room.f_bfree) * room.f_frsize


def _in_open_files(processes: Iterable[int]) -> int:
    """Bytes of the memory files that `processes` have open to write: none need be mapped to hold memory."""
    found: dict[tuple[int, int], int] = {}
    devices = _memory_devices()
    for process in processes:
        folder = f"/proc/{process}/fd"
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            try:
                info = os.stat(f"{folder}/{name}")
                written = os.lstat(f"{folder}/{name}").st_mode & stat.S_IWUSR  # how it was opened
            except OSError:
                continue
            if written and info.st_dev in devices and stat.S_ISREG(info.st_mode):
                found[info.st_dev, info.st_ino] = info.st_blocks * 512
    return sum(found.values())


def _memory_devices() -> set[int]:
    """The device of the one file system that the kernel keeps all memfds in, and that of /dev/shm."""
    descriptor = os.memfd_create("kedge")
    try:
        found = {os.fstat(descriptor).st_dev}
    finally:
        os.close(descriptor)
    with suppress(OSError):
        found.add(os.stat(_OWN_SHARED_MEMORY).st_dev)
    return found


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)  # these files are shorter, and the kernel gives them whole
    finally:
        os.close(descriptor)
