"""A run that was submitted: its result when it is wanted, and a look at it before."""

import os
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, final

from kedge.client import awaiting, hints
from kedge.client.opened import Opened
from kedge.client.threads import Closed, wait
from kedge.data import replace
from kedge.errors import KedgeError, RunCancelled, UsageError
from kedge.executor import Cancel
from kedge.run import core, events
from kedge.run import record as records
from kedge.run.log import read_log


@final
class Run:
    """One run of a function, made by `submit`. It goes on whether anybody waits for it or not.

    `await run` is `run.result()` in asynchronous code; to cancel the task that waits cancels the run.

    >>> run = package.mesh.submit(size=0.1)
    >>> run.status
    'running'
    >>> run.result(timeout=60)
    """

    def __init__(
        self,
        opened: Opened,
        ready: core.Ready,
        request: core.Request,
        read: Callable[[core.Result], Any],
        after: ExitStack,
        observer: core.Observer,
    ) -> None:
        self._opened = opened
        self._ready: core.Ready | None = ready
        self._request: core.Request | None = request
        self._name = f"{ready.prepared.description.name}#{request.function}"
        self._read = read
        self._observer = observer
        self._after = after
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._cancel: Cancel | None = None  # it has descriptors: only while the run goes on
        self._recorded: records.Run | None = None
        self._future: Future[core.Result] = Future()
        self._answers = threading.Event()  # or it has ended
        self._serves = False

    @property
    def id(self) -> str | None:
        """The run's id, as `kedge show` takes it; None before it has begun."""
        return self._recorded.id if self._recorded is not None else None

    @property
    def status(self) -> str:
        """`created` until it goes on, `running`, then `succeeded`, `failed` or `cancelled`."""
        if self._future.done():
            error = self._future.exception()
            if error is not None:
                return "cancelled" if isinstance(error, RunCancelled) else "failed"
            return self._future.result().run.status
        return "created" if self._recorded is None else records.get(self._recorded.id).status

    def done(self) -> bool:
        """Whether it has ended, however it did."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> Any:
        """What the function gives, once it has ended: as a call of the function would have returned it.

        Args:
            timeout: seconds to wait at most; None: until it ends.

        Raises:
            TimeoutError: it has not ended by then, and goes on.
            UsageError: this is a forked child, and its parent submitted it; so too `cancel` and `await`.
            RunFailed: it failed; the subclass says how.
            KedgeError: it could not be begun.
        """
        self._check_process()
        try:
            ended = self._future.result(timeout)
        except TimeoutError:
            if self._future.done():  # then it is the run's own
                raise
            raise TimeoutError(f"{self!r} has not ended within {timeout:g} s") from None
        except KedgeError as error:
            # Where it came from in another thread says nothing.
            raise error.with_traceback(None) from None
        return self._read(ended)

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until it answers at its port; whether it does, and False too when it has ended before.

        Args:
            timeout: seconds to wait at most; None: until it does or ends.
        """
        self._check_process()
        self._answers.wait(timeout)
        return self._serves

    def cancel(self, force: bool = False) -> None:
        """Ask it to stop; nothing if it has ended. Who waits for its result gets `kedge.RunCancelled`.

        Args:
            force: without the grace period in which it may tidy up.
        """
        self._check_process()
        with self._lock:
            if self._cancel is not None:
                self._cancel.request(force=force)
                return
            if self._request is None:  # it has ended
                return
            self._end()
        self._future.set_exception(_never_begun())

    def logs(self) -> str:
        """What it has written so far, standard output and standard error in the order they came."""
        if self._recorded is None:
            return ""
        path = os.path.join(self._recorded.folder, "log")
        if not os.path.exists(path):
            return ""
        return b"".join(data for _, _, data in read_log(path)).decode("utf-8", "replace")

    def progress(self) -> list[Mapping[str, Any]]:
        """The events of its progress so far, the newest last."""
        if self._recorded is None:
            return []
        found = events.events(self._recorded.id)
        return [event.data for event in found if event.type == events.PROGRESS]

    def record(self) -> Mapping[str, Any] | None:
        """All that is on record: inputs, outputs, artifacts, what was measured; None before it has begun."""
        return None if self._recorded is None else records.get(self._recorded.id).to_json()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        self._check_process()
        await awaiting.ended(self._future, self.cancel)
        return self.result()

    def __repr__(self) -> str:
        return f"<kedge run {self.id or ''} of {self._name}: {self.status}>".replace("  ", " ")

    def wait_or_cancel(self) -> Any:
        """Its result; whatever interrupts the wait (Ctrl-C) cancels it, and a second time at once."""
        wait(self._future, self.cancel)
        return self.result()

    def execute(self) -> None:
        """Run it, in this thread, unless it was cancelled before."""
        with self._lock:
            ready, request = self._ready, self._request
            if ready is None or request is None:
                return
            self._cancel = Cancel()
        try:
            observer = replace(self._observer, started=self._begun, ready=self._serving)
            ended = self._opened.run(ready, request, self._cancel, observer)
        except Closed:  # while it waited for its turn
            self._over()
            self._future.set_exception(_never_begun())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result is told
            self._over()
            self._future.set_exception(error)
        else:
            self._over()
            self._future.set_result(ended)

    @hints.shown()
    def _check_process(self) -> None:
        """Refuse what only the process that submitted it can do: the thread that runs it is there."""
        if self._process != os.getpid():
            raise UsageError(
                "a run goes on in the process that submitted it, and this is a child of that one",
                hint="wait for it or cancel it there, or submit it again here",
            )

    def _begun(self, run: records.Run) -> None:
        self._recorded = run

    def _serving(self) -> None:
        self._serves = True
        self._answers.set()
        self._observer.ready()

    def _over(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        """Let go of all that only a run that goes on needs."""
        self._ready = self._request = self._cancel = None
        self._serves = False
        self._answers.set()
        self._after.close()


def _never_begun() -> RunCancelled:
    error = RunCancelled("cancelled before it was its turn to run", hint="submit it again")
    hints.add_notes(error)
    return error
