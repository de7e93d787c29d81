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
`call_next` takes the context, so that a middleware may hand on a changed copy of it. It is called once, or not
at all by a middleware that has a result of its own. It is all that can be awaited: runs go on in plain threads,
without an event loop, in which a middleware may block as it likes.
"""

import itertools
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, Final

from kedge.data import Data
from kedge.errors import UsageError


class Middleware:
    """Base of the families below; an instance is called once for each thing it is around, in any thread.

    One class may be of several families: the context says what it is around.
    """

    async def __call__(self, context: Any, call_next: Callable[[Any], Awaitable[Any]], /) -> Any:
        """Do what is to be done before, `return await call_next(context)`, and what comes after."""
        return await call_next(context)


class RuntimeMiddleware(Middleware):
    """Around a runtime making a payload: from a `kedge.RuntimeContext` to that payload.

    >>> from kedge import PythonFunctionRuntime, RuntimeMiddleware, Task
    >>> from kedge.middleware import using
    >>> class Counted(RuntimeMiddleware):
    ...     times = 0
    ...
    ...     async def __call__(self, context, call_next):
    ...         self.times += 1
    ...         return await call_next(context)
    >>> with using(counted := Counted()):
    ...     _ = Task(runtime=PythonFunctionRuntime(lambda: None)).run_sync()
    >>> counted.times
    1
    """


class ExecutorMiddleware(Middleware):
    """Around an executor running a payload: from a `kedge.ExecutorContext` to a `kedge.executor.Ended`.

    >>> from kedge import ExecutorMiddleware, PythonFunctionRuntime, Task
    >>> from kedge.middleware import using
    >>> class Counted(ExecutorMiddleware):
    ...     times = 0
    ...
    ...     async def __call__(self, context, call_next):
    ...         self.times += 1
    ...         return await call_next(context)
    >>> with using(counted := Counted()):
    ...     _ = Task(runtime=PythonFunctionRuntime(lambda: None)).run_sync()
    >>> counted.times
    1
    """


class TargetMiddleware(Middleware):
    """Around a target placing a payload: from a `kedge.TargetContext` to a `kedge.executor.Ended`.

    >>> from kedge import PythonFunctionRuntime, TargetMiddleware, Task
    >>> from kedge.middleware import using
    >>> class Counted(TargetMiddleware):
    ...     times = 0
    ...
    ...     async def __call__(self, context, call_next):
    ...         self.times += 1
    ...         return await call_next(context)
    >>> with using(counted := Counted()):
    ...     _ = Task(runtime=PythonFunctionRuntime(lambda: None)).run_sync()
    >>> counted.times
    1
    """


class TaskMiddleware(Middleware):
    """Around a task as a whole: from a `kedge.TaskContext` to the run, with its record and its failure.

    >>> from kedge import PythonFunctionRuntime, Task, TaskMiddleware
    >>> from kedge.middleware import using
    >>> class Counted(TaskMiddleware):
    ...     times = 0
    ...
    ...     async def __call__(self, context, call_next):
    ...         self.times += 1
    ...         return await call_next(context)
    >>> with using(counted := Counted()):
    ...     _ = Task(runtime=PythonFunctionRuntime(lambda: None)).run_sync()
    >>> counted.times
    1
    """


# What asyncio says when code that belongs in its loop is called outside of one.
_NO_LOOP: Final = ("no running event loop", "no current event loop")
_COROUTINE: Final = 0x80  # of a code's flags, as `inspect.CO_COROUTINE`: importing that takes 10 ms

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

    Only what is begun in it sees them, in whichever thread it goes on and for as long: not another thread's,
    not those of a task of asyncio that runs at the same time.

    Raises:
        UsageError: one is not an instance of one of the families.
    """
    for middleware in middlewares:
        _check(middleware)
    token = _here.set((*_here.get(), *((next(_order), one) for one in middlewares)))
    try:
        yield
    finally:
        _here.reset(token)


async def around[Result](
    family: type[Middleware],
    kind: type[Data],
    innermost: Callable[..., Awaitable[Result]],
    *given: Any,
) -> Result:
    """Call `innermost(*given)` inside every middleware of `family`, the first registered outermost.

    Those are called with a context of this `kind`, of which `given` are the fields; what they hand on is given then.
    """
    entries = _everywhere + _here.get()
    if not entries:
        return await innermost(*given)

    async def last(context: Any) -> Result:
        return await innermost(*[getattr(context, name) for name in kind.__fields__])

    call: Callable[[Any], Awaitable[Result]] = last
    for _, middleware in sorted(entries, key=lambda entry: entry[0], reverse=True):
        if isinstance(middleware, family):
            call = _wrap(middleware, call)
    return await call(kind(*given))


def drive[Result](coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never suspends, without an event loop (or its import).

    >>> async def double(x): return 2 * x
    >>> drive(double(21))
    42

    Raises:
        UsageError: it awaited something that only an event loop can complete.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    except RuntimeError as error:
        if not any(said in str(error) for said in _NO_LOOP):
            raise
        raise _suspends(_raised(error)) from error
    refusal = _suspends(_awaited(coroutine))
    coroutine.close()
    raise refusal


def _awaited(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a coroutine that is suspended, and of those that it waits for."""
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        yield frame
        coroutine = coroutine.cr_await


def _raised(error: BaseException) -> Iterator[FrameType]:
    """The frames that an error came through."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _suspends(frames: Iterable[FrameType]) -> UsageError:
    name = "the coroutine"
    for frame in frames:
        module = str(frame.f_globals.get("__name__"))
        theirs = module != __name__ and module.partition(".")[0] != "asyncio"
        if theirs and frame.f_code.co_flags & _COROUTINE:
            name = f"{frame.f_code.co_qualname}()"
    return UsageError(
        f"{name} waits for an event loop, and none runs where tasks are run",
        hint="do it without `await`: it blocks no loop, since `await task.run()` leaves that to a thread",
    )


def _wrap[Context, Result](
    middleware: Middleware, call_next: Callable[[Context], Awaitable[Result]]
) -> Callable[[Context], Awaitable[Result]]:
    name = type(middleware).__qualname__

    async def call(context: Context) -> Result:
        called = False

        async def once(context: Context) -> Result:
            nonlocal called
            if called:
                raise UsageError(
                    f"the middleware `{name}` calls `call_next` twice",
                    hint="call it once: what it runs cannot be run again in the same place",
                )
            called = True
            return await call_next(context)

        result: Result | None = await middleware(context, once)
        if result is None:
            raise UsageError(
                f"the middleware `{name}` gives no result",
                hint="end it with `return await call_next(context)`, or with a result of its own",
            )
        return result

    return call


def _check(middleware: Middleware) -> None:
    if not isinstance(middleware, Middleware):
        raise UsageError(
            f"{middleware!r} is not a middleware",
            hint="make an instance of a class derived from ExecutorMiddleware or one of its siblings",
        )
