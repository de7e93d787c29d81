"""A start that is asked to end ends what it has started first, as it does when interrupted from a terminal."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def raised() -> Iterator[None]:
    """Within, signals that would end this process at once raise SystemExit with the usual exit code."""

    def ended(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.getsignal(number) for number in ENDING}
    mine = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    for number in mine:
        signal.signal(number, ended)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)
