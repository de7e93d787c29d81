"""The read-only copy of a package that runs see, found again by the digest of what it holds.

Digest, cache key and mounted code are the same bytes: the digest that names a snapshot is made from the
copies in it, never from the author's files, which may change at any moment.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from kedge.boot import boot
from kedge.data import Data
from kedge.errors import PackageError, StoreError, Where
from kedge.home import folder
from kedge.package import holding, index
from kedge.package.stamps import any_racy, is_racy

# Another layout gets another header: no digest means two things.
_HEADER: Final = b"kedge package 1\0"
_FOLDERS: Final = ("in", "out", "scratch")
_COMPILED: Final = "__pycache__"
# Whose lock says that a snapshot is in use; `writable` needs that of the snapshot itself.
HELD_BY: Final = "in"
# A package that changes each time it is read (a log being written) is taken as it is after this many.
_ATTEMPTS: Final = 4

_FILE_MODE: Final = 0o444
_PROGRAM_MODE: Final = 0o555
_FOLDER_MODE: Final = 0o555


class Snapshot(Data):
    """A package's content and where its read-only copy is.

    Args:
        digest: SHA-256 over every path, kind, executable bit and content, in hex.
        folder: the copy: files 0444 or 0555, folders 0555, with empty `in`, `out` and `scratch`.
        warnings: sentences for the package's author.
    """

    digest: str
    folder: str
    warnings: tuple[str, ...] = ()


class Entry(NamedTuple):
    """What the digest covers of one file: `content` is its SHA-256 in hex, or a symlink's target."""

    path: str
    kind: str
    content: str


def snapshot(root: str) -> Snapshot:
    """The snapshot of the package at `root` (a folder, or a lone script), made when it is not there yet.

    Safe to call from any number of processes at once; one that was interrupted leaves nothing that is
    ever used. An unchanged package costs one `stat` a file.

    Raises:
        PackageError: files that cannot be part of a package or cannot be read.
        StoreError: the copy cannot be written.

    >>> snapshot("examples/bolt-sizing").digest == snapshot("examples/bolt-sizing").digest
    True
    """
    real = os.path.realpath(root)
    known = index.read(real)
    if known is not None and index.unchanged(real, known) and known.boot == boot():
        path = os.path.join(folder("snapshots"), known.digest)
        if holding.hold(path, HELD_BY):
            return Snapshot(known.digest, path, known.warnings)
    for _ in range(_ATTEMPTS - 1):
        try:
            taken = _Taking(real, known, last=False).snapshot()
        except _StaleError:
            continue
        if holding.hold(taken.folder, HELD_BY):  # else a clean-up was quicker
            return taken
    return _Taking(real, known, last=True).snapshot()


def digest_of(entries: Iterable[Entry]) -> str:
    """The digest of a package with these entries; their order does not matter.

    Every field is preceded by its length, so that no two packages are the same text.

    >>> digest_of([Entry("a", "file", "b")]) == digest_of([Entry("a", "program", "b")])
    False
    """
    digest = hashlib.sha256(_HEADER)
    for entry in sorted(entries, key=lambda entry: os.fsencode(entry.path)):
        for field in entry:
            data = os.fsencode(field)
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
    return digest.hexdigest()


@contextlib.contextmanager
def writable(path: str) -> Iterator[None]:
    """Makes a snapshot's folders writable for the length of a `with` block, for one process at a time.

    For putting compiled files beside their sources, which the digest does not cover. A kill in between
    leaves folders that their owner could write to and nothing else.
    """
    import fcntl

    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for inside, _, _ in os.walk(path):
            os.chmod(inside, _FOLDER_MODE | 0o200)
        try:
            yield
        finally:
            for inside, _, _ in os.walk(path):
                os.chmod(inside, _FOLDER_MODE)
    finally:
        os.close(handle)


def is_whole(path: str, digest: str) -> bool:
    """Whether the snapshot at `path` holds what `digest` says, read byte for byte."""
    try:
        return digest_of(entries_in(path)) == digest
    except OSError:
        return False


def entries_in(path: str) -> Iterable[Entry]:
    """What the digest of the snapshot at `path` covers, read byte for byte.

    Raises:
        OSError: it cannot be read, or is not there.
    """
    from kedge.package.copying import hashed

    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(os.path.join(path, inside)) as listing:
            for entry in listing:
                relative = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_symlink():
                    yield Entry(relative, "symlink", os.readlink(entry.path))
                elif not entry.is_dir():
                    program = entry.stat().st_mode & 0o100
                    yield Entry(relative, "program" if program else "file", hashed(entry.path)[0])
                elif entry.name != _COMPILED and (inside or entry.name not in _FOLDERS):
                    waiting.append(relative)


class _StaleError(Exception):
    """The author's files changed while they were read."""


