"""Checkpoints: a state and the slab that it belongs to, as JSON, which keeps every bit of a number."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple


class State(NamedTuple):
    """How far the calculation is: steps done, and the temperatures in degC from face to face."""

    step: int
    temperatures: list[float]


def save(state: State, slab: dict[str, float]) -> None:
    """Writes `checkpoint.json` among the artifacts: the whole of it or, killed on the way, nothing."""
    folder = Path("out/artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    partial = Path("out/checkpoint.partial")
    partial.write_text(json.dumps({"slab": slab, **state._asdict()}) + "\n")
    os.replace(partial, folder / "checkpoint.json")


def load(path: Path, slab: dict[str, float]) -> State:
    """The state in a checkpoint of `slab`.

    Raises:
        ValueError: it is not a checkpoint, or that of another slab.
    """
    try:
        saved: dict[str, Any] = json.loads(path.read_bytes())
        of, step, temperatures = saved["slab"], saved["step"], saved["temperatures"]
        whole = len(temperatures) == of["cells"] + 1
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"the checkpoint is not one that this function left ({error!r})"
        ) from error
    if not whole:
        raise ValueError("the checkpoint is damaged: its temperatures are not those of its cells")
    other = [
        f"{name} {of.get(name)} in place of {value}"
        for name, value in slab.items()
        if of.get(name) != value
    ]
    if other:
        raise ValueError("the checkpoint is that of another slab: " + ", ".join(other))
    return State(step, temperatures)
