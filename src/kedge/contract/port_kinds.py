"""The kinds of ports that come with Kedge.

    File("mesh", "wing.med")     # an input: the file; an output: where it is to be in the end
    File["med"]("mesh")          # one that has an extension
    Number("load", 1200.0, unit="N")
    Pickle("model", value=model)

`File` and `Folder` are annotations as well, of a function's parameters.
"""

import os
from functools import lru_cache
from typing import Any, ClassVar, Final, TypeGuard

from kedge.contract import runner
from kedge.ports import Schema
from kedge.task.port import Port
from kedge.translation import _

_PICKLE: Final = "Pickle"
_MOST: Final = 100  # kinds of files by their extensions


class File(runner.File, Port):
    """A file: an input's on this machine, or where an output's is to be in the end.

    `File["step", "iges"]` is a file with one of these extensions. Both are annotations as well, of the
    parameters and results of a function, which gets a `pathlib.Path`.

    Args:
        id: what it is called.
        path: where it is, or is to be; an output without one stays with its run.

    Raises:
        InputError: when its task is run: there is no such file, or it has another extension.

    >>> from kedge import CommandRuntime, File, Task
    >>> task = Task(runtime=CommandRuntime("echo 1 > {log}"), outputs=[File["txt"]("log", "log.txt")])
    >>> open(task.run_sync().outputs["log"]).read().strip()
    '1'
    """

    kind: ClassVar[str] = "file"
    kind_name = _("File")
    kind_description = _("A file of any size, by its path.")

    path: str | os.PathLike[str] | None = None

    def __class_getitem__(cls, extensions: Any) -> type:
        names = extensions if isinstance(extensions, tuple) else (extensions,)
        return _with(cls, tuple(str(name).lstrip(".").lower() for name in names))  # type: ignore[arg-type]

    def __reduce__(self) -> tuple[Any, ...]:  # a kind with extensions is in no module
        kind = type(self).__base__ if "extensions" in vars(type(self)) else type(self)
        return _again, (kind, self.extensions, vars(self))

    @property
    def schema(self) -> Schema:
        """A string of format `binary`, with the extensions that it may have."""
        found: dict[str, Any] = {"type": "string", "format": "binary"}
        return found | ({"x-extensions": list(self.extensions)} if self.extensions else {})

    @property
    def bound(self) -> str | None:
        """The path."""
        return None if self.path is None else os.fspath(self.path)


@lru_cache(_MOST)
def _with(cls: type, extensions: tuple[str, ...]) -> type:
    """The kind of file with these extensions: the same one each time, so that two such ports can be equal."""
    made: type = runner.File.__class_getitem__.__func__(cls, extensions)  # type: ignore[attr-defined]
    return made


def _again(kind: Any, extensions: tuple[str, ...], fields: dict[str, Any]) -> File:
    made: File = (kind[extensions] if extensions else kind)(**fields)
    return made


class Folder(runner.Folder, File):
    """A folder: an input's on this machine, or where an output's is to be in the end.

    It is an annotation as well, as `File` is.

    Args:
        id: what it is called.
        path: where it is, or is to be; an output without one stays with its run.

    Raises:
        InputError: when its task is run: there is no such folder.

    >>> import os
    >>> from kedge import CommandRuntime, Folder, Task
    >>> made = CommandRuntime("mkdir -p {case} && touch {case}/mesh {case}/load")
    >>> sorted(os.listdir(Task(runtime=made, outputs=[Folder("case")]).run_sync().outputs["case"]))
    ['load', 'mesh']
    """

    kind: ClassVar[str] = "folder"
    kind_name = _("Folder")
    kind_description = _("A folder with all that is in it, by its path.")

    @property
    def schema(self) -> Schema:
        """A string of format `binary` and type `Folder`."""
        return {"type": "string", "format": "binary", "x-type": "Folder"}


class Pickle(Port):
    """A Python object, in a file as pickle has it.

    Code of this process is given the object, unpickled for each run, and returns one; a program has the file.

    Args:
        id: what it is called.
        path: a file that holds it; of an output, where that is to be in the end.
        value: the object itself, of an input.

    Raises:
        TaskError: when its task is set up: the object cannot be pickled.

    >>> from kedge import Pickle, PythonFunctionRuntime, Task
    >>> size = PythonFunctionRuntime(lambda points: len(points))
    >>> Task(runtime=size, inputs=[Pickle("points", value={(0, 1), (2, 3)})]).run_sync().outputs
    {'result': 2}
    """

    kind: ClassVar[str] = "pickle"
    kind_name = _("Pickle")
    kind_description = _("A Python object, in a file as pickle has it.")

    path: str | os.PathLike[str] | None = None
    value: object = ...

    @property
    def schema(self) -> Schema:
        """A string of format `binary` and type `Pickle`."""
        return {"type": "string", "format": "binary", "x-type": _PICKLE}

    @property
    def bound(self) -> str | None:
        """The path."""
        return None if self.path is None else os.fspath(self.path)

    @property
    def is_bound(self) -> bool:
        """Whether there is a path or an object."""
        return self.path is not None or self.value is not ...


