"""A file of a person's, imported afresh, and the function in it; what went wrong, in the words of that file."""

import os
import sys
import traceback
from collections.abc import Iterator
from importlib import util
from types import ModuleType
from typing import Final

from kedge.client.decorated import Decorated
from kedge.client.decorated.decorator import declaration_of
from kedge.client.decorated.local import origin
from kedge.data import Data
from kedge.errors import UnknownName, UsageError, Where, nearest

_OWN: Final = os.path.join(os.path.dirname(__file__), "")
_OTHER_NAME: Final = "kedge_served"  # of a file whose own name is already that of another module


class Loaded(Data):
    """A function that was imported, and the files and folders that it is made of."""

    function: Decorated
    paths: tuple[str, ...]


def load(file: str, name: str | None) -> Loaded:
    """Import a file, as Python would for another that stands beside it.

    Args:
        file: its absolute path.
        name: of the function; None when there is but one.

    Raises:
        UnknownName, UsageError: there is no such function, or none that is decorated.
        BaseException: what importing it raises.
    """
    before = set(sys.modules)
    module = _imported(file)
    function = _function(module, file, name)
    declaration = declaration_of(function)
    paths = [file, *(copy.source for copy in declaration.copy), *local_files(before)]
    if isinstance(declaration.pip, str):
        paths.append(declaration.pip)
    return Loaded(function, tuple(paths))


def local_files(before: set[str]) -> Iterator[str]:
    """The files of the author's own modules that were imported since `before` were."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and origin(name) is not None:
            yield os.path.abspath(file)


def files_of(error: BaseException, folder: str) -> Iterator[str]:
    """The files of the author's that an error has to do with, also such as are not there."""
    inside = os.path.join(folder, "")
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(inside):
            yield frame.filename
    if isinstance(error, SyntaxError) and error.filename:
        yield os.path.abspath(error.filename)
    if isinstance(error, ModuleNotFoundError) and error.name:
        yield os.path.join(folder, *error.name.split(".")) + ".py"


def shown(error: BaseException) -> str:
    """The traceback, from the file on: Kedge's own frames and those of Python's import say nothing."""
    report = traceback.TracebackException.from_exception(error)
    waiting: list[traceback.TracebackException | None] = [report]
    for one in waiting:
        if one is None:
            continue
        frames = [
            frame
            for frame in one.stack
            if not frame.filename.startswith((_OWN, "<frozen importlib"))
        ]
        one.stack[:] = frames
        waiting += [one.__cause__, one.__context__, *(one.exceptions or ())]
    text = "".join(report.format()).rstrip("\n")
    return text if report.stack else "".join(report.format_exception_only()).rstrip("\n")


def _imported(file: str) -> ModuleType:
    stem = os.path.splitext(os.path.basename(file))[0]
    taken = not stem.isidentifier() or stem in sys.modules or stem in sys.stdlib_module_names
    name = _OTHER_NAME if taken else stem
    # A compiled file is told from its source by size and whole seconds, too coarse for who edits.
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.dirname(file))
    sys.argv = [file]
    spec = util.spec_from_file_location(name, file)
    assert spec is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    with open(file, "rb") as opened:
        code = compile(opened.read(), file, "exec", dont_inherit=True)
    exec(code, vars(module))  # noqa: S102 - it is what the person at the keyboard asked for
    return module


def _function(module: ModuleType, file: str, name: str | None) -> Decorated:
    found = {key: one for key, one in vars(module).items() if isinstance(one, Decorated)}
    if name is None:
        if len(found) == 1:
            return next(iter(found.values()))
        raise UsageError(
            f"{len(found)} functions are decorated" if found else "no function is decorated",
            where=Where(file),
            hint=f"name one of them: {', '.join(found)}"
            if found
            else "write @kedge.function() above one",
        )
    if name in found:
        return found[name]
    if callable(vars(module).get(name)):
        raise UsageError(
            f"`{name}` is not decorated",
            where=Where(file),
            hint="write @kedge.function() above it",
        )
    close = nearest(name, list(found))
    raise UnknownName(
        f"there is no function `{name}`",
        where=Where(file),
        hint=f"did you mean `{close}`?" if close else f"there are: {', '.join(found) or 'none'}",
    )
