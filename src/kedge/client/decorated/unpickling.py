"""What a decorated function gave, read where it may not run any code: its runtime is not trusted.

A pickle can name anything that can be imported, call it, and set its attributes. What may be named here is a
list: plain types, exceptions of what is loaded already, numpy's, pandas' and pyarrow's data, and classes of the
caller's own. What is named comes back as it was: a pickle that changed it is refused, and the change undone.
"""

import copyreg
import importlib
import io
import math
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any, ClassVar, Final

from kedge.client.decorated import amounts, listing, local
from kedge.contract import pickled
from kedge.data import Data

# What the inside program writes by name, and this side has too.
_OURS: Final = {one.__name__: one for one in (pickled.itself, pickled.raised, pickled.restored)}

# Of a type: that its elements are objects, or hold some; that they are pickled as a list.
_HOLDS_OBJECTS: Final = 0x03


class RefusedError(pickle.UnpicklingError):
    """A type that is not taken; the message names it."""


class Answer(Data):
    """What came back.

    Args:
        kind: `value`, `exception`, `unpicklable`.
        value: of the first two; of the last whether it could come where anything may.
        text: of the last.
    """

    kind: str
    value: Any = None
    text: str = ""


class Known(Data):
    """What the caller's own classes are found by.

    Args:
        classes: those that travelled by value, by what cloudpickle knows each by.
        modules: what the function imports by name; its own ones are imported here too where a result needs it.
    """

    classes: Mapping[str, type]
    modules: frozenset[str]


def read(path: str, known: Known, *, free: bool, mapped: bool = True) -> Answer:
    """What a file says that came back.

    Args:
        path: of the file.
        known: the caller's own classes.
        free: whether any code may run that it asks for.
        mapped: as of `pickled.read`.

    Raises:
        pickled.FramesError: it is no answer, or not whole.
        RefusedError: it holds a type that is not taken.
        OSError: it cannot be read.
        Exception: what a type raises that does not take what was written of it.
    """
    head, parts = pickled.read(path, mapped=mapped)
    kind = head.get("kind")
    if kind == "unpicklable":
        text = f"`{head.get('type')}`: {head.get('why')}"[:4000]
        return Answer(kind, head.get("any") is True, text)
    if kind not in ("value", "exception") or not parts:
        raise pickled.FramesError("it says neither a value nor an exception")
    apart = [parts.pop(1)] if head.get(pickled.APART) and len(parts) > 1 else []
    take = _freely if free else _safely
    try:
        value = _one_of(take, parts, apart, known)
    except RefusedError:
        raise
    except (pickle.UnpicklingError, EOFError) as error:
        raise pickled.FramesError(f"it cannot be unpickled: {error}") from error
    if kind == "exception" and not isinstance(value, Exception):
        raise pickled.FramesError("what it says was raised is no exception")
    return Answer(kind, value)


def _one_of(
    take: Callable[[list[memoryview], Known], Any],
    parts: list[memoryview],
    apart: list[memoryview],
    known: Known,
) -> Any:
    """An answer; an exception of which something is not taken with the text of that in its place."""
    try:
        return take(parts, known)
    except Exception:
        if apart:
            with suppress(Exception):  # the first one says what is wrong
                return take(apart, known)
        raise


def _freely(parts: list[memoryview], known: Known, *, is_part: bool = False) -> Any:
    import cloudpickle  # noqa: F401 - what it has made of functions is found in it

    return _Free(parts, known, is_part=is_part).load()


def _safely(parts: list[memoryview], known: Known, *, is_part: bool = False) -> Any:
    if not amounts.is_current(parts[0]):
        raise pickled.FramesError("it is no pickle, or not whole")
    reader: _Safe | _Careful = _Safe(parts, known, is_part=is_part)
    try:
        try:
            return reader.load()
        except _CareError:
            reader.undo()
            reader = _Careful(parts, known, is_part=is_part)
            return reader.load()
    finally:
        # A class may do that itself, as one that counts its objects does: whose deed it was is looked for
        # where it costs no other result its time.
        if (changed := reader.changed()) is not None and _is_the_pickles_deed(
            parts, known, is_part=is_part
        ):
            reader.undo()
            raise RefusedError(f"`{changed}` with changes to it")


def _is_the_pickles_deed(parts: list[memoryview], known: Known, *, is_part: bool) -> bool:
    try:
        _Watching(parts, known, is_part=is_part).load()
    except _ChangesError:
        return True
    except Exception:  # noqa: BLE001 - it was not that
        return False
    return False


class _Guise(partial[Any]):
    """A function that a pickle may call, and not change into another one."""

    def __setstate__(self, _: Any) -> None:
        raise RefusedError("`functools.partial` with changes to it")


