"""Middleware around what is called, submitted, mapped and awaited: who sees it, and what it may do wrong."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge import (
    CommandRuntime,
    ExecutorMiddleware,
    PythonFunctionRuntime,
    RuntimeMiddleware,
    TargetMiddleware,
    Task,
    TaskMiddleware,
)
from kedge.client import Package
from kedge.data import replace
from kedge.errors import FunctionError, RunTimeout, StartFailed, UsageError
from kedge.middleware import register, unregister, using
from kedge.run import record


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


class Seeing(TaskMiddleware):
    """Notes the inputs of each task that it is around."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, context: Any, call_next: Any) -> Any:
        self.seen.append(next(iter(context.task.values.values()), context.task.id))
        return await call_next(context)


def in_process(id: str, func: Callable[[], Any] = lambda: None) -> Task:
    return Task(id=id, runtime=PythonFunctionRuntime(func), executor="inprocess")


def runs_of(id: str) -> list[record.Run]:
    return [run for run in record.list_runs(10_000) if run.function == id]


def test_a_task_is_seen_in_whichever_way_it_is_run() -> None:
    mine = Seeing()

    async def main() -> None:
        await in_process("awaited").run()
        await asyncio.gather(in_process("one").run(), in_process("two").run())

    with using(mine):
        in_process("waited-for").run_sync()
        asyncio.run(main())
        in_process("outer", lambda: in_process("inner").run_sync() and None).run_sync()
    in_process("after").run_sync()
    assert mine.seen[:2] == ["waited-for", "awaited"] and sorted(mine.seen[2:4]) == ["one", "two"]
    assert mine.seen[4:] == ["outer", "inner"]


def test_runs_that_go_on_at_once_see_each_its_own() -> None:
    both = Seeing()
    meeting = asyncio.Event()

    async def one(id: str, mine: Seeing, last: bool) -> None:
        with using(mine):
            if last:
                meeting.set()
            await meeting.wait()
            await asyncio.gather(
                *(in_process(id, lambda: time.sleep(0.02)).run() for _ in range(4))
            )

    async def main() -> tuple[list[Any], list[Any]]:
        a, b = Seeing(), Seeing()
        await asyncio.gather(one("a", a, False), one("b", b, True))
        return a.seen, b.seen

    register(both)
    try:
        assert asyncio.run(main()) == (["a"] * 4, ["b"] * 4)
    finally:
        unregister(both)
    assert sorted(both.seen) == ["a"] * 4 + ["b"] * 4


def test_calls_of_a_package_are_seen_in_whichever_way_they_are_made(sleeps: Package) -> None:
    mine = Seeing()
    rows = [{"width": 5}, {"width": 6}]

    async def main() -> None:
        await sleeps.area.acall(4)
        with using(later):
            results = sleeps.area.amap(rows, jobs=1)
        assert [one async for one in results] == [10.0, 12.0]

    later = Seeing()
    with using(mine):
        sleeps.area(1)
        submitted = sleeps.area.submit(2)
        mapped = sleeps.area.map([{"width": 3}, {"width": 3}])
    assert submitted.result() == 4.0 and list(mapped) == [6.0, 6.0]
    assert sorted(mine.seen) == [1.0, 2.0, 3.0, 3.0]
    with using(mine):
        asyncio.run(main())
    assert mine.seen[4:] == [4.0, 5.0, 6.0] and later.seen == [5.0, 6.0]
    sleeps.area(7)
    with using(Seeing()):
        sleeps.area(7)
    assert len(mine.seen) == 7


def test_a_map_that_is_left_early_ends_in_its_own_context(sleeps: Package) -> None:
    mine = Seeing()
    with using(mine):
        results = sleeps.area.map({"width": range(100)}, jobs=1)
    with using(Seeing()):
        assert next(results) == 0.0
        results.close()  # type: ignore[attr-defined]
    assert 1 <= len(mine.seen) <= 3


def test_decorated_functions_are_seen_in_whichever_way_they_are_run() -> None:
    @kedge.function(name="tested")
    def double(x: int) -> int:
        return 2 * x

    @kedge.function(name="tested")
    def count(x: int) -> Any:
        yield from range(x)

    mine = Seeing()
    with using(mine):
        assert double.run(1) == 2
        submitted = double.submit(2)
        mapped = double.map([3, 4])
        items = count.run(2)
    assert submitted.result() == 4 and list(mapped) == [6, 8] and list(items) == [0, 1]
    assert len(mine.seen) == 5
    double.run(5)
    assert len(mine.seen) == 5


