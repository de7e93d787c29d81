"""The four layers of a run, as who looks on sees each of them."""

from typing import Any, Literal

from kedge.data import Data
from kedge.executor import Ended, ExecutorContext
from kedge.middleware import ExecutorMiddleware, RuntimeMiddleware, TargetMiddleware, TaskMiddleware
from kedge.run.execution import Result
from kedge.run.performing import TaskContext
from kedge.runtime import RuntimeContext
from kedge.target import TargetContext

type Context = TaskContext | RuntimeContext | TargetContext | ExecutorContext


class EveryLayer(TaskMiddleware, RuntimeMiddleware, TargetMiddleware, ExecutorMiddleware):
    """Around each of them."""


class Layer(Data):
    """One layer of one run: what it is called and of which kinds it is, and no values.

    Args:
        name: which of the four.
        task: the task's id; None while the signatures of a package are read.
        run_id: None before there is a run.
        runtime, executor, target: their kinds, as far as this layer knows them.
    """

    name: Literal["task", "runtime", "target", "executor"]
    task: str | None
    run_id: str | None = None
    runtime: str | None = None
    executor: str | None = None
    target: str | None = None

    @property
    def title(self) -> str:
        """Such as `task sums` or `executor sandbox`."""
        return f"{self.name} {getattr(self, self.name)}"


def layer_of(context: Context) -> Layer:
    """Which layer a middleware is called around."""
    if isinstance(context, TaskContext):
        task = context.task
        executor, target = task.executor.kind, task.target.kind
        return Layer("task", task.id, None, task.runtime.kind, executor, target)
    if isinstance(context, RuntimeContext):
        return Layer("runtime", context.task.id, runtime=context.runtime.kind)
    job, executor = context.job, context.executor.kind
    task_id, run_id = (job.function, job.run_id) if job.function else (None, None)
    if isinstance(context, TargetContext):
        return Layer("target", task_id, run_id, None, executor, context.target.kind)
    return Layer("executor", task_id, run_id, None, executor)


def status_of(result: Any) -> str:
    """How a layer ended that gave a result: a run's status, what ended a program, else `done`."""
    if isinstance(result, Result):
        return result.run.status
    return result.reason if isinstance(result, Ended) else "done"