class _Finding:
    """Finds what is on the list."""

    def __init__(self, parts: list[memoryview], known: Known, *, is_part: bool) -> None:
        super().__init__(io.BytesIO(parts[0]), buffers=parts[1:])  # type: ignore[call-arg]
        self._came = sum(part.nbytes for part in parts)
        self._left = 0 if is_part else self._came  # of that, for parts which are pickles too
        self._known = known
        self._named: list[tuple[Any, dict[str, Any]]] = []

    def find_class(self, module: str, name: str) -> Any:
        """What goes by that name, if it may; a function in a guise whose attributes nobody else sees."""
        ours = _OURS.get(name) if module == pickled.NAME else None
        if ours is not None:
            return _Guise(ours)
        if (module, name) == (pickled.NAME, pickled.named.__name__):
            return _Guise(self._own)
        if (module, name) == (pickled.NAME, pickled.part.__name__):
            return _Guise(self._part)
        if (module, name) == ("builtins", "getattr"):
            return _Guise(_attribute_of_zone)
        if (module, name) == ("copyreg", "_reconstructor"):
            return _Guise(_remade)
        found = self._found(module, name)
        if (module, name) == ("pyarrow.lib", "_restore_array"):
            return _Guise(_checked_array, found)
        if not isinstance(found, type) and callable(found):
            return _Guise(found)
        return self._noted(found)

    def changed(self) -> str | None:
        """The name of something that was named and has changed since."""
        for one, before in self._named:
            now = vars(one)
            if now.keys() != before.keys() or any(now[name] is not before[name] for name in before):
                return str(getattr(one, "__qualname__", one))
        return None

    def undo(self) -> None:
        """Have all that was named be what it was."""
        for one, before in reversed(self._named):
            now = dict(vars(one))
            for name in now.keys() - before.keys():
                with suppress(AttributeError, TypeError):
                    delattr(one, name)
            for name, value in before.items():
                if now.get(name) is not value:
                    with suppress(AttributeError, TypeError):
                        setattr(one, name, value)

    def _noted(self, found: Any) -> Any:
        """What was found, and note what it is like."""
        self._named += [(one, dict(vars(one))) for one in _lasting(found)]
        return found

    def _found(self, module: str, name: str) -> Any:
        found = listing.listed(module, name)
        return self._loaded(module, name) if found is None else found

    def _own(self, number: str | None, module: str, name: str) -> Any:
        """A class that travelled by value, or that stands in a module of the caller's."""
        found = None if number is None else self._known.classes.get(number)
        return self._noted(found if found is not None else self._loaded(module, name))

    def _part(self, data: bytes, text: str) -> Any:
        """Something in an exception, or its text where that is not taken."""
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError("parts, larger than what came of them")
        take = _freely if isinstance(self, _Free) else _safely
        with suppress(Exception):
            return take([memoryview(data)], self._known, is_part=True)
        return text

    def _loaded(self, module: str, name: str) -> type:
        """A class of a module that is loaded: any of the caller's own, only exceptions of others."""
        if module not in sys.modules:
            top = module.partition(".")[0]
            for one in sorted(self._known.modules):
                if one.partition(".")[0] == top and local.is_local(one):
                    with suppress(Exception):  # it may need what is not here
                        importlib.import_module(one)
        try:
            found = listing.attribute(sys.modules[module], name)
        except (KeyError, AttributeError):
            found = None
        # Where it was defined counts: the caller's modules import classes of others, which do things.
        if isinstance(found, type) and (
            local.is_local(str(found.__module__)) or issubclass(found, Exception)
        ):
            return found
        raise RefusedError(f"`{module}.{name}`")


class _Safe(_Finding, pickle.Unpickler):
    """Reads fast, and nothing that has to be looked at."""

    def find_class(self, module: str, name: str) -> Any:
        """What goes by that name."""
        if module.partition(".")[0] in listing.LIBRARIES:
            raise _CareError
        return super().find_class(module, name)

    def _noted(self, found: Any) -> Any:
        if amounts.is_limited(found):
            raise _CareError
        return super()._noted(found)


class _CareError(Exception):
    """It has to be seen what is made of what, and what is set of what."""


