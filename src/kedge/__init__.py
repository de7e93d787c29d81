"""Kedge runs any function in the runtime it needs."""

from kedge.version import __version__

__all__ = ["__version__"]
