"""Taking over files that other code wrote, under another user as may be, and removing them.

The caller moves a tree into a folder of its own first; from then on nobody else can exchange anything in
it, provided that it is taken over from the top down.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Final, NamedTuple, final

from kedge.contract.hostile import described, open_folder, shown
from kedge.data import Data, field

DEPTH_LIMIT: Final = 64  # folders in folders: each is a descriptor held open while it is walked
PATH_LIMIT: Final = 2000  # bytes below the run's folder: Linux opens no path above 4096

_NAMED: Final = 5  # things left out that a warning names before it counts the rest


class Adopted(NamedTuple):
    """A file taken over: its path below the tree's own name, and its place in a folder held open."""

    path: str
    folder: int
    name: str
    info: os.stat_result


class LeftOut(Data, frozen=False):
    """What was not taken over: a few examples with the reason, and how many there were."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, path: str, reason: str) -> None:
        """Note one thing that was left out."""
        self.count += 1
        if self.count <= _NAMED:
            self.examples.append(f"`{shown(path)}` ({reason})")

    def __str__(self) -> str:
        more = self.count - len(self.examples)
        return ", ".join(self.examples) + (f" and {more} more" if more else "")


@final
class Takeover:
    """Gives what one run wrote to the calling user, readable and writable, piece by piece.

    Symbolic links, special files, and what lies too deep are removed and noted in `left_out`.

    Args:
        writer: the user that the code ran as. A file that belongs to somebody else and has another name
            besides is that somebody's: a hard link, not a result.
    """

    def __init__(self, writer: int) -> None:
        self.left_out = LeftOut()
        self._writer = writer
        # Inodes that were the writer's when their first name was met.
        self._linked: set[int] = set()

    def adopt(self, folder: int, name: str) -> Iterator[Adopted]:
        """Take over a file or a tree; every regular file of it.

        Args:
            folder: descriptor of the folder that holds it, which belongs to the caller alone.
            name: its name in there.
        """
        return self._adopt(folder, name, name, 0)

    def _adopt(self, folder: int, name: str, path: str, depth: int) -> Iterator[Adopted]:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        reason = self._unwanted(info, path, depth)
        if reason is not None:
            self.left_out.add(path, reason)
            remove(name, folder)
            return
        _own(folder, name, info)
        if stat.S_ISREG(info.st_mode):
            yield Adopted(path, folder, name, info)
            return
        inner = open_folder(name, folder)
        try:
            with os.scandir(inner) as entries:
                for entry in entries:
                    yield from self._adopt(inner, entry.name, f"{path}/{entry.name}", depth + 1)
        finally:
            os.close(inner)

    def _unwanted(self, info: os.stat_result, path: str, depth: int) -> str | None:
        if stat.S_ISREG(info.st_mode):
            if info.st_nlink > 1 and info.st_ino not in self._linked:
                if info.st_uid != self._writer:
                    return "a hard link to somebody else's file"
                self._linked.add(info.st_ino)
        elif not stat.S_ISDIR(info.st_mode):
            return described(info.st_mode)
        if depth > DEPTH_LIMIT or len(os.fsencode(path)) > PATH_LIMIT:
            return "too deep"
        return None


def _own(folder: int, name: str, info: os.stat_result) -> None:
    """Make it the caller's; no set-user-id or sticky bit, nobody else writes."""
    # chmod follows a symbolic link, but this is none and nobody else can put one here any more.
    with contextlib.suppress(PermissionError):
        # An unmapped owner in a rootless engine: read it as is.
        user, group = os.geteuid(), os.getegid()
        if user == 0 and (info.st_uid, info.st_gid) != (user, group):
            os.chown(name, user, group, dir_fd=folder, follow_symlinks=False)
        own = 0o700 if stat.S_ISDIR(info.st_mode) else 0o600
        mode = stat.S_IMODE(info.st_mode) & 0o755 | own
        if mode != stat.S_IMODE(info.st_mode):
            os.chmod(name, mode, dir_fd=folder)


def remove(name: str, folder: int | None = None) -> None:
    """Remove a file or a whole tree, of any depth and with any modes; nothing is followed.

    Recursion and `shutil.rmtree` end at a tree of a thousand folders in each other. Here every folder is
    emptied of its folders by moving them up into the top one, so the depth never grows.

    Raises:
        OSError: it cannot be removed; a name that is not there is no error.
    """
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # POSIX lets unlink say either of a folder
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise
    else:
        return
    if _removed_empty(name, folder):
        return
    token = os.urandom(8).hex()  # no name that is there already, on purpose or not
    top = _entered(name, folder)
    try:
        waiting = _without_files(top)
        number = 0
        while waiting:
            inner = waiting.pop()
            below = _entered(inner, top)
            try:
                for child in _without_files(below):
                    number += 1
                    waiting.append(f"{token}.{number}")
                    with contextlib.suppress(PermissionError):
                        os.chmod(child, 0o700, dir_fd=below)  # else it could not be moved
                    os.rename(child, waiting[-1], src_dir_fd=below, dst_dir_fd=top)
            finally:
                os.close(below)
            os.rmdir(inner, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=folder)


def _removed_empty(name: str, folder: int | None) -> bool:
    """Remove a folder in which there is nothing, as most are that runs leave; whether it was one."""
    try:
        os.rmdir(name, dir_fd=folder)
    except OSError:
        return False
    return True


def _entered(name: str, folder: int | None) -> int:
    with contextlib.suppress(PermissionError):
        os.chmod(name, 0o700, dir_fd=folder)  # it may have been closed to its own owner
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def _without_files(folder: int) -> list[str]:
    """Remove everything in a folder but the folders in which there is something; the names of those."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
            elif not _removed_empty(entry.name, folder):
                folders.append(entry.name)
    return folders
