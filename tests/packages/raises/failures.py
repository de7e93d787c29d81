"""Ways to fail, one function each."""

import os
import signal
import sys


class Overloaded(Exception):
    """The author's own exception."""


def divide(load):
    return load / 0


def raises(load: float = 1.0) -> float:
    try:
        return divide(load)
    except ZeroDivisionError as cause:
        raise Overloaded(f"the screw cannot carry {load:g} N") from cause


def exits(code: int = 3) -> None:
    print("about to leave", file=sys.stderr)
    sys.exit(code)


def dies(code: int = 7) -> None:
    print("last words", file=sys.stderr, flush=True)
    os._exit(code)


def aborts() -> None:
    os.kill(os.getpid(), signal.SIGABRT)


def unserialisable() -> dict:
    return {"good": 1, "bad": object()}


def not_a_number() -> dict:
    return {"good": 1.0, "bad": float("nan")}


def wrong_type() -> int:
    return "twelve"


def recurses(n: int = 0) -> int:
    return recurses(n + 1)