FAMILIES = (TaskMiddleware, RuntimeMiddleware, TargetMiddleware, ExecutorMiddleware)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_exception_reaches_whoever_asked_and_leaves_nothing_behind(
    family: type[Any], after: bool
) -> None:
    class Failing(family):  # type: ignore[misc]
        async def __call__(self, context: Any, call_next: Any) -> Any:
            if after:
                await call_next(context)
            raise LookupError("mine")

    id = f"fails-{family.__name__}-{after}".lower()
    task = Task(id=id, runtime=CommandRuntime("true"))
    with using(Failing()):
        for run in (task.run_sync, lambda: asyncio.run(task.run())):
            with pytest.raises(LookupError, match="mine"):
                run()
    runs = runs_of(id)
    recorded = family in FAMILIES[2:] or (family is TaskMiddleware and after)
    assert len(runs) == 2 * recorded
    for run in runs:
        assert run.status == ("succeeded" if family is TaskMiddleware else "failed")
        if run.failure is not None:
            assert run.failure["kind"] == "lost" and "LookupError: mine" in run.failure["message"]
            assert "in __call__" in run.failure["traceback"]
            assert "middleware" in run.failure["hint"]
        assert not os.path.exists(os.path.join(run.folder, "workspace"))
        assert not os.path.exists(os.path.join(run.folder, "control"))
    assert task.run_sync().failure is None


def test_a_failure_of_kedges_own_kinds_is_the_runs() -> None:
    class Refusing(ExecutorMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            raise FunctionError("not today")

    with using(Refusing()):
        ended = in_process("refused").run_sync()
    assert isinstance(ended.failure, FunctionError) and ended.run.failure_kind == "function_error"


def test_a_limit_that_only_the_executor_was_given_ends_a_run_as_any_other() -> None:
    class Hurried(ExecutorMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            job = replace(context.job, resources=replace(context.job.resources, timeout=0.2))
            return await call_next(replace(context, job=job))

    with using(Hurried()):
        ended = Task(runtime=CommandRuntime("sleep 60"), executor="process").run_sync()
    assert isinstance(ended.failure, RunTimeout)
    assert str(ended.failure) == "the run outlived its timeout"


def test_one_that_waits_for_a_loop_is_named_where_none_runs_also_when_it_is_awaited() -> None:
    class Sleeping(TaskMiddleware, ExecutorMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            if self.there in type(context).__name__:
                await asyncio.sleep(0.01)
            return await call_next(context)

        def __init__(self, there: str) -> None:
            self.there = there

    said = "Sleeping.__call__\\(\\) waits for an event loop"
    with using(Sleeping("Task")):
        with pytest.raises(UsageError, match=said):
            in_process("sleeping-middleware").run_sync()
        with pytest.raises(UsageError, match=said):
            asyncio.run(in_process("sleeping-middleware").run())
    assert runs_of("sleeping-middleware") == []
    with using(Sleeping("Executor")):
        ended = in_process("sleeping-middleware").run_sync()
    assert isinstance(ended.failure, StartFailed) and "waits for an event loop" in str(
        ended.failure
    )
    assert not os.path.exists(os.path.join(ended.run.folder, "workspace"))


def test_one_that_blocks_holds_up_no_loop() -> None:
    class Blocking(TaskMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            time.sleep(0.2)
            return await call_next(context)

    async def main() -> int:
        ticks = 0
        with using(Blocking()):
            run = asyncio.ensure_future(in_process("blocked").run())
        while not run.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(main()) > 5


def test_one_without_a_result_or_that_runs_a_program_twice_fails_the_run_by_name() -> None:
    class Forgets(TargetMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            await call_next(context)

    class Again(ExecutorMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            await call_next(context)
            return await call_next(context)

    for wrong, said in ((Forgets(), "Forgets` gives no result"), (Again(), "Again` calls")):
        with using(wrong):
            ended = in_process("wrong").run_sync()
        assert isinstance(ended.failure, StartFailed) and said in str(ended.failure)
        assert ended.run.status == "failed"
