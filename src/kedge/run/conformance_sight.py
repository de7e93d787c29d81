"""What can be seen of a run from outside: its processes, what they may write to, what they leave."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, final

from kedge.contract.failure import FILES
from kedge.contract.hostile import RefusedError, described, parse_object, read_file, shown
from kedge.contract.progress import LINE_LIMIT
from kedge.data import Data
from kedge.engine import KINDS
from kedge.executor import Cancel
from kedge.run import record

WORKSPACE: Final = "/workspace"

_READ_LIMIT: Final = 64 << 20  # bytes of one file: as many as outputs may have
_MOST_ENTRIES: Final = 10_000  # of a folder: enough to see what is wrong in it
_MOST_OWNERS: Final = 100  # files whose owner is looked at, every tick
_OWN_PLACES: Final = (f"{WORKSPACE}/out", f"{WORKSPACE}/scratch", "/tmp")
# What an engine itself puts into a root that can be written to; Podman enters the account in these two.
_ENGINES_FILES: Final = ("/etc/passwd", "/etc/group")
_ENGINES_PROGRAMS: Final = ("/docker-init", "/podman-init")
# File systems that keep nothing on a disk: what is written there goes with the run.
_DISKLESS: Final = frozenset(
    ("proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "ramfs")
)


class Left(Data):
    """What a run left in `out/`, before anything was taken from it.

    Args:
        kept: its files that are outputs or artifacts, by their paths below `out/`.
        others: what is neither a file nor a folder, as sentences.
        errors: what the files of failures hold, by name: an object, or why it is none.
        lines: the lines of `progress.jsonl` that hold something.
        malformed: what is wrong with the first of them that is no event; else empty.
    """

    kept: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    errors: tuple[tuple[str, dict[str, Any] | str], ...] = ()
    lines: int = 0
    malformed: str = ""


@final
class Sight:
    """Looks at one run while it goes on.

    Args:
        cancel: the run's.
        ask_after_s: seconds after its processes were first seen at which it is asked to stop; None: never.
    """

    def __init__(self, cancel: Cancel, ask_after_s: float | None = None) -> None:
        self.run: record.Run | None = None
        self.owners: set[int] = set()  # of files that it wrote
        self.mounts: tuple[str, ...] | None = None  # of a root of its own, what it can write to
        self.shares_root = False  # with this machine
        self.changed: list[str] | None = None
        self.left = Left()
        self.over = False
        self.asked: float | None = None
        self._users: dict[int, tuple[frozenset[int], int]] = {}
        self._cancel = cancel
        self._ask_after_s = ask_after_s
        self._first: float | None = None
        self._last = time.monotonic()

    @property
    def users(self) -> set[int]:
        """The user numbers of its processes, on this machine.

        A process begins as root where Kedge or an engine is, and becomes the program's account before it
        becomes the program. So root counts only in one that was seen as root twice, and last.
        """
        return {
            user
            for users, times in self._users.values()
            for user in users
            if 0 not in users or times > 1
        }

    @property
    def seen_s(self) -> float | None:
        """Seconds from the first sight of its processes to its end; None when there was none."""
        return None if self._first is None else self._last - self._first

    @property
    def took_s(self) -> float | None:
        """Seconds from the request to stop to its end; None when there was none."""
        return None if self.asked is None else self._last - self.asked

    def tick(self) -> None:
        """Look at the files; the last time after the end, while they are still as the run had them."""
        now = self._last = time.monotonic()
        if self.run is not None:
            self.owners |= _owners(os.path.join(self.run.folder, "workspace"))
        if self._first is None or self._ask_after_s is None or self.asked is not None:
            return
        if now - self._first >= self._ask_after_s:
            self.asked = now
            self._cancel.request()

    def processes(self, numbers: list[int]) -> None:
        """Look at its processes."""
        contained = self.run is not None and self.run.executor in KINDS
        for number in numbers:
            try:
                users = _users(number, contained=contained)
            except (OSError, ValueError):  # it has ended
                continue
            if users:
                before, times = self._users.get(number, (users, 0))
                self._users[number] = users, times + 1 if users == before else 1
                self._first = self._first or time.monotonic()
                if self.mounts is None and not self.shares_root:
                    self._look_at_root(number)

    def changed_by_it(self, listed: list[str]) -> None:
        """Take what the engine lists as changed of a writable image."""
        self.changed = written(listed)

    def ended(self, folder: str) -> None:
        """Look at what it left."""
        self.left = left_in(os.path.join(folder, "out"))
        self.over = True

    def _look_at_root(self, number: int) -> None:
        try:
            if os.readlink(f"/proc/{number}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
                self.shares_root = True
                return
            with open(f"/proc/{number}/mountinfo") as file:
                self.mounts = tuple(writable_mounts(file.read()))
        except OSError:  # it has ended, or is another account's
            return


def _users(number: int, *, contained: bool) -> frozenset[int]:
    """The user numbers of a process on this machine; none of one that only makes a container ready."""
    with open(f"/proc/{number}/status") as file:
        fields = dict(line.split(":", 1) for line in file.read().splitlines())
    inside = fields["NSpid"].split()
    if contained and (len(inside) == 1 or inside[-1] == "1"):
        return frozenset()
    return frozenset(map(int, fields["Uid"].split()))


def writable_mounts(mountinfo: str) -> Iterator[str]:
    """Where a program can write to a disk beside its own places, from its `/proc/PID/mountinfo`.

    >>> list(writable_mounts("7 6 8:1 / /data rw,relatime - ext4 /dev/vda rw"))
    ['/data']
    """
    for line in mountinfo.splitlines():
        about, _, system = line.partition(" - ")
        path, options = about.split()[4:6]
        kind, _, whole = system.split(" ", 2)
        if kind in _DISKLESS or path in _OWN_PLACES:
            continue
        if "ro" not in options.split(",") and "ro" not in whole.rpartition(" ")[2].split(","):
            yield path


def written(listed: list[str]) -> list[str]:
    """What a program itself changed of its image, from an engine's list: `A /path` added, C, D.

    Folders around what was changed are on the list, and what the engine put there.

    >>> written(["C /var", "C /var/lib", "A /var/lib/x", "A /workspace", "A /workspace/out"])
    ['/var/lib/x']
    """
    paths = {line[2:] for line in listed}
    own = {*_OWN_PLACES, WORKSPACE, f"{WORKSPACE}/in", *_ENGINES_FILES}
    own |= {path for path in paths if path.endswith(_ENGINES_PROGRAMS)}
    around = {place for path in paths | own for place in _around(path)}
    return sorted(paths - own - around)


def _around(path: str) -> Iterator[str]:
    while (path := os.path.dirname(path)) != "/":
        yield path


def left_in(out: str) -> Left:
    """What is in the folder `out`."""
    kept, others = [], []
    for path, mode in _entries(out):
        if stat.S_ISREG(mode):
            if path.startswith(("artifacts/", "files/")) and path != "files/list.json":
                kept.append(path)
        elif not stat.S_ISDIR(mode):
            others.append(f"`out/{shown(path)}` is {described(mode)}")
    errors = [
        (name, _object(os.path.join(out, name)))
        for name in FILES
        if os.path.lexists(os.path.join(out, name))
    ]
    lines, malformed = _events(os.path.join(out, "progress.jsonl"))
    return Left(tuple(kept), tuple(others), tuple(errors), lines, malformed)


def _entries(folder: str) -> Iterator[tuple[str, int]]:
    """Every path below a folder with its mode, up to a number of them; nothing is followed."""
    count = 0
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            count += 1
            if count > _MOST_ENTRIES:
                return
            path = os.path.join(place, name)
            with suppress(OSError):  # its folder is closed
                yield os.path.relpath(path, folder), os.lstat(path).st_mode


def _owners(workspace: str) -> set[int]:
    found: set[int] = set()
    looked = 0
    for name in ("out", "scratch"):
        for place, _, files in os.walk(os.path.join(workspace, name)):
            for file in files:
                looked += 1
                if looked > _MOST_OWNERS:
                    return found
                if file != "list.json":  # Kedge's own
                    with suppress(OSError):  # it is gone
                        found.add(os.lstat(os.path.join(place, file)).st_uid)
    return found


def _object(path: str) -> dict[str, Any] | str:
    try:
        return parse_object(read_file(path, _READ_LIMIT))
    except RefusedError as refused:
        return str(refused)


def _events(path: str) -> tuple[int, str]:
    """How many lines of progress there are, and what is wrong with the first that is no event."""
    try:
        data = read_file(path, _READ_LIMIT)
    except RefusedError as refused:
        return 0, "" if refused.missing else f"`out/progress.jsonl` {refused}"
    count, malformed = 0, ""
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        count += 1
        try:
            if len(line) > LINE_LIMIT:
                raise RefusedError(f"has {len(line)} bytes, where {LINE_LIMIT} are the limit")
            parse_object(line)
        except RefusedError as refused:
            malformed = malformed or f"line {number} of `out/progress.jsonl` {refused}"
    return count, malformed
