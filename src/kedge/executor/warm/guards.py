"""Guards that are ready: forked from one that has loaded what all of them need.

A guard (`kedge.executor.guard`) is a bare Python, which takes longer to start than many a program. Here one
process stands by that has started, and makes copies of itself; a copy is this process's own child, as one that was
started would be. It has a post, where it guards one program after the other, all in one control group.
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
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self, final

from kedge.executor import identity, landlock
from kedge.executor.descriptors import inheritable
from kedge.executor.guarded import Guard, Guarded, Lines
from kedge.executor.processes import send, wait_readable
from kedge.executor.warm.kept_group import KeptGroup, Shared, is_as_new
from kedge.task.resources import Resources

_GUARD: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "guard.py")
_PATIENCE_S: Final = 30.0  # for a copy: a bare Python may take a second to start
_STOPPED_S: Final = 0.1  # one that has not answered by then may have been stopped
_ANSWER: Final = 32
_MOST_IDLE: Final = 8  # posts that wait for a program; they take little but two processes each
_NEVER: Final = (errno.ENOSYS, errno.EPERM, errno.EINVAL)  # of a kernel that makes no copies
_LIMITS: Final = tuple(getattr(resource, name) for name in dir(resource) if name[:7] == "RLIMIT_")
# Of what a process inherits, in its status: accounts, rights, processors, and what its files are made without.
_INHERITED: Final = (b"Umask", b"Uid", b"Gid", b"Groups", b"Cap", b"NoNew", b"Seccomp", b"Cpus")


@final
class Post:
    """A guard and a control group, for one program after the other: `with post:` for each.

    Between two programs the process for the next one waits, in its group and with its rules made.

    Args:
        guards: where its guard is from.
        resources: the limits of its group.
    """

    def __init__(self, guards: "Guards", resources: Resources) -> None:
        self.limits = limits_of(resources)
        self.original: object = None  # of its guard
        self._guards = guards
        self._kept = KeptGroup(resources)
        self._prepared = b""
        self._waiting: Guarded | None = None  # for the next program
        self._guard: Guard | None = None  # that guards nobody

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Have it wait for another program, if it can."""
        guard, self._guard = self._guard, None
        serves = False
        with suppress(OSError):  # without a descriptor left, say
            serves = guard is not None and self._serves_again()
        with suppress(OSError):
            if guard is not None and serves:
                self._waiting = _told(guard, self._prepared, self._take_back)
            elif guard is not None:
                guard.leave()
        if self._waiting is None or not self._guards.keep(self):
            self.close()

    @property
    def waits(self) -> bool:
        """Whether the process for the next program is there."""
        return self._waiting is not None

    def group(self) -> Shared | None:
        """Its control group as that of the next program."""
        kept = self._kept.group
        return None if kept is None else Shared(kept, kept.usage())

    def ready(self, prepared: bytes) -> Guarded | None:
        """A guard that waits to begin, a child of this process; None where it has to be started another way.

        Args:
            prepared: what it is to have ready (`guarded.Specification.prepared`).
        """
        found, self._waiting, self._prepared = self._waiting, None, prepared
        if found is not None:
            if found.prepared == prepared and found.is_ready():
                return found
            found.close()
        with suppress(OSError):
            copy = self._guards.copied()
            if copy is not None:
                guard, self.original = copy
                return _told(guard, prepared, self._take_back)
        return None

    def close(self) -> None:
        """End its guard, and with it whatever is in its group."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        self._kept.close()

    def forget(self) -> None:
        """Let go of it where it is another process's, whose fork this one is."""
        if self._waiting is not None:
            self._waiting.forget()
        self._kept.forget()

    def _serves_again(self) -> bool:
        group = self._kept.group
        return group is None or (_is_out_of_reach() and is_as_new(group))

    def _take_back(self, guard: Guard) -> None:
        self._guard = guard


@final
class Guards:
    """The process that copies itself, and the posts at which nobody is guarded; many threads may ask.

    A copy has what this process had when that one was started, so once this one has changed there is another.
    After a fork the child has none, and starts its own.
    """

    def __init__(self) -> None:
        self._original: tuple[int, socket.socket, object] | None = None
        self._idle: list[Post] = []
        self._works = True
        self.renew()
        _all.add(self)

    def renew(self) -> None:
        """Begin anew; what there was is the parent's."""
        self._lock = threading.Lock()
        for post in self._idle:
            post.forget()
        if self._original is not None:
            self._original[1].close()
        self._idle = []
        self._original = None

    def post(self, resources: Resources) -> Post | None:
        """A post for a program of these limits; None where it has to be started another way."""
        wanted = limits_of(resources)
        with suppress(OSError):  # where no descriptor or process is left, say
            with self._lock:
                if not self._works:
                    return None
                self._line()
                for at in reversed(range(len(self._idle))):
                    if self._idle[at].limits == wanted:
                        return self._idle.pop(at)
            return Post(self, resources)
        return None

    def keep(self, post: Post) -> bool:
        """Have a post wait here, if its guard still has what this process has."""
        with self._lock:
            if not self._works or post.original is not self._original:
                return False
            self._idle.append(post)
            left = self._idle.pop(0) if len(self._idle) > _MOST_IDLE else None
        if left is not None:
            left.close()
        return True

    def copied(self) -> tuple[Guard, object] | None:
        """A new guard, and what it is a copy of; None if there is none."""
        with self._lock:
            if not self._works:
                return None
            guard = self._copied(self._line())
            return None if guard is None else (guard, self._original)

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
        idle, self._idle = self._idle, []
        for post in idle:
            with suppress(
                OSError
            ):  # of who has become somebody else, whose groups it may not touch
                post.close()
        if self._original is not None:
            process, line, _ = self._original
            self._original = None
            line.close()
            send(process, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(process, 0)


_all: "weakref.WeakSet[Guards]" = weakref.WeakSet()


def _is_out_of_reach() -> bool:
    """Whether a program cannot change the group that it is in, which might be of its own account."""
    return landlock.abi() > 0 or identity.needed()


def limits_of(resources: Resources) -> tuple[float, ...]:
    """What of these a control group is made with."""
    return resources.cpu, resources.memory_mb, resources.pids


def _told(guard: Guard, prepared: bytes, keep: Callable[[Guard], None]) -> Guarded | None:
    """Have a guard get ready for a program; None if it has ended."""
    try:
        lines = Lines(prepared)
    except BaseException:
        guard.leave()
        raise
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
    return Guarded(lines, guard, keep)


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
