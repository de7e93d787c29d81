"""`primer.json`: what it says, or what it shall say, guessed from what stands in the repository."""

import glob
import json
import os
import re
import tomllib
from typing import Any

from kedge.errors import PrimerError, Where
from kedge.primer.repository.entry import text_of
from kedge.primer.repository.proto_file import UV

PATH = "primer.json"
PYTHON = ">=3.12"  # Where nothing says which; it is what Kedge itself needs.
LOCK = "requirements.lock.txt"  # Where there is none yet; a name that pip takes too.

_LOCKS = ("uv.lock", "pylock.toml")  # All that is in them has hashes.
_CLAUSE = r"\s*(>=|<|==|!=)\s*\d+(\.\d+)*(\.\*)?\s*"  # as in proto.py


def written(root: str) -> dict[str, Any] | None:
    """The environments that the repository's `primer.json` has by name; None when there is no file."""
    text = text_of(os.path.join(root, PATH))
    if text is None:
        return None
    try:
        document = json.loads(text)
        return dict(document["environments"])
    except (ValueError, KeyError, TypeError) as error:
        raise PrimerError(
            f"`{PATH}` cannot be read: {error!r}",
            where=Where(os.path.join(root, PATH)),
            hint='it is an object with `"environments": {"app": {"lock": …, "paths": […]}}`',
        ) from None


def fetches_uv(root: str) -> bool:
    """Whether `primer/uv.txt` belongs to the repository: its `primer.json` names it, or is still to be written."""
    text = text_of(os.path.join(root, PATH))
    return text is None or json.loads(text).get("uv") == UV


def guessed(root: str, environment: str, lock: str | None, module: str) -> dict[str, Any]:
    """A configuration for a repository that has none.

    Args:
        root: the repository's folder.
        environment: what its environment is to be called.
        lock: the lock file; found when None.
        module: one of the project's own modules, which must be importable.
    """
    own: dict[str, Any] = {"lock": lock or found_lock(root) or LOCK}
    paths = _paths(root, module)
    if paths:
        own["paths"] = paths
    return {"python": python(root)[0], "environments": {environment: own}, "uv": UV}


def python(root: str) -> tuple[str, str]:
    """What `requires-python` says, if the proto file understands it; else a default, and what it did say."""
    wanted = str(project(root).get("requires-python", ""))
    if re.fullmatch(f"{_CLAUSE}(,{_CLAUSE})*", wanted):
        return wanted, ""
    return PYTHON, wanted


def project(root: str) -> dict[str, Any]:
    """The table `project` of `pyproject.toml`, empty when there is none that can be read."""
    try:
        table = tomllib.loads(text_of(os.path.join(root, "pyproject.toml")) or "")["project"]
    except (tomllib.TOMLDecodeError, KeyError):
        return {}
    return table if isinstance(table, dict) else {}


def found_lock(root: str) -> str | None:
    """The lock file that is there; a requirements file is one when it has hashes."""
    for name in _LOCKS:
        if os.path.isfile(os.path.join(root, name)):
            return name
    found = [
        os.path.relpath(path, root).replace(os.sep, "/")
        for pattern in ("requirements*.txt", "requirements/*.txt")
        for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern)))
        if "--hash=" in (text_of(path) or "")
    ]
    if len(found) > 1:
        raise PrimerError(
            f"several files could be the lock: `{'`, `'.join(found)}`",
            where=Where(root),
            hint=f"name the one: `--lock {found[0]}`",
        )
    return found[0] if found else None


def module_file(root: str, paths: list[str], module: str) -> str | None:
    """Where a module of the project stands, None when it is not there."""
    for path in paths:
        place = os.path.join(root, path, *module.split("."))
        for file in (place + ".py", os.path.join(place, "__init__.py")):
            if os.path.isfile(file):
                return file
    return None


def _paths(root: str, module: str) -> list[str]:
    """The folders that the project's own code is imported from."""
    if os.path.isdir(os.path.join(root, "src")) or module_file(root, ["."], module) is None:
        return ["src"]
    return ["."]
