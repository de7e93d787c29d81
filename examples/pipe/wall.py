"""Wall thickness of a straight pipe under internal pressure, after EN 13480-3:2017, section 6.1.

    kedge run pipe wall pressure="40 bar" outside_diameter="168.3 mm" design_stress="150 MPa"

In the manifest the inputs have the names of quantities; here they are plain numbers in those units.
"""

from math import pi
from typing import Annotated, Literal, TypedDict

from kedge import Unit

# Joint coefficient z: how much of the strength a longitudinal weld keeps (EN 13480-3, section 4.5).
JOINT = {"seamless": 1.0, "welded": 0.85}

# Wall thicknesses of pipes in mm: EN 10220, table 1.
STOCK = (
    1.6, 1.8, 2.0, 2.3, 2.6, 2.9, 3.2, 3.6, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 8.8, 10.0, 11.0, 12.5,
    14.2, 16.0, 17.5, 20.0, 22.2, 25.0, 28.0, 30.0,
)  # fmt: skip

# Outside over inside diameter up to which the wall counts as thin (EN 13480-3, equation 6.1-1).
THIN = 1.7


class Thickness(TypedDict):
    required: Annotated[float, Unit("mm")]
    with_allowances: Annotated[float, Unit("mm")]
    ordered: Annotated[float, Unit("mm")]


class Wall(TypedDict):
    thickness: Annotated[Thickness, "What the pressure needs, with allowances, and what is sold"]
    axial_stress: Annotated[float, Unit("MPa"), "Stress along the pipe, in the required thickness"]
    thrust: Annotated[float, Unit("kN"), "Force of the pressure on a closed end"]


def size(
    pressure: float,
    outside_diameter: float,
    design_stress: float,
    axial_force: float = 0.0,
    making: Literal["seamless", "welded"] = "seamless",
    corrosion: Annotated[float, Unit("mm"), "Allowance for corrosion and erosion"] = 1.0,
    tolerance: Annotated[float, "Part of the thickness that the mill may leave out"] = 0.125,
) -> Wall:
    """Thickness of a pipe's wall, from the pressure inside it.

    Raises:
        ValueError: the wall would not be thin, no pipe is sold that thick, or the axial force is too much
            for it.
    """
    strength = design_stress * JOINT[making]
    load = pressure / 10  # MPa
    required = load * outside_diameter / (2 * strength + load)
    inside = outside_diameter - 2 * required
    if outside_diameter > THIN * inside:
        raise ValueError(
            f"{pressure:g} bar is too much for a thin wall that bears {strength:g} MPa"
        )
    thrust = load * pi / 4 * inside**2
    axial_stress = (thrust + axial_force * 1e3) / (pi / 4 * (outside_diameter**2 - inside**2))
    if abs(axial_stress) > design_stress:
        raise ValueError(
            f"{axial_force:g} kN along the pipe make {axial_stress:.0f} MPa in the wall that the pressure"
            f" needs, and it bears {design_stress:g} MPa: the pressure does not decide here"
        )
    with_allowances = (required + corrosion) / (1 - tolerance)
    ordered = next((thickness for thickness in STOCK if thickness >= with_allowances), None)
    if ordered is None:
        raise ValueError(
            f"no pipe has a wall of {with_allowances:.1f} mm: at most {STOCK[-1]:g} mm"
        )
    return {
        "thickness": {
            "required": required,
            "with_allowances": with_allowances,
            "ordered": ordered,
        },
        "axial_stress": axial_stress,
        "thrust": thrust / 1e3,
    }
