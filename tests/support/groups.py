"""The control groups that a command's processes are in, seen from outside: by the kernel's own account."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"/(kedge-[a-z0-9]{12})(?:/|$)", re.MULTILINE)
_TOP = Path("/sys/fs/cgroup")


def groups_of(process: int) -> set[str]:
    """The names of the groups for runs that a process's descendants are in; empty where there are none."""
    found: set[str] = set()
    for one in descendants(process):
        found.update(_NAME.findall(_said(one, "cgroup")))
    return found


def standing(names: set[str]) -> list[str]:
    """The folders of these groups that are there, wherever they are."""
    if not names:
        return []
    return [
        os.path.join(place, name)
        for place, folders, _ in os.walk(_TOP)
        for name in names.intersection(folders)
    ]


def descendants(process: int) -> Iterator[int]:
    """The children of a process, theirs, and so on."""
    for thread in _threads(process):
        for child in map(int, _said(process, f"task/{thread}/children").split()):
            yield child
            yield from descendants(child)


def _threads(process: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{process}/task")
    except OSError:
        return []


def _said(process: int, file: str) -> str:
    try:
        return Path(f"/proc/{process}/{file}").read_text(errors="replace")
    except OSError:  # it has ended
        return ""
