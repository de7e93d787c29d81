"""Tightening of metric screws, after VDI 2230 part 1 (2015) and ISO 898-1 (2013)."""

from math import pi, sqrt
from typing import Annotated, Literal, TypedDict

from kedge import Unit

# Basic profile of ISO metric threads (ISO 724): pitch and minor diameters below the nominal one,
# in pitches.
PITCH_DIAMETER = 0.649519
MINOR_DIAMETER = 1.226869

# ISO 261: coarse pitch by nominal diameter, both in mm.
COARSE_PITCH = {
    5: 0.8, 6: 1.0, 8: 1.25, 10: 1.5, 12: 1.75, 14: 2.0, 16: 2.0, 18: 2.5,
    20: 2.5, 22: 2.5, 24: 3.0, 27: 3.0, 30: 3.5, 33: 3.5, 36: 4.0,
}  # fmt: skip

# ISO 4014: bearing diameter of a hexagon head, and ISO 273 (medium): its clearance hole, in mm.
BEARING = {
    5: (6.88, 5.5), 6: (8.88, 6.6), 8: (11.63, 9.0), 10: (14.63, 11.0), 12: (16.63, 13.5),
    14: (19.64, 15.5), 16: (22.49, 17.5), 18: (25.34, 20.0), 20: (28.19, 22.0),
    22: (31.71, 24.0), 24: (33.61, 26.0), 27: (38.0, 30.0), 30: (42.75, 33.0),
    33: (46.55, 36.0), 36: (51.11, 39.0),
}  # fmt: skip

# VDI 2230: the share of the yield point that tightening may use.
UTILISATION = 0.9


class Preload(TypedDict):
    stress_area: Annotated[float, Unit("mm**2"), "Tensile stress area of the thread"]
    preload: Annotated[float, Unit("kN"), "Clamping force at 90 % of the yield point"]
    torque: Annotated[float, Unit("N*m"), "Torque that gives this preload"]


def preload(
    diameter: Annotated[float, Unit("mm")],
    grade: Literal["8.8", "10.9", "12.9"] = "8.8",
    friction: float = 0.12,
    pitch: Annotated[float, Unit("mm")] | None = None,
) -> Preload:
    """Preload and tightening torque of a hexagon head screw.

    Tightening loads the thread in tension and torsion at once; the preload is the one at which both
    together (von Mises) reach 90 % of the yield point.

    Args:
        diameter: Nominal diameter of the thread.
        grade: Property class of the screw.
        friction: Coefficient of friction in the thread and under the head.
        pitch: Pitch of the thread; the coarse one when it is not given.

    Raises:
        ValueError: the diameter is not one of ISO 261's, or the pitch is too coarse for it.
    """
    if diameter not in COARSE_PITCH:
        known = ", ".join(f"{size:g}" for size in COARSE_PITCH)
        raise ValueError(f"there is no {diameter:g} mm metric screw here: one of {known}")
    if pitch is None:
        pitch = COARSE_PITCH[int(diameter)]
    if not 0 < pitch <= COARSE_PITCH[int(diameter)]:
        coarse = COARSE_PITCH[int(diameter)]
        raise ValueError(f"pitch {pitch:g} mm does not fit M{diameter:g}: at most {coarse:g} mm")

    pitch_diameter = diameter - PITCH_DIAMETER * pitch
    stress_diameter = (pitch_diameter + diameter - MINOR_DIAMETER * pitch) / 2
    stress_area = pi / 4 * stress_diameter**2

    torsion = 1.5 * pitch_diameter / stress_diameter
    torsion *= pitch / (pi * pitch_diameter) + 1.155 * friction
    force = stress_area * UTILISATION * yield_point(grade, diameter) / sqrt(1 + 3 * torsion**2)

    head = sum(BEARING[int(diameter)]) / 2
    lever = 0.16 * pitch + 0.58 * pitch_diameter * friction + head / 2 * friction
    return {"stress_area": stress_area, "preload": force / 1e3, "torque": force * lever / 1e3}


def yield_point(grade: str, diameter: float) -> float:
    """Minimum 0.2 % proof strength in MPa (ISO 898-1, table 3)."""
    if grade == "8.8":
        return 640.0 if diameter <= 16 else 660.0
    return {"10.9": 940.0, "12.9": 1100.0}[grade]
