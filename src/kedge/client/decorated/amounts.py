"""How much an answer makes here: no more than a few times what came.

A few bytes can ask for all the memory there is: by a size, by a range that a list is made of, by lists that
share their parts and are written out. So what makes such things takes only what Python's pickles give it.
What a class of the caller's makes in a way of its own is its own affair.
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, final

from kedge.client.decorated.listing import LIBRARIES

_ROW: Final = (list, tuple, set, frozenset)

# What each is made of; a subclass is made of more than the class itself, which has an opcode of its own.
_MADE_OF: Final[dict[str, tuple[type, ...]]] = {
    "array.array": (),
    "builtins.BaseExceptionGroup": (str, list, tuple),
    "builtins.bytearray": (bytes,),
    "builtins.bytes": (bytes,),
    "builtins.frozenset": _ROW,
    "builtins.int": (int,),
    "builtins.list": _ROW,
    "builtins.set": _ROW,
    "builtins.slice": (object,),  # what is put in its place can be of any size
    "builtins.str": (str,),
    "builtins.tuple": _ROW,
    "collections.Counter": (dict,),
    "collections.UserList": (),
    "collections.UserString": (str,),
    "collections.deque": (tuple, int),
    "fractions.Fraction": (int,),
}
_ALWAYS: Final = (
    1 << 22
)  # parts that something may have, and rows without data, of however little it is

# The opcodes of protocol 5 by the bytes that follow them; short texts too, which most of an answer is.
_FIXED: Final = re.compile(
    rb"(?:[N\x88\x89\])}\x8f(01aestu\x85-\x87\x90\x91\x93\x94\x97\x98Rb\x81\x92]"
    rb"|[Khq\x80].|M..|[Jj].{4}|[G\x95].{8}"
    rb"|[\x8cC](?:" + b"|".join(b"\\x%02x.{%d}" % (size, size) for size in range(32)) + rb"))*+",
    re.DOTALL,
)
# The others: how many bytes the number has that says how many follow.
_COUNTED: Final = {
    **dict.fromkeys(b"\x8cC\x8a", 1),
    **dict.fromkeys(b"XB\x8b", 4),
    **dict.fromkeys(b"\x8d\x8e\x96", 8),
}
_STOP: Final = ord(".")


def is_current(data: memoryview) -> bool:
    """Whether a pickle is whole, and says nothing in a way that is not used any more.

    Some of those have Python make a table of any size (cpython issue 115952).
    """
    at = 0
    try:
        while True:
            found = _FIXED.match(data, at)
            assert found is not None  # if only of nothing
            at = found.end()
            code = data[at]
            if code == _STOP:
                return True
            size = _COUNTED[code]
            at += 1 + size
            at += int.from_bytes(data[at - size : at], "little")
    except (IndexError, KeyError):
        return False


def is_limited(kind: Any) -> bool:
    """Whether it has to be seen what a class is made of."""
    return isinstance(kind, type) and _made_of(kind) is not None


@final
class Amount:
    """What the calls of an answer may make, all together: no more than a few times what came.

    Args:
        came: bytes of the answer.
    """

    def __init__(self, came: int) -> None:
        self._most = self._left = max(came, _ALWAYS)

    def has_room(self, function: Any, args: Any) -> bool:
        """Whether it has room for what a call makes, which it takes up.

        Args:
            function: a class, or a function in a guise.
            args: as the pickle has them.
        """
        if type(args) is not tuple:  # Python would make one
            return False
        if isinstance(function, type):
            allowed = _made_of(function)
            if allowed is not None and not all(isinstance(arg, allowed) for arg in args):
                return False
            if allowed and not self._take(_size(function, args)):
                return False
        called = (function.func, *function.args) if isinstance(function, partial) else (function,)
        theirs = next((one for one in called if _library(one) is not None), None)
        if theirs is None:
            return True
        parts = _parts(args, self._left)
        check = _CALLS.get(theirs.__name__)
        return (
            parts is not None and self._take(parts) and (check is None or check(args, self._most))
        )

    def _take(self, size: int) -> bool:
        self._left -= size
        return self._left >= 0


def _size(kind: type, args: tuple[Any, ...]) -> int:
    """Of what is made of arguments: how much of them it copies; of most texts nothing."""
    copied = (list, tuple, set, frozenset, dict, bytes) + ((str,) if issubclass(kind, str) else ())
    return sum(len(arg) for arg in args if isinstance(arg, copied))


def _made_of(kind: Any) -> tuple[type, ...] | None:
    """The types that it is made of; None of what is made in a way of its own."""
    for base in kind.__mro__:
        if kind.__new__ is base.__new__ and kind.__init__ is base.__init__:
            found = _MADE_OF.get(f"{base.__module__}.{base.__qualname__}")
            if found is not None:
                return found
            if _library(base) is not None and not issubclass(base, BaseException):
                return _made_of_theirs(base)
    return None


def _made_of_theirs(kind: type) -> tuple[type, ...]:
    """Of a class of one of the libraries: what has rows is made empty, and filled."""
    if _library(kind) == "numpy" and not issubclass(kind, tuple):
        return (str, type, bool) if issubclass(kind, sys.modules["numpy"].dtype) else ()
    if _library(kind) == "pandas":
        pandas = sys.modules["pandas"]
        frames = (
            pandas.DataFrame,
            pandas.Series,
            pandas.Index,
            pandas.api.extensions.ExtensionArray,
        )
        return () if issubclass(kind, frames) else (object,)
    return (object,)


def _library(one: Any) -> str | None:
    top = str(getattr(one, "__module__", "")).partition(".")[0]
    return top if top in LIBRARIES else None


def _parts(given: Any, most: int) -> int | None:
    """How many parts arguments have, written out; None of more than that, and of what is longer than it is large."""
    rest, ranges, count = [given], _ranges(), 0
    while rest:
        one = rest.pop()
        if isinstance(one, ranges):
            return None
        if isinstance(one, dict):
            one = [*one, *one.values()]
        if isinstance(one, _ROW):
            count += len(one)
            if count > most:
                return None
            rest += one
    return count


def _ranges() -> tuple[type, ...]:
    """What is of a few bytes, however long it is."""
    addresses = sys.modules.get("ipaddress")
    networks = () if addresses is None else (addresses.IPv4Network, addresses.IPv6Network)
    return range, *networks


def _is_index(args: tuple[Any, ...], most: int) -> bool:
    kind, said = args
    index: type = sys.modules["pandas"].Index
    if not (isinstance(kind, type) and issubclass(kind, index) and type(said) is dict):
        return False
    ends = [said.get(name, 0) for name in ("start", "stop", "step")]
    if not all(type(end) is int for end in ends):
        return False
    start, stop, step = ends
    return bool(abs(stop - start) <= most * abs(step))


def _is_empty(shape: Any) -> bool:
    return type(shape) is tuple and shape == (0,)


# Of functions of the libraries; what is not here puts together what it is given.
_CALLS: Final[dict[str, Callable[[tuple[Any, ...], int], bool]]] = {
    "_mareconstruct": lambda args, _: _is_empty(args[2]),
    "_reconstruct": lambda args, _: _is_empty(args[1]),
    "scalar": lambda args, _: len(args) == 2,
    **dict.fromkeys(
        ("_new_Index", "_new_DatetimeIndex", "_new_IntervalIndex", "_new_TimedeltaIndex"), _is_index
    ),
}
