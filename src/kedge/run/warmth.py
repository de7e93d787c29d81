"""What is kept warm for many runs, if that is wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kedge import settings

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool


@contextmanager
def kept_warm(runs: int) -> Iterator["Pool | None"]:
    """A pool for so many runs; None where the first would be the last, or none is wanted."""
    if runs < 2 or not settings.get("warm"):
        yield None
        return
    from kedge.executor.warm.pool import Pool

    with Pool() as pool:
        yield pool
