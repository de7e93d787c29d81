"""Runs of this process that are recorded a moment after they began or ended, many at once.

What runs in this process ends with it, and mostly at once. Recording each by itself, as what outlives the
process must be, would take longer than most of them do.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from kedge.errors import StoreError

if TYPE_CHECKING:
    from kedge.run.events import EventLog
    from kedge.run.record import Run

AFTER_S: Final = 0.05
_MOST: Final = 1000  # that wait; whoever comes then records them

type Entry = tuple[Run, EventLog | None]
"""A run, and the events that are to be recorded with it once it has ended."""


@final
class Unwritten:
    """The runs that are to be recorded, by their ids.

    Args:
        write: records some of them, all or none.
    """

    def __init__(self, write: Callable[[Sequence[Entry]], None]) -> None:
        self._write = write
        self._over = False
        self._thread: threading.Thread | None = None
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def add(self, run: "Run") -> None:
        """Take a run that has begun.

        Raises:
            StoreError: others cannot be recorded.
        """
        if self._failed or self._over or len(self._runs) >= _MOST:
            self.write_all()
        with self._lock:
            self._runs[run.id] = (run, None)
            self._since[run.id] = time.monotonic()
            if self._thread is None:
                self._start()
        if not self._some.is_set():
            self._some.set()

    def change(self, run: "Run") -> bool:
        """Take what became of a run that goes on; False where it is recorded already."""
        with self._lock:
            if run.id not in self._runs:
                return False
            self._runs[run.id] = (run, None)
            return True

    def end(self, run: "Run", events: "EventLog | None") -> bool:
        """Take the end of a run; False where it is recorded already.

        Raises:
            StoreError: Python is ending, and it cannot be recorded.
        """
        with self._lock:
            if run.id not in self._runs:
                return False
            self._runs[run.id] = (run, events)
            self._since[run.id] = 0.0  # is due
            if self._over:
                self._write_to(run.id)
            return True

    def write(self, run: "Run") -> None:
        """Record a run now, if that is still to be done.

        Raises:
            StoreError: it cannot be.
        """
        with self._lock:
            if run.id in self._runs:
                self._write_to(run.id)

    def write_all(self) -> None:
        """Record all of them, for somebody who looks.

        Raises:
            StoreError: they cannot be.
        """
        with self._lock:
            if self._runs:
                self._write_to(next(reversed(self._runs)))

    def _write_to(self, last: str) -> None:
        """Record a run and all that began before it, so that their order in the store is that of their beginnings."""
        ids = [*self._runs]
        ids = ids[: ids.index(last) + 1]
        self._failed = True
        self._write([self._runs[id] for id in ids])
        self._failed = False
        for id in ids:
            del self._runs[id], self._since[id]

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name="kedge-record", daemon=True)
        with suppress(RuntimeError):  # Python starts none once it is ending
            thread.start()
            self._thread = thread
            atexit.register(self._last)

    def _serve(self) -> None:
        while self._some.wait():
            time.sleep(AFTER_S)
            with self._lock, suppress(StoreError):  # the next to come tries again, and is told
                until = time.monotonic() - AFTER_S
                if due := [id for id, since in self._since.items() if since <= until]:
                    self._write_to(due[-1])
                if not self._runs:
                    self._some.clear()

    def _last(self) -> None:
        """Record what is there, and from now on each by itself."""
        self._over = True
        self.write_all()

    def _renew(self) -> None:
        """Begin with none: after a fork they are the parent's."""
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._runs: dict[str, Entry] = {}
        self._since: dict[str, float] = {}
        self._thread = None
        self._failed = False
