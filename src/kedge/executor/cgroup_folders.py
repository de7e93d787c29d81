"""The folders that control groups are: read, written, emptied, removed, found again.

All that reaches the file system for them goes through here.
"""

import contextlib
import errno
import itertools
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator

# A killed process may sit out a wait in the kernel; one that hangs longer is reported, not awaited.
KILL_PATIENCE_S = 5.0
REMOVE_PATIENCE_S = 2.0  # the kernel lets go of the dead a moment after they have left the list
LOOK_AGAIN_S = 0.001  # between two looks at a group that is being emptied

# Descriptors that one round of killing holds at once: far fewer than the 1024 that a process may have.
_AT_ONCE = 64

_FOLDER = re.compile(r"kedge-([a-z0-9]{12})")


def folder_name(name: str) -> str:
    """The folder of the group called `name`.

    Raises:
        ValueError: it is not twelve lowercase letters and digits.
    """
    folder = f"kedge-{name}"
    if not _FOLDER.fullmatch(folder):
        raise ValueError(f"{name!r} is not a run's id: twelve lowercase letters and digits")
    return folder


def read(path: str) -> str:
    """What a file says, "" when it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        said = b""
        while chunk := os.read(file, 1 << 16):
            said += chunk
    except OSError:  # the group was removed between the two
        return ""
    finally:
        os.close(file)
    return said.decode(errors="surrogateescape")


def write(path: str, text: str) -> None:
    """Write one value, in one call as the kernel wants it.

    Raises:
        OSError: the file is not there, or the kernel refuses the value.
    """
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def wrote(path: str, text: str) -> bool:
    """Whether a value could be written."""
    try:
        write(path, text)
    except OSError:
        return False
    return True


def make(folder: str) -> None:
    """Make a group."""
    os.mkdir(folder, 0o755)


def remove_one(folder: str) -> None:
    """Remove a group that has no processes and no groups in it."""
    os.rmdir(folder)


def number(path: str) -> int | None:
    """The one number that a file holds."""
    try:
        return int(read(path))
    except ValueError:  # "max", or nothing
        return None


def numbers(path: str) -> dict[str, int]:
    """The lines `name number` of a file."""
    pairs = (line.split(" ", 1) for line in read(path).splitlines() if " " in line)
    return {name: int(value) for name, value in pairs if value.isdigit()}


def inside(folder: str) -> Iterator[str]:
    """`folder` and all groups below it, the inner ones first."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from inside(entry.path)
    yield folder


def processes(groups: Iterable[str]) -> list[int]:
    """All processes in these groups and below."""
    return sorted({
        int(word)
        for group in groups
        for folder in inside(group)
        for word in read(f"{folder}/cgroup.procs").split()
        # The kernel shows 0 for a process of a namespace that cannot be seen from here; a signal to 0
        # would go to ourselves.
        if word != "0"
    })  # fmt: skip


def kill_all(groups: tuple[str, ...]) -> None:
    """Kill every process in these groups and below, until none is left or the patience is over."""
    deadline = time.monotonic() + KILL_PATIENCE_S
    for group in groups:
        # Nothing is born any more: what kills one by one overtakes any fork bomb.
        wrote(f"{group}/pids.max", "0")
        wrote(f"{group}/cgroup.kill", "1")  # Linux 5.14, version 2
    while left := processes(groups):
        _kill_each(left, groups)
        if time.monotonic() > deadline:
            return
        time.sleep(LOOK_AGAIN_S)


def remove(groups: Iterable[str]) -> None:
    """Remove these groups and all below them; what is gone is fine, what cannot go yet stays."""
    deadline = time.monotonic() + REMOVE_PATIENCE_S
    for group in groups:
        while not all(_gone(folder) for folder in inside(group)):
            if time.monotonic() > deadline:
                break
            time.sleep(LOOK_AGAIN_S)


def found(tops: Iterable[str]) -> dict[str, list[str]]:
    """Name → folders, of all groups that this account made for runs, at any depth below `tops`."""
    mine: dict[str, list[str]] = {}
    for top in tops:
        for folder in inside(top):
            name = _FOLDER.fullmatch(os.path.basename(folder))
            if name is not None and _owner(folder) == os.geteuid():
                mine.setdefault(name[1], []).append(folder)
    return mine


def _kill_each(listed: list[int], groups: tuple[str, ...]) -> None:
    """Kill one by one, and never a newcomer that was given the number of one who has just ended."""
    for some in itertools.batched(listed, _AT_ONCE):
        with contextlib.ExitStack() as after:
            held: dict[int, int] = {}
            for process in some:
                with contextlib.suppress(OSError):
                    held[process] = os.pidfd_open(process)
                    after.callback(os.close, held[process])
            # Whoever is in the group now, with a number that was held before, is the one that is held.
            for process in held.keys() & set(processes(groups)):
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(held[process], signal.SIGKILL)


def _gone(folder: str) -> bool:
    try:
        remove_one(folder)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENODEV)
    return True


def _owner(folder: str) -> int | None:
    try:
        return os.stat(folder).st_uid
    except OSError:
        return None
