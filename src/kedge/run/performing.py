"""One task that is bound to all that it needs, recorded and run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kedge import settings
from kedge.data import Data, asdict, field
from kedge.engine import KINDS
from kedge.executor import Cancel, warm_up
from kedge.middleware import TaskMiddleware, around, drive
from kedge.ports import Ports, kind_of
from kedge.run import record
from kedge.run.execution import Execution, Observer, Result, file_facts
from kedge.task import Task

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool

_CARRIED: Final = ("file", "folder", "array", "table")  # kinds of port whose value is one path


class Surroundings(Data):
    """What a task finds when it is run.

    Args:
        facts: what is recorded of it, by the names of `kedge.run.record.Run`'s fields.
        warnings: sentences for people, recorded too.
        snapshot: the folder of the package's snapshot, None for no package.
        paths: host paths that its code may read.
        entry: the run that was recorded while it was prepared, None when that took no work.
        waited: seconds that went by before, by their names in the record.
        keep: whether to keep the workspace as the code left it.
    """

    facts: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    snapshot: str | None = None
    paths: tuple[str, ...] = ()
    entry: record.Run | None = None
    waited: Mapping[str, float] = field(default_factory=dict)
    keep: bool = False


class TaskContext(Data):
    """What a TaskMiddleware is called with: a task that is bound to its runtime, executor, target and inputs.

    Args:
        task: the task.

    >>> from kedge import PythonFunctionRuntime, Task, TaskContext, TaskMiddleware
    >>> from kedge.middleware import using
    >>> class Says(TaskMiddleware):
    ...     async def __call__(self, context: TaskContext, call_next):
    ...         print(context.task.name, context.task.executor.kind, context.task.values)
    ...         return await call_next(context)
    >>> with using(Says()):
    ...     _ = Task(name="nothing", runtime=PythonFunctionRuntime(lambda: None)).run_sync()
    nothing inprocess {}
    """

    task: Task


def perform(
    task: Task,
    surroundings: Surroundings,
    observer: Observer,
    cancel: Cancel,
    pool: "Pool | None" = None,
) -> Result:
    """Run one task that is bound to an executor and to limits, inside the registered TaskMiddleware.

    Args:
        task: what is run.
        surroundings: what it finds.
        observer, cancel, pool: as of `run`.

    Raises:
        ValueError, KedgeError: its runtime cannot set it up, or it cannot be recorded.
    """

    async def performed(task: Task) -> Result:
        return _performed(task, surroundings, observer, cancel, pool)

    return drive(around(TaskMiddleware, TaskContext, performed, task))


def _performed(
    task: Task,
    surroundings: Surroundings,
    observer: Observer,
    cancel: Cancel,
    pool: "Pool | None",
) -> Result:
    payload = drive(task.runtime.setup_runtime(task))
    limits, executor = task.resources, task.executor
    warnings = [*surroundings.warnings]
    if limits.gpu:
        wanted = "1 GPU is" if limits.gpu == 1 else f"{limits.gpu} GPUs are"
        warnings.append(f"{wanted} asked for, and this version of Kedge gives none")
    warnings += _of_the_network(task)
    for warning in warnings:
        observer.notice(warning)
    for text in executor.missing(limits):
        observer.lacking(text)
    if task.publish is not None:
        pool = None
    here = executor.of_this_process
    if not here and (pool is None or not executor.waits_for(payload)):
        warm_up()
    facts: dict[str, Any] = {
        **surroundings.facts,
        "function": task.id,
        "executor": executor.kind,
        "target": task.target.kind,
        "resources": asdict(limits),
        "warnings": tuple(warnings),
    }
    paths = () if here else (*settings.get("sandbox.paths"), *surroundings.paths)
    if surroundings.entry is not None:
        entry = record.update(surroundings.entry, **facts)
    else:
        entry = record.create(late=here, **facts)
        if not here:
            cancel.listen(entry.control)
    execution = Execution(entry, task, payload, observer, cancel, pool, keep=surroundings.keep)
    return execution.run(surroundings.snapshot, paths, surroundings.waited)


def _of_the_network(task: Task) -> list[str]:
    """What of the network the code can use, a sentence each."""
    shared = ["the code can use this machine's network"] if task.network else []
    if task.publish is None:
        return shared
    port = task.publish.port
    if task.executor.kind in KINDS:
        return [f"port {port} is served from {task.executor.kind}'s own network, which leads out"]
    return [f"port {port} is served with this machine's network", *shared]


def input_files(ports: Ports, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """What is recorded of the files among the inputs."""
    found = []
    for name, value in inputs.items():
        schema = ports.schema_of(name)
        kind = kind_of(schema) if schema is not None else "value"
        if value is None or kind == "value":
            continue
        paths = [value] if kind in _CARRIED else value
        found += [file_facts(name, path) for path in paths]
    return tuple(found)
