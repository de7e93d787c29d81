"""The kinds `python_function` and `python_code`: Python of this process, or sent from it to one of its own."""

import inspect
import sys
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kedge.contract.port_kinds import is_pickle
from kedge.contract.workspace import place_of
from kedge.data import Data
from kedge.errors import Problem, TaskError, Where
from kedge.ports import kind_of
from kedge.runtime.base import Runtime
from kedge.runtime.outputs import place_of_output
from kedge.task.payload import Call, Code, Inside, Process, PythonRoot
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.task.port import Port
    from kedge.task.task import Task

_MOST_SIGNATURES = 128
_BY_PLACE = "it takes arguments by place only, and a task gives them by name"


class PythonFunctionRuntime(Data, Runtime[Call | Process]):
    """A function of this process. Its parameters are inputs, outputs and `task`, by their ids.

    A file is a `pathlib.Path`: of an input as it is on this machine, of an output where it is to be written.
    What it returns is the output `result`, or a dictionary of those that are declared.

    With the executor `process` or `sandbox` it runs in a Python process of its own, with the same packages: what it
    refers to is pickled for that, and of an input file it has the run's own path.

    Args:
        func: the function, or where it is: `module:name`, which is imported when the task is set up.

    Raises:
        ValueError: when its task is set up: parameters without a default that nothing is for, in their order.
        TaskError: when its task is set up: there is no such function, or it cannot be sent to a process of its own.

    >>> from kedge import Number, PythonFunctionRuntime, Task
    >>> area = PythonFunctionRuntime(lambda width, height=2: width * height)
    >>> Task(runtime=area, inputs=[Number("width", 3)]).run_sync().outputs
    {'result': 6}
    """

    kind: ClassVar[str] = "python_function"
    kind_name = _("Python function")
    kind_description = _("A Python function, in Kedge's own process or in one of its own.")
    gives: ClassVar[tuple[type, ...]] = (Call, Process)
    roots: ClassVar[tuple[type, ...]] = (PythonRoot,)
    answers: ClassVar[bool] = True

    func: Callable[..., Any] | str

    def __eq__(self, other: object) -> bool:
        """Whether the other is of the same function; it does not matter which of them says where that is."""
        return isinstance(other, PythonFunctionRuntime) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> object:
        return self.func if isinstance(self.func, str) else reference(self.func) or self.func

    async def _setup_runtime(self, task: "Task") -> Call | Process:
        function = _found(self.func) if isinstance(self.func, str) else self.func
        here = _is_here(task, Call)
        arguments = _arguments(function, {"task": task, **_values(task, here=here)})
        call = Call(function, arguments, _kinds(task.outputs), task.open is not None)
        return call if here else _sent(call, task)


class PythonCodeStringRuntime(Data, Runtime[Code | Process]):
    """Source that is executed in this process, with the inputs as names; the outputs are names that it leaves.

    With the executor `process` or `sandbox` it has a Python process of its own, as a function would.
    No value is ever put into its text; `task` is a name as well, and files are `pathlib.Path`s.

    Args:
        code: the source.

    >>> from kedge import Number, PythonCodeStringRuntime, Task
    >>> side = PythonCodeStringRuntime("side = area ** 0.5")
    >>> Task(runtime=side, inputs=[Number("area", 9)], outputs=[Number("side")]).run_sync().outputs
    {'side': 3.0}
    """

    kind: ClassVar[str] = "python_code"
    kind_name = _("Python code")
    kind_description = _("Python source, in Kedge's own process or in one of its own.")
    gives: ClassVar[tuple[type, ...]] = (Code, Process)
    roots: ClassVar[tuple[type, ...]] = (PythonRoot,)
    answers: ClassVar[bool] = True

    code: str

    async def _setup_runtime(self, task: "Task") -> Code | Process:
        here = _is_here(task, Code)
        names = _values(task, here=here)
        if here or "task" in self.code:  # else it would travel for nothing
            names = {"task": task, **names}
        code = Code(self.code, names, _kinds(task.outputs), f"<{task.name}>")
        return code if here else _sent(code, task)


def reference(function: Callable[..., Any]) -> str | None:
    """`module:name` of a function that is found there; None of any other.

    >>> reference(inspect.signature)
    'inspect:signature'
    """
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", "")
    if not module or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function else None


