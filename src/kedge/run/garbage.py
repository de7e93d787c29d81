"""Cleaning up: which of what is kept nobody needs any more, and removing that while others work.

Safe at any instant. A folder in use is held by a lock (`package.holding`) or named by a run that goes on;
one is removed by renaming it away first, so a kill leaves a left-over that the next clean-up knows. Of a
run the record goes first: a folder without a record is such a left-over, a record without a folder is not.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from kedge.contract.ownership import remove
from kedge.data import Data
from kedge.errors import StoreError
from kedge.package import holding
from kedge.run import keeping, keeping_engines
from kedge.run.keeping import BYTECODE, CONTAINER, GROUP, IMAGE, LEFT_OVER, RUN, Home, Inode, Kept
from kedge.store import connection

UNUSED_S: Final = 30 * 86_400.0  # seconds: what no run of a month used is not missed by the next
# VACUUM writes the whole database anew: for a quarter of it, and more than some milliseconds' writing.
_FREE_SHARE: Final = 0.25
_FREE_PAGES: Final = 256


class Removed(Data):
    """One thing that goes: what it was, why, and the bytes on disk that this gave back."""

    kept: Kept
    why: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "kind": self.kept.kind,
            "name": self.kept.name,
            "path": self.kept.path or None,
            "why": self.why,
            "size": self.size,
        }


class Clean(Data):
    """What a clean-up did, or would do.

    Args:
        removed: what went, in the order in which it did.
        problems: sentences about what could not be removed.
        before, after: bytes on disk of Kedge's home.
    """

    removed: tuple[Removed, ...]
    problems: tuple[str, ...]
    before: int
    after: int


def clean(
    max_age: float | None = None, max_size: int | None = None, *, dry_run: bool = False
) -> Clean:
    """Remove what nobody needs.

    Left-overs of processes that are gone always go. So does what can be made again and was not used for
    `max_age`, a month if that is not given. Runs go only when one of the limits is given.

    Args:
        max_age: seconds; runs that ended longer ago go as well.
        max_size: bytes; what was not used for the longest time goes until everything is below it.
        dry_run: only say what would go.

    Raises:
        StoreError: the database cannot be read or written.
    """
    found = keeping.look()
    chosen = _Choosing(found, max_age, max_size).chosen()
    if dry_run:
        gone = [Removed(one, why, size) for one, why, size in chosen]
        return Clean(tuple(gone), (), found.size, found.size - sum(one.size for one in gone))
    removed, problems = [], []
    for one, why, size in chosen:
        try:
            if _remove(one):
                removed.append(Removed(one, why, size))
        except OSError as error:
            problems.append(f"the {one.kind} `{one.path}` could not be removed: {error.strerror}")
    if any(one.kept.kind == RUN for one in removed):
        with contextlib.suppress(StoreError):  # another process is using it: the next time
            _compact()
    freed = sum(one.size for one in removed)
    return Clean(tuple(removed), tuple(problems), found.size, found.size - freed)


def take_away(
    folder: str, prefix: str, lock: str = "", needed: Callable[[], bool] = lambda: False
) -> bool:
    """Remove `folder` unless a process holds it; whether it was removed by this call.

    It disappears in one step: a kill leaves either all of it, or a folder under another name.

    Args:
        folder: its path.
        prefix: what the names of left-over folders beside it begin with.
        lock: as for `holding.hold`.
        needed: asked when nobody can come to hold it any more; True leaves it where it is.

    Raises:
        OSError: it cannot be renamed, or what is in it cannot be removed.
    """
    with holding.alone(folder, lock) as free:
        if not free or needed():
            return False
        hidden = os.path.join(os.path.dirname(folder), prefix + os.urandom(8).hex())
        os.rename(folder, hidden)
        try:
            remove(hidden)
        except OSError:
            if os.path.lexists(hidden):  # else somebody who swept left-overs has removed it
                raise
    return True


class _Choosing:
    """Which things go, in which order, and what each gives back."""

    def __init__(self, found: Home, max_age: float | None, max_size: int | None) -> None:
        self._found = found
        self._age = UNUSED_S if max_age is None else max_age
        self._runs_too = max_age is not None
        self._max_size = max_size
        self._names = dict(found.names)  # of each file, as if what was chosen were gone
        self._size = found.size
        self._chosen: list[tuple[Kept, str, int]] = []

    def chosen(self) -> list[tuple[Kept, str, int]]:
        """Each with the reason and the bytes that its removal gives back."""
        # Byte code last: whether it is needed is told by the environments that stay.
        free = sorted(
            (one for one in self._found.kept if not one.needed),
            key=lambda one: (one.kind == BYTECODE, one.used, one.name),
        )
        before = time.time() - self._age
        left = []
        for one in free:
            if one.useless:
                self._take(one, one.useless)
            elif one.used <= before and (one.kind != RUN or self._runs_too):
                if one.kind != BYTECODE or not self._is_linked(one):
                    self._take(one, f"not used for {_duration(time.time() - one.used)}")
            else:
                left.append(one)
        if self._max_size is not None:
            self._make_room(left, self._max_size)
        return self._chosen

    def _make_room(self, left: list[Kept], limit: int) -> None:
        for one in sorted(left, key=lambda one: (one.used, one.kind == BYTECODE)):
            if self._size <= limit:
                return
            if one.kind != BYTECODE or not self._is_linked(one):
                self._take(one, "to make room")

    def _take(self, one: Kept, why: str) -> None:
        size = one.elsewhere
        for inode, number in one.inodes.items():
            self._names[inode] -= number
            if not self._names[inode]:
                size += self._found.sizes[inode]
        size += self._own_size(one)
        self._size -= size
        self._chosen.append((one, why, size))

    def _own_size(self, one: Kept) -> int:
        """What the folder itself takes, which stands in the folder above."""
        inode = _inode(one.path)
        if inode is None or inode in one.inodes:
            return 0
        return self._found.sizes.get(inode, 0)

    def _is_linked(self, one: Kept) -> bool:
        """Whether an environment that stays has links to this byte code."""
        return any(self._names[inode] > number for inode, number in one.inodes.items())


def _inode(path: str) -> Inode | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _duration(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length or unit == "minute":
            number = max(0, int(seconds // length))
            break
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _remove(one: Kept) -> bool:
    """Remove it unless somebody came to need it; whether it was removed by this call."""
    if one.kind == GROUP:
        from kedge.executor import cgroups

        cgroups.remove_named(one.name)
        return True
    if one.kind == IMAGE:
        return keeping_engines.remove_image(one, _needed(one))
    if one.kind == CONTAINER:
        return keeping_engines.remove_left_container(one)
    if one.kind == RUN:
        return _remove_run(one)
    if one.kind in keeping.FOLDERS:
        _, prefix, lock = keeping.FOLDERS[one.kind]
        return take_away(one.path, prefix, lock, _needed(one))
    return _remove_plain(one)


def _needed(one: Kept) -> Callable[[], bool]:
    def needed() -> bool:
        if one.kind == keeping.ENVIRONMENT and keeping.is_being_compiled(one.path):
            return True
        return _any_of(keeping.in_use(), one)

    return needed


def _any_of(busy: Iterable[str], one: Kept) -> bool:
    names = (one.name, one.name.partition("@")[0])  # an image's has its engine
    return any(name in names or (one.path and name.startswith(one.path)) for name in busy)


def _remove_run(one: Kept) -> bool:
    if one.name in keeping.in_use():
        return False
    rows = connection().write(
        "DELETE FROM runs WHERE id = ? AND status IN ('succeeded', 'failed', 'cancelled')",
        (one.name,),
    )
    if rows:
        remove(one.path)
    return rows > 0


def _remove_plain(one: Kept) -> bool:
    """A file, or a left-over folder: one that is being made after all is held by its maker."""
    if one.kind == LEFT_OVER and os.path.isdir(one.path) and not os.path.islink(one.path):
        return take_away(one.path, keeping.prefix_beside(one.path))
    if not os.path.lexists(one.path):
        return False
    try:
        remove(one.path)
    except OSError:
        if os.path.lexists(one.path):  # else another clean-up removed it at the same time
            raise
    return True


def _compact() -> None:
    """Give the database's free pages back when they are many."""
    store = connection()
    pages = store.rows("PRAGMA page_count")[0][0]
    free = store.rows("PRAGMA freelist_count")[0][0]
    if free > _FREE_PAGES and free > _FREE_SHARE * pages:
        store.write("VACUUM")
        store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
