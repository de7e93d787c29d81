"""Rainflow counting: ASTM E1049-85 (2017), section 5.4.4."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple


class Cycle(NamedTuple):
    """A cycle, or half of one, between two turning points."""

    start: float
    end: float
    count: float

    @property
    def range(self) -> float:
        """How far apart the two turning points are."""
        return abs(self.end - self.start)

    @property
    def mean(self) -> float:
        """The middle between them."""
        return (self.start + self.end) / 2


def turning_points(values: Iterable[float]) -> Iterator[float]:
    """The peaks and valleys of a signal, its first and its last value; a plateau is one point."""
    rising = None
    last = None
    for value in values:
        if last is None:
            yield value
        elif value == last:
            continue
        else:
            if rising is not None and rising != (value > last):
                yield last
            rising = value > last
        last = value
    if rising is not None and last is not None:
        yield last


def cycles(points: Iterable[float]) -> Iterator[Cycle]:
    """The cycles between turning points, each as soon as it closes, and what never closes at the end.

    A range is counted once a range at least as large follows it. It is a whole cycle then, unless the
    first point of all is part of it: that makes it half of one, and the next point the first of all.
    """
    open_points: list[float] = []
    for point in points:
        open_points.append(point)
        while len(open_points) > 2:
            before, start, end = open_points[-3:]
            if abs(end - start) < abs(start - before):
                break
            if len(open_points) == 3:
                yield Cycle(before, start, 0.5)
                del open_points[0]
            else:
                yield Cycle(before, start, 1.0)
                del open_points[-3:-1]
    for start, end in pairwise(open_points):
        yield Cycle(start, end, 0.5)
