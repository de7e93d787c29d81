"""A run that was submitted: a look at it while it goes on, its result when it is wanted."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import kedge
from kedge.errors import UsageError

type Decorate = Callable[..., Any]
type Wait = Callable[[Callable[[], Any]], None]


class Spoilt(Exception):
    pass


def sleeping(says: str = "here", seconds: float = 3600.0) -> str:
    print(says)
    kedge.progress(1, 2, "asleep")
    time.sleep(seconds)
    return says


def test_its_result_comes_when_it_is_wanted(decorated: Decorate) -> None:
    run = decorated(sleeping).submit("early", seconds=0)
    assert run.result() == "early"
    assert run.result() == "early"
    assert (run.status, run.done()) == ("succeeded", True)
    assert run.logs() == "early\n"
    assert [event["message"] for event in run.progress()] == ["asleep"]
    assert run.record()["function"] == "tested"


def test_it_is_seen_while_it_goes_on_and_cancelled(decorated: Decorate, wait_for: Wait) -> None:
    run = decorated(sleeping).submit()
    wait_for(run.progress)
    assert (run.status, run.done(), run.logs()) == ("running", False, "here\n")
    with pytest.raises(TimeoutError, match=r"has not ended within 0\.1 s"):
        run.result(timeout=0.1)
    run.cancel()
    with pytest.raises(kedge.RunCancelled):
        run.result()
    assert run.status == "cancelled"


def test_its_own_exception_is_raised_each_time_its_result_is_wanted(decorated: Decorate) -> None:
    def fails() -> None:
        raise Spoilt("no")

    run = decorated(fails).submit()
    for _ in range(2):
        with pytest.raises(Spoilt, match="no") as raised:
            run.result()
        assert len(raised.value.__notes__) == 1
    assert run.status == "failed"


def test_it_does_not_print_here(decorated: Decorate, capfd: pytest.CaptureFixture[str]) -> None:
    assert decorated(sleeping).submit("quiet", seconds=0).result() == "quiet"
    assert capfd.readouterr().out == ""


def test_it_can_be_awaited_and_many_together(decorated: Decorate) -> None:
    function = decorated(sleeping)

    async def main() -> list[str]:
        runs = [function.submit(str(number), seconds=0) for number in range(4)]
        return await asyncio.gather(*runs)

    assert asyncio.run(main()) == ["0", "1", "2", "3"]


def test_an_exception_is_raised_where_it_is_awaited(decorated: Decorate) -> None:
    def fails() -> None:
        raise Spoilt("no")

    async def main() -> None:
        with pytest.raises(Spoilt, match="no"):
            await decorated(fails).submit()

    asyncio.run(main())


def test_to_cancel_the_task_that_waits_cancels_the_run(decorated: Decorate) -> None:
    async def main() -> Any:
        run = decorated(sleeping).submit()

        async def waits() -> Any:
            return await run

        task = asyncio.create_task(waits())
        while not run.progress():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run

    assert asyncio.run(main()).status == "cancelled"


def test_what_was_given_may_change_after_it_was_submitted(decorated: Decorate) -> None:
    given = [1, 2]
    run = decorated(lambda values: sum(values)).submit(given)
    given.append(100)
    assert run.result() == 3


def test_what_cannot_be_sent_is_an_error_at_once(decorated: Decorate) -> None:
    import threading

    with pytest.raises(UsageError, match="cannot be sent"):
        decorated(lambda lock: lock).submit(threading.Lock())
    with pytest.raises(TypeError):
        decorated(sleeping).submit(1, 2, 3)


def test_it_says_what_it_is(decorated: Decorate) -> None:
    run = decorated(sleeping).submit(seconds=0)
    run.result()
    assert repr(run) == f"<kedge run {run.id} of tested#tested: succeeded>"
