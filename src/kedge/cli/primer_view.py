"""What an entry script says of itself, for people: its environment, its key, its states, their graph."""

import json
import os
from typing import Any

from kedge.cli.text import table


def summary(name: str, document: dict[str, Any]) -> str:
    """A table of what is fresh and what is not, and why.

    Args:
        name: of the entry script.
        document: as it explained itself.
    """
    interpreters = document["interpreters"]
    here = [
        f"{version or 'does not start'}  {path}" for path, version in interpreters["here"].items()
    ]
    rows = [
        ["environment", f"{document['environment']}  {_freshness(document)}"],
        ["key", "\n".join(_key(document))],
        ["chain", "\n".join(document["chain"])],
        ["python", "\n".join([interpreters["wanted"], *here])],
    ]
    states = document["states"]
    if states is not None:
        rows.append(["states", table([[one["name"], state_line(one)] for one in states])])
    return f"{name}\n{table(rows)}"


def state_line(state: dict[str, Any]) -> str:
    """Whether a state is fresh, and why not."""
    if state["skipped"]:
        return f"skipped: {state['skipped']}"
    return "fresh" if state["fresh"] else f"stale: {'; '.join(state['reasons'])}"


def as_text(states: list[dict[str, Any]]) -> str:
    """The graph as trees: what nothing else needs stands on the left, what it needs below it.

    >>> print(as_text([
    ...     {"name": "packages", "needs": [], "fresh": True, "skipped": None},
    ...     {"name": "web", "needs": ["packages"], "fresh": False, "skipped": None, "reasons": ["new"]},
    ... ]))
    web  stale: new
    └── packages  fresh
    """
    by_name = {one["name"]: one for one in states}
    needed = {need for one in states for need in one["needs"]}
    lines: list[str] = []
    shown: set[str] = set()

    def draw(name: str, before: str, branch: str, below: str) -> None:
        again = name in shown and by_name[name]["needs"]
        lines.append(f"{before}{branch}{name}  {state_line(by_name[name])}{'  ↑' * bool(again)}")
        if again:
            return
        shown.add(name)
        needs = by_name[name]["needs"]
        for index, need in enumerate(needs):
            last = index == len(needs) - 1
            draw(need, before + below, "└── " if last else "├── ", "    " if last else "│   ")

    for one in states:
        if one["name"] not in needed:
            draw(one["name"], "", "", "")
    return "\n".join(lines)


def as_mermaid(states: list[dict[str, Any]]) -> str:
    """The graph in Mermaid's language: arrows lead from what is needed, what is stale is dashed."""
    number = {one["name"]: f"s{index}" for index, one in enumerate(states)}  # `end` is a word of it
    lines = ["graph LR"]
    for one in states:
        kind = "" if one["fresh"] else ":::stale"
        lines.append(f"    {number[one['name']]}[{json.dumps(one['name'])}]{kind}")
    for one in states:
        lines += [f"    {number[need]} --> {number[one['name']]}" for need in one["needs"]]
    return "\n".join([*lines, "    classDef stale stroke-dasharray: 5 5"])


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
