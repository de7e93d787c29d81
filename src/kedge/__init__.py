"""Kedge runs any function in the runtime it needs.

What a function writes against (`Unit`, `File`, `Folder`, `progress`, `out_path`, `Cancelled`) is
the same here as inside a run, so its code also runs alone. `function` decorates a function with what it
needs. `load` gives a package whose functions can be called. A `Task` is any runtime with ports, run as it is. Errors are here by their names
(`kedge.RunFailed` and one subclass a kind of failure). Names are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

from kedge.version import __version__

if TYPE_CHECKING:
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
    from kedge.executor import Executor
    from kedge.runtime import Runtime
    from kedge.runtime.command import CommandRuntime
    from kedge.runtime.in_process import PythonCodeStringRuntime, PythonFunctionRuntime
    from kedge.runtime.script import PythonScriptRuntime
    from kedge.target import Target
    from kedge.task import Port

__all__ = [
    "Boolean",
    "Cancelled",
    "CommandRuntime",
    "ContractError",
    "EnvironmentFailed",
    "Executor",
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
    "StartFailed",
    "String",
    "Target",
    "Task",
    "Unavailable",
    "Unit",
    "__version__",
    "function",
    "load",
    "out_path",
    "progress",
]

_AUTHORS = ("Cancelled", "Unit", "out_path", "progress")
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
    "Port": "kedge.task",
    "Runtime": "kedge.runtime",
    "Target": "kedge.target",
    **dict.fromkeys(_AUTHORS, "kedge.contract.runner"),
    **dict.fromkeys(_PORTS, "kedge.contract.port_kinds"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kedge' has no attribute {name!r}")
    from importlib import import_module

    home = _HOMES.get(name, "kedge.errors")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
