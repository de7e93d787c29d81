"""The kind `command`: a program of this machine, by a text for its shell or by a list of arguments."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from kedge.contract import workspace
from kedge.data import Data, field
from kedge.errors import InputError, Problem, TaskError, Where
from kedge.ports import kind_of
from kedge.runtime import placeholders, shell
from kedge.runtime.base import Runtime
from kedge.runtime.outputs import place_of_output
from kedge.task.payload import HERE, Process
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.task.port import Port
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

    command: str | tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    async def _setup_runtime(self, task: "Task") -> Process:
        if problems := [*self._problems()]:
            raise TaskError.of(problems, "command")
        values = _values(task)
        if isinstance(self.command, str):
            argv = shell.argv(shell.prepare(self.command, values), values)
        else:
            argv = _filled(self.command, values)
        return Process(tuple(argv), env=dict(self.env), folder="out/artifacts")

    def _problems(self) -> Iterator[Problem]:
        """What is no text, or none that a program can be given."""
        texts: dict[str, Any] = {"command": self.command}
        if isinstance(self.command, list | tuple):
            texts = {f"command[{at}]": text for at, text in enumerate(self.command)}
        texts |= {f"env.{name}": text for name, text in self.env.items()}
        for place, text in texts.items():
            if not isinstance(text, str):
                message = f"`{text!r:.80}` is a `{type(text).__name__}`, and no text"
                yield Problem(message, Where(path=place), "write it as a text, with `str`")
            elif HERE in text:
                message = "it holds a NUL, with which every text of a program ends"
                yield Problem(message, Where(path=place), "take it out")


def _filled(command: tuple[str, ...], values: Mapping[str, str]) -> list[str]:
    parts = [placeholders.parse(text) for text in command]
    problems = [
        problem
        for at, one in enumerate(parts)
        for problem in placeholders.check(one, values, f"command[{at}]")
    ]
    if problems:
        raise TaskError.of(problems, "command")
    return [placeholders.fill(one, values) for one in parts]


def _values(task: "Task") -> dict[str, str]:
    """What placeholders may be, by what stands between their braces.

    Raises:
        InputError: texts that no program can be given, all of them.
    """
    found = {f"task.{name}": getattr(task, name) for name in ("id", "name", "description")}
    problems = []
    for port in task.inputs:
        if _is_value(port):
            found[port.id] = text = _text(port.bound)
            if HERE in text:
                message = f"`{port.id}` holds a NUL, with which every argument of a program ends"
                problems.append(Problem(message, Where(path=port.id), "give it as a file"))
        else:
            place = workspace.place_of(port.id, port.schema, port.bound)
            found |= placeholders.of_file(port.id, f"{HERE}/{place}")
    for port in task.outputs:
        if not _is_value(port):
            found |= placeholders.of_file(port.id, f"{HERE}/{place_of_output(port)}")
    if problems:
        raise InputError.of(problems, f"the inputs of `{task.name}`")
    return found


def _is_value(port: "Port") -> bool:
    return kind_of(port.schema) == "value"


def _text(value: Any) -> str:
    """A value as an argument: a text as it is, all else as JSON says it."""
    return value if isinstance(value, str) else json.dumps(value)
