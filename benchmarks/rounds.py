"""Samples of several things in turn: what disturbs one of them disturbs the others as well."""

from collections.abc import Callable

Sample = Callable[[], float]  # does the thing once; the seconds that count


def alternate(rounds: int, *subjects: Sample, warm: int = 1) -> list[tuple[float, ...]]:
    """The samples of each subject: A B A B …, after `warm` rounds that are thrown away."""
    taken = [[subject() for subject in subjects] for _ in range(warm + rounds)]
    return list(zip(*taken[warm:], strict=True))
