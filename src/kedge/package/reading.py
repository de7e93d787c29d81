"""Reads a package's small text files: bounded, regular files only, UTF-8 or a clear error."""

import os
import stat
from typing import Final

from kedge.errors import ManifestError, Where

MAX_BYTES: Final = 1 << 20  # a manifest of a thousand functions has a fifth of this


def shown(path: str) -> str:
    """A path as messages show it: relative where that is shorter to read, else absolute."""
    path = os.path.abspath(path)
    try:
        relative = os.path.relpath(path)
    except OSError:  # the working directory is gone
        return path
    return path if relative.startswith("..") else relative


def read_text(path: str, file: str, *, limit: int = MAX_BYTES) -> str:
    """The text of the regular file at `path`; `file` is its name in messages.

    Raises:
        ManifestError: not a regular file, larger than `limit` bytes, unreadable, or not UTF-8.
    """
    try:
        # Not blocking: a FIFO by this name must be refused, not waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ManifestError(
            f"{file} cannot be read: {reason}",
            where=Where(file),
            hint="check that it is there and that its permissions let you read it",
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ManifestError(
                f"{file} is not a regular file", where=Where(file), hint="replace it by a text file"
            )
        with open(handle, "rb", closefd=False) as stream:
            data = stream.read(limit + 1)
    finally:
        os.close(handle)
    if len(data) > limit:
        raise ManifestError(
            f"{file} is larger than {limit >> 10:,} KiB",
            where=Where(file),
            hint="keep data in files of their own",
        )
    return _decoded(data, file)


def _decoded(data: bytes, file: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ManifestError(f"{file} is UTF-16", where=Where(file, 1, 1), hint="save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        raise ManifestError(
            f"{file} holds the byte 0x{data[error.start]:02x}, which is not UTF-8",
            where=Where(file, line, column),
            hint="save it as UTF-8",
        ) from None
