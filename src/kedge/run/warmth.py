"""What is kept warm for runs, if that is wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kedge import settings

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool

_inherited: "Pool | None" = None


def inherit(pool: "Pool") -> None:
    """Use, from here on, what the process that this one was forked from keeps warm."""
    global _inherited
    _inherited = pool


@contextmanager
def kept_warm(runs: int) -> Iterator["Pool | None"]:
    """A pool for so many runs; None where the first would be the last, or none is wanted."""
    if not settings.get("warm") or (runs < 2 and _inherited is None):
        yield None
        return
    if _inherited is not None:
        yield _inherited
        return
    from kedge.executor.warm.pool import Pool

    with Pool() as pool:
        yield pool
