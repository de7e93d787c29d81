"""Copies one file and says what its copy holds: shared blocks where the file system can, else bytes."""

import errno
import fcntl
import hashlib
import io
import os
import stat
from typing import Final

from kedge.package.stamps import Stamp, stamp_of

_FICLONE: Final = 0x40049409  # linux/fs.h: share all blocks of one file with another
_CHUNK: Final = 1 << 20
# The file system, the pair of them, or a seccomp filter does not do it: copy instead.
_CANNOT_CLONE: Final = frozenset(
    {
        errno.EOPNOTSUPP,
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOTTY,
        errno.ENOSYS,
        errno.EPERM,
        errno.ETXTBSY,
    }
)


class SourceError(OSError):
    """The source's side of a copy failed, not the destination's."""


def copy(source: str, destination: str, mode: int) -> tuple[str, Stamp]:
    """Copy the regular file `source`; gives the SHA-256 of the *copy* and the stamp of the source.

    The destination must not exist and ends up with `mode`. That the digest is of the copy is the point:
    whatever happens to the source meanwhile, digest and bytes belong together. The stamp is from after
    the reading: equal to an earlier one, it says that nothing was written in between.

    Raises:
        SourceError: the source is gone, is not to be read, or is no regular file.
        OSError: the destination cannot be written.
    """
    with _opened(source) as reader:
        handle = os.open(destination, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with io.FileIO(handle, "r+") as writer:
            digest = hashlib.sha256()
            if _cloned(reader.fileno(), writer.fileno()):
                while chunk := writer.read(_CHUNK):
                    digest.update(chunk)
            else:
                while chunk := _read(reader):
                    digest.update(chunk)
                    _write(writer.fileno(), chunk)
            os.fchmod(writer.fileno(), mode)
        return digest.hexdigest(), stamp_of(os.fstat(reader.fileno()))


def hashed(source: str) -> tuple[str, Stamp]:
    """The SHA-256 of the regular file `source`, and its stamp from after it was read.

    Raises:
        SourceError: it is gone, is not to be read, or is no regular file.
    """
    with _opened(source) as reader:
        digest = hashlib.sha256()
        while chunk := _read(reader):
            digest.update(chunk)
        return digest.hexdigest(), stamp_of(os.fstat(reader.fileno()))


def _opened(source: str) -> io.FileIO:
    try:
        # Not blocking, not following: what was listed as a file may be a pipe or a link by now.
        handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(error.errno, error.strerror, source) from None
    reader = io.FileIO(handle, "r")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        reader.close()
        raise SourceError(errno.ESTALE, "it is not a regular file any more", source)
    return reader


def _read(reader: io.FileIO) -> bytes:
    try:
        return reader.read(_CHUNK)
    except OSError as error:
        raise SourceError(error.errno, error.strerror) from None


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _cloned(source: int, destination: int) -> bool:
    if os.uname().sysname != "Linux" or os.fstat(source).st_size == 0:
        return False
    try:
        fcntl.ioctl(destination, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT_CLONE:
            return False
        raise
    return True
