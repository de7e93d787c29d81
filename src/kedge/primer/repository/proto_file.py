"""The proto file that this Kedge brings, and the uv that it fetches: files of Kedge's own repository."""

import os
import re

from kedge.errors import PrimerError, Where

PATH = "primer/proto.py"  # in every repository
UV = "primer/uv.txt"  # in those that `init` has configured

_ROOM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def brought() -> str:
    """The text of the proto file."""
    return _text("proto.py", PATH)


def uv_lock() -> str:
    """The hashed requirement of the uv that Kedge itself is made with, for machines that have none."""
    lines = _text("uv.txt", "requirements/uv.txt").splitlines(keepends=True)
    said = "# The uv that proto.py fetches where none is on PATH; uv is installed of it, and nothing else.\n"
    return said + "".join(line for line in lines if not line.startswith("#"))


def _text(name: str, path: str) -> str:
    """A file of the installed package, or of the checkout that this is."""
    checkout = os.path.dirname(os.path.dirname(os.path.dirname(_ROOM)))
    installed = os.path.join(_ROOM, name)
    found = installed if os.path.exists(installed) else os.path.join(checkout, path)
    with open(found, encoding="utf-8") as file:
        return file.read()


def layout(text: str) -> int | None:
    """The number of the layout of the environments that a proto file makes; None when it says none."""
    found = re.search(r"^LAYOUT = (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


def repository_of(folder: str) -> str:
    """The folder itself, or the nearest above it, that has a proto file.

    Raises:
        PrimerError: there is none.
    """
    root = os.path.abspath(folder)
    while not os.path.isfile(os.path.join(root, PATH)):
        if os.path.dirname(root) == root:
            raise PrimerError(
                f"neither `{folder}` nor a folder above it has a `{PATH}`",
                where=Where(folder),
                hint="`kedge primer init` makes one",
            )
        root = os.path.dirname(root)
    return root
