"""Profiles of the series IPE, and what they bear."""

import csv
from pathlib import Path

TABLE = Path(__file__).with_name("ipe.csv")
YIELD = {"S235": 235.0, "S275": 275.0, "S355": 355.0}  # MPa, up to 16 mm thick: EN 10025-2, table 7


def lightest(moment: float, grade: str) -> dict[str, float | str]:
    """The lightest profile whose elastic resistance is not below `moment` in kN m."""
    with TABLE.open() as file:
        rows = [
            (float(row["mass [kg/m]"]), row["name"], float(row["W_el [cm^3]"]))
            for row in csv.DictReader(file)
        ]
    for mass, name, modulus in sorted(rows):
        resistance = modulus * YIELD[grade] * 1e-3  # cm^3 MPa is 1e-3 kN m
        if resistance >= moment:
            return {"name": name, "mass": mass, "use": moment / resistance}
    raise ValueError(f"no IPE of {grade} bears {moment:g} kN m")
