"""How far a map is: a bar on a terminal, lines in the log elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kedge.client import notices

_LINES_S: Final = 1.0  # between two lines in a log


@contextmanager
def shown(name: str, total: int | None, *, wanted: bool) -> Iterator[Callable[[], None]]:
    """A bar on standard error for the length of the block, if that is a terminal; call it for each result.

    Elsewhere (a file, a notebook) how many there are goes to the log.

    Args:
        name: what goes on.
        total: how many results there will be, None where nobody knows.
        wanted: whether to show it at all.
    """
    if not wanted:
        yield lambda: None
        return
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield _lines(name, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # what goes to a file goes there, not above the bar
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task(name, total=total)
        yield lambda: progress.advance(task)


def _lines(name: str, total: int | None) -> Callable[[], None]:
    """Says how many there are: at the end, and before at most once in `_LINES_S`."""
    done, said = 0, time.monotonic()

    def advance() -> None:
        nonlocal done, said
        done += 1
        if done == total or time.monotonic() - said >= _LINES_S:
            said = time.monotonic()
            notices.step(f"{name}: {done}" + ("" if total is None else f" of {total}"))

    return advance
