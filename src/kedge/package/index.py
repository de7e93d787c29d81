"""What was seen of a package last time, so that an unchanged one costs one `stat` a file.

An index whose stamps are all older than the look is *settled* and answers alone; entries that are not
(see `stamps.is_racy`) are read again. Hot path: the standard library's smallest modules.
"""

import contextlib
import json
import os
from typing import Any, Final

from kedge.data import Data
from kedge.digest import of_bytes
from kedge.home import folder
from kedge.package.stamps import Stamp

_LAYOUT: Final = 1


type Row = tuple[str, int, int, int, int]


class Index(Data):
    """One look at a package.

    Args:
        digest: of the package.
        boot: the boot in which its snapshot was last known to be whole.
        settled: whether the stamps alone prove that nothing changed.
        stamps: path, size, mtime_ns, ctime_ns, inode of every file, folder and ignore file.
        hashes: SHA-256 of the files that can be believed without reading them, by path.
        warnings: what the look had to say.
    """

    digest: str
    boot: str
    settled: bool
    stamps: list[Row]
    hashes: dict[str, str]
    warnings: tuple[str, ...]


def path_of(root: str) -> str:
    """The index file of the package at `root`, a real path."""
    return os.path.join(folder("index"), f"{of_bytes(os.fsencode(root))}.json")


def read(root: str) -> Index | None:
    """The index of the package at `root`; None when there is none, or none that can be used."""
    try:
        with open(path_of(root), "rb") as file:
            data: dict[str, Any] = json.loads(file.read())
        if data["layout"] != _LAYOUT or data["root"] != root:
            return None
        return Index(
            data["digest"],
            data["boot"],
            data["settled"],
            data["stamps"],
            data["hashes"],
            tuple(data["warnings"]),
        )
    except (OSError, ValueError, KeyError, TypeError):  # absent, cut short, of another version
        return None


def write(root: str, index: Index) -> None:
    """Keep `index` for the package at `root`."""
    data = {
        "layout": _LAYOUT,
        "root": root,
        "digest": index.digest,
        "boot": index.boot,
        "settled": index.settled,
        "warnings": index.warnings,
        "stamps": index.stamps,
        "hashes": index.hashes,
    }
    path = path_of(root)
    draft = f"{path}.{os.getpid()}-{os.urandom(4).hex()}"
    # An index that cannot be kept costs time at the next run, nothing else.
    with contextlib.suppress(OSError):
        with open(draft, "xb") as file:
            file.write(json.dumps(data, separators=(",", ":")).encode())
        os.replace(draft, path)


def row(path: str, stamp: Stamp) -> Row:
    """The stamp of `path` as an index keeps it."""
    return (path, *stamp)


def unchanged(root: str, index: Index) -> bool:
    """Whether everything in a settled index still has its stamp, folders included (a new file, a removed one)."""
    if not index.settled:
        return False
    stat = os.stat
    try:
        at = os.open(
            root if os.path.isdir(root) else os.path.dirname(root), os.O_RDONLY | os.O_CLOEXEC
        )
    except OSError:
        return False
    try:
        for path, size, mtime_ns, ctime_ns, inode in index.stamps:
            now = stat(path or ".", dir_fd=at, follow_symlinks=False)
            if (
                now.st_mtime_ns != mtime_ns
                or now.st_ctime_ns != ctime_ns
                or now.st_ino != inode
                or now.st_size != size
            ):
                return False
    except (OSError, ValueError, TypeError):  # gone, or rows that no Kedge wrote
        return False
    finally:
        os.close(at)
    return True