class _Taking:
    """One attempt: look, hash what is not known, copy when no such snapshot is there.

    The `last` one takes a package that never rests as it is: what was copied is what is digested.
    """

    def __init__(self, root: str, known: index.Index | None, *, last: bool) -> None:
        from kedge.package import files

        self.root = root
        self.base = root if os.path.isdir(root) else os.path.dirname(root)
        self.known = known
        self.last = last
        self.looked_ns = time.time_ns()
        self.contents = files.contents(root)
        self.hashes: dict[str, str] = {}

    def snapshot(self) -> Snapshot:
        parent = folder("snapshots")
        self._hash()
        digest = digest_of(self._entries())
        path = os.path.join(parent, digest)
        if not self._there(path, digest):
            digest, path = self._copy(parent)
        self._remember(digest)
        return Snapshot(digest, path, self.contents.warnings)

    def _hash(self) -> None:
        from kedge.package.copying import SourceError, hashed

        known = self.known.hashes if self.known else {}
        stamps = (
            {path: tuple(numbers) for path, *numbers in self.known.stamps} if self.known else {}
        )
        for file in self.contents.files:
            if file.kind == "symlink":
                continue
            if file.path in known and stamps.get(file.path) == file.stamp:
                self.hashes[file.path] = known[file.path]
                continue
            try:
                self.hashes[file.path], stamp = hashed(self._source(file.path))
            except SourceError as error:
                raise self._gone_or_unreadable(file.path, error) from None
            if stamp != file.stamp and not self.last:
                raise _StaleError

    def _there(self, path: str, digest: str) -> bool:
        """Whether the snapshot is there and whole; a damaged one is taken away.

        Only a rename makes it appear, so it was complete once. It is read all the same, since this is not
        the fast path and a power cut or a clean-up may have emptied it.
        """
        from kedge.package.staging import withdraw

        if not os.path.isdir(path):
            return False
        if is_whole(path, digest):
            return True
        withdraw(path)
        return False

    def _copy(self, parent: str) -> tuple[str, str]:
        from kedge.package.staging import new_folder, publish

        try:
            with new_folder(parent) as draft:
                self._fill(draft)
                # Of the copies: they were hashed as they were made.
                digest = digest_of(self._entries())
                holding.hold(draft, HELD_BY)
                return digest, publish(draft, digest)
        except OSError as error:
            raise StoreError(
                f"the snapshot of `{self.root}` cannot be written: {error.strerror}",
                hint="make room, or set KEDGE_HOME to a folder that you can write to",
            ) from error

    def _fill(self, draft: str) -> None:
        from kedge.package.copying import SourceError, copy

        made = {"": draft}
        for name in _FOLDERS:
            made[name] = os.path.join(draft, name)
            os.mkdir(made[name])
        for file in self.contents.files:
            self._make_folders(draft, os.path.dirname(file.path), made)
            destination = os.path.join(draft, file.path)
            if file.kind == "symlink":
                os.symlink(file.target, destination)
                continue
            mode = _PROGRAM_MODE if file.mode & 0o100 else _FILE_MODE
            try:
                content, stamp = copy(self._source(file.path), destination, mode)
            except SourceError as error:
                raise self._gone_or_unreadable(file.path, error) from None
            if (stamp != file.stamp or content != self.hashes[file.path]) and not self.last:
                raise _StaleError
            self.hashes[file.path] = content
        for path in made.values():
            os.chmod(path, _FOLDER_MODE)

    @staticmethod
    def _make_folders(draft: str, inside: str, made: dict[str, str]) -> None:
        missing: list[str] = []
        while inside not in made:
            missing.append(inside)
            inside = os.path.dirname(inside)
        for path in reversed(missing):
            made[path] = os.path.join(draft, path)
            os.mkdir(made[path])

    def _remember(self, digest: str) -> None:
        contents = self.contents
        stamps = {file.path: file.stamp for file in contents.files}
        folders = dict(contents.folders)
        everything = {**dict(contents.ignores), **folders, **stamps}
        index.write(
            self.root,
            index.Index(
                digest=digest,
                boot=boot(),
                settled=not any_racy(everything.values(), self.looked_ns),
                stamps=[index.row(path, stamp) for path, stamp in everything.items()],
                hashes={
                    path: content
                    for path, content in self.hashes.items()
                    if not is_racy(stamps[path], self.looked_ns)
                },
                warnings=contents.warnings,
            ),
        )

    def _entries(self) -> list[Entry]:
        return [
            Entry(file.path, "symlink", file.target)
            if file.kind == "symlink"
            else Entry(
                file.path, "program" if file.mode & 0o100 else "file", self.hashes[file.path]
            )
            for file in self.contents.files
        ]

    def _source(self, path: str) -> str:
        return os.path.join(self.base, path)

    def _gone_or_unreadable(self, path: str, error: OSError) -> Exception:
        if isinstance(error, PermissionError) or self.last:
            return PackageError(
                f"`{path}` cannot be read: {error.strerror}",
                where=Where(self._source(path)),
                hint="make it readable and leave it alone for a moment, or name it in .kedgeignore",
            )
        return _StaleError()
