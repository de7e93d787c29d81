"""What a decorated function gave, read where it may not run any code: its runtime is not trusted.

A pickle can name anything that can be imported, and call it. What may be named here is a list: plain types,
exceptions of what is loaded already, numpy's and pandas' data, and classes of the caller's own.
"""

import builtins
import importlib
import io
import pickle
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from kedge.client.decorated import local
from kedge.contract import pickled
from kedge.data import Data

type Classes = Mapping[tuple[str, str], type]

_PLAIN: Final = {
    "builtins": {
        "complex", "set", "frozenset", "bytearray", "range", "slice", "object", "int", "float", "str",
        "bytes", "bool", "list", "dict", "tuple", "Ellipsis", "NotImplemented",
    },
    "array": {"array", "_array_reconstructor"},
    "collections": {"OrderedDict", "defaultdict", "deque", "Counter", "ChainMap", "UserDict"},
    "copyreg": {"__newobj__", "__newobj_ex__", "_reconstructor"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "ipaddress": {
        "IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface",
    },
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath"},
    "pathlib._local": {"Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath"},
    "types": {"SimpleNamespace", "NoneType", "EllipsisType"},
    "uuid": {"UUID", "SafeUUID"},
    "zoneinfo": {"ZoneInfo._unpickle"},
}  # fmt: skip
_CALLED: Final = {
    "numpy": (
        {"multiarray", "numeric", "_pickle", "core"},
        {"_reconstruct", "scalar", "_frombuffer", "_mareconstruct", "__generator_ctor",
         "__bit_generator_ctor", "__randomstate_ctor"},
    ),
    "pandas": (
        {"internals", "base", "datetimes", "timestamps", "timedeltas", "nattype", "period", "interval",
         "arrays"},
        {"_unpickle_block", "_new_Index", "_new_DatetimeIndex", "_unpickle_timestamp",
         "_timedelta_unpickle", "_nat_unpickle", "__nat_unpickle", "_new_period"},
    ),
    "pyarrow": (
        {"lib"},
        {"py_buffer", "type_for_alias", "_reconstruct_table", "_reconstruct_record_batch",
         "_restore_array", "_restore_chunked_array"},
    ),
}  # fmt: skip
"""Functions that put the data of these libraries together: last parts of module names, and names."""


_STANDARD: Final = sys.stdlib_module_names - {
    "antigravity",
    "idlelib",
    "test",
    "this",
    "turtledemo",
}
"""Modules that may be imported for their exceptions: all but those that do something then."""


class RefusedError(pickle.UnpicklingError):
    """A type that is not taken; the message names it."""


class Answer(Data):
    """What came back.

    Args:
        kind: `value`, `exception`, `unpicklable`.
        value: of the first two.
        text: of the last.
    """

    kind: str
    value: Any = None
    text: str = ""


def read(path: str, classes: Classes, *, free: bool, mapped: bool = True) -> Answer:
    """What a file says that came back.

    Args:
        path: of the file.
        classes: those of the caller's that travelled by value.
        free: whether any code may run that it asks for.
        mapped: as of `pickled.read`.

    Raises:
        pickled.FramesError: it is no answer, or not whole.
        RefusedError: it holds a type that is not taken.
        Exception: whatever unpickling raises.
    """
    head, parts = pickled.read(path, mapped=mapped)
    kind = head.get("kind")
    if kind == "unpicklable":
        return Answer(kind, text=f"`{head.get('type')}`: {head.get('why')}"[:4000])
    if kind not in ("value", "exception") or not parts:
        raise pickled.FramesError("it says neither a value nor an exception")
    if free:
        import cloudpickle  # noqa: F401 - what it has made of functions is found in it

    made: type[_Unpickler] = _Free if free else _Unpickler
    value = made(io.BytesIO(parts[0]), parts[1:], classes).load()
    if kind == "exception" and not isinstance(value, Exception):
        raise pickled.FramesError("what it says was raised is no exception")
    return Answer(kind, value)


class _Unpickler(pickle.Unpickler):
    """Finds what is on the list."""

    def __init__(self, file: io.BytesIO, buffers: list[Any], classes: Classes) -> None:
        super().__init__(file, buffers=buffers)
        self._classes = classes

    def find_class(self, module: str, name: str) -> Any:
        """What goes by that name, if it may."""
        if module == pickled.NAME and name == "named":
            return self._own
        if module == pickled.NAME and name == "_itself":
            return _itself
        if name in _PLAIN.get(module, ()):
            return _attribute(importlib.import_module(module), name)
        if module == "builtins":
            found = getattr(builtins, name, None)
            if isinstance(found, type) and issubclass(found, BaseException):
                return found
        if module.partition(".")[0] in _STANDARD:
            with suppress(ImportError):
                importlib.import_module(module)
        return self._of_library(module, name) or self._loaded(module, name)

    def _own(self, module: str, name: str) -> type:
        """A class that travelled by value, or that stands in a module of the caller's."""
        found = self._classes.get((module, name))
        return found if found is not None else self._loaded(module, name)

    def _of_library(self, module: str, name: str) -> Any:
        library = module.partition(".")[0]
        if library not in _CALLED or not local.is_installed(library):
            return None
        modules, functions = _CALLED[library]
        try:
            found = _attribute(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            return None
        if isinstance(found, type):
            return found if _is_data(found, library) else None
        if name in functions or name.startswith("__pyx_unpickle_"):
            return found if modules & set(module.split(".")) else None
        return None

    def _loaded(self, module: str, name: str) -> type:
        """A class of a module that is loaded: any of the caller's own, only exceptions of others."""
        try:
            found = _attribute(sys.modules[module], name)
        except (KeyError, AttributeError):
            found = None
        if isinstance(found, type) and (local.is_local(module) or issubclass(found, Exception)):
            return found
        raise RefusedError(f"`{module}.{name}`")


class _Free(_Unpickler):
    """Finds whatever there is."""

    def find_class(self, module: str, name: str) -> Any:
        """What goes by that name."""
        if module == pickled.NAME:
            return super().find_class(module, name)
        return pickle.Unpickler.find_class(self, module, name)


def _itself(value: Any) -> Any:
    return value


def _attribute(module: Any, name: str) -> Any:
    found = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _is_data(kind: type, library: str) -> bool:
    """Whether a class of one of these libraries holds data, and does nothing when it is made."""
    place = kind.__module__
    if issubclass(kind, Exception):
        return True
    if library == "numpy":
        numpy: Any = sys.modules["numpy"]
        data = (numpy.ndarray, numpy.generic, numpy.dtype, numpy.random.BitGenerator)
        return issubclass(kind, (*data, numpy.random.Generator, numpy.random.RandomState))
    if library == "pandas":
        below = ("pandas.core.", "pandas._libs.", "pandas.arrays")
        return place.startswith(below) and not place.startswith("pandas.core.computation")
    return place == "pyarrow.lib"
