"""A guard that is ready: forked from one that has loaded what all of them need.

A guard (`kedge.executor.guard`) is a bare Python, which takes longer to start than many a program. Here one
process stands by that has started, and makes copies of itself; a copy is this process's own child, as one that was
started would be, and guards one program after the other. Between two programs it makes the process for the next.
"""

import array
import errno
import os
import resource
import signal
import socket
import sys
import threading
import time
import weakref
from contextlib import suppress
from functools import partial
from typing import Final, final

from kedge.executor.descriptors import inheritable
from kedge.executor.guarded import Guard, Guarded, Lines
from kedge.executor.processes import send, wait_readable

_GUARD: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "guard.py")
_PATIENCE_S: Final = 30.0  # for a copy: a bare Python may take a second to start
_STOPPED_S: Final = 0.1  # one that has not answered by then may have been stopped
_ANSWER: Final = 32
_MOST_IDLE: Final = 8  # that wait for a program; they take little but a process each
_NEVER: Final = (errno.ENOSYS, errno.EPERM, errno.EINVAL)  # of a kernel that makes no copies
_LIMITS: Final = tuple(getattr(resource, name) for name in dir(resource) if name[:7] == "RLIMIT_")
# Of what a process inherits, in its status: accounts, rights, processors, and what its files are made without.
_INHERITED: Final = (b"Umask", b"Uid", b"Gid", b"Groups", b"Cap", b"NoNew", b"Seccomp", b"Cpus")


@final
class Guards:
    """Guards that wait, and the process that copies itself where there are none; many threads may ask.

    A copy has what this process had when that one was started, so once this one has changed there is another.
    After a fork the child has none, and starts its own.
    """

    def __init__(self) -> None:
        self._original: tuple[int, socket.socket, object] | None = None
        self._idle: list[Guard] = []  # that have guarded a program
        self._waiting: Guarded | None = None  # for the next program
        self._works = True
        self.renew()
        _all.add(self)

    def renew(self) -> None:
        """Begin anew; what there was is the parent's."""
        self._lock = threading.Lock()
        if self._waiting is not None:
            self._waiting.forget()
        for line in (*(guard.line for guard in self._idle), *(self._original or ())[1:2]):
            line.close()
        self._idle = []
        self._original = self._waiting = None

    def ready(self, prepared: bytes) -> Guarded | None:
        """A guard that waits to begin, a child of this process; None where it has to be started another way.

        Args:
            prepared: what it is to have ready (`guarded.Specification.prepared`).
        """
        with self._lock, suppress(OSError):  # where no descriptor or process is left, say
            while self._works:
                line = self._line()
                found, self._waiting = self._waiting, None
                if found is None:
                    guard = self._idle.pop() if self._idle else self._copied(line)
                    if guard is None:
                        break
                    found = self._told(guard, prepared)
                if found is not None:
                    if found.prepared == prepared and found.is_ready():
                        return found
                    found.close()
        return None

    def prepare(self, prepared: bytes) -> None:
        """Have one made ready for the next time, and do not wait for it."""
        with self._lock, suppress(OSError):
            if self._works and self._waiting is None and self._idle:
                self._waiting = self._told(self._idle.pop(), prepared)

    def close(self) -> None:
        """End them. Guards of programs that have begun go on until these have ended."""
        with self._lock:
            self._works = False
            self._end()

    def _line(self) -> socket.socket:
        """The line to one that has what this process has now."""
        inherited = _inherited()
        if self._original is not None and self._original[2] != inherited:
            self._end()
        if self._original is None:
            self._original = (*_started(), inherited)
        return self._original[1]

    def _told(self, guard: Guard, prepared: bytes) -> Guarded | None:
        """Have a guard get ready; None if it has ended."""
        lines = Lines(prepared)
        try:
            passed = array.array("i", lines.theirs)
            guard.line.sendmsg([b"next"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
            lines.passed_on()
        except BaseException as error:
            lines.close()
            guard.leave()
            if not isinstance(error, BrokenPipeError | ConnectionResetError):
                raise
            return None
        return Guarded(lines, guard, partial(self._keep, self._original))

    def _keep(self, original: object, guard: Guard) -> None:
        """Have a guard wait for another program, if it still has what this process has."""
        with self._lock:
            if self._works and original is self._original and len(self._idle) < _MOST_IDLE:
                self._idle.append(guard)
                return
        guard.leave()

    def _copied(self, line: socket.socket) -> Guard | None:
        """A copy, asked for up to twice; None if there is none."""
        for _ in range(2):
            mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            number = 0
            try:
                with its:
                    passed = array.array("i", [its.fileno()])
                    line.sendmsg([b"copy"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
                number = int(self._heard(line) or 0)
            except BaseException as error:
                if not isinstance(error, BrokenPipeError | ConnectionResetError | ValueError):
                    self._end()  # its answer would be taken for that to another question
                    raise
            finally:
                if number <= 0:
                    mine.close()
            if number > 0:
                return Guard(number, mine)
            if number < 0:
                self._works = -number not in _NEVER
                return None
            self._end()
            line = self._line()
        return None

    def _heard(self, line: socket.socket) -> bytes:
        """Its next word; none if it has ended, or does not answer and is killed for that."""
        assert self._original is not None
        process, until = self._original[0], time.monotonic() + _PATIENCE_S
        while not wait_readable(line.fileno(), _STOPPED_S):
            # Code of the same account may have stopped it.
            send(process, signal.SIGCONT if time.monotonic() < until else signal.SIGKILL)
        return line.recv(_ANSWER)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.close()
        idle, self._idle = self._idle, []
        for guard in idle:
            send(guard.process, signal.SIGCONT)  # as above
            guard.leave()
        if self._original is not None:
            process, line, _ = self._original
            self._original = None
            line.close()
            send(process, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(process, 0)


_all: "weakref.WeakSet[Guards]" = weakref.WeakSet()


def _renew_all() -> None:
    for guards in _all:
        guards.renew()


os.register_at_fork(after_in_child=_renew_all)


def _started() -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs:
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
    except BaseException:
        ours.close()
        raise
    return process, ours


def _inherited() -> object:
    """What a process that is started now would have of this one, and a copy has of one that was started before."""
    with open("/proc/thread-self/status", "rb") as file:
        told = [line for line in file if line.startswith(_INHERITED)]
    for name in ("oom_score_adj", "cgroup"):
        with open(f"/proc/thread-self/{name}", "rb") as file:
            told.append(file.read())
    return told, [resource.getrlimit(limit) for limit in _LIMITS]
