"""A function and the arguments of one call, as bytes that travel.

cloudpickle carries the function's code with all that it refers to in the caller's own modules, by value;
modules that are installed go by name. Arrays and other large buffers are written beside the pickle.
"""

import inspect
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import cloudpickle

from kedge.client.decorated import local
from kedge.client.decorated.authored import authored
from kedge.contract import pickled
from kedge.data import Data
from kedge.errors import KedgeError, Problem, UsageError, Where

_MOST_CODES: Final = 1000  # functions whose imports are remembered
_WHY_LIMIT: Final = 500  # characters of what cloudpickle says
_SEARCHING: Final = {"sys", "path"}  # names in code that adds to `sys.path`

_pickling: Final = threading.RLock()  # what is pickled by value is the same for the whole process


class NotPickledError(UsageError):
    """A function, or an argument of a call, that cannot be sent to where it is to run."""

    code = "unpicklable"


class Sent(Data):
    """A function as it travels.

    Args:
        pickle: the bytes, and `buffers` what goes beside them.
        classes: those that travel by value, by what cloudpickle knows each by.
        modules: that it imports or refers to, by name; of the caller's own also what it takes from them,
            as `module.name`.
        searches: whether its code may say itself where modules are looked for.
        sources: text of the files that its code was read from, by their names.
        make: makes what it was pickled by, and its arguments are.
    """

    pickle: bytes
    buffers: tuple[Any, ...]
    classes: Mapping[str, type]
    modules: frozenset[str]
    searches: bool
    sources: Mapping[str, str]
    make: "Callable[[], Pickler]"


class Passed(Data):
    """What travelled with a call besides plain values: `classes` and `modules` as of `Sent`."""

    classes: Mapping[str, type]
    modules: frozenset[str]


def sent(function: Callable[..., Any], make: "Callable[[], Pickler] | None" = None) -> Sent:
    """The function, ready to travel; itself, not what `kedge.function` made of it.

    Args:
        function: as it was written.
        make: makes what it is pickled by, and its arguments; None for the usual one.

    Raises:
        NotPickledError: something that it refers to cannot travel.
    """
    make = make or Pickler
    pickler = make()
    try:
        with _by_value(function):
            data = pickler.dumped(function)
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        raise NotPickledError(
            f"`{name}` cannot be sent to its runtime: {_why(error)}",
            where=_place(function),
            hint="make what it refers to inside the function, or give it as an argument",
        ) from error
    return Sent(
        data,
        tuple(pickler.buffers),
        pickler.classes,
        frozenset(pickler.modules),
        {name for code in pickler.codes for name in _names(code)} >= _SEARCHING,
        pickled.sources(code.co_filename for code in pickler.codes),
        make,
    )


def write_call(
    path: str,
    function: Callable[..., Any],
    made: Sent,
    args: tuple[Any, ...],
    named: Mapping[str, Any],
    *,
    unpickle: str,
    items: bool,
) -> Passed:
    """Write a call into a file.

    Args:
        path: of the file, which must not be there.
        function: what is called, and `made` what `sent` made of it.
        args, named: with what.
        unpickle: `any` where the caller takes whatever comes back.
        items: whether what comes back comes item by item.

    Raises:
        NotPickledError: arguments that cannot travel, all of them.
    """
    pickler = made.make()
    try:
        with _by_value(function):
            data = pickler.dumped((args, dict(named)))
    except Exception as error:
        raise _refused(function, args, named, error) from error
    head = {
        "function": len(made.buffers),
        "sources": dict(made.sources),
        "unpickle": unpickle,
        "items": items,
        "numpy": "numpy" in sys.modules or _has_numpy(),
    }
    pickled.write(path, head, [made.pickle, data, *made.buffers, *pickler.buffers])
    os.chmod(path, 0o644)  # the account of a run reads it; nobody else gets into its folder
    return Passed(pickler.classes, frozenset(pickler.modules))


@lru_cache(1)
def _has_numpy() -> bool:
    """Whether numpy could be imported when that was first asked: to look for it takes as long as to pickle."""
    return local.is_installed("numpy")


