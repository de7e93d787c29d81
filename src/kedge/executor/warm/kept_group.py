"""A control group that programs come into one after the other: making one takes longer than many a program."""

import os
from typing import Final, final

from kedge import home
from kedge.data import replace
from kedge.environment import folders
from kedge.executor import cgroups
from kedge.executor.cgroup import Usage
from kedge.task.resources import Resources

_LEFT_MB: Final = 1.0  # of files in memory, to which the next program may be held


@final
class KeptGroup:
    """One such group, found by those who clean up should this process be killed.

    `group` is None where there is none to be had.
    """

    def __init__(self, resources: Resources, own_processes: int = 0) -> None:
        """Make it, with the arguments of `cgroups.create`.

        Raises:
            OSError: there is no place for what it is found by.
        """
        self._place, self._held = folders.claimed(home.folder(folders.TEMPORARIES))
        try:
            self.group: cgroups.OwnGroup | None = cgroups.create(
                folders.name_of(self._place), resources, own_processes
            )
        except BaseException:
            self._let_go()
            raise

    def close(self) -> None:
        """Kill what is left in it, and remove it."""
        try:
            if self.group is not None:
                self.group.remove()
        finally:
            self._let_go()

    def forget(self) -> None:
        """Let go of it where it is another process's, whose fork this one is."""
        os.close(self._held)

    def _let_go(self) -> None:
        folders.remove(self._place)
        os.close(self._held)


def is_as_new(group: cgroups.OwnGroup, own_processes: int = 0) -> bool:
    """Whether a program that comes into a kept group now is held and counted as it were in a new one.

    Files in memory that an earlier one has left count as long as they are there, and what is known of kills
    depends on whether its memory ever was short.
    """
    return (
        len(group.processes()) <= own_processes
        and group.shared_mb() < _LEFT_MB
        and not group.was_short()
    )


@final
class Shared:
    """A kept control group as that of one program: what earlier ones used is not counted.

    Args:
        group: the kept one.
        before: what was used in it before.
    """

    def __init__(self, group: cgroups.Group, before: Usage) -> None:
        self.enforces = group.enforces
        self.entrances = group.entrances
        self._group = group
        self._before = before

    def join(self, pid: int) -> None:
        """It is in there already."""

    def processes(self) -> list[int]:
        """Those that are in it now, with whoever else lives there."""
        return self._group.processes()

    def usage(self) -> Usage:
        """What this program's processes use."""
        now, before = self._group.usage(), self._before
        return replace(
            now,
            cpu_s=_since(now.cpu_s, before.cpu_s),
            oom_kills=_since(now.oom_kills, before.oom_kills),
            forks_refused=_since(now.forks_refused, before.forks_refused),
        )

    def memory_mb(self) -> float | None:
        """MiB that belong to the processes now."""
        return self._group.memory_mb()

    def kill(self) -> None:
        """Kill all that is in it."""
        self._group.kill()

    def remove(self) -> None:
        """It stays."""


def _since[Number: (int, float)](now: Number | None, before: Number | None) -> Number | None:
    return None if now is None else now - (before or 0)
