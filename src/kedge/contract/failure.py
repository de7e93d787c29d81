"""The error that code leaves in its workspace, read without believing any of it."""

import os
from typing import Any, Final

from kedge.contract.hostile import RefusedError, open_folder, parse_object, read_file
from kedge.contract.workspace import Workspace

# In this order: what the managed runner wrote, then what code in an image wrote itself.
FILES: Final = ("_runner_error.json", "_error.json")

TOLD: Final = "exception"  # the source of what is in none

_FILE_LIMIT: Final = 4 << 20  # bytes: a traceback of a thousand frames has a tenth of it
_TEXT_LIMIT: Final = 256 << 10  # characters kept of each text: it goes into the record
_PROBLEMS_LIMIT: Final = 200


def read(workspace: Workspace) -> dict[str, Any] | None:
    """The structured failure that a run left, None when there is none that can be read.

    Returns:
        `error` (text), `type`, `traceback`, `ts`, `hint` (texts or None), `problems` (a list of objects
        with `message`, `path`, `hint`) and `source`, the name of the file it was read from.
    """
    try:
        folder = open_folder(os.path.join(workspace.folder, "out"))
    except RefusedError:
        return None
    try:
        for name in FILES:
            try:
                written = parse_object(read_file(name, _FILE_LIMIT, folder))
            except RefusedError:
                continue
            if "error" in written:
                return _error(written) | {"source": name}
    finally:
        os.close(folder)
    return None


def told(text: str) -> dict[str, Any]:
    """As `read`, of an error that code of this process told and wrote to no file."""
    return _error(parse_object(text.encode())) | {"source": TOLD}


def _error(written: dict[str, Any]) -> dict[str, Any]:
    problems = written.get("problems")
    return {
        "error": _text(written["error"]) or "no message",
        "type": _text(written.get("type")),
        "traceback": _text(written.get("traceback")),
        "ts": _text(written.get("ts")),
        "hint": _text(written.get("hint")),
        "problems": [
            {"message": _text(entry.get("message")) or "no message", "path": _text(entry.get("path")), "hint": _text(entry.get("hint"))}
            for entry in (problems if isinstance(problems, list) else [])[:_PROBLEMS_LIMIT]
            if isinstance(entry, dict)
        ],
    }  # fmt: skip


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "…"
