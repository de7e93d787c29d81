"""Plane trusses: straight bars, pinned at their ends, loaded at the nodes."""

import csv
from pathlib import Path
from typing import Annotated, TypedDict

import numpy as np
from stiffness import Matrix, Vector, assemble, displacements

import kedge
from kedge import Unit


class Support(TypedDict):
    node: int
    x: bool
    y: bool


class Load(TypedDict):
    node: int
    x: Annotated[float, Unit("N")]
    y: Annotated[float, Unit("N")]


class Solution(TypedDict):
    forces: Annotated[list[float], "Force in each bar in N, tension positive"]
    displacements: Annotated[list[list[float]], "Displacement of each node in mm, along x and y"]
    stress: Annotated[float, Unit("MPa"), "Largest stress in any bar"]
    report: Path


def solve(
    nodes: list[list[float]],
    bars: list[list[int]],
    supports: list[Support],
    loads: list[Load],
    area: Annotated[float, Unit("mm**2")],
    youngs_modulus: Annotated[float, Unit("GPa")] = 210.0,
) -> Solution:
    """Bar forces and node displacements of a plane truss.

    Args:
        nodes: Coordinates of each node in m, as [x, y].
        bars: The two nodes that each bar joins, counted from 0.
        supports: Which nodes are held, and in which directions.
        loads: Forces at nodes.
        area: Cross-section of every bar.
        youngs_modulus: Young's modulus of every bar.

    Raises:
        ValueError: a bar has no length, a node does not exist, or the truss is a mechanism.
    """
    kedge.progress(0, 3, f"assembling {len(bars)} bars")
    points = np.asarray(nodes, dtype=float)
    check(points, bars, [entry["node"] for entry in [*supports, *loads]])
    rigidity = area * 1e-6 * youngs_modulus * 1e9
    directions, lengths = shapes(points, bars)
    elements = (
        (rigidity / length * along_bar(direction), freedoms(bar))
        for direction, length, bar in zip(directions, lengths, bars, strict=True)
    )
    stiffness = assemble(points.size, elements)

    kedge.progress(1, 3, f"solving for {points.size} displacements")
    applied = np.zeros(points.size)
    for load in loads:
        applied[2 * load["node"]] += load["x"]
        applied[2 * load["node"] + 1] += load["y"]
    fixed = [
        2 * support["node"] + axis
        for support in supports
        for axis, held in enumerate((support["x"], support["y"]))
        if held
    ]
    moved = displacements(stiffness, applied, fixed).reshape(-1, 2)

    kedge.progress(2, 3, "writing the report")
    ends = np.asarray(bars)
    stretch = np.einsum("ij,ij->i", moved[ends[:, 1]] - moved[ends[:, 0]], directions)
    forces = rigidity * stretch / lengths
    stresses = forces / area
    kedge.progress(3, 3, "done")
    return {
        "forces": forces.tolist(),
        "displacements": (moved * 1e3).tolist(),
        "stress": float(np.abs(stresses).max()),
        "report": report(bars, lengths, forces, stresses),
    }


def check(points: Matrix, bars: list[list[int]], named: list[int]) -> None:
    """Refuse what is not a truss, in words that say which node or bar is meant."""
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError("each node is given by two coordinates, [x, y]")
    for number, bar in enumerate(bars):
        if len(bar) != 2 or bar[0] == bar[1]:
            raise ValueError(f"bar {number} does not join two different nodes: {bar}")
    for node in [*named, *(node for bar in bars for node in bar)]:
        if not 0 <= node < len(points):
            raise ValueError(f"there is no node {node}: the nodes are 0 to {len(points) - 1}")


def shapes(points: Matrix, bars: list[list[int]]) -> tuple[Matrix, Vector]:
    """The unit vector and the length of every bar."""
    ends = np.asarray(bars)
    spans = points[ends[:, 1]] - points[ends[:, 0]]
    lengths = np.hypot(spans[:, 0], spans[:, 1])
    if not lengths.all():
        raise ValueError(f"bar {int(np.argmin(lengths))} has no length")
    return spans / lengths[:, None], lengths


def along_bar(direction: Vector) -> Matrix:
    """Stiffness of a bar of unit rigidity and length, in the structure's axes."""
    block = np.outer(direction, direction)
    return np.block([[block, -block], [-block, block]])


def freedoms(bar: list[int]) -> list[int]:
    """The four displacements that a bar couples."""
    return [2 * node + axis for node in bar for axis in (0, 1)]


def report(bars: list[list[int]], lengths: Vector, forces: Vector, stresses: Vector) -> Path:
    """A table with one line a bar, as the output file `report`."""
    path = kedge.out_path("report", ".csv")
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["bar", "from", "to", "length_m", "force_N", "stress_MPa"])
        for number, (bar, *values) in enumerate(zip(bars, lengths, forces, stresses, strict=True)):
            table.writerow([number, *bar, *(f"{value:.6g}" for value in values)])
    return path
