"""Fatigue of a welded detail under a measured stress history.

    kedge run fatigue history=fatigue/tests/crane.csv detail_category=80 --out results

counts the cycles of the history (ASTM E1049), adds up their damage (EN 1993-1-9), and leaves
`report.md`, `cycles.csv` and the picture `spectrum.svg` in results/.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Annotated, TypedDict

from chart import draw
from endurance import endurance
from history import readings
from rainflow import Cycle, cycles, turning_points
from report import write

import kedge
from kedge import Unit


class Class(TypedDict):
    upper: Annotated[float, Unit("MPa"), "Largest range of the class"]
    cycles: Annotated[float, "Cycles in it; half cycles count one half"]
    damage: Annotated[float, "Their part of Miner's sum"]


class Assessment(TypedDict):
    damage: Annotated[float, "Miner's sum of one passage of the history"]
    passages: Annotated[float | None, "Passages until the sum is one; none when nothing damages"]
    largest_range: Annotated[float, Unit("MPa"), "Largest range of stress, without the factor"]
    spectrum: Annotated[list[Class], "The classes that have cycles, smallest first"]
    report: Path
    cycles: Path


def assess(
    history: Path,
    detail_category: Annotated[float, Unit("MPa")] = 71.0,
    partial_factor: float = 1.35,
    class_width: Annotated[float, Unit("MPa")] = 10.0,
) -> Assessment:
    """Rainflow cycles and Miner's sum of a stress history.

    The history is worked through reading by reading and never held as a whole, so that it may be longer
    than the memory.

    Raises:
        ValueError: the history is not one; the sentence says in which line, and what is wrong with it.
    """
    spectrum: dict[int, Class] = defaultdict(lambda: {"upper": 0.0, "cycles": 0.0, "damage": 0.0})
    largest = 0.0
    table = kedge.out_path("cycles", ".csv")
    for cycle in recorded(cycles(turning_points(readings(history))), table):
        number = ceil(cycle.range / class_width)
        entry = spectrum[number]
        entry["upper"] = number * class_width
        entry["cycles"] += cycle.count
        entry["damage"] += cycle.count / endurance(cycle.range * partial_factor, detail_category)
        largest = max(largest, cycle.range)

    classes = [spectrum[number] for number in sorted(spectrum)]
    damage = sum(entry["damage"] for entry in classes)
    result: Assessment = {
        "damage": damage,
        "passages": 1 / damage if damage else None,
        "largest_range": largest,
        "spectrum": classes,
        "report": kedge.out_path("report", ".md"),
        "cycles": table,
    }
    write(result["report"], result, detail_category, partial_factor)
    artifacts = Path("out/artifacts")
    artifacts.mkdir(parents=True, exist_ok=True)
    draw(artifacts / "spectrum.svg", classes, detail_category, partial_factor)
    return result


def recorded(counted: Iterator[Cycle], path: Path) -> Iterator[Cycle]:
    """The same cycles, each written to a table on its way."""
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["range [MPa]", "mean [MPa]", "cycles"])
        for cycle in counted:
            rows.writerow([f"{cycle.range:.9g}", f"{cycle.mean:.9g}", cycle.count])
            yield cycle
