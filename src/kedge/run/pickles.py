"""Objects that a task is given, in files for the length of its run."""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from kedge import home
from kedge.data import replace
from kedge.environment import folders
from kedge.errors import Problem, StoreError, TaskError, Where
from kedge.task import Port, Task


def written(task: Task, objects: Iterable[Any], after: ExitStack) -> tuple[Port, ...]:
    """The inputs of a task, where those that are objects are files with them.

    Args:
        task: whose.
        objects: those of its inputs that are (`kedge.contract.port_kinds.is_object`).
        after: told how to remove the files.

    Raises:
        TaskError: objects that cannot be pickled, all of them.
        StoreError: the disk does not take them.
    """
    dump = _dump(task)
    folder = after.enter_context(folders.temporary(home.folder(folders.TEMPORARIES)))
    problems = []
    found: dict[str, Port] = {}
    for port in objects:
        path = os.path.join(folder, f"{port.id}.pkl")
        try:
            with folders.writing(f"the object `{port.id}`"), open(path, "wb") as file:
                dump(port.value, file)
        except Exception as error:  # whatever its class raises
            if isinstance(error, StoreError):
                raise
            message = f"the object of `{port.id}` cannot be pickled: {error}"
            hint = (
                "its class and functions have to be in a module, and it holds no open file or lock"
            )
            problems.append(Problem(message, Where(path=port.id), hint))
        found[port.id] = replace(port, path=path, value=...)
    if problems:
        raise TaskError.of(problems, f"the inputs of `{task.name}`")
    return tuple(found.get(port.id, port) for port in task.inputs)


def _dump(task: Task) -> Callable[[Any, Any], None]:
    """What pickles: for a process of its own so that what `__main__` defines, which that has not, goes with it."""
    if task.executor is not None and not task.executor.of_this_process:
        import cloudpickle

        dump: Callable[[Any, Any], None] = cloudpickle.dump
        return dump
    import pickle

    return pickle.dump
