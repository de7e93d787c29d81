"""The package that Kedge writes for a decorated function: found again by the digest of what is in it.

It has a manifest, the program that calls the function, cloudpickle, and what `copy` names. The function
itself is not part of it: that travels with each call, so another body of it makes nothing anew.
"""

import errno
import json
import os
import shutil
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from kedge import digest, home
from kedge.client.decorated.copies import Copy, entries
from kedge.client.decorated.declaration import Declaration
from kedge.contract import pickled
from kedge.data import Data
from kedge.errors import StoreError, UsageError
from kedge.package import holding
from kedge.package.copying import SourceError, copy, hashed
from kedge.package.staging import new_folder, publish
from kedge.package.stamps import Stamp, is_racy, stamp_of

_LAYOUT: Final = 1  # of the package; another number makes all anew
_ATTEMPTS: Final = 4  # to read files that change
_REQUIREMENTS: Final = "_kedge_requirements.txt"
_SHIPPED: Final = "_kedge"  # the folder of cloudpickle


class Written(Data):
    """A package that was written.

    Args:
        folder: where it is.
        stamps: of what was shipped by it, by path; equal ones say that nothing changed.
    """

    folder: str
    stamps: tuple[tuple[str, Stamp, int], ...] | None


def written(
    declaration: Declaration, modules: Iterable[str], *, items: bool, before: Written | None
) -> Written:
    """The package of a declaration, written if it is not there.

    Args:
        declaration: what the function needs.
        modules: what is imported before the first call.
        items: whether the function's result comes item by item.
        before: what this gave last time, for the same declaration and modules.

    Raises:
        UsageError: a file that is to be shipped cannot be read.
        StoreError: it cannot be written.
    """
    for _ in range(_ATTEMPTS):
        looked_ns = time.time_ns()
        shipped = _all_of(declaration)
        stamps = tuple((one.destination, stamp_of(info), info.st_mode) for one, info in shipped)
        if before is not None and before.stamps == stamps and holding.hold(before.folder):
            return before
        with suppress(_ChangedError):
            folder = _found_or_made(declaration, modules, shipped, items=items)
            racy = any(is_racy(stamp, looked_ns) for _, stamp, _ in stamps)
            return Written(folder, None if racy else stamps)
    raise UsageError(
        "files of `copy` change while they are read", hint="leave them alone for a moment"
    )


class _ChangedError(Exception):
    """A file is not any more what it was when it was looked at."""


def _found_or_made(
    declaration: Declaration,
    modules: Iterable[str],
    shipped: list[tuple[Copy, os.stat_result]],
    *,
    items: bool,
) -> str:
    own = _own_files(declaration, sorted(set(modules)), items=items)
    try:
        files = {one.destination: _content(one, info) for one, info in shipped}
        name = digest.of_json([_LAYOUT, own, files, _shipped_version()])
        folder = os.path.join(home.folder("packages"), name)
        return folder if holding.hold(folder) else _write(name, own, shipped, files)
    except SourceError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            raise _ChangedError from None
        raise UsageError(
            f"`{error.filename}` of `copy` cannot be read: {error.strerror}",
            hint="make it readable, or leave it out",
        ) from error
    except OSError as error:
        raise StoreError(
            f"the package of a decorated function cannot be written: {error.strerror}",
            hint="make room, or set KEDGE_HOME to a folder that you can write to",
        ) from error


def _all_of(declaration: Declaration) -> list[tuple[Copy, os.stat_result]]:
    """What is shipped, a file of requirements among it."""
    found = entries(declaration.copy)
    if isinstance(declaration.pip, str):
        path = os.path.realpath(declaration.pip)
        try:
            found.append((Copy(path, _REQUIREMENTS), os.stat(path)))
        except OSError as error:
            raise UsageError(
                f"`{declaration.pip}` of `pip` cannot be read: {error.strerror}",
                hint="name a file of requirements that is there",
            ) from error
    return found


def _content(one: Copy, info: os.stat_result) -> list[str]:
    """What the digest covers of one entry: its kind, its mode, its content."""
    if stat.S_ISLNK(info.st_mode):
        return ["symlink", "", os.readlink(one.source)]
    return ["file", oct(stat.S_IMODE(info.st_mode)), hashed(one.source)[0]]


def _own_files(declaration: Declaration, modules: list[str], *, items: bool) -> dict[str, str]:
    """The files that are Kedge's, by their names."""
    with open(pickled.__file__, encoding="utf-8") as file:
        program = file.read()
    return {
        "kedge.yml": json.dumps(manifest(declaration, items=items), indent=1, ensure_ascii=True),
        ".kedgeignore": "",  # else a `.gitignore` that is shipped would leave files out
        f"{pickled.NAME}.py": program,
        f"{pickled.NAME}.json": json.dumps({"modules": modules}),
    }


def manifest(declaration: Declaration, *, items: bool) -> dict[str, Any]:
    """The manifest, as data."""
    is_file = isinstance(declaration.pip, str)
    runtime: dict[str, Any] = {
        "kind": "python",
        "version": declaration.python,
        # In the order that they are in any: that of the declaration means nothing.
        "requirements": _REQUIREMENTS if is_file else sorted(set(declaration.pip)) or False,
    }
    if declaration.apt:
        runtime["system"] = sorted(set(declaration.apt))
    if declaration.run_commands:
        runtime["commands"] = list(declaration.run_commands)
    if declaration.base_image is not None:
        runtime["base_image"] = declaration.base_image
    # With `required` said, the signature has nothing to add: nothing is imported to read it.
    outputs = {pickled.RESULT: {"type": "File", "required": True}}
    if items:
        outputs[pickled.ITEMS] = {"type": "Folder", "required": True}
    function = {
        "handler": f"{pickled.NAME}:{pickled.CALL}",
        "inputs": {pickled.CALL: {"type": "File", "required": True}},
        "outputs": outputs,
        **declaration.settings,
    }
    if declaration.resources:
        function["resources"] = dict(declaration.resources)
    return {
        "name": declaration.name,
        "runtime": runtime,
        "functions": {declaration.name: function},
    }


def _write(
    name: str,
    own: dict[str, str],
    shipped: list[tuple[Copy, os.stat_result]],
    files: dict[str, list[str]],
) -> str:
    with new_folder(home.folder("packages")) as draft:
        for file, text in own.items():
            with open(os.path.join(draft, file), "w", encoding="utf-8") as opened:
                opened.write(text)
        shutil.copytree(
            _cloudpickle(),
            os.path.join(draft, _SHIPPED, "cloudpickle"),
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for one, info in shipped:
            destination = os.path.join(draft, one.destination)
            os.makedirs(os.path.dirname(destination), exist_ok=True)
            if _shipped(one, info, destination) != files[one.destination][-1]:
                raise _ChangedError
        made = publish(draft, name)
    holding.hold(made)
    return made


def _shipped(one: Copy, info: os.stat_result, destination: str) -> str:
    """Make the copy; what it holds."""
    if stat.S_ISLNK(info.st_mode):
        target = os.readlink(one.source)
        os.symlink(target, destination)
        return target
    return copy(one.source, destination, stat.S_IMODE(info.st_mode) | stat.S_IRUSR)[0]


def _cloudpickle() -> str:
    import cloudpickle

    return os.path.dirname(str(cloudpickle.__file__))


@lru_cache(1)
def _shipped_version() -> str:
    import cloudpickle

    return str(cloudpickle.__version__)
