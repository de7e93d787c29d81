"""Free files that a run leaves: kept whatever they are, listed with size and hash."""

import hashlib
import os
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote_from_bytes

from kedge.contract.hostile import DESCRIPTOR_FLAGS
from kedge.contract.ownership import Adopted

LISTED: Final = 10_000  # further ones are kept, and counted in a warning

# A file of which so much is hole (one seek makes a terabyte) is not worth the hours of hashing it.
_HOLLOW_BYTES: Final = 1 << 30
_HOLLOW_TIMES: Final = 16


def listed(artifacts: Iterable[Adopted], root: str) -> tuple[dict[str, dict[str, Any]], int]:
    """`uri`, `size` and `sha256` of each artifact by its path, and how many are kept without.

    Args:
        artifacts: the files as they are taken over; their paths begin with the root's own name.
        root: the folder that holds them, absolute.
    """
    found: dict[str, dict[str, Any]] = {}
    unlisted = 0
    for artifact in artifacts:
        if len(found) == LISTED or _hollow(artifact.info):
            unlisted += 1
            continue
        path = artifact.path.partition("/")[2]
        name = os.fsencode(path).decode("utf-8", "backslashreplace")
        found[name] = {
            "uri": "file://" + quote_from_bytes(os.fsencode(os.path.join(root, path))),
            "size": artifact.info.st_size,
            "sha256": _hashed(artifact),
        }
    return dict(sorted(found.items())), unlisted


def _hashed(artifact: Adopted) -> str:
    # By the folder that is held open: the whole path may be longer than the system opens at once.
    descriptor = os.open(artifact.name, DESCRIPTOR_FLAGS, dir_fd=artifact.folder)
    with open(descriptor, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hollow(info: os.stat_result) -> bool:
    return info.st_size > _HOLLOW_BYTES and info.st_blocks * 512 < info.st_size // _HOLLOW_TIMES
