"""The `python` kind: a handler of a package, in the environment that was built for it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from kedge.data import Data, field, replace
from kedge.runtime.base import Runtime
from kedge.task.payload import Forkable, ImageRoot, Process, PythonRoot
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.task.task import Task

# Isolated (no PYTHON* variables, no user site) and without writing byte code into a read-only package.
_FLAGS = ("-I", "-B")


class PythonRuntime(Data, Runtime[Process]):
    """One function of a `python` package, ready to be run by the runner.

    Args:
        python: path of the environment's interpreter.
        root: what it stands on: what of this machine it needs to see, or the image that it is in.
        runner: path of the runner, compiled or source.
        handler: `module:function`.
        inputs: input port → kind, for ports that are not plain values.
        outputs: output port → `{"kind": …, "extensions": […]}`.
        convert: inputs whose JSON values become Python objects first (dates, enums, models).
        open: whether outputs beyond the declared ones are taken.
        env: the package's own variables.
    """

    kind: ClassVar[str] = "python"
    kind_name = _("Python")
    kind_description = _("A Python function in an environment built from its requirements.")
    answers: ClassVar[bool] = True
    of_packages: ClassVar[bool] = True

    python: str
    root: PythonRoot | ImageRoot
    runner: str
    handler: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    convert: tuple[str, ...] = ()
    open: bool = False
    env: Mapping[str, str] = field(default_factory=dict)

    def instructions(self) -> dict[str, Any]:
        """What the runner is told."""
        return {
            "handler": self.handler,
            "inputs": dict(self.inputs),
            "convert": list(self.convert),
            "outputs": {port: dict(kind) for port, kind in self.outputs.items()},
            "open": self.open,
        }

    async def _setup_runtime(self, task: "Task") -> Process:  # noqa: ARG002 - bound when it was made
        instructions = self.instructions()
        made = started(self.python, self.root, self.runner, "run", instructions, self.env)
        command = (self.python, *_FLAGS, self.runner)
        module = self.handler.partition(":")[0]
        return replace(made, forkable=Forkable(command, module, instructions))


def describe_process(
    python: str,
    root: PythonRoot | ImageRoot,
    runner: str,
    handlers: Mapping[str, str],
    env: Mapping[str, str] | None = None,
) -> Process:
    """The payload that writes the signatures of `handlers` (function → `module:function`).

    They end up in `out/data.json` as `{"functions": {function: description}, "python": version}`.
    """
    return started(python, root, runner, "describe", {"handlers": dict(handlers)}, env or {})


def started(
    python: str,
    root: PythonRoot | ImageRoot,
    runner: str,
    verb: str,
    instructions: dict[str, Any],
    env: Mapping[str, str],
    **more: Any,
) -> Process:
    """The payload that starts the runner, to `run` or to `describe` what the instructions say."""
    text = json.dumps(instructions, separators=(",", ":"))
    return Process(
        argv=(python, *_FLAGS, runner, verb, text),
        root=root,
        env=dict(env),
        **more,
    )
