"""A start that is asked to end ends what it has started first, as it does when interrupted from a terminal."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def raised() -> Iterator[None]:
    """Within, signals that would end this process at once raise SystemExit with the usual exit code."""

    def ended(number: int, _: object) -> None:
        sys.exit(128 + number)

    mine = [number for number in ENDING if signal.getsignal(number) == signal.SIG_DFL]
    for number in mine:
        signal.signal(number, ended)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def held() -> Iterator[None]:
    """Within, no signal interrupts: a program that has begun is not forgotten. Afterwards it does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals interrupt only that one
        return
    came: list[int] = []
    before = {
        number: handler
        for number in (signal.SIGINT, *ENDING)
        if callable(handler := signal.getsignal(number))
    }
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
