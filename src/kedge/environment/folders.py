"""Folders and files that several processes make at once: locks, temporary folders, atomic files.

Ownership is an advisory lock (`flock`) held by the process at work, never an age: the kernel lets go of
it when that process ends, however it ends, and a folder that nobody holds is left over.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kedge import home
from kedge.errors import KedgeError, StoreError

POLL = 0.02  # seconds between two looks at a lock that another process holds
TEMPORARY = "tmp-"  # what the names of unfinished folders start with
TEMPORARIES = "tmp"  # the folder in Kedge's home for what goes on and is no run
EXECUTOR = "executor"  # in such a folder: the kind of the executor, for whoever finds it left over
# The folder in Kedge's home for what a build or pull of an image needs meanwhile.
BUILDING = "building"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn the operating system's refusals while `what` is written into errors with a hint.

    Raises:
        StoreError: the disk is full, the folder may not be written, or another I/O error.
    """
    try:
        yield
    except OSError as error:
        raise refused(error, what) from error


def refused(error: OSError, what: str) -> KedgeError:
    """The error for an operating system's refusal while `what` was being written."""
    place = error.filename or home.home()
    if error.errno in _FULL:
        return StoreError(
            f"The disk is full: {what} could not be written to {place}.",
            hint="free some space, or let KEDGE_HOME name a folder on a larger disk",
        )
    if error.errno in _FORBIDDEN:
        return StoreError(
            f"{what} may not be written: {place}: {error.strerror}.",
            hint="give this account write access to KEDGE_HOME, or set KEDGE_HOME to a folder of its own",
        )
    return StoreError(
        f"{what} could not be written: {place}: {error.strerror or error}.",
        hint="look at the disk and at the permissions of KEDGE_HOME",
    )


@contextmanager
def held(path: str, timeout: float, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock file `path`; yields False when it was not to be had within `timeout` seconds.

    `on_wait` is called once if another process holds it.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout
        waited = False
        while not (owned := lock_now(descriptor)) and time.monotonic() < deadline:
            if not waited and on_wait is not None:
                on_wait()
            waited = True
            time.sleep(POLL)
        yield owned
    finally:
        os.close(descriptor)


def lock_now(descriptor: int) -> bool:
    """Whether the lock on an open file was free and is now held by its descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def is_held(path: str) -> bool:
    """Whether some process holds the lock file `path` right now."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not lock_now(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def temporary(parent: str) -> Iterator[str]:
    """A new folder in `parent`, owned while the block runs and removed after it unless renamed."""
    path, descriptor = claimed(parent)
    try:
        yield path
    finally:
        remove(path)
        os.close(descriptor)


def claimed(parent: str) -> tuple[str, int]:
    """A new folder in `parent`, and the descriptor that owns it: until that is closed no sweep takes it."""
    os.makedirs(parent, mode=0o700, exist_ok=True)
    while True:
        path = os.path.join(parent, TEMPORARY + os.urandom(8).hex())
        try:
            os.mkdir(path, 0o700)
            descriptor = _owned(path)
        except BaseException:  # Ctrl-C, before anybody knows of it
            with suppress(OSError):
                os.rmdir(path)
            raise
        if descriptor is not None:
            return path, descriptor


def _owned(path: str) -> int | None:
    """The descriptor that owns a new folder; None where a sweep has taken it for a left-over one meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if lock_now(descriptor) and os.path.exists(path):
        return descriptor
    os.close(descriptor)
    return None


def name_of(place: str) -> str:
    """What the one in a temporary folder is called, in the form of a run's id, which control groups want."""
    return os.path.basename(place)[-12:]


def sweep(parent: str, clear: Callable[[str], None] = lambda _: None) -> int:
    """Remove the unfinished folders in `parent` whose maker is gone; how many there were.

    Args:
        parent: the folder that holds them.
        clear: removes what belongs to such a folder elsewhere; before it goes, since nobody looks for that
            afterwards.
    """
    removed = 0
    try:
        names = [entry.name for entry in os.scandir(parent) if entry.name.startswith(TEMPORARY)]
    except FileNotFoundError:
        return 0
    for name in names:
        path = os.path.join(parent, name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue  # renamed or removed meanwhile
        try:
            if lock_now(descriptor) and os.path.exists(path):  # else another sweep was first
                clear(path)
                remove(path)
                removed += 1
        finally:
            os.close(descriptor)
    return removed


def remove(path: str) -> None:
    """Remove a folder and everything in it; what cannot go now is left to a later sweep."""
    from kedge.contract.ownership import remove as remove_tree

    with suppress(OSError):  # not shutil.rmtree: it gives up in a tree of a thousand folders
        remove_tree(path)


def write_file(path: str, text: str, mode: int | None = None) -> None:
    """Write a whole file at once: a reader finds the old content or the new, never a part.

    `mode` is set whatever the umask is; None leaves it to the umask.
    """
    temporary_path = f"{path}.{os.urandom(8).hex()}"
    try:
        descriptor = os.open(
            temporary_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
        )
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary_path, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary_path)
        raise


def make_folder(path: str) -> None:
    """Make a folder that everybody may read (0755 whatever the umask is), its parents too."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(folder)
            os.chmod(folder, 0o755)
