"""The graph of a project's states, from what `explaining` found of them: as text, as a Mermaid diagram."""

from typing import Any

from kedge.primer.explaining import how


def as_text(found: list[dict[str, Any]]) -> str:
    """A tree from what nobody needs down to what needs nothing; what was drawn above is not drawn again."""
    states = {one["name"]: one for one in found}
    needed = {need for one in found for need in one["needs"]}
    lines: list[str] = []
    drawn: set[str] = set()
    waiting = [(name, "", "") for name in reversed(states) if name not in needed]
    while waiting:  # no recursion: a chain may be long
        name, first, rest = waiting.pop()
        needs = states[name]["needs"]
        above = " (above)" if needs and name in drawn else ""
        lines.append(f"{first}{name}  {how(states[name])}{above}")
        if name not in drawn:
            drawn.add(name)
            below = [(need, f"{rest}├── ", f"{rest}│   ") for need in needs[:-1]]
            below += [(need, f"{rest}└── ", f"{rest}    ") for need in needs[-1:]]
            waiting += reversed(below)
    return "\n".join(lines) or "no states"


def as_mermaid(found: list[dict[str, Any]]) -> str:
    """A flowchart; arrows lead to what is reached later, goals are round, what is stale is dashed."""
    names = {one["name"]: f"s{number}" for number, one in enumerate(found)}  # `end` is a word of it
    lines = ["flowchart TD"]
    for one in found:
        shape = f'(["{one["name"]}"])' if one["goal"] else f'["{one["name"]}"]'
        stale = "" if one["fresh"] or one["skipped"] else ":::stale"
        lines.append(f"    {names[one['name']]}{shape}{stale}")
    for one in found:
        lines += [f"    {names[need]} --> {names[one['name']]}" for need in one["needs"]]
    return "\n".join([*lines, "    classDef stale stroke-dasharray: 5 5"])
