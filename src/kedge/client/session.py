"""What an open package holds: threads, what is kept warm, the runs that go on."""

import atexit
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

from kedge import settings
from kedge.client.threads import Threads, closed
from kedge.executor import Cancel
from kedge.package.machine import this_machine

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool

# As many as Python's own ThreadPoolExecutor has: who submits a thousand runs wants them all, not all at once.
_MORE_THAN_CPUS: Final = 4
_MOST_IN_BACKGROUND: Final = 32
_MEMORY_EACH_MB: Final = 64  # of Kedge's own and of the smallest program
# Asynchronous calls: mostly stamps are looked at, or all wait for the one that prepares.
_MOST_PREPARING: Final = 4
_LOOK_S: Final = 0.05  # how soon it is seen that a run has come to what cannot be stopped


@final
class Session:
    """Everything of an open package that has to end; it must not refer to what refers to it.

    After a fork the child has one that is empty: threads, keeper and runs are its parent's.
    """

    def __init__(self) -> None:
        self._warm: bool = settings.get("warm")
        self._closed = False  # what was closed before a fork is closed in the child too
        self.renew()
        _open.add(self)

    def renew(self) -> None:
        """Begin anew, and leave what was there to whom it belongs."""
        self.preparing = threading.Lock()
        self._changed = threading.Condition()
        self._going: set[Cancel] = set()
        # Of calls and maps; as many as somebody waits for, in a thread or a loop.
        self.calls = Threads()
        self.making = Threads(_MOST_PREPARING)
        self.background = Threads(_at_once())
        self._tasks: list[Threads] = []
        self._pool = _pool() if self._warm else None

    def tasks(self, depth: int) -> Threads:
        """The threads of awaited tasks, as many at once as this machine can do with.

        Args:
            depth: of how many runs the code that asks is part. Those of each depth have threads of their own:
                were they to wait for a free one of those that wait for them, none would ever be.
        """
        with self._changed:
            while len(self._tasks) <= depth:
                self._tasks.append(Threads(_at_once()))
            return self._tasks[depth]

    def check_open(self) -> None:
        """Refuse to begin anything after the end.

        Raises:
            Closed: it was closed.
        """
        if self._closed:
            raise closed()

    @contextmanager
    def during(self, cancel: Cancel) -> Iterator["Pool | None"]:
        """A block that runs something which `cancel` can stop: gives what is kept warm for it.

        Raises:
            Closed: it was closed.
        """
        with self._changed:
            self.check_open()
            self._going.add(cancel)
        try:
            yield self._pool
        finally:
            with self._changed:
                self._going.discard(cancel)
                if self._closed:
                    self._changed.notify_all()

    def close(self) -> None:
        """Stop the runs that go on, with their grace periods, and end all that was kept.

        What nothing can stop is not waited for: whoever calls it does, or it ends with the process.
        An interruption meanwhile (Ctrl-C) stops them at once.
        """
        self._closed = True
        try:
            try:
                self._stop(force=False)
            except BaseException:
                self._stop(force=True)
                raise
        finally:
            self.making.shutdown()
            self.calls.shutdown()
            self.background.shutdown()
            for threads in self._tasks:
                threads.shutdown()
            if self._pool is not None:
                self._pool.close()

    def _stop(self, *, force: bool) -> None:
        with self._changed:
            for cancel in self._going:
                cancel.request(force=force)
            while not all(cancel.unheard for cancel in self._going):
                self._changed.wait(_LOOK_S)


def _at_once() -> int:
    """How many runs go on at once of those that nobody's thread waits for."""
    machine = this_machine()
    by_memory = machine.memory_mb // _MEMORY_EACH_MB
    return max(1, min(_MOST_IN_BACKGROUND, int(machine.cpu) + _MORE_THAN_CPUS, by_memory))


def _pool() -> "Pool":
    from kedge.executor.warm.pool import Pool

    return Pool()


_open: "weakref.WeakSet[Session]" = weakref.WeakSet()


def _renew_all() -> None:
    global _making
    _making = threading.Lock()  # whoever held it is not there
    for session in _open:
        session.renew()


os.register_at_fork(after_in_child=_renew_all)


@lru_cache(1)
def _session() -> Session:
    made = Session()
    atexit.register(made.close)
    return made


_making = threading.Lock()


def session() -> Session:
    """The one of this process: of the runs of all decorated functions and of tasks, closed when it ends."""
    with _making:
        return _session()
