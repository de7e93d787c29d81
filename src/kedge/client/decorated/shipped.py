"""Whether the caller's own modules, which a function needs, will be found where it runs."""

import os
from collections.abc import Iterable, Iterator
from typing import Final

from kedge.client.decorated import local
from kedge.client.decorated.copies import Copy, destinations, is_there
from kedge.data import Data

_SCRIPT: Final = ("__main__", "__mp_main__")  # the second in a process that multiprocessing started


class Missing(Data):
    """A module that will not be found.

    Args:
        name: of the module.
        place: its file or folder here.
        inside: where that has to stand.
        instead: where it will stand in place of that, None where it is not shipped.
    """

    name: str
    place: str
    inside: str
    instead: str | None


def missing(names: Iterable[str], copies: tuple[Copy, ...], *, searches: bool) -> Iterator[Missing]:
    """The modules that will not be found, in the order of their names.

    Args:
        names: of modules, or of what is defined in them; whose they are does not matter.
        copies: what is shipped.
        searches: whether the function itself says where else modules are found.
    """
    told = set()
    for name in sorted(names):
        top = name.partition(".")[0]
        if top in _SCRIPT or (place := local.origin(top)) is None:
            continue
        found = _whole(top, place, copies) or _part(name, copies)
        if found is None or found.name in told or (searches and found.instead is not None):
            continue
        told.add(found.name)
        yield found


def _whole(name: str, place: str, copies: tuple[Copy, ...]) -> Missing | None:
    """The module or package at the top of a dotted name, if nothing of it will be found."""
    inside = os.path.basename(place)
    instead = next(destinations(copies, place), None)
    if local.source(name) is None:  # only its author knows how it is found
        is_found = instead is not None
    else:
        is_found = any(is_there(copies, way) for way in (inside, name, f"{name}.py"))
    return None if is_found else Missing(name, place, inside, instead)


def _part(name: str, copies: tuple[Copy, ...]) -> Missing | None:
    """The module of a dotted name, or else the one that defines what it names, if that will not be found."""
    module, file = name, local.source(name)
    if file is None:
        module = name.rpartition(".")[0]
        file = local.source(module) if module else None
    if file is None:
        return None
    path = module.replace(".", "/")
    inside = _inside(path, file)
    ways = [inside, f"{path}.py", f"{path}/__init__.py"]
    if module == name:
        ways.append(path)  # a folder can be imported, whether `__init__.py` is in it or not
    if any(is_there(copies, way) for way in ways):
        return None
    return Missing(module, file, inside, next(destinations(copies, file), None))


def _inside(path: str, file: str) -> str:
    """Where a module's file has to stand that is imported by the path."""
    name = os.path.basename(file)
    if os.path.isdir(file):
        return path
    if name.startswith("__init__."):
        return f"{path}/{name}"
    return path + name.removeprefix(os.path.basename(path))
