"""Which version serves: the newest that can, and the last good one until that is known."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, final

from kedge.cli.dev.version import Version
from kedge.cli.dev.watching import Watched
from kedge.cli.report import say
from kedge.cli.text import indented
from kedge.task import Published

_LOOK_S: Final = 0.3  # between two looks at the files
_SHARE: Final = 10  # times as long as a look took, if that is more: folders may hold many
_SETTLE_S: Final = 0.1  # without another change: an editor may still be writing
_CLOCK_NS: Final = 20_000_000  # the kernel's clock for files is behind by so much at most
_WAIT_S: Final = 0.1  # between two looks at processes that are to end
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@final
class Reload:
    """Serves a function until it is interrupted. A new version takes over once it is prepared.

    Args:
        file, name, published: as for `kedge.cli.dev.inside.live`.
    """

    def __init__(self, file: str, name: str | None, published: Published) -> None:
        self._what = file, name, published
        self._good: Version | None = None  # the one that answered last, or is about to
        self._new: Version | None = None  # the one that is to take its place
        self._leaving: list[Version] = []
        self._changed: list[str] = []
        self._told: set[str] = set()  # notices: those of every version are the same, nearly always
        self._serves = False  # whether any has
        self._asked = 0  # to stop

    def run(self) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP; the second one does not wait for a grace period."""
        with self._interruptible() as woken:
            try:
                self._begin()
                while not self._asked:
                    self._hear(woken, self._next_look - time.monotonic())
                    self._advance()
                    if time.monotonic() >= self._next_look:
                        self._look()
            finally:
                for version in (self._good, self._new):
                    self._dismiss(version)
                self._good = self._new = None
                while self._leaving:
                    self._hear(woken, _WAIT_S)

    @contextmanager
    def _interruptible(self) -> Iterator[int]:
        """A block in which requests to stop are counted; gives what is readable when one comes."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        before = {
            number: signal.signal(number, self._ask)
            for number in _STOPPING
            if signal.getsignal(number) is not signal.SIG_IGN  # as under nohup
        }
        signal.set_wakeup_fd(wake)
        try:
            yield woken
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(woken)
            os.close(wake)

    def _ask(self, *_: object) -> None:
        self._asked += 1

    def _begin(self) -> None:
        """Begin a new version, in the place of one that is still new unless that is all there is."""
        if self._good is None and self._new is not None and self._new.state == "beginning":
            self._good = self._new
        else:
            self._dismiss(self._new)
        self._new = None
        self._new = Version(*self._what, self._all())
        self._watch()

    def _dismiss(self, version: Version | None) -> None:
        if version is not None:
            version.leave()
            self._leaving.append(version)

    def _all(self) -> list[Version]:
        return [one for one in (self._good, self._new, *self._leaving) if one is not None]

    def _hear(self, woken: int, seconds: float) -> None:
        """Hear what versions have to say, and wait for that if need be."""
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        for version in self._all():
            poll.register(version, select.POLLIN)
        if any(descriptor == woken for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)):
            os.read(woken, 64)
        for version in self._all():
            for said in version.hear():
                self._show(version, said)
        for version in tuple(self._leaving):
            if version.has_ended:
                self._leaving.remove(version)
                version.close()
            elif version.is_late() or self._asked > 1:
                version.kill()

    def _show(self, version: Version, said: dict[str, Any]) -> None:
        if "step" in said and version is self._new:
            say(f"preparing: {indented(said['step'])}")
        notice = said.get("notice")
        if notice is not None and notice not in self._told:
            self._told.add(notice)
            say(f"warning: {indented(notice)}")
        if "paths" in said and version is self._new:
            self._watch()

    def _advance(self) -> None:
        """Take the steps that are due, now that everybody's state is known."""
        if self._good is not None and self._good.state == "over":
            self._dismiss(self._good)
            self._good = None
            say("what was served has ended")
        if self._new is not None and self._new.state == "over":
            self._dismiss(self._new)
            self._new = None
            serves = self._good is not None
            say(
                f"{'the last good version' if serves else 'nothing'} is served until a file changes"
            )
        if self._new is not None and self._new.state == "serving":
            self._dismiss(self._good)
            self._good, self._new = self._new, None
        if self._good is not None and self._good.state == "serving" and not self._good.is_known:
            say(f"serving {'the new version ' if self._serves else ''}at {self._good.at}")
            self._serves = self._good.is_known = True
        self._hand_over()

    def _hand_over(self) -> None:
        """Have the one serve that is to, once nobody else has the port."""
        good, new = self._good, self._new
        takes_over = new is not None and new.state == "waiting"
        if good is not None and takes_over and good.state in ("beginning", "serving"):
            good.pause()
        if self._leaving or (good is not None and good.state != "waiting"):
            return
        if new is not None and takes_over:
            new.serve()
        elif good is not None and (new is None or new.state == "loading"):
            good.serve()

    def _watch(self) -> None:
        """Look at the files of the new version from now on, and at those of what serves."""
        assert self._new is not None
        files = [file for one in (self._new, self._good) if one is not None for file in one.files]
        self._watched = Watched(files, self._new.since_ns - _CLOCK_NS)
        self._next_look = time.monotonic() + _LOOK_S

    def _look(self) -> None:
        """Look at the files, and begin a new version once they have changed and are left alone."""
        began = time.monotonic()
        changed = self._watched.changed()
        took = time.monotonic() - began
        self._next_look = began + max(_SETTLE_S if changed else _LOOK_S, _SHARE * took)
        self._changed += changed
        if self._changed and not changed:
            first, *more = [_short(path) for path in dict.fromkeys(self._changed)]
            self._changed = []
            say(f"{first}{f' and {len(more)} more' if more else ''} changed")
            self._begin()


def _short(path: str) -> str:
    """A path as a person would write it here."""
    shown = os.path.relpath(path)
    return path if shown.startswith("..") else shown
