"""What a generator yields in its runtime, one item after the other while it goes on.

Each is a file in the run's workspace, which goes as it is taken; the generator waits when too many are there.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, final

from kedge.client.decorated.answers import Reading
from kedge.client.handle import Run
from kedge.contract import pickled
from kedge.contract.hostile import RefusedError, open_folder
from kedge.errors import UsageError
from kedge.run import record

_POLL_S: Final = 0.003  # seconds between two looks for the next item


@final
class Items(Iterator[Any]):
    """The items of one run. It is cancelled when nobody wants more of them, by `close` or by the last reference.

    Args:
        run: that goes on.
        reading: how its answer is read.
    """

    def __init__(self, run: Run, reading: Reading) -> None:
        self._run = run
        self._reading = reading
        self._taken = 0
        self._folder: int | None = None
        self._over = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """The next item.

        Raises:
            StopIteration: there is none any more.
            Exception: what the generator raised, after the items before that.
        """
        if self._over:
            raise StopIteration
        try:
            while True:
                ended = self._run.done()
                found = self._next()
                if found is not None:
                    return found[0]
                if ended:
                    break
                time.sleep(_POLL_S)
        except BaseException:
            self.close()
            raise
        self._let_go()
        self._run.wait_or_cancel()
        raise StopIteration

    def close(self) -> None:
        """Want no more: the run is cancelled, and waited for."""
        if not self._over:
            self._let_go()
            self._run.cancel()
            with suppress(Exception):
                self._run.result()

    def __enter__(self) -> "Items":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._over:
            self._let_go()
            with suppress(UsageError):  # in a forked child, whose parent still wants them
                self._run.cancel()

    def _next(self) -> tuple[Any] | None:
        """The next item if it is there."""
        folder = self._place()
        if folder is None:
            return None
        name = pickled.item_name(self._taken)
        try:
            value = self._reading.item(f"/proc/self/fd/{folder}/{name}")
        except FileNotFoundError:
            return None
        os.unlink(name, dir_fd=folder)
        self._taken += 1
        return (value,)

    def _place(self) -> int | None:
        """The folder of the items, open: it stays the same one when the run's outputs are moved."""
        if self._folder is None and (run := self._run.id) is not None:
            folder = os.path.join(record.get(run).folder, "workspace")
            with suppress(RefusedError, OSError):
                opened: list[int] = []
                try:
                    opened.append(open_folder(folder, None))
                    for name in ("out", "files", pickled.ITEMS):
                        opened.append(open_folder(name, opened[-1]))
                    self._folder = opened.pop()
                finally:
                    for descriptor in opened:
                        os.close(descriptor)
        return self._folder

    def _let_go(self) -> None:
        self._over = True
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
