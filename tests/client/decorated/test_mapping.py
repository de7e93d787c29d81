"""Many calls of one decorated function."""

import itertools
import os
import pty
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import kedge
from kedge.client.decorated import many
from kedge.client.session import session
from kedge.errors import UsageError
from kedge.run import record

type Decorate = Callable[..., Any]
type Wait = Callable[[Callable[[], Any]], None]


class Odd(Exception):
    pass


def squared(number: int) -> int:
    return number * number


def even(number: int) -> int:
    if number % 2:
        raise Odd(number)
    return number


def slept(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def span(_: int) -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(0.2)
    return start, time.monotonic()


def most_at_once(spans: list[tuple[float, float]]) -> int:
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)


def running() -> int:
    """How many runs of decorated functions go on in this process."""
    return len(session()._going)


def test_two_hundred_results_come_in_the_order_of_the_arguments(decorated: Decorate) -> None:
    found = decorated(squared).map(range(200))
    assert list(found) == [number**2 for number in range(200)]


def test_arguments_come_in_columns_or_as_tuples(decorated: Decorate) -> None:
    product = decorated(lambda left, right=10: left * right)
    assert list(product.map([1, 2])) == [10, 20]
    assert list(product.map([1, 2, 3], iter([4, 5]))) == [4, 10]
    assert list(product.starmap([(1,), (2, 3)])) == [10, 6]
    assert list(product.starmap(iter([]))) == []
    assert list(product.map("ab")) == ["a" * 10, "b" * 10]


def test_results_come_as_they_are_done_where_order_is_not_wanted(decorated: Decorate) -> None:
    function = decorated(slept)
    assert list(function.map([0.3, 0.0], jobs=2)) == [0.3, 0.0]
    assert list(function.map([3.0, 0.0], jobs=2, ordered=False)) == [0.0, 3.0]


def test_errors_of_all_that_failed_are_raised_together_at_the_end(decorated: Decorate) -> None:
    found = []
    with pytest.raises(ExceptionGroup, match="2 of 5 calls of `tested` failed") as raised:
        for number in decorated(even).map(range(5)):
            found.append(number)  # noqa: PERF402 - what came before the error counts
    assert found == [0, 2, 4]
    errors = raised.value.exceptions
    assert [(type(error), error.args) for error in errors] == [(Odd, (1,)), (Odd, (3,))]
    assert [error.__notes__[-1] for error in errors] == ["in call 2", "in call 4"]
    assert all(error.__notes__[0].startswith("RemoteTraceback:") for error in errors)


def test_errors_may_take_the_place_of_results(decorated: Decorate) -> None:
    found = list(decorated(even).map(range(4), return_exceptions=True))
    assert (found[0], found[2]) == (0, 2)
    assert [(type(one), one.args) for one in (found[1], found[3])] == [(Odd, (1,)), (Odd, (3,))]
    assert found[1].__notes__[-1] == "in call 2"


def test_a_call_that_cannot_be_made_costs_only_itself(decorated: Decorate) -> None:
    import threading

    found = list(decorated(lambda value: 1).map([1, threading.Lock(), 2], return_exceptions=True))
    assert (found[0], found[2]) == (1, 1)
    assert isinstance(found[1], UsageError) and found[1].code == "unpicklable"
    wrong = list(decorated(squared).starmap([(1,), (1, 2)], return_exceptions=True))
    assert wrong[0] == 1 and isinstance(wrong[1], TypeError)


def test_one_that_ends_otherwise_costs_only_itself(decorated: Decorate) -> None:
    def ends(number: int) -> int:
        if number == 1:
            os._exit(0)
        return number

    found = list(decorated(ends).map(range(3), return_exceptions=True))
    assert (found[0], found[2]) == (0, 2)
    assert isinstance(found[1], kedge.ContractError)


def test_never_more_than_jobs_run_at_once(decorated: Decorate) -> None:
    function = decorated(span)
    assert most_at_once(list(function.map(range(6), jobs=2))) <= 2
    assert most_at_once(list(function.map(range(3), jobs=1))) == 1
    whole = decorated(span, cpu=len(os.sched_getaffinity(0)))
    assert most_at_once(list(whole.map(range(3)))) == 1


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, "2"])
def test_a_number_of_jobs_that_is_none_is_refused_at_once(decorated: Decorate, jobs: Any) -> None:
    with pytest.raises(UsageError, match="`jobs`") as raised:
        decorated(squared).map([1], jobs=jobs)
    assert raised.value.__notes__ == ["hint: give a whole number above 0"]


def test_arguments_are_taken_as_there_is_room_for_them(decorated: Decorate) -> None:
    taken = itertools.count()

    def arguments() -> Iterator[int]:
        while True:
            yield next(taken)

    found = decorated(squared).map(arguments(), jobs=2)
    assert next(taken) == 0  # nothing is run before a result is wanted
    assert list(itertools.islice(found, 3)) == [1, 4, 9]
    found.close()
    assert next(taken) < 10


def test_no_more_are_taken_while_many_results_wait_for_a_slow_one(
    decorated: Decorate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "_AHEAD", 2)
    taken = 0

    def arguments() -> Iterator[float]:
        nonlocal taken
        for number in range(12):
            taken += 1
            yield 0.0 if number else 2.0

    found = decorated(slept).map(arguments(), jobs=2)
    assert next(found) == 2.0
    assert taken <= 6
    assert list(found) == [0.0] * 11


def test_who_leaves_early_leaves_nothing_running(decorated: Decorate, wait_for: Wait) -> None:
    before = running()
    name = f"only-{uuid.uuid4().hex}"  # others run on the same home
    found = decorated(slept, name=name).map([0, 3600, 3600, 3600], jobs=3)
    assert next(found) == 0
    wait_for(lambda: running() > before)
    found.close()
    assert running() == before
    statuses = {run.status for run in record.list_runs(20, function=name)}
    assert "running" not in statuses and "cancelled" in statuses


def test_an_error_of_who_gives_the_arguments_is_passed_on(decorated: Decorate) -> None:
    def arguments() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(decorated(squared).map(arguments()))


def test_what_is_no_iterable_is_refused_as_python_does(decorated: Decorate) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        decorated(squared).map(3)


SHOWN = """
import kedge
@kedge.function(name="tested")
def squared(number):
    print("in", number)
    return number * number
for found in squared.map([1, 2, 3], jobs=1):
    print("result", found)
"""


def test_what_the_calls_print_appears_and_nothing_else(start: Callable[..., Any]) -> None:
    code, out, err = start(SHOWN).ended()
    assert (code, err) == (0, "")
    assert sorted(out.splitlines()) == sorted(
        [*(f"in {number}" for number in (1, 2, 3)), "result 1", "result 4", "result 9"]
    )


def test_a_bar_is_shown_on_a_terminal(start: Callable[..., Any]) -> None:
    master, slave = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    shows = start(SHOWN, stderr=slave, env=env)
    os.close(slave)
    said = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        said += data
    os.close(master)
    assert shows.ended()[0] == 0
    assert b"tested" in said and b"3/3" in said
