# /// script
# requires-python = ">=3.12"
# dependencies = []
# ///
"""Deflection of a cantilever with a rectangular section.

A script, not a package: `kedge run beam.py:deflection length="3 m" load=1200` runs it in its own
environment, and `python beam.py` runs it as it is.
"""

from typing import Annotated

try:
    from kedge import Unit
except ImportError:  # run alone, on a Python without Kedge: the annotations are then only notes
    Unit = str


def deflection(
    length: Annotated[float, Unit("m")],
    load: Annotated[float, Unit("N")],
    width: Annotated[float, Unit("mm")] = 50.0,
    height: Annotated[float, Unit("mm")] = 100.0,
    youngs_modulus: Annotated[float, Unit("GPa")] = 210.0,
) -> Annotated[float, Unit("mm")]:
    """Deflection of the free end: P L^3 / (3 E I), Roark's Formulas, table 8.1, case 1a.

    Args:
        length: Length of the cantilever.
        load: Force at its free end.
        width: Width of the section.
        height: Height of the section, in the direction of the force.
        youngs_modulus: Young's modulus.
    """
    inertia = width * height**3 / 12 * 1e-12
    return load * length**3 / (3 * youngs_modulus * 1e9 * inertia) * 1e3


if __name__ == "__main__":
    print(f"{deflection(3.0, 1200.0):.4f} mm")
