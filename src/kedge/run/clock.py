"""The time as records and events write it: RFC 3339, UTC, milliseconds."""

import time
from functools import lru_cache


def now() -> str:
    """The present moment, `2026-03-01T12:00:00.000Z`."""
    return timestamp(time.time_ns() // 1_000_000)


def timestamp(milliseconds: int) -> str:
    """A moment given in milliseconds since 1970.

    >>> timestamp(1_500)
    '1970-01-01T00:00:01.500Z'
    """
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(8)  # events come many in one second
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
