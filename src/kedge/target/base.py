"""The base of every target."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, final

from kedge.data import Data
from kedge.middleware import TargetMiddleware, around
from kedge.registry import Registered, Registry
from kedge.translation import Text

if TYPE_CHECKING:
    from kedge.executor.base import Executor
    from kedge.executor.job import Ended, Job

targets: Registry["Target"] = Registry("target", "kedge.target", {"local": "kedge.target.local"})


class TargetContext(Data):
    """What a TargetMiddleware is called with.

    Args:
        target: where it is placed.
        executor: what executes it there.
        payload: what the runtime gave.
        job: which run it is of (`run_id`, `function`), its workspace and limits. A package's signatures are
            read in the same way: then `function` is empty, and there is no run.

    >>> from kedge import PythonFunctionRuntime, TargetContext, TargetMiddleware, Task
    >>> from kedge.middleware import using
    >>> class Says(TargetMiddleware):
    ...     async def __call__(self, context: TargetContext, call_next):
    ...         print(context.target.kind, context.executor.kind, context.job.function)
    ...         return await call_next(context)
    >>> with using(Says()):
    ...     _ = Task(id="nothing", runtime=PythonFunctionRuntime(lambda: None)).run_sync()
    local inprocess nothing
    """

    target: "Target"
    executor: "Executor"
    payload: Any
    job: "Job"


class Target(Registered, registry=targets):
    """Where a payload is executed. A subclass gives itself a `kind` and writes `_place`.

    `kind_name` and `kind_description` are for people.

    >>> from kedge import CommandRuntime, Target, Task
    >>> class Beside(Target):
    ...     kind = "beside"
    ...
    ...     async def _place(self, executor, payload, job):
    ...         return await executor.execute(payload, job)
    >>> Task(runtime=CommandRuntime("true"), target="beside").run_sync().run.target
    'beside'
    """

    kind_name: ClassVar[str | Text]
    kind_description: ClassVar[str | Text]

    def __eq__(self, other: object) -> bool:
        """Two of one class are equal if all that was given to them is."""
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @abstractmethod
    async def _place(self, executor: "Executor", payload: Any, job: "Job") -> "Ended":
        """Have `executor` execute `payload` at this place, and wait for its end: what a subclass writes.

        Args:
            executor: how.
            payload: what a runtime prepared.
            job: its workspace, its limits, whom to tell, and what asks it to stop.

        Raises:
            KedgeError: it cannot be executed there.
        """

    @final
    async def place(self, executor: "Executor", payload: Any, job: "Job") -> "Ended":
        """Execute `payload` at this place, inside the registered TargetMiddleware. It cannot be overridden.

        Args:
            executor: how.
            payload: what a runtime prepared.
            job: its workspace, its limits, whom to tell, and what asks it to stop.

        Raises:
            KedgeError: as `_place` and the executor.
        """
        return await around(TargetMiddleware, TargetContext, _placed, self, executor, payload, job)


async def _placed(target: Target, executor: "Executor", payload: Any, job: "Job") -> "Ended":
    return await target._place(executor, payload, job)
