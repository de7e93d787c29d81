"""A guard that is ready: forked from one that has loaded what all of them need.

A guard (`kedge.executor.guard`) is a bare Python, which takes longer to start than many a program. Here one
process stands by that has started, and makes a copy of itself for each program; the copy is this process's own
child, as one that was started would be.
"""

import array
import os
import socket
import sys
import threading
from contextlib import suppress
from typing import Final, final

from kedge.executor.descriptors import inheritable

_GUARD: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "guard.py")
_PATIENCE_S: Final = (
    5.0  # for a copy; a bare Python takes a second to start on a machine that is very busy
)
_ANSWER: Final = 32


@final
class Guards:
    """The process that copies itself, started with the first copy; many threads may ask.

    After a fork of this process the child has none, and starts its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: tuple[int, socket.socket] | None = None
        self._owner = os.getpid()
        self._works = True

    def copy(self, descriptors: tuple[int, ...]) -> int | None:
        """The number of a new guard, a child of this process; None where it has to be started another way.

        Args:
            descriptors: its standard output and error, and what its `main` takes.
        """
        with self._lock:
            if self._owner != os.getpid():
                self._process, self._owner = None, os.getpid()
            for _ in range(2):  # one that was killed gets a successor
                if not self._works:
                    return None
                if (number := self._asked(descriptors)) is not None:
                    return number if number > 0 else None
                self._end()
            self._works = False
            return None

    @property
    def are_ready(self) -> bool:
        """Whether one has been copied and can be again."""
        return self._process is not None

    def close(self) -> None:
        """End it. Guards that were copied go on."""
        with self._lock:
            self._works = False
            if self._owner == os.getpid():
                self._end()

    def _asked(self, descriptors: tuple[int, ...]) -> int | None:
        """What it answers: a number, 0 if the kernel refuses; None if it does not answer."""
        try:
            if self._process is None:
                self._process = _started()
            line = self._process[1]
            passed = array.array("i", descriptors)
            line.sendmsg([_umask()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
            answer = line.recv(_ANSWER)
        except OSError:
            return None
        if not answer:
            return None
        if int(answer) <= 0:
            self._works = False  # nor will it the next time
        return max(0, int(answer))

    def _end(self) -> None:
        if self._process is not None:
            process, line = self._process
            self._process = None
            line.close()
            with suppress(ChildProcessError):
                os.waitpid(process, 0)


def _started() -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        ours.settimeout(_PATIENCE_S)
        number = max(theirs.fileno(), 2) + 1
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-B", _GUARD, "copies", str(number)],
            os.environ,
            file_actions=[
                *((os.POSIX_SPAWN_CLOSE, one) for one in inheritable()),
                *((os.POSIX_SPAWN_OPEN, one, os.devnull, os.O_RDWR, 0) for one in (0, 1, 2)),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), number),
            ],
            setsid=True,
            setsigmask=(),
        )
    return process, ours


def _umask() -> bytes:
    """What this process's files are made without, now: a copy has it from when its original was started."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"Umask:"):
                return line.split()[1]
    return b"-1"
