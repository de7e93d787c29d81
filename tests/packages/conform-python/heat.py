"""A function that honours the whole contract: what `kedge conform` must find nothing wrong with."""

import time
from pathlib import Path
from typing import TypedDict

import kedge


class Heated(TypedDict):
    peak: float
    field: Path


def heat(mesh: Path, steps: int = 3, pause: float = 0.5) -> Heated:
    """Doubles the numbers of a mesh, step by step; what it has when it is stopped is an artifact."""
    values = [float(line) for line in Path(mesh).read_text().split()]
    if not values:
        raise ValueError("the mesh is empty")
    try:
        for step in range(1, steps + 1):
            values = [2 * value for value in values]
            kedge.progress(step, steps, "heating")
            time.sleep(pause)
    finally:
        folder = Path("out/artifacts")
        folder.mkdir(exist_ok=True)
        (folder / "state.txt").write_text(" ".join(map(str, values)))
    field = kedge.out_path("field", ".txt")
    Path(field).write_text("\n".join(map(str, values)))
    return {"peak": max(values), "field": field}
