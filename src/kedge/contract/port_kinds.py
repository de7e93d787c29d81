"""The kinds of ports that come with Kedge.

    File("mesh", "wing.med")     # an input: the file; an output: where it is to be in the end
    File["med"]("mesh")          # one that has an extension
    Number("load", 1200.0, unit="N")
    Pickle("model", value=model)

`File` and `Folder` are annotations as well, of a function's parameters.
"""

import os
from functools import lru_cache
from typing import Any, ClassVar, Final

from kedge.contract import runner
from kedge.ports import Schema
from kedge.task.port import Port

_PICKLE: Final = "Pickle"
_MOST: Final = 100  # kinds of files by their extensions


class File(runner.File, Port):
    """A file: an input's on this machine, or where an output's is to be in the end.

    An output without a path stays with its run.
    """

    kind: ClassVar[str] = "file"
    kind_name: ClassVar[str] = "File"
    kind_description: ClassVar[str] = "A file of any size, by its path."

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
    """A folder: an input's on this machine, or where an output's is to be in the end."""

    kind: ClassVar[str] = "folder"
    kind_name: ClassVar[str] = "Folder"
    kind_description: ClassVar[str] = "A folder with all that is in it, by its path."

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
    """

    kind: ClassVar[str] = "pickle"
    kind_name: ClassVar[str] = "Pickle"
    kind_description: ClassVar[str] = "A Python object, in a file as pickle has it."

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
    """Anything that JSON can say, `null` too: `Json("rest", None)` is bound to that, `Json("rest")` to nothing."""

    kind: ClassVar[str] = "json"
    kind_name: ClassVar[str] = "JSON"
    kind_description: ClassVar[str] = "Anything that JSON can say: objects, lists, texts, numbers."

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
    """A number, of a unit if it has one."""

    kind: ClassVar[str] = "number"
    kind_name: ClassVar[str] = "Number"
    kind_description: ClassVar[str] = "A number, with its unit if it has one."

    unit: str | None = None

    @property
    def schema(self) -> Schema:
        """A number, with its unit; what is bound to a whole one stays whole."""
        is_whole = type(self.value) is int
        return {"type": "integer" if is_whole else "number"} | (
            {"x-unit": self.unit} if self.unit else {}
        )


class Boolean(Value):
    """True or false."""

    kind: ClassVar[str] = "boolean"
    kind_name: ClassVar[str] = "Boolean"
    kind_description: ClassVar[str] = "Yes or no."
    _schema: ClassVar[Schema] = {"type": "boolean"}


class String(Value):
    """A text."""

    kind: ClassVar[str] = "string"
    kind_name: ClassVar[str] = "Text"
    kind_description: ClassVar[str] = "A text of any length."
    _schema: ClassVar[Schema] = {"type": "string"}
