"""Which modules are the caller's own, and which are installed or Python's."""

import os
import site
import sys
import sysconfig
from functools import lru_cache
from importlib import util
from importlib.machinery import PathFinder
from typing import Final

_PACKAGES: Final = frozenset({"site-packages", "dist-packages"})
_MOST: Final = 1000  # places of modules that are remembered


def is_local(name: str) -> bool:
    """Whether a module is the caller's own: a script, a notebook, a file of the project.

    What is not here at all is not: the environment may have it.
    """
    if name == "__main__":
        return True
    return origin(name) is not None


def origin(name: str) -> str | None:
    """The file or folder of the caller's own module of that name, None when it is somebody else's.

    >>> origin("json") is None
    True
    """
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in sys.builtin_module_names or top == "kedge":
        return None
    place = _place(top)  # looked for each time: a notebook writes a module, and imports it then
    if place is None or _is_installed(place) or not os.path.exists(place):
        return None
    return place


def source(name: str) -> str | None:
    """Where the caller's own module of that dotted name is read from, None where there is none.

    A file, or the folder of a package without `__init__.py`. Nothing is imported for that.
    """
    place = origin(name)
    folders = [] if place is None else [os.path.dirname(place)]
    for part in name.split("."):
        spec = PathFinder.find_spec(part, folders)
        if spec is None:
            return None
        folders = list(spec.submodule_search_locations or ())
        place = spec.origin if spec.has_location else folders[0]
    return place


def is_installed(name: str) -> bool:
    """Whether a module could be imported here; it is not imported for that."""
    try:
        return util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _place(top: str) -> str | None:
    """Where the module at the top of a dotted name is: its file, or its folder where it is a package."""
    module = sys.modules.get(top)
    spec = getattr(module, "__spec__", None)
    file = getattr(module, "__file__", None)
    if module is None:
        try:
            spec = util.find_spec(top)
        except (ImportError, ValueError, AttributeError):
            return None
    if spec is not None and spec.submodule_search_locations:
        return next((os.path.abspath(one) for one in spec.submodule_search_locations), None)
    file = file or (spec.origin if spec is not None and spec.has_location else None)
    return os.path.abspath(file) if file else None


@lru_cache(_MOST)
def _is_installed(place: str) -> bool:
    real = os.path.realpath(place)
    if not _PACKAGES.isdisjoint(real.split(os.sep)):  # wherever `PYTHONPATH` has them
        return True
    return any(real.startswith(folder) for folder in _installed())


@lru_cache(1)
def _installed() -> tuple[str, ...]:
    """The folders of Python itself and of what is installed for it."""
    paths = sysconfig.get_paths()
    places = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple({os.path.join(os.path.realpath(place), "") for place in places})
