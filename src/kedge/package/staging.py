"""Folders that appear whole or not at all: made under another name, then renamed.

A folder that is being made is locked by its maker, so one whose maker was killed is told by its free lock
and removed by the next that comes.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from typing import Final

_PREFIX: Final = ".new-"


@contextlib.contextmanager
def new_folder(parent: str) -> Iterator[str]:
    """A new empty folder in `parent`, removed in the end unless it was renamed by `publish`.

    >>> with new_folder("snapshots") as folder:
    ...     publish(folder, "0a1b")
    """
    _remove_abandoned(parent)
    folder, lock = _locked(parent)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(lock)


def publish(folder: str, name: str) -> str:
    """Rename `folder` to `name` beside it; when somebody else's is there already, that one stays.

    Gives the path by which the content is found from now on.
    """
    path = os.path.join(os.path.dirname(folder), name)
    try:
        os.rename(folder, path)
    except OSError:
        if not os.path.isdir(path):
            raise
    return path


def withdraw(path: str) -> None:
    """Take a damaged folder out of sight in one step, then remove it."""
    hidden = os.path.join(os.path.dirname(path), f"{_PREFIX}{secrets.token_hex(8)}")
    with contextlib.suppress(FileNotFoundError):  # somebody else was faster
        os.rename(path, hidden)
        remove(hidden)


def remove(folder: str) -> None:
    """Remove a folder whose folders may be read-only; one that is not there is no error."""
    _make_writable(folder)
    for inner, folders, _ in os.walk(folder):  # top down: each is writable before it is listed
        for name in folders:
            _make_writable(os.path.join(inner, name))
    shutil.rmtree(folder, ignore_errors=True)


def _make_writable(folder: str) -> None:
    with contextlib.suppress(OSError):
        if not os.path.islink(folder):
            os.chmod(folder, stat.S_IRWXU)


def _locked(parent: str) -> tuple[str, int]:
    while True:
        folder = os.path.join(parent, f"{_PREFIX}{secrets.token_hex(8)}")
        os.mkdir(folder, 0o700)
        # Between mkdir and flock somebody may have taken it for an abandoned one.
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(folder).st_ino == os.fstat(lock).st_ino:
                return folder, lock
        os.close(lock)


def _remove_abandoned(parent: str) -> None:
    for name in os.listdir(parent):
        if not name.startswith(_PREFIX):
            continue
        folder = os.path.join(parent, name)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its maker lives
        else:
            remove(folder)
        finally:
            os.close(lock)
