"""Samples of several things in turn: what disturbs one of them disturbs the others as well."""

from collections.abc import Callable

Sample = Callable[[], float]  # does the thing once; the seconds that count


def alternate(rounds: int, *subjects: Sample, warm: int = 1) -> list[tuple[float, ...]]:
    """The samples of each subject: A B A B …, after `warm` rounds that are thrown away."""
    return in_blocks(rounds, *((subject, 1) for subject in subjects), warm=warm)


def in_blocks(rounds: int, *subjects: tuple[Sample, int], warm: int = 1) -> list[tuple[float, ...]]:
    """The same where a subject has so many samples back to back when it is its turn, A A B A A B."""
    taken: list[list[float]] = [[] for _ in subjects]
    for number in range(-warm, rounds):
        for found, (subject, times) in zip(taken, subjects, strict=True):
            block = [subject() for _ in range(times)]
            if number >= 0:
                found += block
    return [tuple(found) for found in taken]
