"""Functions with what they need, decorated where they stand: each is a package that Kedge writes.

A call travels in a file and goes the way of every run, `kedge.run.core`.
"""

from kedge.client.decorated.decorator import Decorated, function

__all__ = ["Decorated", "function"]
