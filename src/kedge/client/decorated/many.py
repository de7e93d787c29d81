"""Many calls of one function, a bounded number at once; one that fails costs only itself."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor
from contextlib import closing
from typing import Any, Final

from kedge.client import bar
from kedge.client.decorated.remote import add_note
from kedge.errors import RunCancelled
from kedge.executor import Cancel
from kedge.run.sweep import at_once

_AHEAD: Final = 1000  # results kept behind a call that takes long, for each that runs at once


def results(
    work: Callable[[Any], Any],
    cases: Iterable[Any],
    jobs: int,
    cancel: Cancel,
    threads: Executor,
    *,
    name: str,
    length: int | None,
    ordered: bool,
    progress: bool,
    return_exceptions: bool,
) -> Generator[Any]:
    """What `work` gives for each case.

    Args:
        work: called in a thread.
        cases: taken one by one, as there is room for another and its result.
        jobs: how many at once.
        cancel: the request to stop, made by whoever leaves before the end.
        threads: whose threads do the work.
        name: of what is called.
        length: how many calls there will be, None where nobody knows.
        ordered: in the order of the cases, else as they come.
        progress: whether to show how far it is.
        return_exceptions: whether errors take the place of results.

    Raises:
        ExceptionGroup: at the end, the errors of all that failed, each with a note which call that was.
        RunCancelled: it was stopped before all had run.
    """
    ended: dict[int, Any] = {}
    failed: list[Exception] = []
    following = total = 0

    def one(case: tuple[int, Any]) -> Any:
        return work(case[1])

    def has_room() -> bool:
        return len(ended) < _AHEAD * jobs

    with (
        bar.shown(name, length, wanted=progress) as advance,
        closing(at_once(one, enumerate(cases), jobs, cancel, threads, has_room)) as futures,
    ):
        for (number, _), future in futures:
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            if error is not None:
                add_note(error, f"in call {number + 1}")
                failed.append(error)
            ended[number] = _Outcome(error if error is not None else future.result(), error is None)
            advance()
            total += 1
            while (at := following if ordered else number) in ended:
                outcome = ended.pop(at)
                following += 1
                if outcome.good or return_exceptions:
                    yield outcome.value
    if cancel.requested:
        raise RunCancelled("stopped before all had run", hint="call map again")
    if failed and not return_exceptions:
        raise ExceptionGroup(f"{len(failed)} of {total} calls of `{name}` failed", failed)


class _Outcome:
    """What came of one call."""

    __slots__ = ("good", "value")

    def __init__(self, value: Any, good: bool) -> None:
        self.value = value
        self.good = good
