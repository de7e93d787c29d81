"""Groups of cgroup v1: one folder in each controller's own hierarchy, below this process's place.

Source: Documentation/admin-guide/cgroup-v1 of the kernel. Only root can have them: v1 does not delegate.
"""

import os
import resource
from typing import final

from kedge.data import Data
from kedge.executor import cgroup_folders as folders
from kedge.executor.cgroup import CPU_PERIOD_US, LIMITING, Available, Usage, quota_us
from kedge.executor.cgroup_hierarchies import Hierarchy
from kedge.task.resources import Resources

_COUNTING = "cpuacct"  # limits nothing, and knows the CPU time


class Parent(Data):
    """Where groups of version 1 are made: controller → this process's folder in its hierarchy."""

    available: Available
    places: dict[str, str]

    def create(self, name: str, resources: Resources, own_processes: int) -> "GroupV1 | None":
        """A new group with its limits set; None when no controller gives one."""
        made: dict[str, str] = {}
        for controller, place in self.places.items():
            folder = os.path.join(place, folders.folder_name(name))
            if folder in made.values():  # cpu and cpuacct are one hierarchy on many machines
                made[controller] = folder
                continue
            try:
                folders.make(folder)
            except OSError:
                continue
            made[controller] = folder
        if not made:
            return None
        enforced = {
            "memory": "memory" in made and _limit_memory(made["memory"], resources.memory_mb),
            "pids": "pids" in made
            and folders.wrote(f"{made['pids']}/pids.max", str(resources.pids + own_processes)),
            "cpu": _limit_cpu(made.get("cpu"), resources.cpu),
        }
        return GroupV1(frozenset(name for name, limited in enforced.items() if limited), made)


def look(found: list[Hierarchy]) -> Parent:
    """What this process can have of version 1."""
    places = {
        controller: hierarchy.own
        for controller in (*LIMITING, _COUNTING)
        for hierarchy in found
        if hierarchy.version == 1 and controller in hierarchy.controllers and hierarchy.own
    }
    usable = {name: place for name, place in places.items() if os.access(place, os.W_OK)}
    controllers = frozenset(usable) & set(LIMITING)
    if not controllers:
        return Parent(
            Available(
                None,
                frozenset(),
                "control groups of version 1 can be had by root only"
                if os.geteuid() != 0
                else "the control groups here are read-only",
                "use a machine with cgroup v2 (systemd.unified_cgroup_hierarchy=1 when it starts),"
                " or start Kedge as root"
                if os.geteuid() != 0
                else "mount /sys/fs/cgroup so that it can be written, as for a privileged container",
            ),
            {},
        )
    lacking = [name for name in LIMITING if name not in controllers]
    return Parent(
        Available(
            1,
            controllers,
            f"there is no cgroup controller for {' and '.join(lacking)}" if lacking else "",
            f"mount it: mount -t cgroup -o {lacking[0]} cgroup /sys/fs/cgroup/{lacking[0]}"
            if lacking
            else "",
        ),
        usable,
    )


@final
class GroupV1:
    """A group of version 1: controller → folder."""

    def __init__(self, enforces: frozenset[str], made: dict[str, str]) -> None:
        self.enforces = enforces
        self._made = made
        self._folders = tuple(dict.fromkeys(made.values()))
        self.entrances = tuple(f"{folder}/cgroup.procs" for folder in self._folders)

    def join(self, pid: int) -> None:
        """Bring a process into each hierarchy."""
        for entrance in self.entrances:
            folders.write(entrance, str(pid))

    def limit_memory(self, memory_mb: int) -> None:
        """Set the limit of memory anew, so that kills at it are told from others."""
        if (memory := self._made.get("memory")) is not None:
            _limit_memory(memory, memory_mb)

    def processes(self) -> list[int]:
        """Those that are in any of the hierarchies."""
        return folders.processes(self._folders)

    def usage(self) -> Usage:
        """What the processes used."""
        oom_kills, cpu_s, forks_refused = None, None, None
        if (memory := self._made.get("memory")) is not None:
            oom_kills = folders.numbers(f"{memory}/memory.oom_control").get("oom_kill")
            if oom_kills and not _was_full(memory):
                oom_kills = 0  # the machine's memory was full, or that of a group above
        if (counting := self._made.get(_COUNTING)) is not None:
            nanoseconds = folders.number(f"{counting}/cpuacct.usage")
            cpu_s = None if nanoseconds is None else nanoseconds / 1e9
        if (pids := self._made.get("pids")) is not None:
            forks_refused = folders.numbers(f"{pids}/pids.events").get("max")
        return Usage(cpu_s, oom_kills, forks_refused)

    def memory_mb(self) -> float | None:
        """MiB that belong to the processes now."""
        stat = self._stat()
        return (stat["rss"] + stat.get("shmem", 0)) / (1 << 20) if "rss" in stat else None

    def shared_mb(self) -> float:
        """MiB of shared memory and tmpfs files."""
        return self._stat().get("shmem", 0) / (1 << 20)

    def was_short(self) -> bool:
        """Whether it was at its limit, or a process was killed for want of memory."""
        memory = self._made.get("memory")
        if memory is None:
            return False
        killed = folders.numbers(f"{memory}/memory.oom_control").get("oom_kill")
        return bool(killed) or _was_full(memory)

    def kill(self) -> None:
        """Kill all that is in it."""
        folders.kill_all(self._folders)

    def remove(self) -> None:
        """Kill what is left, remove every folder."""
        folders.kill_all(self._folders)
        folders.remove(self._folders)

    def _stat(self) -> dict[str, int]:
        memory = self._made.get("memory")
        return folders.numbers(f"{memory}/memory.stat") if memory is not None else {}


def _was_full(memory: str) -> bool:
    # Where the limit with swap is the same one, that is what is reached first.
    return any(
        folders.number(f"{memory}/{name}") for name in ("memory.failcnt", "memory.memsw.failcnt")
    )


def _limit_memory(folder: str, memory_mb: int) -> bool:
    limit = memory_mb << 20
    if not folders.wrote(f"{folder}/memory.limit_in_bytes", str(limit)):
        return False
    # Memory and swap together have a limit too, so that there is no swap; one page above the other, since
    # the sum is charged first and newer kernels count only what memory itself refused (seen on 6.18).
    # Kernels without swap accounting are told not to swap this group at all.
    return folders.wrote(
        f"{folder}/memory.memsw.limit_in_bytes", str(limit + resource.getpagesize())
    ) or folders.wrote(f"{folder}/memory.swappiness", "0")


def _limit_cpu(folder: str | None, cpu: float) -> bool:
    quota = quota_us(cpu, os.cpu_count() or 1)
    if quota is None:
        return True
    return (
        folder is not None
        and folders.wrote(f"{folder}/cpu.cfs_period_us", str(CPU_PERIOD_US))
        and folders.wrote(f"{folder}/cpu.cfs_quota_us", str(quota))
    )
