"""A request to stop, that a signal handler, a thread or another loop can make."""

import os
from typing import final


@final
class Cancel:
    """One run's request to stop: made once, perhaps made again with force.

        cancel = Cancel()
        signal.signal(signal.SIGINT, lambda *_: cancel.request(force=cancel.requested))

    `fileno()` is readable from the first request on and stays so; `forced_fileno()` the same once force
    was asked for. Nothing needs to be read from either.
    """

    __slots__ = ("_asked", "_forced", "forced", "requested")

    def __init__(self) -> None:
        self._asked = os.pipe()
        self._forced = os.pipe()
        self.requested = False
        self.forced = False

    def request(self, force: bool = False) -> None:
        """Ask for the run to stop; with `force`, without the grace period."""
        if not self.requested:
            self.requested = True
            os.write(self._asked[1], b"1")
        if force and not self.forced:
            self.forced = True
            os.write(self._forced[1], b"1")

    def fileno(self) -> int:
        """A descriptor that is readable once a stop was asked for."""
        return self._asked[0]

    def forced_fileno(self) -> int:
        """A descriptor that is readable once a stop with force was asked for."""
        return self._forced[0]

    def __del__(self) -> None:
        for descriptor in (*getattr(self, "_asked", ()), *getattr(self, "_forced", ())):
            os.close(descriptor)
