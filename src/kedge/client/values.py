"""Python values to inputs, and outputs to Python values."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from kedge import home
from kedge.environment import folders
from kedge.errors import InputError, Problem, UsageError, Where
from kedge.ports import Ports, kind_of
from kedge.run import core, record

_PLAIN: Final = {bool, int, float, str, type(None)}


def attribute(name: str) -> str:
    """A function's or port's name as Python code spells it.

    >>> attribute("mesh-size"), attribute("lambda")
    ('mesh_size', 'lambda_')
    """
    spelt = name.replace("-", "_")
    return f"{spelt}_" if iskeyword(spelt) else spelt


def given(
    ports: Ports, args: Sequence[Any], named: Mapping[str, Any], function: str
) -> dict[str, Any]:
    """The inputs by port: those without a name in the order of the ports, the others by either spelling.

    Raises:
        UsageError: more than there are ports, or one given twice.
    """
    names = list(ports.properties)
    if len(args) > len(names):
        raise UsageError(
            f"`{function}` takes {len(names)} inputs and {len(args)} were given",
            hint=f"they are {', '.join(names)}" if names else "call it without any",
        )
    values = dict(zip(names, args, strict=False))
    spelt = {attribute(name): name for name in names}
    for key, value in named.items():
        name = key if key in ports.properties else spelt.get(key, key)
        if name in values:
            raise UsageError(f"`{name}` is given twice", hint="give each input once")
        values[name] = value
    return values


def staged(ports: Ports, values: Mapping[str, Any], after: ExitStack) -> dict[str, Any]:
    """The inputs without anything of numpy's: arrays become files for ports of files, lists for others.

    Args:
        ports: the function's inputs.
        values: by port.
        after: told to remove the files that were written.

    Raises:
        InputError: an array that cannot be a file.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None:  # then nobody can have given anything of it
        return dict(values)
    stage = _Stage(numpy, after)
    found = {}
    for name, value in values.items():
        kind = kind_of(ports.schema_of(name) or {})
        if kind == "value":
            found[name] = _plain(value, numpy)
        elif kind in ("file", "array"):
            found[name] = stage.file(name, value)
        elif kind == "files" and isinstance(value, list | tuple):
            found[name] = [stage.file(f"{name}{at}", one) for at, one in enumerate(value)]
        else:
            found[name] = value
    return found


def returned(ports: Ports, ended: core.Result) -> Any:
    """What a function that ended gives to Python.

    One output that has no name of its own (`result`) is the value itself, no outputs are None, all others a
    dictionary. Where outputs are open, what came decides.

    Raises:
        RunFailed: it failed.
    """
    found = ended.outputs
    for name, entry in ended.run.output_files.items():
        paths = record.paths(entry)
        found[name] = [Path(path) for path in paths] if isinstance(paths, list) else Path(paths)
    if is_single(ports):
        return found.get("result")
    if ports.open is None:
        return found if ports.properties else None
    unnamed = not ports.properties and not ports.open and found.keys() == {"result"}
    return found["result"] if unnamed else found


def is_single(ports: Ports) -> bool:
    """Whether a function has one output without a name."""
    return ports.open is None and ports.properties.keys() == {"result"}


class _Stage:
    """A folder for the arrays of one run, made with the first of them."""

    def __init__(self, numpy: ModuleType, after: ExitStack) -> None:
        self._numpy = numpy
        self._after = after
        self._folder: str | None = None

    def file(self, name: str, value: Any) -> Any:
        """The path of a file with an array in it; what is no array is itself."""
        if not isinstance(value, self._numpy.ndarray):
            return value
        if self._folder is None:
            made = folders.temporary(home.folder(folders.TEMPORARIES))
            self._folder = self._after.enter_context(made)
        path = os.path.join(self._folder, f"{name}.npy")
        try:
            with folders.writing(f"the array `{name}`"):
                self._numpy.save(path, value, allow_pickle=False)
        except ValueError as error:
            message = f"`{name}` cannot be saved as a file: {error}"
            raise InputError.of(
                [Problem(message, Where(path=name), "give an array of numbers")], "the inputs"
            ) from error
        return path


def _plain(value: Any, numpy: ModuleType) -> Any:
    """The value without numpy's arrays and scalars, however deep they are."""
    if isinstance(value, numpy.ndarray):
        return value.tolist()
    if isinstance(value, numpy.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(entry, numpy) for key, entry in value.items()}
    # A long list is one of floats, which are what they are.
    if isinstance(value, list | tuple) and not _PLAIN.issuperset(map(type, value)):
        return [_plain(entry, numpy) for entry in value]
    return value
