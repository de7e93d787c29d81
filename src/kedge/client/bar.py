"""How far a map is, on a terminal."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown(name: str, total: int | None, *, wanted: bool) -> Iterator[Callable[[], None]]:
    """A bar on standard error for the length of the block, if that is a terminal; call it for each result.

    Args:
        name: what goes on.
        total: how many results there will be, None where nobody knows.
        wanted: whether to show it at all.
    """
    if not wanted or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield lambda: None
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
