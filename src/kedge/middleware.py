"""Middleware: what is wrapped around setting up, executing and placing, without touching either.

    class Timing(ExecutorMiddleware):
        async def __call__(self, context, call_next):
            started = time.monotonic()
            try:
                return await call_next(context)
            finally:
                print(context.job.run_id, time.monotonic() - started)

    register(Timing())             # from here on, everywhere
    with using(Timing()): ...      # for the length of the block, in this context alone

What was registered first is outermost, whichever way. An exception in one propagates like any other.
`call_next` takes the context, so that a middleware may hand on a changed copy of it.
"""

import itertools
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kedge.errors import UsageError


class Middleware:
    """Base of the families below; an instance is called once for each thing it is around."""

    async def __call__(self, context: Any, call_next: Callable[[Any], Awaitable[Any]], /) -> Any:
        """Do what is to be done before, `return await call_next(context)`, and what comes after."""
        return await call_next(context)


class RuntimeMiddleware(Middleware):
    """Around a runtime making a payload from a task."""


class ExecutorMiddleware(Middleware):
    """Around an executor running a payload."""


class TargetMiddleware(Middleware):
    """Around a target placing a payload."""


class TaskMiddleware(Middleware):
    """Around a task as a whole, from its inputs to its result."""


_Entry = tuple[int, Middleware]
_order = itertools.count()
_lock = threading.Lock()
_everywhere: tuple[_Entry, ...] = ()
_here: ContextVar[tuple[_Entry, ...]] = ContextVar("kedge_middleware", default=())


def register(middleware: Middleware) -> None:
    """Put `middleware` around everything of its family from now on, in every thread.

    Raises:
        UsageError: it is not an instance of one of the families.
    """
    global _everywhere
    _check(middleware)
    with _lock:
        _everywhere = (*_everywhere, (next(_order), middleware))


def unregister(middleware: Middleware) -> None:
    """Take `middleware` away again; one that is not registered is no error."""
    global _everywhere
    with _lock:
        _everywhere = tuple(entry for entry in _everywhere if entry[1] is not middleware)


@contextmanager
def using(*middlewares: Middleware) -> Iterator[None]:
    """Put `middlewares` around everything of their families for the length of the `with` block.

    Only this context sees them: not another thread, not a task that runs at the same time.
    """
    for middleware in middlewares:
        _check(middleware)
    token = _here.set((*_here.get(), *((next(_order), one) for one in middlewares)))
    try:
        yield
    finally:
        _here.reset(token)


async def around[Context, Result](
    family: type[Middleware],
    context: Context,
    innermost: Callable[[Context], Awaitable[Result]],
) -> Result:
    """Call `innermost(context)` inside every middleware of `family`, the first registered outermost."""
    entries = _everywhere + _here.get()
    if not entries:
        return await innermost(context)
    call: Callable[[Context], Awaitable[Result]] = innermost
    for _, middleware in sorted(entries, key=lambda entry: entry[0], reverse=True):
        if isinstance(middleware, family):
            call = _wrap(middleware, call)
    return await call(context)


def drive[Result](coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never suspends, without an event loop (or its import).

    >>> async def double(x): return 2 * x
    >>> drive(double(21))
    42

    Raises:
        UsageError: it awaited something that only an event loop can complete.
    """
    name = getattr(coroutine, "__qualname__", "the coroutine")
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    except RuntimeError as error:
        # What asyncio says when code that belongs in its loop is called outside of one.
        if "no running event loop" not in str(error):
            raise
        raise _suspends(name) from error
    coroutine.close()
    raise _suspends(name)


def _suspends(name: str) -> UsageError:
    return UsageError(
        f"{name}() waits for an event loop, but was called where none runs",
        hint="call it from async code (`await task.run()`), or make it not await anything slow",
    )


def _wrap[Context, Result](
    middleware: Middleware, call_next: Callable[[Context], Awaitable[Result]]
) -> Callable[[Context], Awaitable[Result]]:
    async def call(context: Context) -> Result:
        result: Result = await middleware(context, call_next)
        return result

    return call


def _check(middleware: Middleware) -> None:
    if not isinstance(middleware, Middleware):
        raise UsageError(
            f"{middleware!r} is not a middleware",
            hint="make an instance of a class derived from ExecutorMiddleware or one of its siblings",
        )
