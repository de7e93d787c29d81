"""What a run prints appears where the caller prints, as it comes."""

import codecs
import sys
import threading
from typing import Any, Final, final

from kedge.client import notices
from kedge.data import replace
from kedge.run.core import Observer
from kedge.run.log import Stream
from kedge.task import Published

_printing: Final = threading.Lock()  # one piece is not torn by that of another thread


@final
class Printed:
    """The two streams of one run, as text: a character that comes in two pieces is one all the same."""

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {"stdout": decoder("replace"), "stderr": decoder("replace")}

    def observer(self, publish: Published | None = None) -> Observer:
        """Who prints it, and where it can be reached once it can."""
        found = replace(told(), output=self.output, ended=lambda _: self.end())
        if publish is None:
            return found
        text = f"kedge: serving at http://{publish.address} until it is interrupted\n"
        return replace(found, ready=lambda: _print("stderr", text))

    def output(self, stream: Stream, data: bytes) -> None:
        """Print a piece."""
        decoder = self._decoders.get(stream)
        if decoder is not None:
            _print(stream, decoder.decode(data))

    def end(self) -> None:
        """Print what is left of a character that never became whole."""
        for stream, decoder in self._decoders.items():
            _print(stream, decoder.decode(b"", final=True))


def told() -> Observer:
    """Who tells, on standard error and in the log, what is prepared."""
    return replace(notices.OBSERVER, step=_step)


def _step(text: str) -> None:
    notices.step(text)
    _print("stderr", f"kedge: {text}\n")


def _print(stream: str, text: str) -> None:
    target: Any = getattr(sys, stream)
    if not text or target is None:
        return
    with _printing:
        try:
            target.write(text)
        except UnicodeEncodeError:
            encoding = target.encoding or "ascii"
            target.write(text.encode(encoding, "backslashreplace").decode(encoding))
        target.flush()
