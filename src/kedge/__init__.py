"""Kedge runs any function in the runtime it needs.

What a function writes against (`Unit`, `File`, `Folder`, `progress`, `out_path`, `Cancelled`) is
the same here as inside a run, so its code also runs alone. `function` decorates a function with what it
needs. `load` gives a package whose functions can be called. A `Task` is any runtime with ports, run as it is.
`TaskMiddleware` and its siblings are put around what is run by `kedge.middleware`, with contexts that say what that
is. `make_translator` translates the texts of a plug-in. Errors are here by their names (`kedge.RunFailed` and one
subclass a kind of failure). Names are loaded when they are first used.
"""

from kedge.version import __version__

TYPE_CHECKING = False  # without `typing`, which takes half as long to import as Python to start
if TYPE_CHECKING:
    from typing import Any

    from kedge.client import load
    from kedge.client.decorated import function
    from kedge.client.task import Task
    from kedge.contract.port_kinds import Boolean, File, Folder, Json, Number, Pickle, String
    from kedge.contract.runner import Cancelled, Unit, out_path, progress
    from kedge.errors import (
        ContractError,
        EnvironmentFailed,
        FunctionError,
        KedgeError,
        Lost,
        OutOfDisk,
        OutOfMemory,
        RequestError,
        RunCancelled,
        RunFailed,
        RunTimeout,
        StartFailed,
        Unavailable,
    )
    from kedge.executor import Executor, ExecutorContext
    from kedge.middleware import (
        ExecutorMiddleware,
        RuntimeMiddleware,
        TargetMiddleware,
        TaskMiddleware,
    )
    from kedge.run.performing import TaskContext
    from kedge.runtime import Runtime, RuntimeContext
    from kedge.runtime.command import CommandRuntime
    from kedge.runtime.in_process import PythonCodeStringRuntime, PythonFunctionRuntime
    from kedge.runtime.script import PythonScriptRuntime
    from kedge.target import Target, TargetContext
    from kedge.task import Port
    from kedge.translation import make_translator

__all__ = [
    "Boolean",
    "Cancelled",
    "CommandRuntime",
    "ContractError",
    "EnvironmentFailed",
    "Executor",
    "ExecutorContext",
    "ExecutorMiddleware",
    "File",
    "Folder",
    "FunctionError",
    "Json",
    "KedgeError",
    "Lost",
    "Number",
    "OutOfDisk",
    "OutOfMemory",
    "Pickle",
    "Port",
    "PythonCodeStringRuntime",
    "PythonFunctionRuntime",
    "PythonScriptRuntime",
    "RequestError",
    "RunCancelled",
    "RunFailed",
    "RunTimeout",
    "Runtime",
    "RuntimeContext",
    "RuntimeMiddleware",
    "StartFailed",
    "String",
    "Target",
    "TargetContext",
    "TargetMiddleware",
    "Task",
    "TaskContext",
    "TaskMiddleware",
    "Unavailable",
    "Unit",
    "__version__",
    "function",
    "load",
    "make_translator",
    "out_path",
    "progress",
]

_AUTHORS = ("Cancelled", "Unit", "out_path", "progress")
_MIDDLEWARE = ("ExecutorMiddleware", "RuntimeMiddleware", "TargetMiddleware", "TaskMiddleware")
_PORTS = ("Boolean", "File", "Folder", "Json", "Number", "Pickle", "String")
_HOMES = {
    "load": "kedge.client",
    "function": "kedge.client.decorated",
    "Task": "kedge.client.task",
    "CommandRuntime": "kedge.runtime.command",
    "PythonCodeStringRuntime": "kedge.runtime.in_process",
    "PythonFunctionRuntime": "kedge.runtime.in_process",
    "PythonScriptRuntime": "kedge.runtime.script",
    "Executor": "kedge.executor",
    "ExecutorContext": "kedge.executor",
    "Port": "kedge.task",
    "Runtime": "kedge.runtime",
    "RuntimeContext": "kedge.runtime",
    "Target": "kedge.target",
    "make_translator": "kedge.translation",
    "TargetContext": "kedge.target",
    "TaskContext": "kedge.run.performing",
    **dict.fromkeys(_AUTHORS, "kedge.contract.runner"),
    **dict.fromkeys(_MIDDLEWARE, "kedge.middleware"),
    **dict.fromkeys(_PORTS, "kedge.contract.port_kinds"),
}


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module 'kedge' has no attribute {name!r}")
    from importlib import import_module

    home = _HOMES.get(name, "kedge.errors")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
