"""A handler two packages down that imports from one of its own packages."""

from pkg.shapes import square

from ..shapes import square as the_same


def my_function(side: float) -> float:
    assert square is the_same
    return square(side)
