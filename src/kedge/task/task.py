"""The task: one function bound to what runs it, how, where, and on what."""

from collections.abc import Mapping
from typing import Any

from kedge.data import Data, field
from kedge.ports import Ports
from kedge.task.published import Published
from kedge.task.resources import Resources


class Task(Data):
    """The immutable binding of runtime, ports, values, resources, executor and target.

    A task is a definition: it never changes while it runs, and the same one can run many times at once.

    Args:
        id: what it is called where it runs, a package's function by its own name.
        name: for people and logs, `package#function` for a package's function.
        runtime: what to execute (a `kedge.runtime.Runtime`).
        executor: how (a `kedge.executor.Executor`).
        target: where (a `kedge.target.Target`).
        resources: effective limits.
        inputs: the input ports.
        outputs: the output ports.
        values: inputs by port; a File port's value is a host path.
        description: one or more sentences for people.
        network: whether the host's network may be used.
        publish: where it serves while it runs, None for what does not serve.
    """

    id: str
    name: str
    runtime: Any
    executor: Any
    target: Any
    resources: Resources
    inputs: Ports = field(default_factory=Ports)
    outputs: Ports = field(default_factory=Ports)
    values: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    network: bool = False
    publish: Published | None = None
