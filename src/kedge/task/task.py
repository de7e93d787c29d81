"""The task: one function bound to what runs it, how, where, and on what."""

from typing import Any

from kedge.data import Data
from kedge.ports import Ports, Schema
from kedge.task.port import Port, ports_of
from kedge.task.published import Published


class Task(Data):
    """The immutable binding of runtime, ports, values, resources, executor and target.

    A task is a definition: it never changes while it runs, and the same one can run many times at once.

    Args:
        id: what it is called where it runs, a package's function by its own name.
        name: for people and logs, `package#function` for a package's function.
        runtime: what to execute (a `kedge.runtime.Runtime`).
        executor: how (a `kedge.executor.Executor`); None: to be chosen when it runs.
        target: where (a `kedge.target.Target`); None: on this machine.
        resources: effective limits; before it is bound to them, those that are asked for, by their names.
        inputs: the input ports, and what they are bound to.
        outputs: the output ports.
        open: the schema of outputs that are not named, None where there may be none.
        description: one or more sentences for people.
        network: whether the host's network may be used.
        publish: where it serves while it runs, None for what does not serve.
    """

    id: str
    name: str
    runtime: Any
    executor: Any = None
    target: Any = None
    resources: Any = None
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    open: Schema | None = None
    description: str = ""
    network: bool = False
    publish: Published | None = None

    @property
    def input_ports(self) -> Ports:
        """The inputs as the ports of one side."""
        return ports_of(self.inputs)

    @property
    def output_ports(self) -> Ports:
        """The outputs as the ports of one side."""
        return ports_of(self.outputs, self.open)

    @property
    def values(self) -> dict[str, Any]:
        """What the inputs are bound to, by id; a File's value is a path on this machine."""
        return {port.id: port.bound for port in self.inputs}
