"""Waiting in asynchronous code for what is done in threads. asyncio is loaded by whoever runs a loop."""

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

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

    try:
        await _over(future)
    except asyncio.CancelledError:
        stop(False)
        while not future.done():
            try:
                await _over(future)
            except asyncio.CancelledError:
                stop(True)
        raise
    return future.result()


async def _over(future: "Future[Any]") -> None:
    """Wait until `future` is done; to be cancelled does nothing to it."""
    import asyncio

    loop = asyncio.get_running_loop()
    waiting = loop.create_future()
    future.add_done_callback(partial(_tell, loop, waiting))
    await waiting


def _tell(loop: "asyncio.AbstractEventLoop", waiting: "asyncio.Future[None]", _: Any) -> None:
    with suppress(RuntimeError):  # the loop was closed: nobody waits any more
        loop.call_soon_threadsafe(_end, waiting)


def _end(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


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
