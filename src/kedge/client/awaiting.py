"""Waiting in asynchronous code for what is done in threads. asyncio is loaded by whoever runs a loop."""

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any, Final

_END: Final = object()


def has_loop() -> bool:
    """Whether a loop runs in this thread."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


async def ended[Result](future: "Future[Result]", stop: Callable[[bool], Any]) -> Result:
    """What comes of `future`.

    When the task that waits is cancelled, `stop` is called, and the task ends once `future` has. Each time
    that it is cancelled again, `stop` is called with True: at once.
    """
    import asyncio

    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        stop(False)
        while not waiting.done():
            try:
                await asyncio.wait([waiting])
            except asyncio.CancelledError:
                stop(True)
        if not waiting.cancelled():
            waiting.exception()  # else asyncio complains that nobody asked for it
        raise


async def each[Value](
    values: Generator[Value], stop: Callable[[bool], Any], threads: Executor
) -> AsyncGenerator[Value]:
    """The values of a generator that blocks, each taken in a thread.

    Args:
        values: closed in the end.
        stop: makes the generator give its next value, or end; called as `ended` does.
        threads: where it is waited for.
    """
    try:
        while (value := await ended(threads.submit(_next, values), stop)) is not _END:
            yield value
    finally:
        await ended(threads.submit(values.close), stop)


def _next(values: Generator[Any]) -> Any:
    return next(values, _END)
