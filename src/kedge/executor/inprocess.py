"""The `inprocess` executor: Python that runs in Kedge's own process, in the thread that asks for it.

Nothing is isolated, and nothing but its author ends a function that does not return; a coroutine is
cancelled. What it prints goes to its run, as long as it prints in that thread or in tasks of its own loop.
"""

import inspect
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from kedge.contract import failure, runner
from kedge.errors import ContractError
from kedge.executor.base import Executor, Usable
from kedge.executor.job import Ended
from kedge.executor.printing import Printing
from kedge.task.payload import Call, Code, Inside
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.executor.job import Job, Reason
    from kedge.task.resources import Resources

_SIMPLE: Final = (int, float, bool, type(None))
# Characters of an answer; a longer one goes through a file, as those of programs do, and comes under their limit.
_MOST_IN_MEMORY: Final = 1 << 20
_LISTENS_AFTER_S: Final = 0.05  # as long as a run of this process is known to no other
_NOT_LIMITED: Final = "code that runs in Kedge's own process is neither isolated nor limited"


class InProcessExecutor(Executor):
    """Python functions and source, in the thread that asks."""

    kind: ClassVar[str] = "inprocess"
    kind_name = _("In process")
    kind_description = _("Runs Python in Kedge's own process, without isolation.")
    accepts: ClassVar[tuple[type, ...]] = (Call, Code)
    of_this_process: ClassVar[bool] = True

    def usable(self, *, fresh: bool = False) -> Usable:  # noqa: ARG002 - there is nothing to try
        """Always."""
        return Usable(True)

    def missing(self, resources: "Resources") -> list[str]:  # noqa: ARG002 - all of it
        """That there is no isolation."""
        return [_NOT_LIMITED]

    def workspace(self, job: "Job") -> str:
        """The folder itself."""
        return job.workspace.folder

    async def _execute(self, payload: Any, job: "Job") -> Ended:
        began, used = time.monotonic(), time.thread_time()
        code = 0
        reason: Reason = "exited"
        answer = reported = None
        with Printing(job.on_output):
            try:
                value = _called(payload, job)
                answer = _answer(value, payload, job)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and _is_main_thread():
                    raise  # Ctrl-C, which is for the program as a whole
                code = 1
                if isinstance(error, _Ended):
                    reason = error.reason
                else:
                    reported = _told(error)
        wall, outlived = time.monotonic() - began, False
        if reason == "exited":  # so it is by itself, whatever was asked of it
            timeout = job.resources.timeout
            outlived = job.cancel.requested or (timeout is not None and wall > timeout)
        if outlived and job.cancel.requested:  # as of any program, whatever it made of that
            code, reason, answer = 1, "cancelled", None
        job.on_tick()
        return Ended(
            exit_code=code,
            signal=None,
            reason=reason,
            wall_s=wall,
            cpu_s=time.thread_time() - used,
            peak_memory_mb=None,
            read_bytes=None,
            written_bytes=None,
            answer=answer,
            reported=reported,
            outlived=outlived,
        )


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class _Ended(BaseException):
    """A coroutine was cancelled because a stop was asked for, or its time was over."""

    def __init__(self, reason: "Reason") -> None:
        super().__init__(reason)
        self.reason = reason


def _called(payload: Call | Code, job: "Job") -> Any:
    """What the function returns, or the names that the source leaves and the task declares."""
    if isinstance(payload, Code):
        names = _placed(payload.names, job)
        return _unheard(job, runner.executed, payload.source, payload.place, names, payload.kinds)
    value = _unheard(job, payload.function, **_placed(payload.arguments, job))
    return _awaited(value, job) if inspect.isawaitable(value) else value


