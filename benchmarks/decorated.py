"""A program that calls decorated functions when it is told to, in a process of its own.

    python decorated.py SUBJECT [SITE]

Each line that it is given is a number; what is done once with it is told in seconds. SITE is a folder with
numpy, for subjects that send arrays. Started by `functions`, which stands beside it.
"""

import os
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

from telling import check, obey

import kedge


@kedge.function
def nothing() -> None:
    """Does nothing."""


@kedge.function
def same(number: int) -> int:
    """Gives back what it is given."""
    return number


@kedge.function(pip=["numpy"])
def taken(array: Any) -> float:
    """Looks at one number of each page."""
    return float(array[::512].sum())


@kedge.function(pip=["numpy"])
def given(count: int) -> tuple[Any, float]:
    """An array, and the seconds that it took to make."""
    import numpy

    began = time.perf_counter()
    made = numpy.arange(count, dtype=numpy.float64)
    return made, time.perf_counter() - began


def called(_: int) -> float:
    """One call."""
    began = time.perf_counter()
    nothing.run()
    return time.perf_counter() - began


def mapped(count: int) -> float:
    """So many calls by `.map`, until the last result is there."""
    began = time.perf_counter()
    found = list(same.map(range(count), progress=False))
    seconds = time.perf_counter() - began
    check(found == list(range(count)))
    return seconds


def pooled(count: int) -> float:
    """So many calls in processes of their own, as many at once as there are CPUs, which nothing isolates."""
    began = time.perf_counter()
    with get_context("fork").Pool(len(os.sched_getaffinity(0)), maxtasksperchild=1) as pool:
        found = list(pool.imap(_same, range(count)))
    seconds = time.perf_counter() - began
    check(found == list(range(count)))
    return seconds


def sent(count: int) -> float:
    """A call with an array of so many numbers."""
    array = _array(count)
    began = time.perf_counter()
    total = taken.run(array)
    seconds = time.perf_counter() - began
    check(total == float(array[::512].sum()))
    return seconds


def received(count: int) -> float:
    """A call that gives such an array, until a number of each page was looked at; less the making of it."""
    began = time.perf_counter()
    array, making = given.run(count)
    total = float(array[::512].sum())
    seconds = time.perf_counter() - began - making
    check(total == float(_array(count)[::512].sum()))
    return seconds


def copied(count: int) -> float:
    """One copy of such an array in memory."""
    array = _array(count)
    began = time.perf_counter()
    array.copy()
    return time.perf_counter() - began


def _array(count: int) -> Any:
    import numpy

    return numpy.arange(count, dtype=numpy.float64)


def _same(number: int) -> int:
    return number


SUBJECTS: dict[str, Callable[[int], float]] = {
    "called": called, "mapped": mapped, "pooled": pooled, "sent": sent, "received": received,
    "copied": copied,
}  # fmt: skip


if __name__ == "__main__":
    sys.path += sys.argv[2:]
    obey(SUBJECTS)
