"""What was compiled from packages, kept as JSON files by what they were made from.

A file that is damaged is as good as none: it is made again.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any, Final

from kedge import digest
from kedge.errors import StoreError
from kedge.home import folder
from kedge.version import __version__

_LAYOUT: Final = 4  # of what is kept; another number finds none of it


def place(kind: str, *parts: str) -> str:
    """The file for what is made from `parts`."""
    name = digest.of_json([_LAYOUT, __version__, *parts])
    return os.path.join(folder("descriptions"), f"{kind}-{name}.json")


def load(path: str) -> dict[str, Any] | None:
    """What the file holds, None when it is not there or not whole."""
    try:
        with open(path, encoding="utf-8") as file:
            data: dict[str, Any] = json.load(file)
    except (OSError, ValueError):  # not there, or a machine that lost power: made again
        return None
    return data


def store(path: str, data: Mapping[str, Any]) -> None:
    """Keep `data`, whole or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    name = None
    try:
        descriptor, name = tempfile.mkstemp(dir=os.path.dirname(path))
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(data, file)
        os.replace(name, path)
    except OSError as error:
        if name is not None:
            os.unlink(name)
        raise StoreError(
            f"`{path}` cannot be written: {error.strerror}",
            hint="make room, or set KEDGE_HOME to a folder that you can write to",
        ) from error
