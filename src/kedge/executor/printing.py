"""What code of this process prints: it goes to the run that prints, and what others print where it went."""

import io
import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kedge.executor.job import Stream

_STREAMS: Final = ("stdout", "stderr")


class Printing:
    """A block in which what this context prints goes to `output`; what others print goes where it went.

    One thread at a time prints, and none any more once the run has ended: one may outlive it.
    """

    def __init__(self, output: Callable[["Stream", bytes], None]) -> None:
        self._output: Callable[[Stream, bytes], None] | None = output
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        global _going
        with _lock:
            for name in _STREAMS:  # each time: somebody may have redirected them since, or back
                before = getattr(sys, name)
                if not isinstance(before, _Printed):
                    if name not in _last or _last[name].before is not before:
                        _last[name] = _Printed(name, before)
                    setattr(sys, name, _last[name])
            _going += 1
        self._token = _current.set(self)

    def __exit__(self, *_: object) -> None:
        global _going
        _current.reset(self._token)
        with self._lock:
            self._output = None
        with _lock:
            _going -= 1
            for name in () if _going else _STREAMS:
                stream = getattr(sys, name)
                if isinstance(stream, _Printed):  # else somebody else has put one there
                    setattr(sys, name, stream.before)

    def take(self, stream: "Stream", data: bytes) -> bool:
        """Take what was printed, unless the run has ended."""
        with self._lock:
            if self._output is None:
                return False
            self._output(stream, data)
            return True


_current: ContextVar[Printing | None] = ContextVar("current", default=None)
_lock = threading.Lock()
_going = 0
_last: "dict[str, _Printed]" = {}  # what stood in their places: mostly it can again


def _renew() -> None:
    global _lock
    _lock = threading.Lock()  # after a fork: whoever held it is not there


os.register_at_fork(after_in_child=_renew)


class _Printed(io.TextIOBase):
    """A stream that goes to whoever prints; for all others it is what was there before."""

    def __init__(self, name: "Stream", before: Any) -> None:
        self.before = before
        self.name_in_log: Stream = name

    @property
    def buffer(self) -> Any:
        """Where bytes go: to whoever prints too. Whoever is not of a run has what was there before."""
        return self.before.buffer if _current.get() is None else _PrintedBytes(self)

    @property
    def encoding(self) -> Any:  # type: ignore[override]
        """As before."""
        return getattr(self.before, "encoding", None)

    @property
    def errors(self) -> Any:  # type: ignore[override]
        """As before."""
        return getattr(self.before, "errors", None)

    def write(self, text: str) -> int:
        """Write it where this context's go."""
        if not isinstance(text, str):  # what is tried with bytes first counts on this error
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        current = _current.get()
        if current and current.take(self.name_in_log, text.encode("utf-8", "backslashreplace")):
            return len(text)
        return 0 if self.before is None else int(self.before.write(text))

    def writable(self) -> bool:
        """Always."""
        return True

    def flush(self) -> None:
        """Nothing waits here."""
        if self.before is not None:
            self.before.flush()

    def isatty(self) -> bool:
        """A run's log is no terminal."""
        return _current.get() is None and self.before is not None and bool(self.before.isatty())

    def fileno(self) -> int:
        """The process's own, for whoever starts a program."""
        return super().fileno() if self.before is None else int(self.before.fileno())

    def close(self) -> None:
        """What was there before is not this one's to close."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)


class _PrintedBytes(io.BufferedIOBase):
    """What a stream's bytes go through: where its texts go, and in their order."""

    def __init__(self, texts: _Printed) -> None:
        self._texts = texts

    def write(self, data: Any) -> int:
        """Write them where this context's go."""
        taken = memoryview(data).tobytes()
        current = _current.get()
        if current is None or not current.take(self._texts.name_in_log, taken):
            self._texts.before.buffer.write(taken)
        return len(taken)

    def writable(self) -> bool:
        """Always."""
        return True

    def flush(self) -> None:
        """Nothing waits here."""
        self._texts.flush()

    def isatty(self) -> bool:
        """As the texts'."""
        return self._texts.isatty()

    def fileno(self) -> int:
        """As the texts'."""
        return self._texts.fileno()

    def close(self) -> None:
        """What wraps this one closes it with itself, and others print on."""
