"""The mark by which every process of one run is known, whoever its parent is by now.

It is a resource limit: RLIMIT_LOCKS, which Linux has not looked at since 2.4. Children inherit it, everybody
may read it in /proc, and the system-call filter keeps the program from changing it. A session, a group, an
environment and open descriptors can all be left behind; a parent is gone as soon as it is killed.
"""

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

RLIMIT_LOCKS = 10  # <asm-generic/resource.h>; Python's `resource` has no name for it

_LINE = b"\nMax file locks "
_ENDED = (b"Z", b"X")
_marking = threading.Lock()  # limits belong to the whole process
# Between two rounds of killing: a kill takes effect at once, but not in this instant.
_PAUSE_S = 0.001


def of(run_id: str) -> int | None:
    """The mark of a run; None where this process is a run's itself and cannot give its own children another."""
    if resource.getrlimit(RLIMIT_LOCKS)[1] != resource.RLIM_INFINITY:
        return None
    import hashlib  # some hundred KiB, which the forks of a process that needs no mark would carry

    return int.from_bytes(hashlib.blake2b(run_id.encode(), digest_size=7).digest()) + 1


@contextmanager
def inherited(mark: int | None) -> Iterator[None]:
    """A block in which whatever this process starts bears `mark` from its first instant on."""
    if mark is None:
        yield
        return
    with _marking:
        before = resource.getrlimit(RLIMIT_LOCKS)
        resource.setrlimit(RLIMIT_LOCKS, (mark, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(RLIMIT_LOCKS, before)


def kill_all(mark: int, patience_s: float) -> list[int]:
    """Kill every process that bears `mark`, and take leave of those that became this one's children.

    Gives those that still live after `patience_s` seconds, because they wait in the kernel.
    """
    until = time.monotonic() + patience_s
    while True:
        living = []
        for process, lives in _marked(mark):
            if lives:
                living.append(process)
                _kill(process, mark)
            else:
                with suppress(ChildProcessError):  # not everybody's orphans come here
                    os.waitpid(process, os.WNOHANG)
        if not living or time.monotonic() > until:
            return living
        time.sleep(_PAUSE_S)


def _marked(mark: int) -> Iterator[tuple[int, bool]]:
    """Every process that bears `mark`, and whether it lives or only waits to be taken leave of."""
    for name in os.listdir("/proc"):
        if name.isdigit() and _bears(name, mark):
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state = file.read().rpartition(b")")[2].split()[0]
            except (OSError, IndexError):
                continue
            yield int(name), state not in _ENDED


def _bears(process: str, mark: int) -> bool:
    try:
        with open(f"/proc/{process}/limits", "rb") as file:
            said = file.read()
    except OSError:
        return False
    return said.partition(_LINE)[2].split(maxsplit=1)[:1] == [b"%d" % mark]


def _kill(process: int, mark: int) -> None:
    try:
        held = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        if _bears(str(process), mark):  # the number may be somebody else's by now
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(held, signal.SIGKILL)
    finally:
        os.close(held)