def _unheard(job: "Job", function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
    """What a function returns that nothing can stop."""
    job.cancel.unheard = True
    try:
        return function(*args, **named)
    finally:
        job.cancel.unheard = False


def _placed(arguments: Mapping[str, Any], job: "Job") -> dict[str, Any]:
    if not any(isinstance(value, Inside) for value in arguments.values()):
        return dict(arguments)
    job.make_workspace()
    folder = job.workspace.folder
    return {
        name: Path(folder, value.path) if isinstance(value, Inside) else value
        for name, value in arguments.items()
    }


def _awaited(value: Any, job: "Job") -> Any:
    """What comes of it, in a loop of its own; cancelled when a stop is asked for, or its time is over."""
    import asyncio

    async def awaited() -> Any:
        loop, waiting = asyncio.get_running_loop(), asyncio.ensure_future(value)

        def stop(descriptor: int) -> None:
            loop.remove_reader(descriptor)  # it stays readable: what tidies up is left in peace
            waiting.cancel()

        def listen() -> None:
            job.listen()
            if (control := job.cancel.control_fileno()) is not None:
                loop.add_reader(control, job.cancel.look)

        asked = (job.cancel.fileno(), job.cancel.forced_fileno())
        for descriptor in asked:
            loop.add_reader(descriptor, stop, descriptor)
        loop.call_later(_LISTENS_AFTER_S, listen)
        scope = asyncio.timeout(job.resources.timeout)
        try:
            async with scope:
                return await waiting
        finally:
            control = job.cancel.control_fileno()
            for descriptor in (*asked, *(() if control is None else (control,))):
                loop.remove_reader(descriptor)
            if job.cancel.requested:  # whatever it made of that, as of any program
                raise _Ended("cancelled") from None
            if scope.expired():
                raise _Ended("timeout") from None

    return asyncio.run(awaited())


def _answer(value: Any, payload: Call | Code, job: "Job") -> Mapping[str, Any] | None:
    """The outputs that are values; files are where they belong then. None: they are in a data.json.

    Raises:
        ContractError: what came cannot be the outputs, all that is wrong.
    """
    problems: list[tuple[str, str]] = []
    data, plain = {}, runner.Plain(problems)
    found = value
    if isinstance(payload, Call):
        found = runner.keyed(value, dict(payload.kinds), payload.is_open, problems)
    for port, item in found.items():
        if payload.kinds.get(port, "value") == "value":
            data[port] = plain.of(item, port)
        elif payload.kinds[port] == "pickle":
            _pickle(port, item, job, problems)
        elif item is not None:
            _keep(port, item, job, problems)
    if problems:
        raise ContractError("\n".join(message for message, _ in problems), hint="see its outputs")
    declared = payload.kinds.keys() >= data.keys() or getattr(payload, "is_open", False)
    if declared and all(type(one) in _SIMPLE for one in data.values()):
        return data
    text = runner.write_json(data)
    if declared and len(text) < _MOST_IN_MEMORY:
        answer: Mapping[str, Any] = json.loads(text)  # nothing that the code may change later
        return answer
    job.make_workspace()
    runner.write_file(os.path.join(job.workspace.folder, "out", "data.json"), text)
    return None


def _keep(port: str, item: Any, job: "Job", problems: list[tuple[str, str]]) -> None:
    """Have a file or folder that was returned where the output belongs; maybe it was written there."""
    if not isinstance(item, str | os.PathLike):
        problems.append((f"output `{port}` is a `{type(item).__name__}`: return its path", port))
        return
    job.make_workspace()
    source = os.path.realpath(item)
    folder = os.path.join(job.workspace.folder, "out", "files")
    if os.path.dirname(source) == os.path.realpath(folder):
        return
    try:
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(folder, port), symlinks=True)
        else:
            extension = runner.extension_of(os.fspath(item), ())
            shutil.copyfile(source, os.path.join(folder, f"{port}{extension}"))
    except OSError as error:
        problems.append((f"output `{port}` cannot be had: {error}", port))


def _pickle(port: str, item: Any, job: "Job", problems: list[tuple[str, str]]) -> None:
    """Have an object that was returned in a file, where the output belongs."""
    import pickle

    job.make_workspace()
    place = os.path.join(job.workspace.folder, "out", "files", f"{port}.pkl")
    try:
        with open(place, "wb") as file:
            pickle.dump(item, file)
    except BaseException as error:
        os.unlink(place)  # half of it is none
        if isinstance(error, OSError) or not isinstance(error, Exception):
            raise
        problems.append((f"output `{port}` cannot be pickled: {error}", port))


def _told(error: BaseException) -> dict[str, Any]:
    """Why it failed; printed as well, as Python does."""
    text = runner.traceback_of(error.with_traceback(_theirs(error.__traceback__)))
    print(text, end="", file=sys.stderr)
    record = {
        "error": runner.message_of(error),
        "type": type(error).__qualname__,
        "traceback": text,
    }
    return failure.told(runner.fitting(record))


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame on that is not of this module, or of what runs a coroutine for it."""
    asyncio = os.path.dirname(os.__file__) + "/asyncio/"
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith((__file__, asyncio)):
        trace = trace.tb_next
    return trace
