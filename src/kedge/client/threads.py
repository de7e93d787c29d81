"""Threads that wait for work and keep no interpreter from ending."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, final

from kedge.errors import UsageError

_END_S: Final = 1.0  # for idle threads to end; one that waits for somebody else's iterator may not


class Closed(UsageError):
    """Something is wanted of a package that was closed."""


@final
class Threads(Executor):
    """Threads that are started when none is free, and stay for the next work.

    Those of `ThreadPoolExecutor` are waited for when the interpreter ends, before anything can ask their
    runs to stop; these are not. Each remains, since a thread that has used the store has it open. Work sees
    the context (`contextvars`) of whoever gave it.

    Args:
        most: at once; what is given beyond that waits. None for no bound.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._free = 0
        self._waiting = 0
        self._over = False

    def submit[**Given, Result](
        self, work: Callable[Given, Result], /, *args: Given.args, **named: Given.kwargs
    ) -> "Future[Result]":
        """Have `work` done in a thread.

        Raises:
            Closed: after `shutdown`.
            UsageError: no thread is free, and Python starts none any more.
        """
        future: Future[Result] = Future()
        task = partial(copy_context().run, _do, future, partial(work, *args, **named))
        with self._lock:
            if self._over:
                raise closed()
            if self._free:
                self._free -= 1
            elif self._most is None or len(self._threads) < self._most:
                thread = threading.Thread(target=self._serve, name="kedge", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # Python starts none once the main thread has ended
                    raise UsageError(
                        f"no thread can be started for it: {error}",
                        hint="call the function instead: in a thread of yours that needs no other; "
                        "or submit it before the main thread ends",
                    ) from error
                self._threads.append(thread)
            else:
                self._waiting += 1
            self._work.put(task)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Let the threads end once all work is done, and wait a moment for that.

        Else what they have open is closed by the end of the interpreter, in the thread that it ends in.
        """
        with self._lock:
            self._over = True
            for _ in self._threads:
                self._work.put(None)
        until = time.monotonic() + _END_S
        for thread in self._threads if wait else ():
            if thread is not threading.current_thread():  # the last to refer to a package closes it
                thread.join(max(0.0, until - time.monotonic()))

    def _serve(self) -> None:
        while (task := self._work.get()) is not None:
            task()
            del task  # else what it refers to lives until the next one comes
            with self._lock:
                if self._waiting:
                    self._waiting -= 1
                else:
                    self._free += 1


def wait[Result](future: "Future[Result]", stop: Callable[[bool], Any]) -> Result:
    """What comes of `future`; whatever interrupts the wait (Ctrl-C) is raised once that has ended.

    `stop` is called with False when the wait is interrupted, and with True when that wait is as well: at once.
    """
    try:
        future.exception()
    except BaseException:
        try:
            stop(False)
            future.exception()
        except BaseException:
            stop(True)
            future.exception()
            raise
        raise
    return future.result()


def closed() -> Closed:
    """The error of who wants something of a package that was closed."""
    return Closed("the package was closed", hint="load it again with kedge.load()")


def _do(future: "Future[Any]", work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - whoever waits for the result is told
        future.set_exception(error)
    else:
        future.set_result(result)
