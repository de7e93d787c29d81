"""One version of a function that serves, as the command sees it: a process, told in letters what to do."""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, Literal, final

from kedge.cli.dev import inside
from kedge.task import Published

_CHUNK: Final = 1 << 16
_PATIENCE_S: Final = 20.0  # a grace period, and what an engine takes to remove a container

type State = Literal["loading", "waiting", "beginning", "serving", "pausing", "over"]


@final
class Version:
    """A version, whose process begins when this is made.

    Its `state` is `loading` until its function is prepared, then `waiting` until it is to serve,
    `beginning` until it answers, `serving`, `pausing` until it waits again, and `over` once it cannot serve.
    `files` are those it is made of, as far as they are known, and it serves `at` an address. It began at
    `since_ns`, nanoseconds since 1970.

    Args:
        file, name, published: as for `kedge.cli.dev.inside.live`.
        others: versions whose processes go on, of which it may hold no descriptor.
    """

    def __init__(
        self, file: str, name: str | None, published: Published, others: "Iterable[Version]"
    ) -> None:
        self.state: State = "loading"
        self.files: tuple[str, ...] = (file,)
        self.since_ns = time.time_ns()
        self.at = ""
        self.has_ended = False
        self.is_known = False  # to serve, by who reads the lines of the command
        self._late = math.inf
        self._said = b""
        orders, self._orders = os.pipe()
        self._report, report = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._process = os.fork()
        if self._process == 0:
            try:
                for one in (self, *others):
                    one.close()
                inside.live(file, name, published, orders, report)
            finally:
                os._exit(1)  # whatever it was: what called this is its parent's
        os.close(orders)
        os.close(report)
        os.set_blocking(self._report, False)

    def fileno(self) -> int:
        """Readable when it has said something, and once it has ended."""
        return self._report

    def hear(self) -> list[dict[str, Any]]:
        """What it has said since, which its `state`, `files` and `at` follow."""
        status = 0
        if not self.has_ended:
            ended, status = os.waitpid(self._process, os.WNOHANG)
            self.has_ended = ended != 0
        with suppress(BlockingIOError):
            while data := os.read(self._report, _CHUNK):
                self._said += data
        *lines, self._said = self._said.split(b"\n")
        found: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for one in found:
            self.files = tuple(one.get("paths", self.files))
            self.at = one.get("at", self.at)
            self.state = _NEXT.get((self.state, one.get("is")), self.state)
        if self.has_ended:
            if self.state != "over" and os.WIFSIGNALED(status):
                number = os.WTERMSIG(status)
                found.append({"notice": f"the process of a version was ended by signal {number}"})
            self.state = "over"
        return found

    def serve(self) -> None:
        """Have it serve, which nobody else may do at its port then."""
        self.state = "beginning"
        self._tell(inside.SERVE)

    def pause(self) -> None:
        """Have it stop, and wait until it is to serve again."""
        self.state = "pausing"
        self._tell(inside.PAUSE)

    def leave(self) -> None:
        """Have it stop and end, whatever it is at."""
        busy = self.state == "loading"
        self.state, self._late = "over", time.monotonic() + _PATIENCE_S
        if busy:  # it hears nothing but that nobody is there any more
            os.close(self._orders)
            self._orders = -1
        else:
            self._tell(inside.LEAVE)

    def is_late(self) -> bool:
        """Whether it should have ended by now."""
        return time.monotonic() > self._late

    def kill(self) -> None:
        """End it at once; what it runs ends with it."""
        if not self.has_ended:
            os.kill(self._process, signal.SIGKILL)

    def close(self) -> None:
        """Let go of its descriptors."""
        for descriptor in (self._orders, self._report):
            if descriptor >= 0:
                os.close(descriptor)

    def _tell(self, letter: bytes) -> None:
        with suppress(BrokenPipeError):  # it has ended, as will be heard
            os.write(self._orders, letter)


_NEXT: Final[dict[tuple[State, Any], State]] = {
    ("loading", inside.PREPARED): "waiting",
    ("loading", inside.FAILED): "over",
    ("beginning", inside.ANSWERS): "serving",
    ("beginning", inside.ENDED): "over",
    ("serving", inside.ENDED): "over",
    ("pausing", inside.PAUSED): "waiting",
}
