"""The base of every runtime: from a task to a payload."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from kedge.data import Data
from kedge.middleware import RuntimeMiddleware, around
from kedge.registry import Registered, Registry
from kedge.task.payload import HostRoot, ImageRoot, Process, PythonRoot
from kedge.translation import Text

if TYPE_CHECKING:
    from kedge.task.task import Task

runtimes: Registry["Runtime[Any]"] = Registry(
    "runtime",
    "kedge.runtime",
    {
        "command": "kedge.runtime.command",
        "python_code": "kedge.runtime.in_process",
        "python_function": "kedge.runtime.in_process",
        "python_script": "kedge.runtime.script",
        "python": "kedge.runtime.python",
        "image": "kedge.runtime.image",
        "dockerfile": "kedge.runtime.image",
    },
)


class RuntimeContext(Data):
    """What a RuntimeMiddleware is called with: which runtime makes a payload, and of which task.

    A task is set up before its run is recorded; its `values` are those of the inputs.

    Args:
        runtime: which one.
        task: of which task.

    >>> from kedge import PythonFunctionRuntime, RuntimeContext, RuntimeMiddleware, Task
    >>> from kedge.middleware import using
    >>> class Says(RuntimeMiddleware):
    ...     async def __call__(self, context: RuntimeContext, call_next):
    ...         payload = await call_next(context)
    ...         print(context.runtime.kind, type(payload).__name__)
    ...         return payload
    >>> with using(Says()):
    ...     _ = Task(runtime=PythonFunctionRuntime(lambda: None)).run_sync()
    python_function Call
    """

    runtime: "Runtime[Any]"
    task: "Task"


class Runtime[Payload](Registered, registry=runtimes):
    """What to execute. A subclass gives itself a `kind` and writes `_setup_runtime`.

    `kind_name` and `kind_description` are for people. `gives` are the types of its payloads, the one it
    would rather give first, and `roots` what they may stand on if they are programs, as far as that is known before they are made; `answers` says
    whether what it prepares writes an `out/data.json` once it has done its work, whatever the outputs are;
    `of_packages` that it stands on what only a package has, and is in no definition of a task.
    A runtime prepares; it never executes.

    >>> from kedge import Runtime, Task
    >>> from kedge.task import Process
    >>> class Greeting(Runtime[Process]):
    ...     kind = "greeting"
    ...
    ...     async def _setup_runtime(self, task):
    ...         return Process(("echo", "hello", task.name))
    >>> Task(runtime=Greeting()).run_sync().run.runtime
    'greeting'
    """

    kind_name: ClassVar[str | Text]
    kind_description: ClassVar[str | Text]
    gives: ClassVar[tuple[type, ...]] = (Process,)
    roots: ClassVar[tuple[type, ...]] = (HostRoot, PythonRoot, ImageRoot)
    answers: ClassVar[bool] = False
    of_packages: ClassVar[bool] = False

    def within(self, folder: str) -> Self:  # noqa: ARG002 - most have no paths
        """The same, where its relative paths are of `folder`: that of the file which it was written in."""
        return self

    @abstractmethod
    async def _setup_runtime(self, task: "Task") -> Payload:
        """The payload for `task`: what a subclass writes.

        Args:
            task: the task that is set up: its `name`, its ports, and the `values` of its inputs by id.

        Raises:
            ValueError, KedgeError: it cannot be made; nothing was recorded or started.
        """

    @final
    async def setup_runtime(self, task: "Task") -> Payload:
        """The payload for `task`, made inside the registered RuntimeMiddleware. It cannot be overridden.

        Args:
            task: the task that is set up.

        Raises:
            ValueError, KedgeError: as `_setup_runtime`.
        """
        return await around(RuntimeMiddleware, RuntimeContext, _set_up, self, task)


async def _set_up[Payload](runtime: Runtime[Payload], task: "Task") -> Payload:
    return await runtime._setup_runtime(task)
