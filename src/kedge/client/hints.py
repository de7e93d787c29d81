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
    """Add the traceback of the function's own code and the hints, once."""
    if hasattr(error, "__notes__"):
        return
    if isinstance(error, RunFailed) and error.traceback:
        error.add_note(error.traceback.rstrip("\n"))
    for hint in dict.fromkeys(problem.hint for problem in error.problems if problem.hint):
        error.add_note(f"hint: {hint}")
