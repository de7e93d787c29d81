"""The picture: how often each range is reached, beside what the detail bears. Both axes logarithmic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil, floor, log10
from pathlib import Path
from typing import TYPE_CHECKING

from endurance import CUT_OFF_CYCLES, KNEE_CYCLES, cut_off, endurance, knee

if TYPE_CHECKING:
    from fatigue import Class

WIDTH, HEIGHT = 600, 360
FEWEST, MOST = 0.1, 1e10  # cycles at the two ends of the axis

type Place = Callable[[float, float], tuple[float, float]]


def draw(path: Path, spectrum: list[Class], category: float, factor: float) -> None:
    """Draws the spectrum times the partial factor, and the strength curve of the category in MPa."""
    steepest = max([2 * category, *(entry["upper"] * factor for entry in spectrum)])
    bottom, top = floor(log10(cut_off(category) / 2)), ceil(log10(steepest))
    left, right = log10(FEWEST), log10(MOST)

    def place(cycles: float, stress: float) -> tuple[float, float]:
        across = (log10(cycles) - left) / (right - left)
        up = (log10(max(stress, 10.0**bottom)) - bottom) / (top - bottom)
        return across * WIDTH, (1 - up) * HEIGHT

    strength = [
        (endurance(10.0**top, category), 10.0**top),
        (KNEE_CYCLES, knee(category)),
        (CUT_OFF_CYCLES, cut_off(category)),
        (MOST, cut_off(category)),
    ]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-70 -20 700 440" font-family="sans-serif"'
        ' font-size="12">',
        '<rect x="-70" y="-20" width="700" height="440" fill="white"/>',
        *grid(place, bottom, top),
        line(place, strength, "firebrick"),
        line(place, stairs(spectrum, factor), "navy"),
        f'<text x="{WIDTH / 2}" y="410" text-anchor="middle">cycles</text>',
        f'<text transform="translate(-50 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        "range times partial factor [MPa]</text>",
        f'<text x="{WIDTH - 8}" y="20" text-anchor="end" fill="firebrick">'
        f"detail category {category:g}</text>",
        f'<text x="{WIDTH - 8}" y="38" text-anchor="end" fill="navy">history, cumulative</text>',
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def stairs(spectrum: list[Class], factor: float) -> list[tuple[float, float]]:
    """The cumulative spectrum: how many cycles reach each range, from the largest down."""
    points: list[tuple[float, float]] = []
    reached = FEWEST
    total = 0.0
    for entry in reversed(spectrum):
        total += entry["cycles"]
        points += [(reached, entry["upper"] * factor), (total, entry["upper"] * factor)]
        reached = total
    return points


def line(place: Place, points: Iterable[tuple[float, float]], colour: str) -> str:
    """A line through points."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'


def grid(place: Place, bottom: int, top: int) -> Iterable[str]:
    """A line and a number at every power of ten."""
    for power in range(round(log10(FEWEST)), round(log10(MOST)) + 1):
        x, _ = place(10.0**power, 1.0)
        yield f'<path d="M{x:.1f} 0V{HEIGHT}" stroke="lightgray"/>'
        if power >= 0:
            yield f'<text x="{x:.1f}" y="{HEIGHT + 20}" text-anchor="middle">1e{power}</text>'
    for power in range(bottom, top + 1):
        _, y = place(1.0, 10.0**power)
        yield f'<path d="M0 {y:.1f}H{WIDTH}" stroke="lightgray"/>'
        yield f'<text x="-8" y="{y + 4:.1f}" text-anchor="end">{10**power}</text>'
