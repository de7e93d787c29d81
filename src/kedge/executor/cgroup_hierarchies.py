"""Where the control groups of this machine are mounted, and where among them this process is."""

import re

from kedge.data import Data
from kedge.executor import cgroup_folders as folders

_ESCAPED = re.compile(r"\\([0-7]{3})")  # proc(5): spaces and the like in mountinfo


class Hierarchy(Data):
    """One tree of control groups.

    Args:
        version: 1 or 2.
        controllers: what it controls: of its mount (v1), of its topmost group (v2).
        top: folder of the topmost group that can be seen.
        own: folder of the group that this process is in; None when that cannot be seen.
    """

    version: int
    controllers: frozenset[str]
    top: str
    own: str | None


def hierarchies(root: str = "") -> list[Hierarchy]:
    """Every mounted hierarchy, once; `root` stands before all paths."""
    own = _own_paths(root)
    found: dict[frozenset[str], Hierarchy] = {}
    for line in folders.read(f"{root}/proc/self/mountinfo").splitlines():
        mount, _, source = line.partition(" - ")
        fields, (kind, _, options) = mount.split(" "), source.split(" ", 2)
        shown, top = _plain(fields[3]), root + _plain(fields[4])
        if kind == "cgroup2":
            controllers = frozenset(folders.read(f"{top}/cgroup.controllers").split())
            key: frozenset[str] = frozenset()
        elif kind == "cgroup":
            controllers = key = frozenset(name for name in options.split(",") if name in own)
        else:
            continue
        path = next((own[name] for name in (key or {""}) if name in own), None)
        inside = None if path is None else _within(path, shown)
        place = None if inside is None else top + inside
        if key not in found or (found[key].own is None and place is not None):
            version = 2 if kind == "cgroup2" else 1
            found[key] = Hierarchy(version, controllers, top, place)
    return list(found.values())


def _own_paths(root: str) -> dict[str, str]:
    """Controller → path of this process's group in its hierarchy; "" stands for version 2."""
    paths: dict[str, str] = {}
    for line in folders.read(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _within(path: str, shown: str) -> str | None:
    """`path` relative to the part of its hierarchy that a mount shows, "" for that part's top."""
    if shown == "/":
        # A namespace that was entered from outside shows what is above it as "/..".
        return None if path.startswith("/..") else path.rstrip("/")
    if path == shown or path.startswith(shown + "/"):
        return path[len(shown) :]
    return None


def _plain(escaped: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), escaped)
