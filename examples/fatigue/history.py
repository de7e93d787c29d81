"""A stress history: a CSV file whose first line names the columns, as in `time [s],stress [MPa]`."""

import csv
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

import kedge

MPA = {
    "Pa": 1e-6, "kPa": 1e-3, "MPa": 1.0, "GPa": 1e3, "N/mm2": 1.0, "N/mm^2": 1.0, "N/mm²": 1.0,
    "psi": 6.894757293e-3, "ksi": 6.894757293,
}  # fmt: skip

COLUMN = re.compile(r"\s*stress\s*(?:[\[(]\s*(?P<unit>.*?)\s*[\])])?\s*", re.IGNORECASE)

# No solid bears more: a reading beyond it has the wrong unit, or comes from a broken logger.
STRONGEST_MPA = 1e5

# Readings between two progress events: a few events a second.
BLOCK = 50_000


def readings(path: Path) -> Iterator[float]:
    """The stresses in MPa, one by one; says through progress how much of the file is done.

    Raises:
        ValueError: there is no column of stresses, or a line whose stress is not a number.
    """
    size = path.stat().st_size
    number = 0
    with open(path, "rb") as file:
        rows = csv.reader(line.decode(errors="replace") for line in file)
        try:
            column, scale = stress_column(next(rows, []))
            for row in rows:
                if not row:
                    continue
                yield scale * stress(row, column, rows.line_num, STRONGEST_MPA / scale)
                number += 1
                if number % BLOCK == 0:
                    kedge.progress(100 * file.tell() // size, 100, f"{number} readings")
        except csv.Error as error:
            raise ValueError(f"line {rows.line_num} is not CSV: {error}") from error
    if not number:
        raise ValueError("the history has a header and no readings")
    kedge.progress(100, 100, f"{number} readings")


def stress_column(header: list[str]) -> tuple[int, float]:
    """Which column holds the stresses, and what one of its units is in MPa."""
    if not header:
        raise ValueError(
            "the history is empty: a first line such as `time [s],stress [MPa]` is needed"
        )
    names = [name.removeprefix("\ufeff") for name in header]
    found = [
        (place, match) for place, name in enumerate(names) if (match := COLUMN.fullmatch(name))
    ]
    if len(found) != 1:
        shown = ", ".join(f"`{name:.40}`" for name in names[:8])
        many = "no column" if not found else "more than one column"
        raise ValueError(f"{many} is headed `stress [unit]`: the first line has {shown}")
    place, match = found[0]
    if match["unit"] not in MPA:
        known = ", ".join(MPA)
        raise ValueError(
            f"`{names[place]}` names no unit of stress; write one of {known} in brackets"
        )
    return place, MPA[match["unit"]]


def stress(row: list[str], column: int, line: int, strongest: float) -> float:
    """The stress in a row, in the file's own unit."""
    if len(row) <= column:
        raise ValueError(f"line {line} ends before the column of stresses")
    try:
        value = float(row[column])
    except ValueError:
        raise ValueError(f"line {line}: `{row[column]:.40}` is not a number") from None
    if not isfinite(value):
        raise ValueError(
            f"line {line}: the stress is {value}; remove such readings or fill them in"
        )
    if abs(value) > strongest:
        raise ValueError(f"line {line}: no material bears {value:g}; is the column's unit right?")
    return value
