"""What an entry script says of itself, for people: its environment, its key, its states."""

import os
from typing import Any

from kedge.cli.text import table
from kedge.primer.explaining import as_text


def summary(name: str, document: dict[str, Any]) -> str:
    """A table of what is fresh and what is not, and why.

    Args:
        name: of the entry script.
        document: as it explained itself.
    """
    wanted, here = document["interpreters"]["wanted"], document["interpreters"]["here"]
    found = table([[version or "does not start", path] for path, version in here.items()])
    rows = [
        ["environment", f"{document['environment']}  {_freshness(document)}"],
        ["key", "\n".join(_key(document))],
        ["chain", "\n".join(dict.fromkeys(document["chain"]))],
        ["python", f"{wanted}\n{found}"],
    ]
    if document["states"] is not None:
        rows.append(["states", as_text(document["states"])])
    return f"{name}\n{table(rows)}"


def _freshness(document: dict[str, Any]) -> str:
    if document["fresh"]:
        return "fresh"
    if not os.path.exists(document["environment"]):
        return "stale: not made yet"
    return f"stale: {', '.join(document['changed'])} changed"


def _key(document: dict[str, Any]) -> list[str]:
    changed = document["changed"]
    return [
        f"{part} changed" if part in changed else f"{part} is the same" for part in document["key"]
    ]
