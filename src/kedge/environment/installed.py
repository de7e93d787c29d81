"""What an environment that is kept has in it, told from what was written when it was made."""

import json
import os
import re
from typing import Final

from kedge import home

_PINNED: Final = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:==|@)\s*([^\s;]+)"
)


def packages(digest: str) -> dict[str, str] | None:
    """The packages of the environment with this digest: version, or a wheel's address, by name.

    None when it is not kept any more. A lock that holds for several platforms may name more than what
    is installed on this one.
    """
    path = os.path.join(home.home(), "environments", digest, "kedge.json")
    try:
        with open(path, encoding="utf-8") as file:
            listed: list[str] = json.load(file)["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found: dict[str, list[str]] = {}
    for match in map(_PINNED.match, listed):
        if match:
            found.setdefault(match[1], []).append(match[2])
    return {name: " or ".join(sorted(set(versions))) for name, versions in found.items()}
