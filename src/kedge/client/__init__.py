"""Floor 7: packages as Python objects. Whatever is called here goes the way of every run, `kedge.run.core`.

Errors are raised and nothing is printed. No handler of a signal is installed; asyncio comes in only
where something is awaited.
"""

from kedge.client.function import Function
from kedge.client.handle import Run
from kedge.client.package import Package, load

__all__ = ["Function", "Package", "Run", "load"]
