"""One function over many inputs, a bounded number of runs at once, their results in order."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import closing
from typing import Any, Final

from kedge.client import bar
from kedge.errors import KedgeError, RunCancelled, UsageError
from kedge.executor import Cancel
from kedge.run.sweep import at_once

# Results kept behind a case that takes long, for each run at once: hours of waiting must not fill the memory,
# and mostly a result is small.
_AHEAD: Final = 1000
_WRITE: Final = 'write [{"load": 1}, {"load": 2}], or columns: {"load": [1, 2]}'

type Cases = Iterable[Mapping[str, Any]] | Mapping[str, Iterable[Any]]


def rows(cases: Cases) -> Iterator[Mapping[str, Any]]:
    """The inputs of each run, one after the other: `cases` has rows, or columns by their names.

    Raises:
        UsageError: it is neither, or its columns are of different lengths.
    """
    if (columns := _columns(cases)) is not None:
        yield from _of_columns(columns)
        return
    if not isinstance(cases, Iterable):
        raise UsageError(
            f"the cases are a Python `{type(cases).__name__}`; a list of dictionaries is expected",
            hint=_WRITE,
        )
    for case in cases:
        if not isinstance(case, Mapping):
            raise UsageError(
                f"a case is a Python `{type(case).__name__}`; a dictionary of inputs is expected",
                hint=_WRITE,
            )
        yield case


def length_of(cases: Cases) -> int | None:
    """How many runs that will be, None where it cannot be known beforehand."""
    columns = _columns(cases)
    measured: Any = cases if columns is None else next(iter(columns.values()), ())
    return len(measured) if hasattr(measured, "__len__") else None


def results(
    work: Callable[[Mapping[str, Any]], Any],
    cases: Cases,
    jobs: int,
    cancel: Cancel,
    threads: Executor,
    *,
    name: str,
    progress: bool,
    return_exceptions: bool,
) -> Generator[Any]:
    """What `work` gives for each case, in the order of the cases.

    Args:
        work: called in a thread.
        cases: taken one by one, as there is room for another and its result.
        jobs: how many at once.
        cancel: the request to stop, made by whoever leaves before the end.
        threads: whose threads do the work.
        name: what the bar says.
        progress: whether to show one on a terminal.
        return_exceptions: whether errors take the place of results; else the first to fail ends all.

    Raises:
        KedgeError: the first failure, with a note which case that was.
        RunCancelled: it was stopped before all had run.
    """

    def numbered(case: tuple[int, Mapping[str, Any]]) -> Any:
        return work(case[1])

    def has_room() -> bool:
        return len(ended) < _AHEAD * jobs

    ended: dict[int, Any] = {}
    following = 0
    with (
        bar.shown(name, length_of(cases), wanted=progress) as advance,
        closing(
            at_once(numbered, enumerate(rows(cases)), jobs, cancel, threads, has_room)
        ) as futures,
    ):
        for (number, _), future in futures:
            error = future.exception()
            if isinstance(error, KedgeError):
                # Where it came from in another thread says nothing.
                error = error.with_traceback(None)
                if not return_exceptions:
                    error.add_note(f"in case {number + 1}")
                    raise error
            elif error is not None:
                raise error
            ended[number] = future.result() if error is None else error
            advance()
            while following in ended:
                yield ended.pop(following)
                following += 1
    if cancel.requested:
        raise RunCancelled("stopped before all had run", hint="call map again")


def _columns(cases: Any) -> dict[str, Iterable[Any]] | None:
    """The columns of a dictionary, or of a table such as pandas has; None where there are rows."""
    return {name: cases[name] for name in cases.keys()} if hasattr(cases, "keys") else None  # noqa: SIM118


def _of_columns(columns: Mapping[str, Iterable[Any]]) -> Iterator[Mapping[str, Any]]:
    for name, column in columns.items():
        if isinstance(column, str | bytes) or not hasattr(column, "__iter__"):
            raise UsageError(
                f"the column `{name}` is a Python `{type(column).__name__}`; a list is expected",
                hint="give every input of each run: a list, or a range",
            )
    values = zip(*columns.values(), strict=True)
    while True:
        try:
            row = next(values)
        except StopIteration:
            return
        except ValueError as error:
            if len(columns) > 1 and str(error).startswith("zip()"):
                raise UsageError(
                    f"the columns {', '.join(columns)} are of different lengths",
                    hint="give each as many values",
                ) from None
            raise
        yield dict(zip(columns, row, strict=True))
