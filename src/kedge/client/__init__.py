"""Floor 7: packages as Python objects. Whatever is called here goes the way of every run, `kedge.run.core`.

Errors are raised, and nothing is printed but what a decorated function prints. No handler of a signal is
installed; asyncio comes in only where something is awaited. Names are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kedge.client.function import Function
    from kedge.client.handle import Run
    from kedge.client.package import Package, load

__all__ = ["Function", "Package", "Run", "load"]

_HOMES: Final = {"Function": "function", "Package": "package", "Run": "handle", "load": "package"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kedge.client' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"kedge.client.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
