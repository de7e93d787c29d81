"""The graph of a project's states: as data, as text, as a Mermaid diagram."""

from typing import Any

from kedge.primer.graph import Graph
from kedge.primer.states import State


def as_data(graph: Graph) -> list[dict[str, Any]]:
    """Every state, what is needed first.

    Returns:
        for each its `name`, `summary`, `goal` (whether it is one without arguments), `needs` (names), `inputs`,
        `outputs` and `replaces` (a name, or None).
    """
    goals = graph.goals()
    return [
        {
            "name": state.name,
            "summary": state.summary,
            "goal": state in goals,
            "needs": [need.name for need in graph.needs(state)],
            "inputs": list(state.inputs),
            "outputs": list(state.outputs),
            "replaces": state.replaces.name if state.replaces else None,
        }
        for state in graph.order(list(graph.states.values()))
    ]


def as_text(graph: Graph) -> str:
    """A tree from what nobody needs down to what needs nothing; what was drawn above is not drawn again."""
    needed = {need for state in graph.states.values() for need in graph.needs(state)}
    lines: list[str] = []
    drawn: set[State] = set()

    def draw(state: State, first: str, rest: str) -> None:
        needs = graph.needs(state)
        lines.append(f"{first}{state.name}{' (above)' if needs and state in drawn else ''}")
        if state in drawn:
            return
        drawn.add(state)
        for need in needs[:-1]:
            draw(need, f"{rest}├── ", f"{rest}│   ")
        for need in needs[-1:]:
            draw(need, f"{rest}└── ", f"{rest}    ")

    for state in graph.states.values():
        if state not in needed:
            draw(state, "", "")
    return "\n".join(lines) or "no states"


def as_mermaid(graph: Graph) -> str:
    """A flowchart; arrows lead to what is reached later."""
    states = graph.order(list(graph.states.values()))
    goals = graph.goals()
    names = {state: f"s{number}" for number, state in enumerate(states)}
    lines = ["flowchart TD"]
    for state in states:
        shape = f'(["{state.name}"])' if state in goals else f'["{state.name}"]'
        lines.append(f"    {names[state]}{shape}")
    lines += [
        f"    {names[need]} --> {names[state]}" for state in states for need in graph.needs(state)
    ]
    return "\n".join(lines)
