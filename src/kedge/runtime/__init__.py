"""Floor 3: what is to be executed. A runtime turns a task into a payload; nothing is started here."""

from kedge.runtime.base import Runtime, RuntimeContext, runtimes

__all__ = ["Runtime", "RuntimeContext", "runtimes"]
