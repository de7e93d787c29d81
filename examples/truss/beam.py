"""Straight beams of constant rectangular section: Euler-Bernoulli elements, cubic in between."""

import csv
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import numpy as np
from stiffness import Matrix, Vector, assemble, displacements

import kedge
from kedge import Unit

# Stiffness of one element of unit E I and length, for deflection and slope at its two ends.
BENDING = np.array(
    [
        [12.0, 6.0, -12.0, 6.0],
        [6.0, 4.0, -6.0, 2.0],
        [-12.0, -6.0, 12.0, -6.0],
        [6.0, 2.0, -6.0, 4.0],
    ]
)


class Bending(TypedDict):
    deflection: Annotated[float, Unit("mm"), "Largest deflection"]
    moment: Annotated[float, Unit("N*m"), "Largest bending moment"]
    stress: Annotated[float, Unit("MPa"), "Bending stress at the largest moment"]
    elastic_line: Path


def solve(
    length: Annotated[float, Unit("m")],
    load: Annotated[float, Unit("N")] = 0.0,
    line_load: Annotated[float, Unit("N/m")] = 0.0,
    supports: Literal["cantilever", "simple"] = "cantilever",
    width: Annotated[float, Unit("mm")] = 50.0,
    height: Annotated[float, Unit("mm")] = 100.0,
    youngs_modulus: Annotated[float, Unit("GPa")] = 210.0,
    elements: int = 40,
) -> Bending:
    """Deflection, moment and stress of a beam; loads and deflections count downwards.

    Args:
        length: Span, or length of the cantilever.
        load: Single force, at the free end of a cantilever and in the middle of a simple beam.
        line_load: Force per length, along the whole beam.
        supports: Clamped at the left end, or hinged at both ends.
        width: Width of the section.
        height: Height of the section, in the plane of bending.
        youngs_modulus: Young's modulus.
        elements: Number of elements; rounded up to an even number.
    """
    elements += elements % 2  # so that there is a node in the middle
    kedge.progress(0, 3, f"assembling {elements} elements")
    step = length / elements
    section = width * height**3 / 12 * 1e-12
    # Freedoms are deflection and slope times step, both lengths: so K is well scaled at any span.
    element = youngs_modulus * 1e9 * section / step**3 * BENDING
    spread = line_load * step / 2 * np.array([1.0, 1 / 6, 1.0, -1 / 6])
    first = 2 * np.arange(elements)
    size = 2 * (elements + 1)
    stiffness = assemble(size, ((element, range(start, start + 4)) for start in first))

    kedge.progress(1, 3, f"solving for {size} displacements")
    applied = np.zeros(size)
    for start in first:
        applied[start : start + 4] += spread
    if supports == "cantilever":
        applied[size - 2] += load
        fixed = [0, 1]
    else:
        applied[elements] += load
        fixed = [0, size - 2]
    moved = displacements(stiffness, applied, fixed)

    kedge.progress(2, 3, "writing the elastic line")
    moments = nodal_moments(element, spread, moved) * step
    places = np.arange(elements + 1) * step
    line = np.column_stack([places, moved[0::2], moved[1::2] / step, moments])
    moment = float(np.abs(moments).max())
    draw(line)
    kedge.progress(3, 3, "done")
    return {
        "deflection": float(np.abs(moved[0::2]).max()) * 1e3,
        "moment": moment,
        "stress": moment * (height / 2 * 1e-3) / section * 1e-6,
        "elastic_line": table(line),
    }


def nodal_moments(element: Matrix, spread: Vector, moved: Vector) -> Vector:
    """Bending moment at every node by the elements' end forces, per step; sagging is positive."""
    ends = np.array(
        [element @ moved[start : start + 4] - spread for start in range(0, moved.size - 2, 2)]
    )
    return np.append(ends[:, 1], -ends[-1, 3])


def table(line: Matrix) -> Path:
    """The elastic line as the output file `elastic_line`."""
    path = kedge.out_path("elastic_line", ".csv")
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["x_m", "deflection_mm", "slope_rad", "moment_Nm"])
        for x, deflection, slope, moment in line:
            rows.writerow(f"{value:.9g}" for value in (x, deflection * 1e3, slope, moment))
    return path


def draw(line: Matrix) -> None:
    """A picture of the elastic line among the run's artifacts: 600 wide, deflection to 100."""
    across = line[:, 0] / line[-1, 0] * 600
    down = line[:, 1] / (np.abs(line[:, 1]).max() or 1.0) * 100
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    folder = Path("out/artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "elastic_line.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -110 620 220">\n'
        '  <path d="M0 0H600" stroke="gray" stroke-dasharray="4"/>\n'
        f'  <polyline points="{points}" fill="none" stroke="black" stroke-width="2"/>\n'
        "</svg>\n"
    )
