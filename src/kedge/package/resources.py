"""What one run may use: tiers, what a function inherits, what the caller overrides, what the machine has.

Hot path: the standard library alone.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kedge.errors import TaskError, Where
from kedge.package.machine import Machine
from kedge.task import Resources


class Tier(NamedTuple):
    """A named size: CPUs, MiB, seconds."""

    cpu: float
    memory_mb: int
    timeout: float


TIERS: Final[dict[str, Tier]] = {
    "nano": Tier(1, 512, 60),
    "micro": Tier(1, 1024, 120),
    "small": Tier(2, 2048, 300),
    "medium": Tier(2, 4096, 600),
    "large": Tier(4, 8192, 1800),
}

DEFAULT_MEMORY_SHARE: Final = 0.8  # of the machine: the rest is for the system and for Kedge
_PLAIN: Final[dict[str, Any]] = {"gpu": 0, "grace": 5.0, "pids": 512, "disk_mb": None}
_SIZES: Final = ("cpu", "memory_mb")

type Block = Mapping[str, Any]
type Chosen = tuple[Any, str]
"""A value and where it comes from."""


def effective(
    package_block: Block | None,
    function_block: Block | None,
    overrides: Block | None,
    machine: Machine,
) -> tuple[Resources, dict[str, str], list[str]]:
    """The limits of one run, where each comes from, and notices for the caller.

    Blocks are `resources` as written (checked before: see `kedge.package.stages`); `overrides` are the
    caller's own `cpu`, `memory_mb`, `timeout`, … and win field by field. Values of None count as absent.

    Raises:
        TaskError: more memory than the machine has, or blocks that contradict themselves.

    >>> effective(None, {"tier": "nano"}, None, Machine(8, 16000))[0].cpu
    1.0
    """
    package, function, caller = (
        _given(block) for block in (package_block, function_block, overrides)
    )
    for block, name in ((package, "package"), (function, "function")):
        if contradiction := contradicts(block):
            raise TaskError(contradiction, where=Where(path=f"{name}.resources"), hint=_TIER_HINT)
    if half := half_over_tier(package, function):
        raise TaskError(half, where=Where(path="function.resources"), hint=_HALF_HINT)
    chosen = {field: _size(field, package, function, machine) for field in _SIZES}
    chosen["timeout"] = _timeout(package, function)
    for field, default in _PLAIN.items():
        chosen[field] = _first(field, package, function, (default, "default"))
    for field in chosen:
        if field in caller:
            chosen[field] = (caller[field], "caller")
    notices: list[str] = []
    _fit(chosen, machine, notices)
    values: dict[str, Any] = {field: value for field, (value, _) in chosen.items()}
    values["cpu"] = float(values["cpu"])
    return Resources(**values), {field: origin for field, (_, origin) in chosen.items()}, notices


_TIER_HINT: Final = "keep either `tier` or `cpu` and `memory_mb`; `timeout` goes with both"
_HALF_HINT: Final = "give both `cpu` and `memory_mb`, or another `tier`"


def contradicts(block: Block) -> str | None:
    """What is wrong with one block: a tier and sizes beside it."""
    sizes = [f"`{field}`" for field in _SIZES if block.get(field) is not None]
    if block.get("tier") is None or not sizes:
        return None
    return f"`tier: {block['tier']}` and {' and '.join(sizes)} stand in one block"


def half_over_tier(package: Block, function: Block) -> str | None:
    """What is wrong with a function's block over its package's: one size alone over a tier."""
    given = [field for field in _SIZES if function.get(field) is not None]
    if package.get("tier") is None or len(given) != 1:
        return None
    missing = next(field for field in _SIZES if field not in given)
    return (
        f"`{given[0]}` alone replaces the package's `tier: {package['tier']}`, without `{missing}`"
    )


def _given(block: Block | None) -> dict[str, Any]:
    return {field: value for field, value in (block or {}).items() if value is not None}


def _size(field: str, package: Block, function: Block, machine: Machine) -> Chosen:
    for block, origin in ((function, "function"), (package, "package")):
        if field in block:
            return block[field], origin
        if "tier" in block:
            return getattr(TIERS[block["tier"]], field), f"tier {block['tier']} ({origin})"
    if field == "cpu":
        return machine.cpu, "all of this machine"
    return max(1, int(machine.memory_mb * DEFAULT_MEMORY_SHARE)), "80 % of this machine"


def _timeout(package: Block, function: Block) -> Chosen:
    """A timeout that is written wins over one that comes with a tier, at any level."""
    for block, origin in ((function, "function"), (package, "package")):
        if "timeout" in block:
            return block["timeout"], origin
    for block, origin in ((function, "function"), (package, "package")):
        if "tier" in block:
            return TIERS[block["tier"]].timeout, f"tier {block['tier']} ({origin})"
    return None, "none"


def _first(field: str, package: Block, function: Block, default: Chosen) -> Chosen:
    for block, origin in ((function, "function"), (package, "package")):
        if field in block:
            return block[field], origin
    return default


def _fit(chosen: dict[str, Chosen], machine: Machine, notices: list[str]) -> None:
    cpu, cpu_origin = chosen["cpu"]
    if cpu > machine.cpu:
        notices.append(
            f"{cpu:g} CPUs are asked for and this machine has {machine.cpu:g}: those are used"
        )
        chosen["cpu"] = (machine.cpu, f"this machine, in place of {cpu:g} ({cpu_origin})")
    memory, memory_origin = chosen["memory_mb"]
    if memory > machine.memory_mb:
        raise TaskError(
            f"{memory} MiB of memory are asked for and this machine has {machine.memory_mb} MiB",
            where=Where(path="resources.memory_mb"),
            hint=f"ask for less ({memory_origin} says {memory}), or run on a larger machine",
        )
