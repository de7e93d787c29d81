"""Buckling of a round column: Euler's formula, and Johnson's where the column is stocky.

Source: Budynas and Nisbett, Shigley's Mechanical Engineering Design, sections 4-12 and 4-13.
"""

from math import pi, sqrt

# What part of the length buckles as a column with pinned ends would (theoretical values).
EFFECTIVE = {"pinned": 1.0, "fixed": 0.5, "fixed-free": 2.0, "fixed-pinned": 0.7}


def buckling(length, diameter, modulus=210.0, yield_stress=235.0, ends="pinned"):
    """The load that buckles a column; lengths in mm, modulus in GPa, stress in MPa, load in kN."""
    for name, value in (("length", length), ("diameter", diameter), ("modulus", modulus)):
        if value <= 0:
            raise ValueError(f"{name} must be more than zero, and is {value:g}")
    area = pi / 4 * diameter**2
    slenderness = EFFECTIVE[ends] * length / (diameter / 4)
    # Below this slenderness Euler's stress would be more than half of the yield stress.
    limit = sqrt(2 * pi**2 * modulus * 1e3 / yield_stress)
    if slenderness > limit:
        formula, stress = "Euler", pi**2 * modulus * 1e3 / slenderness**2
    else:
        formula, stress = "Johnson", yield_stress * (1 - (slenderness / limit) ** 2 / 2)
    return {"load": stress * area / 1e3, "slenderness": slenderness, "formula": formula}
