"""The base of every executor."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, final

from kedge.data import Data
from kedge.errors import TaskError
from kedge.executor.plan import WORKSPACE
from kedge.middleware import ExecutorMiddleware, around
from kedge.registry import Registered, Registry
from kedge.task.payload import HostRoot, Process, PythonRoot, placed
from kedge.translation import Text

if TYPE_CHECKING:
    from kedge.executor.job import Ended, Job
    from kedge.task.resources import Resources

executors: Registry["Executor"] = Registry(
    "executor",
    "kedge.executor",
    {
        "inprocess": "kedge.executor.inprocess",
        "process": "kedge.executor.process",
        "sandbox": "kedge.executor.sandbox",
        "docker": "kedge.executor.container",
        "podman": "kedge.executor.container",
    },
)


class Usable(Data):
    """Whether an executor works on this machine; if not, why, and what would lift it."""

    ok: bool
    reason: str = ""
    hint: str = ""


class ExecutorContext(Data):
    """What an ExecutorMiddleware is called with.

    Args:
        executor: what executes it.
        payload: what the runtime gave.
        job: which run it is of (`run_id`, `function`), its workspace and limits. A package's signatures are
            read in the same way: then `function` is empty, and there is no run.

    >>> from kedge import ExecutorContext, ExecutorMiddleware, PythonFunctionRuntime, Task
    >>> from kedge.middleware import using
    >>> class Says(ExecutorMiddleware):
    ...     async def __call__(self, context: ExecutorContext, call_next):
    ...         ended = await call_next(context)
    ...         print(context.executor.kind, ended.exit_code)
    ...         return ended
    >>> with using(Says()):
    ...     _ = Task(runtime=PythonFunctionRuntime(lambda: None)).run_sync()
    inprocess 0
    """

    executor: "Executor"
    payload: Any
    job: "Job"


class Executor(Registered, registry=executors):
    """How a payload is executed. A subclass gives itself a `kind` and writes `_execute`.

    `accepts` are the payload types it can execute, `roots` what these may stand on; `kind_name` and
    `kind_description` are for people. One that is `of_this_process` starts no program: its runs have a
    workspace once it asks for one (`kedge.executor.job.Job.make_workspace`), and are recorded when they end
    or a moment after they began. It is easiest to build on one that there is.

    >>> from kedge import CommandRuntime, Task
    >>> from kedge.data import replace
    >>> from kedge.executor.process import ProcessExecutor
    >>> class Gentle(ProcessExecutor):
    ...     kind = "gentle"
    ...
    ...     async def _execute(self, payload, job):
    ...         return await super()._execute(replace(payload, argv=("nice", *payload.argv)), job)
    >>> Task(runtime=CommandRuntime("nice"), executor="gentle").run_sync().run.executor
    'gentle'
    """

    kind_name: ClassVar[str | Text]
    kind_description: ClassVar[str | Text]
    accepts: ClassVar[tuple[type, ...]]
    roots: ClassVar[tuple[type, ...]] = (HostRoot, PythonRoot)
    of_this_process: ClassVar[bool] = False

    def __eq__(self, other: object) -> bool:
        """Two of one class are equal if all that was given to them is."""
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @abstractmethod
    async def _execute(self, payload: Any, job: "Job") -> "Ended":
        """Start `payload`, watch it to its end, leave no process behind: what a subclass writes.

        Args:
            payload: of a type in `accepts`.
            job: its workspace, its limits, whom to tell, and what asks it to stop.

        Raises:
            StartFailed: the program could not be started.
        """

    @abstractmethod
    def usable(self, *, fresh: bool = False) -> Usable:
        """Whether this executor works on this machine. Cheap: what was tried is remembered.

        Args:
            fresh: whether to try again, for somebody who has just changed the machine.
        """

    @abstractmethod
    def missing(self, resources: "Resources") -> list[str]:
        """What of `resources` and of isolation is *not* enforced here, a plain sentence each.

        Args:
            resources: the limits of a run.
        """

    def waits_for(self, payload: Any) -> bool:  # noqa: ARG002 - some have nothing that waits
        """Whether a pool may have something that waits for such a payload.

        Then `_execute` calls `on_starting` of its job where it has not, and `on_tick` while it goes on: until one of
        them is called, it is not recorded as running.

        Args:
            payload: what a runtime prepared.
        """
        return False

    def workspace(self, job: "Job") -> str:  # noqa: ARG002 - some make it a place of its own
        """The workspace's path as the code sees it.

        Args:
            job: what is executed there.
        """
        return WORKSPACE

    @final
    async def execute(self, payload: Any, job: "Job") -> "Ended":
        """Execute `payload`, inside the registered ExecutorMiddleware. It cannot be overridden.

        Args:
            payload: what a runtime prepared.
            job: its workspace, its limits, whom to tell, and what asks it to stop.

        Raises:
            TaskError: this executor does not take that payload.
            StartFailed: the program could not be started.
        """
        if not isinstance(payload, self.accepts):
            taken = ", ".join(one.__name__ for one in self.accepts)
            raise TaskError(
                f"the executor {self.kind!r} does not take a {type(payload).__name__} payload",
                hint=f"it takes: {taken}; choose another executor, or leave the choice to `auto`",
            )

        root = getattr(payload, "root", None)
        if root is not None and not isinstance(root, self.roots):
            taken = ", ".join(one.__name__ for one in self.roots)
            raise TaskError(
                f"the executor {self.kind!r} runs nothing that stands on a {type(root).__name__}",
                hint=f"it takes: {taken}; choose another executor, or leave the choice to `auto`",
            )
        return await around(ExecutorMiddleware, ExecutorContext, _executed, self, payload, job)


async def _executed(executor: Executor, payload: Any, job: "Job") -> "Ended":
    if isinstance(payload, Process):
        payload = placed(payload, executor.workspace(job))
    return await executor._execute(payload, job)
