"""The figures for people, as a table, and for programs, as plain data."""

from collections.abc import Iterator
from typing import Any

from figure import Figure, Side

_UNIT = {"times": "×", "above": " ms above", "in all": " ms"}
_SHOWN_IN = {"seconds": ("ms", 1000), "MiB": ("MiB", 1)}


def head(machine: dict[str, Any]) -> Iterator[str]:
    """What was measured on, in a few lines."""
    commit = f", commit {machine['commit']}" if machine["commit"] else ""
    yield f"Kedge {machine['kedge']}{commit}, Python {machine['python']}"
    if machine["python_in_process"] != machine["python"]:
        yield f"in process: Python {machine['python_in_process']}"
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']},"
        f" as {machine['account']}, load {machine['load']:.2f}"
    )


def rows(figure: Figure) -> Iterator[tuple[str, ...]]:
    """The lines of one figure: name, what, median, quartiles, samples, ratio."""
    yield (figure.name, *_cells(figure.ours), "")
    for peer in figure.peers:
        ratio = figure.ours.median / peer.median
        yield ("", f"  {peer.what}", *_cells(peer)[1:], f"{ratio:.3g}×")


def remarks(figure: Figure) -> Iterator[str]:
    """The goal of one figure and whether it is met, then its checks and notes."""
    if figure.goal is not None:
        unit, scale = _UNIT[figure.goal.kind], 1 if figure.goal.kind == "times" else 1000
        met = "met" if figure.met else "MISSED"
        yield (
            f"goal ≤ {figure.goal.limit * scale:g}{unit}: {met}, {figure.value * scale:.3g}{unit}"
        )
    for check in figure.checks:
        yield f"{check.text}: {'holds' if check.holds else 'DOES NOT HOLD'}"
    yield from figure.notes


def table(figures: list[Figure]) -> Iterator[str]:
    """All figures as lines of text; what a column holds stands above it."""
    titles = ("figure", "what", "median", "quartiles", "n", "Kedge is")
    groups = [list(rows(figure)) for figure in figures]
    widths = [
        max(len(row[column]) for row in (titles, *(row for group in groups for row in group)))
        for column in range(len(titles))
    ]
    yield _line(titles, widths)
    for figure, group in zip(figures, groups, strict=True):
        for row in group:
            yield _line(row, widths)
        for remark in remarks(figure):
            yield f"{'':{widths[0]}}    {remark}"
        yield ""


def data(figure: Figure) -> dict[str, Any]:
    """One figure with all of its samples."""
    goal = figure.goal
    return {
        "name": figure.name,
        "ours": _side(figure.ours),
        "peers": [_side(peer) for peer in figure.peers],
        "goal": None
        if goal is None
        else {"kind": goal.kind, "limit": goal.limit, "value": figure.value, "met": figure.met},
        "checks": [{"text": check.text, "holds": check.holds} for check in figure.checks],
        "notes": list(figure.notes),
    }


def _cells(side: Side) -> tuple[str, ...]:
    unit, scale = _SHOWN_IN[side.unit]
    median, low, high = (_number(value * scale) for value in (side.median, *side.quartiles))
    return (side.what, f"{median} {unit}", f"{low}–{high}", str(len(side.samples)))


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _side(side: Side) -> dict[str, Any]:
    return {"what": side.what, "median": side.median, side.unit: list(side.samples)}


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    left = f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}"
    right = "  ".join(f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True))
    return f"{left}  {right}".rstrip()