def _refused(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    named: Mapping[str, Any],
    error: Exception,
) -> KedgeError:
    """The error that names each argument that cannot travel."""
    problems = []
    for name, value in [
        *((f"argument {at + 1}", one) for at, one in enumerate(args)),
        *named.items(),
    ]:
        try:
            with _by_value(function):
                Pickler().dumped(value)
        except Exception as wrong:  # noqa: BLE001 - whatever its class raises
            kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
            problems.append(
                Problem(
                    f"`{name}`, a `{kind}`, cannot be sent: {_why(wrong)}",
                    hint="give plain data, an array, a path, or what makes it inside",
                )
            )
    problems = problems or [Problem(f"the arguments cannot be sent: {_why(error)}")]
    return NotPickledError.of(problems, "the arguments")


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's, which sees what passes."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self.buffers: list[Any] = []
        super().__init__(self._file, 5, self.buffers.append)
        self.classes: dict[str, type] = {}
        self.modules: set[str] = set()
        self.codes: list[CodeType] = []

    def dumped(self, thing: Any) -> bytes:
        """The pickle of `thing`."""
        self.dump(thing)
        return self._file.getvalue()

    def reducer_override(self, thing: Any) -> Any:
        """What cloudpickle does, and note it."""
        if hasattr(type(thing), pickled.DECORATED):
            return pickled.Plain, (thing.__wrapped__,)
        if isinstance(thing, Exception):
            reduced = pickled.exception_reduced(thing, None)
            if reduced is not NotImplemented:
                return reduced
        if isinstance(thing, ModuleType):
            if thing.__name__.startswith("kedge."):
                # cloudpickle sends what of a package is loaded and has a name that the function uses, of
                # whatever it is an attribute; inside `kedge` is no package.
                return pickled.itself, (None,)
            if thing.__name__ not in cloudpickle.list_registry_pickle_by_value():
                self.modules.add(thing.__name__)
            return NotImplemented
        if isinstance(thing, FunctionType):
            # cloudpickle sends the globals that functions within refer to, and not those of classes within.
            sent = cloudpickle.cloudpickle._extract_code_globals(thing.__code__)
            sent.update(dict.fromkeys(_names_of_classes(thing.__code__)))
        found = super().reducer_override(thing)
        if isinstance(thing, type):
            if found is NotImplemented or isinstance(found, str):
                self.modules.add(_defined(thing))
            else:
                self.classes[cloudpickle.cloudpickle._get_or_create_tracker_id(thing)] = thing
        elif isinstance(thing, FunctionType):
            if found is NotImplemented:
                self.modules.add(_defined(thing))
            else:
                self.codes.append(thing.__code__)
                self.modules.update(imported(thing.__code__, thing.__globals__.get("__package__")))
        return found


def imported(code: CodeType, package: str | None) -> Iterator[str]:
    """The modules that a function's body imports, by absolute name, those of functions within as well.

    For what it imports from a module of the caller's the name is that of what is imported: maybe a module too.

    Args:
        code: the body.
        package: of the function's module, which relative imports start from.
    """
    for name, names in _imports(code, package):
        own = names and local.origin(name) is not None
        yield from [f"{name}.{one}" for one in names] if own else [name]


@lru_cache(_MOST_CODES)
def _imports(code: CodeType, package: str | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """As `imported`: each module, and what is imported from it."""
    import dis
    from importlib.util import resolve_name

    found: list[tuple[str, tuple[str, ...]]] = []
    level, names = 0, None
    for instruction in dis.get_instructions(code):
        # `from a import b` is: the level, the names, then the import itself.
        if instruction.opname == "IMPORT_NAME":
            with suppress(ImportError):  # beyond the top, which fails here as well
                name = resolve_name("." * level + instruction.argval, package)
                found.append((name, names or ()))
        elif instruction.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            if isinstance(instruction.argval, int):
                level = instruction.argval
            else:
                names = instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += _imports(constant, package)
    return tuple(found)


@lru_cache(_MOST_CODES)
def _names_of_classes(code: CodeType) -> tuple[str, ...]:
    """Names that the bodies of classes within a function's body take from elsewhere."""
    import dis

    names: dict[str, None] = {}
    for inner in code.co_consts:
        if not isinstance(inner, CodeType):
            continue
        names |= dict.fromkeys(_names_of_classes(inner))
        if not inner.co_flags & inspect.CO_OPTIMIZED:  # as functions are
            told = [(one.opname, one.argval) for one in dis.get_instructions(inner)]
            own = {name for what, name in told if what == "STORE_NAME"}
            names |= {
                name: None
                for what, name in told
                if what == "LOAD_NAME" and name not in own and name[:2] != "__"
            }
    return tuple(names)


def _defined(thing: Any) -> str:
    """What is defined in a module: the name of that, of the caller's own with the name of the thing."""
    module, name = str(thing.__module__), thing.__qualname__.partition(".")[0]
    return module if local.origin(module) is None else f"{module}.{name}"


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function's body has, those of functions within as well."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


@contextmanager
def _by_value(function: Callable[..., Any]) -> Iterator[None]:
    """A block in which what the function's own module defines travels by value."""
    module = sys.modules.get(getattr(authored(function), "__module__", None) or "")
    with _pickling:
        own = module is not None and local.is_local(module.__name__)
        known = own and module.__name__ in cloudpickle.list_registry_pickle_by_value()  # type: ignore[union-attr]
        if own and not known:
            cloudpickle.register_pickle_by_value(module)
        before = sys.modules.get(pickled.NAME)
        sys.modules[pickled.NAME] = pickled
        try:
            yield
        finally:
            if own and not known:
                cloudpickle.unregister_pickle_by_value(module)
            if before is None:
                del sys.modules[pickled.NAME]
            else:
                sys.modules[pickled.NAME] = before


def _place(function: Callable[..., Any]) -> Where | None:
    code = getattr(authored(function), "__code__", None)
    return None if code is None else Where(code.co_filename, code.co_firstlineno)


def _why(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, RecursionError):
        text = "it refers to itself too deeply"
    return text[:_WHY_LIMIT]


# What takes their place inside is found there under these names.
for _one in (pickled.Plain, pickled.named, pickled.itself, pickled.raised, pickled.restored):
    _one.__module__ = pickled.NAME
