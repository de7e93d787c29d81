r"""Pressure drop along a pipe: Darcy-Weisbach, with the friction factor of Colebrook and White.

    kedge run pipe drop flow="12 m**3/h" diameter="52.5 mm" length="120 m" pressure="6 bar" \
        rise="15 ft" fluid.density="0.86 kg/l" fluid.viscosity="4 cP"

Each value is text with whatever unit is at hand; the function sees plain numbers in its own units.
Source: White, Fluid Mechanics, chapter 6.
"""

from math import log10, pi
from typing import Annotated, Literal, TypedDict

from kedge import Unit

GRAVITY = 9.80665  # m/s²

# Roughness of new pipes in mm: White, Fluid Mechanics, table 6.1.
ROUGHNESS = {
    "commercial steel": 0.046,
    "cast iron": 0.26,
    "galvanized iron": 0.15,
    "drawn tubing": 0.002,
    "plastic": 0.0015,
}

# Reynolds numbers: laminar below the first, turbulent above the second.
LAMINAR, TURBULENT = 2300.0, 4000.0


class Fluid(TypedDict):
    density: Annotated[float, Unit("kg/m**3")]
    viscosity: Annotated[float, Unit("mPa*s")]


WATER: Fluid = {"density": 998.2, "viscosity": 1.002}  # at 20 °C


class Losses(TypedDict):
    friction: Annotated[float, Unit("bar")]
    fittings: Annotated[float, Unit("bar")]
    height: Annotated[float, Unit("bar")]


class Drop(TypedDict):
    velocity: Annotated[float, Unit("m/s"), "Mean velocity"]
    reynolds: Annotated[float, "Reynolds number"]
    regime: Annotated[Literal["laminar", "transitional", "turbulent"], "How the fluid flows"]
    friction_factor: Annotated[float, "Darcy friction factor"]
    losses: Annotated[Losses, "What the pressure is lost to; a fall gains some of it back"]
    pressure_drop: Annotated[float, Unit("bar"), "The losses together"]
    outlet_pressure: Annotated[float, Unit("bar"), "Absolute pressure at the outlet"]


def solve(
    flow: Annotated[float, Unit("m**3/h")],
    diameter: Annotated[float, Unit("mm")],
    length: Annotated[float, Unit("m")],
    pressure: Annotated[float, Unit("bar")],
    rise: Annotated[float, Unit("m")] = 0.0,
    fluid: Fluid = WATER,
    material: Literal[
        "commercial steel", "cast iron", "galvanized iron", "drawn tubing", "plastic"
    ] = "commercial steel",
    loss_coefficients: float = 0.0,
) -> Drop:
    """Pressure drop of a fluid that does not compress, in a round pipe that it fills.

    Args:
        flow: Volume flow.
        diameter: Inside diameter.
        length: Length of the pipe.
        pressure: Absolute pressure at the inlet.
        rise: How much higher the outlet is than the inlet; negative for a fall.
        fluid: Density and dynamic viscosity; water at 20 °C when not given.
        material: What the pipe is made of, which says how rough it is.
        loss_coefficients: Sum of the loss coefficients of all fittings.

    Raises:
        ValueError: a value that must be positive is not, or the inlet pressure does not reach.
    """
    given = {"flow": flow, "diameter": diameter, "length": length, "pressure": pressure, **fluid}
    for name, value in given.items():
        if value <= 0:
            raise ValueError(f"{name} must be more than zero, and is {value:g}")

    bore = diameter / 1e3
    velocity = flow / 3600 / (pi / 4 * bore**2)
    reynolds = velocity * bore * fluid["density"] / (fluid["viscosity"] / 1e3)
    factor = friction_factor(reynolds, ROUGHNESS[material] / diameter)
    dynamic = fluid["density"] * velocity**2 / 2

    losses: Losses = {
        "friction": factor * length / bore * dynamic / 1e5,
        "fittings": loss_coefficients * dynamic / 1e5,
        "height": fluid["density"] * GRAVITY * rise / 1e5,
    }
    lost = losses["friction"] + losses["fittings"] + losses["height"]
    if lost >= pressure:
        raise ValueError(
            f"{lost:.3g} bar would be lost, and the inlet has {pressure:.3g} bar:"
            " less flow, a wider pipe or more pressure is needed"
        )
    return {
        "velocity": velocity,
        "reynolds": reynolds,
        "regime": regime(reynolds),
        "friction_factor": factor,
        "losses": losses,
        "pressure_drop": lost,
        "outlet_pressure": pressure - lost,
    }


def regime(reynolds: float) -> Literal["laminar", "transitional", "turbulent"]:
    """How a fluid flows at a Reynolds number."""
    if reynolds < LAMINAR:
        return "laminar"
    return "turbulent" if reynolds > TURBULENT else "transitional"


def friction_factor(reynolds: float, roughness: float) -> float:
    """The Darcy friction factor; between the regimes that of the turbulent one, which is the larger.

    Args:
        reynolds: Reynolds number.
        roughness: roughness of the wall divided by the diameter.
    """
    if reynolds < LAMINAR:
        return 64 / reynolds
    # Colebrook and White's equation for 1 / sqrt(f); each round leaves less than a seventh of the error.
    inverse, before = 7.0, 0.0
    while abs(inverse - before) > 1e-12 * inverse:
        inverse, before = -2 * log10(roughness / 3.7 + 2.51 * inverse / reynolds), inverse
    return float(inverse**-2)
