"""Ways to leave, of one function each."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import kedge


class Own(Exception):
    """The author's own exception."""


def exits(how: str) -> None:
    print("before", end="")
    ways = {
        "well": lambda: sys.exit(0),
        "none": lambda: sys.exit(),
        "three": lambda: sys.exit(3),
        "text": lambda: sys.exit("a reason"),
        "at once": lambda: os._exit(0),
        "at once, badly": lambda: os._exit(4),
        "by a signal": lambda: os.kill(os.getpid(), signal.SIGTERM),
        "interrupted": lambda: os.kill(os.getpid(), signal.SIGINT),
        "hung up": lambda: os.kill(os.getpid(), signal.SIGHUP),
    }
    ways[how]()
    time.sleep(5)


def raises(what: str) -> None:
    def chained() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise Own("sécond\nline") from error

    def many() -> None:
        raise ExceptionGroup("several", [Own("one"), ValueError("two")])

    def deep(n: int = 0) -> None:
        deep(n + 1)

    {"chained": chained, "many": many, "deep": deep, "assertion": asserts, "base": base}[what]()


def asserts() -> None:
    assert 1 == 2, "is not so"


def base() -> None:
    raise kedge.Cancelled("by itself")


def waits() -> None:
    try:
        print("ready")
        time.sleep(1000)
    except kedge.Cancelled:
        Path("out/artifacts").mkdir(parents=True, exist_ok=True)
        Path("out/artifacts/part").write_text("as far as it got")
        print("tidied up")
        raise


async def waits_asynchronously() -> None:
    try:
        print("ready")
        await asyncio.sleep(1000)
    finally:
        print("tidied up")


def dashes(**given) -> dict:
    wall_thickness, many_files = given["wall-thickness"], given["many-files"]
    made = Path("scratch/copy.txt")
    made.write_text("".join(one.read_text() for one in many_files))
    return {"twice-that": 2 * wall_thickness, "the_files": [made, *many_files]}
