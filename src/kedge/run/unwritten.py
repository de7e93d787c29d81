"""Runs of this process that are recorded a moment after they began or ended, many at once.

What runs in this process ends with it, and mostly at once. Recording each by itself, as what outlives the
process must be, would take longer than most of them do.
"""

import atexit
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Final, final

from kedge.errors import StoreError
from kedge.home import home

if TYPE_CHECKING:
    from kedge.run.entry import Run
    from kedge.run.events import EventLog

AFTER_S: Final = 0.05
_DUE: Final = 0.0  # has ended, and waited long enough
_MOST: Final = 1000  # that wait; whoever comes then records them

type Entry = tuple[Run, EventLog | None]
"""A run, and the events that are to be recorded with it once it has ended."""


@final
class Unwritten:
    """The runs that are to be recorded, by their ids: each in the home that it began in.

    Args:
        write: records some of them in a home, all or none; and does it again, should that be asked for.
    """

    _runs: dict[str, tuple[str, float, "Run", "EventLog | None"]]  # home and moment first
    _taken: dict[str, tuple[str, float, "Run", "EventLog | None"]]
    _thread: threading.Thread | None

    def __init__(self, write: Callable[[str, Sequence[Entry]], None]) -> None:
        self._write = write
        self._over = False
        self._renew()
        os.register_at_fork(after_in_child=self._renew)
        atexit.register(self._last)

    def add(self, run: "Run") -> None:
        """Take a run that has begun.

        Raises:
            StoreError: others of its home cannot be recorded; or Python is ending, and it cannot.
        """
        place = home()
        if place in self._failed or len(self._runs) >= _MOST:
            self.write_all()
        with self._lock:
            self._runs[run.id] = (place, time.monotonic(), run, None)
            if self._thread is None and not self._over:
                self._start()
        if self._over:
            try:
                self.write(run)
            except StoreError:
                with self._lock:
                    del self._runs[run.id]  # it has not begun
                raise
        if not self._some.is_set():
            self._some.set()

    def change(self, run: "Run") -> bool:
        """Take what became of a run that goes on; False where it is recorded already, or has ended."""
        return self._changed(run, None, None)

    def end(self, run: "Run", events: "EventLog | None") -> bool:
        """Take the end of a run; False where it is recorded already, or had ended.

        Raises:
            StoreError: Python is ending, and it cannot be recorded.
        """
        waits = self._changed(run, _DUE, events)
        if waits and self._over:
            self.write(run)
        return waits

    def write(self, run: "Run") -> None:
        """Record a run now, if that is still to be done.

        Raises:
            StoreError: it cannot be.
        """
        with self._writing:
            self._write_to(run.id)

    def write_all(self) -> None:
        """Record all of this home, for somebody who looks; and of others what can be.

        Raises:
            StoreError: they cannot be.
        """
        with self._writing:
            here = home()
            for place, last in self._lasts().items():
                with nullcontext() if place == here else suppress(StoreError):
                    self._write_to(last)

    def _changed(self, run: "Run", since: float | None, events: "EventLog | None") -> bool:
        while True:
            with self._lock:
                if (held := self._runs.get(run.id)) is not None:
                    place, began, known, _ = held
                    if known.ended_yet:
                        return False
                    moment = began if since is None else since
                    self._runs[run.id] = (place, moment, run, events)
                    return True
                if run.id not in self._taken:
                    return False
            with self._writing:  # it is being recorded as it was
                pass

    def _lasts(self, until: float = math.inf) -> dict[str, str]:
        """The last run of each home that began, or has ended, by then."""
        with self._lock:
            return {place: id for id, (place, since, *_) in self._runs.items() if since <= until}

    def _write_to(self, last: str) -> None:
        """Record a run and all that began before it there: their order in the store is that of their beginnings.

        Whoever asks is the one who writes; meanwhile runs begin and end.
        """
        with self._lock:
            if last not in self._runs:
                return
            place = self._runs[last][0]
            ids = [*self._runs]
            ids = [id for id in ids[: ids.index(last) + 1] if self._runs[id][0] == place]
            taken = {id: self._runs[id] for id in ids}
            self._taken = taken
            self._runs = {id: held for id, held in self._runs.items() if id not in taken}
        try:
            self._write(place, [held[2:] for held in taken.values()])
            self._failed.discard(place)
            taken = {}
        except StoreError:
            self._failed.add(place)
            raise
        finally:  # also after Ctrl-C, which may come at any moment
            with self._lock:
                self._runs = taken | self._runs
                self._taken = {}

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name="kedge-record", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there can be no more of them, or Python is ending: each by itself
            self._over = True
        else:
            self._thread = thread

    def _serve(self) -> None:
        while self._some.wait():
            time.sleep(AFTER_S)
            with self._writing:
                for last in self._lasts(time.monotonic() - AFTER_S).values():
                    with suppress(StoreError):  # the next to come tries again, and is told
                        self._write_to(last)
            with self._lock:
                if not self._runs:
                    self._some.clear()

    def _last(self) -> None:
        """Record what is there, and from now on each by itself."""
        self._over = True
        try:
            self.write_all()
        except StoreError as error:
            print(f"the last runs of this process are not on record: {error}", file=sys.stderr)

    def _renew(self) -> None:
        """Begin with none: after a fork they are the parent's."""
        self._lock = threading.Lock()  # of what is here
        self._writing = threading.Lock()  # of who records, and taken before the other
        self._taken = {}  # those that are being recorded
        self._some = threading.Event()
        self._runs = {}
        self._thread = None
        self._failed: set[str] = set()  # homes
