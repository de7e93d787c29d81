"""Groups of cgroup v2: a folder with the limits, and an inner leaf where the processes are.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel.
"""

import os
from typing import final

from kedge.data import Data
from kedge.executor import cgroup_folders as folders
from kedge.executor.cgroup import CPU_PERIOD_US, Available, Usage, quota_us
from kedge.task.resources import Resources

LEAF = "run"


class Parent(Data):
    """The group below which groups of version 2 are made; None when there is none."""

    available: Available
    folder: str | None
    root: str = ""

    def create(self, name: str, resources: Resources, own_processes: int) -> "GroupV2 | None":
        """A new group with its limits set; None when it cannot be made."""
        if self.folder is None:
            return None
        folder = os.path.join(self.folder, folders.folder_name(name))
        try:
            folders.make(folder)
        except OSError:
            return None
        enforced = {
            "memory": _limit_memory(folder, resources.memory_mb, self.root),
            "pids": folders.wrote(f"{folder}/pids.max", str(resources.pids + own_processes)),
            "cpu": _limit_cpu(folder, resources.cpu),
        }
        try:
            folders.make(f"{folder}/{LEAF}")
        except OSError:
            folders.remove((folder,))
            return None
        return GroupV2(frozenset(name for name, limited in enforced.items() if limited), folder)


@final
class GroupV2:
    """A group of version 2. All limits and counts are those of the outer folder."""

    def __init__(self, enforces: frozenset[str], folder: str) -> None:
        self.enforces = enforces
        self.entrances = (f"{folder}/{LEAF}/cgroup.procs",)
        self._folder = folder

    def join(self, pid: int) -> None:
        """Bring a process into the leaf."""
        folders.write(self.entrances[0], str(pid))

    def processes(self) -> list[int]:
        """Those that are in the leaf, or below it."""
        return folders.processes((self._folder,))

    def usage(self) -> Usage:
        """What the processes used."""
        # Kills are counted in the leaf, where the victims are, and by memory.events also here;
        # memory.events.local would not have them.
        events = folders.numbers(f"{self._folder}/memory.events")
        microseconds = folders.numbers(f"{self._folder}/cpu.stat").get("usage_usec")
        return Usage(
            cpu_s=None if microseconds is None else microseconds / 1e6,
            oom_kills=_kills(events),
            forks_refused=self._forks_refused(),
        )

    def memory_mb(self) -> float | None:
        """MiB that belong to the processes now."""
        stat = self._stat()
        return (stat["anon"] + stat.get("shmem", 0)) / (1 << 20) if "anon" in stat else None

    def shared_mb(self) -> float:
        """MiB of shared memory and tmpfs files."""
        return self._stat().get("shmem", 0) / (1 << 20)

    def was_short(self) -> bool:
        """Whether it was at its limit, or a process was killed for want of memory."""
        events = folders.numbers(f"{self._folder}/memory.events")
        return any(events.get(name) for name in ("max", "oom", "oom_kill"))

    def kill(self) -> None:
        """Kill all that is in it."""
        folders.kill_all((self._folder,))

    def remove(self) -> None:
        """Kill what is left, remove leaf and folder."""
        folders.kill_all((self._folder,))
        folders.remove((self._folder,))

    def _stat(self) -> dict[str, int]:
        return folders.numbers(f"{self._folder}/memory.stat")

    def _forks_refused(self) -> int | None:
        # Counted in the group whose limit it was since Linux 6.11, before that where the forking process is.
        places = (self._folder, f"{self._folder}/{LEAF}")
        counts = [folders.numbers(f"{place}/pids.events").get("max") for place in places]
        return max((count for count in counts if count is not None), default=None)


def _limit_memory(folder: str, memory_mb: int, root: str) -> bool:
    if not folders.wrote(f"{folder}/memory.max", str(memory_mb << 20)):
        return False
    # A run that lost one process at its limit is over: what is left would wait for it, or lie.
    folders.wrote(f"{folder}/memory.oom.group", "1")
    # Kernels without swap accounting lack the file; then only a machine without swap holds the limit.
    return folders.wrote(f"{folder}/memory.swap.max", "0") or not _swaps(root)


def _swaps(root: str) -> bool:
    return len(folders.read(f"{root}/proc/swaps").splitlines()) > 1


def _limit_cpu(folder: str, cpu: float) -> bool:
    quota = quota_us(cpu, os.cpu_count() or 1)
    return quota is None or folders.wrote(f"{folder}/cpu.max", f"{quota} {CPU_PERIOD_US}")


def _kills(events: dict[str, int]) -> int | None:
    if "oom_kill" not in events:
        return None
    # `oom` counts what happened at this group's limit; a kill without it was for want of memory above.
    return events["oom_kill"] if events.get("oom", 0) else 0