class _Parameters(Data):
    """What a function takes: by place only, by name and whether that has to be, and whether any others by name."""

    by_place: tuple[str, ...]
    by_name: Mapping[str, bool]
    others: bool


def _parameters(function: Callable[..., Any]) -> _Parameters:
    return (_known if isinstance(function, Hashable) else _read)(function)


def _read(function: Callable[..., Any]) -> _Parameters:
    found = inspect.signature(function).parameters.values()
    return _Parameters(
        tuple(one.name for one in found if one.kind is one.POSITIONAL_ONLY),
        {
            one.name: one.default is one.empty
            for one in found
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        },
        any(one.kind is one.VAR_KEYWORD for one in found),
    )


_known = lru_cache(_MOST_SIGNATURES)(_read)


def _raised_at(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    from traceback import extract_tb

    frames = [one for one in extract_tb(error.__traceback__) if one.filename[:1] != "<"]
    return f"{frames[-1].filename}:{frames[-1].lineno}"


def _found(reference: str) -> Callable[..., Any]:
    module, _, name = reference.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise TaskError(
            f"the function `{reference}` cannot be had: {error}",
            where=Where(path="func"),
            hint="write `module:function`, of a module that can be imported here",
        ) from error
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise TaskError(
            f"the function `{reference}` cannot be had: its import raised {kind}: {error}",
            where=Where(path="func"),
            hint=f"see {_raised_at(error)}",
        ) from error
    if not callable(found):
        raise TaskError(
            f"`{reference}` is no function",
            where=Where(path="func"),
            hint="write `module:function`",
        )
    result: Callable[..., Any] = found
    return result


def _is_here(task: "Task", payload: type) -> bool:
    """Whether what a task's executor takes is a function, or source, of this process."""
    return task.executor is None or issubclass(payload, task.executor.accepts)


def _sent(payload: Call | Code, task: "Task") -> Process:
    from kedge.runtime.sent import sent  # which what is called here need not wait for

    return sent(payload, task)


def _values(task: "Task", *, here: bool) -> dict[str, Any]:
    """What a function or source can have, by name: in this process, or in one of its own."""
    found: dict[str, Any] = {}
    for port in task.inputs:
        if kind_of(port.schema) == "value" and not is_pickle(port):
            found[_name(port)] = port.bound
        elif not here:
            found[_name(port)] = Inside(place_of(port.id, port.schema, port.bound), is_pickle(port))
        else:
            found[_name(port)] = _unpickled(port) if is_pickle(port) else Path(port.bound)
    for port in task.outputs:
        if kind_of(port.schema) != "value" and not is_pickle(port):
            found[_name(port)] = Inside(place_of_output(port))
    return found


def _unpickled(port: "Port") -> Any:
    import pickle

    try:
        with open(port.bound, "rb") as file:
            return pickle.load(file)
    except Exception as error:  # whatever its class raises
        raise TaskError(
            f"the object of `{port.id}` cannot be unpickled: {type(error).__name__}: {error}",
            where=Where(path=port.id),
            hint="give a file that `pickle` has written, of classes that can be imported here",
        ) from error


def _name(port: "Port") -> str:
    return port.id.replace("-", "_")


def _kinds(ports: "tuple[Port, ...]") -> dict[str, str]:
    return {port.id: "pickle" if is_pickle(port) else kind_of(port.schema) for port in ports}


def _arguments(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Those that the function takes.

    Raises:
        TaskError: nothing is for some of its parameters: all of them, in their order.
    """
    name = getattr(function, "__qualname__", repr(function))
    try:
        parameters = _parameters(function)
    except (TypeError, ValueError) as error:
        raise TaskError(
            f"the parameters of `{name}` cannot be told: {error}", hint="wrap it in a function"
        ) from error
    problems = [
        Problem(f"the parameter `{one}` of `{name}` cannot be given: {_BY_PLACE}")
        for one in parameters.by_place
    ]
    by_name = parameters.by_name
    missing = [one for one, needed in by_name.items() if needed and one not in given]
    if missing:
        listed = ", ".join(f"`{one}`" for one in missing)
        hint = f"declare inputs or outputs of these names; there is: {', '.join(given)}"
        problems.append(Problem(f"`{name}` lacks the parameters {listed}", hint=hint))
    if problems:
        raise TaskError.of(problems, f"the parameters of `{name}`")
    return given if parameters.others else {one: given[one] for one in by_name if one in given}
