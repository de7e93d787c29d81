"""Where in its file stands what is wrong with a task that was read from one.

What a task's ports, runtime and executor say of themselves names a port's id or a field: they know no file.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from kedge.errors import InputError, TaskError, Where
from kedge.package.document import Document, Path

_STEPS: Final = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")  # of `inputs[0].path`


@contextmanager
def placed(document: Document) -> Iterator[None]:
    """A block whose errors of the document's task say the line and column too.

    Raises:
        TaskError, InputError: as they came, with other places.
    """
    try:
        yield
    except (TaskError, InputError) as error:
        for problem in error.problems:
            problem.where = _place(document, problem.where)
        if len(error.problems) == 1:
            error.where = error.problems[0].where
        raise


def _place(document: Document, where: Where | None) -> Where | None:
    if where is None or where.file == document.file:
        return where
    said = (
        where.file or where.path or ""
    )  # a placeholder's place is one in the text that it stands in
    path = _path(document.data, said)
    if path is None:
        return where
    found = document.where(path)
    inside = "" if where.line is None else f":{where.line}:{where.column}"
    return Where(found.file, found.line, found.column, said + inside)


def _path(data: Mapping[str, object], said: str) -> Path | None:
    """Where in the data stands what is said to be at a port, in a field of the task or of its runtime."""
    steps = [int(at) if at else name for at, name in _STEPS.findall(said)]
    for side in ("inputs", "outputs"):
        ports = data.get(side)
        for at, port in enumerate(ports if isinstance(ports, list) else ()):
            if isinstance(port, Mapping) and port.get("id") in (said, *steps[:1]):
                return (side, at)
    if steps[:1] and steps[0] in data:
        return tuple(steps)
    runtime = data.get("runtime")
    if isinstance(runtime, Mapping) and steps[:1] and steps[0] in runtime:
        return ("runtime", *steps)
    return None
