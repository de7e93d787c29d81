"""What Kedge keeps in its home, piece by piece: how large each is, when it was last used, and by whom.

Last uses are facts that exist already: runs name their environment and snapshot with a time, everything
else has the times of its file system. The hot path writes nothing for this.
"""

import os
import re
import time
from calendar import timegm
from collections.abc import Iterator
from typing import Final

from kedge.data import Data, field
from kedge.environment import folders, image_uses, runner
from kedge.home import home
from kedge.package import holding, snapshot
from kedge.run.entry import ALIVE
from kedge.run.rows import IS_ALIVE
from kedge.store import connection

ENVIRONMENT: Final = "environment"
SNAPSHOT: Final = "snapshot"
PACKAGE: Final = "unpacked package"
BYTECODE: Final = "byte code"
RUNNER: Final = "runner"
DESCRIPTION: Final = "description"
INDEX: Final = "index"
IMAGE_USE: Final = "use of an image"
RUN: Final = "run"
LEFT_OVER: Final = "left-over"
GROUP: Final = "control group"
IMAGE: Final = "image"
CONTAINER: Final = "container"

# Where each kind is, what names unfinished or withdrawn folders beside it have, and whose lock holds one.
FOLDERS: Final = {
    ENVIRONMENT: ("environments", folders.TEMPORARY, ""),
    SNAPSHOT: ("snapshots", ".new-", snapshot.HELD_BY),
    PACKAGE: ("packages", ".new-", ""),
    BYTECODE: ("bytecode", folders.TEMPORARY, ""),
    RUNNER: ("runners", folders.TEMPORARY, ""),
}
_FILES: Final = {DESCRIPTION: "descriptions", INDEX: "index", IMAGE_USE: image_uses.FOLDER}
_BLOCK: Final = 512  # bytes of one of `st_blocks`, whatever the file system's own are
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_RUNNER: Final = re.compile(r"[0-9a-f]{32}-.+")
_DRAFT_S: Final = 86_400.0  # seconds: the draft of a small file is written within moments

type Inode = tuple[int, int]


class Kept(Data):
    """One thing that is kept and can go by itself.

    Args:
        kind: one of this module's constants.
        name: its digest, id or file name.
        path: where it is; "" for what is not a folder or file.
        used: when it was last used, seconds since 1970.
        useless: why nobody can use it any more, a clause; "" when somebody may.
        needed: why it must stay, a clause; "" when it may go.
        inodes: how often each file of it is named in it, by device and inode.
        elsewhere: bytes that it takes outside Kedge's home.
    """

    kind: str
    name: str
    path: str
    used: float
    useless: str = ""
    needed: str = ""
    inodes: dict[Inode, int] = field(default_factory=dict)
    elsewhere: int = 0


class Home(Data):
    """Everything in Kedge's home, and what container engines keep for it.

    Args:
        kept: what can go by itself.
        sizes: bytes on disk of every file there, by inode: one of several names counts once.
        names: how many names in Kedge's home each file has.
    """

    kept: tuple[Kept, ...]
    sizes: dict[Inode, int]
    names: dict[Inode, int]

    @property
    def size(self) -> int:
        """Bytes on disk of everything together."""
        return sum(self.sizes.values()) + sum(one.elsewhere for one in self.kept)


def look() -> Home:
    """What there is now; it may change at any moment, so whoever removes something asks again.

    Raises:
        StoreError: the database cannot be read.
    """
    from kedge.run.keeping_engines import containers, look_into_engines

    in_engines = containers()
    listed = _run_folders()  # before the records: each folder here had its record by then
    runs = runs_now()
    uses, busy = _uses(), in_use()
    kept = [
        *_folders(uses, busy),
        *_files(),
        *_records(runs, busy),
        *_left_over_folders(),
        *_orphans(listed, runs),
        *_groups(runs),
        *look_into_engines(in_engines, runs, uses, busy),
    ]
    sizes: dict[Inode, int] = {}
    names: dict[Inode, int] = {}
    parts = {one.path: one.inodes for one in kept if one.path}
    _measure(home(), parts, sizes, names)
    return Home(tuple(_used_by_links(kept)), sizes, names)


