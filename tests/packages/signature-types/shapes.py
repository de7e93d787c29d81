"""Every parameter type that the standard library can spell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Literal, NamedTuple, NewType, Optional, TypedDict, Union

from kedge import Unit

Identifier = NewType("Identifier", str)


class Grade(Enum):
    MILD = "S235"
    STRONG = "S355"


@dataclass
class Bolt:
    diameter: float
    grade: str = "8.8"


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Range(TypedDict, total=False):
    low: float
    high: float


def plain(
    a: int,
    b: float,
    c: str,
    d: bool,
    e: list[float],
    f: dict[str, int],
    g: Optional[float] = None,
    h: int | None = None,
    i: Union[int, str] = 0,
    j: Literal["x", "y"] = "x",
    k: Annotated[float, Unit("mm"), "A length"] = 1.0,
    l: Identifier = Identifier("none"),
) -> dict:
    return {name: value for name, value in locals().items()}


class Report(TypedDict):
    grade: str
    area: float
    norm: float
    day: date
    later: datetime
    spread: float
    unique: list[int]


def standard(
    grade: Grade,
    bolt: Bolt,
    point: Point,
    day: date,
    moment: datetime,
    wait: timedelta,
    limits: Range,
    unique: set[int],
    pair: tuple[int, str],
) -> Report:
    """Each value arrives as the Python object that its annotation names."""
    assert isinstance(grade, Grade) and isinstance(bolt, Bolt) and isinstance(point, Point)
    assert type(day) is date and isinstance(moment, datetime) and isinstance(wait, timedelta)
    assert isinstance(unique, set) and isinstance(pair, tuple)
    return {
        "grade": grade.name,
        "area": bolt.diameter**2,
        "norm": (point.x**2 + point.y**2) ** 0.5,
        "day": day,
        "later": moment + wait,
        "spread": limits.get("high", 0.0) - limits.get("low", 0.0),
        "unique": sorted(unique),
    }


def extra(base: float, *, factor: float = 1.0, **others: float) -> float:
    return base * factor + sum(others.values())
