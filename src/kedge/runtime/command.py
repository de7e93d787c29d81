"""The kind `command`: a program of this machine, by a text for its shell or by a list of arguments."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from kedge.data import Data, field
from kedge.errors import Problem, TaskError, Where
from kedge.runtime import shell
from kedge.runtime.arguments import filled, values_of, wrong_texts
from kedge.runtime.base import Runtime
from kedge.task.payload import Becoming, HostRoot, Process
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.task.task import Task


class CommandRuntime(Data, Runtime[Process]):
    """A command in which placeholders stand for inputs, outputs and what the task says of itself.

    It starts in a folder of its run. What it leaves there and no output stands for is kept: the run's `artifacts`.

    Args:
        command: a text, which `/bin/sh` reads, or the program and its arguments, which no shell reads.
        env: variables that it gets.

    Raises:
        TaskError: when its task is set up: a placeholder that nothing is declared for, or in a place where a
            value would become code; a command that is no text. All that is wrong.
        InputError: when its task is set up: a value with a NUL, or of more than 64 KiB.

    >>> from pathlib import Path
    >>> from kedge import CommandRuntime, File, Task
    >>> command = CommandRuntime("tr a-z A-Z < {text} > {loud}")
    >>> _ = Path("text.txt").write_text("quiet")
    >>> ports = {"inputs": [File("text", "text.txt")], "outputs": [File("loud", "loud.txt")]}
    >>> Path(Task(runtime=command, **ports).run_sync().outputs["loud"]).read_text()
    'QUIET'
    """

    kind: ClassVar[str] = "command"
    kind_name = _("Command")
    kind_description = _("A command of this machine, in a shell or without one.")
    roots: ClassVar[tuple[type, ...]] = (HostRoot,)

    command: str | tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    async def _setup_runtime(self, task: "Task") -> Process:
        problems = [*wrong_texts(self._texts())]
        if not isinstance(self.env, Mapping):
            message = f"`env` is a `{type(self.env).__name__}`, and no mapping"
            problems.append(Problem(message, Where(path="env"), 'write `{"NAME": "value"}`'))
        if problems:
            raise TaskError.of(problems, "command")
        if not self.command:
            raise TaskError(
                "the command is empty",
                where=Where(path="command"),
                hint="write a text for the shell, or a program and its arguments",
            )
        values = values_of(task)
        if isinstance(self.command, str):
            argv = shell.argv(shell.prepare(self.command, values), values)
        else:
            argv = filled(self.command, values, "command")
        return Process(tuple(argv), env=dict(self.env), forkable=Becoming(), folder="out/artifacts")

    def _texts(self) -> dict[str, Any]:
        """All that it is written of, by its place."""
        texts: dict[str, Any] = {"command": self.command}
        if isinstance(self.command, list | tuple):
            texts = {f"command[{at}]": text for at, text in enumerate(self.command)}
        if isinstance(self.env, Mapping):
            names = {f"env[{name!r}]": name for name in self.env if not isinstance(name, str)}
            texts |= names | {f"env.{name}": text for name, text in self.env.items()}
        return texts
