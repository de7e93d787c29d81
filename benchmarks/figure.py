"""A figure: what was measured, of Kedge and of its peers, and what was promised of it."""

import statistics
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Side:
    """What was measured of one of them: all samples, in the order in which they came, and their unit."""

    what: str
    samples: tuple[float, ...]
    unit: Literal["seconds", "MiB"] = "seconds"

    @property
    def median(self) -> float:
        """The median, in its unit."""
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile, in its unit; of a single sample, that sample twice."""
        if len(self.samples) == 1:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high


@dataclass(frozen=True, slots=True)
class Goal:
    """What is promised: at most `limit` `times` the first peer, seconds `above` it, or seconds `in all`."""

    kind: Literal["times", "above", "in all"]
    limit: float


@dataclass(frozen=True, slots=True)
class Check:
    """Something that holds or does not, whatever the time: "1 exec of Python"."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Args:
        name: as it is asked for on the command line, or longer where one name gives several.
        ours: Kedge.
        peers: what it stands beside, measured in the same rounds; the goal is against the first.
        goal: None where nothing is promised.
        checks: what else was promised of it.
        notes: what a reader must know to judge it.
    """

    name: str
    ours: Side
    peers: tuple[Side, ...] = ()
    goal: Goal | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """What the goal is about: a ratio of medians, or seconds."""
        if self.goal is None or self.goal.kind == "in all":
            return self.ours.median
        peer = self.peers[0].median
        return self.ours.median / peer if self.goal.kind == "times" else self.ours.median - peer

    @property
    def met(self) -> bool | None:
        """Whether the goal is met here; None where there is none."""
        return None if self.goal is None else self.value <= self.goal.limit


class LeftOutError(Exception):
    """A figure cannot be measured here; the text says why."""
