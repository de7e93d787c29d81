"""Control groups for runs: what can be had here, making one, finding those that were left behind.

Which version of the kernel's groups it is, and where they are, is found out once in a process. With
version 2 that may move this process, and nothing else that was started before: so it is for whoever
starts the runs to ask, before the first of them.
"""

import os
import threading

from kedge.executor import cgroup_folders as folders
from kedge.executor import cgroup_v1, cgroup_v2, delegation
from kedge.executor.cgroup import LIMITING, Available, Group, OwnGroup, Usage
from kedge.executor.cgroup_hierarchies import Hierarchy, hierarchies
from kedge.task.resources import Resources

__all__ = [
    "Available",
    "Group",
    "OwnGroup",
    "Usage",
    "available",
    "create",
    "found_here",
    "look",
    "named",
    "remove_named",
    "take_over",
    "warm_up",
]

type Parent = cgroup_v1.Parent | cgroup_v2.Parent

_remembered: Parent | None = None
_looking = threading.Lock()


def available() -> Available:
    """What this process could have, and why not more."""
    return _parent().available


def found_here() -> bytes:
    """What this process found, for a process of its own that is to make groups as well."""
    import pickle

    return pickle.dumps(_parent())


def take_over(found: bytes) -> None:
    """Make groups where the process that started this one found that they can be made."""
    import pickle

    global _remembered
    _remembered = pickle.loads(found)


def create(name: str, resources: Resources, own_processes: int = 0) -> OwnGroup | None:
    """A new group for one run; None where there is none to be had.

    Args:
        name: the run's id.
        resources: the limits. A CPU limit of all the machine's CPUs costs nothing and needs no controller.
        own_processes: how many of Kedge's own will be in it, on top of `resources.pids`.

    Raises:
        ValueError: `name` is no run's id.
    """
    folders.folder_name(name)
    return _parent().create(name, resources, own_processes)


def remove_named(name: str) -> None:
    """Kill what is in the group called `name`, whose owner is gone, and remove it; none there is fine.

    Raises:
        ValueError: `name` is no run's id.
    """
    folders.folder_name(name)
    left = tuple(folders.found(_tops()).get(name, ()))
    folders.kill_all(left)
    folders.remove(left)


def named() -> list[str]:
    """The names of all groups that this account made for runs, also those of other Kedge processes."""
    return sorted(folders.found(_tops()))


def warm_up() -> None:
    """Make the next `join` fast, 5 to 20 ms from now; returns at once.

    After a pause the first move of a process between groups waits for all CPUs to pass a quiet state (an
    RCU period: 14 ms in the median), and further ones within that time do not. So a thread moves this
    process to where it is already, while other things are prepared.
    """
    threading.Thread(target=_move_nowhere, daemon=True).start()


def look(root: str = "") -> Parent:
    """Where groups can be made on the machine whose file system begins at `root`."""
    found = hierarchies(root)
    if any(one.version == 1 and one.controllers & set(LIMITING) for one in found):
        return cgroup_v1.look(found)
    return delegation.look(found, root)


def _parent() -> Parent:
    global _remembered
    with _looking:
        if _remembered is None:
            _remembered = look()
        return _remembered


def _tops() -> list[str]:
    return [one.top for one in hierarchies() if _holds_runs(one)]


def _holds_runs(one: Hierarchy) -> bool:
    return one.version == 2 or bool(one.controllers & {*LIMITING, "cpuacct"})


def _move_nowhere() -> None:
    for one in hierarchies():
        if one.own is not None and _holds_runs(one) and os.access(one.own, os.W_OK):
            folders.wrote(f"{one.own}/cgroup.procs", "0")
            return
