"""Kedge runs any function in the runtime it needs.

What a function writes against (`Unit`, `File`, `Folder`, `progress`, `out_path`, `Cancelled`) is
the same here as inside a run, so its code also runs alone. `function` decorates a function with what it
needs. `load` gives a package whose functions can be called. Errors are here by their names
(`kedge.RunFailed` and one subclass a kind of failure). Names are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

from kedge.version import __version__

if TYPE_CHECKING:
    from kedge.client import load
    from kedge.client.decorated import function
    from kedge.contract.runner import Cancelled, File, Folder, Unit, out_path, progress
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

__all__ = [
    "Cancelled",
    "ContractError",
    "EnvironmentFailed",
    "File",
    "Folder",
    "FunctionError",
    "KedgeError",
    "Lost",
    "OutOfDisk",
    "OutOfMemory",
    "RequestError",
    "RunCancelled",
    "RunFailed",
    "RunTimeout",
    "StartFailed",
    "Unavailable",
    "Unit",
    "__version__",
    "function",
    "load",
    "out_path",
    "progress",
]

_AUTHORS = ("Cancelled", "File", "Folder", "Unit", "out_path", "progress")
_HOMES = {"load": "kedge.client", "function": "kedge.client.decorated"} | dict.fromkeys(
    _AUTHORS, "kedge.contract.runner"
)


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
