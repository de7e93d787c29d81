"""What a handler cannot be, each in its own way."""

import functools


class Bolt:
    def stress(self, force: float) -> float:
        return force


half = functools.partial(pow, 2)
twice = lambda x: 2 * x


def star(*numbers: float) -> float:
    return sum(numbers)


def positional(x: float, /) -> float:
    return x
