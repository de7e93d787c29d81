"""A run that was submitted."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.client import Package
from kedge.errors import InputError
from kedge.run import record

Wait = Callable[[Callable[[], Any]], None]


def test_it_gives_its_result_when_that_is_wanted(sleeps: Package) -> None:
    run = sleeps.area.submit(width=3)
    assert run.result() == 6.0
    assert run.result(timeout=0) == 6.0
    assert run.done()
    assert run.status == "succeeded"
    assert record.get(run.id).status == "succeeded"


def test_wrong_inputs_are_refused_when_it_is_submitted(sleeps: Package) -> None:
    with pytest.raises(InputError, match="there is no input `wdth`"):
        sleeps.area.submit(wdth=3)


def test_it_can_be_looked_at_while_it_goes_on(sleeps: Package, wait_for: Wait) -> None:
    run = sleeps.waits.submit(seconds=3600, says="good night")
    wait_for(lambda: run.progress())
    assert run.status == "running" and not run.done()
    assert run.progress() == [{"step": 1, "total": 2, "message": "asleep"}]
    wait_for(lambda: run.logs() == "good night\n")
    assert run.id in repr(run) and "running" in repr(run)
    run.cancel()
    with pytest.raises(kedge.RunCancelled) as raised:
        run.result()
    assert raised.value.run_id == run.id
    assert run.status == "cancelled"
    assert list(run.record()["artifacts"]) == ["asked"]


def test_it_goes_on_when_its_result_is_not_waited_for_any_longer(sleeps: Package) -> None:
    run = sleeps.waits.submit(seconds=1, says="late")
    with pytest.raises(TimeoutError, match=r"has not ended within 0\.01 s"):
        run.result(timeout=0.01)
    assert run.result(timeout=60) == "late"


def test_force_does_without_the_grace_period(sleeps: Package, wait_for: Wait) -> None:
    run = sleeps.deaf.submit()
    wait_for(lambda: run.progress())
    began = time.monotonic()
    run.cancel(force=True)
    with pytest.raises(kedge.RunCancelled):
        run.result()
    assert time.monotonic() - began < 15


def test_a_failure_is_raised_each_time(sleeps: Package) -> None:
    run = sleeps.area.submit(-1)
    for _ in range(2):
        with pytest.raises(kedge.FunctionError, match="a negative width"):
            run.result()
    assert run.status == "failed"
    assert run.record()["failure"]["kind"] == "function_error"


def test_what_waits_for_its_turn_can_be_cancelled_before_it(
    sleeps: Package,
) -> None:
    sleeps._opened.session.background._most = 1
    first = sleeps.waits.submit()
    second = sleeps.waits.submit()
    assert (second.status, second.id, second.logs(), second.progress()) == ("created", None, "", [])
    second.cancel()
    second.cancel()
    with pytest.raises(kedge.RunCancelled, match="before it was its turn"):
        second.result()
    assert second.status == "cancelled" and second.record() is None
    first.cancel()
    assert sleeps.area.submit(2).result() == 4.0


def test_what_waits_for_its_turn_is_cancelled_by_closing(sleeps: Package, wait_for: Wait) -> None:
    sleeps._opened.session.background._most = 2
    runs = [sleeps.waits.submit() for _ in range(5)]
    wait_for(lambda: all(run.progress() for run in runs[:2]))
    sleeps.close()
    for run in runs:
        with pytest.raises(kedge.RunCancelled):
            run.result(timeout=10)
    assert {run.status for run in runs} == {"cancelled"}
    assert [run.id is None for run in runs] == [False, False, True, True, True]


def test_what_was_given_may_change_after_it_was_submitted(
    load: Callable[..., Package], tmp_path: Path
) -> None:
    (tmp_path / "m.py").write_text(
        "import time\n\ndef total(numbers: list[float]) -> float:\n    return sum(numbers)\n"
    )
    numbers = [1.0, 2.0]
    run = load(tmp_path / "m.py").total.submit(numbers)
    numbers.append(100.0)
    assert run.result() == 3.0


def test_a_run_keeps_its_package_open(load: Callable[..., Package], sleeping: Path) -> None:
    load("single-return")  # for the shared home
    run = kedge.load(sleeping).waits.submit(seconds=0.5, says="here")
    assert run.result() == "here"