class _Careful(_Finding, pickle._Unpickler):
    """Reads slowly, and looks at how much is made, and at what types of numpy's are said to be.

    Those decide what memory is read as.
    """

    def __init__(self, parts: list[memoryview], known: Known, *, is_part: bool) -> None:
        super().__init__(parts, known, is_part=is_part)
        self._amount = amounts.Amount(self._came)

    def _reduce(self) -> None:
        function, args = self.stack[-2:]  # type: ignore[attr-defined]
        self._check_amount(function, args)
        if isinstance(function, _Guise) and function.func is pickled.raised:
            self._check_amount(*args)
        if isinstance(function, _Guise) and function.func is _remade:
            self._check_amount(args[1], args[2:])
        self.load_reduce()  # type: ignore[attr-defined]

    def _newobj(self) -> None:
        self._check_amount(*self.stack[-2:])  # type: ignore[attr-defined]
        self.load_newobj()  # type: ignore[attr-defined]

    def _newobj_ex(self) -> None:
        kind, args, named = self.stack[-3:]  # type: ignore[attr-defined]
        self._check_amount(kind, args)
        self._check_amount(kind, tuple(named.values()))
        self.load_newobj_ex()  # type: ignore[attr-defined]

    def _build(self) -> None:
        thing, state = self.stack[-2:]  # type: ignore[attr-defined]
        numpy: Any = sys.modules.get("numpy")
        if (
            numpy is not None
            and isinstance(thing, numpy.dtype)
            and not _is_sound(thing, state, numpy.dtype)
        ):
            raise RefusedError("`numpy.dtype` of structures that hold objects, or are none")
        self.load_build()  # type: ignore[attr-defined]

    def _setitem(self) -> None:
        self._check_keys(self.stack[-3], self.stack[-2:-1])  # type: ignore[attr-defined]
        self.load_setitem()  # type: ignore[attr-defined]

    def _setitems(self) -> None:
        self._check_keys(self.metastack[-1][-1], self.stack[::2])  # type: ignore[attr-defined]
        self.load_setitems()  # type: ignore[attr-defined]

    def _check_keys(self, target: Any, keys: list[Any]) -> None:
        """Refuse to put something into a list in place of a slice: a list could double itself again and again."""
        if not isinstance(target, dict) and any(isinstance(key, slice) for key in keys):
            raise RefusedError(f"`{type(target).__qualname__}`, larger than what came of it")

    def _check_amount(self, function: Any, args: Any) -> None:
        if not self._amount.has_room(function, args):
            if isinstance(function, _Guise):
                function = (*function.args, function.func)[0]
            name = getattr(function, "__qualname__", type(function).__qualname__)
            raise RefusedError(f"`{name}`, larger than what came of it")

    dispatch: ClassVar[Any] = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _newobj,
        pickle.NEWOBJ_EX[0]: _newobj_ex,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
    }


class _ChangesError(Exception):
    """A pickle sets an attribute of something that was there before it."""


class _Watching(_Careful):
    """Sees what is set too."""

    def _watched(self) -> None:
        thing = self.stack[-2]  # type: ignore[attr-defined]
        if any(thing is one for one, _ in self._named):
            raise _ChangesError
        self._build()

    dispatch: ClassVar[Any] = {**_Careful.dispatch, pickle.BUILD[0]: _watched}


class _Free(_Finding, pickle.Unpickler):
    """Finds whatever there is."""

    def find_class(self, module: str, name: str) -> Any:
        """What goes by that name."""
        if module == pickled.NAME:
            return super().find_class(module, name)
        return pickle.Unpickler.find_class(self, module, name)


def _lasting(found: Any) -> Iterator[Any]:
    """What is there after the pickle was read, whatever becomes of its result."""
    if hasattr(found, "__dict__"):
        yield found
    if isinstance(found, type) and issubclass(found, Enum):
        yield from found.__members__.values()


def _remade(kind: type, base: type, state: Any) -> Any:
    """An object of a class that extends how it is pickled, as `copyreg` puts it together."""
    if base is not object and type(state) is not base:
        raise RefusedError(f"`{kind.__qualname__}` of something else")
    return copyreg._reconstructor(kind, base, state)  # type: ignore[attr-defined]


def _checked_array(restore: Any, data: Any) -> Any:
    """An array of pyarrow's, whose offsets lead to nowhere outside its buffers."""
    made = restore(data)
    made.validate(full=True)
    return made


def _attribute_of_zone(thing: Any, name: str) -> Any:
    """What time zones are put together by is written as an attribute; nothing else is."""
    zones: Any = importlib.import_module("zoneinfo")
    if thing is zones.ZoneInfo and name == "_unpickle":
        return _Guise(thing._unpickle)
    raise RefusedError("`builtins.getattr`")


def _is_sound(thing: Any, state: Any, dtype: type) -> bool:
    """Whether the state of a type of numpy's says nothing of memory that is not so.

    A structure whose fields are said to be objects, and which is said to hold none, would have any bytes taken
    for the addresses of objects.
    """
    if not isinstance(state, tuple) or not 8 <= len(state) <= 9:
        return False
    _, _, sub, names, fields, size, _, flags = state[:8]
    if type(size) is not int or type(flags) is not int or size < -1:
        return False
    if sub is None and names is None and fields is None:
        return bool(flags & _HOLDS_OBJECTS == thing.flags & _HOLDS_OBJECTS)
    if thing.char != "V" or flags & _HOLDS_OBJECTS:
        return False
    if sub is not None:
        base, shape = sub if isinstance(sub, tuple) and len(sub) == 2 else (None, ())
        shape = shape if isinstance(shape, tuple) else (shape,)
        whole = isinstance(base, dtype) and all(type(one) is int and one >= 0 for one in shape)
        return whole and not base.hasobject and base.itemsize * math.prod(shape) == size  # type: ignore[union-attr]
    if not isinstance(fields, dict) or not isinstance(names, tuple):
        return False
    return all(
        isinstance(field, tuple)
        and len(field) >= 2
        and isinstance(field[0], dtype)
        and type(field[1]) is int
        and not field[0].hasobject  # type: ignore[attr-defined]
        and 0 <= field[1] <= size - field[0].itemsize  # type: ignore[attr-defined]
        for field in fields.values()
    )
