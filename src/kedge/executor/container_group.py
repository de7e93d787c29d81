"""A container's control group, which its engine made: found by the container's id, and only read.

Without one, as rootless Podman is on old control groups, its processes are those below its first.
"""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final, final

from kedge.executor import cgroup_folders as folders
from kedge.executor import processes
from kedge.executor.cgroup import LIMITING, Usage
from kedge.executor.cgroup_hierarchies import Hierarchy, hierarchies
from kedge.executor.cgroup_v1 import GroupV1
from kedge.executor.cgroup_v2 import GroupV2

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MONITOR: Final = "conmon"  # Podman's own, in a group that has the container's id as well
_OUT: Final = "/workspace/out"
_IN_MEMORY: Final = ("cgroup", "cgroup2", "devpts", "mqueue", "proc", "sysfs", "tmpfs")
_LAYER: Final = "upperdir="


@final
class ContainerGroup:
    """What the kernel counts of one container, as far as it can be seen from here.

    The engine sets the limits and removes the group, so what was last seen is kept. `container` is the
    container's id once it has one.

    Args:
        enforces: which of "memory", "cpu" and "pids" the engine limits; with none there is no group.
    """

    entrances: tuple[str, ...] = ()

    def __init__(self, enforces: Collection[str] = LIMITING) -> None:
        self.enforces = frozenset(enforces)
        self.container: str | None = None
        self.first: int | None = None  # its first process, by its number on this machine
        self._group: GroupV1 | GroupV2 | None = None
        self._seen = Usage()

    def know(self, container: str, first: int) -> None:
        """Take what somebody found earlier: the container's id and the number of its first process."""
        self.container, self.first = container, first
        with suppress(OSError):
            self._group = _group_of(first, container)

    def count_kills(self, memory_mb: int) -> None:
        """Have the kernel count what it kills at the memory limit, for as long as the container is there.

        The engine only knows that something was killed. Version 1 tells that from other kills if swap has
        a limit of its own, which engines give it no room for; only root may.
        """
        if isinstance(self._group, GroupV1):
            self._group.limit_memory(memory_mb)

    def join(self, pid: int) -> None:
        """Nobody joins: the engine starts what is in it."""

    def find(self) -> bool:
        """Whether its processes are known; looks for its group when not."""
        if not self.enforces:
            return self.first is not None
        if self._group is None and self.container is not None:
            self.first = _first_process(self.container)
            with suppress(OSError):  # it has ended meanwhile
                if self.first is not None:
                    self._group = _group_of(self.first, self.container)
        return self._group is not None

    def processes(self) -> list[int]:
        """The container's processes, but for its first, which only waits for the program."""
        if not self.find():
            return []
        if self._group is None:
            return self._below_first()
        return [one for one in self._group.processes() if one != self.first]

    def writable(self) -> list[str]:
        """Folders on disk that it can write to: a layer of its own, volumes; none while it is made ready."""
        with suppress(OSError):
            return list(_writable(self.first)) if self.first is not None else []
        return []

    def usage(self) -> Usage:
        """What its processes used; once it has gone, when it was last seen."""
        if self.find() and self._group is not None:
            now = self._group.usage()
            if now != Usage():
                self._seen = now
        return self._seen

    def memory_mb(self) -> float | None:
        """MiB that belong to its processes now."""
        self.usage()  # it may be gone the next time
        return self._group.memory_mb() if self._group is not None else None

    def settle(self, *, killed_for_memory: bool) -> None:
        """The container has ended, and its engine says whether the kernel killed a process for memory."""
        seen = self.usage()
        if killed_for_memory:
            kills = max(seen.oom_kills or 0, 1)
            seen = Usage(seen.cpu_s, kills, seen.forks_refused)
        self._seen, self._group, self.container, self.first = seen, None, None, None

    def kill(self) -> None:
        """SIGKILL to its first process, with which the kernel kills the others, where that is allowed."""
        with suppress(OSError):
            if self.first is not None and _is_first(str(self.first)):
                # It still is, and nobody else by now.
                processes.send(self.first, 9)

    def remove(self) -> None:
        """The engine removes it, with the container."""

    def _below_first(self) -> list[int]:
        if self.first is None:
            return []
        below = processes.descendants(self.first)
        cpu_s = max(self._seen.cpu_s or 0.0, sum(map(_cpu_s, (self.first, *below))))
        self._seen = Usage(cpu_s)
        return below


def _first_process(container: str) -> int | None:
    """The oldest process whose control group has the container's id in its name."""
    found: list[tuple[int, int]] = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with suppress(OSError, IndexError):  # it has ended meanwhile
            said = folders.read(f"/proc/{name}/cgroup")
            if container in said and _MONITOR not in said and _is_first(name):
                found.append((_started(int(name)), int(name)))
    return min(found)[1] if found else None


def _writable(first: int) -> Iterator[str]:
    """See proc(5), mountinfo: number, parent, device, root, target, options, …, `-`, kind, source, more."""
    mounts = [line.split(" ") for line in folders.read(f"/proc/{first}/mountinfo").splitlines()]
    if not any(fields[4] == _OUT for fields in mounts):
        return  # these are the machine's: it has yet to leave for its own root
    for fields in mounts:
        kind, _, more = fields[fields.index("-") + 1 :]
        if "rw" not in fields[5].split(",") or kind in _IN_MEMORY:
            continue
        if kind == "overlay":
            layer = [one for one in more.split(",") if one.startswith(_LAYER)]
            yield from (_unescaped(one.removeprefix(_LAYER)) for one in layer)
        else:
            yield f"/proc/{first}/root{_unescaped(fields[4])}"


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _is_first(process: str) -> bool:
    """Whether it is the first of its process namespace; those before it only make the container ready."""
    inside = folders.read(f"/proc/{process}/status").partition("\nNSpid:")[2].split("\n")[0].split()
    return len(inside) > 1 and inside[-1] == "1"


def _started(process: int) -> int:
    """Clock ticks since the machine was started at which a process was."""
    return int(folders.read(f"/proc/{process}/stat").rpartition(")")[2].split()[19])


def _cpu_s(process: int) -> float:
    """Seconds of CPU that a process and the children that it waited for have used."""
    with suppress(OSError, IndexError):
        words = folders.read(f"/proc/{process}/stat").rpartition(")")[2].split()
        return sum(map(int, words[11:15])) / _TICKS
    return 0.0


def _group_of(process: int, container: str) -> GroupV1 | GroupV2 | None:
    own: dict[str, str] = {}
    for line in folders.read(f"/proc/{process}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if container not in path:  # not moved there yet: this one is the whole machine's
            continue
        for controller in controllers.split(","):
            own[controller] = path
    made: dict[str, str] = {}
    second: Hierarchy | None = None
    for one in hierarchies():
        if one.version == 2:
            second = one
            continue
        for controller in ("memory", "cpu", "pids", "cpuacct"):
            if controller in one.controllers and controller in own:
                made[controller] = one.top + own[controller]
    if "memory" in made:
        return GroupV1(frozenset(made) & set(LIMITING), made)
    if second is not None and "" in own:
        return GroupV2(frozenset(LIMITING), second.top + own[""])
    return None
