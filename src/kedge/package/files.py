"""Which files are the package: the one answer that digest, snapshot, archive and cache all use."""

import contextlib
import os
import stat
from typing import Final, Literal

from kedge.data import Data
from kedge.errors import PackageError, Problem, Where
from kedge.home import home
from kedge.package.ignore import IgnoreRules, always_left_out
from kedge.package.stamps import Stamp, stamp_of

RESERVED: Final = ("in", "out", "scratch")
LARGE_BYTES: Final = 200 * 10**6
MANY_FILES: Final = 20_000

_MAX_LINKS: Final = 40  # followed one after another, as the kernel does before it says ELOOP
_LARGEST_NAMED: Final = 3


class PackageFile(Data):
    """One file or symlink of a package.

    Args:
        path: below the root, with `/` between parts.
        kind: a symlink is kept as one; it never leads out of the package.
        mode: permission bits: 0o755 when the owner may execute it, else 0o644 (0o777 for a symlink).
        size: bytes (of a symlink's target text).
        target: a symlink's target, relative to its own folder; "" for a file.
        stamp: what the file system said when it was listed.
    """

    path: str
    kind: Literal["file", "symlink"]
    mode: int
    size: int
    target: str
    stamp: Stamp


class Contents(Data):
    """All that one look at a package found.

    Args:
        files: in the order of their paths' bytes.
        folders: that were listed, relative ("" for the root), with the stamps from before.
        ignores: ignore files that were read, with stamps.
        warnings: sentences for the author.
    """

    files: tuple[PackageFile, ...]
    folders: tuple[tuple[str, Stamp], ...]
    ignores: tuple[tuple[str, Stamp], ...]
    warnings: tuple[str, ...]


def package_files(root: str) -> list[PackageFile]:
    """The files of the package at `root` (a folder, or a lone script), sorted by path.

    Raises:
        PackageError: an entry that cannot be part of a package (a symlink out of it, a socket, a device,
            a reserved name), or that cannot be read. All such entries at once.

    >>> [file.path for file in package_files("examples/bolt-sizing")][0]
    'bolts.py'
    """
    return list(contents(root).files)


def contents(root: str) -> Contents:
    """What `package_files` gives, with what the index and the snapshot need besides."""
    root = os.path.realpath(root)
    if not os.path.isdir(root):
        return _script(root)
    return _Walk(root).contents()


