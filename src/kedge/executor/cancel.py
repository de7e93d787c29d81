"""A request to stop, that a signal handler, a thread, another loop or another process can make."""

import fcntl
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, final

ASK: Final = b"t"  # the letters that a listening run understands
KILL: Final = b"k"


_making = threading.Lock()  # of pipes; no handler of signals makes one


def _renew() -> None:
    global _making
    _making = threading.Lock()  # after a fork: whoever held it is not there


os.register_at_fork(after_in_child=_renew)


class Stopped(BaseException):
    """Raised inside `Cancel.interrupting` where a stop was asked for: no handler of errors takes it."""


@final
class Cancel:
    """One run's request to stop: made once, perhaps made again with force.

        cancel = Cancel()
        signal.signal(signal.SIGINT, lambda *_: cancel.request(force=cancel.requested))

    `fileno()` is readable from the first request on and stays so; `forced_fileno()` the same once force
    was asked for. Nothing needs to be read from either. While `unheard`, what goes on is code that nothing
    can stop.

    Args:
        parent: whose requests are this one's too.
        by_signal: whether SIGIO comes when another process has written to where this one listens; the
            process has a handler for it, which calls `look`.
    """

    __slots__ = (
        *("__weakref__", "_asked", "_by_signal", "_children", "_control", "_forced"),
        *("_held", "_interrupted", "abandoned", "forced", "requested", "unheard"),
    )

    def __init__(self, parent: "Cancel | None" = None, *, by_signal: bool = False) -> None:
        self._asked: tuple[int, int] | None = None
        self._forced: tuple[int, int] | None = None
        self._control: tuple[str, int] | None = None
        self._by_signal = by_signal
        self._children: weakref.WeakSet[Cancel] | None = None
        self._interrupted: int | None = None
        self._held = False
        self.requested = False
        self.forced = False
        self.abandoned = False
        self.unheard = False
        if parent is not None:
            if parent._children is None:
                parent._children = weakref.WeakSet()
            parent._children.add(self)
            if parent.requested:
                self.request(force=parent.forced, abandoned=parent.abandoned)

    def request(self, force: bool = False, *, abandoned: bool = False) -> None:
        """Ask for the run to stop.

        Args:
            force: without the grace period.
            abandoned: because whoever wanted its result is gone.
        """
        self.abandoned |= abandoned
        if not self.requested:
            self.requested = True
            _say(self._asked)
        if force and not self.forced:
            self.forced = True
            _say(self._forced)
        for child in self._living_children():
            child.request(force, abandoned=abandoned)
        self._interrupt()

    def fileno(self) -> int:
        """A descriptor that is readable once a stop was asked for."""
        with _making:
            if self._asked is None:
                self._asked = os.pipe()
                if self.requested:  # before anybody looked, or since: a second letter does no harm
                    _say(self._asked)
            return self._asked[0]

    def forced_fileno(self) -> int:
        """A descriptor that is readable once a stop with force was asked for."""
        with _making:
            if self._forced is None:
                self._forced = os.pipe()
                if self.forced:
                    _say(self._forced)
            return self._forced[0]

    def listen(self, path: str) -> None:
        """Take requests from other processes too, by a named pipe at `path` (see `ask_from_outside`).

        Only its owner may write to it. On a file system that has no pipes there is none.
        """
        self.deafen()
        with suppress(OSError):
            os.mkfifo(path, 0o600)
            # For writing as well: a pipe without a writer would be at its end, over and over.
            control = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._control = (path, control)
            if self._by_signal:
                tell_by_signal(control)

    def deafen(self) -> None:
        """End what `listen` began."""
        if self._control is not None:
            path, control = self._control
            self._control = None
            os.close(control)
            with suppress(OSError):
                os.unlink(path)

    def control_fileno(self) -> int | None:
        """A descriptor that is readable when another process wants something; then call `look`."""
        return self._control[1] if self._control is not None else None

    def look(self) -> None:
        """Read what other processes asked for, and make it one's own request."""
        if self._control is None:
            return
        try:
            letters = os.read(self._control[1], 64)
        except BlockingIOError:
            return
        if letters:
            self.request(force=KILL in letters)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """A block that a request, made in this thread by a signal's handler, ends at once.

        Raises:
            Stopped: a stop was asked for, in the block or before it.
        """
        if self.requested:
            raise Stopped
        self._interrupted = threading.get_ident()
        try:
            yield
        finally:
            self._interrupted = None
        if self.requested:
            raise Stopped

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Within `interrupting`, a block that is not ended half-way: a request ends it when it is done."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.requested:
            self._interrupt()

    def _interrupt(self) -> None:
        if self._interrupted == threading.get_ident() and not self._held:
            self._interrupted = None  # once: what tidies up after it is left in peace
            raise Stopped

    def _living_children(self) -> "tuple[Cancel, ...]":
        while True:
            try:
                return () if self._children is None else tuple(self._children)
            except RuntimeError:  # another thread made one meanwhile
                continue

    def __del__(self) -> None:
        if getattr(self, "_control", None) is not None:
            self.deafen()
        for pipe in (getattr(self, "_asked", None), getattr(self, "_forced", None)):
            for descriptor in pipe or ():
                os.close(descriptor)


def _say(pipe: tuple[int, int] | None) -> None:
    if pipe is not None:
        os.write(pipe[1], b"1")


def tell_by_signal(descriptor: int) -> None:
    """Have this process get SIGIO whenever there is something to read from `descriptor`, or its end."""
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)


def ask_from_outside(path: str, *, force: bool = False) -> bool:
    """Ask the run that listens at `path` to stop; False when nobody listens there."""
    try:
        control = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # ENXIO: nobody has it open; ENOENT: it is gone
        return False
    try:
        os.write(control, KILL if force else ASK)
    except OSError:
        return False
    finally:
        os.close(control)
    return True
