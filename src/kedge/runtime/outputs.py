"""Where the file or folder of an output is written."""

import os
from typing import TYPE_CHECKING

from kedge.contract.workspace import extension_of
from kedge.ports import extensions_of, kind_of

if TYPE_CHECKING:
    from kedge.task.port import Port


def place_of_output(port: "Port") -> str:
    """The path in the workspace. A file has the extension of where it is to be in the end, else one it may have."""
    if kind_of(port.schema) == "folder":
        return f"out/files/{port.id}"
    allowed = extensions_of(port.schema)
    if port.bound:
        return f"out/files/{port.id}{extension_of(os.path.basename(port.bound), allowed)}"
    return f"out/files/{port.id}" + (f".{allowed[0]}" if allowed else "")
