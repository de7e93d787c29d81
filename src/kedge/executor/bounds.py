"""Holding one program to its memory and disk, and knowing what it used.

Where control groups can be had the kernel holds it; elsewhere its memory is summed every tick and Kedge
kills it. What a program did to its disk is looked at from outside in either case.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

from kedge.data import Data
from kedge.executor import cgroups
from kedge.executor.disk import DiskWatch
from kedge.executor.memory import MemorySum

if TYPE_CHECKING:
    from kedge.executor.job import Job

BreachKind = Literal["out_of_memory", "out_of_disk"]


class Attended(Protocol):
    """What is looked at: a program's processes, and its private memory file system if it has one."""

    def processes(self) -> list[int]:
        """The host's numbers of its living processes."""

    def shared_memory(self) -> str | None:
        """Its /dev/shm as seen from here, None when that is not its own."""


class Breach(Data):
    """Why Kedge ends a program: the kind of failure, and a sentence with the figures."""

    kind: BreachKind
    sentence: str


class Used(Data):
    """What a program used: MiB at most, of memory and of disk, None when that is unknown.

    `cpu_s` is seconds of CPU as its group counts them; `oom_kills` how many of its processes the kernel
    killed at its memory limit, `forks_refused` how many it refused to start at the limit on their number.
    """

    cpu_s: float | None

    peak_memory_mb: float | None
    disk_mb: float | None
    oom_kills: int
    forks_refused: int


class Bounds:
    """One program's bounds. `group` is its control group, None where there is none."""

    def __init__(self, job: "Job", group: cgroups.Group | None, folders: list[str]) -> None:
        self.group = group
        self.held_by_kernel = group.enforces if group is not None else frozenset[str]()
        self._limit_mb = job.resources.memory_mb
        self._peak: float | None = None
        self._program: Attended | None = None
        self._folders = folders
        self._disk_mb = job.resources.disk_mb
        self._disk: DiskWatch | None = None
        self._memory = MemorySum(self._processes, self._shared_memory, self._limit_mb)

    def attend(self, program: Attended) -> None:
        """Look at `program` from now on; what it can write to is there by now."""
        self._program = program
        self._disk = DiskWatch(self._folders, self._disk_mb, self._processes)

    def also(self, folders: list[str]) -> None:
        """Hold it to what it uses of these folders as well, which are there only now."""
        if self._disk is not None:
            self._disk.add(folders)

    def look(self, now: float) -> Breach | None:
        """What it did too much of, if anything; called every tick with the monotonic clock."""
        try:
            if self._disk is not None and (over := self._disk.look(now)) is not None:
                return Breach("out_of_disk", over.sentence)
            used = self._used_memory(now)
        except OSError:  # this process has no descriptor left, say: the next look may do better
            return None
        if used is None:
            return None
        self._peak = max(used, self._peak or 0.0)
        if "memory" in self.held_by_kernel or used <= self._limit_mb:
            return None
        return Breach(
            "out_of_memory", f"its processes held {used:.0f} MiB together when Kedge killed them"
        )

    def used(self) -> Used:
        """What it used in all; asked once it has ended."""
        usage = self.group.usage() if self.group is not None else None
        return Used(
            cpu_s=usage.cpu_s if usage is not None else None,
            peak_memory_mb=self._peak,
            disk_mb=self._disk.used_mb() if self._disk is not None else None,
            oom_kills=(usage.oom_kills or 0) if usage is not None else 0,
            forks_refused=(usage.forks_refused or 0) if usage is not None else 0,
        )

    def close(self) -> None:
        """End what is left in the group, and stop looking."""
        self._program = None  # what looks at it refers to these bounds, which would keep it
        if self._disk is not None:
            self._disk.close()
        if self.group is not None:
            self.group.remove()

    def _used_memory(self, now: float) -> float | None:
        if self.group is not None and "memory" in self.held_by_kernel:
            return self.group.memory_mb()
        return self._memory.look(now)

    def _processes(self) -> list[int]:
        return self._program.processes() if self._program is not None else []

    def _shared_memory(self) -> str | None:
        return self._program.shared_memory() if self._program is not None else None


@contextmanager
def bounded(job: "Job", folders: list[str], own_processes: int = 0) -> Iterator[Bounds]:
    """The bounds of a program for the length of the block; nothing in its group survives it.

    Args:
        job: the run's surroundings; its id names the group.
        folders: what it can write to, on disk.
        own_processes: how many of Kedge's own are in it with the program.
    """
    bounds = Bounds(job, cgroups.create(job.run_id, job.resources, own_processes), folders)
    try:
        yield bounds
    finally:
        bounds.close()
