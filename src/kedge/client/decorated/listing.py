"""What may come back by its name: data of Python's own and of some libraries, and what puts that together.

Nothing that is listed does more than hold what it is made of.
"""

import builtins
import importlib
import sys
from contextlib import suppress
from typing import Any, Final

from kedge.client.decorated import local

_PLAIN: Final = {
    "builtins": {
        "complex", "set", "frozenset", "bytearray", "range", "slice", "object", "int", "float", "str",
        "bytes", "bool", "list", "dict", "tuple", "Ellipsis", "NotImplemented",
    },
    "array": {"array", "_array_reconstructor"},
    "collections": {"OrderedDict", "defaultdict", "deque", "Counter", "ChainMap", "UserDict", "UserList",
                    "UserString"},
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
    "zoneinfo": {"ZoneInfo"},
}  # fmt: skip
LIBRARIES: Final = {
    "numpy": (
        {"core", "_core", "random", "ma", "rec", "char", "matrixlib", "dtypes", "exceptions", "lib",
         "linalg", "polynomial"},
        {"_reconstruct", "scalar", "_frombuffer", "_mareconstruct", "_convert_to_stringdtype_kwargs",
         "__generator_ctor", "__bit_generator_ctor", "__randomstate_ctor"},
    ),
    "pandas": (
        {"core", "_libs", "arrays", "errors"},
        {"_unpickle_block", "_new_Index", "_new_DatetimeIndex", "_new_IntervalIndex",
         "_new_TimedeltaIndex", "_unpickle_timestamp", "_timedelta_unpickle", "_nat_unpickle",
         "__nat_unpickle", "_new_period"},
    ),
    "pyarrow": (
        {"lib"},
        {"py_buffer", "scalar", "schema", "field", "chunked_array", "type_for_alias", "_reconstruct_table",
         "_reconstruct_record_batch", "_restore_array", "list_", "large_list", "list_view",
         "large_list_view", "map_", "struct", "union", "sparse_union", "dense_union", "dictionary",
         "run_end_encoded", "decimal32", "decimal64", "decimal128", "decimal256", "timestamp", "time32",
         "time64", "duration", "binary"},
    ),
}  # fmt: skip
"""Where these libraries' data is defined, and the functions that put it together."""

_ARROW: Final = (
    "Array", "Buffer", "ChunkedArray", "DataType", "Field", "KeyValueMetadata", "RecordBatch", "Scalar",
    "Schema", "Table",
)  # fmt: skip

_PANDAS_PARTS: Final = (
    "pandas._libs.arrays", "pandas._libs.internals", "pandas._libs.interval", "pandas._libs.sparse",
    "pandas._libs.tslibs.", "pandas.core.internals.",
)  # fmt: skip

_DOING: Final = frozenset(
    {"__main__", "_examples", "_tkinter", "antigravity", "conftest", "curses", "idlelib", "pty", "readline",
     "rlcompleter", "setup", "test", "tests", "this", "tkinter", "turtle", "turtledemo", "webbrowser"}
)  # fmt: skip
"""Parts of the names of modules that do more than define something when they are imported."""


def listed(module: str, name: str) -> Any:
    """What is on the list by that name; None for anything else."""
    if name in _PLAIN.get(module, ()):
        return getattr(importlib.import_module(module), name)
    if module == "builtins":
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
    library, *parts = module.split(".")
    if library in sys.stdlib_module_names and not _DOING & {library, *parts}:
        with suppress(Exception):
            importlib.import_module(module)
    if library in LIBRARIES and local.is_installed(library):
        return _of_library(library, parts, name)
    return None


def attribute(module: Any, name: str) -> Any:
    """What a dotted name means in a module. Raises AttributeError."""
    found = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _of_library(library: str, parts: list[str], name: str) -> Any:
    """Data of a library, or what puts it together; None for anything else."""
    places, functions = LIBRARIES[library]
    top = importlib.import_module(library)
    is_below = bool(parts) and parts[0] in places and not _DOING & set(parts)
    module = ".".join((library, *parts))
    try:
        found = attribute(
            importlib.import_module(module) if is_below else sys.modules[module], name
        )
    except (ImportError, AttributeError, KeyError):
        return None
    if isinstance(found, type):
        if library == "numpy" and issubclass(found, top.memmap):
            # What was in a file inside is in memory here: to make one writes files.
            return top.ndarray
        return found if _is_data(found, library, top) else None
    if library == "pandas" and found is top.NA:
        return found
    is_known = name in functions or name.startswith("__pyx_unpickle_")
    return found if is_known and is_below else None


def _is_data(kind: type, library: str, top: Any) -> bool:
    """Whether a class of one of these libraries holds data, and does nothing when it is made."""
    if issubclass(kind, Exception):
        return True
    if library == "numpy":
        data = (top.ndarray, top.generic, top.dtype, top.poly1d, top.finfo, top.iinfo)
        chance = (top.random.BitGenerator, top.random.Generator, top.random.RandomState)
        polynomials = top.polynomial.polynomial.ABCPolyBase
        is_row = issubclass(kind, tuple) and hasattr(kind, "_fields")  # as `eigh` gives
        return is_row or issubclass(kind, (*data, *chance, top.random.SeedSequence, polynomials))
    if library == "pandas":
        values = (top.DataFrame, top.Series, top.Index, top.Timestamp, top.Timedelta, top.Period)
        extended = top.api.extensions
        parts = (top.Interval, top.Flags, extended.ExtensionArray, extended.ExtensionDtype, list)
        # Where readers and writers say that they are defined is not where they are.
        return kind.__module__.startswith(_PANDAS_PARTS) or issubclass(kind, (*values, *parts))
    return issubclass(kind, tuple(getattr(top, name) for name in _ARROW))
