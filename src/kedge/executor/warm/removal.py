"""Folders that go while their owner does something else: put aside at once, removed by a thread."""

import os
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, final

from kedge import home
from kedge.contract.ownership import remove
from kedge.data import Data
from kedge.environment import folders
from kedge.errors import KedgeError
from kedge.executor.disk import is_full

_MOST: Final = 16  # folders that wait; whoever has more of them removes them
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
        self._waiting: SimpleQueue[str | None] = SimpleQueue()

    def remove(self, path: str) -> None:
        """Have a folder gone from its place, with all that is in it; nothing if there is none.

        Raises:
            OSError: it cannot be removed.
        """
        if os.getpid() == self._process and self._waiting.qsize() < _MOST and not is_full(path):
            # Else it is on another disk, there is no room or no thread to be had, or it was closed.
            with suppress(OSError, KedgeError, RuntimeError):
                place = os.path.join(self._folder(), os.urandom(8).hex())
                os.rename(path, place)
                self._waiting.put(place)
                return
        remove(path)

    def close(self) -> None:
        """Wait until all that was given is removed; what comes afterwards is removed at once."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._process = _NONE
            aside, self._aside = self._aside, None
        if aside is not None:
            self._waiting.put(None)
            aside.thread.join()
            folders.remove(aside.path)
            os.close(aside.claim)

    def _folder(self) -> str:
        """Where things are put aside, with a thread that removes them."""
        with self._lock:
            if self._process == _NONE:
                raise FileNotFoundError
            if self._aside is None:
                path, claim = folders.claimed(home.folder(folders.TEMPORARIES))
                thread = threading.Thread(
                    target=_work, args=(self._waiting,), name="kedge-removal", daemon=True
                )
                try:
                    thread.start()
                except BaseException:
                    folders.remove(path)
                    os.close(claim)
                    raise
                self._aside = _Aside(path, claim, thread)
            return self._aside.path


class _Aside(Data):
    """A folder, the descriptor that owns it, the thread that empties it."""

    path: str
    claim: int
    thread: threading.Thread


def _work(waiting: "SimpleQueue[str | None]") -> None:
    while (path := waiting.get()) is not None:
        folders.remove(path)  # what cannot go now goes at the end, or with a sweep
