"""What Python shows below an error: the author's traceback, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from kedge.errors import KedgeError, RunFailed


@contextmanager
def shown() -> Iterator[None]:
    """A block whose errors say what to do where Python prints them."""
    try:
        yield
    except KedgeError as error:
        add_notes(error)
        raise


def add_notes(error: KedgeError) -> None:
    """Add the traceback of the function's own code and the hint, once."""
    if hasattr(error, "__notes__"):
        return
    if isinstance(error, RunFailed) and error.traceback:
        error.add_note(error.traceback.rstrip("\n"))
    if len(error.problems) == 1 and error.problems[0].hint:  # of several its text has them
        error.add_note(f"hint: {error.problems[0].hint}")
