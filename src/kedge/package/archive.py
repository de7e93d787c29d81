"""Packages in ZIP files: unpacked once, by digest, and only when nothing in them reaches outside."""

import contextlib
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Generator
from typing import Final

from kedge.boot import boot
from kedge.errors import PackageError, Problem, StoreError, Where
from kedge.home import folder
from kedge.package import holding, index
from kedge.package.copying import SourceError, hashed
from kedge.package.reading import shown
from kedge.package.staging import new_folder, publish
from kedge.package.stamps import is_racy

MAX_FILES: Final = 100_000
MAX_BYTES: Final = 8 << 30  # unpacked: far above any package, far below a disk
MAX_DEPTH: Final = 64
_MAX_LINK: Final = 4096  # a symlink's target: PATH_MAX
_CHUNK: Final = 1 << 20
_ENCRYPTED: Final = 0x1
# Written by macOS's archiver beside the files themselves.
_LITTER: Final = ("__MACOSX", ".DS_Store")


def unpacked(path: str) -> str:
    """The folder with the content of the ZIP file at `path`, unpacked when it is not there yet.

    A single folder at its top is left away. The same archive is unpacked once.

    Raises:
        PackageError: not a ZIP file, encrypted or damaged; an entry that is absolute, climbs out, is a
            device, stands twice or below a file; a symlink that leads out; too many or too large.
        StoreError: the content cannot be written.
    """
    parent = folder("packages")
    try:
        digest = _digest(os.path.realpath(path))
        target = os.path.join(parent, digest)
        if holding.hold(target):
            return target
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            plan = _plan(archive, shown(path))
            made = _extract(archive, plan, parent, digest, shown(path))
            holding.hold(made)
            return made
    except SourceError as error:
        raise _refused(shown(path), f"cannot be read: {error.strerror}") from None
    except (
        zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, ValueError, EOFError,
        zlib.error,
    ) as error:  # fmt: skip
        raise _refused(shown(path), f"is not a ZIP file that can be unpacked: {error}") from None


def _refused(file: str, reason: str) -> PackageError:
    return PackageError(
        f"`{file}` {reason}", where=Where(file), hint="make the archive anew, or unpack it yourself"
    )


def _digest(path: str) -> str:
    """The archive's own SHA-256, remembered by its stamp so that a large one is not read each time."""
    name = os.path.basename(path)
    known = index.read(path)
    if known is not None and index.unchanged(path, known) and len(known.stamps) == 1:
        return known.digest
    looked_ns = time.time_ns()
    digest, after = hashed(path)
    settled = not is_racy(after, looked_ns)
    index.write(path, index.Index(digest, boot(), settled, [index.row(name, after)], {}, ()))
    return digest


type _Plan = dict[tuple[str, ...], zipfile.ZipInfo]


def _plan(archive: zipfile.ZipFile, file: str) -> _Plan:
    """Which entry goes where; everything that can be refused by its name and size is refused here."""
    problems: list[Problem] = []
    plan: _Plan = {}
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES or total > MAX_BYTES:
        raise PackageError(
            f"`{file}` holds {len(entries):,} entries and {total >> 20:,} MiB unpacked; at most "
            f"{MAX_FILES:,} and {MAX_BYTES >> 20:,} MiB are taken",
            where=Where(file),
            hint="leave out what the package does not need",
        )
    for entry in entries:
        parts = tuple(part for part in entry.filename.split("/") if part not in ("", "."))
        if reason := _reason(entry, parts):
            shown_name = (
                entry.orig_filename
                if entry.orig_filename.isprintable()
                else repr(entry.orig_filename)
            )
            problems.append(
                Problem(
                    f"`{shown_name}` {reason}",
                    Where(file, path=shown_name),
                    "make the archive from inside the package's folder",
                )
            )
        elif parts and not set(parts) & set(_LITTER):
            if parts in plan and not (entry.is_dir() and plan[parts].is_dir()):
                name = "/".join(parts)
                where = Where(file, path=name)
                problems.append(
                    Problem(f"`{name}` is in the archive twice", where, "keep one of them")
                )
            plan[parts] = entry
    problems += _below_files(plan, file)
    if problems:
        raise PackageError.of(problems, file)
    return _without_top(plan)


