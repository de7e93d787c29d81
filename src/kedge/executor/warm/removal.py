"""Folders that go while their owner does something else: put aside at once, removed by a thread."""

import os
import threading
from collections import deque
from contextlib import suppress
from typing import Final, final

from kedge import home
from kedge.contract.ownership import remove
from kedge.data import Data
from kedge.environment import folders
from kedge.errors import KedgeError
from kedge.executor.disk import is_full

_MOST: Final = 16  # folders that wait; whoever has more of them removes them
_LATER_S: Final = 0.05  # after which they are removed whatever their owner does
_ROUNDS: Final = 20  # of those, after which nobody looks until there is something
_NONE: Final = 0  # in place of a process


@final
class Removal:
    """Removes folders. When it is closed nothing of them is left; after a kill `folders.sweep` finds the rest.

    Many threads may use one; in a fork it removes what it is given itself.

        removal = Removal()
        removal.remove(path)  # nothing is there any more
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._aside: _Aside | None = None
        self._waiting: deque[str] = deque()

    def remove(self, path: str) -> None:
        """Have a folder gone from its place, with all that is in it; nothing if there is none.

        Raises:
            OSError: it cannot be removed.
        """
        if os.getpid() == self._process and len(self._waiting) < _MOST and not is_full(path):
            # Else it is on another disk, there is no room or no thread to be had, or it was closed.
            with suppress(OSError, KedgeError, RuntimeError):
                aside = self._put_aside()
                place = os.path.join(aside.path, os.urandom(8).hex())
                os.rename(path, place)
                self._waiting.append(place)
                aside.thread.told()
                return
        remove(path)

    def go_on(self) -> None:
        """Remove now what waits: whoever asks has nothing else to do for a moment.

        Else it would be removed while its owner is busy, and two threads of Python get in each other's way.
        """
        if self._waiting and os.getpid() == self._process and (aside := self._aside) is not None:
            aside.thread.go_on()

    def close(self) -> None:
        """Wait until all that was given is removed; what comes afterwards is removed at once."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._process = _NONE
            aside, self._aside = self._aside, None
        if aside is not None:
            aside.thread.end()
            folders.remove(aside.path)
            os.close(aside.claim)

    def _put_aside(self) -> "_Aside":
        """Where things are put aside, with a thread that removes them."""
        with self._lock:
            if self._process == _NONE:
                raise FileNotFoundError
            if self._aside is None:
                path, claim = folders.claimed(home.folder(folders.TEMPORARIES))
                thread = _Thread(self._waiting)
                try:
                    thread.start()
                except BaseException:
                    folders.remove(path)
                    os.close(claim)
                    raise
                self._aside = _Aside(path, claim, thread)
            return self._aside


class _Aside(Data):
    """A folder, the descriptor that owns it, the thread that empties it."""

    path: str
    claim: int
    thread: "_Thread"


@final
class _Thread(threading.Thread):
    """Removes what waits when it is told to, or a moment later."""

    def __init__(self, waiting: deque[str]) -> None:
        super().__init__(name="kedge-removal", daemon=True)
        self._waiting = waiting
        self._now = threading.Event()
        self._sleeps = False
        self._over = False

    def told(self) -> None:
        """Something waits."""
        if self._sleeps:
            self._now.set()

    def go_on(self) -> None:
        """Remove it now."""
        self._now.set()

    def end(self) -> None:
        """Wait until all is removed."""
        self._over = True
        self._now.set()
        self.join()

    def run(self) -> None:
        """Until it is told to end, or Python does."""
        rounds = 0
        while not self._over:
            self._sleeps = rounds > _ROUNDS
            self._now.wait(None if self._sleeps and not self._waiting else _LATER_S)
            self._now.clear()
            rounds = 0 if self._waiting else rounds + 1
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while self._waiting:
            folders.remove(
                self._waiting.popleft()
            )  # what cannot go now goes at the end, or with a sweep
