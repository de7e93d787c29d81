"""No metadata at all: the newest Python there is, no dependencies."""


def double(x: float) -> float:
    return 2 * x


def _private(x: float) -> float:
    return x