def prefix_beside(path: str) -> str:
    """What the names of left-over folders beside `path` begin with."""
    parent = os.path.basename(os.path.dirname(path))
    known = {name: prefix for name, prefix, _ in FOLDERS.values()}
    return known.get(parent, folders.TEMPORARY)


def in_use() -> frozenset[str]:
    """What runs that go on use: digests of environments and snapshots, their ids, paths of packages."""
    found: set[str] = set()
    query = f"SELECT id, environment, snapshot, source, input_files FROM runs WHERE {IS_ALIVE}"
    for name, environment, taken, source, files in connection().rows(query):
        found |= {name, environment or "", taken or "", _text(source)}
        # Another run's file may be an input of this one.
        found |= set(re.findall(r"/runs/([0-9a-z]{12})/", files))
    return frozenset(found)


def _text(source: str) -> str:
    import json

    return str(json.loads(source))


def _uses() -> dict[str, float]:
    """When each environment, snapshot and unpacked package was last used by a run that is recorded."""
    found: dict[str, float] = {}
    for column in ("environment", "snapshot", "source"):
        query = f"SELECT {column}, max(coalesce(ended, created)) FROM runs GROUP BY {column}"
        for name, moment in connection().rows(query):
            if name is not None:
                key = _text(name) if column == "source" else name
                found[key] = max(found.get(key, 0.0), seconds(moment))
    return found


