"""Work that the watch loop must not wait for, done beside it: one piece at a time, fetched later."""

import threading
from collections.abc import Callable
from typing import Final, final

# Most looks are over by then; a result at once is worth more than one a tick later.
PROMPT_S: Final = 0.002
CLOSE_S: Final = 0.5  # for the piece in hand to see that it is no longer wanted


@final
class Aside[T]:
    """A place for one piece of work at a time, each in a thread of its own that ends with it."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._results: list[T] = []
        self._error: BaseException | None = None

    def begin(self, work: Callable[[], T]) -> bool:
        """Start `work`, and give it a moment; False when another is in hand or no thread can be had."""
        if self._thread is not None:
            return False
        thread = threading.Thread(target=self._do, args=(work,), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the account may have no more threads just now
            return False
        self._thread = thread
        thread.join(PROMPT_S)
        return True

    def take(self) -> T | None:
        """The result of what was begun, once it is there and only once; raises what the work raised."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._results.pop()

    def close(self) -> bool:
        """Wait a little for the work in hand; whether none is left.

        A thread that waits for a disk cannot be ended: it goes with the process.
        """
        if self._thread is not None:
            self._thread.join(CLOSE_S)
        return self._thread is None or not self._thread.is_alive()

    def _do(self, work: Callable[[], T]) -> None:
        try:
            self._results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is fetched
            self._error = error
