"""Lending a run's folders to the account it runs as, and taking them back."""

import os
import stat
from contextlib import suppress

from kedge.contract.ownership import DEPTH_LIMIT, remove

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def hand_over(folder: str, uid: int, gid: int, *, owned_by: int | None) -> None:
    """Give `folder` and what is in it to `uid` and `gid`, where it belongs to `owned_by` now; None is anybody.

    Symbolic links are not followed, and what belongs to somebody else is left alone: code may have linked
    it there. So is what lies deeper than results are collected from. Only root may do this.
    """
    descriptor = os.open(folder, _FOLDER)
    try:
        _hand_over(descriptor, uid, gid, owned_by, 0)
    finally:
        os.close(descriptor)


def remove_of(folder: str, uid: int) -> None:
    """Remove what belongs to `uid` in `folder`, where everybody may leave something.

    For an account that the next run will have: it must not find what this one kept there.
    """
    with os.scandir(folder) as entries:
        names = [one.name for one in entries]
    for name in names:
        path = os.path.join(folder, name)
        with suppress(OSError):  # somebody else's, that went meanwhile
            if os.stat(path, follow_symlinks=False).st_uid == uid:
                remove(path)


def _hand_over(folder: int, uid: int, gid: int, owned_by: int | None, depth: int) -> None:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and depth < DEPTH_LIMIT:
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                _hand_over(inner, uid, gid, owned_by, depth + 1)
            finally:
                os.close(inner)
        elif owned_by in (None, found.st_uid):
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
    if owned_by in (None, os.fstat(folder).st_uid):
        os.fchown(folder, uid, gid)
