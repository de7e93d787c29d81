"""One way to name content: SHA-256 of a canonical form, in lower-case hex."""

import hashlib
import json
from typing import Any

_CHUNK = 1 << 20  # bytes read at once: large enough that the calls cost nothing beside the hashing


def of_bytes(data: bytes) -> str:
    """SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: str) -> str:
    """SHA-256 of a file's bytes in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def of_json(value: Any) -> str:
    """SHA-256 of a JSON value; the order of keys does not matter, that of lists does.

    >>> of_json({"a": 1, "b": ["ab", "c"]}) == of_json({"b": ["a", "bc"], "a": 1})
    False
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return of_bytes(text.encode())
