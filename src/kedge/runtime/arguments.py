"""What a task gives a program as arguments: placeholders filled from its ports, with no shell."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kedge.contract import workspace
from kedge.errors import InputError, Problem, TaskError, Where
from kedge.ports import kind_of
from kedge.runtime import placeholders
from kedge.runtime.outputs import place_of_output
from kedge.task.payload import HERE

if TYPE_CHECKING:
    from kedge.task.port import Port
    from kedge.task.task import Task


def wrong_texts(texts: Mapping[str, Any]) -> Iterator[Problem]:
    """What is no text, or none that a program can be given; `texts` by their places."""
    for place, text in texts.items():
        if not isinstance(text, str):
            message = f"`{text!r:.80}` is a `{type(text).__name__}`, and no text"
            yield Problem(message, Where(path=place), "write it as a text, with `str`")
        elif HERE in text:
            message = "it holds a NUL, with which every text of a program ends"
            yield Problem(message, Where(path=place), "take it out")


def filled(texts: Sequence[str], values: Mapping[str, str], field: str) -> list[str]:
    """The texts with values for their placeholders; `field` is what messages call them.

    Raises:
        TaskError: placeholders that are not known, all of them.
    """
    parts = [placeholders.parse(text) for text in texts]
    problems = [
        problem
        for at, one in enumerate(parts)
        for problem in placeholders.check(one, values, f"{field}[{at}]")
    ]
    if problems:
        raise TaskError.of(problems, field)
    return [placeholders.fill(one, values) for one in parts]


def values_of(task: "Task") -> dict[str, str]:
    """What placeholders may be, by what stands between their braces.

    Raises:
        InputError: texts that no program can be given, all of them.
    """
    found = {f"task.{name}": getattr(task, name) for name in ("id", "name", "description")}
    problems = [
        Problem(
            f"`{name}` holds a NUL, with which every argument of a program ends", Where(path=name)
        )
        for name, text in found.items()
        if HERE in text
    ]
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
