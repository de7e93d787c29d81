"""A function, or source, of this process as a program of its own: pickled for a Python like this one.

The runner calls it there, so that prints, progress, a stop, failures and outputs are what they are of any function.
cloudpickle sends what is in no module, and what `__main__` defines, by value; all else is imported there again, by its
name, from the folders of this process's `sys.path`.
"""

import inspect
import io
import operator
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from kedge.contract.pickled import DECORATED, sources
from kedge.contract.runner import SENT
from kedge.environment.runner import runner_for
from kedge.errors import KedgeError, Problem, TaskError
from kedge.ports import extensions_of
from kedge.ports.files import printable
from kedge.runtime.host_python import host_python, not_shown
from kedge.runtime.python import started
from kedge.task.payload import Call, Code, Inside, Process, PythonRoot

if TYPE_CHECKING:
    from kedge.task.task import Task

_PROTOCOL: Final = 5
_WHY_LIMIT: Final = 500  # characters of what a class says that refuses to be pickled
_HINT: Final = (
    "make it inside the function, or give it as an input; the executor `inprocess` pickles nothing"
)


def sent(payload: Call | Code, task: "Task") -> Process:
    """The program that calls it as the executor of this process would; its paths are of the workspace.

    Raises:
        TaskError: something of it cannot be pickled, or is of a module that no run may see.
    """
    what: Callable[..., Any] | str
    if isinstance(payload, Call):
        what, given, is_open = payload.function, payload.arguments, payload.is_open
    else:
        what, given, is_open = payload.source, payload.names, True
    places = {name: one for name, one in given.items() if isinstance(one, Inside)}
    arguments = {name: one for name, one in given.items() if name not in places}
    path, closed = _folders()
    data = _pickled(what, arguments, closed)
    python = host_python()
    runner = runner_for(python.interpreter)
    extensions = {port.id: list(extensions_of(port.schema)) for port in task.outputs}
    instructions = {
        "handler": "",
        "sent": {
            "name": getattr(payload, "place", ""),
            "path": path,
            "paths": {name: one.path for name, one in places.items() if not one.is_object},
            "objects": {name: one.path for name, one in places.items() if one.is_object},
        },
        "outputs": {
            port: {"kind": kind, "extensions": extensions[port]}
            for port, kind in payload.kinds.items()
        },
        "open": is_open,
    }
    root = PythonRoot((*python.visible, os.path.dirname(runner), *path))
    return started(
        python.path,
        root,
        runner,
        "run",
        instructions,
        {},
        folder="out/artifacts",
        files={SENT: data},
    )


def _folders() -> tuple[list[str], dict[str, str]]:
    """Where modules are looked for: what a run may see, and what not, with the reason."""
    found, closed = [], {}
    for entry in dict.fromkeys(map(os.path.abspath, sys.path)):
        if not os.path.exists(entry):
            continue
        real = os.path.realpath(entry)
        if (why := not_shown(real)) is not None:
            closed[real] = why
        else:
            found.append(entry)
    return found, closed


def _pickled(
    what: Callable[..., Any] | str, arguments: Mapping[str, Any], closed: Mapping[str, str]
) -> bytes:
    try:
        data, modules, files = _dumped((what, arguments))
    except Exception as error:
        raise _refused(what, arguments, error) from error
    problems = []
    for name in sorted(modules):
        folder = _folder_of(name)
        if folder is not None and folder in closed:
            problems.append(
                Problem(
                    f"the module `{name}` is in `{printable(folder)}`, which would be open to the run,"
                    f" and {closed[folder]}",
                    hint="put the module in a folder of its own",
                )
            )
    if problems:
        raise TaskError.of(problems, f"what `{_name(what)}` refers to")
    return pickle.dumps(sources(files)) + data


def _dumped(thing: Any) -> tuple[bytes, set[str], list[str]]:
    """The pickle, the modules that are to be imported for it, and the files of the code that is in it."""
    import cloudpickle

    modules: set[str] = set()
    files: list[str] = []
    by_value: dict[str, ModuleType] = {}

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, one: Any) -> Any:
            """What cloudpickle does, and note what goes by name."""
            if hasattr(type(one), DECORATED):  # which is a plain function where it runs
                return operator.getitem, ((one.__wrapped__,), 0)
            if isinstance(one, type | FunctionType) and one.__module__ not in by_value:
                module = sys.modules.get(one.__module__)
                if module is not None and not _can_be_imported(one.__module__):
                    by_value[one.__module__] = module
                    cloudpickle.register_pickle_by_value(module)
            found = super().reducer_override(one)
            if found is NotImplemented and isinstance(one, type | FunctionType | ModuleType):
                name = one.__name__ if isinstance(one, ModuleType) else one.__module__
                modules.add(str(name).partition(".")[0])
            elif isinstance(one, FunctionType):
                files.append(one.__code__.co_filename)
            return found

    file = io.BytesIO()
    already = set(cloudpickle.list_registry_pickle_by_value())
    try:
        Pickler(file, _PROTOCOL).dump(thing)
    finally:
        for name in by_value.keys() - already:
            cloudpickle.unregister_pickle_by_value(by_value[name])
    return file.getvalue(), modules, files


def _can_be_imported(module: str) -> bool:
    """Whether a module would be found by its name; one that was loaded in another way goes by value."""
    top = module.partition(".")[0]
    return any(
        finder.find_spec(top, None) is not None
        for finder in sys.meta_path
        if hasattr(finder, "find_spec")
    )


def _folder_of(module: str) -> str | None:
    """The folder in which a module at the top was found."""
    found = sys.modules.get(module)
    place = next(iter(getattr(found, "__path__", ())), None) or getattr(found, "__file__", None)
    return os.path.realpath(os.path.dirname(place)) if place else None


def _refused(
    what: Callable[..., Any] | str, arguments: Mapping[str, Any], error: Exception
) -> KedgeError:
    """The error that names each thing that cannot be pickled."""
    name = _name(what)
    parts = [(f"the parameter `{one}`", value) for one, value in arguments.items()]
    parts += [(f"`{one}`, which `{name}` refers to", value) for one, value in _variables(what)]
    problems = []
    for said, value in parts:
        try:
            _dumped(value)
        except Exception as wrong:  # noqa: BLE001 - whatever its class raises
            kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
            problems.append(
                Problem(
                    f"{said}, a `{kind}`, cannot be sent to another process: {_why(wrong)}",
                    hint=_HINT,
                )
            )
    whole = Problem(f"`{name}` cannot be sent to another process: {_why(error)}", hint=_HINT)
    return TaskError.of(problems or [whole], f"what `{name}` needs")


def _variables(what: Callable[..., Any] | str) -> Iterator[tuple[str, Any]]:
    """What a function refers to outside of itself, as far as that can be told."""
    function: Any = getattr(what, "__func__", getattr(what, "func", what))
    try:
        found = inspect.getclosurevars(function)
    except (TypeError, ValueError):
        return
    yield from found.nonlocals.items()
    yield from found.globals.items()


def _name(what: Callable[..., Any] | str) -> str:
    return "the source" if isinstance(what, str) else getattr(what, "__qualname__", repr(what))


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it refers to itself too deeply"
    return (str(error) or type(error).__name__)[:_WHY_LIMIT]