def _reason(entry: zipfile.ZipInfo, parts: tuple[str, ...]) -> str | None:
    mode = entry.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if entry.filename.startswith("/"):
        return "is an absolute path"
    if ".." in parts:
        return "climbs out of the archive"
    if "\0" in entry.orig_filename:
        return "holds a null byte"
    if len(parts) > MAX_DEPTH or any(len(os.fsencode(part)) > 255 for part in parts):
        return "is too deep or too long"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        return "is neither a file nor a folder nor a symlink"
    return None


def _below_files(plan: _Plan, file: str) -> list[Problem]:
    """Entries whose folder is itself a file or a symlink: the way out of many an extractor."""
    return [
        Problem(
            f"`{'/'.join(parts)}` stands below `{'/'.join(parts[:depth])}`, which is not a folder",
            Where(file, path="/".join(parts)),
            "make the archive anew",
        )
        for parts in plan
        for depth in range(1, len(parts))
        if parts[:depth] in plan and not plan[parts[:depth]].is_dir()
    ]


def _without_top(plan: _Plan) -> _Plan:
    tops = {parts[0] for parts in plan}
    if len(tops) != 1:
        return plan
    if any(len(parts) == 1 and not entry.is_dir() for parts, entry in plan.items()):
        return plan
    return {parts[1:]: entry for parts, entry in plan.items() if len(parts) > 1}


def _extract(archive: zipfile.ZipFile, plan: _Plan, parent: str, digest: str, file: str) -> str:
    try:
        with new_folder(parent) as draft:
            budget = MAX_BYTES
            links: list[tuple[str, str]] = []
            for parts, entry in plan.items():
                path = os.path.join(draft, *parts)
                if entry.is_dir():
                    os.makedirs(path, exist_ok=True)
                    continue
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if stat.S_ISLNK(entry.external_attr >> 16):
                    links.append((path, _target(archive, entry, parts, file)))
                    continue
                budget -= _write(archive, entry, path, budget, file)
            for path, target in links:  # last: nothing is ever written through one
                os.symlink(target, path)
            return publish(draft, digest)
    except OSError as error:
        raise StoreError(
            f"`{file}` cannot be unpacked: {error.strerror}",
            hint="make room, or set KEDGE_HOME to a folder that you can write to",
        ) from error


def _target(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, parts: tuple[str, ...], file: str
) -> str:
    with contextlib.closing(_content(archive, entry)) as chunks:
        # The first is more than any target.
        target = os.fsdecode(next(chunks, b""))
    depth = len(parts) - 1
    for step in target.split("/"):
        depth += -1 if step == ".." else 0 if step in ("", ".") else 1
        if depth < 0:
            break
    if (
        depth < 0
        or target.startswith("/")
        or not target
        or "\0" in target
        or len(target) > _MAX_LINK
    ):
        name = "/".join(parts)
        raise PackageError(
            f"`{name}` is a symlink that leads out of the archive",
            where=Where(file, path=name),
            hint="put what it points to into the package",
        )
    return target


def _write(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str, budget: int, file: str
) -> int:
    """Write one file, counting what really comes out: the sizes an archive states may be lies."""
    program = (entry.external_attr >> 16) & 0o100
    written = 0
    with open(path, "xb") as writer:
        for chunk in _content(archive, entry):
            written += len(chunk)
            if written > budget:
                raise PackageError(
                    f"`{file}` unpacks to more than {MAX_BYTES >> 20:,} MiB",
                    where=Where(file),
                    hint="leave out what the package does not need",
                )
            writer.write(chunk)
    os.chmod(path, 0o755 if program else 0o644)
    return written


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Generator[bytes]:
    try:
        with archive.open(entry) as reader:
            while chunk := reader.read(_CHUNK):
                yield chunk
    except OSError as error:  # offsets that lead nowhere: the archive's fault, not the disk's
        raise zipfile.BadZipFile(error.strerror) from None