def is_pickle(port: Port) -> bool:
    """Whether a port is of objects in files."""
    return port.schema.get("x-type") == _PICKLE


def is_object(port: Port) -> TypeGuard[Pickle]:
    """Whether a port is bound to an object, which is in no file yet."""
    return isinstance(port, Pickle) and port.value is not ...


class Value(Port):
    """The base of ports that carry a value as JSON has them."""

    value: Any = None
    _schema: ClassVar[Schema] = {}

    @property
    def schema(self) -> Schema:
        """What its values are."""
        return dict(self._schema)

    @property
    def bound(self) -> Any:
        """The value."""
        return self.value


class Json(Value):
    """Anything that JSON can say, `null` too: `Json("rest", None)` is bound to that, `Json("rest")` to nothing.

    Args:
        id: what it is called.
        value: what an input is bound to; an output has none.

    Raises:
        InputError: when its task is run: the value is none of these.

    >>> from kedge import Json, PythonFunctionRuntime, Task
    >>> total = PythonFunctionRuntime(lambda loads: sum(loads.values()))
    >>> Task(runtime=total, inputs=[Json("loads", {"dead": 2, "live": 3})]).run_sync().outputs
    {'result': 5}
    """

    kind: ClassVar[str] = "json"
    kind_name = _("JSON")
    kind_description = _("Anything that JSON can say: objects, lists, texts, numbers.")

    value: Any = ...  # which JSON cannot say

    @property
    def bound(self) -> Any:
        """The value; None is one."""
        return None if self.value is ... else self.value

    @property
    def is_bound(self) -> bool:
        """Whether a value was given."""
        return self.value is not ...


class Number(Value):
    """A number, of a unit if it has one.

    Args:
        id: what it is called.
        value: what an input is bound to; an output has none.
        unit: of the number; text such as `"12 mm"` is converted to it.

    Raises:
        InputError: when its task is run: the value is none of these.

    >>> from kedge import Number, PythonFunctionRuntime, Task
    >>> twice = PythonFunctionRuntime(lambda width: width * 2)
    >>> Task(runtime=twice, inputs=[Number("width", "2 cm", unit="mm")]).run_sync().outputs
    {'result': 40.0}
    """

    kind: ClassVar[str] = "number"
    kind_name = _("Number")
    kind_description = _("A number, with its unit if it has one.")

    unit: str | None = None

    @property
    def schema(self) -> Schema:
        """A number, with its unit; what is bound to a whole one stays whole."""
        is_whole = type(self.value) is int
        return {"type": "integer" if is_whole else "number"} | (
            {"x-unit": self.unit} if self.unit else {}
        )


class Boolean(Value):
    """True or false.

    Args:
        id: what it is called.
        value: what an input is bound to; an output has none.

    Raises:
        InputError: when its task is run: the value is none of these.

    >>> from kedge import Boolean, PythonFunctionRuntime, Task
    >>> opposite = PythonFunctionRuntime(lambda wet: not wet)
    >>> Task(runtime=opposite, inputs=[Boolean("wet", True)]).run_sync().outputs
    {'result': False}
    """

    kind: ClassVar[str] = "boolean"
    kind_name = _("Boolean")
    kind_description = _("Yes or no.")
    _schema: ClassVar[Schema] = {"type": "boolean"}


class String(Value):
    """A text.

    Args:
        id: what it is called.
        value: what an input is bound to; an output has none.

    Raises:
        InputError: when its task is run: the value is none of these.

    >>> from kedge import CommandRuntime, File, String, Task
    >>> said = CommandRuntime("printf %s {text} > {out}")
    >>> task = Task(runtime=said, inputs=[String("text", "a b; $(id)")], outputs=[File("out")])
    >>> open(task.run_sync().outputs["out"]).read()
    'a b; $(id)'
    """

    kind: ClassVar[str] = "string"
    kind_name = _("Text")
    kind_description = _("A text of any length.")
    _schema: ClassVar[Schema] = {"type": "string"}