def seconds(moment: str) -> float:
    """Seconds since 1970 of a moment as records and engines write it, in universal time."""
    return float(timegm(time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S")))


def _folders(uses: dict[str, float], busy: frozenset[str]) -> Iterator[Kept]:
    current = _current_runner()
    for kind, (parent, _, lock) in FOLDERS.items():
        for entry in entries(parent):
            if not (_RUNNER if kind == RUNNER else _DIGEST).fullmatch(entry.name):
                continue
            used = max(_times(entry), uses.get(entry.name, 0.0), uses.get(entry.path, 0.0))
            needed = ""
            if entry.name in busy or any(one.startswith(entry.path) for one in busy):
                needed = "a run that goes on uses it"
            elif holding.is_held(entry.path, lock) or _is_being_compiled(kind, entry):
                needed = "a process uses it"
            elif kind == RUNNER and entry.name.startswith(current):
                needed = "every run needs it"
            yield Kept(kind, entry.name, entry.path, used, _useless(kind, entry), needed)


def _current_runner() -> str:
    from kedge import digest

    return digest.of_file(runner.source_path())[:32]


def is_being_compiled(environment: str) -> bool:
    """Whether a process writes compiled files into the environment's folder just now."""
    parent, name = os.path.split(environment)
    return folders.is_held(os.path.join(parent, ".held", f"{name}.compile"))


def _is_being_compiled(kind: str, entry: os.DirEntry[str]) -> bool:
    return kind == ENVIRONMENT and is_being_compiled(entry.path)


def _useless(kind: str, entry: os.DirEntry[str]) -> str:
    if kind == ENVIRONMENT and not os.path.exists(os.path.join(entry.path, "bin", "python")):
        return "its Python is gone"
    return ""


def _files() -> Iterator[Kept]:
    """Small files, each made anew when it is missing."""
    for kind, parent in _FILES.items():
        for entry in entries(parent):
            if entry.name.endswith(".json"):
                useless = "its package is gone" if kind == INDEX and _is_of_nothing(entry) else ""
                yield Kept(kind, entry.name, entry.path, _times(entry), useless)
            elif time.time() - _times(entry) > _DRAFT_S:
                yield Kept(LEFT_OVER, entry.name, entry.path, _times(entry), "never finished")


def _is_of_nothing(entry: os.DirEntry[str]) -> bool:
    import json

    try:
        # Without a trace: when it was last read says when it was last used.
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8") as file:
            return not os.path.lexists(json.load(file)["root"])
    except OSError:
        return False
    except (ValueError, KeyError, TypeError):
        return True  # no Kedge can use it


def runs_now() -> dict[str, tuple[str, float]]:
    """Status and last moment of every run, by id."""
    query = "SELECT id, status, coalesce(ended, created) FROM runs"
    return {name: (status, seconds(at)) for name, status, at in connection().rows(query)}


def _records(runs: dict[str, tuple[str, float]], busy: frozenset[str]) -> Iterator[Kept]:
    for name, (status, moment) in runs.items():
        needed = "it goes on" if status in ALIVE else ""
        if not needed and name in busy:
            needed = "a run that goes on uses its files"
        yield Kept(RUN, name, os.path.join(home(), "runs", name), moment, needed=needed)


def _run_folders() -> list[os.DirEntry[str]]:
    return list(entries("runs"))


def _orphans(listed: list[os.DirEntry[str]], runs: dict[str, tuple[str, float]]) -> Iterator[Kept]:
    for entry in listed:
        if entry.name not in runs:
            why = "no record knows this run"
            yield Kept(LEFT_OVER, entry.name, entry.path, _times(entry), why)


def _left_over_folders() -> Iterator[Kept]:
    """What was being made, or taken away, by a process that is gone."""
    places = [(parent, prefix) for parent, prefix, _ in FOLDERS.values()]
    others = (
        "resolving",
        "downloads",
        "debuggers",
        folders.BUILDING,
    )  # what is in tmp/ is settled as lost runs are
    places += [(parent, folders.TEMPORARY) for parent in others]
    for parent, prefix in places:
        for entry in entries(parent):
            if entry.name.startswith(prefix) and not holding.is_held(entry.path):
                why = "never finished"
                yield Kept(LEFT_OVER, entry.name, entry.path, _times(entry), why)


def _groups(runs: dict[str, tuple[str, float]]) -> Iterator[Kept]:
    """Control groups of runs that ended; those of runs that are not known here may be another home's."""
    from kedge.executor import cgroups

    for name in cgroups.named():
        if name in runs and runs[name][0] not in ALIVE:
            yield Kept(GROUP, name, "", runs[name][1], "its run is over")


def entries(parent: str) -> Iterator[os.DirEntry[str]]:
    """What is in a folder of Kedge's home; nothing when it is not there."""
    try:
        with os.scandir(os.path.join(home(), parent)) as listing:
            yield from sorted(listing, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return


def _times(entry: os.DirEntry[str]) -> float:
    """When it was last read or written, as far as the file system keeps that."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0.0
    # A folder is read by every look at it, so only what was written there counts.
    return status.st_mtime if entry.is_dir() else max(status.st_mtime, status.st_atime)


def _measure(
    top: str,
    parts: dict[str, dict[Inode, int]],
    sizes: dict[Inode, int],
    names: dict[Inode, int],
) -> None:
    """Note every file and folder below `top`, and of each of `parts` what is in it."""
    waiting: list[tuple[str, dict[Inode, int] | None]] = [(top, None)]
    while waiting:
        path, part = waiting.pop()
        part = parts.get(path, part)
        try:
            with os.scandir(path) as listing:
                found = [(entry, entry.stat(follow_symlinks=False)) for entry in listing]
        except OSError:
            continue  # gone meanwhile, or closed to this account
        for entry, status in found:
            inode = (status.st_dev, status.st_ino)
            into = parts.get(entry.path, part)
            sizes[inode] = status.st_blocks * _BLOCK
            names[inode] = names.get(inode, 0) + 1
            if into is not None:
                into[inode] = into.get(inode, 0) + 1
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, into))


def _used_by_links(kept: list[Kept]) -> Iterator[Kept]:
    """The same, byte code with the last use of the environments that have links to it."""
    from kedge.data import replace

    last: dict[Inode, float] = {}
    for one in kept:
        if one.kind == ENVIRONMENT:
            for inode in one.inodes:
                last[inode] = max(last.get(inode, 0.0), one.used)
    for one in kept:
        if one.kind == BYTECODE:
            used = max((last[inode] for inode in one.inodes if inode in last), default=0.0)
            yield replace(one, used=max(one.used, used))
        else:
            yield one
