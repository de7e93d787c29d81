"""Runs awaited in asynchronous code."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.client import Package, awaiting
from kedge.run import events, record


def test_a_call_is_awaited_and_the_loop_goes_on(sleeps: Package) -> None:
    async def main() -> tuple[Any, int]:
        ticks = 0
        call = asyncio.ensure_future(sleeps.waits.acall(seconds=0.5, says="done"))
        while not call.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return call.result(), ticks

    found, ticks = asyncio.run(main())
    assert found == "done" and ticks > 10


def test_many_are_awaited_together(sleeps: Package) -> None:
    async def main() -> list[float]:
        return await asyncio.gather(*(sleeps.area.acall(width) for width in range(5)))

    assert asyncio.run(main()) == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_however_many_are_awaited_together_a_few_threads_prepare_them(
    sleeps: Package, sleeping: Path
) -> None:
    async def main() -> int:
        (sleeping / "sleeps.py").write_text((sleeping / "sleeps.py").read_text() + "\n# changed\n")
        before = threading.active_count()
        tasks = [asyncio.create_task(sleeps.area.acall(width)) for width in range(200)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        more = threading.active_count() - before
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return more

    assert asyncio.run(main()) < 60


def test_a_failure_is_raised(sleeps: Package) -> None:
    with pytest.raises(kedge.FunctionError, match="a negative width"):
        asyncio.run(sleeps.area.acall(-1))
    with pytest.raises(kedge.RequestError, match="no input"):
        asyncio.run(sleeps.area.acall(wdth=1))


def test_a_run_that_was_submitted_can_be_awaited(sleeps: Package) -> None:
    async def main() -> float:
        return await sleeps.area.submit(3)

    assert asyncio.run(main()) == 6.0


def test_to_cancel_the_task_cancels_the_run(sleeps: Package) -> None:
    async def main() -> kedge.client.Run:
        run = sleeps.waits.submit()

        async def waits() -> Any:
            return await run

        task = asyncio.create_task(waits())
        while not run.progress():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert run.done()
        return run

    run = asyncio.run(main())
    assert record.get(run.id).status == "cancelled"


def test_a_timeout_of_asyncio_cancels_the_run(
    sleeps: Package, runs: Callable[[], list[record.Run]]
) -> None:
    async def main() -> None:
        async with asyncio.timeout(None) as limit:
            call = asyncio.ensure_future(sleeps.waits.acall())
            while not runs():
                await asyncio.sleep(0.01)
            limit.reschedule(asyncio.get_running_loop().time() + 0.1)
            await call

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert [run.status for run in runs()] == ["cancelled"]


def test_results_of_a_map_come_in_order_while_the_loop_goes_on(sleeps: Package) -> None:
    async def main() -> list[Any]:
        cases = [{"seconds": one, "says": str(one)} for one in (0.4, 0.0, 0.2)]
        return [found async for found in sleeps.waits.amap(cases, jobs=3)]

    assert asyncio.run(main()) == ["0.4", "0.0", "0.2"]


def test_to_leave_an_asynchronous_map_leaves_nothing_running(sleeps: Package) -> None:
    async def main() -> None:
        results = sleeps.waits.amap([{"seconds": 0}, *({"seconds": 3600},) * 3], jobs=3)
        async for _ in results:
            break
        await results.aclose()

    asyncio.run(main())
    assert not sleeps._opened.session._going


def test_to_cancel_the_task_of_a_map_cancels_what_runs(sleeps: Package) -> None:
    async def main() -> None:
        async def all_of_them() -> None:
            async for _ in sleeps.waits.amap([{"seconds": 3600}] * 3, jobs=2):
                pass

        task = asyncio.create_task(all_of_them())
        while len(sleeps._opened.session._going) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not sleeps._opened.session._going

    asyncio.run(main())


@pytest.mark.parametrize("way", ["awaited", "mapped"])
def test_to_cancel_the_task_again_ends_it_at_once_and_leaves_nothing_running(
    sleeps: Package,
    runs: Callable[[], list[record.Run]],
    way: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def says_so() -> bool:
        return any(
            event.type == events.PROGRESS for run in runs() for event in events.events(run.id)
        )

    async def main() -> float:
        async def works() -> None:
            if way == "awaited":
                await sleeps.deaf.acall()
            async for _ in sleeps.deaf.amap([{}], jobs=1):
                pass

        task = asyncio.create_task(works())
        while not says_so():
            await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        await asyncio.sleep(0.2)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not sleeps._opened.session._going
        return time.monotonic() - began

    assert asyncio.run(main()) < 15
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_asyncio_is_not_loaded_before_something_is_awaited(
    program: Callable[..., Any], sleeping: Any
) -> None:
    text = (
        "import sys, kedge\n"
        f"with kedge.load({str(sleeping)!r}) as package:\n"
        "    print(package.area(1), list(package.area.map([{'width': 1}])))\n"
        "print('asyncio' in sys.modules)\n"
    )
    assert program(text).ended() == (0, "2.0 [2.0]\nFalse\n", "")


def test_a_loop_that_was_closed_meanwhile_is_told_nothing(caplog: pytest.LogCaptureFixture) -> None:
    going: Future[int] = Future()
    loop = asyncio.new_event_loop()
    waiting = awaiting.ended(going, lambda force: None)

    async def begin() -> None:
        waiting.send(None)

    loop.run_until_complete(begin())
    loop.close()
    going.set_result(1)
    waiting.close()
    assert not caplog.records
