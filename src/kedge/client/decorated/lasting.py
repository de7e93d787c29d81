"""A call as the same bytes in every process, for an image that stands alone and is found again by them."""

import os
from collections.abc import Callable, Set
from functools import partial
from types import CodeType, FunctionType, NoneType
from typing import Any, Final, TypeVar

import cloudpickle

from kedge.client.decorated import pickling
from kedge.data import replace

_PLAIN: Final = (str, bytes, int, float, complex, bool, NoneType)  # refer to nothing


def sent(function: Callable[..., Any]) -> pickling.Sent:
    """As `pickling.sent`, but the same in every process.

    The text of whole files is nobody's business who gets the image, and changes its digest.
    """
    return replace(pickling.sent(function, partial(_Pickler, {})), sources={})


class _Pickler(pickling.Pickler):
    """One whose bytes are the same in every process: random numbers of classes and the order of sets are not in them.

    Nor is the folder of a file that code is from.

    `pickled` reads them in an image that stands alone, and nowhere else.

    Args:
        names: of classes so far, by what cloudpickle knows each by; one dictionary for all of a call.
    """

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__()
        self._names = names
        self._sets: dict[int, tuple[int, Any]] = {}

    def persistent_id(self, thing: Any) -> Any:
        """A set: its number, whether it is frozen, and where it is met first, what is in it."""
        if type(thing) not in (set, frozenset):
            return None
        is_frozen = type(thing) is frozenset
        if is_frozen and not all(map(_is_plain, thing)):  # what is in it could refer to it
            return None
        if id(thing) in self._sets:
            return self._sets[id(thing)][0], is_frozen, None
        number = len(self._sets)
        self._sets[id(thing)] = number, thing  # which keeps the id its own
        return number, is_frozen, _ordered(thing)

    def reducer_override(self, thing: Any) -> Any:
        """What cloudpickle does, with names in place of the numbers that it tells classes by."""
        found = super().reducer_override(thing)
        if isinstance(thing, CodeType):
            named = thing.replace(co_filename=os.path.basename(thing.co_filename))
            return self.dispatch_table[CodeType](named)
        if isinstance(thing, FunctionType) and isinstance(found, tuple):
            known = found[1][1]  # of its globals
            if "__file__" in known:
                known["__file__"] = os.path.basename(known["__file__"])
        if isinstance(thing, TypeVar):
            found = self.dispatch_table[TypeVar](thing)
        if not isinstance(thing, type | TypeVar) or not isinstance(found, tuple):
            return found
        number = cloudpickle.cloudpickle._get_or_create_tracker_id(thing)
        name = self._names.setdefault(number, f"kedge-{len(self._names)}")
        made, args, *rest = found
        return made, tuple(name if one is number else one for one in args), *rest


def _is_plain(thing: Any) -> bool:
    return all(map(_is_plain, thing)) if type(thing) is tuple else type(thing) in _PLAIN


def _ordered(members: Set[Any]) -> list[Any]:
    try:
        return sorted(members, key=lambda one: (type(one).__qualname__, repr(one)))
    except Exception:  # noqa: BLE001 - a class of theirs may raise anything; any order is right
        return list(members)
