"""One run, from values to result: the only way a function is run.

Synchronous from end to end: stage, start, watch, collect, record. Every failure of the function ends up
in the result, recorded; what raises here was wrong before anything started.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from kedge import settings
from kedge.contract import failure, progress, workspace
from kedge.errors import (
    EnvironmentFailed,
    InputError,
    KedgeError,
    Lost,
    RunFailed,
    StartFailed,
    StoreError,
)
from kedge.executor import Cancel, Ended, Executor, Job, choose
from kedge.middleware import drive
from kedge.package import resources
from kedge.package.machine import this_machine
from kedge.package.source import PackageSource
from kedge.ports import check_inputs, extensions_of, kind_of, mask
from kedge.run import events, record, secrets
from kedge.run.description import Function
from kedge.run.log import LogWriter, Stream
from kedge.run.outcome import failure_of, last_lines
from kedge.run.prepare import Prepared
from kedge.runtime.python import PythonRuntime
from kedge.target import LocalTarget
from kedge.task import Resources, Task

_STDERR_LINES: Final = 20  # what is kept to explain a program that left no error file
_CARRIED: Final = ("file", "folder", "array", "table")  # kinds of port whose value is one path


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Args:
        function: the function's name; None when the package has only one.
        values: inputs by port; a File is a path on this machine.
        overrides: the caller's own `cpu`, `memory_mb`, `timeout`; absent or None: as the package says.
        executor: its kind; None: as configured.
        network: whether to allow the network although the package does not ask for it.
        keep: whether to keep the workspace as the code left it.
    """

    function: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    executor: str | None = None
    network: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Observer:
    """Who wants to know what happens; every one of these may be left out."""

    started: Callable[[record.Run], None] = lambda _: None
    progress: Callable[[Mapping[str, Any]], None] = lambda _: None
    output: Callable[[Stream, bytes], None] = lambda _stream, _data: None
    notice: Callable[[str], None] = lambda _: None
    detail: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Result:
    """A run that ended, and its failure if it failed."""

    run: record.Run
    failure: RunFailed | None

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs by port; a File is its path. Raises the RunFailed of a run that failed."""
        if self.failure is not None:
            raise self.failure
        files = {port: _paths(entry) for port, entry in self.run.output_files.items()}
        return dict(self.run.outputs) | files


def run(
    source: PackageSource,
    prepared: Prepared,
    request: Request,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    preparing_s: float = 0.0,
) -> Result:
    """Run one function once.

    Args:
        source: where the package is, for the record.
        prepared: from `kedge.run.prepare.prepare`.
        request: what is asked for.
        observer: told what happens, in this thread.
        cancel: the request to stop, which may come at any moment.
        preparing_s: seconds that preparing took, for the record.

    Raises:
        UnknownName, ManifestError: no function that can be run.
        InputError: values that its ports do not admit, all of them.
        TaskError, Unavailable: limits or an executor that this machine does not have.
    """
    observer = observer or Observer()
    function = prepared.description.function(request.function)
    inputs, problems = check_inputs(function.input_ports, dict(request.values))
    if problems:
        raise InputError.of(problems, f"the inputs of `{function.name}`")
    limits, _, notices = resources.effective(
        prepared.description.resources, function.resources, request.overrides, this_machine()
    )
    chosen = choose(request.executor or settings.get("executor"))
    warnings = [*notices, *([chosen.notice] if chosen.notice else [])]
    host_paths = tuple(prepared.description.runtime.get("host_paths") or ())
    warnings += [f"the package sees `{path}` of this machine" for path in host_paths]
    if limits.gpu:
        warnings.append(f"{limits.gpu} GPUs are asked for, and this version of Kedge gives none")
    task = _task(prepared, function, request, inputs, limits, chosen.executor)
    for warning in warnings:
        observer.notice(warning)
    for text in chosen.executor.missing(limits):
        observer.detail(text)
    entry = record.create(
        package=prepared.description.name,
        package_version=prepared.description.version,
        function=function.name,
        source=source.root,
        handler=function.handler,
        runtime=prepared.description.runtime["kind"],
        snapshot=prepared.snapshot.digest,
        environment=prepared.environment,
        interpreter=prepared.interpreter,
        executor=chosen.executor.kind,
        target=task.target.kind,
        inputs=mask(function.input_ports, inputs),
        input_files=_input_files(function, inputs),
        resources=asdict(limits),
        warnings=tuple(warnings),
    )
    paths = (*settings.get("sandbox.paths"), *host_paths)
    return _Execution(entry, task, function, observer, cancel or Cancel(), request.keep).run(
        prepared.snapshot.folder, paths, preparing_s
    )


def settle() -> None:
    """Settle the runs whose process is gone: their records, and what they left on disk."""
    for lost in record.settle_lost():
        workspace.remove(os.path.join(lost.folder, "workspace"))


def record_unprepared(
    source: PackageSource, function: str | None, error: EnvironmentFailed
) -> Result:
    """Record a run whose environment could not be made."""
    entry = record.create(function=function, source=source.root)
    entry = record.finish(entry, error)
    error.run_id = entry.id
    return Result(entry, error)


def _task(
    prepared: Prepared,
    function: Function,
    request: Request,
    inputs: Mapping[str, Any],
    limits: Resources,
    executor: Executor,
) -> Task:
    kinds = {name: kind_of(schema) for name, schema in function.input_ports.properties.items()}
    outputs = function.output_ports
    runtime = PythonRuntime(
        python=prepared.python,
        visible=prepared.visible,
        runner=prepared.runner,
        handler=function.handler or "",
        inputs={name: kind for name, kind in kinds.items() if kind != "value"},
        outputs={
            name: {"kind": kind_of(schema), "extensions": list(extensions_of(schema))}
            for name, schema in outputs.properties.items()
        },
        convert=function.convert,
        open=outputs.open is not None,
        env=secrets.filled(function.env),
    )
    return Task(
        name=f"{prepared.description.name}#{function.name}",
        runtime=runtime,
        executor=executor,
        target=LocalTarget(),
        resources=limits,
        inputs=function.inputs,
        outputs=function.outputs,
        values=inputs,
        description=function.description,
        network=function.network or request.network,
    )


class _Execution:
    """One run while it goes on."""

    def __init__(
        self,
        entry: record.Run,
        task: Task,
        function: Function,
        observer: Observer,
        cancel: Cancel,
        keep: bool,
    ) -> None:
        self.entry = entry
        self.task = task
        self.function = function
        self.observer = observer
        self.cancel = cancel
        self.keep = keep
        self.events = events.EventLog(entry.id)
        self.place = os.path.join(entry.folder, "workspace")

    def run(self, snapshot: str, paths: tuple[str, ...], preparing_s: float) -> Result:
        self.observer.started(self.entry)
        measured: dict[str, float | None] = {"preparing_s": preparing_s}
        found = workspace.Collected()
        facts: dict[str, Any] = {}
        wrong: RunFailed | None
        try:
            log = LogWriter(os.path.join(self.entry.folder, "log"))
        except StoreError as error:
            record.finish(self.entry, StartFailed(error.message, hint=error.hint))
            raise
        try:
            made = workspace.prepare(
                self.place,
                snapshot,
                self.function.input_ports,
                self.function.output_ports,
                self.task.values,
            )
            try:
                began = time.monotonic()
                ended = self._execute(made, paths, log)
                measured |= _measured(ended)
                measured["starting_s"] = max(0.0, time.monotonic() - began - ended.wall_s)
                collecting = time.monotonic()
                reported = failure.read(made)
                kept = self._kept(made)
                found = workspace.collect(
                    made, self.function.output_ports, self.entry.folder, answers=True
                )
                measured["collecting_s"] = time.monotonic() - collecting
                wrong = failure_of(
                    ended,
                    reported,
                    found.problems,
                    last_lines(log.tail("stderr", _STDERR_LINES)),
                    self.task.resources,
                )
                if wrong is None and reported is not None:
                    found.warnings.append(
                        f"it succeeded and left an error in {reported['source']}: {reported['error']}"
                    )
                found.warnings.extend(kept)
            finally:
                if not self.keep:
                    workspace.remove(self.place)
        except RunFailed as error:
            wrong = error
        except KedgeError as error:
            wrong = StartFailed(error.message, where=error.where, hint=error.hint)
        except BaseException as error:
            lost = Lost(f"Kedge was ended by {type(error).__name__}", hint="run it again")
            record.finish(self.entry, lost)
            raise
        finally:
            log.close()
        if log.problem:
            found.warnings.append(log.problem)
        facts = {
            "outputs": mask(self.function.output_ports, found.data),
            "output_files": {port: _sized(paths) for port, paths in found.files.items()},
            "artifacts": found.artifacts,
            "measured": measured,
            "warnings": (*self.entry.warnings, *found.warnings),
        }
        self.entry = record.finish(self.entry, wrong, **facts)
        self.events.add("ended", {"status": self.entry.status, "kind": self.entry.failure_kind})
        self.events.flush()
        for warning in found.warnings:
            self.observer.notice(warning)
        if wrong is not None:
            wrong.run_id = self.entry.id
        return Result(self.entry, wrong)

    def _execute(self, made: workspace.Workspace, paths: tuple[str, ...], log: LogWriter) -> Ended:
        payload = drive(self.task.runtime.setup_runtime(self.task))
        reader = progress.Reader(os.path.join(made.folder, "out", "progress.jsonl"))

        def on_output(stream: Stream, data: bytes) -> None:
            log.write(stream, data)
            self.observer.output(stream, data)

        def on_progress(found: list[dict[str, Any]]) -> None:
            for event in found:
                self.events.add(events.PROGRESS, event)
                self.observer.progress(event)
            self.events.flush()

        def on_tick() -> None:
            log.flush_partial()
            on_progress(reader.poll())

        job = Job(
            run_id=self.entry.id,
            package=self.entry.package or "",
            function=self.function.name,
            workspace=made,
            resources=self.task.resources,
            network=self.task.network,
            paths=paths,
            on_output=on_output,
            on_tick=on_tick,
            cancel=self.cancel,
            on_notice=self.observer.notice,
        )
        self.entry = record.update(self.entry, status="running")
        self.events.add("started")
        try:
            ended: Ended = drive(self.task.target.place(self.task.executor, payload, job))
        finally:
            on_progress(reader.finish())
        if reader.skipped:
            log.write("kedge", b"%d progress lines were no events\n" % reader.skipped)
        return ended

    def _kept(self, made: workspace.Workspace) -> list[str]:
        """Where the workspace is kept, and which inputs changed while the run went on."""
        changed = [
            f"the input file `{entry['path']}` changed while the run went on"
            for entry in self.entry.input_files
            if _stat(entry["port"], entry["path"]) != dict(entry)
        ]
        return [*changed, f"the workspace is kept in {made.folder}"] if self.keep else changed


def _measured(ended: Ended) -> dict[str, float | None]:
    return {
        "wall_s": ended.wall_s,
        "cpu_s": ended.cpu_s,
        "peak_memory_mb": ended.peak_memory_mb,
        "read_bytes": ended.read_bytes,
        "written_bytes": ended.written_bytes,
    }


def _input_files(function: Function, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    ports = function.input_ports
    found = []
    for name, value in inputs.items():
        schema = ports.schema_of(name)
        kind = kind_of(schema) if schema is not None else "value"
        if value is None or kind == "value":
            continue
        paths = [value] if kind in _CARRIED else value
        found += [_stat(name, path) for path in paths]
    return tuple(found)


def _stat(port: str, path: str) -> dict[str, Any]:
    try:
        info = os.stat(path)
    except OSError:
        return {"port": port, "path": path}
    return {
        "port": port,
        "path": path,
        "size": info.st_size,
        "mtime_ns": info.st_mtime_ns,
        "inode": info.st_ino,
    }


def _sized(paths: str | list[str]) -> Any:
    if isinstance(paths, list):
        return [_sized(path) for path in paths]
    return {"path": paths, "size": os.path.getsize(paths)}


def _paths(entry: Any) -> Any:
    return [one["path"] for one in entry] if isinstance(entry, list) else entry["path"]
