"""One run, from values to result: the only way a function is run.

Synchronous from end to end: stage, start, watch, collect, record. Every failure of the function ends up
in the result, recorded; what raises here was wrong before anything started.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from kedge import settings
from kedge.contract import workspace
from kedge.data import Data, field
from kedge.errors import EnvironmentFailed, InputError, RunFailed
from kedge.executor import Cancel, Choice, Executor, Stopped, choose, clear
from kedge.package import resources
from kedge.package.machine import this_machine
from kedge.package.source import PackageSource
from kedge.ports import check_inputs, defaults, extensions_of, kind_of, mask
from kedge.run import events, record, secrets, unrecorded
from kedge.run.description import Function
from kedge.run.execution import Observer, Result, stopped
from kedge.run.ground import ImageGround
from kedge.run.performing import Surroundings, input_files, perform
from kedge.run.prepare import Prepared, prepare
from kedge.runtime import Runtime
from kedge.runtime.python import PythonRuntime
from kedge.target import LocalTarget
from kedge.task import ImageRoot, Published, Resources, Task, declared, given

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool

__all__ = [
    "Observer",
    "Ready",
    "Request",
    "Result",
    "ready",
    "run",
    "settle",
    "stopped",
    "task_of",
]


class Request(Data):
    """What is asked for.

    Args:
        function: the function's name; None when the package has only one.
        values: inputs by port; a File is a path on this machine.
        overrides: the caller's own `cpu`, `memory_mb`, `timeout`; absent or None: as the package says.
        executor: its kind; None: as configured.
        network: whether to allow the network although the package does not ask for it.
        keep: whether to keep the workspace as the code left it.
        asked: when it was asked for, by `time.monotonic()`; what waits its turn was asked for before.
        publish: where it serves while it goes on; None for what does not serve.
    """

    function: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    executor: str | None = None
    network: bool = False
    keep: bool = False
    asked: float = field(default_factory=time.monotonic)
    publish: Published | None = None


class Ready(Data):
    """A package that is ready to run.

    Args:
        source: where it is, for the record.
        prepared: from `kedge.run.prepare.prepare`.
        entry: the run that was recorded while it was prepared, None when that took no work.
        preparing_s: seconds that preparing took, for the record.
    """

    source: PackageSource
    prepared: Prepared
    entry: record.Run | None = None
    preparing_s: float = 0.0


@contextmanager
def ready(
    source: PackageSource,
    function: str | None = None,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    *,
    mode: Literal["auto", "locked"] = "auto",
    executor: str | None = None,
) -> Iterator[Ready]:
    """A package made ready for one run, which is recorded from the moment that this takes work.

    A run that was recorded and is not started in the block is forgotten again.

    Args:
        source: from `kedge.package.source.open_package`.
        function: the function's name as it was asked for, for the record.
        observer: told what is done.
        cancel: the request to stop.
        mode: `locked` refuses to resolve again.
        executor: the kind of executor that was asked for.

    Raises:
        RunCancelled, Lost: a stop was asked for.
        EnvironmentFailed: its environment cannot be made; this is recorded as a run that failed.
        KedgeError: what else `kedge.run.prepare.prepare` raises; nothing of that is recorded.
    """
    observer = observer or Observer()
    cancel = cancel or Cancel()
    preparing = _Preparing(source, function, observer, cancel)
    try:
        with cancel.interrupting():
            prepared = prepare(
                source, preparing.step, mode=mode, executor=executor, detail=observer.detail
            )
        yield Ready(source, prepared, preparing.entry, preparing.seconds())
    except Stopped:
        raise preparing.failed(stopped(cancel)) from None
    except EnvironmentFailed as error:
        if error.run_id is None:  # else it is a run's own, which ended in the block
            preparing.failed(error, always=True)
        raise
    finally:
        if preparing.entry is not None:
            record.discard(preparing.entry)
        cancel.deafen()


class _Preparing:
    """The record of a run whose package is being prepared, made when there is something to do."""

    def __init__(
        self, source: PackageSource, function: str | None, observer: Observer, cancel: Cancel
    ) -> None:
        self.entry: record.Run | None = None
        self._began = time.monotonic()
        self._source = source
        self._function = function
        self._observer = observer
        self._cancel = cancel

    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def step(self, text: str) -> None:
        if self.entry is None:
            with self._cancel.held_back():  # else a record could be made that nobody knows of
                entry = record.create(function=self._function, source=self._source.root)
                self.entry = record.update(entry, status="preparing")
                self._cancel.listen(self.entry.control)
        events.append(self.entry.id, "preparing", {"what": text})
        self._observer.step(text)

    def failed(self, error: RunFailed, *, always: bool = False) -> RunFailed:
        """End the run by `error`; with `always`, one that was not recorded yet as well."""
        if self.entry is None and always:
            self.entry = record.create(function=self._function, source=self._source.root)
        if self.entry is not None:
            measured = {"queued_s": 0.0, "preparing_s": self.seconds()}
            self.entry = record.finish(self.entry, error, measured=measured)
            error.run_id = self.entry.id
        return error


def run(
    ready: Ready,
    request: Request,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    pool: "Pool | None" = None,
) -> Result:
    """Run one function once.

    Args:
        ready: the package, from `ready`; or `Ready(source, prepare(source))`, for many runs of one.
        request: what is asked for.
        observer: told what happens, in this thread.
        cancel: the request to stop, which may come at any moment.
        pool: what is kept warm; None: the run has a process of its own from its start on.

    Raises:
        UnknownName, ManifestError: no function that can be run.
        InputError: values that its ports do not admit, all of them.
        TaskError, Unavailable: limits or an executor that this machine does not have.
    """
    observer = observer or Observer()
    cancel = cancel or Cancel()
    waited = {
        "queued_s": round(time.monotonic() - request.asked, 3),
        "preparing_s": ready.preparing_s,
    }
    prepared = ready.prepared
    function = prepared.description.function(request.function)
    inputs, problems = check_inputs(function.input_ports, dict(request.values))
    if problems:
        raise InputError.of(problems, f"the inputs of `{function.name}`")
    limits, _, notices = resources.effective(
        prepared.description.resources, function.resources, request.overrides, this_machine()
    )
    chosen = _chosen(prepared, request.executor)
    if request.publish is not None:
        from kedge.executor import publishing

        publishing.check(request.publish, chosen.executor.kind)
    warnings = [*notices, *([chosen.notice] if chosen.notice else [])]
    host_paths = tuple(prepared.description.runtime.get("host_paths") or ())
    warnings += [f"the package sees `{path}` of this machine" for path in host_paths]
    bound = inputs
    if isinstance(prepared.ground, ImageGround):  # no signature fills them in there
        bound = defaults(function.input_ports) | inputs
    task = task_of(prepared, function, request, bound, limits, chosen.executor)
    if not prepared.description.runtime.get("warm", True):
        pool = None
    facts: dict[str, Any] = {
        "package": prepared.description.name,
        "package_version": prepared.description.version,
        "source": ready.source.root,
        "handler": function.handler,
        "runtime": prepared.description.runtime["kind"],
        "snapshot": prepared.snapshot.digest,
        "environment": prepared.environment,
        "interpreter": _interpreter(prepared),
        "inputs": mask(function.input_ports, inputs),
        "input_files": input_files(function.input_ports, inputs),
    }
    surroundings = Surroundings(
        facts,
        tuple(warnings),
        prepared.snapshot.folder,
        host_paths,
        ready.entry,
        waited,
        request.keep,
    )
    return perform(task, surroundings, observer, cancel, pool)


def _chosen(prepared: Prepared, asked: str | None) -> Choice:
    """The executor; for an image that of the engine which has it."""
    if prepared.image is not None:
        return choose(prepared.image.engine, image=True)
    return choose(asked or settings.get("executor"))


def _interpreter(prepared: Prepared) -> str | None:
    ground = prepared.ground
    return None if isinstance(ground, ImageGround) else ground.interpreter


def settle() -> None:
    """Settle the runs whose process is gone: what they left on this machine, then their records.

    And what was killed while it did its work without a record.
    """
    record.settle_lost(_clear)
    unrecorded.sweep()


def _clear(lost: record.Run) -> None:
    place = os.path.join(lost.folder, "workspace")
    clear(lost.id, lost.executor, place)
    with suppress(OSError):  # another process is at it too; what cannot go now, `kedge gc` removes
        workspace.remove(place)
    with suppress(OSError):
        os.unlink(lost.control)


def task_of(
    prepared: Prepared,
    function: Function,
    request: Request,
    inputs: Mapping[str, Any],
    limits: Resources,
    executor: Executor,
) -> Task:
    """The task that binds a function to checked inputs, limits and an executor."""
    kinds = {name: kind_of(schema) for name, schema in function.input_ports.properties.items()}
    outputs = function.output_ports
    ground = prepared.ground
    env = secrets.filled(function.env)
    runtime: Runtime[Any]
    if isinstance(ground, ImageGround):
        from kedge.runtime.image import DockerfileRuntime, ImageRuntime

        block = prepared.description.runtime
        made = ImageRuntime if block["kind"] == "image" else DockerfileRuntime
        runtime = made(
            entrypoint=function.entrypoint,
            root=ImageRoot(
                image=ground.image.id,
                folder=ground.image.folder or "/workspace",
                variables=ground.image.variables,
                as_its_user=block.get("user") == "image",
                writable=bool(block.get("writable")),
            ),
            env=env,
        )
    else:
        runtime = PythonRuntime(
            python=ground.python,
            root=ground.root,
            runner=ground.runner,
            handler=function.handler or "",
            inputs={name: kind for name, kind in kinds.items() if kind != "value"},
            outputs={
                name: {"kind": kind_of(schema), "extensions": list(extensions_of(schema))}
                for name, schema in outputs.properties.items()
            },
            convert=function.convert,
            open=outputs.open is not None,
            env=env,
        )
    return Task(
        id=function.name,
        name=f"{prepared.description.name}#{function.name}",
        runtime=runtime,
        executor=executor,
        target=LocalTarget(),
        resources=limits,
        inputs=given(function.input_ports, inputs),
        outputs=declared(outputs),
        open=outputs.open,
        description=function.description,
        network=function.network or request.network,
        publish=request.publish,
    )
