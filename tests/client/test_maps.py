"""A function over many inputs."""

import itertools
import os
import pty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.client import Package, sweep
from kedge.errors import InputError, UsageError
from kedge.run import record

Runs = Callable[[], list[record.Run]]
Wait = Callable[[Callable[[], Any]], None]


def test_results_come_in_the_order_of_the_cases(sleeps: Package) -> None:
    seconds = [0.6, 0.0, 0.3, 0.0]
    cases = [{"seconds": one, "says": str(one)} for one in seconds]
    assert list(sleeps.waits.map(cases, jobs=4)) == ["0.6", "0.0", "0.3", "0.0"]


def test_cases_may_be_columns(sleeps: Package) -> None:
    columns = {"width": [1, 2, 3], "height": range(3)}
    assert list(sleeps.area.map(columns)) == [0.0, 2.0, 6.0]
    assert list(sleeps.area.map({})) == []


def test_never_more_than_jobs_run_at_once(sleeps: Package) -> None:
    spans = list(sleeps.time_spans.map([{"number": one} for one in range(6)], jobs=2))
    assert most_at_once(spans) == 2


def test_by_default_as_many_run_as_have_their_cpus(sleeps: Package) -> None:
    whole = sleeps.time_spans.options(cpu=len(os.sched_getaffinity(0)))
    assert most_at_once(list(whole.map([{"number": one} for one in range(3)]))) == 1


def test_cases_are_taken_as_there_is_room_for_them(sleeps: Package) -> None:
    taken = itertools.count()

    def cases() -> Iterator[dict[str, float]]:
        while True:
            yield {"width": next(taken)}

    results = sleeps.area.map(cases(), jobs=2)
    assert next(taken) == 0  # nothing is run before a result is wanted
    assert list(itertools.islice(results, 3)) == [2.0, 4.0, 6.0]
    assert next(taken) < 10


def test_no_more_is_taken_while_many_results_wait_for_a_slow_case(
    sleeps: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_AHEAD", 2)
    taken = 0

    def cases() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for number in range(12):
            taken += 1
            yield {"seconds": 0.0 if number else 2.0, "says": str(number)}

    results = sleeps.waits.map(cases(), jobs=2)
    assert next(results) == "0"
    assert taken <= 6
    assert list(results) == [str(number) for number in range(1, 12)]


def test_the_first_failure_is_raised_once_the_others_are_cancelled(
    sleeps: Package, runs: Runs, wait_for: Wait
) -> None:
    def cases() -> Iterator[dict[str, Any]]:
        yield {"seconds": 3600}
        wait_for(runs)
        yield {"seconds": "none"}

    with pytest.raises(kedge.RequestError, match="seconds"):
        list(sleeps.waits.map(cases(), jobs=2))
    assert [run.status for run in runs()] == ["cancelled"]


def test_a_failure_says_which_case_it_was(sleeps: Package) -> None:
    with pytest.raises(kedge.FunctionError, match="a negative width") as raised:
        list(sleeps.area.map({"width": [1, 2, -1]}, jobs=1))
    assert raised.value.__notes__[-1] == "in case 3"
    frames = [frame.path.name for frame in raised.traceback]
    assert "threads.py" not in map(str, frames)


def test_errors_may_take_the_place_of_results(sleeps: Package) -> None:
    found = list(sleeps.area.map({"width": [1, -1, "1 kg", 2]}, jobs=2, return_exceptions=True))
    assert (found[0], found[3]) == (2.0, 4.0)
    assert isinstance(found[1], kedge.FunctionError)
    assert isinstance(found[2], kedge.RequestError)


def test_whoever_leaves_early_leaves_nothing_running(
    sleeps: Package, runs: Runs, wait_for: Wait
) -> None:
    for _ in sleeps.waits.map([{"seconds": 0}, *({"seconds": 3600},) * 3], jobs=3):
        wait_for(lambda: len(runs()) == 3)
        break
    assert sorted(run.status for run in runs()) == ["cancelled", "cancelled", "succeeded"]


def test_closing_the_package_ends_a_map_with_an_error(sleeps: Package) -> None:
    results = sleeps.waits.map([{"seconds": 0}, {"seconds": 3600}, {"seconds": 0}], jobs=2)
    assert next(results) == ""
    sleeps.close()
    with pytest.raises(kedge.KedgeError):
        next(results)


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        (7, "the cases are a Python `int`"),
        ([1.0], "a case is a Python `float`"),
        ({"width": 1.0}, "the column `width` is a Python `float`"),
        ({"width": "12"}, "the column `width` is a Python `str`"),
        ({"width": [1], "height": [1, 2]}, "different lengths"),
    ],
)
def test_what_is_neither_rows_nor_columns_is_refused(
    sleeps: Package, cases: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        list(sleeps.area.map(cases))
    assert raised.value.__notes__[0].startswith("hint: ")


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True])
def test_a_number_of_jobs_that_is_none_is_refused_at_once(sleeps: Package, jobs: Any) -> None:
    with pytest.raises(UsageError, match="jobs") as raised:
        sleeps.area.map([], jobs=jobs)
    assert raised.value.__notes__ == ["hint: give a whole number above 0"]


def test_a_case_whose_inputs_are_wrong_says_what_to_do_and_which_it_was(sleeps: Package) -> None:
    with pytest.raises(InputError, match="there is no input `hight`") as raised:
        list(sleeps.area.map([{"width": 1}, {"width": 1, "hight": 2}], jobs=1))
    assert raised.value.__notes__ == ["hint: did you mean `height`?", "in case 2"]


def test_an_error_of_who_gives_the_cases_is_passed_on(sleeps: Package) -> None:
    def cases() -> Iterator[dict[str, float]]:
        yield {"width": 1}
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(sleeps.area.map(cases()))


SHOWN = """
import kedge, sys
with kedge.load({path!r}) as package:
    for found in package.area.map({{"width": [1, 2, 3]}}, jobs=1):
        print("result", found)
"""


def test_a_bar_is_shown_on_a_terminal(program: Callable[..., Any], sleeping: Path) -> None:
    master, slave = pty.openpty()
    text = SHOWN.format(path=str(sleeping))
    shows = program(text, stderr=slave, env=os.environ | {"TERM": "xterm", "COLUMNS": "100"})
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
    assert shows.ended()[:2] == (0, "result 2.0\nresult 4.0\nresult 6.0\n")
    assert b"area" in said and b"3/3" in said


def test_elsewhere_it_goes_to_the_log(sleeps: Package, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "kedge")
    list(sleeps.waits.map({"seconds": [0, 1.5, 0]}, jobs=1))
    said = [one for one in caplog.messages if "waits" in one]
    assert said[-2:] == [
        "waits: 2 of 3",
        "waits: 3 of 3",
    ]  # the first, where that takes a second too
    caplog.clear()
    list(sleeps.area.map(iter([{"width": 1}]), progress=False))
    assert caplog.messages == []


def test_elsewhere_nothing_is_printed(program: Callable[..., Any], sleeping: Path) -> None:
    assert program(SHOWN.format(path=str(sleeping))).ended() == (
        0,
        "result 2.0\nresult 4.0\nresult 6.0\n",
        "",
    )


def most_at_once(spans: list[list[float]]) -> int:
    """How many of some spans of time had a moment in common."""
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)
