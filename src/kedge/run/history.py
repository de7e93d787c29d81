"""What earlier runs of a function needed: how long, how much memory, and the tier that would do."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from kedge.data import Data, asdict
from kedge.errors import RunFailed
from kedge.package.resources import TIERS
from kedge.run import record

_RUNS: Final = 100  # newest successful runs that are looked at
_MARGIN: Final = 1.25  # above the largest peak: input varies, and so does what libraries keep


class Needs(Data):
    """What the newest successful runs of a function needed.

    Args:
        runs: how many were looked at.
        wall_s, wall_most_s: seconds, median and largest.
        cpu_s: seconds of processor time, median.
        memory_mb, memory_most_mb: MiB at peak, median and largest.
        tier: the smallest named size that would do with a margin of a quarter; None when none would.
    """

    runs: int
    wall_s: float
    wall_most_s: float
    cpu_s: float
    memory_mb: float
    memory_most_mb: float
    tier: str | None

    def to_json(self) -> dict[str, Any]:
        """The same as JSON data."""
        return asdict(self)


class Summary(Data):
    """A function's runs.

    Args:
        package, function: which; the package of the newest run where none was named.
        counts: how many runs there were by how they ended: `succeeded`, or a kind of failure.
        needs: what the successful ones needed, None when there were none.
    """

    package: str | None
    function: str
    counts: Mapping[str, int]
    needs: Needs | None

    def to_json(self) -> dict[str, Any]:
        """The same as JSON data."""
        return {
            "package": self.package,
            "function": self.function,
            "counts": dict(self.counts),
            "needs": self.needs.to_json() if self.needs is not None else None,
        }


def summary(function: str, package: str | None = None) -> Summary | None:
    """What is on record of a function; None when it never ran."""
    newest = record.list_runs(1, package=package, function=function)
    if not newest:
        return None
    package = newest[0].package
    ended = record.list_runs(_RUNS, package=package, function=function)
    counts = Counter(run.failure_kind or run.status for run in ended)
    return Summary(package, function, dict(counts.most_common()), needs(package, function))


def needs(package: str | None, function: str) -> Needs | None:
    """What successful runs of a function needed; None when there were none, or nothing was measured."""
    found = record.list_runs(_RUNS, package=package, function=function, status="succeeded")
    walls = _numbers(found, "wall_s")
    peaks = _numbers(found, "peak_memory_mb")
    if not walls or not peaks:
        return None
    return Needs(
        runs=len(found),
        wall_s=_median(walls),
        wall_most_s=max(walls),
        cpu_s=_median(_numbers(found, "cpu_s") or [0.0]),
        memory_mb=_median(peaks),
        memory_most_mb=max(peaks),
        tier=_tier(max(peaks), max(walls)),
    )


def add_needs(failure: RunFailed, package: str | None, function: str) -> None:
    """Say in a failure for memory what the function's successful runs needed."""
    known = needs(package, function)
    if known is None:
        return
    failure.evidence["needed_before"] = known.to_json()
    said = (
        f"the last {known.runs} successful runs needed up to {known.memory_most_mb:.0f} MiB"
        if known.runs > 1
        else f"the last successful run needed {known.memory_most_mb:.0f} MiB"
    )
    failure.hint = f"{failure.hint}; {said}"
    failure.problems[0].hint = failure.hint


def _tier(memory_mb: float, wall_s: float) -> str | None:
    for name, tier in TIERS.items():
        if memory_mb * _MARGIN <= tier.memory_mb and wall_s * _MARGIN <= tier.timeout:
            return name
    return None


def _median(values: list[float]) -> float:
    """The middle value, of an even number the mean of the two in the middle."""
    # Not that of `statistics`, which costs every run 15 ms of import.
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _numbers(runs: list[record.Run], name: str) -> list[float]:
    return [value for run in runs if (value := run.measured.get(name)) is not None]
