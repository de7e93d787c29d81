"""Input files that no mount can show: a reflink where the file system has them, else a copy."""

import fcntl
import os
import shutil
import stat

from kedge.errors import InputError

_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
NOTEWORTHY_BYTES = 1_000_000_000  # from here on a copy takes long enough for people to wonder


def stage(source: str, destination: str) -> int:
    """Make `destination` a read-only likeness of `source`, a file or a folder; bytes copied.

    Later writes to one do not show in the other. 0 bytes are copied where reflinks work, and the holes
    of a sparse file are never copied.

    Raises:
        InputError: the source cannot be read, or is neither a file nor a folder.
    """
    try:
        return _stage(source, destination)
    except OSError as error:
        raise InputError(
            f"the input {source!r} cannot be staged: {error.strerror or error}",
            hint="check that it exists, that you may read it, and that the disk has room for it",
        ) from error


def _stage(source: str, destination: str) -> int:
    if os.path.isdir(source):
        os.makedirs(destination, exist_ok=True)
        copied = sum(
            _stage(os.path.join(source, name), os.path.join(destination, name))
            for name in sorted(os.listdir(source))
        )
        os.chmod(destination, 0o555)
        return copied
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    reading = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(reading).st_mode):
            raise InputError(
                f"the input {source!r} is not a regular file",
                hint="give the path of a file or folder",
            )
        if os.path.lexists(destination):
            os.unlink(destination)  # the empty file that keeps its place
        writing = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copied = 0 if _reflink(reading, writing) else _copy(reading, writing)
            os.fchmod(writing, 0o444)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return copied


def _reflink(reading: int, writing: int) -> bool:
    try:
        fcntl.ioctl(writing, _FICLONE, reading)
    except OSError:
        return False
    return True


def _copy(reading: int, writing: int) -> int:
    end = os.fstat(reading).st_size
    os.ftruncate(writing, end)
    copied = position = 0
    while position < end:
        try:
            start = os.lseek(reading, position, os.SEEK_DATA)
        except OSError:
            break  # ENXIO: only a hole is left
        position = min(os.lseek(reading, start, os.SEEK_HOLE), end)
        os.lseek(reading, start, os.SEEK_SET)
        os.lseek(writing, start, os.SEEK_SET)
        copied += _copy_range(reading, writing, position - start)
    return copied


def _copy_range(reading: int, writing: int, length: int) -> int:
    left = length
    while left:
        try:
            done = os.copy_file_range(reading, writing, min(left, 1 << 30))
        except OSError:  # across file systems on older kernels
            with (
                os.fdopen(reading, "rb", closefd=False) as source,
                os.fdopen(writing, "wb", closefd=False) as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
            return length
        if not done:
            break
        left -= done
    return length - left
