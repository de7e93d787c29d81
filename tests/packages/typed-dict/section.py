from typing import Annotated, TypedDict

from kedge import Unit


class Section(TypedDict):
    area: Annotated[float, Unit("mm**2"), "Cross-section"]
    inertia: Annotated[float, Unit("mm**4")]
    square: bool


def section(width: float, height: float) -> Section:
    """A rectangular section.

    Args:
        width: Width in mm.
        height: Height in mm.
    """
    return {
        "area": width * height,
        "inertia": width * height**3 / 12,
        "square": width == height,
    }
