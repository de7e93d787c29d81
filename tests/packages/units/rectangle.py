from typing import Annotated

from kedge import Unit


def area(
    width: Annotated[float, Unit("mm")], height: Annotated[float, Unit("mm")] = 10.0
) -> Annotated[float, Unit("mm**2")]:
    return width * height


def plain(width: float, height: float, load: float) -> dict:
    """Gives back the numbers that arrived."""
    return {"width": width, "height": height, "load": load}
