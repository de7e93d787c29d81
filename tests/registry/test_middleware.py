"""Middleware nests in registration order; coroutines that never suspend need no loop."""

import asyncio
import subprocess
import sys
import threading

import pytest

from kedge.data import Data
from kedge.errors import UsageError
from kedge.middleware import (
    ExecutorMiddleware,
    TargetMiddleware,
    around,
    drive,
    register,
    unregister,
    using,
)


class Said(Data):
    text: str


class Noting(ExecutorMiddleware):
    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    async def __call__(self, context, call_next):
        self.notes.append(f"{self.name} before")
        try:
            return await call_next(Said(f"{context.text}{self.name}"))
        finally:
            self.notes.append(f"{self.name} after")


async def echo(text: str) -> str:
    return f"{text}!"


def call() -> str:
    return drive(around(ExecutorMiddleware, Said, echo, ">"))


def test_without_middleware_the_innermost_is_called() -> None:
    assert call() == ">!"


def test_the_first_registered_is_outermost_whichever_way() -> None:
    notes: list[str] = []
    first, third = Noting("1", notes), Noting("3", notes)
    register(first)
    try:
        with using(Noting("2", notes)):
            register(third)
            assert call() == ">123!"
    finally:
        unregister(first)
        unregister(third)
    assert notes == ["1 before", "2 before", "3 before", "3 after", "2 after", "1 after"]
    assert call() == ">!"


def test_another_family_is_not_called() -> None:
    class Other(TargetMiddleware):
        async def __call__(self, context, call_next):
            raise AssertionError

    with using(Other()):
        assert call() == ">!"


def test_an_exception_goes_through_like_any_other() -> None:
    class Failing(ExecutorMiddleware):
        async def __call__(self, context, call_next):
            await call_next(context)
            raise ZeroDivisionError

    notes: list[str] = []
    with using(Noting("1", notes), Failing()), pytest.raises(ZeroDivisionError):
        call()
    assert notes == ["1 before", "1 after"]


def test_a_block_is_not_seen_by_another_thread_or_task() -> None:
    notes: list[str] = []
    seen: list[str] = []
    with using(Noting("1", notes)):
        thread = threading.Thread(target=lambda: seen.append(call()))
        thread.start()
        thread.join()
    assert seen == [">!"]

    async def one(name: str, entered: asyncio.Event, other: asyncio.Event) -> str:
        with using(Noting(name, notes)):
            entered.set()
            await other.wait()
            return await around(ExecutorMiddleware, Said, echo, ">")

    async def both() -> list[str]:
        a, b = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(one("a", a, b), one("b", b, a))

    assert asyncio.run(both()) == [">a!", ">b!"]


def test_what_is_no_middleware_is_refused() -> None:
    for thing in (Noting, lambda context, call_next: None, None):
        with pytest.raises(UsageError, match="is not a middleware"):
            register(thing)  # type: ignore[arg-type]


def test_what_is_next_is_called_once() -> None:
    class Again(ExecutorMiddleware):
        async def __call__(self, context, call_next):
            await call_next(context)
            return await call_next(context)

    notes: list[str] = []
    with (
        using(Again(), Noting("1", notes)),
        pytest.raises(UsageError, match="Again` calls `call_n"),
    ):
        call()
    assert notes == ["1 before", "1 after"]
    assert call() == ">!"


def test_a_middleware_may_give_a_result_of_its_own_but_not_none() -> None:
    class Instead(ExecutorMiddleware):
        async def __call__(self, context, call_next):
            return "instead"

    class Forgets(ExecutorMiddleware):
        async def __call__(self, context, call_next):
            await call_next(context)

    with using(Instead()):
        assert call() == "instead"
    with using(Forgets()), pytest.raises(UsageError, match="Forgets` gives no result"):
        call()


def test_a_middleware_that_waits_for_an_event_loop_is_named() -> None:
    class Sleeping(ExecutorMiddleware):
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        async def __call__(self, context, call_next):
            await asyncio.sleep(self.seconds)
            return await call_next(context)

    class Elsewhere(ExecutorMiddleware):
        async def __call__(self, context, call_next):
            return await asyncio.get_event_loop().run_in_executor(None, call_next, context)

    notes: list[str] = []
    for slow in (Sleeping(0), Sleeping(1)):
        with using(Noting("1", notes), slow), pytest.raises(UsageError) as raised:
            call()
        assert "Sleeping.__call__() waits for an event loop" in str(raised.value)
    assert notes == ["1 before", "1 after"] * 2

    def elsewhere() -> None:  # in a thread of its own: other tests may have left a loop in this one
        with using(Elsewhere()), pytest.raises(UsageError, match=r"Elsewhere\.__call__"):
            call()
        notes.append("refused")

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert notes[-1] == "refused"


def test_drive_gives_the_result_or_the_exception() -> None:
    async def good() -> int:
        return 42

    async def bad() -> int:
        raise KeyError("x")

    assert drive(good()) == 42
    with pytest.raises(KeyError):
        drive(bad())


def test_a_coroutine_that_suspends_is_refused_by_name() -> None:
    async def slow() -> None:
        await asyncio.sleep(0)

    async def slower() -> None:
        await asyncio.sleep(1)

    with pytest.raises(UsageError, match="slow"):
        drive(slow())
    with pytest.raises(UsageError, match="slower"):
        drive(slower())


def test_another_runtime_error_is_left_alone() -> None:
    async def broken() -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        drive(broken())


def test_driving_imports_no_event_loop() -> None:
    code = (
        "import sys\n"
        "from kedge.data import Data\n"
        "from kedge.middleware import ExecutorMiddleware, around, drive\n"
        "import kedge.executor.sandbox, kedge.executor.process, kedge.runtime.python, kedge.target\n"
        "async def inner(): return 1\n"
        "assert drive(around(ExecutorMiddleware, Data, inner)) == 1\n"
        "print([name for name in ('asyncio', 'importlib.metadata', 'pydantic', 'subprocess', 'ctypes')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
