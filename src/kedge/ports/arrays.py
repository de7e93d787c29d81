"""What a .npy file holds, read from its header alone.

The format: numpy's NEP 1 and `numpy.lib.format`. Only the header is read, so a file of any size costs one
read, and nothing in it is executed.
"""

import ast
import os
from typing import Final

from kedge.ports.catalogue import array_parts

_MAGIC: Final = b"\x93NUMPY"
_LONGEST_HEADER: Final = 65536  # numpy itself refuses longer ones from strangers
_KINDS: Final = {"f": "float", "i": "int", "u": "uint", "c": "complex", "b": "bool"}


def mismatch(path: str, x_type: str) -> str | None:
    """Why the array in `path` is not what `Array[…]` says, None when it is.

    Symbolic links are not followed: outputs are judged with this too.
    """
    found = _header(path)
    if found is None:
        return "is not an array that numpy.save wrote"
    dtype, shape = found
    wanted, dimensions = array_parts(x_type)
    if dtype != wanted:
        return f"holds {dtype}; {x_type} is expected"
    if dimensions is not None and len(shape) != dimensions:
        return f"has {len(shape)} dimensions; {x_type} is expected"
    return None


def _header(path: str) -> tuple[str, tuple[object, ...]] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            start = file.read(12)
            if start[:6] != _MAGIC or len(start) < 12:
                return None
            wide = start[6] >= 2  # version 2 has four bytes for the length, version 1 two
            length = int.from_bytes(start[8:12] if wide else start[8:10], "little")
            if length > _LONGEST_HEADER:
                return None
            text = (b"" if wide else start[10:]) + file.read(length - (0 if wide else 2))
        header = ast.literal_eval(text.decode("utf-8" if start[6] >= 3 else "latin-1").strip())
        return _dtype(header["descr"]), tuple(header["shape"])
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return None


def _dtype(description: object) -> str:
    if not isinstance(description, str):
        return "records"
    kind, size = description[1:2], description[2:]
    if kind == "b":
        return "bool"
    if kind not in _KINDS or not size.isascii() or not size.isdigit():
        return f"elements of the kind {description[:20]!r}"
    return f"{_KINDS[kind]}{int(size) * 8}"
