"""Floor 1: what is to be done, as immutable data. Nothing here runs, reads or writes anything."""

from kedge.task.payload import (
    Becoming,
    Call,
    Code,
    Forkable,
    HostRoot,
    ImageRoot,
    Process,
    PythonRoot,
)
from kedge.task.port import Port, declared, given, port_types, ports_of
from kedge.task.published import Published
from kedge.task.resources import Resources
from kedge.task.task import Task

__all__ = [
    "Becoming",
    "Call",
    "Code",
    "Forkable",
    "HostRoot",
    "ImageRoot",
    "Port",
    "Process",
    "Published",
    "PythonRoot",
    "Resources",
    "Task",
    "declared",
    "given",
    "port_types",
    "ports_of",
]