def _script(path: str) -> Contents:
    """A lone script is all of its package: nothing else of its folder belongs to it."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        raise PackageError(
            f"`{path}` is not a regular file",
            where=Where(path),
            hint="name a Python file or a folder",
        )
    return Contents((_file(os.path.basename(path), status),), (), (), ())


def _file(path: str, status: os.stat_result) -> PackageFile:
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return PackageFile(path, "file", mode, status.st_size, "", stamp_of(status))


def _unreadable(path: str, error: OSError) -> PackageError:
    return PackageError(
        f"`{path}` cannot be read: {error.strerror}",
        where=Where(path),
        hint="make it readable, or name it in .kedgeignore",
    )


class _Walk:
    def __init__(self, root: str) -> None:
        self.root = root
        self.own_home = os.path.realpath(home())
        self.rules = IgnoreRules(root)
        self.files: list[PackageFile] = []
        self.folders: list[tuple[str, Stamp]] = []
        self.problems: list[Problem] = []

    def contents(self) -> Contents:
        waiting = [""]
        while waiting:
            waiting += self._folder(waiting.pop())
        if self.problems:
            raise PackageError.of(self.problems, self.root)
        self.files.sort(key=lambda file: os.fsencode(file.path))
        ignores = []
        for path in self.rules.read:
            with contextlib.suppress(FileNotFoundError):  # gone: its folder's stamp tells
                status = os.stat(os.path.join(self.root, path), follow_symlinks=False)
                ignores.append((path, stamp_of(status)))
        return Contents(
            tuple(self.files), tuple(self.folders), tuple(ignores), tuple(_warnings(self.files))
        )

    def _folder(self, folder: str) -> list[str]:
        """Take in the entries of one folder; gives the folders in it, the last to be walked first."""
        path = os.path.join(self.root, folder) if folder else self.root
        try:
            # Stamped before it is listed: what changes while we look then shows as a change.
            stamp = stamp_of(os.stat(path, follow_symlinks=False))
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
        except FileNotFoundError as error:
            if folder:
                return []  # gone since its parent was listed
            raise _unreadable(path, error) from None
        except OSError as error:
            raise _unreadable(path, error) from None
        self.folders.append((folder, stamp))
        self.rules.enter(folder)
        inner: list[str] = []
        for entry in entries:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if self._left_out(entry, relative, is_folder=is_folder):
                continue
            if not folder and entry.name in RESERVED:
                self._reserved(entry.name)
            elif is_folder:
                inner.append(relative)
            else:
                self._entry(entry, relative)
        inner.reverse()
        return inner

    def _left_out(self, entry: "os.DirEntry[str]", relative: str, *, is_folder: bool) -> bool:
        return (
            always_left_out(entry.name, entry.path, is_folder=is_folder)
            or (is_folder and entry.path == self.own_home)
            or self.rules.leaves_out(relative, is_folder=is_folder)
        )

    def _reserved(self, name: str) -> None:
        self.problems.append(
            Problem(
                f"`{name}` at the package's root is a reserved name: the run's own `{name}` stands there",
                Where(os.path.join(self.root, name)),
                f"rename it, or name /{name} in .kedgeignore when it is not part of the package",
            )
        )

    def _entry(self, entry: "os.DirEntry[str]", relative: str) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                self.files.append(_file(relative, status))
            elif stat.S_ISLNK(status.st_mode):
                self._symlink(relative, os.readlink(entry.path), stamp_of(status))
            else:
                self.problems.append(
                    Problem(
                        f"`{relative}` is {_kind(status.st_mode)}, which a package cannot hold",
                        Where(entry.path),
                        "remove it, or name it in .kedgeignore",
                    )
                )
        except FileNotFoundError:
            return  # gone since its folder was listed
        except OSError as error:
            raise _unreadable(entry.path, error) from None

    def _symlink(self, relative: str, target: str, stamp: Stamp) -> None:
        inside = _inside(self.root, relative, target)
        if inside is None:
            self.problems.append(
                Problem(
                    f"`{relative}` is a symlink that leads out of the package, to `{target}`",
                    Where(os.path.join(self.root, relative)),
                    "copy what it points to into the package, or name the link in .kedgeignore",
                )
            )
            return
        size = len(os.fsencode(inside))
        self.files.append(PackageFile(relative, "symlink", 0o777, size, inside, stamp))


def _inside(root: str, relative: str, target: str) -> str | None:
    """`target` as a relative path that stays below the root at each step; None when it does not.

    An absolute target below the root becomes relative, since a snapshot stands elsewhere.
    """
    here = relative.split("/")[:-1]
    if os.path.isabs(target):
        normal = os.path.normpath(target)
        if normal != root and not normal.startswith(root.rstrip("/") + "/"):
            return None
        below = os.path.relpath(normal, root)
        target = os.path.relpath(below, "/".join(here) or ".")
    place = list(here)
    steps = [step for step in reversed(target.split("/")) if step not in ("", ".")]
    links = 0
    while steps:
        step = steps.pop()
        if step == "..":
            if not place:
                return None
            place.pop()
            continue
        place.append(step)
        try:
            onward = os.readlink(os.path.join(root, *place))
        except OSError:
            continue  # not a symlink, or not there: a dangling one harms nobody
        links += 1
        if links > _MAX_LINKS:
            return target  # a loop: it cannot be followed by anyone, so it leads nowhere
        place.pop()
        if os.path.isabs(onward):
            normal = os.path.normpath(onward)
            if normal != root and not normal.startswith(root.rstrip("/") + "/"):
                return None
            place = []
            onward = os.path.relpath(normal, root)
        steps += [step for step in reversed(onward.split("/")) if step not in ("", ".")]
    return target


def _kind(mode: int) -> str:
    for test, noun in (
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISCHR, "a character device"),
    ):
        if test(mode):
            return noun
    return "neither a file nor a folder nor a symlink"


def _warnings(files: list[PackageFile]) -> list[str]:
    total = sum(file.size for file in files)
    if total <= LARGE_BYTES and len(files) <= MANY_FILES:
        return []
    largest = sorted(files, key=lambda file: -file.size)[:_LARGEST_NAMED]
    named = ", ".join(f"{file.path} ({file.size / 1e6:,.1f} MB)" for file in largest)
    return [
        f"the package has {len(files):,} files and {total / 1e6:,.1f} MB; the largest: {named}; "
        "what it does not need can be named in .kedgeignore"
    ]
