"""Every state, fresh or stale, and why: nothing is reached, only each `check` and `skip_if` is asked."""

from typing import Any

from kedge.primer.graph import Graph
from kedge.primer.reaching import Start
from kedge.primer.records import Place

SHOWN_REASONS = 5  # of a state in text; a folder can have thousands of changed files


def explain(graph: Graph, place: Place) -> list[dict[str, Any]]:
    """How each state stands, what is needed first.

    Returns:
        for each state its `name`, `summary`, `goal` (whether it is one without arguments), `needs` (names),
        `fresh`, `skipped` (why, or None) and `reasons` (sentences; empty when it is fresh or skipped).
    """
    start = Start(graph, place, list(graph.states.values()))
    goals = graph.goals()
    found = []
    for state in start.order:
        standing = start.standings[state.name] = start.look(state)
        found.append(
            {
                "name": state.name,
                "summary": state.summary,
                "goal": state in goals,
                "needs": [need.name for need in graph.needs(state)],
                "fresh": not standing.reasons and not standing.skipped,
                "skipped": standing.skipped,
                "reasons": standing.reasons,
            }
        )
    return found


def as_text(found: list[dict[str, Any]]) -> str:
    """What `explain` found, to be read."""
    width = max((len(one["name"]) for one in found), default=0)
    lines = []
    for one in found:
        reasons = one["reasons"]
        lines.append(f"{one['name']:{width}}  {how(one)}".rstrip())
        lines += [f"{'':{width}}    {reason}" for reason in reasons[:SHOWN_REASONS]]
        if len(reasons) > SHOWN_REASONS:
            lines.append(f"{'':{width}}    and {len(reasons) - SHOWN_REASONS} more")
    return "\n".join(lines) or "no states"


def how(one: dict[str, Any]) -> str:
    """Fresh, stale or skipped."""
    if one["skipped"]:
        return f"skipped: {one['skipped']}"
    return "fresh" if one["fresh"] else "stale"


def as_help(graph: Graph, place: Place, script: str) -> str:
    """What a boot script says of itself: its goals, and how they stand."""
    found = explain(graph, place)
    lines = [
        f"usage: {script} [STATE...]",
        "",
        "Reaches the states that are named and what they need; without a name, those with a star.",
        "",
    ]
    width = max((len(one["name"]) for one in found), default=0)
    for one in found:
        stands = "skipped" if one["skipped"] else how(one)
        star = "*" if one["goal"] else " "
        lines.append(f"{star} {one['name']:{width}}  {stands:7}  {one['summary']}".rstrip())
    return "\n".join(lines)
